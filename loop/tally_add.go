package loop

import "slices"

// add counts more lines into the tables, exactly; false where that takes counting
// from the beginning, which the caller then does: where lines have weights, groups
// or grades, and where they change which cells there are.
func (t *tally) add(l *lines) bool {
	if !t.extends() || l.rows != nil || l.group != nil || l.squares != nil ||
		len(t.tables) < t.settings.Order || t.all()+float64(len(l.errors)) > maxSurveyRows {
		return false
	}
	p := t.batch(l)
	factors := 0
	p.places = make([][]uint16, len(t.levels))
	for f, levels := range t.levels {
		place := make([]uint16, len(t.space.Factors[f].Levels))
		for at, level := range levels {
			place[level] = uint16(at + 1)
		}
		p.places[f] = make([]uint16, p.len())
		for i, code := range l.codes[f] {
			if int(code) >= len(place) || t.space.Factors[f].Pin != nil {
				t.unknown[f] = true
				continue
			}
			if p.places[f][i] = place[code]; place[code] == 0 {
				return false // a level that may be frequent now
			}
		}
		if len(levels) > 0 {
			factors++
		}
	}
	for order, tables := range t.tables[:t.settings.Order] {
		if float64(len(tables)) != choose(factors, order+1) {
			return false
		}
	}
	if !t.adding(p, func(o *table, ranks []uint32) bool { return t.extend(o, p, ranks) }) {
		return false
	}
	t.batches = append(t.batches, p)
	t.sum(p)
	t.runs.extend(p)
	return true
}

// extends reports whether lines may be added to the tables.
func (t *tally) extends() bool {
	return t.lanes == 1 && !t.grouped && !t.graded && t.batches[0].lines.rows == nil
}

// atOnce is how many prefixes share a list of ranks.
const atOnce = 8

// adding calls f with every counted table, and the ranks of a batch's lines in its
// prefix, order by order, as long as none says no.
func (t *tally) adding(p *batch, f func(o *table, ranks []uint32) bool) bool {
	prefixes := []*table{t.root}
	for _, tables := range t.tables {
		ok := make([]bool, (len(prefixes)+atOnce-1)/atOnce)
		t.each.run(len(ok), func(i int) {
			ranks := make([]uint32, p.len())
			ok[i] = true
			for _, prefix := range prefixes[i*atOnce : min(len(prefixes), (i+1)*atOnce)] {
				t.ranks(ranks, prefix, p, 0)
				for _, o := range prefix.next {
					ok[i] = ok[i] && (o == nil || f(o, ranks))
				}
			}
		})
		if slices.Contains(ok, false) {
			return false
		}
		prefixes = tables
	}
	return true
}

// extend adds a batch to a table; false if a line lies in a cell that the table
// does not have, or makes one the same as a wider one.
func (t *tally) extend(o *table, p *batch, ranks []uint32) bool {
	if o.dropped {
		return false // it may have grown apart from the wider one
	}
	width, places, values := uint32(t.width(o.factor)), p.places[o.factor], p.lanes[0]
	for i, rank := range ranks {
		at := rank*width + uint32(places[i])
		if !o.direct {
			if rank == 0 || places[i] == 0 {
				continue
			}
			cell := o.rank(at)
			if cell == 0 {
				return false
			}
			at = cell - 1
		}
		if o.sums[at] += values[i]; o.sums[at]>>rowShift >= uint64(o.limit[at]) {
			return false
		}
	}
	return true
}
