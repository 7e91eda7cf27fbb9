package loop

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Rounds with a coverage cover what can be covered, a round's share at a time, and
// then ask for nothing more; counts are exact, shares sum to one, protected slices
// keep theirs, and the density of every sample is that of the mixture it was drawn
// from (I4, I9).
func TestCoverageOfRounds(t *testing.T) {
	s := shapes()
	glare := s.slice(t, "light", "glare")
	s.Protected = []Protected{{Slice: glare, Share: .25}}
	p := policy()
	p.Coverage.Order = 2
	for _, by := range []string{"", "shape"} {
		var previous *Round
		counts, err := newCovering(s, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		covered := 0
		for number := 1; number <= 20 && covered == 0; number++ {
			r, err := Decide(s, p, previous, nil, Budget{Campaign: "c", Number: number, Train: 200, QuotaBy: by, Evaluation: EvaluationPlan{Mixture: 100}}, 5)
			if err != nil {
				t.Fatal(err)
			}
			sampler, err := NewSampler(s, &r)
			if err != nil {
				t.Fatal(err)
			}
			var share, rows uint64
			protected := 0.0
			for i := range r.Components {
				c := &r.Components[i]
				if c.Domain != Train {
					continue
				}
				share += c.Share
				rows += uint64(len(c.Cover))
				for index := range c.Quota {
					x, err := sampler.Scenario(Train, c.Number, index)
					if err != nil {
						t.Fatal(err)
					}
					if len(c.Cover) > 0 && !c.Cover[index].Matches(x.Codes) {
						t.Fatalf("sample %d is not of %s", index, s.Describe(c.Cover[index]))
					}
					if c.By != nil && x.Codes[c.By.Factor] != Code(c.By.Level) {
						t.Fatal("a sample is not of its quota")
					}
					if w := sampler.Weight(Train, c.Number, x.Codes); !(w > 0) || math.IsInf(w, 0) {
						t.Fatalf("a weight of %v", w)
					}
					counts.add(x.Codes)
				}
				switch {
				case len(c.Cover) > 0:
					if c.Quota != uint64(len(c.Cover)) || c.Reason == nil || c.Reason.Sentence == "" {
						t.Fatalf("%d samples of %d rows, because of %+v", c.Quota, len(c.Cover), c.Reason)
					}
				case c.Slice.Equal(glare):
					protected += float64(c.Share) / whole
				case len(c.Slice) == 0:
					protected += float64(c.Share) / whole * r.Base[3].share(4)
				}
			}
			if share != whole || r.Quota(Train) != 200 || rows > 10 {
				t.Fatalf("round %d: %d of 2^32, %d samples, %d rows", number, share, r.Quota(Train), rows)
			}
			if by == "" && protected < .25-1e-8 {
				t.Fatalf("round %d: the protected slice has %v", number, protected)
			}
			if got := r.Memory.Covered; got == nil || len(got.Counts) != (len(counts.count)+1)/2 {
				t.Fatalf("round %d remembers %+v", number, got)
			}
			if rows == 0 {
				covered = number
			}
			previous = &r
		}
		if covered < 3 {
			t.Errorf("quota by %q: nothing was asked for from round %d on", by, covered)
		}
		// What foliage forbids, below and above.
		if lacking := counts.lacking(5); lacking > 6 {
			t.Errorf("quota by %q: %d combinations lack samples after %d rounds", by, lacking, covered)
		}
	}
}

// A coverage is drawn from with the very density that it says.
func TestCoverageDensity(t *testing.T) {
	drawn := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 4, 3)
		c, err := newCovering(s, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		base := s.baseMarginals(.3)
		rows, err := c.rows(s.feasibility(), base, 2, 6, -1)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return
		}
		drawn++
		r := &Round{Campaign: "c", Number: 1, Base: base, Target: base,
			Components: []Component{{Over: OverBase, Cover: rows, Share: whole, Quota: uint64(len(rows))}}}
		sampler, err := NewSampler(s, r)
		if err != nil {
			t.Fatal(err)
		}
		total := 0.0
		for _, x := range enumerate(s, base) {
			if s.feasible(x.codes) {
				total += sampler.Density(x.codes)
			}
		}
		if math.Abs(total-1) > 1e-6 {
			t.Fatalf("the density sums to %v", total)
		}
	})
	if drawn < 10 {
		t.Errorf("only %d spaces had anything to cover", drawn)
	}
}

func TestCoverageRefusals(t *testing.T) {
	var refused *Error
	for field, c := range map[string]Coverage{
		"coverage.order":      {Order: 4, Samples: 5, Share: .1},
		"coverage.samples":    {Order: 2, Samples: 15, Share: .1},
		"coverage.share":      {Order: 2, Samples: 5, Share: math.NaN()},
		"coverage.factors[1]": {Order: 2, Samples: 5, Share: .1, Factors: []string{"a", "a"}},
	} {
		p := policy()
		p.Coverage = c
		if err := p.Validate(); !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	p := policy()
	p.Coverage = Coverage{}
	if err := p.Validate(); err != nil {
		t.Errorf("a policy that was written before there was coverage: %v", err)
	}
	p.Coverage = Coverage{Order: 2, Samples: 5, Share: .1, Factors: []string{"light", "pose"}}
	if _, err := Decide(shapes(), p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 100}, 1); !errors.As(err, &refused) || refused.Field != "coverage.factors" {
		t.Errorf("a factor that the space has not: %v", err)
	}
}

