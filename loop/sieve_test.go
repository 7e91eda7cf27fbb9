package loop

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Leaving hits out changes neither what is significant nor how much.
func TestPromisingHitsSuffice(t *testing.T) {
	left, significant := 0, 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		rate := []float64{.01, .05, .24, .4, .7}[seed%5]
		s := &Space{Name: "s"}
		for range 5 {
			s.Factors = append(s.Factors, Factor{Kind: Categorical, Levels: make([]Level, 6)})
		}
		l := &lines{codes: make([][]Code, 5), errors: make([]float64, 8000)}
		for i := range l.errors {
			for f := range l.codes {
				l.codes[f] = append(l.codes[f], Code(rng.IntN(6)))
			}
			// A few slices on the edge of what shows, so that ranks matter.
			p := rate
			if l.codes[0][i] == l.codes[1][i] || l.codes[2][i] == 3 && l.codes[3][i] < 3 {
				p = min(.9, p*[]float64{1, 1.5, 2.5}[rng.IntN(3)])
			}
			l.errors[i] = bernoulli(rng, p)
		}
		settings := DefaultSearch()
		settings.MinimumZ = []float64{0, 1, 2.5}[seed%3]
		settings.FalseDiscovery = []float64{.05, .2}[seed%2]
		already := int(seed % 4)
		tally := newTally(s, settings, l, nil)
		all, _ := tally.rate()
		got, tested := tally.significant(all, already)
		// The twin: every cell that has the score is tested, and ranked.
		var cells []cell
		tests := total(tested)
		for order := 1; order <= settings.Order; order++ {
			found, _ := tally.look(order, all)
			_, _, least := tally.able(order, all)
			cells = append(cells, slices.DeleteFunc(found, func(c cell) bool { return c.n/c.design < least })...)
		}
		ranked := slices.Clone(cells)
		slices.SortStableFunc(ranked, func(a, b cell) int { return cmp.Compare(a.p, b.p) })
		want := make(map[string]float64)
		for i := range ranked {
			q := 1.0
			for j := i; j < len(ranked); j++ {
				q = min(q, ranked[j].p*float64(tests)/float64(j+1+already))
			}
			if q <= settings.FalseDiscovery {
				want[fmt.Sprint(tally.slice(&ranked[i]))] = q
			}
		}
		if len(got) != len(want) {
			t.Errorf("seed %d: %d significant, want %d", seed, len(got), len(want))
		}
		for _, c := range got {
			if q, ok := want[fmt.Sprint(c.slice)]; !ok || q != c.q {
				t.Errorf("seed %d: %v has q = %v, want %v", seed, c.slice, c.q, q)
			}
		}
		var every []hit
		for order := 1; order <= settings.Order; order++ {
			found, _, _ := tally.able(order, all)
			every = append(every, found...)
		}
		left += len(every) - len(tally.promising(slices.Clone(every), tests, already))
		significant += len(got)
	}
	if left == 0 || significant == 0 {
		t.Errorf("%d hits left out, %d significant", left, significant)
	}
}

// The tail of a binomial is above that of the normal distribution at its standard
// score, wherever a hit says so.
func TestScoresBoundTails(t *testing.T) {
	bounds := 0
	for _, rate := range []float64{1e-4, .003, .05, .2, .25, .3, .45, .5, .8} {
		tally := &tally{settings: Search{MinimumSupport: 1}, lanes: 1, strata: []layer{{packed: true, discount: 1}}, dispersion: 1, unit: 1}
		for _, n := range []uint64{1, 2, 5, 12, 40, 300, 5000, 1 << 20} {
			o := &table{}
			for k := uint64(0); k <= n; k += 1 + n/64 {
				o.keys, o.sums = append(o.keys, uint32(k)), append(o.sums, n<<rowShift|k)
			}
			hits, supported := tally.sieve(rate).hits(o)
			if supported != len(o.keys) {
				t.Fatalf("%d of %d cells have support", supported, len(o.keys))
			}
			for _, h := range hits {
				p := binomialTail(float64(o.sums[h.cell]&(1<<rowShift-1)), float64(n), rate)
				if normal := math.Erfc(h.z/math.Sqrt2) / 2; p < normal*(1-1e-6)-1e-300 {
					t.Errorf("%d of %d at %v: p = %v, below %v", o.sums[h.cell]&(1<<rowShift-1), n, rate, p, normal)
				}
				if !math.IsInf(h.z, 1) {
					bounds++
				}
			}
		}
	}
	if bounds == 0 {
		t.Error("no bound was tested")
	}
}
