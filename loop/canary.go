package loop

import (
	"errors"
	"math"
	"slices"
)

// Arms are the policies that a campaign follows: a stable one and, where another
// is tried beside it, a canary. A round of both draws its samples from two
// mixtures, each decided by its own policy from the same evidence, and holds what
// each policy promises, of the samples of its arm.
//
// One model is trained on what both make: whatever it learns, nothing says from
// which of the two. What tells them apart is what they make and how the model
// fails on it (see Contrast).
type Arms struct {
	Stable *Policy
	// Canary is nil where there is none.
	Canary *Policy
	// Share is the canary's part of every round's training samples, and of what is
	// evaluated of their mixture, in micro-units.
	Share uint32
}

// The bounds of a canary's share, in micro-units: a smaller one would show nothing,
// a greater one would be the policy that the campaign follows.
const (
	LeastCanary = MicroUnits / 1000
	MostCanary  = MicroUnits / 2
)

// ValidateCanary refuses a share that no canary has.
func ValidateCanary(share uint32) error {
	if share < LeastCanary || share > MostCanary {
		return refuse("canary", "%s is not the share of a canary", percent(float64(share)/MicroUnits)).
			remedy("%s to %s", percent(float64(LeastCanary)/MicroUnits), percent(float64(MostCanary)/MicroUnits))
	}
	return nil
}

// CanaryArm is what a round keeps of its canary, beside the components.
type CanaryArm struct {
	PolicyVersion int    `json:"policy_version"`
	Strategy      string `json:"strategy"`
	// Share is what was asked for, in micro-units; the components' shares are of the
	// round, in whole samples.
	Share uint32 `json:"share"`
	// Base and Curriculum are what its components are drawn over. Base is nil where it
	// is the round's.
	Base       []Marginal `json:"base,omitempty"`
	Curriculum []Marginal `json:"curriculum,omitempty"`
	// Step, KL, Memory and Notes are as those of a round.
	Step   float64  `json:"step"`
	KL     float64  `json:"kl"`
	Memory Memory   `json:"memory"`
	Notes  []string `json:"notes,omitempty"`
}

// Decide is Decide for a campaign that may have a canary. Each arm moves from its
// own last mixture, and remembers what it has made itself; a canary that is new
// begins where the stable arm stands. Probes are the stable arm's, and both learn
// from them. A round of fewer than two training samples has no room for a canary.
func (a Arms) Decide(s *Space, previous *Round, e *Evidence, b Budget, seed uint64) (Round, error) {
	if a.Canary == nil || b.Train < 2 || len(b.Make) > 0 {
		return Decide(s, a.Stable, previous, e, b, seed)
	}
	if err := ValidateCanary(a.Share); err != nil {
		return Round{}, err
	}
	stable, canary := b, b
	canary.Train, canary.Evaluation = canaryPart(b.Train, a.Share), EvaluationPlan{}
	stable.Train -= canary.Train
	d, err := decideTraining(s, a.Stable, previous.Arm(false), a.Stable.asked(e), stable, seed)
	if err != nil {
		return Round{}, err
	}
	if e != nil && e.Len() > 0 && a.Stable.asked(e) != e {
		d.round.Evidence = e.Digest()
	}
	tried, err := decideTraining(s, a.Canary, previous.Arm(true), a.Canary.asked(e), canary, seed)
	if err != nil {
		if refused, ok := errors.AsType[*Error](err); ok {
			told := *refused
			told.Problem = "the canary: " + refused.Problem
			return Round{}, &told
		}
		return Round{}, err
	}
	if err := d.round.join(tried.round, a.Share); err != nil {
		return Round{}, err
	}
	d.budget = b
	return d.complete()
}

// asked is evidence that was taken for two policies as one of them asks for it:
// without the time that samples took, unless that is of value to it.
func (p *Policy) asked(e *Evidence) *Evidence {
	timed := func(m Made) bool { return m.Millis != 0 }
	if e == nil || p.Value.Cost && p.Value.Time || !slices.ContainsFunc(e.Made, timed) {
		return e
	}
	own := *e
	own.Made = slices.Clone(e.Made)
	for i := range own.Made {
		own.Made[i].Millis = 0
	}
	return &own
}

