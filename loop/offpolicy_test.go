package loop

import (
	"math"
	"math/rand/v2"
	"testing"
)

// ground is a small world in which every probability is known: a space, how often
// each scenario fails, and a mixture of the target, of what was made, and of what
// is wanted.
type ground struct {
	space     *Space
	fails     func(codes []Code) float64
	made      *Sampler
	candidate *Sampler
}

// part of a mixture: a slice, in the words of predicates, and its share.
type share struct {
	slice Slice
	share float64
}

func mixtureOf(t testing.TB, s *Space, floor float64, boosts ...share) *Sampler {
	t.Helper()
	weights := []float64{1}
	for _, b := range boosts {
		weights[0] -= b.share
		weights = append(weights, b.share)
	}
	r := &Round{Number: 1, Seed: 5, Base: s.baseMarginals(floor), Target: s.targetMarginals()}
	shares := quantise(weights)
	for i := range weights {
		c := Component{Domain: Train, Number: i, Over: OverBase, Share: shares.mass(i)}
		if i > 0 {
			c.Slice = boosts[i-1].slice
		}
		r.Components = append(r.Components, c)
	}
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	return sampler
}

func skewed(factors int) *Space {
	s := &Space{Name: "ground", Version: 1}
	for range factors {
		s.Factors = append(s.Factors, Factor{Name: string(rune('a' + len(s.Factors))), Kind: Categorical, Levels: []Level{
			{Name: "w", Target: .5}, {Name: "x", Target: .3}, {Name: "y", Target: .15}, {Name: "z", Target: .05}}})
	}
	return s
}

// expect is the exact mean of a number over a density, by enumeration.
func expect(s *Space, density func(codes []Code) float64, of func(codes []Code) float64) float64 {
	sum := 0.0
	for _, x := range enumerate(s, s.baseMarginals(1)) {
		if s.possible(x.codes) {
			sum += density(x.codes) * of(x.codes)
		}
	}
	return sum
}

// rows draws evidence at random, not in sequence: n rows of the target and m of
// the mixture that was made, in groups of a size that share a scenario with some
// probability of failing together.
func (g *ground) rows(t testing.TB, random *rand.Rand, n, m, group int) *Evidence {
	t.Helper()
	e := &Evidence{}
	target := mixtureOf(t, g.space, 0)
	draw := func(from *Sampler, source Source) {
		u := random.Uint64() & (whole - 1)
		number := 0
		for ; u >= from.round.Components[number].Share; number++ {
			u -= from.round.Components[number].Share
		}
		x, err := from.Scenario(Train, number, uint64(random.Uint32()>>1))
		if err != nil {
			t.Fatal(err)
		}
		l := Line{Codes: x.Codes, Source: source, Origin: Synthetic, Weight: MicroUnits, Rows: int64(max(1, group))}
		if source == SourceMixture {
			l.Weight = int64(math.Round(max(1, from.Target(x.Codes)/from.Density(x.Codes)*MicroUnits)))
		}
		if group > 0 {
			l.Group = uint32(e.Len() + 1)
		}
		p := g.fails(x.Codes)
		together := random.Float64() < p
		for range l.Rows {
			if random.Float64() < .3 { // intraclass correlation .3
				if together {
					l.Failures++
				}
			} else if random.Float64() < p {
				l.Failures++
			}
		}
		e.Append(l)
	}
	for range n {
		draw(target, SourceTarget)
	}
	for range m {
		draw(g.made, SourceMixture)
	}
	e.Sort()
	return e
}

