package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"hone/examples/shapes"
)

// TestDecision runs a small experiment twice: equal seeds give equal figures
// (I4), although the arms run side by side, and both arms are judged after
// every round.
func TestDecision(t *testing.T) {
	run := func() *decisionReport {
		e := experiment{rounds: 3, samples: 200, evaluation: 400, steps: 4, log: io.Discard}
		report, err := e.run(t.Context(), 7, 2)
		if err != nil {
			t.Fatal(err)
		}
		report.ElapsedSeconds = 0
		return report
	}
	first := run()
	for _, s := range first.Seeds {
		for name, arm := range map[string]armReport{"loop": s.Loop, "uniform": s.Uniform} {
			if len(arm.Scores) != 3 || len(arm.Scores[0].Slices) != len(shapes.Learnable()) {
				t.Errorf("seed %d: %s has scores %+v", s.Seed, name, arm.Scores)
			}
			if last := arm.Scores[2]; last.Samples < 590 || last.Samples > 600 {
				t.Errorf("seed %d: %s was trained on %d samples, want 600 or, abandoned ones aside, just less", s.Seed, name, last.Samples)
			}
		}
		if s.Uniform.NoiseSliceShare < .02 || s.Uniform.NoiseSliceShare > .06 {
			t.Errorf("seed %d: uniform spends %.3f on the unlearnable slice, want about .04", s.Seed, s.Uniform.NoiseSliceShare)
		}
	}
	a, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(run())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("two runs differ:\n%s\n%s", a, b)
	}
	var out strings.Builder
	first.table(&out)
	if !strings.Contains(out.String(), "RATIO") {
		t.Errorf("table:\n%s", out.String())
	}
}

func TestSummary(t *testing.T) {
	r := decisionReport{}
	for _, ratio := range []float64{2, 3, 4} {
		r.Seeds = append(r.Seeds, seedReport{Ratio: ratio, Loop: armReport{MeanAccuracy: .94, NoiseSliceShare: ratio / 100}, Uniform: armReport{MeanAccuracy: .95}})
	}
	r.summarise()
	// The t quantile of 2 degrees of freedom is 4.3027, the standard error .5774.
	near := func(got, want float64) bool { return got > want-1e-3 && got < want+1e-3 }
	if !near(r.Ratio, 3) || !near(r.RatioLower, .5159) || !near(r.RatioUpper, 5.4841) || r.RatioLeast != 2 ||
		!near(r.MeanLossPoints, 1) || r.NoiseShareMost != .04 {
		t.Errorf("summary %+v", r)
	}
}
