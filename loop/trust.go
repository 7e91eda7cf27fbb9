package loop

import (
	"fmt"
	"slices"
)

// mixture is the shares of some parts, the base first, and the marginals of the
// one of them that is over the curriculum, if there is any.
type mixture struct {
	shares     []float64
	curriculum []Marginal
}

// step moves from the previous mixture towards the wanted one, as far as the
// trust region allows: new = (1-λ)·previous + λ·wanted with the greatest λ for
// which KL(new || previous) stays within it. The first part of what it returns is
// the base.
func (d *decision) step(want wanted) ([]boost, error) {
	parts, curriculum, err := d.wanted(want)
	if err != nil {
		return nil, err
	}
	protected := &d.protected
	parts = protected.join(d, parts)
	to, from := mixture{shares(parts), curriculum}, mixture{shares: []float64{0}}
	if d.previous != nil && d.previous.Quota(Train) > 0 && len(d.previous.Base) == d.space.nodes() {
		if parts, from, to, err = d.union(parts, curriculum); err != nil {
			return nil, err
		}
	}
	to.shares = protected.raise(parts, to.shares)
	if len(parts) > 1 && from.shares[0] > 0 {
		// What a person has protected since holds at once, as the base does.
		from.shares = protected.raise(parts, from.shares)
		if to, err = d.approach(parts, from, to, protected); err != nil {
			return nil, err
		}
	}
	to.shares = protected.raise(parts, divisible(to.shares))
	kept := parts[:0:0]
	for i := range parts {
		if parts[i].share = to.shares[i]; parts[i].share > 0 {
			kept = append(kept, parts[i])
			if parts[i].over == OverCurriculum {
				d.round.Curriculum = to.curriculum
			}
		}
	}
	return kept, nil
}

