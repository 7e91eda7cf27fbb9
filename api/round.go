package api

import (
	"hone/loop"
)

// The states of a round.
const (
	RoundOpen      = "open"
	RoundPublished = "published"
)

// Round is one decision of a campaign and how far it has been made. Its counts
// are of training samples; a round of a campaign that makes none counts its
// evaluation samples.
type Round struct {
	Campaign    string `json:"campaign"`
	Round       int    `json:"round" doc:"From 1"`
	State       string `json:"state" enum:"open,published" doc:"published: every quota is terminal and the dataset versions are there"`
	Dataset     string `json:"dataset,omitempty" example:"loop@3" doc:"The training version that holds the rounds up to this one, once published"`
	EvalDataset string `json:"eval_dataset,omitempty" example:"loop.eval@3" doc:"This round's evaluation version, once published"`
	Counts
	Sequence uint64    `json:"sequence" doc:"The sequence of the evidence the round was decided from"`
	Decision *Decision `json:"decision,omitempty"`
}

// RoundList answers GET /v1/campaigns/NAME/rounds, from the first.
type RoundList struct {
	Rounds []Round `json:"rounds"`
}

// Decision is a loop.Round in the user's words. Shares are fractions.
type Decision struct {
	Strategy      string      `json:"strategy" example:"hone"`
	SpaceVersion  int         `json:"space_version"`
	PolicyVersion int         `json:"policy_version"`
	Evidence      loop.Digest `json:"evidence" doc:"The digest of the evidence object; all zero if the round was decided without any"`
	EvidenceRows  int64       `json:"evidence_rows"`
	FailureRate   float64     `json:"failure_rate" doc:"Of all evidence, with memory"`
	Step          float64     `json:"step" doc:"How far the mixture moved from the previous round's towards what was wanted, 0 to 1"`
	KL            float64     `json:"kl" doc:"The divergence from the previous round's mixture, in nats"`
	Effective     float64     `json:"effective,omitempty" doc:"How many samples of deployment a training sample is worth, by importance weights: 0 to 1"`
	Components    []Component `json:"components"`
	Base          []Marginal  `json:"base,omitempty" doc:"What the base draws each factor from"`
	Memory        []Memory    `json:"memory,omitempty" doc:"The slices that damping remembers"`
	Notes         []string    `json:"notes,omitempty" doc:"What was not boosted, and why"`
	Canary        *CanaryArm  `json:"canary,omitempty" doc:"The arm of the policy's canary, in a round of two arms: strategy, step, kl, base, memory and notes above are then of the stable arm"`
}

// CanaryArm is what a decision says of its canary, beside the components.
type CanaryArm struct {
	PolicyVersion int      `json:"policy_version"`
	Strategy      string   `json:"strategy"`
	Share         float64  `json:"share" doc:"Of the round's training samples, as it was asked for"`
	Quota         uint64   `json:"quota" doc:"How many training samples that is"`
	Step          float64  `json:"step"`
	KL            float64  `json:"kl" doc:"The divergence from the arm's last mixture, in nats; from the stable arm's where it is new"`
	Memory        []Memory `json:"memory,omitempty"`
	Notes         []string `json:"notes,omitempty"`
}

// Component is one part of a mixture.
type Component struct {
	Domain   string            `json:"domain" enum:"train,probe,evaluation"`
	Number   int               `json:"number" doc:"Within the domain, from 0"`
	Name     string            `json:"name" example:"light=low ∧ glove=yes" doc:"The slice in words; \"everything\" for the base"`
	Over     string            `json:"over" enum:"base,target,curriculum" doc:"What the factors that the slice leaves free are drawn from"`
	Slice    map[string]string `json:"slice" doc:"Level by factor; empty for the base"`
	By       map[string]string `json:"by,omitempty" doc:"What quota_by fixes beside the slice"`
	Share    float64           `json:"share" doc:"Of the domain's mixture"`
	Quota    uint64            `json:"quota"`
	Rows     int               `json:"rows,omitempty" doc:"Of the coverage: how many combinations of levels it has a sample of each"`
	Source   string            `json:"source,omitempty" enum:"target,mixture,probe,pinned" doc:"What an evaluation component was drawn from"`
	Canary   bool              `json:"canary,omitempty" doc:"It is of the canary's arm"`
	Accepted float64           `json:"accepted,omitempty" doc:"The part of its draws that the space's constraints leave, exactly; missing where there are none"`
	Reason   *loop.Reason      `json:"reason,omitempty" doc:"The evidence behind a boost, and a sentence that says it"`
}

