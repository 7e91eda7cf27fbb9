package loop

import "math"

// boost is a slice with the share that it is to have; without a predicate, the base
// itself or the curriculum over it.
type boost struct {
	over   Over
	cell   cell
	share  float64
	reason *Reason
	// rows are the slices of which a coverage makes one sample each; nil for any other
	// part.
	rows []Slice
}

// targetRate is the failure rate of the rows drawn from the target, or the
// overall rate where there are none.
func (f *searcher) targetRate(overall float64) float64 {
	sums := make([]stratum, len(f.discount))
	for i := range f.weight {
		if f.evidence.Source[i] == SourceTarget {
			sums[f.strata[i]].add(f.weight[i], f.fails[i], f.squares[i])
		}
	}
	n, k := pool(sums, f.discount)
	if n == 0 {
		return overall
	}
	return k / n
}

// smoothing is how many rows at the overall rate a slice's rate is drawn
// towards.
const smoothing = 8

// value weighs a slice: v = risk · π(s)^(1-b) · max(0, rate - goal) · damping.
// With an error that falls like n^-a the marginal gain of a sample is in
// proportion to a·excess/n, which such shares make equal over slices.
func (d *decision) value(c cell, overall, goal float64) (boost, error) {
	prevalence, err := d.feasibility.mass(d.round.Target, c.slice)
	if err != nil {
		return boost{}, err
	}
	drawable, err := d.feasibility.drawable(d.round.Base, c.slice)
	if err != nil {
		return boost{}, err
	}
	damping, quarantined := 1.0, false
	if m := d.round.Memory.find(c.slice); m != nil {
		damping, quarantined = m.Damping, m.Quarantined
	}
	reason := &Reason{
		Support: c.n, Rate: (c.k + smoothing*overall) / (c.n + smoothing),
		Z: c.z, P: c.p, Q: c.q, Prevalence: prevalence, Risk: d.risk(c.slice), Damping: damping,
	}
	reason.Lift = reason.Rate / overall
	if goal > 0 {
		reason.Lift = reason.Rate / goal
	}
	d.count(reason, c.slice)
	// What does not occur in deployment, or cannot be drawn, is not boosted.
	if prevalence > 0 && drawable && !quarantined && !banned(d.protected.bans, c.slice) {
		reason.Value = reason.Risk * math.Pow(prevalence, 1-d.policy.Shares.Prevalence) * max(0, reason.Rate-goal) * damping
	}
	return boost{cell: c, reason: reason}, nil
}

// count fills in what the newest model version did in a slice.
func (d *decision) count(reason *Reason, slice Slice) {
	met := make(map[uint32]bool)
	for i := range d.evidence.Len() {
		if d.evidence.Age[i] == 0 && matchesLine(d.evidence, slice, i) {
			reason.Rows += d.evidence.Rows[i]
			if group := d.evidence.Group[i]; group == 0 {
				reason.Groups += d.evidence.Rows[i]
			} else if !met[group] {
				met[group] = true
				reason.Groups++
			}
			reason.Failures += d.evidence.Failures[i]
		}
	}
	reason.Lower, reason.Upper = wilson(float64(reason.Failures), float64(reason.Rows))
}

// risk is the greatest risk weight of a slice that contains this one.
func (d *decision) risk(slice Slice) float64 {
	weight, named := 1.0, false
	for _, r := range d.space.Risks {
		inside := true
		for _, p := range r.Slice {
			inside = inside && slice.Level(p.Factor) == p.Level
		}
		if inside && (!named || r.Weight > weight) {
			weight, named = r.Weight, true
		}
	}
	return weight
}

// wilson is the 95 % score interval of a proportion (Wilson 1927).
func wilson(k, n float64) (lower, upper float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p := k / n
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, centre-half), min(1, centre+half)
}
