package loop

// count makes the table of every set of factors of an order, and keeps the cells
// that have the least support and are not the same as a wider one.
func (t *tally) count(order int) *tallied {
	o := &tallied{}
	n := newTabulator(t, order)
	factors := len(t.levels)
	for a := range factors {
		if len(t.levels[a]) == 0 {
			continue
		}
		n.widen(0, nil, a)
		if order == 1 {
			n.collect(o, a)
			continue
		}
		for b := a + 1; b < factors; b++ {
			if len(t.levels[b]) == 0 {
				continue
			}
			n.widen(1, n.keys[0], b)
			if order == 2 {
				n.collect(o, a, b)
				continue
			}
			for c := b + 1; c < factors; c++ {
				if len(t.levels[c]) > 0 {
					n.collect(o, a, b, c)
				}
			}
		}
	}
	return o
}

// tabulator counts one table at a time.
type tabulator struct {
	*tally
	// keys are those of the rows in the table of the first, and first two,
	// factors.
	keys [2][]uint32
	sum  []uint64
	// Of groups: by cell, the group that it last met, its rows there so far, the
	// sum of the squares of its rows per group, and how many groups it met.
	last, rows, groups []uint32
	squares            []uint64
	// wide are the rows per cell of the tables of one and two factors, by which a
	// narrower cell is known as the same.
	single [][]uint32
	pairs  [][][]uint32
}

func newTabulator(t *tally, order int) *tabulator {
	n := &tabulator{tally: t}
	for i := range n.keys {
		n.keys[i] = make([]uint32, len(t.add))
	}
	if order > 1 {
		for f := range t.levels {
			n.single = append(n.single, n.plain(f))
		}
	}
	if order > 2 {
		n.pairs = make([][][]uint32, len(t.levels))
		for a := range t.levels {
			n.pairs[a] = make([][]uint32, len(t.levels))
			if len(t.levels[a]) == 0 {
				continue
			}
			for b := a + 1; b < len(t.levels); b++ {
				if len(t.levels[b]) > 0 {
					n.pairs[a][b] = n.plain(a, b)
				}
			}
		}
	}
	return n
}

// plain counts the rows of a table of one or two factors.
func (n *tabulator) plain(factors ...int) []uint32 {
	table := make([]uint32, n.size(factors))
	first := n.places[factors[0]]
	if len(factors) == 1 {
		for _, p := range first {
			table[p]++
		}
		return table
	}
	width := uint32(len(n.levels[factors[1]]) + 1)
	second := n.places[factors[1]]
	for i, p := range first {
		table[uint32(p)*width+uint32(second[i])]++
	}
	return table
}

func (n *tabulator) size(factors []int) int {
	size := 1
	for _, f := range factors {
		size *= len(n.levels[f]) + 1
	}
	return size
}

// widen fills in the keys of a table with one factor more than those given.
func (n *tabulator) widen(depth int, keys []uint32, factor int) {
	places := n.places[factor]
	if keys == nil {
		for i, p := range places {
			n.keys[depth][i] = uint32(p)
		}
		return
	}
	width, out := uint32(len(n.levels[factor])+1), n.keys[depth][:len(places)]
	for i, p := range places {
		out[i] = keys[i]*width + uint32(p)
	}
}

// collect counts the table of the factors, of which all but the last are in the
// keys, and appends its cells.
func (n *tabulator) collect(o *tallied, factors ...int) {
	size := n.size(factors)
	if cap(n.sum) < size {
		n.sum = make([]uint64, size)
	}
	n.sum = n.sum[:size]
	clear(n.sum)
	last := factors[len(factors)-1]
	width, places, sum := uint32(len(n.levels[last])+1), n.places[last], n.sum
	var keys []uint32
	if len(factors) == 1 {
		for i, p := range places {
			sum[p] += n.add[i]
		}
	} else {
		keys = n.keys[len(factors)-2][:len(places)]
		add := n.add[:len(places)]
		for i, p := range places {
			sum[keys[i]*width+uint32(p)] += add[i]
		}
	}
	if n.group != nil {
		n.meet(size, keys, width, places)
	}
	set := factorSet{}
	copy(set.factors[:], factors)
	least := uint64(max(1, n.settings.MinimumSupport)) << rowShift
	for key, sum := range n.sum {
		if sum < least || n.redundant(factors, key, sum>>rowShift) {
			continue
		}
		if n.group != nil {
			if n.groups[key] < leastGroups {
				continue
			}
			o.mates = append(o.mates, float32(float64(n.squares[key])/float64(sum>>rowShift)))
		}
		o.key, o.sum = append(o.key, uint32(key)), append(o.sum, sum)
	}
	if set.end = len(o.key); set.end > 0 {
		o.sets = append(o.sets, set)
	}
}

// meet counts how the rows of each cell fall into groups.
func (n *tabulator) meet(size int, keys []uint32, width uint32, places []uint8) {
	if cap(n.last) < size {
		n.last, n.rows, n.groups, n.squares = make([]uint32, size), make([]uint32, size), make([]uint32, size), make([]uint64, size)
	}
	last, rows, groups, squares := n.last[:size], n.rows[:size], n.groups[:size], n.squares[:size]
	clear(last)
	clear(rows)
	clear(groups)
	clear(squares)
	for i, p := range places {
		key := uint32(p)
		if keys != nil {
			key += keys[i] * width
		}
		// (m+1)² - m² = 2m + 1: no square has to be closed when a group ends.
		if g := n.group[i] + 1; last[key] != g {
			last[key], rows[key] = g, 0
			groups[key]++
		}
		squares[key] += uint64(2*rows[key] + 1)
		rows[key]++
	}
}

// redundant reports whether a cell has a place for no level, or holds nearly the
// rows of a cell with one predicate less. Which rows those are has nothing to do
// with how they fail, so that leaving the cell untested favours nothing.
func (n *tabulator) redundant(factors []int, key int, rows uint64) bool {
	var place [MaxOrder]int
	for i := len(factors) - 1; i >= 0; i-- {
		width := len(n.levels[factors[i]]) + 1
		place[i] = key % width
		key /= width
		if place[i] == 0 {
			return true
		}
	}
	above := func(wider uint32) bool { return float64(rows) >= same*float64(wider) }
	switch len(factors) {
	case 2:
		return above(n.single[factors[0]][place[0]]) || above(n.single[factors[1]][place[1]])
	case 3:
		for _, pair := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
			a, b := factors[pair[0]], factors[pair[1]]
			wider := n.pairs[a][b][place[pair[0]]*(len(n.levels[b])+1)+place[pair[1]]]
			if above(wider) ||
				float64(wider) >= same*float64(n.single[a][place[pair[0]]]) || float64(wider) >= same*float64(n.single[b][place[pair[1]]]) {
				return true
			}
		}
	}
	return false
}