// The 95 % interval of a yield holds the truth in 95 % of runs, whatever the
// shape; so do those of slices and of differences.
func TestYieldCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("500 runs of seven shapes")
	}
	s := skewed(4)
	ab := Slice{{Factor: 0, Level: 3}, {Factor: 1, Level: 2}}
	cd := Slice{{Factor: 2, Level: 3}}
	rare := Slice{{Factor: 0, Level: 3}, {Factor: 1, Level: 3}}
	worse := func(base float64, rates map[int]float64) func([]Code) float64 {
		return func(codes []Code) float64 {
			p := base
			for i, slice := range []Slice{ab, cd, rare} {
				if r, ok := rates[i]; ok && slice.Matches(codes) {
					p = r
				}
			}
			return p
		}
	}
	for name, x := range map[string]struct {
		ground
		n, m, group int
	}{
		"few from the target": {ground{s, worse(.1, map[int]float64{1: .5}), mixtureOf(t, s, 0), mixtureOf(t, s, .2, share{cd, .2})}, 600, 0, 0},
		"target and mixture": {ground{s, worse(.05, map[int]float64{0: .6, 1: .4}), mixtureOf(t, s, .2, share{ab, .15}),
			mixtureOf(t, s, .2, share{ab, .15}, share{cd, .15})}, 1500, 1500, 0},
		"a rare slice never made": {ground{s, worse(.08, map[int]float64{2: .9}), mixtureOf(t, s, .2), mixtureOf(t, s, .2, share{rare, .15})}, 1500, 1500, 0},
		"rare failures":           {ground{s, worse(.004, map[int]float64{0: .02}), mixtureOf(t, s, .2), mixtureOf(t, s, .2, share{ab, .3})}, 1500, 1500, 0},
		"many failures":           {ground{s, worse(.9, map[int]float64{1: .99}), mixtureOf(t, s, .2), mixtureOf(t, s, .2, share{cd, .3})}, 1000, 500, 0},
		"groups": {ground{s, worse(.1, map[int]float64{0: .6, 1: .4}), mixtureOf(t, s, .2, share{ab, .15}),
			mixtureOf(t, s, .2, share{ab, .15}, share{cd, .15})}, 200, 200, 10},
		"away from what was made": {ground{s, worse(.1, map[int]float64{0: .6, 1: .4}), mixtureOf(t, s, .2, share{ab, .4}),
			mixtureOf(t, s, .2, share{cd, .4})}, 500, 500, 0},
	} {
		t.Run(name, func(t *testing.T) {
			truth := expect(s, x.candidate.Density, x.fails)
			before := expect(s, x.made.Density, x.fails)
			const runs = 500
			held, heldDiff, heldSlice, slicesSeen, refused := 0, 0, 0, 0, 0
			width, ess, mse, mseSnips := 0.0, 0.0, 0.0, 0.0
			random := rand.New(rand.NewPCG(1, 2))
			for range runs {
				e := x.rows(t, random, x.n, x.m, x.group)
				o, err := NewOffPolicy(s, e, []*Sampler{x.made})
				if err != nil {
					t.Fatal(err)
				}
				if o.pools[0].rows.Used != e.TotalRows() {
					t.Fatalf("used %+v of %d", o.pools[0].rows, e.TotalRows())
				}
				y, err := o.Yield(0, x.candidate)
				if err != nil {
					refused++
					continue
				}
				z, err := o.Yield(0, x.made)
				if err != nil {
					t.Fatal(err)
				}
				if y.Rate.Lower <= truth && truth <= y.Rate.Upper {
					held++
				}
				if d := y.Above(z); d.Lower <= truth-before && truth-before <= d.Upper {
					heldDiff++
				}
				for _, k := range y.Slices {
					if k.Rate == nil {
						continue
					}
					slicesSeen++
					part := mixtureOf(t, s, .2)
					if len(k.Slice) > 0 {
						part = mixtureOf(t, s, .2, share{k.Slice, .999999})
					}
					if v := expect(s, part.Density, x.fails); k.Rate.Lower <= v && v <= k.Rate.Upper {
						heldSlice++
					}
				}
				width += y.Rate.Upper - y.Rate.Lower
				ess += y.Effective
				mse += (y.Rate.Expected - truth) * (y.Rate.Expected - truth)
				p := &o.pools[0]
				sw, swe := 0.0, 0.0
				for i := range p.lines {
					l := &p.lines[i]
					w := x.candidate.density(l.codes).over(l.density)
					sw += w * l.n
					swe += w * l.k
				}
				mseSnips += (swe/sw - truth) * (swe/sw - truth)
			}
			if refused > 0 {
				t.Errorf("%d of %d refused", refused, runs)
			}
			for what, rate := range map[string]float64{"yield": float64(held) / runs, "difference": float64(heldDiff) / runs,
				"slice": float64(heldSlice) / float64(slicesSeen)} {
				// 500 runs tell a coverage to about a point.
				if rate < .93 || rate > .985 {
					t.Errorf("the 95%% interval of a %s holds the truth in %.1f%% of runs", what, 100*rate)
				}
			}
			// The stratified estimate is no worse than the plain one (here: rare failures,
			// by a fortieth), and up to twice as good.
			if ours, plain := math.Sqrt(mse/runs), math.Sqrt(mseSnips/runs); ours > 1.05*plain {
				t.Errorf("the root mean square error is %.5f, and %.5f without strata", ours, plain)
			}
			t.Logf("truth %.4f, held %.3f, difference %.3f, slices %.3f, width %.4f, effective rows %.0f, error %.5f, without strata %.5f", truth, float64(held)/runs,
				float64(heldDiff)/runs, float64(heldSlice)/float64(slicesSeen), width/runs, ess/runs, math.Sqrt(mse/runs), math.Sqrt(mseSnips/runs))
		})
	}
}
