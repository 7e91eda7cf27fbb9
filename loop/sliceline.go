package loop

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// ScoredSlice is a slice by the objective of SliceLine.
type ScoredSlice struct {
	Slice Slice
	Rows  int
	// Errors sums the errors of its rows.
	Errors float64
	Score  float64
}

// Objective is that of SliceLine (Sagadeeva and Boehm, SIGMOD 2021): of n rows of
// mean error ē, a slice of s rows whose errors sum to e has the score
//
//	α·(e/s/ē - 1) - (1-α)·(n/s - 1)
//
// It weighs how bad a slice is against how small, and tests nothing.
type Objective struct {
	// Alpha is from 0, exclusive, to 1.
	Alpha float64
	// Support is the least rows of a slice, and Depth the most predicates; 0: as many
	// as there are factors.
	Support, Depth int
	// Top is how many slices are wanted.
	Top int
}

func (o *Objective) validate(factors int) error {
	switch {
	case !(o.Alpha > 0 && o.Alpha <= 1):
		return refuse("alpha", "%v is out of bounds", o.Alpha).remedy("above 0, at most 1")
	case o.Support < 1:
		return refuse("support", "%d rows", o.Support).remedy("1 or more")
	case o.Depth < 0:
		return refuse("depth", "%d predicates", o.Depth).remedy("0 to %d", factors)
	case o.Top < 1:
		return refuse("top", "%d slices", o.Top).remedy("1 or more")
	}
	return nil
}

// Best are the slices of the highest scores above 0, exactly: the best first, and
// of equal ones the first in order of slices.
func (r *Rows) Best(o Objective) ([]ScoredSlice, error) {
	if err := o.validate(len(r.Codes)); err != nil {
		return nil, err
	}
	total := 0.0
	for _, e := range r.Error {
		if !(e >= 0) || math.IsInf(e, 0) {
			return nil, refuse("error", "%v is not an error", e).remedy("0 or 1, or a finite loss of 0 or more")
		}
		total += e
	}
	if total == 0 || math.IsInf(total, 0) {
		return nil, nil
	}
	if o.Depth == 0 {
		o.Depth = len(r.Codes)
	}
	b := newBoundedSearch(r, o)
	b.greedy()
	b.descend(b.single, 1)
	return b.best, nil
}

// boundedSearch goes depth first through the conjunctions of columns, a column
// being a level of a factor. What it has of a slice bounds the scores of all
// narrower ones.
type boundedSearch struct {
	Objective
	// rows in all, and their mean error.
	rows, mean float64
	// errors of the rows that have one, the greatest first: rows are in that order,
	// so that the first words of a column are those of its errors. Binary: all are 1.
	errors []float64
	words  int
	binary bool
	single []conjunct
	best   []ScoredSlice
	// free are bit sets to be used again.
	free [][]uint64
}

// conjunct is a conjunction whose last predicate is the column's.
type conjunct struct {
	slice Slice
	set   []uint64
	// rows and errors are sums, and worst is the greatest error.
	rows, errors, worst float64
}

func newBoundedSearch(r *Rows, o Objective) *boundedSearch {
	b := &boundedSearch{Objective: o, rows: float64(len(r.Error)), binary: true}
	order := make([]int, len(r.Error))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return -cmp.Compare(r.Error[i], r.Error[j]) })
	for _, i := range order {
		if e := r.Error[i]; e > 0 {
			b.errors = append(b.errors, e)
			b.binary = b.binary && e == 1
			b.mean += e
		}
	}
	b.mean /= b.rows
	b.words = (len(b.errors) + 63) / 64
	for f, codes := range r.Codes {
		sets := make([][]uint64, len(r.Space.Factors[f].Levels))
		for at, i := range order {
			if code := codes[i]; code.IsLevel() {
				if sets[code] == nil {
					sets[code] = make([]uint64, (len(order)+63)/64)
				}
				sets[code][at/64] |= 1 << (at % 64)
			}
		}
		for l, set := range sets {
			if set == nil {
				continue
			}
			c := conjunct{slice: Slice{{Factor: f, Level: l}}, set: set}
			b.sum(&c)
			c.rows = c.rows + float64(count(set[b.words:]))
			if b.offer(&c); c.rows >= float64(b.Support) && b.bound(c.rows, c.errors, c.worst) > 0 {
				b.single = append(b.single, c)
			}
		}
	}
	return b
}

func count(set []uint64) (n int) {
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	return n
}

// sum fills in the errors of a set, and so far only the rows among its first
// words.
func (b *boundedSearch) sum(c *conjunct) {
	c.rows = float64(count(c.set[:b.words]))
	if b.binary {
		// The last of the words may have rows without an error.
		c.errors = c.rows
		if rest := len(b.errors) % 64; rest > 0 {
			c.errors -= float64(bits.OnesCount64(c.set[b.words-1] >> rest))
		}
		c.worst = min(1, c.errors)
		return
	}
	c.errors, c.worst = 0, 0
	for w, word := range c.set[:b.words] {
		for ; word != 0; word &= word - 1 {
			if at := w*64 + bits.TrailingZeros64(word); at < len(b.errors) {
				c.worst = max(c.worst, b.errors[at])
				c.errors += b.errors[at]
			}
		}
	}
}

