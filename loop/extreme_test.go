package loop

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// uniformEvidence is one line per level of a factor of n levels, with so many
// rows and failures each.
func uniformEvidence(levels int, rows int64, failures func(level int) int64) *Evidence {
	e := &Evidence{}
	for l := range levels {
		e.Append(Line{Codes: []Code{Code(l)}, Source: SourceTarget, Origin: Synthetic, Rows: rows, Failures: failures(l)})
	}
	return e
}

func oneFactor(levels int) *Space {
	s := &Space{Name: "one", Version: 1, Factors: []Factor{{Name: "f", Kind: Categorical}}}
	for l := range levels {
		s.Factors[0].Levels = append(s.Factors[0].Levels, Level{Name: fmt.Sprint("l", l), Target: 1 / float64(levels)})
	}
	return s
}

// The ends of the scale: none of them panics, and none but the planted level
// makes a boost.
func TestDecideAtTheExtremes(t *testing.T) {
	none := func(int) int64 { return 0 }
	for name, test := range map[string]struct {
		space    *Space
		evidence *Evidence
		boosts   int
	}{
		"no evidence":          {oneFactor(3), nil, 0},
		"no failures":          {oneFactor(3), uniformEvidence(3, 5000, none), 0},
		"all failures":         {oneFactor(3), uniformEvidence(3, 5000, func(int) int64 { return 5000 }), 0},
		"one row":              {oneFactor(3), uniformEvidence(1, 1, none), 0},
		"one level, failing":   {oneFactor(1), uniformEvidence(1, 5000, func(int) int64 { return 700 }), 0},
		"10,000 levels":        {oneFactor(MaxLevels), uniformEvidence(MaxLevels, 40, func(l int) int64 { return int64(l % 2) }), 0},
		"10,000 levels, 1 bad": {oneFactor(MaxLevels), uniformEvidence(MaxLevels, 40, func(l int) int64 { return int64(l/(MaxLevels-1)) * 39 }), 1},
		"a trillion rows":      {oneFactor(3), uniformEvidence(3, maxEvidenceRows/3, func(l int) int64 { return 1e9 * int64(1+l/2) }), 1},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.space.Validate(); err != nil {
				t.Fatal(err)
			}
			p := policy()
			p.MinimumRows = 1
			var previous *Round
			for number := 1; number <= 2; number++ {
				b := Budget{Campaign: "c", Number: number, Train: 1500}
				r, err := Decide(test.space, p, previous, test.evidence, b, 1)
				if err != nil {
					t.Fatal(err)
				}
				checkRound(t, test.space, p, previous, &r, b)
				if len(r.Components)-1 != test.boosts {
					t.Errorf("%d boosts, want %d: %+v", len(r.Components)-1, test.boosts, r.Components)
				}
				previous = &r
			}
		})
	}
}

// A level without a target share has no value as a boost, but a floor draws it;
// without a floor nothing does.
func TestDecideOnLevelsWithoutTarget(t *testing.T) {
	s := oneFactor(4)
	s.Factors[0].Levels[0].Target, s.Factors[0].Levels[1].Target = 0, .5
	e := uniformEvidence(4, 3000, func(l int) int64 { return []int64{2900, 30, 30, 30}[l] })
	for _, floor := range []float64{0, .2} {
		for _, quotaBy := range []string{"", "f"} {
			p := policy()
			p.Floor = floor
			r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 1500, QuotaBy: quotaBy}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if boostOf(&r, Slice{{Factor: 0, Level: 0}}) != nil {
				t.Errorf("floor %v: a slice that deployment never shows is boosted", floor)
			}
			if mass := r.Base[0].mass(0); (mass > 0) != (floor > 0) {
				t.Errorf("floor %v: level 0 has mass %d in the base", floor, mass)
			}
		}
	}
}

