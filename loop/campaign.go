package loop

import (
	"strconv"
	"strings"
)

// Campaign is a request: what to make from which space under which policy, what
// it learns from, how much, and which gates every sample must pass.
type Campaign struct {
	Name  string `json:"name"`
	Owner string `json:"owner,omitempty"`
	Space string `json:"space"`
	// Policy is how evidence becomes a mixture; empty where Make says what to make.
	Policy    string `json:"policy"`
	Generator string `json:"generator"`
	Seed      uint64 `json:"seed"`
	// Samples is the number of training samples over all rounds; Rounds how many
	// rounds they are spread over: evenly, unless FirstSamples says how many the first
	// one makes, whereupon each makes more than the one before.
	Samples      uint64 `json:"samples"`
	Rounds       int    `json:"rounds"`
	FirstSamples uint64 `json:"first_samples,omitempty"`
	// Make is what a campaign without a loop makes, in one round: Samples is the
	// sum of its counts. Empty: a policy decides.
	Make []Request `json:"make,omitempty"`
	// Evaluation is what each round makes for evaluation beside its training
	// samples; it is not part of Samples.
	Evaluation EvaluationPlan `json:"evaluation,omitempty"`
	LearnFrom  []LearnFrom    `json:"learn_from,omitempty"`
	Gates      []string       `json:"gates,omitempty"`
	// UnitSize is the number of samples per unit, 1..MaxUnit.
	UnitSize int `json:"unit_size"`
	// MaxAttempts is after how many gate rejections an index is abandoned (C4).
	MaxAttempts int `json:"max_attempts"`
	// QuotaBy names a factor by whose levels every training component is split,
	// so that the counts per level end exact too (C6). Empty: no split.
	QuotaBy string `json:"quota_by,omitempty"`
	// Advance is "sealed": a round is decided when the one before it is terminal
	// and the model version trained on it is sealed (C8).
	Advance string `json:"advance"`
	// Until are conditions, the first of which that holds ends the campaign before
	// it has all its samples: it is looked at whenever a round would be decided.
	Until []Until `json:"until,omitempty"`
	// Price is what generating costs, where the user says. Money is the most that the
	// campaign may cost by it, 0 for no bound: what it pays for is looked at whenever a
	// round would be decided (Afford). ByMoney: no number of samples was asked for;
	// Samples is what is planned.
	Price   Price   `json:"price,omitzero"`
	Money   float64 `json:"money,omitempty"`
	ByMoney bool    `json:"by_money,omitempty"`
	// Decide is "auto": the leader opens the round that it decided; or "propose": it
	// waits until somebody approves, amends or rejects it (C8).
	Decide string `json:"decide"`
	// Canaries is CanariesNone where no canary of the policy is tried, as in an arm of
	// an experiment, that is to be of one policy; empty: whichever is put.
	Canaries string `json:"canaries,omitempty"`
}

// TriesCanaries reports whether the campaign gives a canary of its policy a share of
// its rounds.
func (c *Campaign) TriesCanaries() bool { return c.Canaries == "" }

// EvaluationPlan counts the evaluation samples of each round by source.
type EvaluationPlan struct {
	Target  uint64 `json:"target,omitempty"`
	Mixture uint64 `json:"mixture,omitempty"`
	// Probe is how many are drawn from slices that are suspected of failing, to
	// confirm it; what finds no suspect is drawn from the target instead, so that
	// the plan's sum is always exact.
	Probe  uint64   `json:"probe,omitempty"`
	Pinned []Pinned `json:"pinned,omitempty"`
}

// Samples is how many the plan asks for in each round.
func (e *EvaluationPlan) Samples() uint64 {
	n := e.Target + e.Mixture + e.Probe
	for _, p := range e.Pinned {
		n += p.Count
	}
	return n
}

// Pinned asks for Count evaluation samples from a slice under the target
// distribution.
type Pinned struct {
	Slice Slice  `json:"slice"`
	Count uint64 `json:"count"`
}

// LearnFrom names outcomes that move a campaign: a model line and, optionally,
// the one eval set (any version of it) and the one task whose outcomes count. An
// outcome that several entries match counts for each of them.
type LearnFrom struct {
	ModelLine string `json:"model_line"`
	EvalSet   string `json:"eval_set,omitempty"`
	Task      string `json:"task,omitempty"`
	// Metric is what outcomes are judged by: a metric of the task, or MetricLoss, the
	// loss as posted. One without a value does not count. Empty: correct as posted.
	Metric string `json:"metric,omitempty"`
	// Importance weighs the entry against the others; 0 is 1.
	Importance float64 `json:"importance,omitempty"`
}

// MetricLoss names, where a metric is asked for, the loss that is posted beside
// correct. No metric of a space has this name: it is a column of the outcomes.
const MetricLoss = "loss"

// Bounds of a campaign's learn_from.
const maxImportance = 1e6