// Memory is a slice that was boosted at some time.
type Memory struct {
	Name        string            `json:"name"`
	Slice       map[string]string `json:"slice"`
	Since       int               `json:"since" doc:"The round that first boosted it"`
	Samples     uint64            `json:"samples" doc:"How many its own components have been given so far"`
	Damping     float64           `json:"damping" doc:"1: not damped"`
	Quarantined bool              `json:"quarantined"`
	Sentence    string            `json:"sentence,omitempty" doc:"Why it is damped or quarantined, if it is"`
}

// Marginal is what a factor is drawn from, among the scenarios that have it.
type Marginal struct {
	Factor string          `json:"factor"`
	Levels []MarginalLevel `json:"levels"`
}

// MarginalLevel is the share of one level in the base and in deployment.
type MarginalLevel struct {
	Level  string  `json:"level"`
	Share  float64 `json:"share"`
	Target float64 `json:"target"`
}

// whole is the sum of the shares of a domain's components, and of a marginal.
const whole = 1 << 32

// NewDecision says a round in the words of its space, which must be the version
// that the round was decided for.
func NewDecision(space *loop.Space, round *loop.Round) *Decision {
	d := &Decision{
		Strategy: round.Strategy, SpaceVersion: round.SpaceVersion, PolicyVersion: round.PolicyVersion,
		Evidence: round.Evidence, EvidenceRows: round.EvidenceRows, FailureRate: round.FailureRate,
		Step: round.Step, KL: round.KL, Effective: round.Effective, Components: []Component{}, Notes: round.Notes,
	}
	var sampler *loop.Sampler
	if len(space.Constraints) > 0 {
		sampler, _ = loop.NewSampler(space, round) // what was decided can be drawn; else there is nothing to say
	}
	for i := range round.Components {
		c := &round.Components[i]
		out := Component{
			Domain: c.Domain.String(), Number: c.Number, Name: space.Describe(c.Fixed()), Over: string(c.Over),
			Slice: space.Names(c.Slice), Share: float64(c.Share) / whole, Quota: c.Quota,
			Source: string(c.Source), Reason: c.Reason, Rows: len(c.Cover), Canary: c.Canary,
		}
		if out.Rows > 0 {
			out.Name = "coverage"
		}
		if sampler != nil {
			out.Accepted = sampler.Accepted(c.Domain, c.Number)
		}
		if c.By != nil {
			out.By = space.Names(loop.Slice{*c.By})
		}
		d.Components = append(d.Components, out)
	}
	base, target := space.Shares(round.Base), space.Shares(round.Target)
	for f := range base {
		m := Marginal{Factor: space.Factors[f].Name}
		for l, share := range base[f] {
			level := MarginalLevel{Level: space.Factors[f].Levels[l].Name, Share: share}
			if f < len(target) {
				level.Target = target[f][l]
			}
			m.Levels = append(m.Levels, level)
		}
		d.Base = append(d.Base, m)
	}
	d.Memory = memory(space, round.Memory.Slices)
	if k := round.Canary; k != nil {
		d.Canary = &CanaryArm{PolicyVersion: k.PolicyVersion, Strategy: k.Strategy, Share: float64(k.Share) / loop.MicroUnits,
			Quota: round.Arm(true).Quota(loop.Train), Step: k.Step, KL: k.KL, Memory: memory(space, k.Memory.Slices), Notes: k.Notes}
	}
	return d
}

func memory(space *loop.Space, remembered []loop.Remembered) (out []Memory) {
	for _, r := range remembered {
		out = append(out, Memory{
			Name: space.Describe(r.Slice), Slice: space.Names(r.Slice), Since: r.Round, Samples: r.Samples,
			Damping: r.Damping, Quarantined: r.Quarantined, Sentence: r.Sentence,
		})
	}
	return out
}
