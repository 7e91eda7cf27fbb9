package loop

import (
	"cmp"
	"fmt"
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
				if p := bad.Level(f); p >= 0 {
					code = Code(p)
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

// naiveCover is cover's twin: every row by itself, every slice by a map, every
// rule in the order in which it is written.
func naiveCover(s *Space, settings Search, e *Evidence, memory float64, window int, quarantined []Slice) []cell {
	type row struct {
		codes []Code
		w, k  float64
	}
	var rows []row
	for i := range e.Len() {
		line := e.line(i)
		if int(line.Age) < window {
			w := math.Pow(memory, float64(line.Age))
			rows = append(rows, row{line.Codes, w * float64(line.Rows), w * float64(line.Failures)})
		}
	}
	remove := func(slice Slice) {
		rows = slices.DeleteFunc(rows, func(r row) bool { return slice.Matches(r.codes) })
	}
	for _, q := range quarantined {
		remove(q)
	}
	var found []cell
	for len(found) < settings.Slices {
		n, k := 0.0, 0.0
		for _, r := range rows {
			n, k = n+r.w, k+r.k
		}
		if k <= 0 || k >= n {
			break
		}
		rate := k / n
		var significant []cell
		for order := 1; order <= settings.Order; order++ {
			cells := map[string]*cell{}
			var walk func(r row, from int, slice Slice)
			walk = func(r row, from int, slice Slice) {
				if len(slice) == order {
					c := cells[fmt.Sprint(slice)]
					if c == nil {
						c = &cell{slice: slices.Clone(slice)}
						cells[fmt.Sprint(slice)] = c
					}
					c.n, c.k = c.n+r.w, c.k+r.k
					return
				}
				for f := from; f < len(s.Factors); f++ {
					if r.codes[f].IsLevel() && s.Factors[f].Pin == nil {
						walk(r, f+1, append(slice, Predicate{f, int(r.codes[f])}))
					}
				}
			}
			for _, r := range rows {
				walk(r, 0, nil)
			}
			var supported, tested []*cell
			for _, c := range cells {
				if c.n >= settings.MinimumSupport {
					supported = append(supported, c)
				}
			}
			level := settings.FalseDiscovery / float64(settings.Order)
			for _, c := range supported {
				if c.n >= math.Log(level/float64(len(supported)))/math.Log(rate) {
					tested = append(tested, c)
				}
			}
			var candidates []*cell
			for _, c := range tested {
				c.z = (c.k - c.n*rate) / math.Sqrt(c.n*rate*(1-rate))
				c.p = binomialTail(c.k, c.n, rate)
				if c.z >= settings.MinimumZ {
					candidates = append(candidates, c)
				}
			}
			for _, c := range candidates {
				c.q = 1
				for _, other := range candidates {
					if other.p < c.p {
						continue
					}
					rank := 0
					for _, third := range candidates {
						if third.p <= other.p {
							rank++
						}
					}
					c.q = min(c.q, other.p*float64(len(tested))/float64(rank))
				}
				if c.q <= level {
					significant = append(significant, *c)
				}
			}
		}
		if len(significant) == 0 {
			break
		}
		slices.SortFunc(significant, func(a, b cell) int {
			return cmp.Or(-cmp.Compare(a.z, b.z), a.slice.compare(b.slice))
		})
		best := significant[0]
		for {
			var children []cell
			for _, c := range significant {
				inside := len(c.slice) > len(best.slice)
				for _, p := range best.slice {
					inside = inside && slices.Contains(c.slice, p)
				}
				if inside && c.k-c.n*rate >= settings.Descent*(best.k-best.n*rate) {
					children = append(children, c)
				}
			}
			if len(children) == 0 {
				break
			}
			slices.SortFunc(children, func(a, b cell) int {
				return cmp.Or(-cmp.Compare(a.k-a.n*rate, b.k-b.n*rate), a.slice.compare(b.slice))
			})
			best = children[0]
		}
		found = append(found, best)
		remove(best.slice)
	}
	return found
}

// The search equals its twin. Memory is a power of two, so that weighted sums
// are exact in any order.
func TestCoverEqualsItsTwin(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 5, 5)
		e := drawEvidence(t, s, 300)
		if err := e.Validate(s); err != nil {
			t.Fatal(err)
		}
		settings := DefaultPolicy().Search
		settings.Order = rapid.IntRange(1, 3).Draw(t, "order")
		settings.MinimumSupport = rapid.SampledFrom([]float64{1, 4, 12}).Draw(t, "support")
		settings.MinimumZ = rapid.SampledFrom([]float64{0, 1, 2.5}).Draw(t, "z")
		settings.FalseDiscovery = rapid.SampledFrom([]float64{.05, .5}).Draw(t, "false discovery")
		settings.Slices = rapid.IntRange(0, 5).Draw(t, "slices")
		memory := rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "memory")
		window := rapid.IntRange(1, 4).Draw(t, "window")
		var quarantined []Slice
		if rapid.IntRange(0, 3).Draw(t, "quarantine") == 0 {
			quarantined = append(quarantined, drawSlice(t, s, 2))
		}
		f := newSearcher(s, settings, e, memory, window)
		for _, q := range quarantined {
			f.remove(q)
		}
		got, want := f.cover(), naiveCover(s, settings, e, memory, window, quarantined)
		if len(got) != len(want) {
			t.Fatalf("found %v, want %v", got, want)
		}
		for i := range got {
			a, b := got[i], want[i]
			if !a.slice.Equal(b.slice) || a.n != b.n || a.k != b.k || !near(a.z, b.z) || !near(a.p, b.p) || !near(a.q, b.q) {
				t.Fatalf("found %d is %+v, want %+v", i, a, b)
			}
		}
		found += len(got)
	})
	if found == 0 && !testing.Short() {
		t.Error("no drawn evidence had anything to find")
	}
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
	a, b := newSearcher(s, small, even, .5, 3).cover(), naiveCover(s, small, even, .5, 3, nil)
	if len(a) == 0 || !slices.EqualFunc(a, b, func(a, b cell) bool { return a.slice.Equal(b.slice) && near(a.q, b.q) }) {
		t.Errorf("found %+v, want %+v", a, b)
	}
	f := newSearcher(s, DefaultPolicy().Search, e, .5, 3)
	got, want := f.cover(), naiveCover(s, DefaultPolicy().Search, e, .5, 3, nil)
	if !slices.EqualFunc(got, want, func(a, b cell) bool { return a.slice.Equal(b.slice) && a.n == b.n && a.k == b.k && near(a.q, b.q) }) {
		t.Errorf("found %+v, want %+v", got, want)
	}
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
	found := newSearcher(s, DefaultPolicy().Search, e, .5, 3).cover()
	if len(found) != 2 || !found[0].slice.Equal(Slice{{0, 2}}) || !found[1].slice.Equal(Slice{{0, 5}}) {
		t.Errorf("found %+v", found)
	}
}

