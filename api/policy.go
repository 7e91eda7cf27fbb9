package api

import (
	"context"
	"net/url"
	"strconv"

	"hone/loop"
)

// PolicyPut answers what makes a version of a policy.
type PolicyPut struct {
	Put
	Canary    float64      `json:"canary,omitempty" doc:"The share of every round of these campaigns that is the canary's, from their next one on, where the version is one"`
	Ended     int          `json:"ended,omitempty" doc:"The version that was the canary until now, and is tried no more"`
	Campaigns []PolicyUser `json:"campaigns,omitempty" doc:"The campaigns, running or paused, that follow an older version, and do so until they are told otherwise"`
}

// PolicyUser is a campaign that follows an older version of a policy.
type PolicyUser struct {
	Campaign string `json:"campaign" example:"loop"`
	Version  int    `json:"version" doc:"The version of the policy that it follows"`
	Refused  string `json:"refused,omitempty" doc:"Why it could not follow the new one, as far as that can be said without its evidence"`
}

// Because says who changes a policy and why, and what they saw.
type Because struct {
	Author   string `json:"author,omitempty" maxLength:"128" example:"ann"`
	Reason   string `json:"reason,omitempty" maxLength:"1024" example:"the night shift begins"`
	Expected int    `json:"expected,omitempty" minimum:"0" doc:"The policy's latest version, as the author saw it; refused with 409 if there is a later one. 0 is any"`
}

// Rollback puts what an older version of a policy said as the next version.
type Rollback struct {
	Version int `json:"version" minimum:"1" doc:"The version to go back to"`
	Because
}

// Pin gives a slice exactly its share of every training mixture.
type Pin struct {
	Slice   map[string]string `json:"slice" doc:"A level for each of one to three factors" example:"{\"light\":\"low\"}"`
	Share   float64           `json:"share" exclusiveMinimum:"0" exclusiveMaximum:"1" example:"0.1"`
	Expires string            `json:"expires,omitempty" example:"2030-12-31" doc:"The last day on which it holds, UTC; empty: until it is taken back"`
	Because
}

// Ban keeps a slice, and all inside it, from being boosted and probed.
type Ban struct {
	Slice   map[string]string `json:"slice" doc:"A level for each of one to three factors" example:"{\"light\":\"low\"}"`
	Expires string            `json:"expires,omitempty" example:"2030-12-31" doc:"The last day on which it holds, UTC; empty: until it is taken back"`
	Because
}

// Release takes a pin or a ban back.
type Release struct {
	Slice map[string]string `json:"slice" doc:"The slice of the pin or ban" example:"{\"light\":\"low\"}"`
	Because
}

// PolicyDiff is what two versions of a policy differ in.
type PolicyDiff struct {
	Name    string              `json:"name"`
	From    int                 `json:"from" doc:"A version"`
	To      int                 `json:"to" doc:"A version"`
	Changes []loop.PolicyChange `json:"changes" doc:"Key by key, in the order of a document, defaults spelt out"`
	Text    string              `json:"text,omitempty" doc:"The documents' difference in the unified format, comments and all"`
}

// PolicyEdited answers an edit of a policy: the version that it made and what that
// changed.
type PolicyEdited struct {
	PolicyPut
	Diff PolicyDiff `json:"diff"`
}

// PolicyVersion is one version of a policy's history.
type PolicyVersion struct {
	Version int                 `json:"version"`
	At      string              `json:"at" format:"date-time"`
	Owner   string              `json:"owner,omitempty"`
	Author  string              `json:"author,omitempty" doc:"Who put it"`
	Reason  string              `json:"reason,omitempty" doc:"Why"`
	Changes []loop.PolicyChange `json:"changes,omitempty" doc:"What it changed from the version before; nothing of the first"`
}

// PolicyHistory answers GET /v1/policies/NAME/history, from the first version.
type PolicyHistory struct {
	Name     string          `json:"name"`
	Versions []PolicyVersion `json:"versions"`
}

