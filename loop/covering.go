package loop

import (
	"slices"
)

// maxCells bounds the combinations of levels whose coverage is remembered, and
// maxCoverageOrder the factors of one.
const (
	maxCells         = 1 << 17
	maxCoverageOrder = 3
)

// covering counts, for every combination of levels of every so many factors, how
// many samples have it, up to most: a sample more changes nothing then.
type covering struct {
	space *Space
	order int
	// factors are those whose combinations count, ascending.
	factors []int
	// sets are the combinations of factors, in order, and first the place of the
	// first cell of each.
	sets  []Slice
	first []int
	count []uint8
	// bans are slices of which no row is made.
	bans []Slice
}

// Counts of a cell. Whatever is never of counts as covered.
const (
	most  = 14
	never = 15
)

// newCovering counts nothing yet. A pinned factor, and one of a single level, is in
// no combination: covering the others covers it.
func newCovering(s *Space, order int, names []string) (*covering, error) {
	c := &covering{space: s, order: order}
	for _, name := range names {
		f := s.Factor(name)
		if f < 0 {
			return nil, refuse("coverage.factors", "space %q has no factor %q", s.Name, name)
		}
		c.factors = append(c.factors, f)
	}
	slices.Sort(c.factors)
	c.factors = slices.Compact(c.factors)
	if len(names) == 0 {
		for f := range s.Factors {
			c.factors = append(c.factors, f)
		}
	}
	c.factors = slices.DeleteFunc(c.factors, func(f int) bool { return s.Factors[f].Pin != nil || len(s.Factors[f].Levels) == 1 })
	cells := 0
	set := make(Slice, 0, order)
	var walk func(from int) bool
	walk = func(from int) bool {
		if len(set) == order {
			c.sets, c.first = append(c.sets, slices.Clone(set)), append(c.first, cells)
			size := 1
			for _, p := range set {
				size *= len(s.Factors[p.Factor].Levels) // at most MaxLevels³
			}
			cells += size
			return cells <= maxCells
		}
		for i := from; i < len(c.factors); i++ {
			set = append(set, Predicate{Factor: c.factors[i]})
			if !walk(i + 1) {
				return false
			}
			set = set[:len(set)-1]
		}
		return true
	}
	if !walk(0) {
		return nil, refuse("coverage.order", "the factors have more than %d combinations of %d levels", maxCells, order).
			remedy("a lower order, or fewer factors under coverage.factors")
	}
	c.count = make([]uint8, cells)
	return c, nil
}

// cell is the place of the levels that codes has of a set of factors, or -1 where
// it does not have one of each.
func (c *covering) cell(set int, codes []Code) int {
	at := 0
	for _, p := range c.sets[set] {
		code := codes[p.Factor]
		if !code.IsLevel() {
			return -1
		}
		at = at*len(c.space.Factors[p.Factor].Levels) + int(code)
	}
	return c.first[set] + at
}

// slice is the combination of levels that a cell of a set stands for.
func (c *covering) slice(set, cell int) Slice {
	slice, at := slices.Clone(c.sets[set]), cell-c.first[set]
	for i := len(slice) - 1; i >= 0; i-- {
		levels := len(c.space.Factors[slice[i].Factor].Levels)
		slice[i].Level = at % levels
		at /= levels
	}
	return slice
}

// add counts a sample, of which some codes may be unknown.
func (c *covering) add(codes []Code) {
	for set := range c.sets {
		if at := c.cell(set, codes); at >= 0 && c.count[at] < most {
			c.count[at]++
		}
	}
}

