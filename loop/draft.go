package loop

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Draft is what rows suggest about the space that they come from.
type Draft struct {
	// Unknown is the part of rows in which each factor has no value.
	Unknown []float64
	// When has, per factor, the condition under which alone it has a value; nil
	// where there is none. Its levels are known everywhere.
	When []*LevelSet
	// Order lists the factors so that conditions stand before what depends on
	// them.
	Order []int
	// Associations are pairs of factors that go together, the strongest first.
	Associations []Association
	// Gaps are combinations that never occur though they would often if factors
	// were independent, the most missed first.
	Gaps []Gap
}

// Association is how strongly two factors go together: Cramér's V, corrected for
// chance, from 0 to 1.
type Association struct {
	A, B     int
	Strength float64
}

// Gap is a combination of two levels that never occurs, and in how many rows it
// would if the factors were independent.
type Gap struct {
	Slice    Slice
	Expected float64
}

const (
	leastStrength = .3
	leastExpected = 30
	maxSuggested  = 20
	// maxDraftWork bounds the rows times pairs of factors that are counted.
	maxDraftWork = 5e8
)

// Draft looks for conditions, associations and gaps.
func (r *Rows) Draft() Draft {
	factors := len(r.Codes)
	d := Draft{Unknown: make([]float64, factors), When: make([]*LevelSet, factors)}
	for f, column := range r.Codes {
		n := 0
		for _, code := range column {
			if !code.IsLevel() {
				n++
			}
		}
		if len(column) > 0 {
			d.Unknown[f] = float64(n) / float64(len(column))
		}
	}
	for f := range r.Codes {
		if d.Unknown[f] > 0 && d.Unknown[f] < 1 {
			d.When[f] = r.condition(f, d.Unknown)
		}
		if d.When[f] == nil {
			d.Order = append(d.Order, f)
		}
	}
	for f := range r.Codes {
		if d.When[f] != nil {
			d.Order = append(d.Order, f)
		}
	}
	stride := max(1, int(float64(len(r.Error))*choose(factors, 2)/maxDraftWork))
	for a := range factors {
		for b := a + 1; b < factors; b++ {
			// Of a condition it is no news that it goes with what depends on it.
			if d.depends(a, b) || d.depends(b, a) {
				continue
			}
			d.look(r, a, b, stride)
		}
	}
	slices.SortStableFunc(d.Associations, func(a, b Association) int { return -cmp.Compare(a.Strength, b.Strength) })
	slices.SortStableFunc(d.Gaps, func(a, b Gap) int { return -cmp.Compare(a.Expected, b.Expected) })
	d.Associations = d.Associations[:min(len(d.Associations), maxSuggested)]
	d.Gaps = d.Gaps[:min(len(d.Gaps), maxSuggested)]
	return d
}

func (d *Draft) depends(child, parent int) bool {
	return d.When[child] != nil && d.When[child].Factor == parent
}

// condition is the factor, of the fewest levels, of which some levels always go
// with a value of this one and all others never do.
func (r *Rows) condition(factor int, unknown []float64) *LevelSet {
	var best *LevelSet
	fewest := math.MaxInt
	for parent := range r.Codes {
		levels := len(r.Space.Factors[parent].Levels)
		if parent == factor || unknown[parent] > 0 || levels >= fewest {
			continue
		}
		with, without := make([]bool, levels), make([]bool, levels)
		for i, code := range r.Codes[parent] {
			if r.Codes[factor][i].IsLevel() {
				with[code] = true
			} else {
				without[code] = true
			}
		}
		set, exact := &LevelSet{Factor: parent}, true
		for l := range levels {
			exact = exact && !(with[l] && without[l])
			if with[l] {
				set.Levels = append(set.Levels, l)
			}
		}
		if exact {
			best, fewest = set, levels
		}
	}
	return best
}

// look adds what two factors suggest.
func (d *Draft) look(r *Rows, a, b, stride int) {
	height, width := len(r.Space.Factors[a].Levels), len(r.Space.Factors[b].Levels)
	counts, down, across, n := make([]float64, height*width), make([]float64, height), make([]float64, width), 0.0
	for i := 0; i < len(r.Codes[a]); i += stride {
		x, y := r.Codes[a][i], r.Codes[b][i]
		if x.IsLevel() && y.IsLevel() {
			counts[int(x)*width+int(y)]++
			down[x]++
			across[y]++
			n++
		}
	}
	squares, rows, columns := 0.0, 0.0, 0.0
	for _, c := range down {
		rows += math.Min(1, c)
	}
	for _, c := range across {
		columns += math.Min(1, c)
	}
	for x := range height {
		for y := range width {
			expected := down[x] * across[y] / max(n, 1)
			if expected == 0 {
				continue
			}
			seen := counts[x*width+y]
			squares += (seen - expected) * (seen - expected) / expected
			if seen == 0 && expected*float64(stride) >= leastExpected {
				d.Gaps = append(d.Gaps, Gap{Slice{{Factor: a, Level: x}, {Factor: b, Level: y}}, expected * float64(stride)})
			}
		}
	}
	if n < 2 || rows < 2 || columns < 2 {
		return
	}
	// Bergsma 2013.
	phi := max(0, squares/n-(rows-1)*(columns-1)/(n-1))
	least := min(rows-(rows-1)*(rows-1)/(n-1), columns-(columns-1)*(columns-1)/(n-1)) - 1
	if least <= 0 {
		return
	}
	if v := math.Sqrt(phi / least); v >= leastStrength {
		d.Associations = append(d.Associations, Association{a, b, min(1, v)})
	}
}

// Shares are the parts of the known rows that the levels of a factor have, in
// millionths that sum to one; nil where no row is known.
func (r *Rows) Shares(factor int) []float64 {
	levels := len(r.Space.Factors[factor].Levels)
	counts, rows := make([]float64, levels), 0.0
	for _, code := range r.Codes[factor] {
		if code.IsLevel() {
			counts[code]++
			rows++
		}
	}
	if rows == 0 {
		return nil
	}
	return millionths(counts)
}

// millionths are the parts that counts have of their sum, in millionths that sum
// to one.
func millionths(counts []float64) []float64 {
	const whole = 1_000_000
	type remainder struct {
		level int
		part  float64
	}
	sum := 0.0
	for _, n := range counts {
		sum += n
	}
	left, rest, parts := whole, make([]remainder, len(counts)), make([]float64, len(counts))
	for l, n := range counts {
		exact := n / sum * whole
		parts[l] = math.Floor(exact)
		left -= int(parts[l])
		rest[l] = remainder{l, exact - parts[l]}
	}
	slices.SortStableFunc(rest, func(a, b remainder) int { return -cmp.Compare(a.part, b.part) })
	for _, r := range rest[:min(max(left, 0), len(rest))] {
		parts[r.level]++
	}
	for l := range parts {
		parts[l] /= whole
	}
	return parts
}

// Reserved reports whether every table has a column of the name beside those of
// the factors.
func Reserved(name string) bool { return reserved[strings.ToLower(name)] }
