package loop

import (
	"math"
	"slices"
)

// trustPoints is how many scenarios stand for each part of a mixture when the
// divergence between two mixtures is computed; fewer where there are so many
// parts that their densities would fill the memory.
func trustPoints(parts int) int { return max(8, min(512, 1<<23/(parts*parts))) }

// step moves from the previous mixture towards the wanted one, as far as the
// trust region allows: new = (1-λ)·previous + λ·wanted with the greatest λ for
// which KL(new || previous) stays within it. As the divergence is convex, it is
// at most λ·KL(wanted || previous), the closed form that certifies a step;
// bisection finds one that is several times larger. The first part of what it
// returns is the base.
func (d *decision) step(boosts []boost) ([]boost, error) {
	wanted := []boost{{share: 1}}
	for _, b := range boosts {
		wanted = append(wanted, b)
		wanted[0].share -= b.share
	}
	// Boosted ≤ 1 - Base by the policy; the rest of it is rounding.
	wanted[0].share = max(wanted[0].share, d.policy.Shares.Base)
	if d.previous == nil || d.previous.Quota(Train) == 0 || len(d.previous.Base) != len(d.space.Factors) {
		return wanted, nil
	}
	union, from, to, err := d.union(wanted)
	if err != nil {
		return nil, err
	}
	if len(union) == 1 || from[0] == 0 {
		return wanted, nil
	}
	divergence, err := d.divergence(union, from)
	if err != nil {
		return nil, err
	}
	limit := d.policy.Shares.TrustRegion
	blend := func(lambda float64) []float64 {
		shares := make([]float64, len(union))
		for i := range shares {
			shares[i] = (1-lambda)*from[i] + lambda*to[i]
		}
		return shares
	}
	lambda := 1.0
	if divergence(to) > limit {
		low, high := 0.0, 1.0
		for range 40 {
			if middle := (low + high) / 2; divergence(blend(middle)) <= limit {
				low = middle
			} else {
				high = middle
			}
		}
		lambda = low
	}
	shares := blend(lambda)
	// What has become too small goes back to the base, unless even that is too
	// large a step.
	dropped := slices.Clone(shares)
	for i := 1; i < len(dropped); i++ {
		if dropped[i] < d.policy.Shares.Smallest {
			dropped[0] += dropped[i]
			dropped[i] = 0
		}
	}
	if lambda == 1 || divergence(dropped) <= limit {
		shares = dropped
	}
	d.round.Step, d.round.KL = lambda, divergence(shares)
	kept := union[:0:0]
	for i := range union {
		if union[i].share = shares[i]; shares[i] > 0 {
			kept = append(kept, union[i])
		}
	}
	return kept, nil
}

// union lists the parts of the previous and the wanted mixture together, with
// the shares of each of them in the one and in the other. Parts that quota_by
// split are one again; parts of the previous mixture that the space no longer
// has, or no longer can draw, are left out.
func (d *decision) union(wanted []boost) (parts []boost, from, to []float64, err error) {
	parts = append([]boost(nil), wanted...)
	from, to = make([]float64, len(parts)), make([]float64, len(parts))
	for i := range parts {
		to[i] = parts[i].share
	}
	for i := range d.previous.Components {
		c := &d.previous.Components[i]
		if c.Domain != Train {
			continue
		}
		at := -1
		for j := range parts {
			if parts[j].cell.slice.Equal(c.Slice) {
				at = j
			}
		}
		if at < 0 {
			if c.Reason == nil || d.space.ValidateSlice("", c.Slice) != nil {
				continue
			}
			drawable, err := d.feasibility.drawable(d.round.Base, c.Slice)
			if err != nil {
				return nil, nil, nil, err
			}
			if !drawable {
				continue
			}
			// A former boost on its way out keeps its evidence until it is gone, but
			// has no value any more.
			reason := *c.Reason
			reason.Value = 0
			at = len(parts)
			parts = append(parts, boost{cell: cell{slice: c.Slice}, reason: &reason})
			from, to = append(from, 0), append(to, 0)
		}
		from[at] += float64(c.Share) / whole
	}
	total := 0.0
	for _, share := range from {
		total += share
	}
	if total == 0 {
		return parts, from, to, nil
	}
	for i := range from {
		from[i] /= total
	}
	return parts, from, to, nil
}

// divergence prepares KL(shares || from) in nats over the parts, by the same
// low-discrepancy points of every part for any shares.
func (d *decision) divergence(parts []boost, from []float64) (func(shares []float64) float64, error) {
	trial := Round{Campaign: d.budget.Campaign, Number: d.budget.Number, Seed: d.round.Seed, Base: d.round.Base, Target: d.round.Target}
	for i := range parts {
		trial.Components = append(trial.Components, Component{Domain: Train, Number: i, Over: OverBase, Slice: parts[i].cell.slice})
	}
	sampler, err := NewSampler(d.space, &trial)
	if err != nil {
		return nil, err
	}
	// densities[k][x][j] is part j's density at the x-th point of part k.
	densities := make([][][]float64, len(parts))
	for k := range parts {
		densities[k] = make([][]float64, trustPoints(len(parts)))
		for x := range densities[k] {
			scenario, err := sampler.draw(&sampler.parts[k], uint32(x))
			if err != nil {
				return nil, err
			}
			row := make([]float64, len(parts))
			for j := range row {
				row[j] = sampler.parts[j].density(scenario.Codes)
			}
			densities[k][x] = row
		}
	}
	return func(shares []float64) float64 {
		kl := 0.0
		for k := range densities {
			if shares[k] == 0 {
				continue
			}
			sum := 0.0
			for _, row := range densities[k] {
				q, p := 0.0, 0.0
				for j, density := range row {
					q += shares[j] * density
					p += from[j] * density
				}
				sum += math.Log(q / p)
			}
			kl += shares[k] * sum / float64(len(densities[k]))
		}
		return max(0, kl)
	}, nil
}