func (b *boundedSearch) score(rows, errors float64) float64 {
	return b.Alpha*(errors/rows/b.mean-1) - (1-b.Alpha)*(b.rows/rows-1)
}

// bound is above the score of every slice inside one of so many rows, sum of
// errors and greatest error. A slice of s rows inside it has errors of at most
// min(s·worst, errors); the score of that has its maximum at one of three s.
func (b *boundedSearch) bound(rows, errors, worst float64) float64 {
	least := float64(b.Support)
	if rows < least || errors == 0 {
		return math.Inf(-1)
	}
	most := math.Inf(-1)
	for _, s := range [3]float64{least, min(rows, max(least, errors/worst)), rows} {
		most = max(most, b.score(s, min(s*worst, errors)))
	}
	return most
}

// least is the score that a slice must reach, but for rounding, to be among the
// best.
func (b *boundedSearch) least() float64 {
	if len(b.best) < b.Top {
		return 0
	}
	least := b.best[len(b.best)-1].Score
	return least - 1e-12*max(1, least)
}

// offer puts a slice among the best, if it is one and not there yet.
func (b *boundedSearch) offer(c *conjunct) {
	if c.rows < float64(b.Support) {
		return
	}
	score := b.score(c.rows, c.errors)
	if !(score > 0) || score < b.least() {
		return
	}
	s := ScoredSlice{Slice: c.slice, Rows: int(c.rows), Errors: c.errors, Score: score}
	at, found := slices.BinarySearchFunc(b.best, s, func(x, y ScoredSlice) int {
		return cmp.Or(-cmp.Compare(x.Score, y.Score), x.Slice.compare(y.Slice))
	})
	if found || at == b.Top {
		return
	}
	s.Slice = slices.Clone(s.Slice)
	b.best = slices.Insert(b.best, at, s)
	b.best = b.best[:min(len(b.best), b.Top)]
}

// join is the conjunction of two columns that share all but their last
// predicates; false where nothing inside it can be among the best.
func (b *boundedSearch) join(x, y *conjunct) (out conjunct, may bool) {
	out.rows, out.errors, out.worst = min(x.rows, y.rows), min(x.errors, y.errors), min(x.worst, y.worst)
	least := b.least()
	if b.bound(out.rows, out.errors, out.worst) < least {
		return out, false
	}
	wide := out.rows
	out.set = b.take()
	for i, word := range x.set[:b.words] {
		out.set[i] = word & y.set[i]
	}
	b.sum(&out)
	if b.bound(wide, out.errors, out.worst) < least {
		b.free = append(b.free, out.set)
		return out, false
	}
	rest, with, to := x.set[b.words:], y.set[b.words:], out.set[b.words:]
	n := 0
	for i, word := range rest {
		word &= with[i]
		to[i] = word
		n += bits.OnesCount64(word)
	}
	out.rows += float64(n)
	if b.bound(out.rows, out.errors, out.worst) < least {
		b.free = append(b.free, out.set)
		return out, false
	}
	out.slice = append(slices.Clip(x.slice), y.slice[len(y.slice)-1])
	return out, true
}

func (b *boundedSearch) take() []uint64 {
	if n := len(b.free); n > 0 {
		set := b.free[n-1]
		b.free = b.free[:n-1]
		return set
	}
	return make([]uint64, (int(b.rows)+63)/64)
}

// greedy finds good slices at once, so that little has to be looked at after: from
// each of the best columns on, the best predicate more, as long as there is one.
func (b *boundedSearch) greedy() {
	start := slices.Clone(b.single)
	slices.SortStableFunc(start, func(x, y conjunct) int {
		return -cmp.Compare(b.score(x.rows, x.errors), b.score(y.rows, y.errors))
	})
	for _, at := range start[:min(len(start), 8)] {
		for depth := 1; depth < b.Depth; depth++ {
			var next conjunct
			for i := range b.single {
				p := b.single[i].slice[0]
				if at.slice.Level(p.Factor) >= 0 {
					continue
				}
				c, may := b.join(&at, &b.single[i])
				if !may {
					continue
				}
				c.slice = at.slice.With(p)
				if b.offer(&c); next.slice == nil || b.score(c.rows, c.errors) > b.score(next.rows, next.errors) {
					next = c
				}
			}
			if next.slice == nil {
				break
			}
			at = next
		}
	}
}

// descend looks at every conjunction of two of the columns, which share all but
// their last predicates, and at what is inside it.
func (b *boundedSearch) descend(columns []conjunct, depth int) {
	if depth >= b.Depth {
		return
	}
	for i := range columns {
		x := &columns[i]
		if b.bound(x.rows, x.errors, x.worst) < b.least() {
			continue
		}
		var inside []conjunct
		for j := i + 1; j < len(columns); j++ {
			y := &columns[j]
			if y.slice[depth-1].Factor == x.slice[depth-1].Factor {
				continue
			}
			if c, may := b.join(x, y); may {
				b.offer(&c)
				inside = append(inside, c)
			}
		}
		b.descend(inside, depth+1)
		for _, c := range inside {
			b.free = append(b.free, c.set)
		}
	}
}