// Adopt has a campaign follow a policy from its next round on.
type Adopt struct {
	Policy   string `json:"policy,omitempty" example:"careful" doc:"The policy; empty: the one that it follows already"`
	Version  int    `json:"version,omitempty" minimum:"0" doc:"Its version; 0 is the latest"`
	Expected int    `json:"expected,omitempty" minimum:"0" doc:"The campaign's version, as the author saw it; refused with 409 if it is another by now. 0 is any"`
	Steer
}

// PutPolicy puts a policy's document, YAML or JSON.
func (c *Client) PutPolicy(ctx context.Context, document []byte, why Because) (PolicyPut, error) {
	return c.PutCanary(ctx, document, 0, why)
}

// PutCanary puts a policy's document as a canary, which campaigns that follow the
// policy try on that share of every round.
func (c *Client) PutCanary(ctx context.Context, document []byte, share float64, why Because) (PolicyPut, error) {
	r := posting("/v1/policies", documentType, document)
	r.query = url.Values{}
	for name, value := range map[string]string{"author": why.Author, "reason": why.Reason} {
		if value != "" {
			r.query.Set(name, value)
		}
	}
	if why.Expected > 0 {
		r.query.Set("expected", number(why.Expected))
	}
	if share > 0 {
		r.query.Set("canary", strconv.FormatFloat(share, 'f', -1, 64))
	}
	var put PolicyPut
	return put, c.call(ctx, r, &put)
}

// PolicyHistory returns every version of a policy and what it changed.
func (c *Client) PolicyHistory(ctx context.Context, name string) (PolicyHistory, error) {
	return get[PolicyHistory](ctx, c, segments("v1", "policies", name, "history"), nil)
}

// PolicyDiff compares two versions of a policy: to 0 is the latest, from 0 the one
// before to.
func (c *Client) PolicyDiff(ctx context.Context, name string, from, to int) (PolicyDiff, error) {
	query := url.Values{}
	if from > 0 {
		query.Set("from", number(from))
	}
	if to > 0 {
		query.Set("to", number(to))
	}
	return get[PolicyDiff](ctx, c, segments("v1", "policies", name, "diff"), query)
}

// RollbackPolicy puts what an older version said as the next one.
func (c *Client) RollbackPolicy(ctx context.Context, name string, to Rollback) (PolicyEdited, error) {
	return postJSON[PolicyEdited](ctx, c, segments("v1", "policies", name, "rollback"), to)
}

// PinSlice pins a slice in a policy, or changes its pin.
func (c *Client) PinSlice(ctx context.Context, name string, pin Pin) (PolicyEdited, error) {
	return postJSON[PolicyEdited](ctx, c, segments("v1", "policies", name, "pin"), pin)
}

// UnpinSlice takes a pin back.
func (c *Client) UnpinSlice(ctx context.Context, name string, pin Release) (PolicyEdited, error) {
	return postJSON[PolicyEdited](ctx, c, segments("v1", "policies", name, "unpin"), pin)
}

// BanSlice bans a slice in a policy, or changes its ban.
func (c *Client) BanSlice(ctx context.Context, name string, ban Ban) (PolicyEdited, error) {
	return postJSON[PolicyEdited](ctx, c, segments("v1", "policies", name, "ban"), ban)
}

// UnbanSlice takes a ban back.
func (c *Client) UnbanSlice(ctx context.Context, name string, ban Release) (PolicyEdited, error) {
	return postJSON[PolicyEdited](ctx, c, segments("v1", "policies", name, "unban"), ban)
}

// AdoptPolicy has a campaign follow a version of a policy, and returns the
// campaign as it then stands.
func (c *Client) AdoptPolicy(ctx context.Context, campaign string, to Adopt) (Campaign, error) {
	return postJSON[Campaign](ctx, c, segments("v1", "campaigns", campaign, "policy"), to)
}

// CanaryComparison answers GET /v1/policies/NAME/canary.
type CanaryComparison struct {
	Name      string        `json:"name"`
	Campaigns []CanaryTrial `json:"campaigns" doc:"Those that tried a canary of the policy, or will from their next round on"`
	Caveat    string        `json:"caveat" doc:"What the comparison cannot say"`
}

