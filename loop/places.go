package loop

import "slices"

// place finds the frequent levels, and each line's among them.
func (t *tally) place() {
	t.root = &table{factor: -1, keys: []uint32{0}}
	t.levels, t.unknown = make([][]int, len(t.space.Factors)), make([]bool, len(t.space.Factors))
	for _, p := range t.batches {
		p.places = make([][]uint16, len(t.levels))
	}
	t.each.run(len(t.levels), func(f int) {
		if t.space.Factors[f].Pin != nil {
			return // all that is made has its level, so a slice of it would say nothing
		}
		t.levels[f] = t.frequent(f)
		place := make([]uint16, len(t.space.Factors[f].Levels))
		for at, l := range t.levels[f] {
			place[l] = uint16(at + 1)
		}
		for _, p := range t.batches {
			p.places[f] = make([]uint16, p.len())
			for i, code := range p.column(f) {
				if int(code) < len(place) {
					p.places[f][i] = place[code]
				} else {
					t.unknown[f] = true
				}
			}
		}
	})
}

// knows reports whether every line has levels of a slice's factors. It has none of
// factors that are pinned.
func (t *tally) knows(slice Slice) bool {
	return !slices.ContainsFunc(slice, func(p Predicate) bool { return t.unknown[p.Factor] })
}

// frequent are the levels of a factor that have the least support, in order.
func (t *tally) frequent(factor int) []int {
	levels := len(t.space.Factors[factor].Levels)
	rows, meetings := make([]uint64, levels), make([]meeting, levels)
	for _, p := range t.batches {
		column := p.column(factor)
		for _, r := range p.runs {
			shift := t.rowsAbove(r.stratum)
			for i := r.from; i < r.to; i++ {
				code, n := column[i], p.lanes[laneRows][i]>>shift
				if int(code) >= levels || n == 0 {
					continue
				}
				rows[code] += n
				if t.grouped {
					meetings[code].meet(p.group[i], n)
				}
			}
		}
	}
	var out []int
	for l, n := range rows {
		if n >= t.support() && (!t.grouped || meetings[l].groups >= leastGroups) {
			out = append(out, l)
		}
	}
	return out
}

// rowsOf are those of the batch's line i that are left.
func (t *tally) rowsOf(p *batch, i int) uint64 {
	return p.lanes[laneRows][i] >> t.rowsAbove(p.lines.of(p.at(i)))
}

// rowsAbove is how many bits of a stratum's first lane are not of rows.
func (t *tally) rowsAbove(stratum int) int {
	if t.strata[stratum].packed {
		return rowShift
	}
	return 0
}

// support is the least rows of a cell. No cell is worth more than its rows.
func (t *tally) support() uint64 { return uint64(max(1, t.settings.MinimumSupport)) }
