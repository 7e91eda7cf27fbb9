package loop

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawRound makes a round of base, boosts, a probe, and evaluation components
// over a random space, without Decide; parts that cannot be drawn are left out.
func drawRound(t *rapid.T, s *Space) *Round {
	floor := rapid.SampledFrom([]float64{.2, 1}).Draw(t, "floor")
	x, base := s.feasibility(), s.baseMarginals(floor)
	if accepted, _ := x.acceptance(base); accepted < minAcceptance {
		t.Skip("the base cannot be drawn")
	}
	components := []Component{{}}
	var weights = []float64{1}
	for range rapid.IntRange(0, 3).Draw(t, "boosts") {
		slice := drawSlice(t, s, 3)
		if ok, _ := x.drawable(base, slice); ok && s.ValidateSlice("", slice) == nil {
			components = append(components, Component{Slice: slice})
			weights = append(weights, rapid.Float64Range(.01, .5).Draw(t, "share"))
		}
	}
	for i, shares := 0, quantise(weights); i < len(weights); i++ {
		components[i].Share = shares.mass(i)
	}
	for _, c := range slices.Clone(components) {
		c.Domain, c.Source = Evaluation, SourceMixture
		components = append(components, c)
	}
	components = append(components, Component{Domain: Evaluation, Over: OverTarget, Source: SourceTarget, Share: whole})
	return vectorRound(s, floor, components...)
}

// Densities are exact: over an enumeration of the feasible scenarios Σ q = 1,
// Σ π = 1, and E_q[w] = 1 for every set that is drawn from the mixture.
func TestDensitiesSumToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 5, 4)
		r := drawRound(t, s)
		sampler, err := NewSampler(s, r)
		if err != nil {
			t.Fatal(err)
		}
		q, pi, w, e := 0.0, 0.0, 0.0, 0.0
		for _, x := range enumerate(s, r.Base) {
			if !allowed(s, x.codes) {
				continue
			}
			d := sampler.Density(x.codes)
			q += d
			pi += sampler.Target(x.codes)
			w += d * sampler.Weight(Train, 0, x.codes)
			e += d * sampler.Weight(Evaluation, 0, x.codes)
		}
		if !near(q, 1) || !near(pi, 1) || !near(w, 1) || !near(e, 1) {
			t.Fatalf("Σq = %v, Σπ = %v, E[w] = %v, %v", q, pi, w, e)
		}
	})
}

// What is drawn is feasible, complete, in its slice, and as frequent as its
// density says. Sticky factors change from each index drawn to the next.
func TestScenariosFollowTheirDensity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 3)
		r := drawRound(t, s)
		r.Seed = rapid.Uint64().Draw(t, "seed")
		sampler, err := NewSampler(s, r)
		if err != nil {
			t.Fatal(err)
		}
		all := enumerate(s, r.Base)
		for i := range r.Components {
			c := &r.Components[i]
			const n = 2000
			stride := uint64(1)
			for f := range s.Factors {
				stride = max(stride, uint64(s.Factors[f].Sticky))
			}
			counts := make(map[string]int)
			for index := range uint64(n) {
				x, err := sampler.Scenario(c.Domain, c.Number, index*stride)
				if err != nil {
					t.Fatal(err)
				}
				if !allowed(s, x.Codes) || !c.Fixed().Matches(x.Codes) {
					t.Fatalf("%s: drew %v", s.Describe(c.Slice), x.Codes)
				}
				for f, code := range x.Codes {
					present := true
					if when := s.Factors[f].When; when != nil {
						present = slices.Contains(when.Levels, int(x.Codes[when.Factor]))
					}
					if present && (int(code) >= len(s.Factors[f].Levels)) || !present && (code != Absent || x.Fractions[f] != 0) {
						t.Fatalf("factor %d is %d in %v", f, code, x.Codes)
					}
				}
				counts[key(x.Codes)]++
			}
			seen := 0
			for _, x := range all {
				if !allowed(s, x.codes) {
					continue
				}
				p := sampler.parts[i].density(x.codes).float64()
				got := counts[key(x.codes)]
				seen += got
				if math.Abs(float64(got)-n*p) > 6*math.Sqrt(n*p*(1-p))+6 {
					t.Fatalf("%v was drawn %d times of %d, density %v", x.codes, got, n, p)
				}
			}
			if seen != n {
				t.Fatalf("%d of %d draws are known scenarios", seen, n)
			}
		}
	})
}

