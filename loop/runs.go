package loop

import (
	"math"
	"slices"
)

// Bounds of a search over runs. Runs are shorter than the settings allow, or only
// those of one factor alone, where they would be more than maxBoxes, or counting
// them more than maxRunWork additions (some seconds); a factor of more than
// maxPairedLevels levels has runs alone.
const (
	maxBoxes        = 1 << 20
	maxRunWork      = 2e9
	maxPairedLevels = 64
)

// runShare is the part of the false discoveries that slices with runs may be, where
// there are any: they are many times as many as those of levels, and nearly alike, so
// that a slice of levels would pay for them with most of its power if all were tested
// as one family. Weights of p-values are those of Genovese, Roeder & Wasserman (2006).
const runShare = .1

// runs counts slices of one or two predicates of which at least one is a run of
// adjacent levels: every one that has the least support, up to the longest run.
type runs struct {
	tally  *tally
	tables []*runTable
}

// runTable has the rows of two factors by their levels, or of one; and the slices
// of them with a run that are tested.
type runTable struct {
	factors []int
	// longest is how many levels a run has at most; height is how many places the
	// second factor has, as width is of the first: one for each level, after the one
	// for what is no level.
	longest       int
	width, height int
	// sums are by lane and place, and saved the same before anything was removed,
	// where that is to be undone.
	sums, saved [][]uint64
	boxes       []box
}

// box is a run of places of each factor, the last one included.
type box struct {
	first, last [2]uint16
	mates       float32
}

// boxesOf is how many levels and runs of levels a factor has, and how many of them
// hold for a row.
func (f *Factor) boxesOf(longest int) (boxes, holding float64) {
	levels := len(f.Levels)
	boxes, holding = float64(levels), 1
	for n := 2; f.ordered() && n <= min(longest, levels-1); n++ {
		boxes, holding = boxes+float64(levels-n+1), holding+float64(n)
	}
	return boxes, holding
}

// countRuns counts the lines that are left.
func (t *tally) countRuns() *runs {
	x := &runs{tally: t}
	var sets [2][][]int
	free := func(f int) bool { return t.space.Factors[f].Pin == nil }
	for f := range t.space.Factors {
		if !free(f) {
			continue
		}
		if t.space.Factors[f].ordered() {
			sets[0] = append(sets[0], []int{f})
		}
		for g := range f {
			one, other := &t.space.Factors[g], &t.space.Factors[f]
			if free(g) && (one.ordered() || other.ordered()) && max(len(one.Levels), len(other.Levels)) <= maxPairedLevels {
				sets[1] = append(sets[1], []int{g, f})
			}
		}
	}
	for order := range min(2, t.settings.Order) {
		longest := t.settings.Runs
		for longest > 1 && !t.countable(sets[order], longest) {
			longest--
		}
		for i := 0; i < len(sets[order]) && longest > 1; i++ {
			x.tables = append(x.tables, t.newRunTable(sets[order][i], longest))
		}
	}
	for _, p := range t.batches {
		x.add(p, nil, false)
	}
	t.each.run(len(x.tables), func(i int) { t.box(x.tables[i]) })
	return x
}

// countable reports whether the boxes of sets of factors are within bounds.
func (t *tally) countable(sets [][]int, longest int) bool {
	all, work := 0.0, 0.0
	for _, set := range sets {
		boxes, holding := 1.0, 1.0
		for _, f := range set {
			b, h := t.space.Factors[f].boxesOf(longest)
			boxes, holding = boxes*b, holding*h
		}
		if !t.grouped {
			holding = 1
		}
		all, work = all+boxes, work+holding*float64(t.batches[0].len())
	}
	return all <= maxBoxes && work <= maxRunWork
}

func (t *tally) newRunTable(factors []int, longest int) *runTable {
	o := &runTable{factors: factors, longest: longest, width: len(t.space.Factors[factors[0]].Levels) + 1, height: 2, sums: make([][]uint64, t.lanes)}
	if len(factors) > 1 {
		o.height = len(t.space.Factors[factors[1]].Levels) + 1
	}
	for lane := range o.sums {
		o.sums[lane] = make([]uint64, o.width*o.height)
	}
	return o
}

// place is that of a line of a batch in a factor: 0 for what is no level.
func (p *batch) place(factor, line int) uint16 {
	code := p.lines.codes[factor][p.at(line)]
	if !code.IsLevel() {
		return 0
	}
	return uint16(code) + 1
}

