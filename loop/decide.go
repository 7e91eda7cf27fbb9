package loop

// Budget is what one round may ask for.
type Budget struct {
	Campaign string `json:"campaign"`
	// Number of the round, from 1.
	Number int `json:"number"`
	// Train is the number of training samples.
	Train      uint64         `json:"train"`
	Evaluation EvaluationPlan `json:"evaluation"`
	// Day is the one on which the round is decided, in days since 1970 UTC, by which
	// a policy's pins and bans expire; 0 is not known, and nothing does.
	Day int `json:"day,omitempty"`
	// QuotaBy is the factor by whose levels training components are split.
	QuotaBy string `json:"quota_by,omitempty"`
	// Make is what a round without a loop makes for training, beside Evaluation;
	// such a round needs no policy and no evidence, and Train counts for nothing.
	Make []Request `json:"make,omitempty"`
	// Pins and Bans are what a person decided about this round alone, beside those
	// of the policy and before them.
	Pins []Override `json:"pins,omitempty"`
	Bans []Override `json:"bans,omitempty"`
}

// Decide turns evidence into the next round. It is a pure function: what
// damping must remember lives in previous.Memory, so these arguments are all it
// needs, and equal arguments give equal canonical bytes (I4). previous is nil
// for the first round, e nil where there is no evidence yet, p nil where the
// budget says what to make. Refused arguments are an *Error.
//
// Until the newest model version has Policy.MinimumRows rows of evidence the
// round stays on the base; so a campaign starts there by itself. The base follows
// the policy's floor and the space's target at once: the trust region is about
// how shares move, not about what a person changed.
//
// After a round with a canary it goes on from the stable arm: see Arms.Decide for
// a round with one.
func Decide(s *Space, p *Policy, previous *Round, e *Evidence, b Budget, seed uint64) (Round, error) {
	if len(b.Make) > 0 {
		return decideMake(s, b, seed)
	}
	d, err := decideTraining(s, p, previous.Arm(false), e, b, seed)
	if err != nil {
		return Round{}, err
	}
	return d.complete()
}

// decideTraining is Decide but for what makes a mixture a round: its evaluation,
// and the assertion that it can be drawn.
func decideTraining(s *Space, p *Policy, previous *Round, e *Evidence, b Budget, seed uint64) (*decision, error) {
	p = p.Amended(b)
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if e == nil {
		e = &Evidence{}
	}
	if err := e.Validate(s); err != nil {
		return nil, err
	}
	if err := b.validate(s); err != nil {
		return nil, err
	}
	r := Round{
		Campaign: b.Campaign, Number: b.Number, Seed: seed,
		SpaceVersion: s.Version, PolicyVersion: p.Version, Strategy: p.Strategy,
		EvidenceRows: e.TotalRows(),
		Base:         s.baseMarginals(strategies[p.Strategy].floor(p)), Target: s.targetMarginals(),
		Step: 1,
	}
	if e.Len() > 0 {
		r.Evidence = e.Digest()
	}
	if previous != nil {
		r.Memory = previous.Memory.clone()
		r.Memory.forget(s)
	}
	d := &decision{space: s, policy: p, previous: previous, evidence: e.reachable(s), budget: b, round: &r,
		feasibility: s.feasibility()}
	return d, d.train()
}

// decideMake is Decide without a loop.
func decideMake(s *Space, b Budget, seed uint64) (Round, error) {
	if b.Amended() {
		return Round{}, refuse("pins", "the campaign lists what to make, and is held to its list alone")
	}
	if err := b.validate(s); err != nil {
		return Round{}, err
	}
	target := s.targetMarginals()
	r := Round{Campaign: b.Campaign, Number: b.Number, Seed: seed, SpaceVersion: s.Version, Strategy: StrategyMake,
		Base: target, Target: target, Step: 1}
	d := decision{space: s, budget: b, round: &r, feasibility: s.feasibility()}
	if err := d.make(); err != nil {
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
	// protected is what no mixture may take from the space's protected slices.
	protected protection
	// known are the lessons, once they were asked for.
	known []*lesson
}

// validate refuses what no round can meet; a campaign's own Validate has caught
// it earlier, in the user's words.
func (b *Budget) validate(s *Space) error {
	if b.Number < 1 {
		return refuse("budget.number", "rounds count from 1, got %d", b.Number)
	}
	if b.Train >= MaxQuota {
		return refuse("budget.train", "%d samples; at most %d are allowed", b.Train, MaxQuota-1)
	}
	if b.QuotaBy != "" {
		if err := s.validateQuotaBy(b.QuotaBy); err != nil {
			return err
		}
	}
	if err := s.validateRequests(b.Make); err != nil {
		return err
	}
	return b.Evaluation.validate(s)
}

// train decides the training components.
func (d *decision) train() error {
	accepted, err := d.feasibility.acceptance(d.round.Base)
	if err != nil {
		return err
	}
	if accepted < minAcceptance && d.budget.Train > 0 {
		return refuse("floor", "the constraints leave %.2g of the base; at least %g is needed", accepted, minAcceptance).
			remedy("a lower floor, so that the base leans less towards what is forbidden; strategy uniform leans all the way")
	}
	if d.protected, err = d.protection(); err != nil {
		return err
	}
	var want wanted
	if d.budget.Train > 0 {
		if want, err = strategies[d.policy.Strategy].want(d); err != nil {
			return err
		}
	}
	mixture, err := d.step(want)
	if err != nil {
		return err
	}
	if mixture, err = d.cover(mixture); err != nil {
		return err
	}
	d.round.Notes = append(d.round.Notes, d.protected.note(mixture, shares(mixture))...)
	d.write(mixture)
	if err := d.split(); err != nil {
		return err
	}
	d.recount()
	return nil
}

// complete adds what is made for evaluation to the training components.
func (d *decision) complete() (Round, error) {
	d.evaluation()
	sampler, err := NewSampler(d.space, d.round) // asserts that every component can be drawn
	if err != nil {
		return Round{}, err
	}
	if d.budget.Train > 0 {
		if d.round.Effective, err = sampler.Effective(); err != nil {
			return Round{}, err
		}
	}
	return *d.round, nil
}
