package loop

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// A tally counts slices of rows, one line each, as a survey has them: fast over
// many rows, and fast again when rows are taken away, because no row is counted
// more than twice in all.
type tally struct {
	settings Search
	// places has a column per factor: 0, or 1 + the position of the row's level
	// among the factor's frequent levels. Rows are in order of groups.
	places [][]uint8
	levels [][]int
	// add is what a row adds to the sum of a cell: one row above, and its error in
	// units below. It is 0 once the row is taken away.
	add []uint64
	// unit is how many units an error of 1 is.
	unit float64
	// group of each row, ascending; nil where every row stands for itself.
	group []uint32
	// orders are the counted cells, by order less 1; made is what cells returns.
	orders [MaxOrder]*tallied
	made   []cell
	// dispersion is the variance of a row's error over that of a failure of the
	// same rate; clusters is how errors vary by group: as rate found them.
	dispersion float64
	clusters   clusters
}

// tallied are the cells of an order that have the least support.
type tallied struct {
	sets []factorSet
	key  []uint32
	sum  []uint64
	// mates is how many rows of its own group a row of the cell has in the cell,
	// itself among them, on average. Taking rows away can only make it smaller.
	mates []float32
}

// factorSet is the run of cells, up to end, of one set of factors.
type factorSet struct {
	factors [MaxOrder]int
	end     int
}

// rowShift splits a sum: rows above it, errors in units below.
const rowShift = 40

const (
	maxSurveyRows = 1<<(64-rowShift) - 1
	lossUnits     = 1 << (rowShift - 24)
	// maxPlaces keeps the table of three factors within denseCells.
	maxPlaces = 160
	// leastGroups is how many groups a slice has at least: fewer tell a slice
	// that fails from a group that does not as badly as they seem to.
	leastGroups = 5
	// same is the part of a slice's rows from which on a narrower one is the same
	// slice, with a predicate that says nothing.
	same = .95
)

// newTally sorts the rows by group; binary errors are 0 and 1, others lie
// between.
func newTally(space *Space, settings Search, r *Rows, errors []float64, binary bool) *tally {
	t := &tally{settings: settings, unit: 1, add: make([]uint64, len(errors)), dispersion: 1}
	if !binary {
		t.unit = lossUnits
	}
	order := make([]int, len(errors))
	for i := range order {
		order[i] = i
	}
	if r.Group != nil {
		slices.SortStableFunc(order, func(a, b int) int { return int(r.Group[a]) - int(r.Group[b]) })
		t.group = make([]uint32, len(order))
		for at, i := range order {
			t.group[at] = r.Group[i]
		}
	}
	for at, i := range order {
		t.add[at] = 1<<rowShift | uint64(math.Round(errors[i]*t.unit))
	}
	t.places, t.levels = make([][]uint8, len(space.Factors)), make([][]int, len(space.Factors))
	for f, column := range r.Codes {
		t.levels[f] = frequentLevels(column, len(space.Factors[f].Levels), settings.MinimumSupport)
		place := make([]uint8, len(space.Factors[f].Levels))
		for at, l := range t.levels[f] {
			place[l] = uint8(at + 1)
		}
		t.places[f] = make([]uint8, len(order))
		for at, i := range order {
			if column[i].IsLevel() {
				t.places[f][at] = place[column[i]]
			}
		}
	}
	return t
}

// frequentLevels are the levels with the least support, in order; the most
// frequent ones where there are too many.
func frequentLevels(column []Code, levels int, support float64) []int {
	counts := make([]int, levels)
	for _, code := range column {
		if code.IsLevel() {
			counts[code]++
		}
	}
	var out []int
	for l, n := range counts {
		if float64(n) >= support {
			out = append(out, l)
		}
	}
	if len(out) > maxPlaces {
		slices.SortStableFunc(out, func(a, b int) int { return counts[b] - counts[a] })
		out = out[:maxPlaces]
		slices.Sort(out)
	}
	return out
}

// rate also measures what the rows that are left vary by.
func (t *tally) rate() (rate, rows float64) {
	var sum, squares uint64
	for _, add := range t.add {
		sum += add
		e := add & (1<<rowShift - 1)
		squares += e * e
	}
	rows = float64(sum >> rowShift)
	if rows == 0 {
		return 0, 0
	}
	rate = float64(sum&(1<<rowShift-1)) / t.unit / rows
	if rate <= 0 || rate >= 1 {
		return rate, rows
	}
	if t.unit > 1 {
		t.dispersion = (float64(squares)/t.unit/t.unit/rows - rate*rate) / (rate * (1 - rate))
	}
	if t.group != nil {
		t.clusters = t.cluster(rate, rows)
	}
	return rate, rows
}

