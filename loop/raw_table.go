package loop

import (
	"cmp"
	"slices"
)

// rawTable is a table as it was counted: by key, where keys is nil or says which.
type rawTable struct {
	// cube: by the places of all factors, in order, rather than by key.
	cube     bool
	keys     []uint32
	sums     [][]uint64 // by lane
	meetings []meeting
}

func (t *tally) newRaw(cells int) rawTable {
	c := rawTable{sums: make([][]uint64, t.lanes)}
	for lane := range c.sums {
		c.sums[lane] = make([]uint64, cells)
	}
	if t.grouped {
		c.meetings = make([]meeting, cells)
	}
	return c
}

// blocks calls f with runs of batches' lines, at most a block long, and their ranks in a
// prefix.
func (t *tally) blocks(batches []*batch, prefix *table, f func(p *batch, r run, ranks []uint32)) {
	ranks := make([]uint32, block)
	for _, p := range batches {
		for _, r := range p.runs {
			for from := r.from; from < r.to; from += block {
				to := min(r.to, from+block)
				t.ranks(ranks[:to-from], prefix, p, from)
				f(p, run{r.stratum, from, to}, ranks[:to-from])
			}
		}
	}
}

// tabulate counts the tables of a prefix and each of some factors.
func (t *tally) tabulate(prefix *table, factors []int) {
	counts := make([]rawTable, len(factors))
	for j, f := range factors {
		counts[j] = t.newRaw((len(prefix.keys) + 1) * (len(t.levels[f]) + 1))
	}
	if t.plain() {
		t.tabulatePlain(prefix, factors, counts)
	} else {
		t.tabulateLanes(prefix, factors, counts)
	}
	for j, f := range factors {
		prefix.next[f] = t.keep(prefix, f, counts[j])
	}
}

func (t *tally) tabulateLanes(prefix *table, factors []int, counts []rawTable) {
	t.blocks(t.batches, prefix, func(p *batch, r run, ranks []uint32) {
		first := t.strata[r.stratum].lane
		for j, f := range factors {
			width, places := uint32(len(t.levels[f])+1), p.places[f][r.from:r.to]
			for lane, values := range t.lanesOf(p, r.stratum) {
				add(counts[j].sums[first+lane], ranks, width, places, values[r.from:r.to])
			}
			if t.grouped {
				for i, place := range places {
					t.meet(&counts[j].meetings[ranks[i]*width+uint32(place)], p, r.from+i)
				}
			}
		}
	})
}

// tabulatePlain counts rows in half the memory, and adds errors of those few that
// have one.
func (t *tally) tabulatePlain(prefix *table, factors []int, counts []rawTable) {
	rows := make([][]uint32, len(factors))
	for j := range rows {
		rows[j] = make([]uint32, len(counts[j].sums[0]))
	}
	t.blocks(t.batches, prefix, func(p *batch, r run, ranks []uint32) {
		for j, f := range factors {
			tick(rows[j], ranks, uint32(len(t.levels[f])+1), p.places[f][r.from:r.to])
		}
	})
	t.blocks(t.failing, prefix, func(p *batch, r run, ranks []uint32) {
		for j, f := range factors {
			add(counts[j].sums[0], ranks, uint32(len(t.levels[f])+1), p.places[f][r.from:r.to], p.lanes[0][r.from:r.to])
		}
	})
	for j := range rows {
		for key, n := range rows[j] {
			counts[j].sums[0][key] += uint64(n) << rowShift
		}
	}
}

// tick is add for lines of one row each.
func tick(rows, ranks []uint32, width uint32, places []uint16) {
	places = places[:len(ranks)]
	for i, rank := range ranks {
		rows[rank*width+uint32(places[i])]++
	}
}

// sort counts a table of more cells than lines can fill.
func (t *tally) sort(prefix *table, factor int) rawTable {
	width := uint32(len(t.levels[factor]) + 1)
	type entry struct {
		key     uint32
		line    uint32
		stratum int
		batch   *batch
	}
	var entries []entry
	t.blocks(t.batches, prefix, func(p *batch, r run, ranks []uint32) {
		for i, place := range p.places[factor][r.from:r.to] {
			if ranks[i] > 0 && place > 0 && p.lanes[0][r.from+i] > 0 {
				entries = append(entries, entry{ranks[i]*width + uint32(place), uint32(r.from + i), r.stratum, p})
			}
		}
	})
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	c := t.newRaw(0)
	for i, e := range entries {
		if i == 0 || e.key != entries[i-1].key {
			c.keys = append(c.keys, e.key)
			for lane := range c.sums {
				c.sums[lane] = append(c.sums[lane], 0)
			}
			if t.grouped {
				c.meetings = append(c.meetings, meeting{})
			}
		}
		cell := len(c.keys) - 1
		for lane, values := range t.lanesOf(e.batch, e.stratum) {
			c.sums[t.strata[e.stratum].lane+lane][cell] += values[e.line]
		}
		if t.grouped {
			t.meet(&c.meetings[cell], e.batch, int(e.line))
		}
	}
	return c
}

// rows of a cell, by its lanes.
func (t *tally) rowsIn(c *rawTable, cell int) (rows uint64) {
	for s := range t.strata {
		v := c.sums[t.strata[s].lane][cell]
		if t.strata[s].packed {
			v >>= rowShift
		}
		rows += v
	}
	return rows
}

// add is the one loop in which time is spent: one addition per line and table.
func add(sum []uint64, ranks []uint32, width uint32, places []uint16, values []uint64) {
	places, values = places[:len(ranks)], values[:len(ranks)]
	for i, rank := range ranks {
		sum[rank*width+uint32(places[i])] += values[i]
	}
}
