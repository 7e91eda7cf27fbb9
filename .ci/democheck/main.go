// Command democheck reads what `hone demo --output json` printed and fails
// unless its last line is the one object that the README promises, with an
// accounting that adds up.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

type arm struct {
	WorstSliceAccuracy *float64 `json:"worst_slice_accuracy"`
	MeanAccuracy       *float64 `json:"mean_accuracy"`
	NoiseSliceShare    *float64 `json:"noise_slice_share"`
	SamplesToWorst035  *uint64  `json:"samples_to_worst_035"`
}

type result struct {
	Rounds  int `json:"rounds"`
	Samples struct {
		Requested        uint64 `json:"requested"`
		Committed        uint64 `json:"committed"`
		Rejected         uint64 `json:"rejected"`
		Replaced         uint64 `json:"replaced"`
		Abandoned        uint64 `json:"abandoned"`
		DuplicateIndices uint64 `json:"duplicate_indices"`
		QuotaExact       bool   `json:"quota_exact"`
	} `json:"samples"`
	Loop    arm `json:"loop"`
	Uniform arm `json:"uniform"`
	Dataset struct {
		Version        string `json:"version"`
		ManifestSHA256 string `json:"manifest_sha256"`
		Samples        uint64 `json:"samples"`
	} `json:"dataset"`
	ElapsedSeconds float64 `json:"elapsed_seconds"`
}

func main() {
	if err := check(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "democheck:", err)
		os.Exit(1)
	}
}

func check(in io.Reader) error {
	var last []byte
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			last = bytes.Clone(line)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	var r result
	decoder := json.NewDecoder(bytes.NewReader(last))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return fmt.Errorf("the last line is not the promised object: %w: %s", err, last)
	}
	fmt.Printf("%s\n", last)
	s := r.Samples
	var wrong []error
	claim := func(holds bool, format string, args ...any) {
		if !holds {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	claim(r.Rounds > 0, "no rounds")
	claim(s.QuotaExact, "quota_exact is false")
	claim(s.DuplicateIndices == 0, "%d indices were committed twice", s.DuplicateIndices)
	claim(s.Requested > 0 && s.Committed+s.Abandoned == s.Requested, "%d committed + %d abandoned are not the %d requested", s.Committed, s.Abandoned, s.Requested)
	claim(r.Dataset.Version != "" && r.Dataset.Samples > 0, "no dataset")
	claim(len(strings.TrimPrefix(r.Dataset.ManifestSHA256, "sha256:")) == 64, "%q is not a SHA-256", r.Dataset.ManifestSHA256)
	for name, a := range map[string]arm{"loop": r.Loop, "uniform": r.Uniform} {
		for field, v := range map[string]*float64{"worst_slice_accuracy": a.WorstSliceAccuracy, "mean_accuracy": a.MeanAccuracy, "noise_slice_share": a.NoiseSliceShare} {
			claim(v != nil && *v >= 0 && *v <= 1, "%s.%s is missing or no fraction", name, field)
		}
	}
	claim(r.ElapsedSeconds > 0, "no time went by")
	return errors.Join(wrong...)
}