func key(codes []Code) string {
	b := make([]rune, len(codes))
	for i, c := range codes {
		b[i] = rune(c)
		if c == Absent {
			b[i] = '-'
		}
	}
	return string(b)
}

// The weight of an evaluation set is of what that set was drawn from.
func TestWeightBySource(t *testing.T) {
	s := shapes()
	metal := s.slice(t, "background", "metal", "light", "low")
	r := vectorRound(s, .2,
		Component{Share: whole / 2}, Component{Share: whole / 2, Slice: metal},
		Component{Domain: Probe, Slice: metal, Share: whole},
		Component{Domain: Evaluation, Over: OverTarget, Source: SourceTarget, Share: whole},
		Component{Domain: Evaluation, Source: SourceMixture, Share: whole / 2},
		Component{Domain: Evaluation, Over: OverTarget, Source: SourcePinned, Slice: metal, Share: whole},
	)
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	x, err := sampler.Scenario(Train, 1, 7)
	if err != nil {
		t.Fatal(err)
	}
	mass, err := s.Mass(metal)
	if err != nil {
		t.Fatal(err)
	}
	pi, q := sampler.Target(x.Codes), sampler.Density(x.Codes)
	for _, test := range []struct {
		domain Domain
		number int
		want   float64
	}{
		{Train, 0, pi / q}, {Train, 1, pi / q}, {Probe, 0, pi / sampler.parts[2].density(x.Codes).float64()},
		{Evaluation, 0, 1}, {Evaluation, 1, pi / q},
		// A pinned set is the target inside the slice, so w is the slice's mass.
		{Evaluation, 2, mass}, {Evaluation, 9, 0},
	} {
		if got := sampler.Weight(test.domain, test.number, x.Codes); !near(got, test.want) {
			t.Errorf("%s %d: weight %v, want %v", test.domain, test.number, got, test.want)
		}
	}
}

func TestSamplerRefusals(t *testing.T) {
	s := rig()
	good := func() *Round { return vectorRound(s, .2, Component{Share: whole}) }
	for name, spoil := range map[string]func(r *Round){
		"marginals missing":       func(r *Round) { r.Base = r.Base[:2] },
		"marginal of other size":  func(r *Round) { r.Target[0] = r.Target[1] },
		"marginal not monotone":   func(r *Round) { r.Base[0] = Marginal{9, 8, whole} },
		"marginal not whole":      func(r *Round) { r.Base[0] = Marginal{1, 2, 3} },
		"unknown factor":          func(r *Round) { r.Components[0].Slice = Slice{{Factor: 99, Level: 0}} },
		"unknown level":           func(r *Round) { r.Components[0].Slice = Slice{{Factor: 0, Level: 99}} },
		"negative level":          func(r *Round) { r.Components[0].Slice = Slice{{Factor: 0, Level: -1}} },
		"impossible slice":        func(r *Round) { r.Components[0].Slice = Slice{{Factor: 1, Level: 0}, {Factor: 2, Level: 0}} },
		"forbidden slice":         func(r *Round) { r.Components[0].Slice = Slice{{Factor: 0, Level: 2}, {Factor: 4, Level: 0}} },
		"one number twice":        func(r *Round) { r.Components = append(r.Components, r.Components[0]) },
		"quota_by of other level": func(r *Round) { r.Components[0].By = &Predicate{Factor: 5, Level: 40} },
	} {
		r := good()
		spoil(r)
		if _, err := NewSampler(s, r); err == nil {
			t.Errorf("%s: accepted", name)
		} else if _, ok := err.(*Error); !ok {
			t.Errorf("%s: %v is not a refusal", name, err)
		}
	}
	sampler, err := NewSampler(s, good())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		domain Domain
		number int
		index  uint64
		field  string
	}{{Train, 1, 0, "component"}, {Evaluation, 0, 0, "component"}, {Train, -1, 0, "component"}, {Train, 0, MaxQuota, "index"}} {
		if _, err := sampler.Scenario(test.domain, test.number, test.index); err == nil || err.(*Error).Field != test.field {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func BenchmarkScenario(b *testing.B) {
	s := shapes()
	sampler, err := NewSampler(s, vectorRound(s, .2, Component{Share: whole}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := range b.N {
		if _, err := sampler.Scenario(Train, 0, uint64(i)); err != nil {
			b.Fatal(err)
		}
	}
}
