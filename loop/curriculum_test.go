package loop

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// scripted is a strategy that wants what a test says.
type scripted struct{ wanted *wanted }

func (scripted) floor(p *Policy) float64          { return p.Floor }
func (s scripted) want(*decision) (wanted, error) { return *s.wanted, nil }

// script makes a policy of what the returned mixture says.
func script(t interface{ Cleanup(func()) }, p *Policy) *wanted {
	w := &wanted{}
	p.Strategy = "scripted"
	strategies[p.Strategy] = scripted{w}
	t.Cleanup(func() { delete(strategies, p.Strategy) })
	return w
}

// I9 with a curriculum, over random spaces and chains of rounds that want any
// tilts and slices: shares sum to the whole, the base keeps its own, protected
// slices and pins hold, and every step is within the trust region by enumeration.
func TestCurriculumKeepsThePromises(t *testing.T) {
	tilted, held := 0, 0
	p := policy()
	w := script(t, p)
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 4)
		for range rapid.IntRange(0, 1).Draw(t, "protected") {
			s.Protected = []Protected{{Slice: drawSlice(t, s, 2), Share: rapid.SampledFrom([]float64{.01, .3}).Draw(t, "share")}}
			if s.Validate() != nil {
				s.Protected = nil
			}
		}
		p.Shares.TrustRegion = rapid.SampledFrom([]float64{1, .001, .05}).Draw(t, "trust region")
		p.Shares.Base = rapid.SampledFrom([]float64{.35, .05}).Draw(t, "base")
		p.Shares.Boosted = .5
		var previous *Round
		for number := 1; number <= 4; number++ {
			*w = wanted{curriculum: rapid.SampledFrom([]float64{0, .2, .5, 1}).Draw(t, "curriculum")}
			for f := range s.Factors {
				w.tilt = append(w.tilt, nil)
				if rapid.Bool().Draw(t, "tilt") {
					for range s.Factors[f].Levels {
						w.tilt[f] = append(w.tilt[f], rapid.SampledFrom([]float64{0, .5, 1, 2, 50, math.Inf(1)}).Draw(t, "times"))
					}
				}
			}
			if slice := drawSlice(t, s, 2); rapid.Bool().Draw(t, "boost") && s.ValidateSlice("", slice) == nil {
				if ok, err := s.feasibility().drawable(s.baseMarginals(p.Floor), slice); ok && err == nil {
					w.boosts = []boost{{cell: cell{slice: slice, n: 100, k: 50}, share: .1, reason: &Reason{Value: 1, P: 1, Q: 1}}}
				}
			}
			b := drawBudget(t, s, number)
			b.Train = max(b.Train, 1)
			r, err := Decide(s, p, previous, nil, b, 42)
			if err != nil {
				if refused, ok := err.(*Error); !ok || refused.Field != "floor" && refused.Field != "quota_by" {
					t.Fatal(err)
				}
				return
			}
			checkRound(t, s, p, previous, &r, b)
			checkCurriculum(t, s, &r)
			if r.Curriculum != nil {
				tilted++
			}
			if r.Step < 1 {
				held++
			}
			if again, err := Decide(s, p, previous, nil, b, 42); err != nil || !bytes.Equal(again.Canonical(), r.Canonical()) {
				t.Fatalf("I4: decided again, the round differs (%v)", err)
			}
			previous = &r
		}
	})
	if (tilted == 0 || held == 0) && !testing.Short() {
		t.Errorf("%d rounds with a curriculum, %d held back: nothing was checked", tilted, held)
	}
}

// checkCurriculum: the round has marginals for it exactly where a component is
// over it, of pinned factors the pin; evaluation of source mixture follows.
func checkCurriculum(t rapid.TB, s *Space, r *Round) {
	t.Helper()
	train, mixture := uint64(0), uint64(0)
	for _, c := range r.Components {
		if c.Over == OverCurriculum && c.Domain == Train {
			train += c.Share
		}
		if c.Over == OverCurriculum && c.Source == SourceMixture {
			mixture += c.Quota
		}
	}
	if (train > 0) != (r.Curriculum != nil) || mixture > 0 && train == 0 {
		t.Fatalf("a share of %d, %d evaluation rows, of the curriculum %v", train, mixture, r.Curriculum)
	}
	for f := range s.Factors {
		if pin := s.Factors[f].Pin; pin != nil && r.Curriculum != nil && r.Curriculum[f].mass(*pin) != whole {
			t.Fatalf("the curriculum leaves the pin of %s: %v", s.Factors[f].Name, r.Curriculum[f])
		}
	}
}

// A tilt multiplies the base's masses; a step goes from one curriculum to the next
// as the trust region allows, and hands its share back in the end.
func TestCurriculumMovesByTheTrustRegion(t *testing.T) {
	s, p := oneFactor(4), policy()
	w := script(t, p)
	p.Shares.TrustRegion = .01
	w.curriculum, w.tilt = .4, [][]float64{{4, 1, 1, 1}}
	var previous *Round
	shares := func(r *Round) (share, first float64) {
		for _, c := range r.Components {
			if c.Over == OverCurriculum {
				share = float64(c.Share) / whole
				first = r.Curriculum[0].share(0)
			}
		}
		return share, first
	}
	for number := 1; number <= 20; number++ {
		switch number {
		case 6:
			w.tilt = [][]float64{{.25, 1, 1, 1}}
		case 15:
			w.curriculum = 0
		}
		r, err := Decide(s, p, previous, nil, Budget{Campaign: "c", Number: number, Train: 1000, Evaluation: EvaluationPlan{Mixture: 100}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		checkCurriculum(t, s, &r)
		share, first := shares(&r)
		switch number {
		case 1, 5: // the first round has none to be near to
			if math.Abs(share-.4) > 1e-6 || math.Abs(first-4./7) > 1e-6 {
				t.Errorf("round %d: %v of it, with %v", number, share, first)
			}
		case 6:
			if first > .57 || first < .3 || r.Step > .9 || math.Abs(r.KL-.01) > 1e-4 {
				t.Errorf("the first step ends at %v: λ %v, divergence %v", first, r.Step, r.KL)
			}
		case 14:
			if math.Abs(first-1./13) > 1e-6 {
				t.Errorf("it has come to %v", first)
			}
		case 20:
			if share != 0 || r.Curriculum != nil {
				t.Errorf("there still is %v of it", share)
			}
		}
		if previous != nil {
			if kl := divergence(t, s, &r, previous); kl > .0101 || math.Abs(kl-r.KL) > 2e-4 {
				t.Errorf("round %d: divergence %v, said to be %v", number, kl, r.KL)
			}
		}
		previous = &r
	}
}

// Without a version before there is no progress to follow.
func TestNoProgressWithoutAVersionBefore(t *testing.T) {
	s := oneFactor(3)
	d := &decision{evidence: uniformEvidence(3, 5000, func(l int) int64 { return 100 + 1000*int64(l/2) }), policy: policy()}
	for l, times := range d.lessons()[0].tilt(s, true)[0] {
		if times != 1 {
			t.Errorf("level %d is tilted %v times", l, times)
		}
	}
}
