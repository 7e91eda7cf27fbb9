package loop

import (
	"errors"
	"strings"
	"testing"
)

func pinned(s *Space, factor string, level string) *Space {
	f := &s.Factors[s.Factor(factor)]
	l := f.Level(level)
	f.Pin = &l
	return s
}

// All that is made has the pinned level, whatever floor, strategy, constraint or
// condition says; and the weights know it.
func TestPinHolds(t *testing.T) {
	for name, s := range map[string]*Space{
		"categorical": pinned(rig(), "glove", "yes"),
		"parent":      pinned(rig(), "glove", "no"), // so there is no colour, and no stripe
		"conditional": pinned(rig(), "glove_colour", "red"),
		"numeric":     pinned(rig(), "distance", "far"),
		"of no share": func() *Space {
			s := rig()
			s.Factors[3].Levels[0].Target, s.Factors[3].Levels[1].Target = 1, 0
			return pinned(s, "stripe", "on")
		}(),
		"two at once":     pinned(pinned(rig(), "glove", "yes"), "tilt", "level"),
		"many of a level": pinned(rig(), "tool", "tA"),
	} {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, strategy := range []string{StrategyHone, StrategyUniform} {
			p := policy()
			p.Strategy = strategy
			r, err := Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 300, Evaluation: EvaluationPlan{Target: 300, Mixture: 300}}, 1)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sampler, err := NewSampler(s, &r)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Components {
				for index := range c.Quota {
					x, err := sampler.Scenario(c.Domain, c.Number, index)
					if err != nil {
						t.Fatal(err)
					}
					for _, pin := range s.pins() {
						if code := x.Codes[pin.Factor]; code.IsLevel() && int(code) != pin.Level {
							t.Fatalf("%s, %s: drew %s", name, strategy, s.Text(pin.Factor, code))
						}
					}
				}
			}
		}
		combinations := 0
		for _, x := range enumerate(s, s.baseMarginals(1)) {
			if x.p > 0 {
				combinations++
			}
		}
		if got := s.Size(); got != float64(combinations) {
			t.Errorf("%s: size %v, want %d", name, got, combinations)
		}
	}
}

// What fails at another level of a pinned factor is evidence, but of nothing that
// can be made: it neither becomes a boost nor makes one. What fails at the pinned
// level does, without a word of the pin.
func TestPinnedEvidence(t *testing.T) {
	worse := map[string]float64{"background=metal light=low": .7, "occlusion=strong rotation=r225 light=day": .9}
	e := sized(t, shapes(), 12_000, .04, worse)
	s := pinned(shapes(), "light", "day")
	b := Budget{Campaign: "c", Number: 1, Train: 1500}
	r, err := Decide(s, policy(), nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range r.Components {
		found = found || c.Slice.Equal(s.slice(t, "rotation", "r225", "occlusion", "strong"))
		if c.Slice.Level(s.Factor("light")) >= 0 || c.Slice.Level(s.Factor("background")) >= 0 {
			t.Errorf("boosts %s", s.Describe(c.Slice))
		}
	}
	if !found {
		t.Errorf("what fails at the pinned level is not boosted: %s", r.Canonical())
	}
	if r.EvidenceRows != e.TotalRows() || r.Evidence != e.Digest() {
		t.Error("the round does not name all of its evidence")
	}
	// It is the decision on the rows at the pinned level and no others.
	var kept Evidence
	for i := range e.Len() {
		if e.Codes[s.Factor("light")][i] == 3 {
			kept.Append(e.line(i))
		}
	}
	alone, err := Decide(s, policy(), nil, &kept, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	alone.Evidence, alone.EvidenceRows = r.Evidence, r.EvidenceRows
	if string(alone.Canonical()) != string(r.Canonical()) {
		t.Errorf("got  %s\nwant %s", r.Canonical(), alone.Canonical())
	}
}

// An earlier boost at another level goes when the factor is pinned; a quota by
// the pinned factor is the whole quota.
func TestPinAfterABoost(t *testing.T) {
	s := shapes()
	e := sized(t, s, 6000, .04, map[string]float64{"background=metal light=low": .7})
	first, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
	if err != nil || boostOf(&first, s.slice(t, "background", "metal", "light", "low")) == nil {
		t.Fatalf("no boost to begin with (%v)", err)
	}
	s = pinned(shapes(), "light", "glare")
	r, err := Decide(s, policy(), &first, e, Budget{Campaign: "c", Number: 2, Train: 1500, QuotaBy: "light"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Components {
		if c.Slice.Level(3) >= 0 || c.By == nil || c.By.Level != 4 {
			t.Errorf("component %+v", c)
		}
	}
	if r.Quota(Train) != 1500 {
		t.Errorf("%d samples", r.Quota(Train))
	}
}

// What a pin makes impossible is refused by name.
func TestPinRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		spoil   func(s *Space)
		field   string
		problem string
	}{
		"no such level":      {func(s *Space) { l := 2; s.Factors[1].Pin = &l }, "factors[1].pin", `factor "glove" has no level 2`},
		"negative":           {func(s *Space) { l := -1; s.Factors[1].Pin = &l }, "factors[1].pin", "no level -1"},
		"forbidden level":    {func(s *Space) { pinned(s, "tool", "tE") }, "factors[5].pin", "with tool=tE pinned, the constraints leave next to nothing"},
		"forbidden together": {func(s *Space) { pinned(pinned(s, "distance", "far"), "tilt", "left") }, "factors[0].pin", "with distance=far ∧ tilt=left pinned"},
		"protected apart": {func(s *Space) {
			pinned(s, "glove", "no").Protected = []Protected{{Slice: Slice{{Factor: 1, Level: 1}}, Share: .1}}
		}, "protected[0].slice", "glove=yes is never made: the space pins glove=no"},
		"protected absent": {func(s *Space) {
			pinned(s, "glove", "no").Protected = []Protected{{Slice: Slice{{Factor: 2, Level: 1}}, Share: .1}}
		}, "protected[0].slice", "glove_colour=black hardly occurs"},
	} {
		s := rig()
		test.spoil(s)
		var refused *Error
		if err := s.Validate(); !errors.As(err, &refused) || refused.Field != test.field || !strings.Contains(refused.Problem, test.problem) || refused.Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := pinned(rig(), "glove", "no")
	plan := EvaluationPlan{Pinned: []Pinned{{Slice: Slice{{Factor: 1, Level: 1}}, Count: 5}}}
	if err := plan.validate(s); err == nil {
		t.Error("an evaluation set at another level than the pinned one")
	}
}