// canaryPart is the canary's part of n samples: no sample more than its share, but
// one at least, of two or more.
func canaryPart(n uint64, share uint32) uint64 {
	if n < 2 {
		return 0
	}
	return max(1, n*uint64(share)/MicroUnits)
}

// join makes a round of two, which have training components alone: those of the
// canary stand after those of the round, and the shares of each arm sum to its part
// of all the samples.
func (r *Round) join(canary *Round, share uint32) error {
	tried, all := canary.Quota(Train), canary.Quota(Train)+r.Quota(Train)
	part := tried * whole / all // tried is half of all at most, so below 2^31
	for _, arm := range []struct {
		components []Component
		share      uint64
	}{{r.Components, whole - part}, {canary.Components, part}} {
		if uint64(len(arm.components)) > arm.share {
			return refuse("canary", "%d components are too many for a share of %d/2^32", len(arm.components), arm.share).
				remedy("a greater share, or a quota_by of fewer levels")
		}
		apportion(arm.components, arm.share)
	}
	for _, c := range canary.Components {
		c.Number, c.Canary = len(r.Components), true
		r.Components = append(r.Components, c)
	}
	r.Canary = &CanaryArm{PolicyVersion: canary.PolicyVersion, Strategy: canary.Strategy, Share: share,
		Curriculum: canary.Curriculum, Step: canary.Step, KL: canary.KL, Memory: canary.Memory, Notes: canary.Notes}
	if !slices.EqualFunc(r.Base, canary.Base, slices.Equal[Marginal]) {
		r.Canary.Base = canary.Base
	}
	return nil
}

// apportion gives components a share together, each in proportion to its own
// without losing a unit of it; every one keeps one at least.
func apportion(components []Component, share uint64) {
	total := uint64(0)
	for i := range components {
		total += components[i].Share
	}
	given, upTo := uint64(0), 0.0
	for i := range components {
		upTo += float64(components[i].Share) / float64(total)
		next := uint64(math.Round(float64(share) * upTo))
		next = max(next, given+1)
		next = min(next, share-uint64(len(components)-1-i))
		components[i].Share = next - given
		given = next
	}
}

// Arm is one arm of a round, as a round of its own: its training components, which
// keep their names and scenarios, and the evaluation of its mixture. It is what the
// arm's next decision goes on from. A round without a canary is either arm of it;
// nil is one of nil.
func (r *Round) Arm(canary bool) *Round {
	if r == nil || r.Canary == nil {
		return r
	}
	arm := *r
	arm.Canary, arm.Components, arm.Effective = nil, nil, 0
	if k := r.Canary; canary {
		arm.PolicyVersion, arm.Strategy, arm.Curriculum = k.PolicyVersion, k.Strategy, k.Curriculum
		arm.Step, arm.KL, arm.Memory, arm.Notes = k.Step, k.KL, k.Memory, k.Notes
		arm.Memory.Probed = r.Memory.Probed // one set of probes tells both
		if k.Base != nil {
			arm.Base = k.Base
		}
	}
	training := 0
	for _, c := range r.Components {
		if c.Canary != canary {
			continue
		}
		c.Canary = false
		if arm.Components = append(arm.Components, c); c.Domain == Train {
			training++
		}
	}
	apportion(arm.Components[:training], whole)
	return &arm
}

// marginals are all that the round's components may be drawn over.
func (r *Round) marginals() [][]Marginal {
	all := [][]Marginal{r.Base, r.Target}
	optional := [][]Marginal{r.Curriculum}
	if r.Canary != nil {
		optional = append(optional, r.Canary.Base, r.Canary.Curriculum)
	}
	for _, marginals := range optional {
		if marginals != nil {
			all = append(all, marginals)
		}
	}
	return all
}

// over are the marginals that a component is drawn over; nil where the round has
// none of them.
func (r *Round) over(c *Component) []Marginal {
	switch {
	case c.Over == OverTarget:
		return r.Target
	case c.Over == OverCurriculum && c.Canary:
		return r.Canary.Curriculum
	case c.Over == OverCurriculum:
		return r.Curriculum
	case c.Canary && r.Canary.Base != nil:
		return r.Canary.Base
	}
	return r.Base
}
