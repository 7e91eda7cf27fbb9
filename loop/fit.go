package loop

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// Dependence is a factor's place in the tree that was fitted to rows: the factor
// whose level it is given, with its shares for each of those levels.
type Dependence struct {
	// On is the position of the factor that decides.
	On int
	// Rows has, for each level of On, the shares of this factor's levels, in
	// millionths that sum to one; nil for a level where this factor is absent.
	Rows [][]float64
	// Information is what one of the two says about the other, in nats, corrected
	// for chance; Counted is the number of rows in which both are known.
	Information float64
	Counted     int
}

const (
	// maxChance is the probability that any two of all factors are found dependent
	// though none are.
	maxChance = .01
	// leastInformation is what a dependence must be worth, in nats, to be more than
	// significant: two factors of two levels with a Cramér's V of .06 have as much.
	leastInformation = .002
	// maxTable is how many shares of one table a person would read, and rows could
	// tell; those of a tree together fit into a space.
	maxTable = 4096
)

// Tree fits a tree to the rows: of all trees in which a factor is given at most
// one other, and a conditional one none that may be absent where it is present,
// that which says most of the rows (Chow, Liu 1968). Two factors are dependent only
// where the likelihood ratio shows it, with Bonferroni's correction for all pairs
// and Williams's for small counts; so factors that are independent stay so. Rows of
// a group count as one. A row that does not know one of two factors says nothing of
// the two.
//
// It returns a dependence per factor, nil for one that stands for itself, and an
// order of the factors in which each stands after what it depends on. draft is what
// Draft has found in the same space.
func (r *Rows) Tree(draft *Draft) (tree []*Dependence, order []int) {
	factors := len(r.Codes)
	tree = make([]*Dependence, factors)
	var ties []tie
	stride := max(1, int(float64(len(r.Error))*choose(factors, 2)/maxDraftWork))
	weights := r.groupWeights()
	for a := range factors {
		for b := a + 1; b < factors; b++ {
			if len(r.Space.Factors[a].Levels)*len(r.Space.Factors[b].Levels) > maxTable {
				continue
			}
			if t := r.tie(a, b, stride, weights); t.chance*choose(factors, 2) <= maxChance && t.information >= leastInformation {
				ties = append(ties, t)
			}
		}
	}
	slices.SortStableFunc(ties, func(a, b tie) int { return -cmp.Compare(a.information, b.information) })
	chosen := r.span(ties, draft.When)
	order = draft.arrange(chosen)
	for f, t := range chosen {
		if t != nil {
			tree[f] = r.dependence(f, t, draft.When[f])
		}
	}
	return tree, order
}

// tie is what two factors have to do with each other.
type tie struct {
	a, b int
	// information is the mutual information in nats, corrected for chance, and
	// chance the probability of as much between independent factors.
	information, chance float64
	counted             int
}

func (t *tie) other(f int) int { return t.a + t.b - f }

// groupWeights has a weight for each group, such that each counts as one row; nil
// where every row stands for itself.
func (r *Rows) groupWeights() []float64 {
	if r.Group == nil {
		return nil
	}
	var weights []float64
	for _, g := range r.Group {
		for int(g) >= len(weights) {
			weights = append(weights, 0)
		}
		weights[g]++
	}
	for g := range weights {
		weights[g] = 1 / weights[g]
	}
	return weights
}

// tie measures two factors over every so many rows.
func (r *Rows) tie(a, b, stride int, weights []float64) tie {
	t := tie{a: a, b: b, chance: 1}
	height, width := len(r.Space.Factors[a].Levels), len(r.Space.Factors[b].Levels)
	counts, down, across, n := make([]float64, height*width), make([]float64, height), make([]float64, width), 0.0
	for i := 0; i < len(r.Codes[a]); i += stride {
		x, y := r.Codes[a][i], r.Codes[b][i]
		if !x.IsLevel() || !y.IsLevel() {
			continue
		}
		w := 1.0
		if weights != nil {
			w = weights[r.Group[i]]
		}
		t.counted++
		counts[int(x)*width+int(y)] += w
		down[x] += w
		across[y] += w
		n += w
	}
	likelihood := 0.0
	for x := range height {
		for y := range width {
			if c := counts[x*width+y]; c > 0 {
				likelihood += c * math.Log(c*n/(down[x]*across[y]))
			}
		}
	}
	rows, inverseRows := levelsOf(down, n)
	columns, inverseColumns := levelsOf(across, n)
	freedom := (rows - 1) * (columns - 1)
	if freedom <= 0 || n < 2 {
		return t
	}
	// Williams 1976.
	correction := 1 + (inverseRows-1)*(inverseColumns-1)/(6*n*freedom)
	t.information = max(0, likelihood-freedom/2) / n
	t.chance = mathext.GammaIncRegComp(freedom/2, max(0, likelihood)/correction)
	return t
}

