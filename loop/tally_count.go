package loop

import (
	"cmp"
	"slices"
)

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

// plain reports whether every line is one row of one stratum that stands for
// itself, and is still there.
func (t *tally) plain() bool {
	p := t.batches[0]
	return t.lanes == 1 && t.strata[0].packed && !t.grouped && len(t.gone) == 0 && p.lines.rows == nil
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
