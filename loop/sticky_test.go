package loop

import (
	"fmt"
	"math"
	"math/bits"
	"testing"

	"pgregory.net/rapid"
)

// A block of consecutive indices has one value of a sticky factor, and one
// fraction, wherever it is present; where constraints touch the factor, that is
// so for indices that were drawn in one try.
func TestStickyBlocksShareAValue(t *testing.T) {
	blocks, mixed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 4)
		f := rapid.IntRange(0, len(s.Factors)-1).Draw(t, "factor")
		k := rapid.SampledFrom([]int{2, 3, 5, 50}).Draw(t, "k")
		s.Factors[f].Sticky = k
		if s.Validate() != nil {
			t.Skip("what decides about the factor is not as sticky")
		}
		r := drawRound(t, s)
		r.Seed = rapid.Uint64().Draw(t, "seed")
		sampler, err := NewSampler(s, r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Components {
			c := &r.Components[i]
			for block := range uint64(20) {
				values := map[[2]uint32]bool{}
				for j := range uint64(k) {
					x, err := sampler.Scenario(c.Domain, c.Number, block*uint64(k)+j)
					if err != nil {
						t.Fatal(err)
					}
					if x.Codes[f].IsLevel() {
						values[[2]uint32{uint32(x.Codes[f]), x.Fractions[f]}] = true
					}
				}
				blocks++
				if len(values) <= 1 {
					continue
				}
				steady := true
				for node := f; node >= 0; node = s.given(node) {
					if steady = steady && sampler.parts[i].sticky[node].steady; node == s.hidden() {
						break
					}
				}
				if mixed++; steady {
					t.Fatalf("a block of %d has %d values of a factor that no constraint touches, nor what decides about it", k, len(values))
				}
			}
		}
	})
	if mixed == blocks {
		t.Error("no block shares a value")
	}
}

// Over the blocks of a prefix a sticky factor is as balanced as any other is
// over the indices; and the other factors stay balanced over the indices.
func TestStickyFactorsAreBalanced(t *testing.T) {
	for _, k := range []int{2, 10, 50} {
		s := shapes()
		s.Factors[3].Sticky = k // light, in no constraint
		for seed := range uint64(10) {
			r := vectorRound(s, .2, Component{Share: whole})
			r.Seed = seed
			sampler, err := NewSampler(s, r)
			if err != nil {
				t.Fatal(err)
			}
			light, shape := make([]int, 5), make([]int, 6)
			for index := range uint64(3000) {
				x, err := sampler.Scenario(Train, 0, index)
				if err != nil {
					t.Fatal(err)
				}
				light[x.Codes[3]]++
				shape[x.Codes[2]]++
				n := index + 1
				if n%uint64(k) != 0 {
					continue
				}
				blocks := n / uint64(k)
				bound := 2 * float64(bits.OnesCount64(blocks))
				for l, got := range light {
					if want := float64(blocks) * r.Base[3].share(l); math.Abs(float64(got)/float64(k)-want) > bound {
						t.Fatalf("sticky %d: level %d has %d of the first %d indices, want %.1f blocks ± %.0f", k, l, got, n, want, bound)
					}
				}
				// Constraints redraw a few: shape is nearly as balanced as without.
				for l, got := range shape {
					if want := float64(n) * r.Base[2].share(l); math.Abs(float64(got)-want) > 2*float64(bits.OnesCount64(n))+6*math.Sqrt(.02*float64(n)+1) {
						t.Fatalf("sticky %d: shape %d has %d of the first %d indices, want %.1f", k, l, got, n, want)
					}
				}
			}
		}
	}
}

// Two sticky factors of equal blocks are not confounded, nor is one with a factor
// that is not sticky.
func TestStickyFactorsAreUnconfounded(t *testing.T) {
	s := &Space{Name: "two", Version: 1, Factors: []Factor{
		factor("a", "0", .5, "1", .5), factor("b", "0", .5, "1", .5), factor("c", "0", .5, "1", .5)}}
	s.Factors[0].Sticky, s.Factors[1].Sticky = 4, 4
	var ab, ac [4]int
	const n, seeds = 400, 200
	for seed := range uint64(seeds) {
		r := vectorRound(s, .2, Component{Share: whole})
		r.Seed = seed
		sampler, err := NewSampler(s, r)
		if err != nil {
			t.Fatal(err)
		}
		for index := range uint64(n) {
			x, err := sampler.Scenario(Train, 0, index)
			if err != nil {
				t.Fatal(err)
			}
			ab[2*x.Codes[0]+x.Codes[1]]++
			ac[2*x.Codes[0]+x.Codes[2]]++
		}
	}
	for cell := range ab {
		if math.Abs(float64(ab[cell])-n*seeds/4) > 5*math.Sqrt(4*n*seeds/4) || math.Abs(float64(ac[cell])-n*seeds/4) > 5*math.Sqrt(n*seeds/4) {
			t.Errorf("cells %v and %v, want about %d each", ab, ac, n*seeds/4)
		}
	}
}

