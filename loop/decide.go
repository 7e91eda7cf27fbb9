package loop

import (
	"cmp"
	"math"
	"slices"
)

// Budget is what one round may ask for.
type Budget struct {
	Campaign string
	// Number of the round, from 1.
	Number int
	// Train is the number of training samples.
	Train      uint64
	Evaluation EvaluationPlan
	// QuotaBy is the factor by whose levels training components are split.
	QuotaBy string
}

// Decide turns evidence into the next round. It is a pure function: what
// damping must remember lives in previous.Memory, so these arguments are all it
// needs, and equal arguments give equal canonical bytes (I4). previous is nil
// for the first round, e nil where there is no evidence yet. Refused arguments
// are an *Error.
//
// Until the newest model version has Policy.MinimumRows rows of evidence the
// round stays on the base; so a campaign starts uniform by itself.
func Decide(s *Space, p *Policy, previous *Round, e *Evidence, b Budget, seed uint64) (Round, error) {
	if err := p.Validate(); err != nil {
		return Round{}, err
	}
	if e == nil {
		e = &Evidence{}
	}
	if err := e.Validate(s); err != nil {
		return Round{}, err
	}
	if b.Number < 1 || b.Train >= MaxQuota {
		return Round{}, refuse("budget", "round %d of %d samples", b.Number, b.Train)
	}
	r := Round{
		Campaign: b.Campaign, Number: b.Number, Seed: seed,
		SpaceVersion: s.Version, PolicyVersion: p.Version, Strategy: p.Strategy,
		EvidenceRows: e.TotalRows(),
		Base:         s.baseMarginals(p.Floor), Target: s.targetMarginals(),
		Step: 1,
	}
	if e.Len() > 0 {
		r.Evidence = e.Digest()
	}
	if previous != nil {
		r.Memory = previous.Memory.clone()
	}
	if p.Strategy == StrategyUniform {
		r.Base = s.baseMarginals(1)
	}
	d := decision{space: s, policy: p, previous: previous, evidence: e, budget: b, round: &r,
		feasibility: s.feasibility()}
	if err := d.decide(); err != nil {
		return Round{}, err
	}
	return r, nil
}

// decision is one run of Decide.
type decision struct {
	space    *Space
	policy   *Policy
	previous *Round
	evidence *Evidence
	budget   Budget
	round    *Round

	feasibility *feasibility
}

func (d *decision) decide() error {
	var boosts []boost
	if d.policy.Strategy == StrategyHone && d.budget.Train > 0 {
		var err error
		if boosts, err = d.boosts(); err != nil {
			return err
		}
	}
	mixture, err := d.step(boosts)
	if err != nil {
		return err
	}
	d.train(mixture)
	if err := d.split(); err != nil {
		return err
	}
	d.evaluation()
	for i := range d.round.Memory.Slices {
		if m := &d.round.Memory.Slices[i]; m.Sentence != "" {
			d.round.Notes = append(d.round.Notes, m.Sentence)
		}
	}
	_, err = NewSampler(d.space, d.round) // refuses a component that cannot be drawn
	return err
}

// boost is a slice with the share that it is to have.
type boost struct {
	cell   cell
	share  float64
	reason *Reason
}

// boosts finds the failing slices and gives each its share of the mixture.
func (d *decision) boosts() ([]boost, error) {
	newest := int64(0)
	for i := range d.evidence.Len() {
		if d.evidence.Age[i] == 0 {
			newest += d.evidence.Rows[i]
		}
	}
	if newest < int64(d.policy.MinimumRows) {
		return nil, nil
	}
	d.round.Memory.judge(d.space, d.policy.Damping, d.evidence)
	f := newSearcher(d.space, d.policy.Search, d.evidence, d.policy.Memory, d.policy.Window)
	overall, _ := f.rate()
	d.round.FailureRate = overall
	goal := f.targetRate(overall)
	for _, m := range d.round.Memory.Slices {
		if m.Quarantined {
			f.remove(m.Slice)
		}
	}
	var boosts []boost
	total := 0.0
	for _, c := range f.cover() {
		b, err := d.value(c, overall, goal)
		if err != nil {
			return nil, err
		}
		if b.reason.Value > 0 {
			boosts = append(boosts, b)
			total += b.reason.Value
		}
	}
	if total == 0 {
		return nil, nil
	}
	// S = min(S_max, Σv/(Σv + target error)): where little fails beyond the
	// average, little is taken from the bulk.
	boosted := d.policy.Shares.Boosted
	if d.policy.Shares.Prevalence < 1 {
		boosted = min(boosted, total/(total+goal))
	}
	kept := boosts[:0]
	for _, b := range boosts {
		b.share = min(d.policy.Shares.Cap*b.reason.Damping, boosted*b.reason.Value/total)
		if b.share >= d.policy.Shares.Smallest {
			kept = append(kept, b)
		}
	}
	return kept, nil
}

