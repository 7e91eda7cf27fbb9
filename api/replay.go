package api

import "hone/loop"

// What became of the evidence that a round was decided from.
const (
	EvidenceNone    = "none"
	EvidenceIntact  = "intact"
	EvidenceAltered = "altered"
	EvidenceMissing = "missing"
)

// Replay is a past round decided once more: from its evidence object, the
// versions of its policy and space, the round before, its budget and its seed
// (I4).
type Replay struct {
	Campaign  string `json:"campaign"`
	Round     int    `json:"round" doc:"From 1"`
	Identical bool   `json:"identical" doc:"The same arguments came to the same canonical bytes"`
	// Digest and Replayed are equal exactly where the bytes are.
	Digest        loop.Digest       `json:"digest" doc:"Of the round's canonical bytes"`
	Replayed      *loop.Digest      `json:"replayed,omitempty" doc:"Of what was decided now; absent if nothing could be"`
	Evidence      string            `json:"evidence" enum:"none,intact,altered,missing" doc:"The evidence object in the lake: intact if its bytes hash to what the round names. Of any other nothing is decided"`
	Sequence      uint64            `json:"sequence" doc:"The sequence of the evidence"`
	Differences   []loop.Difference `json:"differences,omitempty" doc:"The first places in which the bytes differ"`
	ShareDistance float64           `json:"share_distance,omitempty" doc:"The largest difference of a training component's share, as a fraction"`
	Problem       string            `json:"problem,omitempty" doc:"Why nothing could be decided now"`
	DecidedBy     *Build            `json:"decided_by,omitempty" doc:"What decided the round, where it was kept"`
	ReplayedBy    Build             `json:"replayed_by"`
}

// Build is a program: another build, or another architecture, may come to other
// bytes.
type Build struct {
	Version      string `json:"version"`
	Architecture string `json:"architecture" example:"amd64"`
}

// ReplayList is what `hone round replay CAMPAIGN` prints.
type ReplayList struct {
	Replays []Replay `json:"replays"`
}
