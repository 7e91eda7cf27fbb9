package loop

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// clusters is how the errors of rows vary between groups and within them.
type clusters struct {
	rows, groups float64
	// mates is how many rows of its own group a row has, itself among them, on
	// average; size is a group's, as the analysis of variance has it.
	mates, size float64
	// between and within are sums of squares.
	between, within float64
}

func (t *tally) cluster(rate, rows float64) clusters {
	c := clusters{rows: rows}
	total := 0.0
	for i := 0; i < len(t.group); {
		var sum uint64
		from := i
		for ; i < len(t.group) && t.group[i] == t.group[from]; i++ {
			if add := t.add[i]; add > 0 {
				sum += add
				e := float64(add&(1<<rowShift-1))/t.unit - rate
				total += e * e
			}
		}
		if m := float64(sum >> rowShift); m > 0 {
			d := float64(sum&(1<<rowShift-1))/t.unit - m*rate
			c.groups++
			c.mates += m * m / rows
			c.between += d * d / m
		}
	}
	c.within = total - c.between
	c.size = (rows - c.mates) / (c.groups - 1)
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

// testClustered tests a cell with the correlation of what is left once the cell's
// own failure rate is granted: a slice of whole groups that fails is no reason
// to think that groups differ. As many groups as there are have to tell what
// variance is, so the tail is that of Student's t.
func (t *tally) testClustered(c *cell, rate float64) {
	g, mates := &t.clusters, float64(t.orders[c.order-1].mates[c.place])
	share := c.n / g.rows
	if share >= 1 {
		return
	}
	shift := (c.k/c.n - rate) / (1 - share)
	// Of what the cell's rate explains, the part between groups: all of it where
	// the cell consists of whole groups, none where every group has its share.
	explained, part := shift*shift*c.n*(1-share), min(1, max(0, mates/g.mates-share)/(1-share))
	design := t.dispersion * effect(mates, g.correlation(explained*part, explained*(1-part)))
	c.z = c.excess(rate) / math.Sqrt(c.n*design*rate*(1-rate))
	if c.z < t.settings.MinimumZ {
		return
	}
	c.p = studentTail(normalQuantile(t.tail(c, design, rate)), g.groups-2)
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