// add adds these lines of a batch to every table, nil are all; or takes them away.
func (x *runs) add(p *batch, these []uint32, away bool) {
	// Tables that begin with the same factor share its column.
	var starts []int
	for i, o := range x.tables {
		if i == 0 || o.factors[0] != x.tables[i-1].factors[0] || len(o.factors) != len(x.tables[i-1].factors) {
			starts = append(starts, i)
		}
	}
	x.tally.each.run(len(starts), func(i int) {
		tables := x.tables[starts[i]:]
		if i+1 < len(starts) {
			tables = x.tables[starts[i]:starts[i+1]]
		}
		ranks, places, values := make([]uint32, block), make([]uint16, block), make([][]uint64, laneCount)
		for lane := range values {
			values[lane] = make([]uint64, block)
		}
		x.tally.walk(p, these, func(stratum int, lines []uint32) {
			lanes := x.tally.lanesOf(p, stratum)
			for j, line := range lines {
				ranks[j] = uint32(p.place(tables[0].factors[0], int(line)))
				for lane := range lanes {
					if values[lane][j] = lanes[lane][line]; away {
						values[lane][j] = -values[lane][j]
					}
				}
			}
			for _, o := range tables {
				for j, line := range lines {
					places[j] = 1
					if len(o.factors) > 1 {
						places[j] = p.place(o.factors[1], int(line))
					}
				}
				for lane := range lanes {
					add(o.sums[x.tally.strata[stratum].lane+lane], ranks[:len(lines)], uint32(o.height), places, values[lane])
				}
			}
		})
	})
}

// walk calls f with lines of a batch, a block at most and of one stratum, in order.
func (t *tally) walk(p *batch, these []uint32, f func(stratum int, lines []uint32)) {
	if these != nil {
		for from, to := 0, 0; from < len(these); from = to {
			s := p.lines.of(p.at(int(these[from])))
			for to = from; to < min(len(these), from+block) && p.lines.of(p.at(int(these[to]))) == s; to++ {
			}
			f(s, these[from:to])
		}
		return
	}
	lines := make([]uint32, block)
	for _, r := range p.runs {
		for from := r.from; from < r.to; from += block {
			n := min(block, r.to-from)
			for i := range n {
				lines[i] = uint32(from + i)
			}
			f(r.stratum, lines[:n])
		}
	}
}

// runsOf calls f with the first and the last place of every level of a factor and
// every run of levels of it, in order of slices.
func (t *tally) runsOf(o *runTable, i int, f func(first, last int)) {
	if i == len(o.factors) {
		f(1, 1)
		return
	}
	factor := &t.space.Factors[o.factors[i]]
	levels, longest := len(factor.Levels), 1
	if factor.ordered() {
		longest = min(o.longest, levels-1)
	}
	for first := 1; first <= levels; first++ {
		for last := first; last <= min(levels, first+longest-1); last++ {
			f(first, last)
		}
	}
}

// box lists the boxes of a table that have the least support and are not the same
// as a wider or a shorter one. Which rows those are has nothing to do with how they
// fail, so that leaving one untested favours nothing.
func (t *tally) box(o *runTable) {
	rows := make([]uint64, o.width*o.height)
	for s := range t.strata {
		for i, v := range o.sums[t.strata[s].lane] {
			if t.strata[s].packed {
				v >>= rowShift
			}
			rows[i] += v
		}
	}
	// The sums of all that lies before a place, what is no level included.
	before := make([]uint64, (o.width+1)*(o.height+1))
	for a := range o.width {
		for b := range o.height {
			before[(a+1)*(o.height+1)+b+1] = rows[a*o.height+b] + before[a*(o.height+1)+b+1] + before[(a+1)*(o.height+1)+b] - before[a*(o.height+1)+b]
		}
	}
	in := func(a0, a1, b0, b1 int) uint64 {
		at := func(a, b int) uint64 { return before[a*(o.height+1)+b] }
		return at(a1+1, b1+1) - at(a0, b1+1) - at(a1+1, b0) + at(a0, b0)
	}
	width, height := o.width-1, o.height-1
	t.runsOf(o, 0, func(a0, a1 int) {
		t.runsOf(o, 1, func(b0, b1 int) {
			n := in(a0, a1, b0, b1)
			if a0 == a1 && b0 == b1 || n < t.support() {
				return
			}
			wider := []uint64{in(1, width, 1, height)}
			if len(o.factors) > 1 {
				wider = []uint64{in(a0, a1, 0, height), in(0, width, b0, b1)}
			}
			for _, w := range wider {
				if alike(n, w) {
					return
				}
			}
			if a0 < a1 && (alike(n-in(a0, a0, b0, b1), n) || alike(n-in(a1, a1, b0, b1), n)) ||
				b0 < b1 && (alike(n-in(a0, a1, b0, b0), n) || alike(n-in(a0, a1, b1, b1), n)) {
				return
			}
			o.boxes = append(o.boxes, box{first: [2]uint16{uint16(a0), uint16(b0)}, last: [2]uint16{uint16(a1), uint16(b1)}, mates: 1})
		})
	})
	if t.grouped {
		t.mate(o)
	}
}

