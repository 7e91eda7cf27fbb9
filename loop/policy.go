package loop

import "math"

// Policy is the versioned settings by which evidence becomes a mixture. Every
// share is a fraction of the training mixture.
type Policy struct {
	Name     string `json:"name"`
	Version  int    `json:"version"`
	Owner    string `json:"owner,omitempty"`
	Strategy string `json:"strategy"`

	// Floor is how far the base leans from the target towards uniform: base =
	// (1-floor)·target + floor/levels. 0..1; 1 is uniform.
	Floor float64 `json:"floor"`
	// MinimumRows of evidence below which a round stays on the base.
	MinimumRows int `json:"minimum_rows"`
	// Memory weighs evidence of age a by Memory^a; Window is how many model
	// versions count at all.
	Memory float64 `json:"memory"`
	Window int     `json:"window"`

	Search  Search  `json:"search"`
	Shares  Shares  `json:"shares"`
	Damping Damping `json:"damping"`
	Value   Value   `json:"value,omitzero"`
	// Coverage promises samples of every combination of levels.
	Coverage Coverage `json:"coverage,omitzero"`

	Probes     Probes             `json:"probes,omitzero"`
	Curriculum CurriculumSettings `json:"curriculum,omitzero"`

	// Pins and Bans are what a person has decided about slices.
	Pins []Override `json:"pins,omitempty"`
	Bans []Override `json:"bans,omitempty"`
}

// Search says which conjunctions count as failing slices.
type Search struct {
	// Order is the largest number of predicates, 1..MaxOrder.
	Order int `json:"order"`
	// FalseDiscovery is the rate held by Benjamini-Hochberg, over all orders
	// together.
	FalseDiscovery float64 `json:"false_discovery"`
	// MinimumSupport is the least (weighted) number of rows in a slice.
	MinimumSupport float64 `json:"minimum_support"`
	// MinimumZ is the least standard score of a slice's failures.
	MinimumZ float64 `json:"minimum_z"`
	// Descent: the search moves to a significant child that holds at least this
	// part of the parent's excess failures.
	Descent float64 `json:"descent"`
	// Slices is the most slices that one round boosts.
	Slices int `json:"slices"`
	// Runs is how many adjacent levels of an ordinal or numeric factor a predicate may
	// hold for; 0 and 1: one.
	Runs int `json:"runs,omitempty"`
}

// Shares says how much of the mixture goes where. Protected slices come first:
// the shares of a policy are of what they leave.
type Shares struct {
	// Boosted is the most that all slices together may take.
	Boosted float64 `json:"boosted"`
	// Cap is the most that one slice may take.
	Cap float64 `json:"cap"`
	// Base is the least that the base keeps.
	Base float64 `json:"base"`
	// Prevalence is b in v = risk·π(s)^(1-b)·excess·damping: 1 cares for the
	// worst slice alone, 0 for the mean alone.
	Prevalence float64 `json:"prevalence"`
	// Smallest is the share under which a slice is dropped.
	Smallest float64 `json:"smallest"`
	// TrustRegion bounds KL(new || previous) in nats.
	TrustRegion float64 `json:"trust_region"`
}

// Value says what counts in what a slice is worth, beside risk, prevalence and
// failures.
type Value struct {
	// Cost divides by what an accepted sample of the slice costs: by the attempts that
	// it takes.
	Cost bool `json:"cost"`
	// Time adds to the cost how long generators are at one. That depends on the
	// machines, so that a campaign that is run again does not decide the same.
	Time bool `json:"time,omitempty"`
}

// Probes are evaluation samples of slices that are suspected of failing; how many
// a round makes is in the campaign's evaluation plan.
type Probes struct {
	// Slices is how many share them.
	Slices int `json:"slices"`
}

// CurriculumSettings say how a strategy goes from the base to what the evidence
// asks for.
type CurriculumSettings struct {
	// Schedule is one of the schedules; empty is ScheduleEvidence.
	Schedule string `json:"schedule"`
	// Share of what is not slices that goes to levels that fail more often, or, by
	// learning progress, to those whose failure rate moves.
	Share float64 `json:"share"`
	// Rounds after which linear and competence have come to the end.
	Rounds int `json:"rounds"`
}

// The schedules of a curriculum.
const (
	// ScheduleEvidence follows the evidence from the first on.
	ScheduleEvidence = "evidence"
	// ScheduleLinear and ScheduleCompetence move from the base to what the evidence
	// asks for, evenly or by the square root (Platanios et al. 2019).
	ScheduleLinear     = "linear"
	ScheduleCompetence = "competence"
	// ScheduleProgress tilts towards levels whose failure rate has moved, in either
	// direction, since the version before (Matiisen et al. 2017).
	ScheduleProgress = "learning-progress"
)

