package loop

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawEvidence makes random canonical evidence over a space: any codes, unknown
// and absent ones among them, several versions, with some slice that fails more.
func drawEvidence(t *rapid.T, s *Space, maxLines int) *Evidence {
	e := &Evidence{}
	bad := drawSlice(t, s, 3)
	rate := rapid.SampledFrom([]float64{0, .02, .1, .5, 1}).Draw(t, "rate")
	worse := rapid.SampledFrom([]float64{0, .3, .9, 1}).Draw(t, "worse")
	seed := rapid.Uint64().Draw(t, "evidence")
	draw := func(n uint64) uint64 { seed = mix(seed); return seed % n }
	for range rapid.SampledFrom([]int{maxLines, maxLines / 2, 30, 1, 0}).Draw(t, "lines") {
		l := Line{Age: uint8(draw(4)), Source: SourceTarget, Origin: Synthetic, Rows: 1 + int64(draw(6))}
		if draw(2) == 0 {
			l.Source = SourceMixture
		}
		if draw(8) == 0 {
			l.Origin = Real
		}
		for f := range s.Factors {
			code := Code(draw(uint64(len(s.Factors[f].Levels))))
			switch draw(12) {
			case 0:
				code = Unknown
			case 1:
				code = Absent
			case 2, 3, 4:
				if p := bad.Of(f); p != nil {
					if code = Code(p.Level); p.Run > 0 {
						code += Code(draw(uint64(p.Run + 1)))
					}
				}
			}
			l.Codes = append(l.Codes, code)
		}
		p := rate
		if bad.Matches(l.Codes) {
			p = worse
		}
		for range l.Rows {
			if float64(draw(1<<20))/(1<<20) < p {
				l.Failures++
			}
		}
		e.Append(l)
	}
	e.Sort()
	return e
}

// Planted conjunctions of two and three predicates are found, by the search and
// by its twin alike.
func TestCoverOfPlantedSlices(t *testing.T) {
	s := shapes()
	e := sized(t, s, 6000, .04, map[string]float64{"background=metal light=low": .7, "occlusion=strong rotation=r225": .6,
		"background=stripes light=day blur=motion": .8})
	// At half the rows failing, small cells can never be significant (Tarone).
	even := sized(t, s, 4000, .5, map[string]float64{"background=metal light=low": .8, "occlusion=strong rotation=r225": .75})
	small := DefaultPolicy().Search
	small.MinimumSupport = 1
	if got := compareCovers(t, s, small, even.outcomes(.5, 3)); len(got) == 0 {
		t.Error("nothing found where half of the rows fail")
	}
	got := compareCovers(t, s, DefaultPolicy().Search, e.outcomes(.5, 3))
	for _, planted := range []Slice{s.slice(t, "background", "metal", "light", "low"), s.slice(t, "occlusion", "strong", "rotation", "r225"),
		s.slice(t, "background", "stripes", "light", "day", "blur", "motion")} {
		if !slices.ContainsFunc(got, func(c cell) bool { return c.slice.Equal(planted) }) {
			t.Errorf("%s was not found", s.Describe(planted))
		}
	}
}

// Of two slices that fail alike, the one that comes first in the order of slices
// is taken first.
func TestTiesGoToTheFirstSlice(t *testing.T) {
	s := oneFactor(9)
	e := uniformEvidence(9, 100, func(l int) int64 { return []int64{1, 1, 60, 1, 1, 60, 1, 1, 1}[l] })
	found := searched(s, DefaultPolicy().Search, e.outcomes(.5, 3))
	if len(found) != 2 || !found[0].slice.Equal(Slice{{Factor: 0, Level: 2}}) || !found[1].slice.Equal(Slice{{Factor: 0, Level: 5}}) {
		t.Errorf("found %+v", found)
	}
}

// The tail continues the binomial to real numbers; at integers it is the exact
// sum.
func TestBinomialTail(t *testing.T) {
	exact := func(k, n int, p *big.Rat) float64 {
		q := new(big.Rat).Sub(big.NewRat(1, 1), p)
		sum := new(big.Rat)
		for i := k; i <= n; i++ {
			term := new(big.Rat).SetInt(new(big.Int).Binomial(int64(n), int64(i)))
			for range i {
				term.Mul(term, p)
			}
			for range n - i {
				term.Mul(term, q)
			}
			sum.Add(sum, term)
		}
		f, _ := sum.Float64()
		return f
	}
	for _, n := range []int{1, 2, 5, 12, 30, 80} {
		for k := 0; k <= n; k += 1 + n/9 {
			for _, p := range []*big.Rat{big.NewRat(1, 100), big.NewRat(1, 16), big.NewRat(1, 2), big.NewRat(19, 20)} {
				f, _ := p.Float64()
				got, want := binomialTail(float64(k), float64(n), f), exact(k, n, p)
				if math.Abs(got-want) > 1e-10*want {
					t.Errorf("P(K >= %d | %d, %v) = %v, want %v", k, n, f, got, want)
				}
			}
		}
	}
	// Between integers it falls.
	for k := 1.; k < 11.75; k += .25 {
		if !(binomialTail(k, 12, .1) > binomialTail(k+.25, 12, .1)) {
			t.Errorf("the tail does not fall at %v", k)
		}
	}
	// Where the normal tail takes over, there is no step.
	for _, z := range []float64{0, 2.5, 4, 6} {
		below, above := .999e6/(.06*.94), 1.001e6/(.06*.94)
		a := binomialTail(below*.06+.5+z*math.Sqrt(.999e6), below, .06)
		b := binomialTail(above*.06+.5+z*math.Sqrt(1.001e6), above, .06)
		if math.Abs(a/b-1) > .04 {
			t.Errorf("at z = %v the tail steps from %v to %v", z, a, b)
		}
	}
	// However far out, it is a probability.
	for _, n := range []float64{1e6, 1e9, 1e12} {
		for _, rate := range []float64{1e-9, .06, .5, 1 - 1e-9} {
			for _, k := range []float64{1, n * rate, n*rate + 1, n * rate * 1.01, n} {
				if p := binomialTail(min(k, n), n, rate); !(p >= 0 && p <= 1) {
					t.Errorf("P(K >= %v | %v, %v) = %v", k, n, rate, p)
				}
			}
		}
	}
}

// Benjamini-Hochberg over the candidates rejects what the step-up rule over
// their sorted p-values rejects.
func TestBenjaminiHochberg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cells []cell
		for _, p := range rapid.SliceOfN(rapid.Float64Range(0, .2), 0, 20).Draw(t, "p") {
			cells = append(cells, cell{p: math.Round(p*50) / 50})
		}
		tests := len(cells) + rapid.IntRange(0, 30).Draw(t, "more")
		level := rapid.Float64Range(.001, .5).Draw(t, "level")
		already := rapid.IntRange(0, 5).Draw(t, "already")
		sorted := slices.Clone(cells)
		slices.SortFunc(sorted, func(a, b cell) int { return cmp.Compare(a.p, b.p) })
		cut := -1.0
		for rank, c := range sorted {
			if c.p*float64(tests)/float64(rank+1+already) <= level {
				cut = c.p
			}
		}
		for _, c := range benjaminiHochberg(cells, tests, already) {
			if (c.q <= level) != (c.p <= cut) {
				t.Fatalf("p %v has q %v at level %v, the step-up cut is %v", c.p, c.q, level, cut)
			}
		}
	})
}
