package loop

import "slices"

// A cube counts lines by more factors at once than a table has. Tables are read off
// it, by adding cells up: one addition per line then counts several, as four triples
// of twenty levels each.
type cube struct {
	// factors ascend.
	factors []int
	cells   int
	tables  []margin
}

// margin is a table that is yet to be counted.
type margin struct {
	prefix *table
	factor int
}

const (
	// maxCube is how many sums a cube has at most, so that they stay near, and
	// cubeLines how many lines each is worth: below that, adding cells up would take
	// as long as counting lines.
	maxCube   = 1 << 18
	cubeLines = 4
	// cubeBlock is how many lines are counted at a time.
	cubeBlock = 1 << 12
)

// cubes puts together what prefixes want counted: to the first table that no cube has,
// the factors that add most of the others, as long as that is any and there is room.
// What a cube has is no longer wanted of its prefix. A cube of one table would save
// nothing. Groups do not add up, so there is no cube of them.
func (t *tally) cubes(prefixes []*table) (out []cube) {
	room := min(maxCube/max(1, t.lanes), t.batches[0].len()/cubeLines)
	if t.grouped {
		room = 0
	}
	for _, prefix := range prefixes {
		for f, wanted := range prefix.wanted {
			if !wanted {
				continue
			}
			c := cube{cells: t.width(f), factors: []int{f}}
			for at := prefix; at != t.root; at = at.prefix {
				c.factors = append(c.factors, at.factor)
				c.cells *= t.width(at.factor)
			}
			if c.cells > room {
				continue
			}
			slices.Sort(c.factors)
			for next := f; next >= 0; {
				next = t.extension(&c, room, prefix.order+1)
				if next >= 0 {
					c.factors, c.cells = with(c.factors, next), c.cells*t.width(next)
				}
			}
			if t.margins(c.factors, -1, prefix.order+1, func(m margin) { c.tables = append(c.tables, m) }); len(c.tables) == 1 {
				continue
			}
			for _, m := range c.tables {
				m.prefix.wanted[m.factor] = false
			}
			out = append(out, c)
		}
	}
	return out
}

// extension is the factor by which a cube gets the most tables of an order that no
// cube has, or -1.
func (t *tally) extension(c *cube, room, order int) int {
	best, most := -1, 0
	for f := range t.levels {
		if len(t.levels[f]) == 0 || c.cells*t.width(f) > room || slices.Contains(c.factors, f) {
			continue
		}
		n := 0
		t.margins(with(c.factors, f), f, order, func(margin) { n++ })
		if n > most {
			best, most = f, n
		}
	}
	return best
}

// with is a sorted list with another factor.
func with(factors []int, f int) []int {
	at, _ := slices.BinarySearch(factors, f)
	return slices.Insert(slices.Clone(factors), at, f)
}

// margins visits what is wanted of an order among factors, with one of them unless
// that is negative.
func (t *tally) margins(factors []int, with, order int, visit func(margin)) {
	var walk func(prefix *table, factors []int, met bool)
	walk = func(prefix *table, factors []int, met bool) {
		for i, f := range factors {
			last := prefix.order == order-1
			switch met := met || f == with; {
			case last && met && prefix.wanted[f]:
				visit(margin{prefix, f})
			case !last && prefix.next[f] != nil:
				walk(prefix.next[f], factors[i+1:], met)
			}
			if f == with {
				return
			}
		}
	}
	walk(t.root, factors, with < 0)
}

// width is how many places a factor has: 1 more than frequent levels.
func (t *tally) width(factor int) int { return len(t.levels[factor]) + 1 }

// tabulateCube counts a cube and its tables.
func (t *tally) tabulateCube(c *cube) {
	counts := t.newRaw(c.cells)
	if t.plain() {
		// Rows in half the memory, and then the errors of those few that have one.
		rows := make([]uint32, c.cells)
		if f := c.factors; len(f) == 4 {
			for _, p := range t.batches {
				tickFour(rows, p.places[f[0]], p.places[f[1]], p.places[f[2]], p.places[f[3]], t.width(f[1]), t.width(f[2]), t.width(f[3]))
			}
		} else {
			t.cells(t.batches, c, func(_ *batch, _ run, cells []uint32) {
				for _, cell := range cells {
					rows[cell]++
				}
			})
		}
		t.cells(t.failing, c, func(p *batch, r run, cells []uint32) { addTo(counts.sums[0], cells, p.lanes[0][r.from:r.to]) })
		for i, n := range rows {
			counts.sums[0][i] += uint64(n) << rowShift
		}
	} else {
		t.cells(t.batches, c, func(p *batch, r run, cells []uint32) {
			for lane, values := range t.lanesOf(p, r.stratum) {
				addTo(counts.sums[t.strata[r.stratum].lane+lane], cells, values[r.from:r.to])
			}
		})
	}
	for _, m := range c.tables {
		one := rawTable{cube: true, sums: make([][]uint64, t.lanes)}
		for lane, sums := range counts.sums {
			one.sums[lane] = t.fold(c, sums, m)
		}
		m.prefix.next[m.factor] = t.keep(m.prefix, m.factor, one)
	}
}

// tickFour counts lines of one row each by the places of four factors, of the last
// three of which there are so many.
func tickFour(rows []uint32, a, b, c, d []uint16, wb, wc, wd int) {
	b, c, d = b[:len(a)], c[:len(a)], d[:len(a)]
	for i, place := range a {
		rows[((uint32(place)*uint32(wb)+uint32(b[i]))*uint32(wc)+uint32(c[i]))*uint32(wd)+uint32(d[i])]++
	}
}

// cells calls f with runs of batches' lines, and their cells in a cube.
func (t *tally) cells(batches []*batch, c *cube, f func(p *batch, r run, cells []uint32)) {
	cells := make([]uint32, cubeBlock)
	for _, p := range batches {
		for _, r := range p.runs {
			for from := r.from; from < r.to; from += cubeBlock {
				to := min(r.to, from+cubeBlock)
				out := cells[:to-from]
				for i, place := range p.places[c.factors[0]][from:to] {
					out[i] = uint32(place)
				}
				for _, factor := range c.factors[1:] {
					width := uint32(t.width(factor))
					for i, place := range p.places[factor][from:to] {
						out[i] = out[i]*width + uint32(place)
					}
				}
				f(p, run{r.stratum, from, to}, out)
			}
		}
	}
}

// addTo adds the values of lines to their cells.
func addTo(sums []uint64, cells []uint32, values []uint64) {
	values = values[:len(cells)]
	for i, cell := range cells {
		sums[cell] += values[i]
	}
}

// fold adds up the cells of a cube that differ only in factors that a table has not.
func (t *tally) fold(c *cube, sums []uint64, m margin) []uint64 {
	inner := 1
	for i := len(c.factors) - 1; i >= 0; i-- {
		f, width := c.factors[i], t.width(c.factors[i])
		if m.has(f) {
			inner *= width
			continue
		}
		out := make([]uint64, len(sums)/width)
		if inner == 1 {
			for i := range out {
				for _, v := range sums[i*width : (i+1)*width] {
					out[i] += v
				}
			}
		}
		for from := 0; from < len(out) && inner > 1; from += inner {
			for place := range width {
				part := sums[from*width+place*inner:]
				for j, v := range part[:inner] {
					out[from+j] += v
				}
			}
		}
		sums = out
	}
	return sums
}

func (m margin) has(f int) bool {
	for at := m.prefix; f != m.factor; at = at.prefix {
		if at.order == 0 {
			return false
		}
		if at.factor == f {
			return true
		}
	}
	return true
}