// Counting by a table and counting by sorted keys give the same cells.
func TestTabulationPathsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 5, 5)
		settings := DefaultPolicy().Search
		settings.MinimumSupport = rapid.SampledFrom([]float64{1, 5}).Draw(t, "support")
		f := newSearcher(s, settings, drawEvidence(t, s, 100), .5, 3)
		frequent := f.frequent()
		for order := 1; order <= 3; order++ {
			dense := f.count(order, frequent)
			f.denseCells = 0
			sparse := f.count(order, frequent)
			f.denseCells = denseCells
			if !slices.EqualFunc(dense, sparse, func(a, b cell) bool { return a.slice.Equal(b.slice) && a.n == b.n && a.k == b.k }) {
				t.Fatalf("order %d: dense %v, sparse %v", order, dense, sparse)
			}
			if !slices.IsSortedFunc(dense, func(a, b cell) int { return a.slice.compare(b.slice) }) {
				t.Fatalf("order %d: cells out of order: %v", order, dense)
			}
		}
	})
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
		sorted := slices.Clone(cells)
		slices.SortFunc(sorted, func(a, b cell) int { return cmp.Compare(a.p, b.p) })
		cut := -1.0
		for rank, c := range sorted {
			if c.p*float64(tests)/float64(rank+1) <= level {
				cut = c.p
			}
		}
		for _, c := range benjaminiHochberg(cells, tests) {
			if (c.q <= level) != (c.p <= cut) {
				t.Fatalf("p %v has q %v at level %v, the step-up cut is %v", c.p, c.q, level, cut)
			}
		}
	})
}
