package api

import (
	"context"
	"net/url"
)

// Suspects answers GET /v1/campaigns/NAME/rounds/N/suspects: what to look at before
// more is made of slices that samples have not helped.
type Suspects struct {
	Campaign string         `json:"campaign"`
	Round    int            `json:"round"`
	Slices   []SuspectSlice `json:"slices" doc:"Those in quarantine first, then the damped, then those that look unlearnable; one for each model line that the campaign learns from"`
	LeftOut  int            `json:"left_out,omitempty" doc:"How many more there are, which are damped less"`
	Sequence uint64         `json:"sequence" doc:"Up to which change outcomes were looked at"`
}

// SuspectSlice is one slice and what failed in it.
type SuspectSlice struct {
	ModelLine    string            `json:"model_line"`
	ModelVersion string            `json:"model_version,omitempty" doc:"The newest sealed version, whose failures these are; missing where none is sealed"`
	Name         string            `json:"name" example:"light=low ∧ glove=yes" doc:"The slice in words"`
	Slice        map[string]string `json:"slice" doc:"Level by factor"`
	Quarantined  bool              `json:"quarantined,omitempty"`
	Until        int               `json:"until,omitempty" doc:"The round in which a quarantined slice is given another chance; missing is never"`
	Damping      float64           `json:"damping" doc:"By what the slice's value is multiplied; 1 is not damped"`
	Sentence     string            `json:"sentence,omitempty" doc:"Why it is damped or in quarantine, or looks unlearnable"`
	Failures     int64             `json:"failures" doc:"How many groups of rows failed in the slice"`
	Examples     []Failure         `json:"examples" doc:"Some of them, one per group, the greatest loss first"`
}

// Failure is one failed outcome, for a person to look at.
type Failure struct {
	EvalSet string   `json:"eval_set,omitempty"`
	Example string   `json:"example"`
	URI     string   `json:"uri,omitempty" doc:"Where a person can open it, as its poster said"`
	Sample  string   `json:"sample,omitempty" doc:"The digest of the committed sample that was evaluated, if it was one: GET /v1/samples/DIGEST has its bytes"`
	Made    string   `json:"made,omitempty" example:"loop/r1-e0-i17-a0" doc:"That sample's campaign and name"`
	Loss    *float64 `json:"loss,omitempty" doc:"The model's, if one was posted"`
}

// Suspects lists failures of the slices that a round damps or has in quarantine, at
// most top of each; or, where it is not empty, of the slice that where names, as in
// "light=low & glove=yes".
func (c *Client) Suspects(ctx context.Context, campaign string, n, top int, where string) (Suspects, error) {
	query := url.Values{"top": {number(top)}}
	if where != "" {
		query.Set("where", where)
	}
	return get[Suspects](ctx, c, segments("v1", "campaigns", campaign, "rounds", number(n), "suspects"), query)
}
