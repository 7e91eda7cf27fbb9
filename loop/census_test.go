package loop

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A census equals the enumeration of the joint, and what is drawn is feasible.
func TestCensusEqualsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 5, 3)
		if err := s.Validate(); err != nil {
			t.Skip(err)
		}
		census, err := s.Census()
		if err != nil {
			t.Fatal(err)
		}
		levels := make([][]float64, len(s.Factors))
		for f := range levels {
			levels[f] = make([]float64, len(s.Factors[f].Levels))
		}
		target := 0.0
		bites := make([]bool, len(s.Constraints))
		for _, x := range enumerate(s, s.targetMarginals()) {
			for i := range s.Constraints {
				alone := Space{Factors: s.Factors, Constraints: s.Constraints[i : i+1]}
				bites[i] = bites[i] || x.p > 0 && !allowed(&alone, x.codes)
			}
			if !allowed(s, x.codes) {
				continue
			}
			target += x.p
			for f, code := range x.codes {
				if code.IsLevel() {
					levels[f][code] += x.p
				}
			}
		}
		uniform := 0.0
		for _, x := range enumerate(s, s.baseMarginals(1)) {
			if allowed(s, x.codes) {
				uniform += x.p
			}
		}
		if !near(census.Target, target) || !near(census.Uniform, uniform) || census.Scenarios != s.Size() {
			t.Fatalf("%+v, want target %v, uniform %v", census, target, uniform)
		}
		for f := range levels {
			for l := range levels[f] {
				if got, want := census.Levels[f][l], levels[f][l]/target; math.Abs(got-want) > 1e-7 {
					t.Fatalf("%s=%s: %v, want %v", s.Factors[f].Name, s.Factors[f].Levels[l].Name, got, want)
				}
			}
		}
		idle := make([]bool, len(s.Constraints))
		for _, i := range census.Idle {
			idle[i] = true
		}
		for i := range bites {
			if bites[i] == idle[i] {
				t.Fatalf("constraint %d: violated by some scenario: %v, idle: %v", i, bites[i], idle[i])
			}
		}
		scenarios, err := s.Draw(nil, 20, 7)
		if err != nil && target >= 1e-3 {
			t.Fatal(err)
		}
		for _, x := range scenarios {
			if !allowed(s, x.Codes) {
				t.Fatalf("%v was drawn and is not allowed", x.Codes)
			}
		}
	})
}