// Damping takes share away from slices that do not get better however much is
// made for them, and quarantines the hopeless.
type Damping struct {
	// Samples of a slice's own component, and fresh evaluation Rows, after which
	// its progress is judged.
	Samples uint64  `json:"samples"`
	Rows    float64 `json:"rows"`
	// Progress is the least fall of the failure rate, and Errors the least number
	// of standard errors, that count as progress since the slice's anchor.
	Progress float64 `json:"progress"`
	Errors   float64 `json:"errors"`
	// Least is the smallest damping factor; at or below Quarantine the slice's
	// rows leave the search.
	Least      float64 `json:"least"`
	Quarantine float64 `json:"quarantine"`
	// Reopen is after how many rounds a quarantined slice gets another chance, damped
	// as it was; 0 is never. Until then it has Trickle of the share that it would
	// have.
	Reopen  int     `json:"reopen,omitempty"`
	Trickle float64 `json:"trickle,omitempty"`
}

// DefaultPolicy is what a policy document that names nothing means.
func DefaultPolicy() Policy {
	return Policy{
		Strategy: StrategyHone, Floor: .2, MinimumRows: 2000, Memory: .5, Window: 3,
		Search: Search{Order: 3, FalseDiscovery: .05, MinimumSupport: 12, MinimumZ: 2.5, Descent: .6, Slices: 12},
		Shares: Shares{Boosted: .5, Cap: .15, Base: .35, Prevalence: .7, Smallest: .001, TrustRegion: 1},
		Damping: Damping{Samples: 100, Rows: 15, Progress: .08, Errors: 2,
			Least: .05, Quarantine: .25, Reopen: 5, Trickle: .02},
		Value:  Value{Cost: true},
		Probes: Probes{Slices: 10}, Curriculum: CurriculumSettings{Schedule: ScheduleEvidence, Rounds: 6},
		Coverage: Coverage{Samples: 5, Share: .05},
	}
}

// Validate refuses a policy that cannot be met.
func (p *Policy) Validate() error {
	if !ValidName(p.Name) {
		return refuse("name", "%q is not a name", p.Name).remedy("a letter, then up to 62 letters, digits, '_', '.' or '-'")
	}
	if strategies[p.Strategy] == nil {
		return refuse("strategy", "%q is not a strategy", p.Strategy).remedy("one of %s", strategyNames())
	}
	for _, c := range []struct {
		field     string
		value     float64
		low, high float64
	}{
		{"floor", p.Floor, 0, 1},
		{"minimum_rows", float64(p.MinimumRows), 1, 1e12},
		{"memory", p.Memory, 0, 1},
		{"window", float64(p.Window), 1, 100},
		{"search.order", float64(p.Search.Order), 1, MaxOrder},
		{"search.false_discovery", p.Search.FalseDiscovery, 1e-9, .5},
		{"search.minimum_support", p.Search.MinimumSupport, 1, 1e12},
		{"search.minimum_z", p.Search.MinimumZ, 0, 100},
		{"search.descent", p.Search.Descent, 0, 1},
		{"search.slices", float64(p.Search.Slices), 0, 1000},
		{"search.runs", float64(p.Search.Runs), 0, maxPairedLevels},
		{"shares.boosted", p.Shares.Boosted, 0, 1},
		{"shares.cap", p.Shares.Cap, 0, 1},
		{"shares.base", p.Shares.Base, 1e-3, 1},
		{"shares.prevalence", p.Shares.Prevalence, 0, 1},
		{"shares.smallest", p.Shares.Smallest, leastShare, 1},
		{"shares.trust_region", p.Shares.TrustRegion, 1e-3, 100},
		{"damping.samples", float64(p.Damping.Samples), 1, 1e12},
		{"damping.rows", p.Damping.Rows, 1, 1e12},
		{"damping.progress", p.Damping.Progress, 0, 1},
		{"damping.errors", p.Damping.Errors, 0, 100},
		{"damping.least", p.Damping.Least, 1e-6, 1},
		{"damping.quarantine", p.Damping.Quarantine, 0, 1},
		{"damping.reopen", float64(p.Damping.Reopen), 0, 10_000},
		{"damping.trickle", p.Damping.Trickle, 0, 1},
		{"probes.slices", float64(p.Probes.Slices), 0, 1000},
		{"curriculum.share", p.Curriculum.Share, 0, 1},
		{"curriculum.rounds", float64(p.Curriculum.Rounds), 0, MaxRounds},
	} {
		if math.IsNaN(c.value) || c.value < c.low || c.value > c.high {
			return refuse(c.field, "%v is out of bounds", c.value).remedy("%v to %v", c.low, c.high)
		}
	}
	switch p.Curriculum.Schedule {
	case "", ScheduleEvidence, ScheduleLinear, ScheduleCompetence, ScheduleProgress:
	default:
		return refuse("curriculum.schedule", "%q is not a schedule", p.Curriculum.Schedule).
			remedy("%s, %s, %s or %s", ScheduleEvidence, ScheduleLinear, ScheduleCompetence, ScheduleProgress)
	}
	if p.Shares.Base+p.Shares.Boosted > 1+1e-12 {
		return refuse("shares", "base %v and boosted %v exceed the whole", p.Shares.Base, p.Shares.Boosted).
			remedy("their sum may be at most 1")
	}
	if err := p.Coverage.validate(); err != nil {
		return err
	}
	if p.Damping.Quarantine < p.Damping.Least {
		return refuse("damping.quarantine", "%v is below damping.least %v, so nothing could be quarantined", p.Damping.Quarantine, p.Damping.Least)
	}
	return p.validateOverrides()
}