// What coverage takes must not be taken from a slice that the base alone had
// enough of before.
func TestCoverageBesideAProtectedSliceOfTheBase(t *testing.T) {
	s := shapes()
	glare := s.slice(t, "light", "glare")
	p := policy()
	p.Coverage.Order = 2
	base, err := s.feasibility().mass(s.baseMarginals(p.Floor), glare)
	if err != nil {
		t.Fatal(err)
	}
	s.Protected = []Protected{{Slice: glare, Share: base - 1e-4}}
	r, err := Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 1000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkFloors(t, s, &r, 1e-8)
	if boostOf(&r, glare) == nil {
		t.Error("the protected slice has no component, and less than its share")
	}
	for _, note := range r.Notes {
		if strings.Contains(note, "without a component") {
			t.Errorf("it has one, but: %s", note)
		}
	}
}

// A coverage has exactly its samples' share, and a pin exactly its own, in shares
// and in samples, however little they leave.
func TestCoverageBesidePins(t *testing.T) {
	for _, pinned := range []float64{.3, .6, .64, .998} {
		for _, protected := range []float64{0, .2} {
			if pinned+protected > .85 && protected > 0 {
				continue
			}
			s := shapes()
			if protected > 0 {
				s.Protected = []Protected{{Slice: s.slice(t, "light", "low"), Share: protected}}
			}
			p := policy()
			if pinned > .9 {
				p.Shares.Base = .001
			}
			p.Coverage.Order = 2
			p.Pins = []Override{{Slice: map[string]string{"light": "glare"}, Share: pinned}}
			var previous *Round
			for number := 1; number <= 3; number++ {
				r, err := Decide(s, p, previous, nil, Budget{Campaign: "c", Number: number, Train: 100_000}, 1)
				if err != nil {
					t.Fatal(err)
				}
				previous = &r
				checkFloors(t, s, &r, 1e-8)
				pin := boostOf(&r, s.slice(t, "light", "glare"))
				if got := float64(pin.Share) / whole; math.Abs(got-pinned) > 1e-8 || math.Abs(float64(pin.Quota)-100_000*pinned) > 1 {
					t.Errorf("pinned at %v: %v and %d samples", pinned, got, pin.Quota)
				}
				covering := false
				for _, c := range r.Components {
					if rows := len(c.Cover); rows > 0 {
						covering = true
						if got := float64(c.Share) / whole; math.Abs(got-float64(rows)/100_000) > 1e-8 {
							t.Errorf("pinned at %v, protected at %v: %d rows of coverage have a share of %v", pinned, protected, rows, got)
						}
					}
				}
				if number == 1 && !covering {
					t.Errorf("pinned at %v: no coverage", pinned)
				}
			}
		}
	}
}

// A round that is too small for coverage does not make the next one forget.
func TestCoverageOutlivesASmallRound(t *testing.T) {
	s, p := shapes(), policy()
	p.Coverage.Order = 2
	var previous *Round
	for number, train := range []uint64{1000, 5, 0, 5} {
		r, err := Decide(s, p, previous, nil, Budget{Campaign: "c", Number: number + 1, Train: train}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if number > 0 && (r.Memory.Covered == nil || strings.Trim(string(r.Memory.Covered.Counts), "\x00") == "") {
			t.Errorf("round %d has forgotten what was covered", number+1)
		}
		previous = &r
	}
}

// Rows over very many factors are less likely than any slice; each has its level of
// quota_by all the same, and every sample a weight (C6).
func TestCoverageOfVeryManyFactors(t *testing.T) {
	s := wide(120, 0)
	last := len(s.Factors) - 1
	s.Constraints = []Constraint{{When: []LevelSet{{Factor: 0, Levels: []int{1}}, {Factor: last, Levels: []int{2}}}}}
	p := policy()
	p.Coverage = Coverage{Order: 1, Samples: 5, Share: .1}
	b := Budget{Campaign: "c", Number: 1, Train: 1000, QuotaBy: s.Factors[last].Name}
	r, err := Decide(s, p, nil, nil, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	sampler, err := NewSampler(s, &r)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for i := range r.Components {
		c := &r.Components[i]
		rows += len(c.Cover)
		for index := range min(c.Quota, 5) {
			x, err := sampler.Scenario(Train, c.Number, index)
			if err != nil {
				t.Fatal(err)
			}
			if w := sampler.Weight(Train, c.Number, x.Codes); !(w > 0) || math.IsInf(w, 0) {
				t.Fatalf("a weight of %v", w)
			}
		}
	}
	if rows != 100 || r.Quota(Train) != 1000 {
		t.Errorf("%d rows, %d samples", rows, r.Quota(Train))
	}
}
