package loop

import (
	"math"
	"slices"
)

// trustPoints is how many scenarios stand for each part of a mixture when the
// divergence between two mixtures is computed: it is then within .01 nats and 2 %
// of the exact one, mostly far nearer. I9's trust region is held to that.
const trustPoints = 4096

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
	protected, err := d.protection()
	if err != nil {
		return nil, err
	}
	wanted = protected.join(d, wanted)
	parts, from, to := wanted, []float64{0}, shares(wanted)
	if d.previous != nil && d.previous.Quota(Train) > 0 && len(d.previous.Base) == len(d.space.Factors) {
		if parts, from, to, err = d.union(wanted); err != nil {
			return nil, err
		}
	}
	to = protected.raise(parts, to)
	if len(parts) > 1 && from[0] > 0 {
		// What a person has protected since holds at once, as the base does.
		if to, err = d.approach(parts, protected.raise(parts, from), to, &protected); err != nil {
			return nil, err
		}
	}
	to = protected.raise(parts, divisible(to))
	kept := parts[:0:0]
	for i := range parts {
		if parts[i].share = to[i]; to[i] > 0 {
			kept = append(kept, parts[i])
		}
	}
	d.round.Notes = append(d.round.Notes, protected.note(kept, shares(kept))...)
	return kept, nil
}

// leastShare is the least share of a component: so many times 2^-32 that
// quota_by can divide it among the levels of any factor.
const leastShare = 1e-6

// divisible gives what is less than the least share back to the base.
func divisible(shares []float64) []float64 {
	for i := 1; i < len(shares); i++ {
		if shares[i] < leastShare {
			shares[0] += shares[i]
			shares[i] = 0
		}
	}
	return shares
}

func shares(parts []boost) []float64 {
	shares := make([]float64, len(parts))
	for i := range parts {
		shares[i] = parts[i].share
	}
	return shares
}

// approach goes from one mixture of the parts towards another, as far as the
// trust region allows.
func (d *decision) approach(parts []boost, from, to []float64, protected *protection) ([]float64, error) {
	divergence, err := d.divergence(parts, from)
	if err != nil {
		return nil, err
	}
	limit := d.policy.Shares.TrustRegion
	blend := func(lambda float64) []float64 {
		shares := make([]float64, len(parts))
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
	// large a step, or takes from a protected slice.
	dropped := slices.Clone(shares)
	for i := 1; i < len(dropped); i++ {
		if dropped[i] < d.policy.Shares.Smallest && (to[i] == 0 || parts[i].reason.Protected == 0) {
			dropped[0] += dropped[i]
			dropped[i] = 0
		}
	}
	if (lambda == 1 || divergence(dropped) <= limit) && protected.met(parts, dropped) {
		shares = dropped
	}
	d.round.Step, d.round.KL = lambda, divergence(shares)
	return shares, nil
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
			reason.Value, reason.Protected = 0, 0
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

// divergence prepares KL(shares || from) in nats over the parts, from the same
// low-discrepancy points of every part for any shares. All parts are the base
// inside some slice, so two mixtures differ at a point only by which slices it
// lies in: what is needed is the probability of each such pattern in the base.
func (d *decision) divergence(parts []boost, from []float64) (func(shares []float64) float64, error) {
	trial := Round{Campaign: d.budget.Campaign, Number: d.budget.Number, Seed: d.round.Seed, Base: d.round.Base, Target: d.round.Target}
	relative := make([]float64, len(parts)) // density over the base's, inside the slice
	for i := range parts {
		slice := parts[i].cell.slice
		trial.Components = append(trial.Components, Component{Domain: Train, Number: i, Over: OverBase, Slice: slice})
		mass, err := d.feasibility.mass(d.round.Base, slice)
		if err != nil {
			return nil, err
		}
		relative[i] = 1 / mass
	}
	sampler, err := NewSampler(d.space, &trial)
	if err != nil {
		return nil, err
	}
	type pattern struct {
		inside []int // the parts that its points lie in, the base first
		p      float64
	}
	var patterns []pattern
	known := make(map[string]int)
	matches := make([]byte, len(parts))
	for k := range parts {
		// Points that share a value would stand for fewer.
		sampler.parts[k].sticky = nil
		for x := range uint32(trustPoints) {
			scenario, err := sampler.draw(&sampler.parts[k], x)
			if err != nil {
				return nil, err
			}
			for j := range parts {
				matches[j] = 0
				if parts[j].cell.slice.Matches(scenario.Codes) {
					matches[j] = 1
				}
			}
			at, ok := known[string(matches)]
			if !ok {
				at = len(patterns)
				known[string(matches)] = at
				patterns = append(patterns, pattern{})
				for j, match := range matches {
					if match == 1 {
						patterns[at].inside = append(patterns[at].inside, j)
					}
				}
			}
			patterns[at].p++
		}
	}
	// Every part that can show a pattern has shown it in proportion to its density
	// there: the balance heuristic (Veach 1997). What lies in no slice is the rest.
	rest := 1.0
	for i := range patterns {
		density := 0.0
		for _, j := range patterns[i].inside {
			density += relative[j]
		}
		patterns[i].p /= density * trustPoints
		if len(patterns[i].inside) > 1 {
			rest -= patterns[i].p
		}
	}
	for i := range patterns {
		if len(patterns[i].inside) == 1 {
			patterns[i].p = max(0, rest)
		}
	}
	return func(shares []float64) float64 {
		kl := 0.0
		for i := range patterns {
			q, p := 0.0, 0.0
			for _, j := range patterns[i].inside {
				q += shares[j] * relative[j]
				p += from[j] * relative[j]
			}
			if q > 0 {
				kl += patterns[i].p * q * math.Log(q/p)
			}
		}
		return max(0, kl)
	}, nil
}
