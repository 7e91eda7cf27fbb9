package loop

// add counts more lines into the tables, exactly; false where that takes counting
// from the beginning, which the caller then does: where lines have weights, groups
// or grades, and where they change which cells there are.
func (t *tally) add(l *lines) bool {
	if t.lanes != 1 || t.grouped || t.graded || l.rows != nil || l.group != nil || l.squares != nil ||
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
			if !code.IsLevel() || t.space.Factors[f].Pin != nil {
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
		same := make([]bool, len(tables))
		t.each.run(len(tables), func(i int) { same[i] = t.extend(tables[i], p) })
		for _, ok := range same {
			if !ok {
				return false
			}
		}
	}
	t.batches = append(t.batches, p)
	t.sum(p)
	return true
}

// extend adds a batch to a table; false if a line lies in a cell that the table
// does not have, or makes one the same as a wider one.
func (t *tally) extend(o *table, p *batch) bool {
	width := len(t.levels[o.factor]) + 1
	scratch := make([]uint64, (len(o.prefix.keys)+1)*width)
	ranks := make([]uint32, min(block, p.len()))
	known := uint64(0)
	for from := 0; from < p.len(); from += block {
		to := min(p.len(), from+block)
		t.ranks(ranks[:to-from], o.prefix, p, from)
		add(scratch, ranks[:to-from], uint32(width), p.places[o.factor][from:to], p.lanes[0][from:to])
	}
	for i := range p.len() {
		all := true
		for at := o; at != t.root && all; at = at.prefix {
			all = p.places[at.factor][i] > 0
		}
		if all {
			known++
		}
	}
	if o.dropped {
		return false // it may have grown apart from the wider one
	}
	for cell, key := range o.keys {
		more := scratch[key]
		if more == 0 {
			continue
		}
		known -= more >> rowShift
		o.sums[cell] += more
		o.counted[cell] += uint32(more >> rowShift)
		if o.order > 1 && alike(uint64(o.counted[cell]), uint64(o.room[cell])) {
			return false
		}
	}
	return known == 0
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
	for _, tables := range t.tables {
		for _, o := range tables {
			if o.saved != nil {
				o.sums, o.saved = o.saved, nil
			}
		}
	}
}