// wanted lists the parts of a wanted mixture with their shares, and the marginals
// of its curriculum.
func (d *decision) wanted(want wanted) (parts []boost, curriculum []Marginal, err error) {
	total := 0.0
	for _, b := range want.boosts {
		total += b.share
	}
	// The shares of a policy sum to 1 at most; what is beyond is rounding, but for a
	// curriculum, which has what base and boosts leave.
	room := 1 - d.policy.Shares.Base
	share := min(want.curriculum, room-total)
	if share >= d.policy.Shares.Smallest {
		curriculum = d.space.tilted(d.round.Base, want.tilt)
		accepted, err := d.feasibility.acceptance(curriculum)
		if err != nil {
			return nil, nil, err
		}
		if accepted < minAcceptance {
			d.round.Notes = append(d.round.Notes, fmt.Sprintf("The constraints leave %.2g of the curriculum, too little to draw from: its share stays with the base.", accepted))
			curriculum = nil
		}
	}
	parts = []boost{{over: OverBase, share: 1}}
	if curriculum != nil {
		parts = append(parts, boost{over: OverCurriculum, share: share})
	}
	for _, b := range want.boosts {
		b.over = OverBase
		parts = append(parts, b)
	}
	for _, b := range parts[1:] {
		parts[0].share -= b.share
	}
	parts[0].share = max(parts[0].share, d.policy.Shares.Base)
	return parts, curriculum, nil
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
// trust region allows. Shares blend linearly, and so the divergence is convex in λ
// and at most λ·KL(to || from): λ = limit/KL certifies a step. Bisection finds one
// that is several times larger. The marginals of a curriculum blend as its shares
// do, which is no longer linear; whatever bisection ends at is within the region.
func (d *decision) approach(parts []boost, from, to mixture, protected *protection) (mixture, error) {
	kl, err := d.compare(parts, from, to)
	if err != nil {
		return mixture{}, err
	}
	limit := d.policy.Shares.TrustRegion
	blend := func(lambda float64) mixture {
		m := mixture{shares: make([]float64, len(parts)), curriculum: to.curriculum}
		for i := range m.shares {
			was, is := (1-lambda)*from.shares[i], lambda*to.shares[i]
			m.shares[i] = was + is
			if parts[i].over == OverCurriculum && was > 0 {
				m.curriculum = d.space.blended(from.curriculum, to.curriculum, is/(was+is))
			}
		}
		return m
	}
	lambda := 1.0
	furthest, err := kl.of(to)
	if err != nil {
		return mixture{}, err
	}
	if furthest > limit {
		low, high := 0.0, 1.0
		for range 40 {
			middle := (low + high) / 2
			reached, err := kl.of(blend(middle))
			if err != nil {
				return mixture{}, err
			}
			if reached <= limit {
				low = middle
			} else {
				high = middle
			}
		}
		lambda = low
	}
	out := blend(lambda)
	reached, err := kl.of(out)
	if err != nil {
		return mixture{}, err
	}
	// What has become too small goes back to the base, unless even that is too
	// large a step, or takes from a protected slice.
	dropped := mixture{slices.Clone(out.shares), out.curriculum}
	for i := 1; i < len(parts); i++ {
		if dropped.shares[i] < d.policy.Shares.Smallest && (to.shares[i] == 0 || !parts[i].reason.held()) {
			dropped.shares[0] += dropped.shares[i]
			dropped.shares[i] = 0
		}
	}
	without, err := kl.of(dropped)
	if err != nil {
		return mixture{}, err
	}
	if (lambda == 1 || without <= limit) && protected.met(parts, dropped.shares) {
		out, reached = dropped, without
	}
	d.round.Step, d.round.KL = lambda, reached
	return out, nil
}

// union lists the parts of the previous and the wanted mixture together, with
// the shares of each of them in the one and in the other. Parts that quota_by
// split are one again; parts of the previous mixture that the space no longer
// has, or no longer can draw, are left out.
func (d *decision) union(wanted []boost, curriculum []Marginal) (parts []boost, from, to mixture, err error) {
	parts = slices.Clone(wanted)
	to = mixture{shares(parts), curriculum}
	from = mixture{shares: make([]float64, len(parts))}
	for i := range d.previous.Components {
		c := &d.previous.Components[i]
		if c.Domain != Train || len(c.Cover) > 0 {
			continue
		}
		at := slices.IndexFunc(parts, func(b boost) bool { return b.over == c.Over && b.cell.slice.Equal(c.Slice) })
		if c.Over == OverCurriculum && from.curriculum == nil {
			before := d.space.tilted(d.round.Base, d.space.tilt(d.previous.Base, d.previous.Curriculum))
			accepted, err := d.feasibility.acceptance(before)
			if err != nil {
				return nil, mixture{}, mixture{}, err
			}
			if accepted < minAcceptance {
				continue
			}
			if from.curriculum = before; to.curriculum == nil {
				to.curriculum = before
			}
		}
		if at < 0 {
			part := boost{over: c.Over, cell: cell{slice: c.Slice}}
			if c.Over == OverBase {
				if c.Reason == nil || d.space.ValidateSlice("", c.Slice) != nil {
					continue
				}
				drawable, err := d.feasibility.drawable(d.round.Base, c.Slice)
				if err != nil {
					return nil, mixture{}, mixture{}, err
				}
				if !drawable {
					continue
				}
				// A former boost on its way out keeps its evidence until it is gone, but
				// has no value any more.
				reason := *c.Reason
				reason.Value, reason.Protected, reason.Pin = 0, 0, nil
				part.reason = &reason
			}
			at = len(parts)
			parts = append(parts, part)
			from.shares, to.shares = append(from.shares, 0), append(to.shares, 0)
		}
		from.shares[at] += float64(c.Share) / whole
	}
	total := 0.0
	for _, share := range from.shares {
		total += share
	}
	if total == 0 {
		return parts, from, to, nil
	}
	for i := range from.shares {
		from.shares[i] /= total
	}
	return parts, from, to, nil
}
