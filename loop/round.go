package loop

import (
	"crypto/sha256"
	"encoding/json"
)

// Marginal is the distribution of one factor's level among the scenarios in
// which it is present, as cumulative 32-bit thresholds: level l has mass
// (m[l]-m[l-1])/2^32, and the last entry is 2^32. The marginal of a factor that is
// given another (Given), or the class, is a row of such thresholds for each of
// Given.Rows, one after the other; or one row alone, which then holds always.
type Marginal []uint64

// whole is the total mass of a marginal and of a mixture's shares.
const whole = 1 << 32

// Over says which marginals a component draws its free factors from.
type Over string

// A component is drawn over the round's base, over the target distribution, or
// over the curriculum: the base, tilted towards levels that fail.
const (
	OverBase       Over = "base"
	OverTarget     Over = "target"
	OverCurriculum Over = "curriculum"
)

// Component is one part of a mixture: a tree of marginals with the slice's
// predicates fixed, conditioned on them and on the space's constraints.
type Component struct {
	Domain Domain `json:"domain"`
	// Number counts within the domain, from 0.
	Number int  `json:"number"`
	Over   Over `json:"over"`
	// Slice is what a boost, probe or pinned set fixes; empty for the base.
	Slice Slice `json:"slice,omitempty"`
	// Cover are the slices of a coverage: its i-th sample is of the i-th. Its density
	// is that of a draw from each with equal odds.
	Cover []Slice `json:"cover,omitempty"`
	// By is the level that quota_by fixes in this component, beside Slice or, of a run,
	// within it.
	By *Predicate `json:"by,omitempty"`
	// Share is the component's part of its domain's mixture, in 1/2^32; the
	// shares of the training components sum to 2^32.
	Share uint64 `json:"share"`
	Quota uint64 `json:"quota"`
	// Source is what an evaluation component was drawn from; empty otherwise.
	Source Source `json:"source,omitempty"`
	// Canary: it is of the canary's arm.
	Canary bool `json:"canary,omitempty"`
	// Reason is why the component is there; nil for the base.
	Reason *Reason `json:"reason,omitempty"`
}

// Fixed is every predicate that the component fixes: Slice and By.
func (c *Component) Fixed() Slice {
	if c.By == nil {
		return c.Slice
	}
	if own := c.Slice.Of(c.By.Factor); own != nil && !c.By.within(*own) {
		return c.Slice
	}
	return c.Slice.With(*c.By)
}

// Reason is the evidence behind a boost, as it stood when it was decided; or why
// a protected slice has a component of its own.
type Reason struct {
	// Rows, Groups and Failures count the newest model version's evaluation rows
	// in the slice, undecayed.
	Rows     int64 `json:"rows"`
	Groups   int64 `json:"groups"`
	Failures int64 `json:"failures"`
	// Effective is how many independent rows of deployment those rows are worth, by
	// their importance weights and groups; Measured the failure rate of these.
	Effective float64 `json:"effective,omitempty"`
	Measured  float64 `json:"measured,omitempty"`
	// Support and Rate are of the evidence with memory: weighted rows, and the
	// smoothed failure rate.
	Support float64 `json:"support"`
	Rate    float64 `json:"rate"`
	// Lower and Upper bound the newest version's failure rate, at 95 % however often
	// one looks.
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
	// Lift is Rate over the failure rate in deployment: of the rows drawn from the
	// target, or of all where there are none. (Evidence of source mixture is full
	// of what is boosted, so its rate says little about a slice.)
	Lift float64 `json:"lift"`
	// Z, P and Q are the slice's standard score, binomial tail probability and
	// Benjamini-Hochberg q-value, against the rows that earlier slices left.
	Z float64 `json:"z"`
	P float64 `json:"p"`
	Q float64 `json:"q"`
	// Prevalence is the slice's mass under the target distribution.
	Prevalence float64 `json:"prevalence"`
	Risk       float64 `json:"risk"`
	Damping    float64 `json:"damping"`
	// Since is the round in which the slice was first boosted, 0 where it is new, and
	// Progress how far its failure rate has fallen since.
	Since    int     `json:"since,omitempty"`
	Progress float64 `json:"progress,omitempty"`
	// Capped: it is worth more than one slice may have.
	Capped bool `json:"capped,omitempty"`
	// Until is the round until which a slice is in quarantine, and has a trickle only.
	Until int `json:"quarantined_until,omitempty"`
	// Cost is what an accepted sample costs, relative to one of the base; 0 where
	// nobody asked.
	Cost  float64 `json:"cost,omitempty"`
	Value float64 `json:"value"`
	// LearnedFrom names what the slice fails, where there are several things to learn
	// from; all the numbers are of the one to which it is worth most.
	LearnedFrom []string `json:"learned_from,omitempty"`
	// Loss is what was measured, where the metric has a unit.
	Loss *Loss `json:"loss,omitempty"`
	// Graded says between which values a metric without a threshold is graded: Measured,
	// Rate, Lower and Upper are mean severities then, and Failures are the rows that were
	// not posted as correct. nil elsewhere.
	Graded *Grade `json:"graded,omitempty"`
	// Protected is the least that the mixture has of a protected slice. A slice
	// that is there only for that was not tested: its P and Q are 1.
	Protected float64 `json:"protected,omitempty"`
	// Asked: a person wants the component, and no evidence does.
	Asked bool `json:"asked,omitempty"`
	// Pin is the policy's pin of a slice that a person has pinned.
	Pin *Override `json:"pin,omitempty"`
	// Sentence says all this to a person.
	Sentence string `json:"sentence"`
}

