package loop

import (
	"strings"
	"testing"
)

// playDamping plays rounds of a campaign in which a slice fails as often as rate says
// in each round.
func playDamping(t *testing.T, rounds int, rate func(round int) float64) (last Round, shares []float64) {
	t.Helper()
	s := shapes()
	slice := s.slice(t, "light", "glare", "scale", "near")
	var previous *Round
	for number := 1; number <= rounds; number++ {
		var e *Evidence
		if number > 1 {
			e = sized(t, s, 6000, .04, map[string]float64{"light=glare scale=near": rate(number)})
		}
		r, err := Decide(s, policy(), previous, e, Budget{Campaign: "c", Number: number, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		share := 0.0
		if c := boostOf(&r, slice); c != nil {
			share = float64(c.Share) / whole
		}
		shares = append(shares, share)
		previous, last = &r, r
	}
	return last, shares
}

// A slice that learns slowly, ten points over several rounds, keeps its boost:
// its anchor stays where it was first boosted.
func TestSlowLearnerIsNotQuarantined(t *testing.T) {
	last, shares := playDamping(t, 10, func(round int) float64 { return .85 - .07*float64(round-2) })
	if m := last.Memory.find(shapes().slice(t, "light", "glare", "scale", "near")); m == nil || m.Quarantined || m.Round != 2 {
		t.Errorf("memory %+v", m)
	}
	for i, share := range shares[1:6] {
		if share < .03 {
			t.Errorf("round %d: share %v of %v", i+2, share, shares)
		}
	}
}

// A slice that never gets better is damped, then quarantined with a sentence;
// its share goes back, and neither its children nor its parents come in its
// place, because its rows leave the search.
func TestHopelessSliceIsQuarantined(t *testing.T) {
	s := shapes()
	last, shares := playDamping(t, 8, func(int) float64 { return .8 })
	slice := s.slice(t, "light", "glare", "scale", "near")
	m := last.Memory.find(slice)
	if m == nil || !m.Quarantined || m.Damping > .25 {
		t.Fatalf("memory %+v", m)
	}
	if !strings.Contains(strings.Join(last.Notes, "\n"), "light=glare ∧ scale=near failed") ||
		!strings.Contains(strings.Join(last.Notes, "\n"), "it is quarantined") {
		t.Errorf("notes %q", last.Notes)
	}
	// A fiftieth of what it would have is left.
	if trickle := shares[len(shares)-1]; shares[1] < .1 || trickle < .002 || trickle > .0031 {
		t.Errorf("shares %v", shares)
	}
	if c := boostOf(&last, slice); c == nil || !strings.Contains(c.Reason.Sentence, "is in quarantine until round 9; a trickle of") {
		t.Errorf("the trickle is %+v", c)
	}
	for _, c := range last.Components {
		if len(c.Slice) > 0 && !c.Slice.Equal(slice) {
			t.Errorf("boosts %s still", s.Describe(c.Slice))
		}
	}
}

// After its time in quarantine a slice gets another chance, damped as it was: one
// that has become learnable is boosted again, the other goes back.
func TestQuarantineEnds(t *testing.T) {
	s := shapes()
	slice := s.slice(t, "light", "glare", "scale", "near")
	hopeless, shares := playDamping(t, 11, func(int) float64 { return .8 })
	if m := hopeless.Memory.find(slice); m == nil || !m.Quarantined || shares[8] < .02 || shares[8] > .045 || shares[10] > .0076 {
		t.Errorf("memory %+v, shares %v", m, shares)
	}
	mended, shares := playDamping(t, 11, func(round int) float64 { return map[bool]float64{true: .8, false: .3}[round < 9] })
	if m := mended.Memory.find(slice); m == nil || m.Quarantined || !m.Improved || m.Damping < .5 || shares[10] <= shares[8] {
		t.Errorf("memory %+v, shares %v", m, shares)
	}
	if text := strings.Join(mended.Notes, "\n"); strings.Contains(text, "quarantine") {
		t.Errorf("notes %q", text)
	}
}

// A slice that was fixed and given back comes again undamped when it fails again.
func TestForgottenSliceComesBack(t *testing.T) {
	s := shapes()
	slice := s.slice(t, "light", "glare", "scale", "near")
	rates := []float64{0, 0, .8, .3, .04, .04, .04, .7}
	last, shares := playDamping(t, 7, func(round int) float64 { return rates[round] })
	m := last.Memory.find(slice)
	if m == nil || m.Round != 7 || m.Damping != 1 || m.AnchorFailures/m.AnchorRows < .3 || shares[5] != 0 || shares[6] < .05 {
		t.Errorf("memory %+v, shares %v", m, shares)
	}
	if text := strings.Join(last.Notes, "\n"); !strings.Contains(text, "had been fixed and fails again") {
		t.Errorf("notes %q", text)
	}
}

// Real rows, where there are enough, say what progress is; what synthetic rows
// alone show is told apart.
func TestDampingFollowsRealRows(t *testing.T) {
	s := oneFactor(2)
	slice := Slice{{Factor: 0, Level: 0}}
	for name, test := range map[string]struct {
		real, made int64 // failures of 100 now; 80 of 100 at the anchor
		realRows   float64
		want       float64
		says       string
	}{
		"both better":    {40, 40, 100, 1, ""},
		"real alone":     {40, 80, 100, 1, ""},
		"made alone":     {80, 40, 100, .25, "is fixed in synthetic and unchanged in real rows, which failed 80% in round 1 and 80% in round 9, after 200 samples"},
		"neither":        {80, 80, 100, .25, "failed 80% when first boosted"},
		"no real anchor": {80, 20, 0, 1, ""},
	} {
		m := Memory{Slices: []Remembered{{Slice: slice, Round: 1, AnchorRows: 100 + test.realRows, AnchorFailures: .8 * (100 + test.realRows),
			RealRows: test.realRows, RealFailures: .8 * test.realRows, Samples: 200, Damping: .5}}}
		e := &Evidence{}
		e.Append(Line{Codes: []Code{0}, Source: SourceTarget, Origin: Real, Rows: 100, Failures: test.real})
		e.Append(Line{Codes: []Code{0}, Source: SourceTarget, Origin: Synthetic, Rows: 100, Failures: test.made})
		e.Sort()
		d := &decision{space: s, policy: policy(), evidence: e, round: &Round{Memory: m}, budget: Budget{Number: 9}}
		d.judge(d.lessons())
		got := m.Slices[0]
		if got.Damping != test.want || !strings.Contains(got.Sentence, test.says) || (test.says == "") != (got.Sentence == "") {
			t.Errorf("%s: %+v", name, got)
		}
		if test.realRows == 0 && (got.RealRows != 100 || got.RealFailures != 80) {
			t.Errorf("%s: the real anchor is %v of %v", name, got.RealFailures, got.RealRows)
		}
		if strings.Contains(got.Sentence, "does not transfer") != (name == "made alone") {
			t.Errorf("%s: %q", name, got.Sentence)
		}
	}
}

// Judgement, case by case: what counts as progress and what does not.
func TestJudge(t *testing.T) {
	s := oneFactor(2)
	slice := Slice{{Factor: 0, Level: 0}}
	settings := DefaultPolicy().Damping
	for name, test := range map[string]struct {
		anchorRows, anchorFailures float64
		samples, judged            uint64
		rows, failures             int64
		before, want               float64
		quarantined                bool
	}{
		"progress":               {100, 80, 200, 0, 100, 40, .5, 1, false},
		"damping never above 1":  {100, 80, 200, 0, 100, 40, 1, 1, false},
		"no progress":            {100, 80, 200, 0, 100, 80, 1, .5, false},
		"worse":                  {100, 20, 200, 0, 100, 80, 1, .5, false},
		"twice no progress":      {100, 80, 200, 150, 100, 80, .5, .25, true},
		"never below the least":  {100, 80, 200, 150, 100, 80, .06, .05, true},
		"less than eight points": {1e6, 8e5, 200, 0, 1e6, 730_000, 1, .5, false},
		"within two errors":      {20, 16, 200, 0, 20, 12, 1, .5, false},
		"too few samples":        {100, 80, 99, 0, 100, 80, 1, 1, false},
		"too few rows":           {100, 80, 200, 0, 14, 14, 1, 1, false},
		"nothing new since":      {100, 80, 200, 200, 100, 80, 1, 1, false},
		"no anchor":              {0, 0, 200, 0, 100, 80, 1, 1, false},
	} {
		m := Memory{Slices: []Remembered{{Slice: slice, Round: 1, AnchorRows: test.anchorRows, AnchorFailures: test.anchorFailures,
			Samples: test.samples, Judged: test.judged, Damping: test.before}}}
		e := &Evidence{}
		// Older versions and other slices do not count.
		e.Append(Line{Codes: []Code{0}, Source: SourceTarget, Origin: Real, Rows: test.rows, Failures: test.failures})
		e.Append(Line{Codes: []Code{1}, Source: SourceTarget, Origin: Real, Rows: 1000, Failures: 1000})
		e.Append(Line{Codes: []Code{0}, Age: 1, Source: SourceTarget, Origin: Real, Rows: 1000, Failures: 500})
		e.Sort()
		judge := func() {
			p := policy()
			p.Damping = settings
			d := &decision{space: s, policy: p, evidence: e, round: &Round{Memory: m}, budget: Budget{Number: 9}}
			d.judge(d.lessons())
		}
		judge()
		got := m.Slices[0]
		if got.Damping != test.want || got.Quarantined != test.quarantined {
			t.Errorf("%s: damping %v, quarantined %v; want %v, %v", name, got.Damping, got.Quarantined, test.want, test.quarantined)
		}
		if (got.Sentence != "") != (test.want < test.before || test.quarantined) {
			t.Errorf("%s: sentence %q", name, got.Sentence)
		}
		if judge(); m.Slices[0].Damping != got.Damping {
			t.Errorf("%s: judged again on the same samples, damping %v", name, m.Slices[0].Damping)
		}
		if got.AnchorRows != test.anchorRows || got.AnchorFailures != test.anchorFailures {
			t.Errorf("%s: the anchor moved", name)
		}
	}
}

// A slice in quarantine leaves the rows of a narrower one that makes progress in the
// search.
func TestQuarantineLeavesWhatMends(t *testing.T) {
	s := oneFactor(2)
	s.Factors = append(s.Factors, Factor{Name: "g", Kind: Categorical, Levels: []Level{{Name: "a", Target: .5}, {Name: "b", Target: .5}}})
	wide := Slice{{Factor: 0, Level: 0}}
	narrow, beside := wide.With(Predicate{Factor: 1, Level: 0}), Slice{{Factor: 1, Level: 0}}
	for name, test := range map[string]struct {
		other Remembered
		left  float64 // of 300 rows
	}{
		"progress within":   {Remembered{Slice: narrow, Improved: true}, 200},
		"none within":       {Remembered{Slice: narrow}, 100},
		"quarantined since": {Remembered{Slice: narrow, Improved: true, Quarantined: true}, 100},
		"progress beside":   {Remembered{Slice: beside, Improved: true}, 100},
	} {
		m := Memory{Slices: []Remembered{{Slice: wide, Round: 1, AnchorRows: 100, AnchorFailures: 40, Samples: 200, Judged: 150, Damping: .5, Improved: true}, test.other}}
		e := &Evidence{}
		for _, codes := range [][]Code{{0, 0}, {0, 1}, {1, 0}} {
			e.Append(Line{Codes: codes, Source: SourceTarget, Origin: Synthetic, Rows: 100, Failures: 40})
		}
		e.Sort()
		d := &decision{space: s, policy: policy(), evidence: e, round: &Round{Memory: m}, budget: Budget{Number: 9}}
		lessons := d.lessons()
		d.judge(lessons)
		if got := m.Slices[0]; !got.Quarantined || got.Damping != .25 || got.Sentence == "" {
			t.Errorf("%s: %+v", name, got)
		}
		for _, counted := range []bool{false, true} {
			tally := newTally(s, d.policy.Search, lessons[0].evidence.lines(1, 1), nil)
			if counted {
				tally.significant(.4, 0)
			}
			tally.remove(wide, d.mending(wide)...)
			if all := tally.counted(nil); all.n != test.left {
				t.Errorf("%s, counted %v: %v rows are left, want %v", name, counted, all.n, test.left)
			}
			if c := tally.counted(narrow); c.n != test.left-100 {
				t.Errorf("%s, counted %v: %v rows within are left, want %v", name, counted, c.n, test.left-100)
			}
		}
	}
}

func TestPercent(t *testing.T) {
	for x, want := range map[float64]string{0: "0%", 1: "100%", .5: "50%", .0994: "9.9%", .1: "10%", .015: "1.5%", .001: "0.1%", .00012: "0.012%", 1e-9: "1e-07%"} {
		if got := percent(x); got != want {
			t.Errorf("percent(%v) = %q, want %q", x, got, want)
		}
	}
}

// A slice that has had no samples for long is forgotten, so that a memory does not
// grow with every slice that was ever boosted; one in quarantine is not, and none is
// while its evidence counts.
func TestIdleSlicesAreForgotten(t *testing.T) {
	s := shapes()
	glare, low := s.slice(t, "light", "glare", "scale", "near"), s.slice(t, "light", "low")
	p := policy()
	p.Damping.Reopen = 0
	previous := &Round{Campaign: "c", Number: 1, SpaceVersion: s.Version, Memory: Memory{Slices: []Remembered{
		{Slice: low, Round: 1, AnchorRows: 100, AnchorFailures: 50, Samples: 500, Judged: 500, Damping: .25, Quarantined: true, Sentence: "it is quarantined"},
		{Slice: glare, Round: 1, AnchorRows: 100, AnchorFailures: 50, Samples: 500, Judged: 500, Damping: .5, Sentence: "it was damped in round 1"}}}}
	for number := 2; number <= mostIdle+3; number++ {
		r, err := Decide(s, p, previous, nil, Budget{Campaign: "c", Number: number, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		m := r.Memory.find(glare)
		if kept := number-1 <= mostIdle; (m != nil) != kept || kept && (m.Idle != number-1 || m.Damping != .5) {
			t.Fatalf("round %d remembers %+v", number, m)
		}
		if r.Memory.find(low) == nil {
			t.Fatalf("round %d has forgotten what is in quarantine", number)
		}
		// What is in force is said every time, what was done once.
		if text := strings.Join(r.Notes, "\n"); text != "it is quarantined" {
			t.Errorf("round %d notes %q", number, text)
		}
		evaluated, err := Decide(s, p, &r, nil, Budget{Campaign: "c", Number: number + 1, Evaluation: EvaluationPlan{Target: 10}}, 1)
		if again := evaluated.Memory.find(glare); err != nil || m != nil && again.Idle != m.Idle {
			t.Errorf("a round without training samples counts: %+v (%v)", again, err)
		}
		previous = &r
	}
}
