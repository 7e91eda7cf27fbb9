package loop

import (
	"math"
	"slices"
)

// table has the cells of one set of factors that have the least support and are
// not the same as a wider one. It adds a factor to another table's.
type table struct {
	prefix *table
	factor int
	order  int
	// next are the tables that add a factor to this one's, by factor.
	next []*table
	// wanted says of which factors such a table is yet to be counted.
	wanted []bool
	// keys of the cells, ascending: the rank of the prefix's cell, which is 1 + its
	// position there, times the places of the factor, plus the place.
	keys []uint32
	// sums has the lanes of each cell, one cell behind the other: of each key where the
	// table is direct, since it has nearly all of them.
	sums   []uint64
	direct bool
	// counted is the rows that a cell had when it was counted, where another order goes
	// by that, and mates what t.cell says of it.
	counted []uint32
	mates   []float32
	// limit is from how many rows on a cell would be left out for being the same as a
	// wider one: 0 where there is no cell, and nil where no lines can be added. Dropped:
	// one was left out.
	limit   []uint32
	dropped bool
	// saved are the sums before anything was removed, where that is to be undone and
	// they have changed.
	saved   []uint64
	changed bool
	// ranks of the cells by key, 0 where there is none; nil where that is not worth
	// its memory.
	ranks []uint32
}

// rank is 1 + the position of the cell with a key, or 0.
func (o *table) rank(key uint32) uint32 {
	if o.ranks != nil {
		return o.ranks[key]
	}
	if at, ok := slices.BinarySearch(o.keys, key); ok {
		return uint32(at + 1)
	}
	return 0
}

// keep makes a table of the cells that have the least support and are not the
// same as a wider one. Which rows those are has nothing to do with how they fail,
// so that leaving a cell untested favours nothing.
func (t *tally) keep(prefix *table, factor int, c rawTable) *table {
	o := &table{prefix: prefix, factor: factor, order: prefix.order + 1}
	k := keeper{t: t, table: o, counted: c, width: uint32(t.width(factor)), support: t.support()}
	for skip := prefix; skip != t.root; skip = skip.prefix {
		of := t.without(prefix, skip)
		k.less, k.wider = append(k.less, of), append(k.wider, of.next[factor])
	}
	k.above = make([]uint32, len(k.wider))
	if c.keys != nil {
		for i, key := range c.keys {
			k.take(i, key)
		}
	} else {
		for rank := range len(prefix.keys) {
			first, from := uint32(rank+1)*k.width, uint32(rank+1)*k.width
			if c.cube {
				from = t.coordinate(prefix, rank) * k.width
			}
			for place := uint32(1); place < k.width; place++ {
				k.take(int(from+place), first+place)
			}
		}
	}
	if len(o.keys) == 0 {
		return nil
	}
	o.lay(&k, t)
	return o
}

// keeper is what chooses the cells of a table.
type keeper struct {
	t       *tally
	table   *table
	counted rawTable
	width   uint32
	support uint64
	// wider are the tables of one factor less, but for the prefix, and less are those
	// less the last factor, too: above is the rank in them of the prefix's cell of a
	// rank, which has so many rows.
	wider, less []*table
	above       []uint32
	rank        uint32
	rows        uint64
	// from is where cells that are kept were counted, and limit is as the table's.
	from  []int
	limit []uint32
}

