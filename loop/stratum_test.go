package loop

import (
	"math"
	"testing"
)

// A broad slice is not blamed for a narrower one that was boosted: its rows count
// for what deployment has of them.
func TestBoostedChildDoesNotConvictItsParent(t *testing.T) {
	s := &Space{Name: "two", Version: 1, Factors: []Factor{factor("a", "l0", .25, "l1", .25, "l2", .25, "l3", .25), factor("b", "l0", .9, "l1", .1)}}
	child, parent := Slice{{Factor: 0, Level: 0}, {Factor: 1, Level: 1}}, Slice{{Factor: 0, Level: 0}}
	// Half of the mixture is the child, which fails half of the time; all else fails
	// 5 %.
	r := &Round{Number: 1, Seed: 5, Base: s.baseMarginals(0), Target: s.targetMarginals(),
		Components: []Component{{Over: OverBase, Share: whole / 2}, {Number: 1, Over: OverBase, Slice: child, Share: whole / 2}}}
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	e, plain := &Evidence{}, &Evidence{}
	for component := range 2 {
		for i := range uint64(4000) {
			x, err := sampler.Scenario(Train, component, i)
			if err != nil {
				t.Fatal(err)
			}
			l := Line{Codes: x.Codes, Source: SourceMixture, Origin: Synthetic, Rows: 1}
			if p := map[bool]float64{true: .5, false: .05}[child.Matches(x.Codes)]; float64(mix(i^uint64(component)<<40)>>11)/(1<<53) < p {
				l.Failures = 1
			}
			plain.Append(l)
			l.Weight = int64(math.Round(MicroUnits * sampler.Weight(Train, component, x.Codes)))
			e.Append(l)
		}
	}
	e.Sort()
	plain.Sort()
	rate := func(e *Evidence, slice Slice) (float64, float64) {
		t := newTally(s, DefaultPolicy().Search, e.lines(.5, 3), nil)
		for _, table := range t.count(len(slice)) {
			for i := range table.keys {
				if c := t.cell(table, i); t.slice(&c).Equal(slice) {
					return c.k / c.n, c.n
				}
			}
		}
		return 0, 0
	}
	if weighted, _ := rate(e, parent); math.Abs(weighted-.095) > .02 {
		t.Errorf("the parent fails %v, in deployment .095", weighted)
	}
	if raw, _ := rate(plain, parent); raw < .3 {
		t.Errorf("unweighted it fails %v: nothing is tested here", raw)
	}
	// What was boosted as a whole loses no row's worth, and the rate as a whole is
	// that of deployment.
	if weighted, n := rate(e, child); math.Abs(weighted-.5) > .03 || n < 4000 {
		t.Errorf("the child fails %v in %v rows", weighted, n)
	}
	if all, _ := newTally(s, DefaultPolicy().Search, e.lines(.5, 3), nil).rate(); math.Abs(all-.06125) > .01 {
		t.Errorf("all fails %v, in deployment .06125", all)
	}
}

// Strata are added up by what their rows are worth; equal weights are worth every
// row, whatever they are.
func TestPool(t *testing.T) {
	for name, test := range map[string]struct {
		strata   []stratum
		discount []float64
		n, k     float64
	}{
		"nothing":          {[]stratum{{}}, []float64{1}, 0, 0},
		"plain":            {[]stratum{{100, 7, 100}}, []float64{1}, 100, 7},
		"equal weights":    {[]stratum{{10, .7, 1}}, []float64{1}, 100, 7},
		"an older version": {[]stratum{{100, 7, 100}, {100, 20, 100}}, []float64{1, .5}, 150, 17},
		"out of window":    {[]stratum{{100, 7, 100}, {100, 20, 100}}, []float64{1, 0}, 100, 7},
		// One row of weight 1 among a hundred of .01: two are worth as much as four.
		"unequal weights": {[]stratum{{2, 1, 1.01}}, []float64{1}, 4 / 1.01, 2 / 1.01},
	} {
		if n, k := pool(test.strata, test.discount); !near(n, test.n) || !near(k, test.k) {
			t.Errorf("%s: %v rows, %v failures; want %v, %v", name, n, k, test.n, test.k)
		}
	}
}