func (t *tally) slice(c *cell) Slice {
	o := t.orders[c.order-1]
	at, _ := slices.BinarySearchFunc(o.sets, c.place, func(s factorSet, place int) int {
		if s.end <= place {
			return -1
		}
		return 1
	})
	slice, key := make(Slice, c.order), int(o.key[c.place])
	for i := c.order - 1; i >= 0; i-- {
		f := o.sets[at].factors[i]
		width := len(t.levels[f]) + 1
		slice[i] = Predicate{Factor: f, Level: t.levels[f][key%width-1]}
		key /= width
	}
	return slice
}

// cells are good until the next call.
func (t *tally) cells(order int) []cell {
	o := t.orders[order-1]
	if o == nil {
		o = t.count(order)
		t.orders[order-1] = o
	}
	t.made = slices.Grow(t.made[:0], len(o.sum))
	for i, sum := range o.sum {
		c := cell{n: float64(sum >> rowShift), place: i, order: order, effect: t.dispersion}
		if c.n < t.settings.MinimumSupport {
			continue
		}
		c.k = float64(sum&(1<<rowShift-1)) / t.unit
		if t.group != nil {
			c.effect *= effect(float64(o.mates[i]), t.clusters.correlation(0, 0))
		}
		t.made = append(t.made, c)
	}
	return t.made
}

// test is by the tail of the sum of errors on as many rows as the cell's are
// worth.
func (t *tally) test(c *cell, rate float64) {
	if t.group != nil {
		t.testClustered(c, rate)
		return
	}
	c.z = c.excess(rate) / math.Sqrt(c.n*c.effect*rate*(1-rate))
	if c.z >= t.settings.MinimumZ {
		c.p = t.tail(c, c.effect, rate)
	}
}

// tail is binomial for failures that stand for themselves, which is exact. Losses
// and groups, of which a few may be very bad, make a sum more skewed than that:
// for them it is the greater of the binomial tail and that of a beta distribution
// with the same mean and variance, which is twice as skewed.
func (t *tally) tail(c *cell, effect, rate float64) float64 {
	worth := c.n / effect
	p := binomialTail(c.k/effect, worth, rate)
	if t.group == nil && t.unit == 1 {
		return p
	}
	if worth <= 1 {
		return 1
	}
	return max(p, mathext.RegIncBeta((1-rate)*(worth-1), rate*(worth-1), max(0, 1-c.k/c.n)))
}

// remove takes the rows of a slice away from every cell that was counted.
func (t *tally) remove(slice Slice) {
	var gone []int32
	for i, add := range t.add {
		if add > 0 && t.matches(slice, i) {
			gone = append(gone, int32(i))
		}
	}
	var scratch []uint64
	keys := make([]uint32, len(gone))
	for at, o := range t.orders {
		if o == nil {
			continue
		}
		from := 0
		for _, s := range o.sets {
			size := t.keys(keys, s.factors[:at+1], gone)
			if cap(scratch) < size {
				scratch = make([]uint64, size)
			}
			scratch = scratch[:size]
			for i, row := range gone {
				scratch[keys[i]] += t.add[row]
			}
			for c := from; c < s.end; c++ {
				o.sum[c] -= scratch[o.key[c]]
			}
			if len(gone) < size {
				for _, key := range keys {
					scratch[key] = 0
				}
			} else {
				clear(scratch)
			}
			from = s.end
		}
	}
	for _, row := range gone {
		t.add[row] = 0
	}
}

// keys fills in the keys of rows in the table of some factors, and returns the
// table's size.
func (t *tally) keys(keys []uint32, factors []int, rows []int32) int {
	clear(keys)
	size := 1
	for _, f := range factors {
		width, places := uint32(len(t.levels[f])+1), t.places[f]
		size *= int(width)
		for i, row := range rows {
			keys[i] = keys[i]*width + uint32(places[row])
		}
	}
	return size
}

func (t *tally) matches(slice Slice, row int) bool {
	for _, p := range slice {
		place := t.places[p.Factor][row]
		if place == 0 || t.levels[p.Factor][place-1] != p.Level {
			return false
		}
	}
	return true
}