// targetRate is the failure rate of the rows drawn from the target, or the
// overall rate where there are none.
func (f *searcher) targetRate(overall float64) float64 {
	n, k := 0.0, 0.0
	for i := range f.weight {
		if f.evidence.Source[i] == SourceTarget {
			n += f.weight[i]
			k += f.fails[i]
		}
	}
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
	inBase, err := d.feasibility.mass(d.round.Base, c.slice)
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
	for i := range d.evidence.Len() {
		if d.evidence.Age[i] == 0 && matchesLine(d.evidence, c.slice, i) {
			reason.Rows += d.evidence.Rows[i]
			reason.Groups += d.evidence.Groups[i]
			reason.Failures += d.evidence.Failures[i]
		}
	}
	reason.Lower, reason.Upper = wilson(float64(reason.Failures), float64(reason.Rows))
	// A slice that has no mass to draw from, or that the constraints all but
	// forbid, cannot be boosted.
	if prevalence > 0 && inBase >= minAcceptance*1e-6 && !quarantined {
		reason.Value = reason.Risk * math.Pow(prevalence, 1-d.policy.Shares.Prevalence) * max(0, reason.Rate-goal) * damping
	}
	return boost{cell: c, reason: reason}, nil
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

// train writes the training components: the base and the boosts, with shares
// in 1/2^32 and quotas that sum to the budget exactly.
func (d *decision) train(mixture []boost) {
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
			Domain: Train, Number: i, Over: OverBase, Slice: b.cell.slice, Share: shares.mass(i), Reason: b.reason,
		})
	}
	d.allocate(d.round.Components, d.budget.Train)
	for i := range mixture {
		c := &d.round.Components[i]
		if len(c.Slice) == 0 {
			continue
		}
		d.round.Memory.remember(&mixture[i].cell, d.budget.Number, c.Quota)
		if c.Reason != nil {
			c.Reason.Sentence = d.space.explain(c)
		}
	}
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
	if factor < 0 || d.space.Factors[factor].When != nil {
		return refuse("quota_by", "%q is not a factor that is always present", d.budget.QuotaBy)
	}
	var out []Component
	for _, c := range d.round.Components {
		if l := c.Slice.Level(factor); l >= 0 {
			c.By = &Predicate{Factor: factor, Level: l}
			out = append(out, c)
			continue
		}
		over, _ := d.space.condition(d.round.Base, c.Slice)
		weights := make([]float64, len(d.space.Factors[factor].Levels))
		for l := range weights {
			inside, mass := d.space.condition(over, Slice{{factor, l}})
			if inside == nil {
				continue
			}
			accepted, err := d.feasibility.acceptance(inside)
			if err != nil {
				return err
			}
			weights[l] = mass * accepted
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
		weights = weights[:0]
		for i := range parts {
			weights = append(weights, float64(parts[i].Share))
		}
		// The component's own share, divided without losing a unit of it.
		given := uint64(0)
		for i := range parts {
			upTo := c.Share
			if i < len(parts)-1 {
				upTo = min(c.Share, given+uint64(math.Round(float64(c.Share)*float64(parts[i].Share)/whole)))
			}
			parts[i].Share = upTo - given
			given = upTo
		}
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
	if plan.Target > 0 {
		add(Component{Over: OverTarget, Share: whole, Quota: plan.Target, Source: SourceTarget})
	}
	if plan.Mixture > 0 && training > 0 {
		parts := slices.Clone(d.round.Components[:training])
		d.allocate(parts, plan.Mixture)
		for _, c := range parts {
			if c.Quota > 0 {
				c.Reason, c.Source = nil, SourceMixture
				add(c)
			}
		}
	}
	for _, p := range plan.Pinned {
		add(Component{Over: OverTarget, Slice: p.Slice, Share: whole, Quota: p.Count, Source: SourcePinned})
	}
}
