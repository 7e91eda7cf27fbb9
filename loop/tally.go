package loop

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// A tally counts slices of rows that have weights, groups and strata. In a cell,
// a stratum of rows of weights w and errors e has W = Σw, K = Σwe and S = Σw², and
// is worth d·W²/S rows of the failure rate K/W (Kish 1965), d being its discount;
// strata are added up. Where rows of a group correlate by ρ, and each has m of its
// group beside it in the cell, itself among them, the cell is worth 1/(1+(m-1)ρ) of
// that. All sums are of integers, so that they are the same in any order, and rows
// can be taken away, or added, exactly.
type tally struct {
	settings Search
	space    *Space
	each     Executor
	strata   []layer
	// lanes is how many sums a cell has.
	lanes int
	// graded: errors are not only 0 and 1.
	graded, grouped bool
	// unit is how many units an error of 1 is, in a packed lane.
	unit float64
	// batches are the lines, in order of groups: one, and one for each time that
	// lines were added.
	batches []*batch
	// failing are the lines of the batches that have an error, where those are counted
	// apart.
	failing []*batch
	// total sums each lane over the rows that are left, and spread errors squared by
	// stratum.
	total, spread []uint64
	// levels lists, per factor, those that have a place in it: the frequent ones; and
	// unknown says whether some line has none of them all.
	levels  [][]int
	unknown []bool
	// tables are the counted ones, by order less 1, in order of slices.
	tables [][]*table
	root   *table
	// runs are counted slices with runs; nil before they are asked for. Remembered are
	// slices that a search rather finds than others that are nearly the same.
	runs       *runs
	remembered []Slice
	// gone lists what was removed; lasting: it will be restored. Recalled are the members
	// of slices that were removed before the last restoration, and used since.
	gone           []removal
	lasting        bool
	recalled, used []*members

	// What rate found: the rows that are left, the variance of a row's error over
	// that of a failure of the same rate, and how errors vary by group.
	rows, dispersion float64
	clusters         clusters
}

// layer is how a stratum is summed. Where all of its rows have one weight, that
// does not matter, and one lane has rows above, errors in units below.
type layer struct {
	lane     int
	packed   bool
	discount float64
	// unit is how many units a weight of 1 is in a lane, and unit2 a squared one.
	unit, unit2 float64
}

// The lanes of a stratum that is not packed.
const (
	laneRows = iota
	laneWeight
	laneErrors
	laneSquare
	laneCount
)

// rowShift splits a packed sum: rows above it, errors in units below.
const rowShift = 40

const (
	maxSurveyRows = 1<<(64-rowShift) - 1
	lossUnits     = 1 << (rowShift - 24)
	// leastGroups is how many groups a slice has at least: fewer tell a slice
	// that fails from a group that does not as badly as they seem to.
	leastGroups = 5
	// same is the part of a slice's rows from which on a narrower one is the same
	// slice, with a predicate that says nothing.
	same = .95
)

// newTally weighs the lines; nothing is counted before it is asked for. The order
// of its settings is less than asked for where that would take too long.
func newTally(space *Space, settings Search, l *lines, each Executor) *tally {
	t := &tally{settings: settings, space: space, each: each, dispersion: 1, unit: 1,
		graded: l.squares != nil, grouped: l.group != nil}
	if t.graded {
		t.unit = lossUnits
	}
	discounts := l.discount
	if discounts == nil {
		discounts = []float64{1}
	}
	type extent struct{ rows, weight, square, one float64 }
	extents := make([]extent, len(discounts))
	for s, d := range discounts {
		t.strata = append(t.strata, layer{discount: d, packed: true})
		extents[s].one = math.NaN()
	}
	for i := range l.errors {
		if rows, w := l.line(i); rows > 0 {
			s := l.of(i)
			e := &extents[s]
			if math.IsNaN(e.one) {
				e.one = w
			}
			t.strata[s].packed = t.strata[s].packed && w == e.one
			e.rows, e.weight, e.square = e.rows+rows, e.weight+rows*w, e.square+rows*w*w
		}
	}
	for s := range t.strata {
		layer := &t.strata[s]
		layer.packed = layer.packed && extents[s].rows <= maxSurveyRows
		layer.lane, layer.unit, layer.unit2 = t.lanes, unitOf(extents[s].weight), unitOf(extents[s].square)
		if t.lanes++; !layer.packed {
			t.lanes += laneCount - 1
		}
	}
	t.total, t.spread = make([]uint64, t.lanes), make([]uint64, len(t.strata))
	t.batches = []*batch{t.batch(l)}
	t.sum(t.batches[0])
	for t.settings.Order > 1 && !t.searchable(t.settings.Order) {
		t.settings.Order--
	}
	return t
}

// unitOf is the power of two by which a sum stays below 2^62.
func unitOf(sum float64) float64 {
	_, exponent := math.Frexp(sum)
	return math.Ldexp(1, min(62-exponent, 1000))
}

// sum adds a batch to the totals.
func (t *tally) sum(p *batch) {
	for _, r := range p.runs {
		for lane, values := range t.lanesOf(p, r.stratum) {
			for _, v := range values[r.from:r.to] {
				t.total[t.strata[r.stratum].lane+lane] += v
			}
		}
		if t.graded {
			for _, v := range p.spread[r.from:r.to] {
				t.spread[r.stratum] += v
			}
		}
	}
}

