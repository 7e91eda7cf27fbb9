package api

import "hone/loop"

// The states of a proposal.
const (
	ProposalWaiting  = "waiting"
	ProposalApproved = "approved"
	ProposalRejected = "rejected"
	ProposalAmended  = "amended"
	ProposalReplaced = "replaced"
	ProposalVoid     = "void"
)

// Proposal is a round that waits, or waited, for approval.
type Proposal struct {
	Campaign string        `json:"campaign"`
	Round    int           `json:"round" doc:"From 1"`
	Serial   int           `json:"serial" doc:"Numbers the campaign's proposals, from 1"`
	Digest   loop.Digest   `json:"digest" doc:"Of the canonical bytes that approval opens"`
	State    string        `json:"state" enum:"waiting,approved,rejected,amended,replaced,void" doc:"amended, replaced: the next proposal waits in its place; void: the campaign was closed, or has no such round any more"`
	At       string        `json:"at" format:"date-time" doc:"When it was made"`
	Author   string        `json:"author" doc:"Who proposed it: hone, who asked for it, or who amended the one before"`
	Reason   string        `json:"reason,omitempty"`
	Ruling   *Ruling       `json:"ruling,omitempty" doc:"What became of it; absent while it waits"`
	Changes  []ShareChange `json:"changes,omitempty" doc:"How an amendment moved the mixture of the proposal before it"`
}

// Ruling is who settled a proposal, when and why.
type Ruling struct {
	At     string `json:"at" format:"date-time"`
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// ProposalList answers GET /v1/campaigns/NAME/proposals, from the first.
type ProposalList struct {
	Proposals []Proposal `json:"proposals"`
}

// Rule approves or rejects what was seen.
type Rule struct {
	Digest loop.Digest `json:"digest" doc:"Of the round as it was seen: if another is proposed by now the answer is 409"`
	Steer
}

// Amend changes a proposal.
type Amend struct {
	Rule
	Pins []loop.Override `json:"pins,omitempty" maxItems:"100" doc:"Slices and the share that each gets of this round; by the author of the amendment, and for its reason, unless told"`
	Bans []loop.Override `json:"bans,omitempty" maxItems:"100" doc:"Slices that this round boosts or probes nothing of"`
}

// Preview is the next round before it opens, and what it would change. Shares are
// fractions.
type Preview struct {
	Campaign string      `json:"campaign"`
	Round    int         `json:"round"`
	Standing string      `json:"standing" enum:"proposed,imagined" doc:"proposed: it waits for approval; imagined: what would be decided now"`
	Digest   loop.Digest `json:"digest" doc:"Of the round's canonical bytes"`
	Sequence uint64      `json:"sequence" doc:"The sequence of the evidence"`
	// Proposal is the last one of this round, whether it waits or not.
	Proposal *Proposal      `json:"proposal,omitempty" doc:"The last proposal of this round, where there is one"`
	Void     string         `json:"void,omitempty" doc:"Why the proposal cannot open as things stand; it is being made again"`
	Slices   []ShareChange  `json:"slices" doc:"How the training mixture moves from the round before, by part"`
	Factors  []FactorChange `json:"factors" doc:"How what is made moves from the round before, by factor; of large rounds estimated from the first samples"`
	Price    Price          `json:"price"`
	Guards   *Guards        `json:"guards,omitempty" doc:"What holds the decision back; absent where a round makes what was requested"`
	Decision *Decision      `json:"decision"`
}

// ShareChange is how the share of one part of a mixture moves.
type ShareChange struct {
	Name  string            `json:"name" example:"light=low"`
	Slice map[string]string `json:"slice"`
	From  float64           `json:"from"`
	To    float64           `json:"to"`
	Quota uint64            `json:"quota,omitempty" doc:"Training samples of it"`
}

// FactorChange is how the levels of a factor move.
type FactorChange struct {
	Factor string        `json:"factor"`
	Levels []LevelChange `json:"levels"`
}

// LevelChange is the share of one level among a round's training samples.
type LevelChange struct {
	Level string  `json:"level"`
	From  float64 `json:"from"`
	To    float64 `json:"to"`
}

// Price is what a round asks for.
type Price struct {
	Training   uint64 `json:"training" doc:"Samples"`
	Evaluation uint64 `json:"evaluation" doc:"Samples"`
	// Seconds are absent until enough was made to know.
	GPUSeconds *float64 `json:"gpu_seconds,omitempty" doc:"What generators will spend, by what they have spent on accepted samples so far, rejected attempts included"`
	Money      *float64 `json:"money,omitempty" doc:"What that costs, by the campaign's price"`
	Currency   string   `json:"currency,omitempty" example:"EUR"`
	Measured   int64    `json:"measured,omitempty" doc:"How many accepted samples that is known from"`
}

// Guards are the guard rails in force. What was damped or quarantined stands in
// the decision's memory.
type Guards struct {
	Floor       float64         `json:"floor" doc:"How far the base leans from deployment towards uniform"`
	MinimumRows int             `json:"minimum_rows" doc:"Rows of evidence without which the mixture stays on the base"`
	Base        float64         `json:"base" doc:"The least that the base keeps"`
	Boosted     float64         `json:"boosted" doc:"The most that all slices together may take"`
	Cap         float64         `json:"cap" doc:"The most that one slice may take"`
	TrustRegion float64         `json:"trust_region" doc:"The most that a mixture may move from the one before, in nats"`
	KL          float64         `json:"kl" doc:"How much of that this round uses"`
	Step        float64         `json:"step" doc:"How far it went of the way to what the evidence asks for"`
	Protected   []Held          `json:"protected,omitempty" doc:"Slices of which the space demands a least share"`
	Pins        []loop.Override `json:"pins,omitempty" doc:"Slices whose share a person set: of the policy, and of this round"`
	Bans        []loop.Override `json:"bans,omitempty" doc:"Slices that a person will not have boosted"`
}

// Held is a slice that the space protects.
type Held struct {
	Name   string  `json:"name"`
	Share  float64 `json:"share"`
	Reason string  `json:"reason,omitempty"`
}