// Defaults of a campaign.
const (
	DefaultUnitSize    = 50
	DefaultMaxAttempts = 3
	AdvanceSealed      = "sealed"
	DecideAuto         = "auto"
	DecidePropose      = "propose"
	CanariesTry        = "try" // as a document says it; a campaign says nothing then
	CanariesNone       = "none"
)

// MaxRounds bounds the rounds of a campaign.
const MaxRounds = 10_000

// Validate checks the campaign against its space.
func (c *Campaign) Validate(s *Space) error {
	switch {
	case !ValidName(c.Name):
		return refuse("name", "%q is not a name", c.Name).remedy("a letter, then up to 62 letters, digits, '_', '.' or '-'")
	case c.Space != s.Name:
		return refuse("space", "the campaign is of space %q, not %q", c.Space, s.Name)
	case len(c.Make) == 0 && !ValidName(c.Policy):
		return refuse("policy", "%q is not a name", c.Policy)
	case !ValidName(c.Generator):
		return refuse("generator", "%q is not a name", c.Generator)
	case c.Rounds < 1 || c.Rounds > MaxRounds:
		return refuse("rounds", "%d rounds; 1 to %d are allowed", c.Rounds, MaxRounds)
	case c.Samples >= MaxQuota:
		return refuse("samples", "%d samples; at most %d are allowed", c.Samples, MaxQuota-1)
	case c.Samples > 0 && c.Samples < uint64(c.Rounds):
		return refuse("samples", "%d samples cannot be spread over %d rounds", c.Samples, c.Rounds).remedy("ask for fewer rounds")
	case c.FirstSamples > 0 && c.Rounds == 1:
		return refuse("first_samples", "there is one round, which makes all samples").remedy("ask for more rounds, or leave it out")
	case c.FirstSamples > c.Samples/uint64(c.Rounds):
		return refuse("first_samples", "%d samples are more than the %d of even rounds, but rounds grow", c.FirstSamples, c.Samples/uint64(c.Rounds)).
			remedy("at most %d", c.Samples/uint64(c.Rounds))
	case c.UnitSize < 1 || c.UnitSize > MaxUnit:
		return refuse("unit_size", "%d samples per unit; 1 to %d are allowed", c.UnitSize, MaxUnit)
	case c.MaxAttempts < 1 || c.MaxAttempts > 100:
		return refuse("max_attempts", "%d attempts; 1 to 100 are allowed", c.MaxAttempts)
	case c.Advance != AdvanceSealed:
		return refuse("advance", "%q is not a way to advance", c.Advance).remedy("sealed")
	case c.Decide != DecideAuto && c.Decide != DecidePropose:
		return refuse("decide", "%q is not a way to decide", c.Decide).remedy("auto or propose")
	case c.Canaries != "" && c.Canaries != CanariesNone:
		return refuse("canaries", "%q is not what a campaign does with canaries", c.Canaries).remedy("try or none")
	}
	if c.QuotaBy != "" {
		if err := s.validateQuotaBy(c.QuotaBy); err != nil {
			return err
		}
	}
	if err := c.validateMake(s); err != nil {
		return err
	}
	if err := c.Price.validate(); err != nil {
		return err
	}
	if err := c.validateMoney(); err != nil {
		return err
	}
	if err := c.validateUntil(s); err != nil {
		return err
	}
	if err := c.Evaluation.validate(s); err != nil {
		return err
	}
	if c.Samples+c.Evaluation.Samples() == 0 {
		return refuse("samples", "the campaign asks for nothing").remedy("set samples, or evaluation counts")
	}
	if c.Evaluation.Mixture > 0 && c.Samples == 0 {
		return refuse("evaluation.mixture", "there is no mixture to draw from: the campaign asks for no training samples").
			remedy("set evaluation.target instead")
	}
	if c.Rounds > 1 && len(c.LearnFrom) == 0 {
		return refuse("learn_from", "%d rounds, but no model line to learn from", c.Rounds).
			remedy("name the model line whose sealed versions advance the campaign, or ask for one round")
	}
	if c.Evaluation.Probe > 0 && len(c.LearnFrom) == 0 {
		return refuse("evaluation.probe", "nothing can be suspected: the campaign learns from nothing").remedy("set evaluation.target instead")
	}
	if len(c.LearnFrom) > MaxLearned {
		return refuse("learn_from", "%d entries; at most %d are allowed", len(c.LearnFrom), MaxLearned)
	}
	for i := range c.LearnFrom {
		if err := c.LearnFrom[i].validate(s, at("learn_from", i)); err != nil {
			return err
		}
		for j := range i {
			if a, b := &c.LearnFrom[j], &c.LearnFrom[i]; a.ModelLine == b.ModelLine && a.EvalSet == b.EvalSet && a.Task == b.Task && a.Metric == b.Metric {
				return refuse(at("learn_from", i), "it asks for the same as entry %d", j).remedy("give one of them their importance together")
			}
		}
	}
	for i, g := range c.Gates {
		if !ValidName(g) {
			return refuse(at("gates", i), "%q is not the name of a gate", g)
		}
	}
	return nil
}