// Loss is the mean of a metric in a slice and in deployment, of the newest version.
type Loss struct {
	Metric     string  `json:"metric,omitempty"`
	Unit       string  `json:"unit"`
	Slice      float64 `json:"slice"`
	Deployment float64 `json:"deployment"`
}

// Grade is the scale of a metric that is graded: the measured values that count as
// severity 0 and 1.
type Grade struct {
	Unit string  `json:"unit,omitempty"`
	Best float64 `json:"best"`
	Cap  float64 `json:"cap"`
}

// Memory is what damping must remember of earlier rounds. It is ordered by
// slice and never holds a slice twice; what has been idle for long is forgotten.
type Memory struct {
	Slices []Remembered `json:"slices,omitempty"`
	// Covered is what a coverage must remember; nil without one.
	Covered *Covered `json:"covered,omitempty"`
	// Probed are the slices that the round's probes are of.
	Probed []Probed `json:"probed,omitempty"`
	// Scores are what a strategy remembers beside that, in its own order; strategy
	// hone needs none.
	Scores []Scored `json:"scores,omitempty"`
}

// Remembered is one slice that was boosted at some time.
type Remembered struct {
	Slice Slice `json:"slice"`
	// Round is when it was first boosted.
	Round int `json:"round"`
	// AnchorRows and AnchorFailures are its evidence at that time.
	AnchorRows     float64 `json:"anchor_rows"`
	AnchorFailures float64 `json:"anchor_failures"`
	// Samples is how many its own component has been given so far.
	Samples uint64 `json:"samples"`
	// Judged is the value of Samples when its progress was last judged.
	Judged  uint64  `json:"judged"`
	Damping float64 `json:"damping"`
	// Quarantined slices' rows leave the search.
	Quarantined bool `json:"quarantined,omitempty"`
	// Until is the round in which a quarantined slice is given another chance; 0 is
	// never.
	Until int `json:"until,omitempty"`
	// Of names the lesson whose evidence the anchor is, where there are several.
	Of string `json:"of,omitempty"`
	// RealRows and RealFailures are the anchor in rows of the real world alone.
	RealRows     float64 `json:"real_rows,omitempty"`
	RealFailures float64 `json:"real_failures,omitempty"`
	// Improved: when last judged, it had made progress.
	Improved bool `json:"improved,omitempty"`
	// Idle is how many rounds have made nothing because of the slice since it last had
	// samples of its own.
	Idle int `json:"idle,omitempty"`
	// Sentence says why the slice is damped or quarantined, if it is, and of which round
	// that is so.
	Sentence string `json:"sentence,omitempty"`
}

// Round is one decision of a campaign. Its canonical bytes hold no sequence,
// time or worker: those stand in the envelope that state keeps around it.
type Round struct {
	Campaign string `json:"campaign"`
	// Number counts from 1.
	Number        int    `json:"number"`
	Seed          uint64 `json:"seed"` // the campaign's
	SpaceVersion  int    `json:"space_version"`
	PolicyVersion int    `json:"policy_version"`
	Strategy      string `json:"strategy"`
	// Evidence is the digest of the evidence object; zero for a round decided
	// without any.
	Evidence Digest `json:"evidence"`
	// EvidenceRows is how many rows that was; FailureRate of those with memory.
	EvidenceRows int64   `json:"evidence_rows"`
	FailureRate  float64 `json:"failure_rate"`
	// Base and Target are the marginals of all factors, by factor; after them, where
	// the space's target is a mixture, that of its classes.
	Base   []Marginal `json:"base"`
	Target []Marginal `json:"target"`
	// Curriculum are those of the component over it; nil where there is none.
	Curriculum []Marginal `json:"curriculum,omitempty"`
	// Components are ordered by domain, then number.
	Components []Component `json:"components"`
	// Step is λ in new = (1-λ)·previous + λ·wanted, and KL the divergence of the
	// new mixture from the previous one in nats; of both over this round's base,
	// with what the space protects and the policy pins now.
	Step float64 `json:"step"`
	KL   float64 `json:"kl"`
	// Effective is how many samples of deployment a training sample is worth under
	// its importance weight: (Σw)²/(n·Σw²). 0 where there are none.
	Effective float64 `json:"effective,omitempty"`
	Memory    Memory  `json:"memory"`
	// Notes are sentences about what was not boosted, and why.
	Notes []string `json:"notes,omitempty"`
	// Canary is the round's other arm; nil without one. What stands above, but for the
	// components and Effective, is of the stable arm.
	Canary *CanaryArm `json:"canary,omitempty"`
}

// Canonical is the round's canonical encoding: JSON with the fields in the order
// of the type. Equal decisions have equal canonical bytes (I4).
func (r *Round) Canonical() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		// Only a NaN or Inf could bring this about, and Decide refuses them.
		panic("loop: a round that cannot be encoded: " + err.Error())
	}
	return b
}

// Digest is the SHA-256 of the canonical encoding.
func (r *Round) Digest() Digest { return sha256.Sum256(r.Canonical()) }

// Find returns the component of that domain and number, or nil.
func (r *Round) Find(domain Domain, number int) *Component {
	for i := range r.Components {
		if c := &r.Components[i]; c.Domain == domain && c.Number == number {
			return c
		}
	}
	return nil
}

// Quota sums the quotas of a domain.
func (r *Round) Quota(domain Domain) uint64 {
	var n uint64
	for i := range r.Components {
		if r.Components[i].Domain == domain {
			n += r.Components[i].Quota
		}
	}
	return n
}
