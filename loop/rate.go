package loop

import "math"

// Grouped sums rows by their groups, of n rows with k failures each: what a failure
// rate and its interval need to know of them.
type Grouped struct {
	Groups     float64
	N, K       float64 // Σn, Σk
	NN, NK, KK float64 // Σn², Σnk, Σk²
}

// Rate is the failure rate with its 95 % interval: Wilson's, for as many rows as
// would vary as much as the groups do, which are what is independent. Without a row
// it is anything.
func (g Grouped) Rate() Interval {
	if g.N <= 0 {
		return Interval{Lower: 0, Expected: 0, Upper: 1}
	}
	p := g.K / g.N
	// The jackknife's variance of Σk/Σn, but for terms of 1/groups².
	variance := max(0, g.KK-2*p*g.NK+p*p*g.NN) / (g.N * g.N)
	if g.Groups > 1 {
		variance *= g.Groups / (g.Groups - 1)
	}
	return proportion(p, variance, min(g.N, g.N*g.N/max(1, g.NN)))
}

// Above is by how much a rate is above another, of other rows (Newcombe 1998).
func (i Interval) Above(other Interval) Interval {
	d := i.Expected - other.Expected
	return Interval{
		Lower:    max(-1, d-math.Hypot(i.Expected-i.Lower, other.Upper-other.Expected)),
		Expected: d,
		Upper:    min(1, d+math.Hypot(i.Upper-i.Expected, other.Expected-other.Lower)),
	}
}
