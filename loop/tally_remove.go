package loop

import "slices"

// removal is lines of a batch that were removed.
type removal struct {
	batch *batch
	these []uint32
}

// members are the lines of a batch in a slice. A tally that lasts keeps them, since
// it mostly finds what it found before.
type members struct {
	slice Slice
	batch *batch
	lines []uint32
	// near is a copy of the lines.
	near *batch
}

// members lists those of each batch.
func (t *tally) members(slice Slice) (out []*members) {
	for _, p := range t.batches {
		at := slices.IndexFunc(t.recalled, func(m *members) bool { return m.batch == p && m.slice.Equal(slice) })
		if at >= 0 {
			out = append(out, t.recalled[at])
			continue
		}
		m := &members{slice: slice, batch: p, lines: p.inside(slice, t.each)}
		if t.root != nil {
			m.near = t.gather(p, m.lines)
		}
		out = append(out, m)
	}
	return out
}

// outside are members that lie in none of some slices.
func (t *tally) outside(m *members, but []Slice) *members {
	out := &members{slice: m.slice, batch: m.batch}
	for _, i := range m.lines {
		if !slices.ContainsFunc(but, func(s Slice) bool { return within(m.batch.lines.codes, s, m.batch.at(int(i))) }) {
			out.lines = append(out.lines, i)
		}
	}
	if m.near != nil {
		out.near = t.gather(out.batch, out.lines)
	}
	return out
}

// remove takes the rows of a slice away, but for those in some others, from every
// cell that was counted.
// Mates of cells stay as they were counted: they are of the slice, not of what
// others leave of it.
func (t *tally) remove(slice Slice, but ...Slice) {
	for _, m := range t.members(slice) {
		p := m.batch
		if t.lasting {
			t.used = append(t.used, m)
		}
		if len(but) > 0 {
			m = t.outside(m, but)
		}
		if m.near != nil {
			m.near.copyLanes(p, m.lines)
			t.apply(m.near)
		}
		t.runs.remove(p, m.lines)
		gone := removal{batch: p}
		for _, i := range m.lines {
			if p.lanes[0][i] == 0 {
				continue
			}
			gone.these = append(gone.these, i)
			s := p.lines.of(p.at(int(i)))
			for lane, values := range t.lanesOf(p, s) {
				t.total[t.strata[s].lane+lane] -= values[i]
				values[i] = 0
			}
			if t.graded {
				t.spread[s] -= p.spread[i]
				p.spread[i] = 0
			}
		}
		t.gone = append(t.gone, gone)
	}
}

// apply takes the lines of a batch away from every counted cell.
func (t *tally) apply(q *batch) {
	if q.len() == 0 {
		return
	}
	t.adding(q, func(o *table, ranks []uint32) bool {
		if t.lasting {
			o.save()
		}
		width, places := uint32(t.width(o.factor)), q.places[o.factor]
		cells := (len(o.prefix.keys) + 1) * int(width)
		if !o.direct && t.dense(cells) {
			t.shift(o, make([]uint64, cells), ranks, width, q)
			return true
		}
		for _, r := range q.runs {
			for lane, values := range t.lanesOf(q, r.stratum) {
				lane += t.strata[r.stratum].lane
				if o.direct {
					take(o.sums[lane:], t.lanes, ranks[r.from:r.to], width, places[r.from:r.to], values[r.from:r.to])
					continue
				}
				for line := r.from; line < r.to; line++ {
					if cell := o.rank(ranks[line]*width + uint32(places[line])); cell > 0 {
						o.sums[int(cell-1)*t.lanes+lane] -= values[line]
					}
				}
			}
		}
		return true
	})
}

// take is the opposite of add, where each cell has so many lanes.
func take(sums []uint64, lanes int, ranks []uint32, width uint32, places []uint16, values []uint64) {
	places, values = places[:len(ranks)], values[:len(ranks)]
	for i, rank := range ranks {
		sums[int(rank*width+uint32(places[i]))*lanes] -= values[i]
	}
}

// save keeps the sums as they are, unless it has.
func (o *table) save() {
	if !o.changed {
		o.saved, o.changed = append(o.saved[:0], o.sums...), true
	}
}

// shift is apply for a table by way of one that has a place for every cell.
func (t *tally) shift(o *table, scratch []uint64, ranks []uint32, width uint32, q *batch) {
	for s := range t.strata {
		for lane, values := range t.lanesOf(q, s) {
			some := false
			for _, r := range q.runs {
				if r.stratum == s {
					add(scratch, ranks[r.from:r.to], width, q.places[o.factor][r.from:r.to], values[r.from:r.to])
					some = true
				}
			}
			if !some {
				continue
			}
			at := t.strata[s].lane + lane
			for cell, key := range o.keys {
				o.sums[cell*t.lanes+at] -= scratch[key]
			}
			clear(scratch)
		}
	}
}

// restore puts back what was removed from a tally that lasts.
func (t *tally) restore() {
	for _, g := range t.gone {
		for _, i := range g.these {
			at := g.batch.at(int(i))
			s := g.batch.lines.of(at)
			rows, w := g.batch.lines.line(at)
			g.batch.set(t, int(i), &t.strata[s], rows, w, g.batch.lines.errors[at])
			if t.graded {
				g.batch.spread[i] = g.batch.spreadOf(t, at, s, w)
			}
			for lane, values := range t.lanesOf(g.batch, s) {
				t.total[t.strata[s].lane+lane] += values[i]
			}
			if t.graded {
				t.spread[s] += g.batch.spread[i]
			}
		}
	}
	t.gone = nil
	t.recalled, t.used = t.used, nil
	t.runs.restore()
	for _, tables := range t.tables {
		for _, o := range tables {
			if o.changed {
				o.sums, o.saved, o.changed = o.saved, o.sums, false
			}
		}
	}
}
