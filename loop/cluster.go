package loop

import "gonum.org/v1/gonum/mathext"

// clusters is how the errors of rows vary between groups and within them, with
// weights scaled so that their sum is that of their squares: rows of one weight
// count as they are.
type clusters struct {
	rows, groups float64
	// size is that of a group, as the analysis of variance has it; mates is how many
	// rows of its own group a row has, itself among them, on average.
	size, mates float64
	// between and within are sums of squares; scale is that of weights.
	between, within, scale float64
}

// cluster sums over groups in order, given what a weight of 1 is worth in each
// stratum. A row that stands for itself is a group.
func (t *tally) cluster(rate float64, scale []float64) clusters {
	c := clusters{}
	var all stratum
	total, weights := 0.0, 0.0
	p := t.batches[0]
	lanes, spread := make([]uint64, t.lanes), make([]uint64, len(t.strata))
	at := 0
	for i := 0; i < p.len(); {
		clear(lanes)
		clear(spread)
		from := i
		for ; i < p.len() && p.group[i] == p.group[from]; i++ {
			if p.runs[at].to == i {
				at++
			}
			s := p.runs[at].stratum
			for lane, values := range t.lanesOf(p, s) {
				lanes[t.strata[s].lane+lane] += values[i]
			}
			if t.graded {
				spread[s] += p.spread[i]
			}
		}
		var g stratum
		rows, varies := 0.0, 0.0
		for s := range t.strata {
			n, sums := t.read(lanes, s)
			squares := sums.fails
			if t.graded {
				squares = float64(spread[s]) / t.strata[s].unitOfErrors(t, 1)
			}
			rows += n
			varies += scale[s] * (squares - 2*rate*sums.fails + rate*rate*sums.weight)
			g.add(scale[s]*sums.weight, scale[s]*sums.fails, scale[s]*scale[s]*sums.squares)
		}
		if rows == 0 {
			continue
		}
		all.add(g.weight, g.fails, g.squares)
		total += varies
		if p.group[from] == 0 {
			c.groups += g.weight
			c.mates += rows
			weights += g.squares
			c.between += varies
			continue
		}
		d := g.fails - g.weight*rate
		c.groups += g.squares / g.weight
		c.mates += rows * rows
		weights += g.weight * g.weight
		c.between += d * d / g.weight
	}
	c.scale = all.weight / all.squares
	c.rows, c.groups, c.mates = all.weight*c.scale, c.groups*c.scale, c.mates/t.rows
	c.within, c.between = (total-c.between)*c.scale, c.between*c.scale
	c.size = (c.rows - weights/all.squares) / (c.groups - 1)
	return c
}

// correlation is that of the errors of two rows of a group (one-way analysis of
// variance, unequal groups), after so much of the sums of squares is explained.
func (c *clusters) correlation(between, within float64) float64 {
	if c.groups < 3 || c.rows <= c.groups {
		return 1 // nothing tells groups from rows
	}
	means := max(0, c.between-between) / (c.groups - 2)
	rest := max(0, c.within-within) / (c.rows - c.groups)
	if means <= rest {
		return 0
	}
	return (means - rest) / (means + (c.size-1)*rest)
}

// effect is the design effect of rows of which each has so many of its group
// beside it, itself among them (Kish 1965).
func effect(mates, correlation float64) float64 { return 1 + max(0, mates-1)*correlation }

// grant gives a cell the design effect of the correlation of what is left once the
// cell's own failure rate is granted: a slice of whole groups that fails is no reason
// to think that groups differ. False where nothing is left to tell.
func (t *tally) grant(c *cell, rate float64) bool {
	g := &t.clusters
	share := c.rows / t.rows
	if share >= 1 || g.groups < 3 {
		return false
	}
	shift := (c.k/c.n - rate) / (1 - share)
	// Of what the cell's rate explains, the part between groups: all of it where
	// the cell consists of whole groups, none where every group has its share.
	explained, part := shift*shift*c.n*g.scale*(1-share), min(1, max(0, c.mates/g.mates-share)/(1-share))
	c.effect = effect(c.mates, g.correlation(explained*part, explained*(1-part))) * t.dispersion
	return true
}

// normalQuantile is the standard score that is exceeded with probability p.
func normalQuantile(p float64) float64 { return -mathext.NormalQuantile(max(p, 1e-300)) }

// studentTail is P(T >= x) of Student's t.
func studentTail(x, freedom float64) float64 {
	tail := mathext.RegIncBeta(freedom/2, .5, freedom/(freedom+x*x)) / 2
	if x < 0 {
		return 1 - tail
	}
	return tail
}

// meeting is how the rows of a cell fall into groups.
type meeting struct {
	// last is the group that was met last, here its rows so far.
	last, groups uint32
	here         uint64
	// squares sums the squares of groups' rows.
	squares float64
}

// meet adds a line's rows.
func (m *meeting) meet(group uint32, rows uint64) {
	if group == 0 {
		m.groups = uint32(min(uint64(m.groups)+rows, 1<<31))
		m.squares += float64(rows)
		return
	}
	if m.last != group {
		m.last, m.here = group, 0
		m.groups++
	}
	// (m+n)² - m² = (2m+n)·n: no square has to be closed when a group ends.
	m.squares += float64(2*m.here+rows) * float64(rows)
	m.here += rows
}

// meet adds a line to a cell's meetings.
func (t *tally) meet(m *meeting, p *batch, line int) {
	if rows := t.rowsOf(p, line); rows > 0 {
		m.meet(p.group[line], rows)
	}
}
