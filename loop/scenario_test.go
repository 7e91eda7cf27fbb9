package loop

import (
	"encoding/json"
	"testing"
)

// vectorRound is a round of some space, put together without Decide, so that
// the vectors pin the sampler alone.
func vectorRound(s *Space, floor float64, components ...Component) *Round {
	r := &Round{Campaign: "vectors", Number: 3, Seed: 0x5eed, SpaceVersion: s.Version, PolicyVersion: 1,
		Strategy: StrategyHone, Base: s.baseMarginals(floor), Target: s.targetMarginals(), Components: components}
	number := map[Domain]int{}
	for i := range r.Components {
		c := &r.Components[i]
		c.Number, c.Quota = number[c.Domain], 1000
		number[c.Domain]++
		if c.Over == "" {
			c.Over = OverBase
		}
	}
	return r
}

// I4, golden: the scenarios of a round are integers, identical on any machine
// and for ever. Conditions two deep, rejected draws, numeric bins, boosted
// slices, quota_by and every domain are in here.
func TestScenarioVectors(t *testing.T) {
	type vector struct {
		Domain    Domain   `json:"domain"`
		Component int      `json:"component"`
		Index     uint64   `json:"index"`
		Codes     []Code   `json:"codes"`
		Fractions []uint32 `json:"fractions"`
	}
	type world struct {
		Space   *Space   `json:"space"`
		Round   *Round   `json:"round"`
		Vectors []vector `json:"vectors"`
	}
	s, r := shapes(), rig()
	worlds := []world{
		{Space: s, Round: vectorRound(s, .2,
			Component{Share: whole / 2},
			Component{Share: whole / 4, Slice: s.slice(t, "background", "metal", "light", "low")},
			Component{Share: whole / 4, Slice: s.slice(t, "background", "checker", "light", "glare", "contrast", "infrared")},
			Component{Domain: Probe, Slice: s.slice(t, "occluder_side", "bottom")},
			Component{Domain: Evaluation, Over: OverTarget, Source: SourceTarget, Share: whole},
			Component{Domain: Evaluation, Over: OverTarget, Source: SourcePinned, Slice: s.slice(t, "occlusion", "strong", "rotation", "r225"), Share: whole},
		)},
		{Space: r, Round: vectorRound(r, .5,
			Component{Share: whole / 2},
			Component{Share: whole / 4, Slice: r.slice(t, "stripe", "on")},
			Component{Share: whole / 4, Slice: r.slice(t, "distance", "far"), By: &Predicate{Factor: 1, Level: 1}},
		)},
		{Space: r, Round: vectorRound(r, 1, Component{Share: whole})},
	}
	for w := range worlds {
		sampler, err := NewSampler(worlds[w].Space, worlds[w].Round)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range worlds[w].Round.Components {
			for _, index := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 63, 64, 999, 65_536, 1_000_000, MaxQuota - 1} {
				x, err := sampler.Scenario(c.Domain, c.Number, index)
				if err != nil {
					t.Fatal(err)
				}
				worlds[w].Vectors = append(worlds[w].Vectors, vector{c.Domain, c.Number, index, x.Codes, x.Fractions})
			}
		}
	}
	golden(t, "scenarios.json", worlds)
}

// The value of a numeric factor lies in its bin, and derives from the fraction.
func TestValue(t *testing.T) {
	s := rig()
	for _, test := range []struct {
		level    Code
		fraction uint32
		want     float64
		ok       bool
	}{
		{0, 0, .2, true}, {1, 0, 1, true}, {1, 1 << 31, 2.5, true}, {2, 1 << 30, 9.25, true},
		{Absent, 0, 0, false}, {Unknown, 0, 0, false},
	} {
		x := Scenario{Codes: []Code{test.level, 0, Absent, Absent, 0, 0}, Fractions: []uint32{test.fraction, 0, 0, 0, 0, 0}}
		if got, ok := s.Value(0, x); got != test.want || ok != test.ok {
			t.Errorf("level %d, fraction %d: %v %v, want %v %v", test.level, test.fraction, got, ok, test.want, test.ok)
		}
	}
	if v, ok := s.Value(0, Scenario{Codes: []Code{2}, Fractions: []uint32{1<<32 - 1}}); !ok || v >= 25 {
		t.Errorf("the last fraction gives %v, which is not below the upper edge", v)
	}
	if _, ok := s.Value(1, Scenario{Codes: []Code{0, 0}, Fractions: []uint32{0, 0}}); ok {
		t.Error("a categorical factor has a value")
	}
}

func TestText(t *testing.T) {
	s := rig()
	for code, want := range map[Code]string{0: "near", 2: "far", Absent: "absent", Unknown: "unknown", 7: "unknown"} {
		if got := s.Text(0, code); got != want {
			t.Errorf("Text(%d) = %q, want %q", code, got, want)
		}
	}
}

// A round survives JSON: that is how it travels to workers and comes back from
// the lake.
func TestRoundSurvivesJSON(t *testing.T) {
	s := rig()
	r := vectorRound(s, .5, Component{Share: whole}, Component{Domain: Evaluation, By: &Predicate{Factor: 1, Level: 1}, Share: whole, Source: SourceTarget})
	r.Evidence[3] = 7
	var back Round
	if err := json.Unmarshal(r.Canonical(), &back); err != nil {
		t.Fatal(err)
	}
	if string(back.Canonical()) != string(r.Canonical()) || back.Digest() != r.Digest() {
		t.Errorf("%s\nbecame\n%s", r.Canonical(), back.Canonical())
	}
}