// Under constraints stickiness is measured: with one draw in six rejected for
// another factor's sake, about that part of the indices leaves its block.
func TestStickinessUnderConstraints(t *testing.T) {
	s := &Space{Name: "scene", Version: 1, Factors: []Factor{
		factor("scene", "a", .5, "b", .5), factor("part", "x", 1./3, "y", 1./3, "z", 1./3), factor("free", "p", .5, "q", .5)}}
	s.Factors[0].Sticky, s.Factors[2].Sticky = 30, 30
	s.Constraints = []Constraint{{When: []LevelSet{{0, []int{0}}, {1, []int{2}}}}}
	sampler, err := NewSampler(s, vectorRound(s, 0, Component{Share: whole}))
	if err != nil {
		t.Fatal(err)
	}
	left, free := 0, 0
	const blocks = 300
	for block := range uint64(blocks) {
		var counts, steady [2]int
		for j := range uint64(30) {
			x, err := sampler.Scenario(Train, 0, block*30+j)
			if err != nil {
				t.Fatal(err)
			}
			counts[x.Codes[0]]++
			steady[x.Codes[2]]++
		}
		left += min(counts[0], counts[1])
		free += min(steady[0], steady[1])
	}
	if part := float64(left) / (30 * blocks); part < .02 || part > 1./6 {
		t.Errorf("%.3f of the indices left their block", part)
	}
	if free != 0 {
		t.Errorf("%d indices left their block of a factor that no constraint touches", free)
	}
}

// The trust region is computed as if nothing were sticky: a block of points would
// stand for one.
func TestDivergenceOfStickySpaces(t *testing.T) {
	s := shapes()
	e := sized(t, s, 6000, .04, map[string]float64{"background=metal light=low": .7})
	p := policy()
	p.Shares.TrustRegion = .02
	kl := map[int]float64{}
	for _, sticky := range []int{0, MaxSticky} {
		for f := range s.Factors {
			s.Factors[f].Sticky = sticky
		}
		first, err := Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Decide(s, p, &first, e, Budget{Campaign: "c", Number: 2, Train: 1500}, 1)
		if err != nil || second.Step == 1 {
			t.Fatalf("step %v: %v", second.Step, err)
		}
		third, err := Decide(s, p, &second, e, Budget{Campaign: "c", Number: 3, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		kl[sticky] = third.Step
	}
	if kl[0] != kl[MaxSticky] {
		t.Errorf("the third round's step is %v, and %v where all is sticky", kl[0], kl[MaxSticky])
	}
}

// I4, golden: which value a block of a sticky factor has, steady or under a
// constraint, conditional or pinned, and what number a fraction is on each scale,
// to the bit, on any machine and for ever.
func TestStickyVectors(t *testing.T) {
	type vector struct {
		Domain    Domain   `json:"domain"`
		Component int      `json:"component"`
		Index     uint64   `json:"index"`
		Codes     []Code   `json:"codes"`
		Fractions []uint32 `json:"fractions"`
		// Values are the bits of the numeric factors', in their order.
		Values []string `json:"values"`
	}
	s := &Space{Name: "stage", Version: 1, Factors: []Factor{
		factor("scene", "a", .5, "b", .3, "c", .2), factor("light", "low", .3, "day", .7), factor("part", "x", .4, "y", .6), factor("line", "1", .5, "2", .5),
		{Name: "exposure", Kind: Numeric, Scale: Log, Levels: []Level{{Name: "short", Low: .001, High: .01, Target: .5}, {Name: "long", Low: .01, High: 3, Target: .5}}},
		{Name: "yaw", Kind: Numeric, Scale: Circular, Levels: []Level{{Name: "front", Low: -45, High: 135, Target: .5}, {Name: "back", Low: 135, High: 315, Target: .5}}},
		{Name: "gain", Kind: Numeric, Levels: []Level{{Name: "all", Low: -.3, High: .7, Target: 1}}, When: &LevelSet{0, []int{0, 1}}},
	}}
	for f, k := range []int{8, 4, 0, 0, 8, 3, 5} {
		s.Factors[f].Sticky = k
	}
	s.Factors[3].Pin = new(int)
	s.Constraints = []Constraint{{When: []LevelSet{{1, []int{0}}, {2, []int{1}}}}, {When: []LevelSet{{5, []int{1}}}, Then: []LevelSet{{2, []int{0}}}}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	r := vectorRound(s, .1, Component{Share: whole / 2}, Component{Share: whole / 2, Slice: s.slice(t, "scene", "b", "light", "low")},
		Component{Domain: Evaluation, Over: OverTarget, Source: SourceTarget, Share: whole})
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	for _, c := range r.Components {
		for _, index := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 999, 65_536, 1_000_000, MaxQuota - 1} {
			x, err := sampler.Scenario(c.Domain, c.Number, index)
			if err != nil {
				t.Fatal(err)
			}
			v := vector{c.Domain, c.Number, index, x.Codes, x.Fractions, nil}
			for f := range s.Factors {
				if value, ok := s.Value(f, x); ok {
					v.Values = append(v.Values, fmt.Sprintf("%016x", math.Float64bits(value)))
				}
			}
			vectors = append(vectors, v)
		}
	}
	golden(t, "sticky.json", struct {
		Space   *Space   `json:"space"`
		Round   *Round   `json:"round"`
		Vectors []vector `json:"vectors"`
	}{s, r, vectors})
}
