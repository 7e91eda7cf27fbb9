package loop

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// A density is what exact arithmetic makes of it, however small, and what float64
// makes of it to the bit where that is enough.
func TestDensityEqualsItsTwins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (d density, exact *big.Float, plain float64) {
			d, exact, plain = density{of: 1}, big.NewFloat(1).SetPrec(2000), 1
			for range rapid.SampledFrom([]int{1, 5, 9, 30, 400}).Draw(t, "factors") {
				share := float64(rapid.Uint64Range(1, whole).Draw(t, "share")) / whole
				d, plain = d.times(share), plain*share
				exact.Mul(exact, big.NewFloat(share))
			}
			return d, exact, plain
		}
		a, exactA, plainA := draw()
		b, exactB, plainB := draw()
		check := func(what string, d density, exact *big.Float, plain float64) {
			got := new(big.Float).SetMantExp(big.NewFloat(d.of), -256*d.down)
			off, _ := new(big.Float).Quo(new(big.Float).Sub(got, exact), exact).Float64()
			if math.Abs(off) > 1e-13 {
				t.Fatalf("%s is %v, want %v", what, got, exact)
			}
			if plain > 1e-290 && d.float64() != plain {
				t.Fatalf("%s is %v, want %v to the bit", what, d.float64(), plain)
			}
		}
		check("a product", a.by(b), new(big.Float).Mul(exactA, exactB), plainA*plainB)
		check("a sum", a.plus(b), new(big.Float).Add(exactA, exactB), plainA+plainB)
		check("a sum", density{}.plus(b).plus(density{}), exactB, plainB)
		ratio, _ := new(big.Float).Quo(exactA, exactB).Float64()
		got := a.over(b)
		if want := min(mostRatio, ratio); want > 1e-290 && math.Abs(got-want) > 1e-13*want || got > mostRatio {
			t.Fatalf("a quotient is %v, want %v", got, want)
		}
		if min(plainA, plainB) > 1e-290 && plainA/plainB < mostRatio && got != plainA/plainB {
			t.Fatalf("a quotient is %v, want %v to the bit", got, plainA/plainB)
		}
		if a.over(density{}) != 0 || (density{}).over(a) != 0 {
			t.Fatal("0 is in a quotient")
		}
	})
}

// wide is a space of so many factors of 20 levels, some of which depend on a hidden
// class where there are any.
func wide(factors, classes int) *Space {
	s := &Space{Name: "wide", Version: 1}
	for k := range classes {
		s.Classes = append(s.Classes, float64(k+1)/float64(classes*(classes+1)/2))
	}
	for f := range factors {
		factor := oneFactor(20).Factors[0]
		factor.Name = fmt.Sprint("f", f)
		for l := range factor.Levels {
			factor.Levels[l].Target = float64(l+1) / 210
		}
		if classes > 0 && f%3 > 0 {
			factor.Given = &Given{Factor: Hidden}
			for k := range classes {
				row := make([]float64, 20)
				for l := range row {
					row[l] = float64((l+k+f)%20+1) / 210
					factor.Levels[l].Target = 0
				}
				factor.Given.Rows = append(factor.Given.Rows, row)
				factor.Given.Of = append(factor.Given.Of, k)
			}
		}
		s.Factors = append(s.Factors, factor)
	}
	return s
}

// A scenario of 256 factors is less likely than the least number there is. Its weight
// is a number all the same, the trust region holds (I9), and an estimate has as many
// rows as it has of a space of few factors.
func TestScenariosTooRareForANumber(t *testing.T) {
	for _, classes := range []int{0, 4} {
		s, p := wide(MaxFactors, classes), policy()
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		p.Shares.TrustRegion, p.Search.Order = .05, 1
		e := sized(t, s, 4000, .05, map[string]float64{"f0=l19": .9})
		var previous *Round
		for number := 1; number <= 3; number++ {
			if number == 2 {
				e = sized(t, s, 4000, .05, map[string]float64{"f3=l2": .9})
			}
			r, err := Decide(s, p, previous, e, Budget{Campaign: "c", Number: number, Train: 1500}, 1)
			if err != nil {
				t.Fatal(err)
			}
			r.Canonical() // panics on a NaN
			sampler, err := NewSampler(s, &r)
			if err != nil {
				t.Fatal(err)
			}
			if !(r.Effective > 1e-4) {
				t.Errorf("%d classes, round %d: a sample is worth %v", classes, number, r.Effective)
			}
			if number > 1 && (r.Step == 1 || math.Abs(r.KL-.05) > .001) {
				t.Errorf("%d classes, round %d: a step of %v, divergence %v", classes, number, r.Step, r.KL)
			}
			sum := 0.0
			for index := range uint64(400) {
				x, err := sampler.Scenario(Train, 0, index)
				if err != nil {
					t.Fatal(err)
				}
				if q := sampler.Density(x.Codes); q > 1e-300 {
					t.Fatalf("a density of %v: the space is not wide enough to tell anything", q)
				}
				w := sampler.Weight(Train, 0, x.Codes)
				if sum += w; !(w > 0) || math.IsInf(w, 0) {
					t.Fatalf("a weight of %v", w)
				}
			}
			outcomes, err := NewOffPolicy(s, e, []*Sampler{sampler})
			if err != nil {
				t.Fatal(err)
			}
			if rows := outcomes.pools[0].rows; rows.Used != 4000 {
				t.Errorf("%d classes: %+v", classes, rows)
			}
			previous = &r
		}
	}
}

// Many densities at once are those of one after the other, to the bit; also where
// more factors depend on the class than a float64 could take.
func TestDensitiesAtOnce(t *testing.T) {
	mixed := 0
	check := func(t rapid.TB, s *Space, p *part, scenarios [][]Code) {
		t.Helper()
		if p.classes != nil {
			mixed++
		}
		for i, d := range p.densities(scenarios) {
			if want := p.density(scenarios[i]); d != want {
				t.Fatalf("%v has density %v, by itself %v", scenarios[i], d, want)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 5, 4)
		for len(s.Classes) == 0 {
			s = drawValid(t, 5, 4)
		}
		sampler, err := NewSampler(s, drawRound(t, s))
		if err != nil {
			t.Skip(err)
		}
		var scenarios [][]Code
		for _, x := range enumerate(s, sampler.round.Base) {
			scenarios = append(scenarios, x.codes)
		}
		for i := range sampler.parts {
			check(t, s, &sampler.parts[i], scenarios)
		}
	})
	for _, factors := range []int{3, 37, MaxFactors} {
		s := wide(factors, 6)
		sampler, err := NewSampler(s, vectorRound(s, .2, Component{Share: whole}))
		if err != nil {
			t.Fatal(err)
		}
		var scenarios [][]Code
		for index := range uint64(3*mixedAtOnce + 1) {
			x, err := sampler.Scenario(Train, 0, index)
			if err != nil {
				t.Fatal(err)
			}
			scenarios = append(scenarios, x.Codes)
		}
		check(t, s, &sampler.parts[0], scenarios)
	}
	if mixed < 10 {
		t.Errorf("only %d parts had classes", mixed)
	}
}
