package loop

import (
	"encoding/hex"
	"strings"
)

// Digest is a SHA-256.
type Digest [32]byte

// String writes the digest as users see it: "sha256:" and 64 hex digits.
func (d Digest) String() string { return "sha256:" + hex.EncodeToString(d[:]) }

// IsZero reports whether the digest is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText and UnmarshalText make a digest a string in JSON.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText accepts what ParseDigest does.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// ParseDigest reads "sha256:<64 lower-case hex digits>".
func ParseDigest(s string) (Digest, error) {
	var d Digest
	digits, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(digits) != 2*len(d) || strings.ToLower(digits) != digits {
		return d, refuse("digest", "%q is not a digest", s).remedy("sha256: and 64 lower-case hex digits")
	}
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return d, refuse("digest", "%q is not a digest", s).remedy("sha256: and 64 lower-case hex digits")
	}
	return d, nil
}

// Object refers to one immutable, content-addressed object of the lake.
type Object struct {
	// Key is the whole key, epoch included, e.g. "parts/1/ab/ab12….parquet" (C16).
	Key    string `json:"key"`
	Digest Digest `json:"digest"`
	Bytes  int64  `json:"bytes"`
	// Rows is the number of rows of a part, of samples of a pack, of lines of a
	// manifest.
	Rows int64 `json:"rows"`
}

// Address is where a sample's bytes lie: a run of tar entries in a pack.
type Address struct {
	Key    string `json:"key"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// SampleRow is one row of a part of samples: everything that is known of a
// sample that passed its gates.
type SampleRow struct {
	Campaign  string
	Name      Name
	Seed      uint64
	Scenario  Scenario
	Weight    float64 // importance weight w = π/q
	Digest    Digest
	Address   Address
	Worker    string
	Generator string // name@version
	Millis    float64
	Scores    []Score
	// Example and Origin are of an imported sample: what its importer calls it, and
	// whether it is real. One that was made here has neither.
	Example string
	Origin  Origin
	// Values are an imported sample's own of the numeric factors, NaN elsewhere: a
	// fraction says a value that somebody measured only nearly. Nil of one made here.
	Values []float64
}

// VerdictRow is one row of a part of verdicts: an attempt that a gate sent back.
type VerdictRow struct {
	Campaign  string
	Name      Name
	Worker    string
	Generator string // name@version
	Gate      string
	Reason    string
	Scenario  Scenario
	Scores    []Score
}

// ManifestRow is one line of a dataset version's manifest (C26).
type ManifestRow struct {
	Name   Name
	Digest Digest
	Weight float64
	// Split is the domain as text.
	Split string
}

// Selection asks a view for the committed samples of a campaign's rounds.
type Selection struct {
	Space    string
	Campaign string
	Domain   Domain
	// FirstRound and LastRound are both included.
	FirstRound, LastRound int
	// AtLeast is the sequence that the view must have reached.
	AtLeast uint64
}

// ImportedSample is one sample of an imported dataset version.
type ImportedSample struct {
	Index    uint64
	Digest   Digest
	Example  string
	Scenario Scenario
	Values   []float64
}

// CommittedSample is one committed sample: its line in a manifest, and where its
// bytes lie.
type CommittedSample struct {
	Row     ManifestRow
	Address Address
}
