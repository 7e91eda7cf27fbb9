package api

import (
	"encoding/json"
	"slices"
)

// The content types of a post of outcomes.
const (
	NDJSON = "application/x-ndjson"
	Arrow  = "application/vnd.apache.arrow.stream"
)

// Posted answers a post of outcomes. A duplicate has accepted = 0 and
// duplicate_of, and no sequence.
type Posted struct {
	Accepted    int64  `json:"accepted" doc:"How many rows now count; 0 for a duplicate"`
	Sequence    uint64 `json:"sequence,omitempty" doc:"The change that added them: a query that has seen it sees them"`
	DuplicateOf uint64 `json:"duplicate_of,omitempty" doc:"The sequence under which the same post was accepted before"`
}

// OutcomeRow is one line of an NDJSON post, for those who write them in Go. A
// row names either a sample or its own example and scenario.
type OutcomeRow struct {
	Example string `json:"example,omitempty" doc:"What was evaluated, within its eval set; defaults to the sample"`
	Group   string `json:"group,omitempty" doc:"Clip, image or patient: rows of a group are not independent; defaults to the example"`
	Sample  string `json:"sample,omitempty" doc:"The digest of the committed sample that was evaluated"`
	// Scenario maps a factor to a level's name, to a number (numeric factors), to
	// "absent", or to nil where it is unknown.
	Scenario map[string]any `json:"scenario,omitempty" doc:"Value by factor; null or missing: unknown"`
	// Correct may be nil where a metric with a threshold says it.
	Correct *bool `json:"correct,omitempty" doc:"May be left out where a metric of the task that has a threshold is given"`
	// Metrics maps a metric of the post's task to its value; each becomes a member
	// of the row. Null and missing are the same: not measured.
	Metrics map[string]float64 `json:"-"`
	Loss    *float64           `json:"loss,omitempty"`
	Origin  string             `json:"origin,omitempty" enum:"real,synthetic" doc:"Defaults to synthetic for a sample, else real"`
	URI     string             `json:"uri,omitempty" maxLength:"2048" example:"s3://field/3/a17.png" doc:"Where a person can open what was evaluated: one line, of at most 2,048 bytes, that nobody follows but who reads it"`
}

// MarshalJSON writes the metrics beside the other members.
func (r OutcomeRow) MarshalJSON() ([]byte, error) {
	type members OutcomeRow
	line, err := json.Marshal(members(r))
	if err != nil || len(r.Metrics) == 0 {
		return line, err
	}
	metrics, err := json.Marshal(r.Metrics)
	if err != nil || len(line) == len("{}") {
		return metrics, err
	}
	return slices.Concat(line[:len(line)-1], []byte{','}, metrics[1:]), nil
}