func (l *LearnFrom) validate(s *Space, field string) error {
	switch {
	case !ValidName(l.ModelLine):
		return refuse(field+".model_line", "%q is not a name", l.ModelLine)
	case l.Task != "" && len(s.Tasks) > 0 && s.Task(l.Task) == nil:
		return refuse(field+".task", "space %q has no task %q", s.Name, l.Task).
			remedy("the task of outcomes that can be posted: %s", s.taskNames())
	case l.Metric != "" && l.Metric != MetricLoss && s.metric(l.Task, l.Metric) == nil:
		of := "space " + strconv.Quote(s.Name)
		if l.Task != "" {
			of = "task " + strconv.Quote(l.Task)
		}
		return refuse(field+".metric", "%s has no metric %q", of, l.Metric).
			remedy("one of %s; leave it out to go by correct", strings.Join(append(s.metricNames(l.Task), MetricLoss), ", "))
	case !(l.Importance >= 0 && l.Importance <= maxImportance):
		return refuse(field+".importance", "%v is not an importance", l.Importance).remedy("above 0, at most %g", maxImportance)
	}
	return nil
}

// validateMake refuses a loop around what is made as requested.
func (c *Campaign) validateMake(s *Space) error {
	switch {
	case len(c.Make) == 0:
		return nil
	case c.Policy != "":
		return refuse("policy", "a campaign that makes what it lists decides nothing").remedy("remove policy, or make")
	case c.Rounds != 1:
		return refuse("rounds", "%d rounds, but what is listed is made in one", c.Rounds).remedy("remove rounds, or make")
	case len(c.LearnFrom) > 0:
		return refuse("learn_from", "a campaign that makes what it lists learns from nothing").remedy("remove learn_from, or make")
	case Requested(c.Make) != c.Samples:
		return refuse("samples", "%d, but the requests sum to %d", c.Samples, Requested(c.Make)).remedy("leave samples out")
	}
	return s.validateRequests(c.Make)
}

// maxQuotaLevels bounds the levels of quota_by's factor: every component is
// split into as many.
const maxQuotaLevels = 1_000

func (s *Space) validateQuotaBy(name string) error {
	f := s.Factor(name)
	switch {
	case f < 0:
		return refuse("quota_by", "space %q has no factor %q", s.Name, name)
	case s.Factors[f].When != nil:
		return refuse("quota_by", "factor %q is conditional, so it has no level in some samples", name).
			remedy("split by a factor that is always present")
	case len(s.Factors[f].Levels) > maxQuotaLevels:
		return refuse("quota_by", "factor %q has %d levels; at most %d can be counted exactly", name, len(s.Factors[f].Levels), maxQuotaLevels)
	}
	return nil
}

// validate refuses counts that no component can have, and pinned slices that
// cannot be drawn from the target.
func (e *EvaluationPlan) validate(s *Space) error {
	for _, c := range []struct {
		field string
		count uint64
	}{{"evaluation.target", e.Target}, {"evaluation.mixture", e.Mixture}, {"evaluation.probe", e.Probe}} {
		if c.count >= MaxQuota {
			return refuse(c.field, "%d samples; at most %d are allowed", c.count, MaxQuota-1)
		}
	}
	// Without a suspect the target's component takes both.
	if e.Target+e.Probe >= MaxQuota {
		return refuse("evaluation.probe", "%d samples beside %d of the target; at most %d are allowed together", e.Probe, e.Target, MaxQuota-1)
	}
	if len(e.Pinned) == 0 {
		return nil
	}
	x, target := s.feasibility(), s.targetMarginals()
	for i, p := range e.Pinned {
		field := at("evaluation.pinned", i)
		if err := s.ValidateSlice(field+".slice", p.Slice); err != nil {
			return err
		}
		if p.Count == 0 || p.Count >= MaxQuota {
			return refuse(field+".count", "%d samples of %s; 1 to %d are allowed", p.Count, s.Describe(p.Slice), MaxQuota-1)
		}
		if err := x.inTarget(target, field+".slice", p.Slice, "pin a slice whose levels have a target share"); err != nil {
			return err
		}
	}
	return nil
}

// evaluationSuffix marks the name of a campaign's evaluation set.
const evaluationSuffix = ".eval"

// EvaluationSet is the name under which a campaign's evaluation samples are
// published.
func EvaluationSet(campaign string) string { return campaign + evaluationSuffix }

// EvaluatedCampaign is the campaign whose evaluation samples an eval set,
// NAME.eval or NAME.eval@VERSION, is made of; empty for any other eval set.
func EvaluatedCampaign(evalSet string) string {
	name, _, _ := strings.Cut(evalSet, "@")
	campaign, ok := strings.CutSuffix(name, evaluationSuffix)
	if !ok {
		return ""
	}
	return campaign
}