// take keeps the cell that was counted at i, if it is worth that.
func (k *keeper) take(i int, key uint32) {
	rows, rank, place := k.t.rowsIn(&k.counted, i), key/k.width, key%k.width
	if rows < k.support || rank == 0 || place == 0 {
		return
	}
	o, room := k.table, ^uint64(0)
	if o.order > 1 {
		if rank != k.rank {
			k.rank, k.rows = rank, uint64(o.prefix.counted[rank-1])
			for j, of := range k.less {
				k.above[j] = k.t.project(o.prefix, int(rank)-1, of)
			}
		}
		if room = k.t.room(k.rows, k.wider, k.above, k.width, place); alike(rows, room) {
			o.dropped = true
			return
		}
	}
	if k.t.grouped {
		if k.counted.meetings[i].groups < leastGroups {
			return
		}
		o.mates = append(o.mates, float32(k.counted.meetings[i].squares/float64(rows)))
	}
	o.keys, k.from = append(o.keys, key), append(k.from, i)
	if o.order < k.t.settings.Order {
		o.counted = append(o.counted, uint32(min(rows, math.MaxUint32)))
	}
	if k.t.extends() {
		k.limit = append(k.limit, fewestAlike(room))
	}
}

// lay puts the sums of the cells that are kept where they can be found.
func (o *table) lay(k *keeper, t *tally) {
	cells := (len(o.prefix.keys) + 1) * int(k.width)
	o.direct = cells <= len(o.keys)+len(o.keys)/4+1<<8
	if o.order > 1 && o.order < t.settings.Order && cells <= max(1<<16, 8*len(o.keys)) {
		o.ranks = make([]uint32, cells)
		for i, key := range o.keys {
			o.ranks[key] = uint32(i + 1)
		}
	}
	places := len(o.keys)
	if o.direct {
		places = cells
	}
	o.sums = make([]uint64, places*t.lanes)
	if t.extends() {
		o.limit = make([]uint32, places)
	}
	for i := range o.keys {
		at := o.place(i)
		for lane, sums := range k.counted.sums {
			o.sums[at*t.lanes+lane] = sums[k.from[i]]
		}
		if o.limit != nil {
			o.limit[at] = k.limit[i]
		}
	}
	// What has an unknown level or a rare one is in no cell, and never too much.
	for key := uint32(0); o.direct && o.limit != nil && key < uint32(cells); key++ {
		if key < k.width || key%k.width == 0 {
			o.limit[key] = math.MaxUint32
		}
	}
}

// place is where the sums of the i-th cell are.
func (o *table) place(i int) int {
	if o.direct {
		return int(o.keys[i])
	}
	return i
}

// coordinate is where a cube of a table's factors has a cell: the places of the
// factors, in order.
func (t *tally) coordinate(o *table, cell int) uint32 {
	if o == t.root {
		return 0
	}
	width := uint32(t.width(o.factor))
	key := o.keys[cell]
	return t.coordinate(o.prefix, int(key/width)-1)*width + key%width
}

// alike reports whether a cell holds nearly the rows of a wider one.
func alike(rows, wider uint64) bool { return float64(rows) >= same*float64(wider) }

// fewestAlike is how many rows are alike at least.
func fewestAlike(wider uint64) uint32 {
	rows := uint64(same * float64(wider))
	for !alike(rows, wider) {
		rows++
	}
	return uint32(min(rows, math.MaxUint32))
}

// room is the rows of the narrowest cell in which a cell lies, of at most so many;
// 0 where one of them was left out as the same as a wider one.
func (t *tally) room(most uint64, wider []*table, above []uint32, width, place uint32) uint64 {
	for j, of := range wider {
		rank := place
		if of.order > 1 {
			rank = of.rank(above[j]*width + place)
		}
		if rank == 0 {
			return 0
		}
		most = min(most, uint64(of.counted[rank-1]))
	}
	return most
}

// project is the rank, in a table of some of the prefix's factors, of the cell in
// which one of the prefix lies.
func (t *tally) project(prefix *table, cell int, of *table) uint32 {
	if of == t.root {
		return 1
	}
	width := uint32(len(t.levels[prefix.factor]) + 1)
	key := prefix.keys[cell]
	rank, place := key/width, key%width
	if prefix.factor != of.factor {
		return t.project(prefix.prefix, int(rank)-1, of)
	}
	if of.order == 1 {
		return place
	}
	return of.rank(t.project(prefix.prefix, int(rank)-1, of.prefix)*width + place)
}
