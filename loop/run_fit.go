package loop

import "slices"

// weigh fills in the q-values of slices of levels and of slices with runs, which have
// their parts of the false discoveries: a p-value counts as many times as large as if
// the family's tests were this part of all.
func weigh(levels, withRuns []cell, tests, runTests, already int) []cell {
	all := slices.Concat(levels, withRuns)
	p := make([]float64, len(all))
	for i := range all {
		p[i] = all[i].p
		if i < len(levels) {
			all[i].p *= float64(tests) / (1 - runShare) / float64(tests+runTests)
		} else {
			all[i].p *= float64(runTests) / runShare / float64(tests+runTests)
		}
	}
	all = benjaminiHochberg(all, tests+runTests, already)
	for i := range all {
		all[i].p = p[i]
	}
	return all
}

// narrows reports whether a slice inside another one does without runs of its own:
// a run of most levels holds most of any slice's failures, and says nothing.
func (s Slice) narrows(t Slice) bool {
	return !slices.ContainsFunc(s, func(p Predicate) bool { return p.Run > 0 && !slices.Contains(t, p) })
}

// overlaps reports whether two slices of the same factors have a scenario in common,
// as far as their levels say.
func (s Slice) overlaps(t Slice) bool {
	return len(s) == len(t) && !slices.ContainsFunc(s, func(p Predicate) bool {
		q := t.Of(p.Factor)
		return q == nil || p.Level > q.Last() || q.Level > p.Last()
	})
}

// stretch lets the runs of a slice that was not counted among runs grow, level by
// level at either end, while the rows of the next level fail so that it is no chance
// (5 % over all that were looked at), and the slice's standard score with them.
func (t *tally) stretch(c cell, rate float64) cell {
	if t.settings.Runs < 2 || c.runs != nil || t.runs.has(c.slice) {
		return c
	}
	var looked int
	for _, p := range c.slice {
		if t.space.Factors[p.Factor].ordered() {
			looked += 2
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range c.slice {
			f := &t.space.Factors[p.Factor]
			if !f.ordered() {
				continue
			}
			for _, next := range []int{p.Level - 1, p.Last() + 1} {
				p = *c.slice.Of(p.Factor)
				if next < 0 || next >= len(f.Levels) || p.Run+2 > min(t.settings.Runs, len(f.Levels)-1) {
					continue
				}
				beside := t.counted(c.slice.With(Predicate{Factor: p.Factor, Level: next}))
				if beside.n == 0 {
					continue
				}
				if t.test(&beside, rate); beside.p > .05/float64(looked) {
					continue
				}
				wider := t.counted(c.slice.With(Predicate{Factor: p.Factor, Level: min(p.Level, next), Run: p.Run + 1}))
				if t.test(&wider, rate); wider.z > c.z {
					wider.q = c.q
					c, grown = wider, true
				}
			}
		}
	}
	return c
}

// fits reports whether the cell is as good as the best one of its factors, as far as
// chance lets one tell where the ends of a run are: the squares of their standard
// scores, which are twice log-likelihoods, differ by less than the 95 % quantile of χ²
// with two degrees of freedom.
func (c *cell) fits(best *cell) bool { return c.z > 0 && best.z*best.z-c.z*c.z < 5.99 }

// plainest is the best significant cell of levels alone that lies inside one with a
// run, and fits: a level more is no news where it may be chance.
func plainest(best cell, significant []cell) cell {
	if best.runs == nil {
		return best
	}
	out := best
	for i := range significant {
		c := &significant[i]
		if c.runs == nil && len(c.slice) == len(best.slice) && c.within(best.slice) && c.fits(&best) && (out.runs != nil || c.z > out.z) {
			out = *c
		}
	}
	return out
}

// familiar is a slice that is remembered, in the place of one with a run that is
// nearly the same: where a run ends is a matter of chance, and what damping knows of
// the one would be lost with every level more or less. Nearly the same is what has
// most levels in common, and fits.
func (t *tally) familiar(c cell, remembered []Slice, rate float64) cell {
	best := c
	if t.settings.Runs < 2 || slices.ContainsFunc(remembered, c.slice.Equal) {
		return c
	}
	for _, slice := range remembered {
		if c.slice.shared(slice) < .5 {
			continue
		}
		known := t.counted(slice)
		if known.n == 0 {
			continue
		}
		if t.test(&known, rate); known.fits(&c) && (known.z > best.z || best.slice.Equal(c.slice)) {
			known.q = c.q
			best = known
		}
	}
	return best
}

// shared is the part of the combinations of levels of two slices of the same factors
// that both have.
func (s Slice) shared(t Slice) float64 {
	if !s.overlaps(t) {
		return 0
	}
	one, other, both := 1.0, 1.0, 1.0
	for _, p := range s {
		q := t.Of(p.Factor)
		one, other = one*float64(p.Run+1), other*float64(q.Run+1)
		both *= float64(min(p.Last(), q.Last()) - max(p.Level, q.Level) + 1)
	}
	return both / (one + other - both)
}

// has reports whether slices of these factors are counted with runs.
func (x *runs) has(slice Slice) bool {
	return x != nil && slices.ContainsFunc(x.tables, func(o *runTable) bool {
		return len(o.factors) == len(slice) && !slices.ContainsFunc(slice, func(p Predicate) bool { return !slices.Contains(o.factors, p.Factor) })
	})
}

// counted is the cell of a slice, by a look at every line that is left.
func (t *tally) counted(slice Slice) cell {
	lanes, mates, rows := make([]uint64, t.lanes), meeting{}, uint64(0)
	for _, p := range t.batches {
		for _, i := range p.inside(slice, t.each) {
			s := p.lines.of(p.at(int(i)))
			for lane, values := range t.lanesOf(p, s) {
				lanes[t.strata[s].lane+lane] += values[i]
			}
			rows += t.rowsOf(p, int(i))
			if t.grouped {
				t.meet(&mates, p, int(i))
			}
		}
	}
	m := 1.0
	if t.grouped && rows > 0 {
		m = mates.squares / float64(rows)
	}
	c := t.weighed(lanes, m)
	c.slice = slice
	return c
}