// Evidence of what cannot be made moves nothing and stops nothing: a slice that
// is forbidden, impossible, or all but forbidden.
func TestDecideOnInfeasibleEvidence(t *testing.T) {
	s := oneFactor(20)
	s.Factors = append(s.Factors, factor("g", "no", .5, "yes", .5), factor("h", "a", .5, "b", .5))
	s.Factors[2].When = &LevelSet{Factor: 1, Levels: []int{1}}
	// Level 0 of f only ever with level 0 of k, which has next to no share.
	s.Factors = append(s.Factors, factor("k", "rare", .0005, "common", .9995))
	s.Constraints = []Constraint{
		{When: []LevelSet{{0, []int{0}}}, Then: []LevelSet{{3, []int{0}}}},
		{When: []LevelSet{{0, []int{1}}, {1, []int{1}}}},
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	e := &Evidence{}
	add := func(rows, failures int64, codes ...Code) {
		e.Append(Line{Codes: codes, Source: SourceTarget, Origin: Real, Rows: rows, Failures: failures})
	}
	for l := range Code(20) {
		add(300, 3, l, 0, Absent, 1)
	}
	add(400, 390, 0, Unknown, Unknown, Unknown) // all but forbidden
	add(400, 390, 1, 1, 0, 1)                   // forbidden
	add(400, 390, 5, 0, 1, 1)                   // impossible: h is absent where g is no
	e.Sort()
	p := policy()
	p.Floor = 0
	b := Budget{Campaign: "c", Number: 1, Train: 1500}
	r, err := Decide(s, p, nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkRound(t, s, p, nil, &r, b)
	for _, c := range r.Components {
		if l := c.Slice.Level(0); l == 0 || l == 1 && c.Slice.Level(1) == 1 {
			t.Errorf("boosts %s", s.Describe(c.Slice))
		}
	}
	// quota_by on it is refused by name: the base cannot give level 0 a quota.
	b.QuotaBy = "f"
	var refused *Error
	if _, err := Decide(s, p, nil, e, b, 1); !errors.As(err, &refused) || refused.Field != "quota_by" || !strings.Contains(refused.Problem, "f=l0") {
		t.Errorf("quota_by f: %v", err)
	}
}

// A changed space leaves parts of the previous round behind that it no longer
// has or can draw: they go, and the rest steps on.
func TestDecideAfterTheSpaceChanged(t *testing.T) {
	s := shapes()
	e := sized(t, s, 5000, .04, map[string]float64{"background=metal light=low": .7, "occlusion=strong rotation=r225": .7})
	first, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
	if err != nil || len(first.Components) < 3 {
		t.Fatalf("%v, %d components", err, len(first.Components))
	}
	for name, change := range map[string]func(s *Space){
		"slice forbidden": func(s *Space) {
			s.Constraints = append(s.Constraints, Constraint{When: []LevelSet{{1, []int{4}}, {3, []int{0}}}})
		},
		"level gone": func(s *Space) {
			f := &s.Factors[1]
			f.Levels = f.Levels[:4]
			f.Levels[0].Target += .25
			s.Constraints = nil
		},
	} {
		changed := shapes()
		change(changed)
		if err := changed.Validate(); err != nil {
			t.Fatal(err)
		}
		r, err := Decide(changed, policy(), &first, nil, Budget{Campaign: "c", Number: 2, Train: 1500}, 1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, c := range r.Components {
			if c.Slice.Level(1) == 4 {
				t.Errorf("%s: %+v is still there", name, c)
			}
		}
	}
}

// A memory of what the space no longer has is no memory.
func TestDecideForgetsSlicesThatAreGone(t *testing.T) {
	s := oneFactor(3)
	e := uniformEvidence(3, 5000, func(l int) int64 { return 100 + 1000*int64(l/2) })
	previous, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	previous.Memory.Slices = []Remembered{
		{Slice: Slice{{Factor: 0, Level: 1}}, Round: 1, AnchorRows: 100, AnchorFailures: 50, Samples: 1000, Damping: .25, Quarantined: true, Until: 9, Sentence: "one"},
		{Slice: Slice{{Factor: 0, Level: 7}}, Round: 1, AnchorRows: 100, AnchorFailures: 50, Samples: 1000, Damping: .25, Quarantined: true, Until: 9, Sentence: "a level gone"},
		{Slice: Slice{{Factor: 4, Level: 0}}, Round: 1, AnchorRows: 100, AnchorFailures: 50, Samples: 1000, Damping: 1, Sentence: "a factor gone"},
	}
	r, err := Decide(s, policy(), &previous, e, Budget{Campaign: "c", Number: 2, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Memory.Slices {
		if s.ValidateSlice("", m.Slice) != nil {
			t.Errorf("remembers %v", m.Slice)
		}
	}
}

// A scenario of very many factors is less likely than the smallest number there
// is; what is decided of it is a number all the same.
func TestDecideOnScenariosTooRareForANumber(t *testing.T) {
	s := &Space{Name: "wide", Version: 1}
	for f := range MaxFactors {
		factor := oneFactor(20).Factors[0]
		factor.Name = fmt.Sprint("f", f)
		s.Factors = append(s.Factors, factor)
	}
	p := policy()
	p.Pins = []Override{{Slice: map[string]string{"f0": "l0"}, Share: .2}}
	var previous *Round
	for number := 1; number <= 2; number++ {
		r, err := Decide(s, p, previous, nil, Budget{Campaign: "c", Number: number, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r.Canonical() // panics on a NaN
		p.Pins, previous = nil, &r
	}
}

func TestDecideRefusals(t *testing.T) {
	s, good := shapes(), Budget{Campaign: "c", Number: 1, Train: 1500}
	bad := sized(t, s, 50, .5, nil)
	bad.Failures[3] = bad.Rows[3] + 1
	spoilt := policy()
	spoilt.Shares.Base = 0
	for name, test := range map[string]struct {
		policy   *Policy
		evidence *Evidence
		budget   Budget
		field    string
	}{
		"round 0":            {policy(), nil, Budget{Train: 5}, "budget.number"},
		"2^32 samples":       {policy(), nil, Budget{Number: 1, Train: MaxQuota}, "budget.train"},
		"2^32 of target":     {policy(), nil, Budget{Number: 1, Evaluation: EvaluationPlan{Target: MaxQuota}}, "evaluation.target"},
		"2^40 of mixture":    {policy(), nil, Budget{Number: 1, Train: 5, Evaluation: EvaluationPlan{Mixture: 1 << 40}}, "evaluation.mixture"},
		"unknown quota_by":   {policy(), nil, Budget{Number: 1, Train: 5, QuotaBy: "colour"}, "quota_by"},
		"absent quota_by":    {policy(), nil, Budget{Number: 1, Train: 5, QuotaBy: "occluder_side"}, "quota_by"},
		"pinned level":       {policy(), nil, Budget{Number: 1, Evaluation: EvaluationPlan{Pinned: []Pinned{{Slice{{Factor: 0, Level: 99}}, 5}}}}, "evaluation.pinned[0].slice"},
		"bad policy":         {spoilt, nil, good, "shares.base"},
		"more fail than are": {policy(), bad, good, "evidence[3].failures"},
	} {
		_, err := Decide(s, test.policy, nil, test.evidence, test.budget, 1)
		var refused *Error
		if !errors.As(err, &refused) || refused.Field != test.field {
			t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
		}
	}
	// A base that the constraints all but forbid is refused by the setting that
	// makes it so.
	narrow := oneFactor(2)
	narrow.Factors[0].Levels[0].Target, narrow.Factors[0].Levels[1].Target = 1, 0
	for i := range 12 {
		narrow.Factors = append(narrow.Factors, factor(fmt.Sprint("x", i), "a", 1., "b", 0., "c", 0., "d", 0.))
		narrow.Constraints = append(narrow.Constraints, Constraint{Then: []LevelSet{{i + 1, []int{0}}}})
	}
	if err := narrow.Validate(); err != nil {
		t.Fatal(err)
	}
	uniform := policy()
	uniform.Strategy = StrategyUniform
	var refused *Error
	if _, err := Decide(narrow, uniform, nil, nil, good, 1); !errors.As(err, &refused) || refused.Field != "floor" {
		t.Errorf("a base that cannot be drawn: %v", err)
	}
}

// Every strategy decides at the ends of the scale, and what it decides can be drawn
// from, is compared with another's, and is estimated or refused: no panic, no NaN.
func TestEverythingAtTheExtremes(t *testing.T) {
	empty := oneFactor(5)
	empty.Factors[0].Levels[0].Target, empty.Factors[0].Levels[1].Target = 0, .4
	none := func(int) int64 { return 0 }
	for name, test := range map[string]struct {
		space    *Space
		evidence *Evidence
	}{
		"no evidence":   {oneFactor(3), &Evidence{}},
		"one row":       {oneFactor(3), uniformEvidence(1, 1, none)},
		"one failure":   {oneFactor(3), uniformEvidence(1, 1, func(int) int64 { return 1 })},
		"no failures":   {oneFactor(3), uniformEvidence(3, 5000, none)},
		"all failures":  {oneFactor(3), uniformEvidence(3, 5000, func(int) int64 { return 5000 })},
		"one level":     {oneFactor(1), uniformEvidence(1, 5000, func(int) int64 { return 700 })},
		"empty cells":   {empty, uniformEvidence(5, 3000, func(l int) int64 { return int64(2900 / (l + 1)) })},
		"10,000 levels": {oneFactor(MaxLevels), uniformEvidence(MaxLevels, 40, func(l int) int64 { return int64(l % 40) })},
		"most rows":     {oneFactor(3), uniformEvidence(3, maxEvidenceRows/3, func(l int) int64 { return 1e9 * int64(1+l/2) })},
	} {
		for _, strategy := range Strategies() {
			p := policy()
			p.Strategy, p.MinimumRows, p.Curriculum.Share = strategy, 1, .3
			var previous, base *Round
			for number := 1; number <= 2; number++ {
				b := Budget{Campaign: "c", Number: number, Train: 1500, Evaluation: EvaluationPlan{Target: 50, Mixture: 50, Probe: 50}}
				r, err := Decide(test.space, p, previous, test.evidence, b, 1)
				if err != nil {
					t.Fatalf("%s, %s: %v", name, strategy, err)
				}
				r.Canonical() // panics on a NaN
				if previous = &r; base == nil {
					base = &r
				}
			}
			outcomes, err := NewOffPolicy(test.space, test.evidence, nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, strategy, err)
			}
			m := NewSimulation(test.space)
			if err := m.Add(outcomes, nil, []*Round{previous}, []*Round{base}); err != nil {
				t.Fatalf("%s, %s: %v", name, strategy, err)
			}
			for _, round := range m.Rounds {
				numbers := []float64{round.KL, round.Beyond, round.Candidate.Effective, round.Current.Effective}
				for _, y := range round.Yields {
					if y.Candidate != nil {
						numbers = append(numbers, y.Candidate.Rate.Lower, y.Candidate.Rate.Expected, y.Candidate.Rate.Upper)
					}
				}
				for _, x := range numbers {
					if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
						t.Errorf("%s, %s: %v", name, strategy, numbers)
					}
				}
			}
		}
	}
}
