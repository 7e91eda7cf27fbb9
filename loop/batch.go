package loop

import (
	"cmp"
	"math"
	"slices"
)

// batch is lines of a tally, in order of groups and, in a group, of strata.
type batch struct {
	lines *lines
	// order is the position among lines of each of the batch's; nil: the same.
	order []uint32
	// lanes are 0 where a line was taken away; a packed stratum uses the first. Spread
	// has the sums of squares of graded errors, in units.
	lanes  [][]uint64
	spread []uint64
	group  []uint32
	// runs are of lines of one stratum.
	runs []run
	// places has a column per factor: 0, or 1 + the position of the line's level
	// among the factor's frequent ones.
	places [][]uint16
}

type run struct{ stratum, from, to int }

func (p *batch) len() int { return len(p.lanes[0]) }

// column has the codes of a factor, in the batch's order.
func (p *batch) column(factor int) []Code {
	codes := p.lines.codes[factor]
	if p.order == nil {
		return codes
	}
	out := make([]Code, p.len())
	for i, line := range p.order {
		out[i] = codes[line]
	}
	return out
}

// at is the position in the lines of the batch's line i.
func (p *batch) at(i int) int {
	if p.order == nil {
		return i
	}
	return int(p.order[i])
}

// batch sorts lines by group and stratum, and puts their numbers into lanes.
func (t *tally) batch(l *lines) *batch {
	p := &batch{lines: l}
	n := len(l.errors)
	if l.group != nil || l.stratum != nil {
		p.order = make([]uint32, n)
		for i := range p.order {
			p.order[i] = uint32(i)
		}
		slices.SortStableFunc(p.order, func(a, b uint32) int {
			if l.group != nil && l.group[a] != l.group[b] {
				return cmp.Compare(l.group[a], l.group[b])
			}
			return l.of(int(a)) - l.of(int(b))
		})
	}
	if l.group != nil {
		p.group = make([]uint32, n)
		for at, i := range p.order {
			p.group[at] = l.group[i]
		}
	}
	p.lanes = make([][]uint64, 1, laneCount)
	for _, layer := range t.strata {
		if !layer.packed {
			p.lanes = p.lanes[:laneCount]
		}
	}
	for i := range p.lanes {
		p.lanes[i] = make([]uint64, n)
	}
	if t.graded {
		p.spread = make([]uint64, n)
	}
	for at := range n {
		i := p.at(at)
		s := l.of(i)
		if r := len(p.runs); r == 0 || p.runs[r-1].stratum != s {
			p.runs = append(p.runs, run{stratum: s, from: at})
		}
		p.runs[len(p.runs)-1].to = at + 1
		if rows, w := l.line(i); rows > 0 {
			p.set(t, at, &t.strata[s], rows, w, l.errors[i])
			if t.graded {
				p.spread[at] = p.spreadOf(t, i, s, w)
			}
		}
	}
	return p
}

// spreadOf is the sum of squares of a line's errors, in units.
func (p *batch) spreadOf(t *tally, line, stratum int, weight float64) uint64 {
	return uint64(math.Round(p.lines.squares[line] * t.strata[stratum].unitOfErrors(t, weight)))
}

// unitOfErrors is how many units of a lane the error 1 of a row of a weight is.
func (layer *layer) unitOfErrors(t *tally, weight float64) float64 {
	if layer.packed {
		return t.unit
	}
	return layer.unit * weight
}

// set puts a line into the lanes.
func (p *batch) set(t *tally, at int, layer *layer, rows, weight, errors float64) {
	units := layer.unitOfErrors(t, weight)
	if layer.packed {
		p.lanes[0][at] = uint64(rows)<<rowShift | uint64(math.Round(errors*units))
		return
	}
	p.lanes[laneRows][at] = uint64(rows)
	p.lanes[laneWeight][at] = max(1, uint64(math.Round(rows*units)))
	p.lanes[laneErrors][at] = uint64(math.Round(errors * units))
	p.lanes[laneSquare][at] = max(1, uint64(math.Round(rows*weight*weight*layer.unit2)))
}

// lanesOf are the lanes that a stratum uses.
func (t *tally) lanesOf(p *batch, stratum int) [][]uint64 {
	if t.strata[stratum].packed {
		return p.lanes[:1]
	}
	return p.lanes
}

// gather copies lines of a batch, so that what is done with them often stays near.
func (t *tally) gather(p *batch, these []uint32) *batch {
	q := &batch{lines: p.lines, lanes: make([][]uint64, len(p.lanes)), places: make([][]uint16, len(p.places))}
	for lane := range p.lanes {
		q.lanes[lane] = make([]uint64, len(these))
	}
	q.copyLanes(p, these)
	t.each.run(len(p.places), func(f int) {
		if p.places[f] != nil {
			q.places[f] = make([]uint16, len(these))
			for i, line := range these {
				q.places[f][i] = p.places[f][line]
			}
		}
	})
	for i, line := range these {
		s := p.lines.of(p.at(int(line)))
		if r := len(q.runs); r == 0 || q.runs[r-1].stratum != s {
			q.runs = append(q.runs, run{stratum: s, from: i})
		}
		q.runs[len(q.runs)-1].to = i + 1
	}
	return q
}

// copyLanes copies what these lines of another batch have in their lanes now.
func (p *batch) copyLanes(from *batch, these []uint32) {
	for lane, values := range from.lanes {
		for i, line := range these {
			p.lanes[lane][i] = values[line]
		}
	}
}

// scanned is how many lines one call of an executor looks through.
const scanned = 1 << 18

// inside lists the lines of a batch that lie in a slice.
func (p *batch) inside(slice Slice, each Executor) []uint32 {
	found := make([][]uint32, (p.len()+scanned-1)/scanned)
	each.run(len(found), func(chunk int) {
		from, to := chunk*scanned, min(p.len(), (chunk+1)*scanned)
		if p.order == nil {
			found[chunk] = inside(p.lines.codes, slice, from, to)
		} else {
			for i := from; i < to; i++ {
				if within(p.lines.codes, slice, p.at(i)) {
					found[chunk] = append(found[chunk], uint32(i))
				}
			}
		}
	})
	return slices.Concat(found...)
}

// within reports whether a line lies in a slice.
func within(codes [][]Code, slice Slice, line int) bool {
	for _, p := range slice {
		if !p.Holds(codes[p.Factor][line]) {
			return false
		}
	}
	return true
}

// inside lists the lines of a range that lie in a slice, going by one column after
// the other.
func inside(codes [][]Code, slice Slice, from, to int) []uint32 {
	var in []uint32
	for i, code := range codes[slice[0].Factor][from:to] {
		if slice[0].Holds(code) {
			in = append(in, uint32(from+i))
		}
	}
	for _, p := range slice[1:] {
		column := codes[p.Factor]
		in = slices.DeleteFunc(in, func(i uint32) bool { return !p.Holds(column[i]) })
	}
	return in
}
