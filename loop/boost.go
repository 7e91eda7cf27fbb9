package loop

import "math"

// boost is a slice with the share that it is to have; without a predicate, the base
// itself or the curriculum over it.
type boost struct {
	over   Over
	cell   cell
	share  float64
	reason *Reason
	// worth is the slice's value, had it not been damped.
	worth float64
	// lesson is the one that the reason is of; nil for what no lesson asks for.
	lesson *lesson
	// rows are the slices of which a coverage makes one sample each; nil for any other
	// part.
	rows []Slice
}

// smoothing is how many rows at the overall rate a slice's rate is drawn
// towards.
const smoothing = 8

// value weighs a slice: v = risk · π(s)^(1-b) · max(0, rate - goal) · damping /
// cost. With an error that falls like n^-a the marginal gain of a sample is in
// proportion to a·excess/n, which such shares make equal over slices.
func (d *decision) value(c cell, l *lesson) (boost, error) {
	prevalence, err := d.feasibility.mass(d.round.Target, c.slice)
	if err != nil {
		return boost{}, err
	}
	drawable, err := d.feasibility.drawable(d.round.Base, c.slice)
	if err != nil {
		return boost{}, err
	}
	reason := &Reason{
		Support: c.n, Rate: (c.k + smoothing*l.overall) / (c.n + smoothing),
		Z: c.z, P: c.p, Q: c.q, Prevalence: prevalence, Risk: d.risk(c.slice), Damping: 1, Cost: d.cost(c.slice),
	}
	now := l.count(c.slice, nil)
	quarantined := false
	if m := d.round.Memory.find(c.slice); m != nil {
		d.revive(m, &c, l)
		reason.Damping, quarantined = m.Damping, m.Quarantined
		reason.Since, reason.Progress = m.Round, ratio(m.AnchorFailures, m.AnchorRows)-now.rate()
	}
	reason.Lift = reason.Rate / l.overall
	if l.goal > 0 {
		reason.Lift = reason.Rate / l.goal
	}
	reason.fill(&now, l)
	b := boost{cell: c, reason: reason, lesson: l}
	// What does not occur in deployment, cannot be drawn or is banned is not boosted.
	if prevalence > 0 && drawable && !banned(d.protected.bans, c.slice) {
		b.worth = reason.Risk * math.Pow(prevalence, 1-d.policy.Shares.Prevalence) * max(0, reason.Rate-l.goal) / reason.Cost
	}
	if !quarantined {
		reason.Value = b.worth * reason.Damping
	}
	return b, nil
}

// fill says what the newest model version did in a slice.
func (r *Reason) fill(c *counted, l *lesson) {
	r.Rows, r.Groups, r.Failures = c.rows, c.groups, c.failures
	r.Effective, r.Measured = c.worth, c.rate()
	r.Lower, r.Upper = alwaysValid(c.failed, c.worth)
	if l.learned.Graded() {
		r.Graded = &Grade{Unit: l.learned.Unit, Best: l.learned.Best, Cap: l.learned.Cap}
	}
	if l.learned.Unit != "" && c.rows > 0 {
		r.Loss = &Loss{Metric: l.learned.Metric, Unit: l.learned.Unit, Slice: c.loss, Deployment: l.loss}
	}
}

// count fills in what the newest version did in a slice, in the first lesson.
func (d *decision) count(reason *Reason, slice Slice) {
	l := d.lessons()[0]
	c := l.count(slice, nil)
	reason.fill(&c, l)
}

// risk is the greatest risk weight of a slice that contains this one.
func (d *decision) risk(slice Slice) float64 {
	weight, named := 1.0, false
	for _, r := range d.space.Risks {
		if slice.Within(r.Slice) && (!named || r.Weight > weight) {
			weight, named = r.Weight, true
		}
	}
	return weight
}