// mate fills in how the rows of boxes fall into groups, and drops those of too few.
func (t *tally) mate(o *runTable) {
	// The boxes that hold for a place, by place.
	holding := make([][]uint32, o.width*o.height)
	for i, b := range o.boxes {
		for x := b.first[0]; x <= b.last[0]; x++ {
			for y := b.first[1]; y <= b.last[1]; y++ {
				at := int(x)*o.height + int(y)
				holding[at] = append(holding[at], uint32(i))
			}
		}
	}
	meetings := make([]meeting, len(o.boxes))
	p := t.batches[0]
	for line := range p.len() {
		at := int(p.place(o.factors[0], line))*o.height + 1
		if len(o.factors) > 1 {
			at += int(p.place(o.factors[1], line)) - 1
		}
		for _, i := range holding[at] {
			t.meet(&meetings[i], p, line)
		}
	}
	kept := o.boxes[:0]
	lanes, prefix := make([]uint64, t.lanes), t.prefix(o)
	for i, b := range o.boxes {
		if meetings[i].groups >= leastGroups {
			o.read(prefix, &b, lanes)
			rows := 0.0
			for s := range t.strata {
				n, _ := t.read(lanes, s)
				rows += n
			}
			b.mates = float32(meetings[i].squares / rows)
			kept = append(kept, b)
		}
	}
	o.boxes = kept
}

// prefix has, by lane and place, the sum of the levels up to a place.
func (t *tally) prefix(o *runTable) [][]uint64 {
	prefix := make([][]uint64, t.lanes)
	for lane, sums := range o.sums {
		prefix[lane] = make([]uint64, len(sums))
		for a := 1; a < o.width; a++ {
			row := uint64(0)
			for b := 1; b < o.height; b++ {
				row += sums[a*o.height+b]
				prefix[lane][a*o.height+b] = row + prefix[lane][(a-1)*o.height+b]
			}
		}
	}
	return prefix
}

// read sums the lanes of a box.
func (o *runTable) read(prefix [][]uint64, b *box, lanes []uint64) {
	high, low := int(b.last[0])*o.height, int(b.first[0]-1)*o.height
	right, left := int(b.last[1]), int(b.first[1])-1
	for lane, sums := range prefix {
		lanes[lane] = sums[high+right] - sums[low+right] - sums[high+left] + sums[low+left]
	}
}

// look lists the boxes of a table that reach the least standard score, tested, and
// counts those that have the least support, and so many rows.
func (o *runTable) look(t *tally, rate, least float64) (found []cell, supported int) {
	prefix, lanes := t.prefix(o), make([]uint64, t.lanes)
	for i := range o.boxes {
		o.read(prefix, &o.boxes[i], lanes)
		c := t.weighed(lanes, float64(o.boxes[i].mates))
		if !(c.worth >= t.settings.MinimumSupport) || c.n/c.design < least {
			continue
		}
		supported++
		if t.test(&c, rate); c.z >= t.settings.MinimumZ {
			c.runs, c.place = o, i
			found = append(found, c)
		}
	}
	return found, supported
}

// slice says which slice a box counts.
func (o *runTable) slice(i int) Slice {
	var slice Slice
	for j, f := range o.factors {
		first, last := int(o.boxes[i].first[j]), int(o.boxes[i].last[j])
		slice = append(slice, Predicate{Factor: f, Level: first - 1, Run: last - first})
	}
	return slice
}

// ableRuns is able for slices of an order that have runs.
func (t *tally) ableRuns(order int, rate float64) (found []cell, tests int) {
	found, tests = t.lookRuns(order, rate, 0)
	least := math.Log(runShare*t.settings.FalseDiscovery/float64(max(tests, 1))) / math.Log(rate)
	if least > t.settings.MinimumSupport/t.dispersion {
		return t.lookRuns(order, rate, least)
	}
	return found, tests
}

// lookRuns is look over all slices of an order that have runs.
func (t *tally) lookRuns(order int, rate, least float64) (found []cell, supported int) {
	if t.settings.Runs < 2 {
		return nil, 0
	}
	if t.runs == nil {
		t.runs = t.countRuns()
	}
	tables := slices.DeleteFunc(slices.Clone(t.runs.tables), func(o *runTable) bool { return len(o.factors) != order })
	looked, counts := make([][]cell, len(tables)), make([]int, len(tables))
	t.each.run(len(tables), func(i int) { looked[i], counts[i] = tables[i].look(t, rate, least) })
	return slices.Concat(looked...), total(counts)
}

// remove takes lines of a batch away.
func (x *runs) remove(p *batch, gone []uint32) {
	if x == nil {
		return
	}
	for _, o := range x.tables {
		if x.tally.lasting && o.saved == nil {
			o.saved = make([][]uint64, len(o.sums))
			for lane := range o.sums {
				o.saved[lane] = slices.Clone(o.sums[lane])
			}
		}
	}
	if len(gone) > 0 {
		x.add(p, gone, true)
	}
}

// restore puts back what was removed.
func (x *runs) restore() {
	if x == nil {
		return
	}
	for _, o := range x.tables {
		if o.saved != nil {
			o.sums, o.saved = o.saved, nil
		}
	}
}

// extend counts the lines of a batch more.
func (x *runs) extend(p *batch) {
	if x == nil {
		return
	}
	x.add(p, nil, false)
	x.tally.each.run(len(x.tables), func(i int) {
		x.tables[i].boxes = nil
		x.tally.box(x.tables[i])
	})
}
