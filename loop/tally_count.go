package loop

// Bounds of a search: the lines times the sets of factors, which is time (some 20
// seconds), and the cells of tables, which is memory (some 1 GB).
const (
	maxWork = 2e10
	maxKept = 4e7
	// setWork is the work that a set of factors is, however few the lines.
	setWork = 2000
)

// searchable reports whether the tables of so many factors are within bounds.
func (t *tally) searchable(order int) bool {
	factors, n, most := 0, float64(t.batches[0].len()), t.all()/max(1, t.settings.MinimumSupport)
	// elementary[k] sums the products of the levels of k factors.
	elementary, widest := make([]float64, order+1), 0.0
	elementary[0] = 1
	for f := range t.space.Factors {
		if t.space.Factors[f].Pin != nil {
			continue
		}
		factors++
		levels := min(float64(len(t.space.Factors[f].Levels)), most) + 1
		widest = max(widest, levels)
		for k := order; k > 0; k-- {
			elementary[k] += elementary[k-1] * levels
		}
	}
	// No table has more cells with the least support than rows can fill.
	return choose(factors, order)*(n+setWork) <= maxWork && min(n, most)*widest < 1<<32 && min(elementary[order], choose(factors, order)*most) <= maxKept
}

// all is how many rows are left.
func (t *tally) all() (rows float64) {
	for s := range t.strata {
		n, _ := t.read(t.total, s)
		rows += n
	}
	return rows
}

// block is how many lines are counted at a time, so that their keys stay near.
const block = 1 << 14

const (
	// chunkCells is how many cells are counted at a time, so that they stay near.
	chunkCells = 1 << 17
	// denseCells is from how many cells on, for each line, a table is counted by
	// sorting keys rather than by a place for every cell; maxDense from how many on
	// in all.
	denseCells = 16
	maxDense   = 1 << 22
)

// dense reports whether a table has a place for every cell.
func (t *tally) dense(cells int) bool {
	return cells <= maxDense && cells <= denseCells*(t.batches[0].len()+1<<8)
}

// count returns the tables of an order.
func (t *tally) count(order int) []*table {
	if t.root == nil {
		t.place()
	}
	if t.plain() && t.failing == nil {
		t.fail()
	}
	for len(t.tables) < order {
		prefixes := []*table{t.root}
		if n := len(t.tables); n > 0 {
			prefixes = t.tables[n-1]
		}
		t.want(prefixes)
		cubes := t.cubes(prefixes)
		t.each.run(len(cubes), func(i int) { t.tabulateCube(&cubes[i]) })
		t.each.run(len(prefixes), func(i int) { t.widen(prefixes[i]) })
		var tables []*table
		for _, p := range prefixes {
			p.wanted = nil
			for _, next := range p.next {
				if next != nil {
					tables = append(tables, next)
				}
			}
		}
		t.tables = append(t.tables, tables)
	}
	return t.tables[order-1]
}

// want notes which tables add a factor to a prefix.
func (t *tally) want(prefixes []*table) {
	for _, p := range prefixes {
		p.next, p.wanted = make([]*table, len(t.levels)), make([]bool, len(t.levels))
		for f := p.factor + 1; f < len(t.levels); f++ {
			p.wanted[f] = len(t.levels[f]) > 0 && t.known(p, f)
		}
	}
}

// widen counts the tables that are wanted of a prefix, line by line.
func (t *tally) widen(prefix *table) {
	var chunk []int
	cells := 0
	for f, wanted := range prefix.wanted {
		if !wanted {
			continue
		}
		n := (len(prefix.keys) + 1) * (len(t.levels[f]) + 1)
		if !t.dense(n) {
			prefix.next[f] = t.keep(prefix, f, t.sort(prefix, f))
			continue
		}
		if len(chunk) > 0 && cells+n > chunkCells {
			t.tabulate(prefix, chunk)
			chunk, cells = chunk[:0], 0
		}
		chunk, cells = append(chunk, f), cells+n
	}
	if len(chunk) > 0 {
		t.tabulate(prefix, chunk)
	}
}

// known reports whether every table of one factor less, the given one among them,
// has cells.
func (t *tally) known(prefix *table, factor int) bool {
	for skip := prefix; skip != t.root; skip = skip.prefix {
		if of := t.without(prefix, skip); of.next == nil || of.next[factor] == nil {
			return false
		}
	}
	return true
}

// without is the table of a prefix's factors but the one that a table on its way
// adds. Where a prefix has cells, so have all of those.
func (t *tally) without(prefix, skip *table) *table {
	if prefix == skip {
		return prefix.prefix
	}
	return t.without(prefix.prefix, skip).next[prefix.factor]
}

// fail gathers the lines that have an error.
func (t *tally) fail() {
	for _, p := range t.batches {
		var these []uint32
		for i, v := range p.lanes[0] {
			if v&(1<<rowShift-1) != 0 {
				these = append(these, uint32(i))
			}
		}
		q := t.gather(p, these)
		for i := range q.lanes[0] {
			q.lanes[0][i] &= 1<<rowShift - 1
		}
		t.failing = append(t.failing, q)
	}
}

// plain reports whether every line is one row of one stratum that stands for
// itself, and is still there.
func (t *tally) plain() bool {
	p := t.batches[0]
	return t.lanes == 1 && t.strata[0].packed && !t.grouped && len(t.gone) == 0 && p.lines.rows == nil
}

// ranks fills in the rank in a prefix of a batch's lines, from one on.
func (t *tally) ranks(out []uint32, prefix *table, p *batch, from int) {
	switch prefix.order {
	case 0:
		for i := range out {
			out[i] = 1
		}
	case 1:
		// Every frequent level is a cell, so that its place is its rank.
		for i, place := range p.places[prefix.factor][from : from+len(out)] {
			out[i] = uint32(place)
		}
	default:
		t.ranks(out, prefix.prefix, p, from)
		width, places := uint32(len(t.levels[prefix.factor])+1), p.places[prefix.factor][from:from+len(out)]
		for i, place := range places {
			if prefix.ranks != nil {
				out[i] = prefix.ranks[out[i]*width+uint32(place)]
			} else {
				out[i] = prefix.rank(out[i]*width + uint32(place))
			}
		}
	}
}