// read is a stratum's rows, and its other sums, given those of a cell or of all.
func (t *tally) read(lanes []uint64, s int) (rows float64, sums stratum) {
	layer := &t.strata[s]
	v := lanes[layer.lane]
	if layer.packed {
		n := float64(v >> rowShift)
		return n, stratum{n, float64(v&(1<<rowShift-1)) / t.unit, n}
	}
	return float64(v), stratum{float64(lanes[layer.lane+laneWeight]) / layer.unit,
		float64(lanes[layer.lane+laneErrors]) / layer.unit, float64(lanes[layer.lane+laneSquare]) / layer.unit2}
}

// rate is the failure rate of the rows that are left, and what they are worth. It
// also measures what they vary by, which tests go by until it is called again.
func (t *tally) rate() (rate, worth float64) {
	errors, squares := 0.0, 0.0
	// scale is what a weight of 1 is worth, by stratum.
	scale := make([]float64, len(t.strata))
	t.rows = 0
	for s := range t.strata {
		rows, sums := t.read(t.total, s)
		if rows == 0 {
			continue
		}
		n, k := sums.worth(t.strata[s].discount)
		t.rows, worth, errors = t.rows+rows, worth+n, errors+k
		scale[s] = n / sums.weight
		squares += scale[s] * float64(t.spread[s]) / t.strata[s].unitOfErrors(t, 1)
	}
	if worth == 0 {
		return 0, 0
	}
	rate = errors / worth
	if rate <= 0 || rate >= 1 {
		return rate, worth
	}
	if t.graded {
		t.dispersion = max(0, squares/worth-rate*rate) / (rate * (1 - rate))
	}
	if t.grouped {
		t.clusters = t.cluster(rate, scale)
	}
	return rate, worth
}

// cell is the i-th of a table, without its slice.
func (t *tally) cell(table *table, i int) cell {
	mates := 1.0
	if t.grouped {
		mates = float64(table.mates[i])
	}
	at := table.place(i) * t.lanes
	c := t.weighed(table.sums[at:at+t.lanes], mates)
	c.table, c.place = table, i
	return c
}

// weighed is the cell of some sums.
func (t *tally) weighed(lanes []uint64, mates float64) cell {
	c := cell{mates: mates, p: 1}
	even := 0.0
	for s := range t.strata {
		if rows, sums := t.read(lanes, s); rows > 0 {
			n, k := sums.worth(t.strata[s].discount)
			c.rows, c.n, c.k = c.rows+rows, c.n+n, c.k+k
			even += t.strata[s].discount * rows
		}
	}
	if c.n == 0 {
		return c
	}
	c.k, c.skew = min(c.k, c.n), even/c.n
	correlation := 0.0
	if t.grouped {
		correlation = t.clusters.correlation(0, 0)
	}
	design := effect(c.mates, correlation)
	c.worth, c.design = c.n/design, design*t.dispersion
	c.effect = c.design
	return c
}

// slice says which slice a cell counts.
func (t *tally) slice(c *cell) Slice {
	if c.runs != nil {
		return c.runs.slice(c.place)
	}
	slice := make(Slice, c.table.order)
	for at, place := c.table, c.place; at != t.root; at = at.prefix {
		width := uint32(len(t.levels[at.factor]) + 1)
		key := at.keys[place]
		slice[at.order-1] = Predicate{Factor: at.factor, Level: t.levels[at.factor][key%width-1]}
		place = int(key/width) - 1
	}
	return slice
}

// test gives a cell its standard score and, where that reaches the least of the
// settings, its p-value: by the tail of the sum of errors on as many rows as the
// cell's are worth.
func (t *tally) test(c *cell, rate float64) {
	if !t.score(c, rate) || !(c.z >= t.settings.MinimumZ) {
		return
	}
	if c.p = t.tail(c, rate); t.grouped {
		// As many groups as there are have to tell what variance is.
		c.p = studentTail(normalQuantile(c.p), t.clusters.groups-2)
	}
}

// score gives a cell its standard score; false where nothing tells groups from rows.
func (t *tally) score(c *cell, rate float64) bool {
	if t.grouped && !t.grant(c, rate) {
		return false
	}
	c.z = c.excess(rate) / math.Sqrt(c.n*c.effect*rate*(1-rate))
	return true
}

// tail is binomial for failures of one weight that stand for themselves, which is
// exact. Losses and groups, of which a few may be very bad, make a sum more skewed
// than that: for them it is the greater of the binomial tail and that of a beta
// distribution with the same mean and variance, which is twice as skewed. Failures
// of several weights lie between, by how much less they are worth than their
// number.
func (t *tally) tail(c *cell, rate float64) float64 {
	worth := c.n / c.effect
	p := binomialTail(c.k/c.effect, worth, rate)
	skewed := min(1, c.skew-1)
	if t.graded || t.grouped {
		skewed = 1
	}
	if skewed <= 1e-9 {
		return p
	}
	if worth <= 1 {
		return 1
	}
	beta := max(p, mathext.RegIncBeta((1-rate)*(worth-1), rate*(worth-1), max(0, 1-c.k/c.n)))
	return p * math.Pow(beta/max(p, 1e-300), skewed)
}
