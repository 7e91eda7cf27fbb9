package loop

import (
	"strings"
	"testing"
)

// little is evidence that raises suspicions of a slice, and of others by chance,
// but proves nothing.
func little(t testing.TB, s *Space, truth map[string]float64) *Evidence {
	return sized(t, s, 2400, .06, truth)
}

// probes adds the rows of a round's probes, of which so many fail.
func probes(t testing.TB, s *Space, e *Evidence, r *Round, slice Slice, worse, rate float64) *Evidence {
	t.Helper()
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	out := &Evidence{}
	for i := range e.Len() {
		out.Append(e.line(i))
	}
	for _, c := range r.Components {
		if c.Source != SourceProbe {
			continue
		}
		for index := range c.Quota {
			x, err := sampler.Scenario(Evaluation, c.Number, index)
			if err != nil {
				t.Fatal(err)
			}
			l, p := Line{Codes: x.Codes, Source: SourceProbe, Origin: Synthetic, Rows: 1, Weight: 1000}, rate
			if slice.Matches(x.Codes) {
				p = worse
			}
			if float64(mix(index<<8^uint64(c.Number))>>11)/(1<<53) < p {
				l.Failures = 1
			}
			out.Append(l)
		}
	}
	out.Sort()
	return out
}

// What is suspected is probed, in an evaluation component of its own; it is
// boosted in the next round if its fresh rows fail, and not if they do not: what
// made it suspected does not count twice.
func TestProbesConfirm(t *testing.T) {
	s := shapes()
	slice := s.slice(t, "occlusion", "strong", "rotation", "r225")
	e := little(t, s, map[string]float64{"occlusion=strong rotation=r225": .26})
	b := Budget{Campaign: "c", Number: 1, Train: 1500, Evaluation: EvaluationPlan{Target: 100, Probe: 305}}
	first, err := Decide(s, policy(), nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	var own *Component
	total, most, least := uint64(0), uint64(0), uint64(1000)
	for i := range first.Components {
		if c := &first.Components[i]; c.Source == SourceProbe {
			total, most, least = total+c.Quota, max(most, c.Quota), min(least, c.Quota)
			if c.Slice.Equal(slice) {
				own = c
			}
		}
	}
	if own == nil || total != 305 || most > least+1 || boostOf(&first, slice) != nil {
		t.Fatalf("%d probes, of it %+v: %s", total, own, first.Canonical())
	}
	if n := len(first.Memory.Probed); n < 2 || n > 10 {
		t.Errorf("%d slices are probed", n)
	}
	if text := strings.Join(first.Notes, "\n"); !strings.Contains(text, "which may be chance among so many slices: evaluation samples of it are made to tell.") {
		t.Errorf("notes %q", text)
	}
	b.Number, b.Evaluation.Probe = 2, 0
	for _, test := range []struct {
		rate  float64
		boost bool
	}{{.5, true}, {.06, false}} {
		r, err := Decide(s, policy(), &first, probes(t, s, e, &first, slice, test.rate, .06), b, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := boostOf(&r, slice)
		if (c != nil) != test.boost {
			t.Errorf("at %v: %+v", test.rate, c)
		}
		if c != nil && (c.Reason.Q > .05 || c.Reason.Value == 0 || c.Reason.Rows > 60) {
			t.Errorf("reason %+v", c.Reason)
		}
		text := strings.Join(r.Notes, "\n")
		if strings.Contains(text, s.Describe(slice)+" is confirmed by its probes") != test.boost || strings.Contains(text, s.Describe(slice)+" is not confirmed") == test.boost {
			t.Errorf("notes %q", text)
		}
		if len(r.Memory.Probed) > 0 {
			t.Errorf("a plan without probes has %+v", r.Memory.Probed)
		}
		for _, c := range r.Components {
			if c.Domain == Train && len(c.Slice) > 0 && !c.Slice.Equal(slice) {
				t.Errorf("boosts %s", s.Describe(c.Slice))
			}
		}
	}
	// A ban holds for probes as well.
	p := policy()
	p.Bans = []Override{{Slice: map[string]string{"occlusion": "strong"}}}
	b = Budget{Campaign: "c", Number: 1, Train: 1500, Evaluation: EvaluationPlan{Target: 100, Probe: 305}}
	banned, err := Decide(s, p, nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range banned.Components {
		if c.Source == SourceProbe && c.Slice.Level(s.Factor("occlusion")) == slice.Level(s.Factor("occlusion")) {
			t.Errorf("%s is probed though banned", s.Describe(c.Slice))
		}
	}
}

// Where nothing is suspected, the target has the probes.
func TestProbesWithoutSuspects(t *testing.T) {
	s := oneFactor(3)
	e := uniformEvidence(3, 2000, func(int) int64 { return 100 })
	r, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 100, Evaluation: EvaluationPlan{Probe: 50}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Find(Evaluation, 0); c == nil || c.Source != SourceTarget || c.Quota != 50 || len(r.Components) != 2 {
		t.Errorf("components %+v", r.Components)
	}
}