// rows lists slices, at most limit, that cover what fewer than least samples have:
// one sample of each slice. Greedily (as PICT does, Czerwonka 2006): a row begins
// with the first of the cells that lack most, and takes on, factor by factor, the
// level by which it covers most others that lack something; what covers nothing
// more stays free, to be drawn from the base. The rows are counted. Cells that
// the constraints or the base leave nothing of are found out on the way, and never
// asked for again. Every row has a level of the factor by, unless that is -1.
func (c *covering) rows(x *feasibility, base []Marginal, least, limit, by int) ([]Slice, error) {
	w := coverer{covering: c, x: x, base: base, least: uint8(least), by: by, codes: make([]Code, len(c.space.Factors)), tangled: x.tangled()}
	var rows []Slice
	for depth := range w.least {
		for set := range c.sets {
			for cell := c.first[set]; cell < c.end(set) && len(rows) < limit; cell++ {
				if c.count[cell] != depth {
					continue
				}
				row, err := w.row(c.slice(set, cell))
				if err != nil {
					return nil, err
				}
				if row == nil {
					c.count[cell] = never
					continue
				}
				c.add(w.codes)
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

// ban takes slices, and all that lies inside them, out of what is to be covered: as
// many cells as lacked samples.
func (c *covering) ban(bans []Slice, least int) (n int) {
	if c.bans = bans; len(bans) == 0 {
		return 0
	}
	for set := range c.sets {
		for cell := c.first[set]; cell < c.end(set); cell++ {
			if !banned(bans, c.slice(set, cell)) {
				continue
			}
			if c.count[cell] < uint8(least) {
				n++
			}
			c.count[cell] = never
		}
	}
	return n
}

// end is the place after the last cell of a set.
func (c *covering) end(set int) int {
	if set+1 < len(c.first) {
		return c.first[set+1]
	}
	return len(c.count)
}

// lacking is how many cells have fewer samples than least, and could have more as
// far as is known.
func (c *covering) lacking(least int) (n int) {
	for _, count := range c.count {
		if count < uint8(least) {
			n++
		}
	}
	return n
}

// coverer makes rows.
type coverer struct {
	*covering
	x     *feasibility
	base  []Marginal
	least uint8
	by    int
	// codes are those of the row that is being made, Unknown where it is free.
	codes []Code
	// tangled are the factors about which constraints or conditions have a say.
	tangled []bool
}

// row widens a cell to a row, or returns nil where the cell cannot be drawn, or not
// beside any level of the factor by.
func (w *coverer) row(cell Slice) (Slice, error) {
	row := cell
	for f := range w.codes {
		w.codes[f] = Unknown
	}
	if ok, err := w.x.drawable(w.base, row); err != nil || !ok {
		return nil, err
	}
	for _, p := range row {
		w.codes[p.Factor] = Code(p.Level)
	}
	for _, f := range w.factors {
		if w.codes[f] != Unknown {
			continue
		}
		var err error
		if row, err = w.widen(row, f, w.gains(f)); err != nil {
			return nil, err
		}
	}
	if w.by >= 0 && w.codes[w.by] == Unknown {
		// It covers nothing more with one level or another: the likeliest that it can
		// have, then.
		if row, err := w.widen(row, w.by, w.masses(w.by)); err != nil || w.codes[w.by] != Unknown {
			return row, err
		}
		return nil, nil
	}
	return row, nil
}

// widen adds to a row the level of a factor that gains most, if one gains
// anything and can be drawn beside the others.
func (w *coverer) widen(row Slice, f int, gains []uint64) (Slice, error) {
	for {
		best := 0
		for l := range gains {
			if gains[l] > gains[best] {
				best = l
			}
		}
		if gains[best] == 0 {
			return row, nil
		}
		wider := row.With(Predicate{Factor: f, Level: best})
		ok := !banned(w.bans, wider)
		if ok && w.tangled[f] {
			var err error
			if ok, err = w.x.drawable(w.base, wider); err != nil {
				return nil, err
			}
		}
		if ok {
			w.codes[f] = Code(best)
			return wider, nil
		}
		gains[best] = 0
	}
}

// masses are those of a factor's levels in the base.
func (w *coverer) masses(factor int) []uint64 {
	masses := make([]uint64, len(w.space.Factors[factor].Levels))
	for l := range masses {
		for r := 0; r < len(w.base[factor]); r += len(masses) {
			masses[l] += w.base[factor][r : r+len(masses)].mass(l)
		}
	}
	return masses
}

// gains is, for each level of a factor, how many samples the cells lack that the
// row would come to have with it.
func (w *coverer) gains(factor int) []uint64 {
	gains := w.masses(factor)
	for l, mass := range gains {
		gains[l] = 0
		if mass == 0 { // the base never draws it
			gains[l] = nothing
		}
	}
	for set, factors := range w.sets {
		if factors.Level(factor) < 0 {
			continue
		}
		for l := range gains {
			w.codes[factor] = Code(l)
			at := w.cell(set, w.codes)
			if at < 0 {
				break // another of its factors is free
			}
			if w.count[at] < w.least && gains[l] < nothing {
				gains[l] += uint64(w.least - w.count[at])
			}
		}
	}
	w.codes[factor] = Unknown
	for l := range gains {
		if gains[l] == nothing {
			gains[l] = 0
		}
	}
	return gains
}

// nothing marks a level that no gain makes worth while.
const nothing = 1 << 60

// tangled are the factors that a constraint, a condition or another factor's
// target is about.
func (x *feasibility) tangled() []bool {
	tangled := make([]bool, len(x.space.Factors))
	for i := range x.space.Constraints {
		for _, set := range x.space.Constraints[i].sets() {
			tangled[set.Factor] = true
		}
	}
	for f := range x.space.Factors {
		if when := x.space.Factors[f].When; when != nil {
			tangled[f], tangled[when.Factor] = true, true
		}
		if given := x.space.Factors[f].Given; given != nil {
			tangled[f] = true
			if given.Factor != Hidden {
				tangled[given.Factor] = true
			}
		}
	}
	return tangled
}
