package loop

import (
	"cmp"
	"slices"
)

// write writes the training components: the base and the boosts, with shares
// in 1/2^32 and quotas that sum to the budget exactly.
func (d *decision) write(mixture []boost) {
	if d.budget.Train == 0 {
		return
	}
	weights := make([]float64, len(mixture))
	for i, b := range mixture {
		weights[i] = b.share
	}
	shares := quantise(weights)
	for i, b := range mixture {
		d.round.Components = append(d.round.Components, Component{
			Domain: Train, Number: i, Over: b.over, Slice: b.cell.slice, Cover: b.rows, Share: shares.mass(i), Reason: b.reason,
		})
	}
	d.allocateTraining(d.round.Components)
	for i := range mixture {
		c := &d.round.Components[i]
		if len(c.Slice) == 0 {
			continue
		}
		d.remember(&mixture[i], c.Quota)
		if c.Reason != nil {
			c.Reason.Sentence = d.space.explain(c)
		}
	}
}

// allocateTraining spreads the budget: to a coverage, which stands last, one sample
// a row, and what that leaves to the others by their shares.
func (d *decision) allocateTraining(components []Component) {
	last := len(components) - 1
	rows := uint64(len(components[last].Cover))
	components[last].Quota = rows
	if rows > 0 {
		components = components[:last]
	}
	d.allocate(components, d.budget.Train-rows)
}

// allocate spreads n over components by their shares: the whole part of each,
// and what is left to the greatest remainders, earlier components first.
func (d *decision) allocate(components []Component, n uint64) {
	total := uint64(0)
	for i := range components {
		total += components[i].Share
	}
	type remainder struct {
		at   int
		rest uint64
	}
	rest := make([]remainder, len(components))
	left := n
	for i := range components {
		product := components[i].Share * n // both below 2^32, or exactly 2^32 once
		if components[i].Share == whole {
			components[i].Quota, rest[i] = n, remainder{i, 0}
		} else {
			components[i].Quota, rest[i] = product/total, remainder{i, product % total}
		}
		left -= components[i].Quota
	}
	slices.SortStableFunc(rest, func(a, b remainder) int { return cmp.Compare(b.rest, a.rest) })
	for i := range left {
		components[rest[i].at].Quota++
	}
}

// split divides every training component by the levels of QuotaBy, so that the
// counts per level end exact as well (C6).
func (d *decision) split() error {
	if d.budget.QuotaBy == "" {
		return nil
	}
	factor := d.space.Factor(d.budget.QuotaBy)
	var out []Component
	for _, c := range d.round.Components {
		if len(c.Cover) > 0 {
			out = append(out, c.coverBy(factor, len(d.space.Factors[factor].Levels))...)
			continue
		}
		if l := c.Slice.Level(factor); l >= 0 {
			c.By = &Predicate{Factor: factor, Level: l}
			out = append(out, c)
			continue
		}
		marginals := d.round.Base
		if c.Over == OverCurriculum {
			marginals = d.round.Curriculum
		}
		over, _ := d.space.condition(marginals, c.Slice)
		weights := make([]float64, len(d.space.Factors[factor].Levels))
		for l := range weights {
			inside, mass := d.space.condition(over, Slice{{Factor: factor, Level: l}})
			if inside == nil {
				continue
			}
			accepted, err := d.feasibility.acceptance(inside)
			if err != nil {
				return err
			}
			if accepted >= minAcceptance {
				weights[l] = mass * accepted
				continue
			}
			// The constraints all but forbid the level here. A boost or the curriculum
			// does without it; the base must not lose what the target has, nor a request
			// what was asked for.
			if accepted > 0 && (len(c.Slice) == 0 && c.Over != OverCurriculum || len(d.budget.Make) > 0) {
				return refuse("quota_by", "the constraints leave %.2g of %s; at least %g is needed for a quota of its own",
					accepted, d.space.Describe(c.Slice.With(Predicate{Factor: factor, Level: l})), minAcceptance).
					remedy("split by another factor, or forbid the level altogether")
			}
		}
		shares := quantise(weights)
		parts := make([]Component, 0, len(weights))
		for l := range weights {
			if shares.mass(l) == 0 {
				continue
			}
			part := c
			part.By = &Predicate{Factor: factor, Level: l}
			part.Share = shares.mass(l)
			parts = append(parts, part)
		}
		d.allocate(parts, c.Quota)
		apportion(parts, c.Share)
		out = append(out, parts...)
	}
	for i := range out {
		out[i].Number = i
	}
	d.round.Components = out
	return nil
}

// evaluation appends the evaluation components: the target, then one for each
// training component so that together they are the mixture, then pinned sets.
func (d *decision) evaluation() {
	plan := d.budget.Evaluation
	training := len(d.round.Components)
	add := func(c Component) {
		c.Domain = Evaluation
		c.Number = len(d.round.Components) - training
		d.round.Components = append(d.round.Components, c)
	}
	// What finds no suspect goes to the target.
	target, probed := plan.Target, d.round.Memory.Probed
	if len(probed) == 0 {
		target += plan.Probe
	}
	if target > 0 {
		add(Component{Over: OverTarget, Share: whole, Quota: target, Source: SourceTarget})
	}
	if plan.Mixture > 0 && training > 0 {
		parts := slices.Clone(d.round.Components[:training])
		stable, canary := parts, uint64(0)
		if k := d.round.Canary; k != nil {
			at := slices.IndexFunc(parts, func(c Component) bool { return c.Canary })
			canary = canaryPart(plan.Mixture, k.Share)
			d.allocate(parts[at:], canary)
			stable = parts[:at]
		}
		d.allocate(stable, plan.Mixture-canary)
		for _, c := range parts {
			if c.Quota > 0 {
				c.Reason, c.Source = nil, SourceMixture
				add(c)
			}
		}
	}
	for i, p := range probed {
		quota := plan.Probe / uint64(len(probed))
		if uint64(i) < plan.Probe%uint64(len(probed)) {
			quota++
		}
		add(Component{Over: OverTarget, Slice: p.Slice, Share: whole, Quota: quota, Source: SourceProbe})
	}
	for _, p := range plan.Pinned {
		add(Component{Over: OverTarget, Slice: p.Slice, Share: whole, Quota: p.Count, Source: SourcePinned})
	}
}