// levelsOf counts the levels that occur, and sums n over their counts.
func levelsOf(counts []float64, n float64) (levels, inverse float64) {
	for _, c := range counts {
		if c > 0 {
			levels++
			inverse += n / c
		}
	}
	return levels, inverse
}

// span chooses a tie for each factor that is given another: a maximum spanning
// forest of those that are always present, rooted at the first of each tree; and
// for each conditional one, on which none of those can depend, the strongest tie to
// what is present wherever it is. What does not fit into a space any more is left
// out, the weakest first.
func (r *Rows) span(ties []tie, when []*LevelSet) []*tie {
	room := MaxTables
	take := func(t *tie) bool {
		size := len(r.Space.Factors[t.a].Levels) * len(r.Space.Factors[t.b].Levels)
		if size > room {
			return false
		}
		room -= size
		return true
	}
	chosen, forest := make([]*tie, len(when)), make([][]*tie, len(when))
	root := make([]int, len(when))
	for f := range root {
		root[f] = f
	}
	find := func(f int) int {
		for root[f] != f {
			f = root[f]
		}
		return f
	}
	for i := range ties {
		t := &ties[i]
		switch {
		case when[t.a] == nil && when[t.b] == nil:
			if a, b := find(t.a), find(t.b); a != b && take(t) {
				root[max(a, b)] = min(a, b)
				forest[t.a], forest[t.b] = append(forest[t.a], t), append(forest[t.b], t)
			}
		case when[t.a] == nil:
			if chosen[t.b] == nil && take(t) {
				chosen[t.b] = t
			}
		case when[t.b] == nil:
			if chosen[t.a] == nil && take(t) {
				chosen[t.a] = t
			}
		default: // the later of two that are present together depends on the earlier
			if chosen[t.b] == nil && implies(when[t.b], when[t.a]) && take(t) {
				chosen[t.b] = t
			}
		}
	}
	var descend func(f int)
	descend = func(f int) {
		for _, t := range forest[f] {
			if child := t.other(f); chosen[f] != t {
				chosen[child] = t
				descend(child)
			}
		}
	}
	for f := range when {
		if when[f] == nil && find(f) == f {
			descend(f)
		}
	}
	return chosen
}

// implies reports whether a set holds wherever another does.
func implies(a, b *LevelSet) bool {
	if a.Factor != b.Factor {
		return false
	}
	for _, l := range a.Levels {
		if !b.Contains(l) {
			return false
		}
	}
	return true
}

// arrange orders the factors as they come, but each after what it depends on.
func (d *Draft) arrange(chosen []*tie) []int {
	order, placed := make([]int, 0, len(chosen)), make([]bool, len(chosen))
	for len(order) < len(chosen) {
		for f := range chosen {
			if placed[f] || chosen[f] != nil && !placed[chosen[f].other(f)] || d.When[f] != nil && !placed[d.When[f].Factor] {
				continue
			}
			placed[f] = true
			order = append(order, f)
			break
		}
	}
	return order
}

// dependence counts the shares of a factor's levels for each level of another. A
// level of few rows leans towards the factor's shares of all rows, as far as the
// rows themselves predict each other best.
func (r *Rows) dependence(f int, t *tie, when *LevelSet) *Dependence {
	on := t.other(f)
	d := &Dependence{On: on, Information: t.information, Counted: t.counted}
	width := len(r.Space.Factors[f].Levels)
	counts, totals, all := make([][]float64, len(r.Space.Factors[on].Levels)), make([]float64, len(r.Space.Factors[on].Levels)), make([]float64, width)
	for l := range counts {
		counts[l] = make([]float64, width)
	}
	for i, x := range r.Codes[on] {
		if y := r.Codes[f][i]; x.IsLevel() && y.IsLevel() {
			counts[x][y]++
			totals[x]++
			all[y]++
		}
	}
	n := 0.0
	for _, c := range all {
		n += c
	}
	for l := range all {
		all[l] /= n
	}
	prior := lend(counts, totals, all)
	for l := range counts {
		if when != nil && when.Factor == on && !when.Contains(l) {
			d.Rows = append(d.Rows, nil)
			continue
		}
		for y := range counts[l] {
			counts[l][y] += prior * all[y]
		}
		d.Rows = append(d.Rows, millionths(counts[l]))
	}
	return d
}

// lend is how many rows like all of them each level is lent: that by which the rows
// predict one of themselves best that is left out.
func lend(counts [][]float64, totals, all []float64) float64 {
	best, most := 1.0, math.Inf(-1)
	for prior := 1.0; prior <= 1<<16; prior *= 2 {
		likelihood := 0.0
		for l := range counts {
			for y, c := range counts[l] {
				if c > 0 {
					likelihood += c * math.Log((c-1+prior*all[y])/(totals[l]-1+prior))
				}
			}
		}
		if likelihood > most {
			best, most = prior, likelihood
		}
	}
	return best
}
