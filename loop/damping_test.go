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
	last, shares := playDamping(t, 9, func(int) float64 { return .8 })
	slice := s.slice(t, "light", "glare", "scale", "near")
	m := last.Memory.find(slice)
	if m == nil || !m.Quarantined || m.Damping > .25 {
		t.Fatalf("memory %+v", m)
	}
	if !strings.Contains(strings.Join(last.Notes, "\n"), "light=glare ∧ scale=near failed") ||
		!strings.Contains(strings.Join(last.Notes, "\n"), "it is quarantined") {
		t.Errorf("notes %q", last.Notes)
	}
	if shares[1] < .1 || shares[len(shares)-1] != 0 {
		t.Errorf("shares %v", shares)
	}
	for _, c := range last.Components {
		if len(c.Slice) > 0 {
			t.Errorf("boosts %s still", s.Describe(c.Slice))
		}
	}
}

// Judgement, case by case: what counts as progress and what does not.
func TestJudge(t *testing.T) {
	s := oneFactor(2)
	slice := Slice{{0, 0}}
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
		"too few samples":        {100, 80, 149, 0, 100, 80, 1, 1, false},
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
		m.judge(s, settings, e)
		got := m.Slices[0]
		if got.Damping != test.want || got.Quarantined != test.quarantined {
			t.Errorf("%s: damping %v, quarantined %v; want %v, %v", name, got.Damping, got.Quarantined, test.want, test.quarantined)
		}
		if (got.Sentence != "") != (test.want < test.before || test.quarantined) {
			t.Errorf("%s: sentence %q", name, got.Sentence)
		}
		if m.judge(s, settings, e); m.Slices[0].Damping != got.Damping {
			t.Errorf("%s: judged again on the same samples, damping %v", name, m.Slices[0].Damping)
		}
		if got.AnchorRows != test.anchorRows || got.AnchorFailures != test.anchorFailures {
			t.Errorf("%s: the anchor moved", name)
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