// CanaryTrial is a canary as one campaign tried it.
type CanaryTrial struct {
	Campaign string        `json:"campaign"`
	Canary   int           `json:"canary" doc:"The version of the policy that was tried"`
	Stable   int           `json:"stable" doc:"The version that the campaign follows; by the latest of these rounds"`
	Share    float64       `json:"share" doc:"Of every round's training samples"`
	Running  bool          `json:"running" doc:"The campaign's next round will be of two arms, too"`
	Rounds   []CanaryRound `json:"rounds" doc:"The latest 64"`
	Together CanaryArms    `json:"together" doc:"All of these rounds"`
}

// CanaryRound is one round of two arms.
type CanaryRound struct {
	Round      int      `json:"round"`
	OnlyStable []string `json:"only_stable,omitempty" doc:"Slices that the stable version boosts and the canary does not"`
	OnlyCanary []string `json:"only_canary,omitempty" doc:"Slices that the canary boosts and the stable version does not"`
	CanaryArms
}

// CanaryArms is what the two arms yield.
type CanaryArms struct {
	Stable CanaryYield    `json:"stable"`
	Canary CanaryYield    `json:"canary"`
	Above  *loop.Interval `json:"above,omitempty" doc:"By how much the canary's failure rate is above the stable version's, with a 95 % interval"`
	// Refused says why there is none.
	Refused string `json:"refused,omitempty" doc:"Why there is no such difference"`
}

// CanaryYield is what one arm yields. What is not known is left out.
type CanaryYield struct {
	Samples       uint64   `json:"samples" doc:"Training samples that it was given"`
	Accepted      uint64   `json:"accepted"`
	Rejected      uint64   `json:"rejected" doc:"Attempts at them that a gate sent back"`
	RejectionRate *float64 `json:"rejection_rate,omitempty" doc:"Of all attempts that were judged"`
	Cost          *Cost    `json:"cost,omitempty" doc:"What an accepted training sample took, attempts that were sent back included"`
	Effective     float64  `json:"effective" doc:"How many samples of deployment one of the arm's training samples is worth, by importance weights: 0 to 1"`
	Evaluated     uint64   `json:"evaluated" doc:"Evaluation samples of its mixture that a sealed model was evaluated on: by the newest that was, of every line that the campaign learns from"`
	Failures      float64  `json:"failures" doc:"How many of those failed; of a sample with several rows, the part that did"`
	FailureRate   *float64 `json:"failure_rate,omitempty" doc:"The arm's failure yield: how often the models fail on what it makes"`
}

// CanaryCaveat is what no comparison of two arms can say.
const CanaryCaveat = "One model is trained on the samples of both arms, so that nothing here says which of them made it better or worse. " +
	"hone experiment create makes arms of equal budget, each for a model of its own, and can say it."

// PolicyCanary compares what a policy's canaries yield with what is made beside them:
// of one campaign, or of all where its name is empty; of one version, or of the latest
// that each campaign tried where that is 0.
func (c *Client) PolicyCanary(ctx context.Context, name string, version int, campaign string) (CanaryComparison, error) {
	query := url.Values{}
	if version > 0 {
		query.Set("version", number(version))
	}
	if campaign != "" {
		query.Set("campaign", campaign)
	}
	return get[CanaryComparison](ctx, c, segments("v1", "policies", name, "canary"), query)
}

// PromotePolicy makes what a policy's canary says its next version.
func (c *Client) PromotePolicy(ctx context.Context, name string, why Because) (PolicyEdited, error) {
	return postJSON[PolicyEdited](ctx, c, segments("v1", "policies", name, "promote"), why)
}

// WithdrawPolicy ends a policy's canary: what the stable version says becomes the
// next one.
func (c *Client) WithdrawPolicy(ctx context.Context, name string, why Because) (PolicyEdited, error) {
	return postJSON[PolicyEdited](ctx, c, segments("v1", "policies", name, "withdraw"), why)
}
