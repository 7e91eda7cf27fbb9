package loop

import (
	"math/rand/v2"
	"testing"
)

// The interval of a rate, and of a difference of two, holds the truth in 95 % of
// runs, also where rows of a group fail together.
func TestGroupedRateCoverage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 9))
	for _, x := range []struct {
		groups, size int
		p            float64
	}{{400, 1, .1}, {100, 10, .3}, {300, 3, .05}, {60, 40, .5}} {
		sample := func(p float64) Interval {
			var g Grouped
			for range x.groups {
				n, k := float64(1+random.IntN(x.size)), 0.0
				together := random.Float64() < p
				for range int(n) {
					if fails := random.Float64() < p; random.Float64() < .3 && together || fails {
						k++
					}
				}
				g.Groups++
				g.N, g.K, g.NN, g.NK, g.KK = g.N+n, g.K+k, g.NN+n*n, g.NK+n*k, g.KK+k*k
			}
			return g.Rate()
		}
		// A row fails with its group in 3 of 10 cases, or by itself.
		truth := func(p float64) float64 { return .3*p + p - .3*p*p }
		const runs = 500
		held, difference := 0, 0
		for range runs {
			one, other := sample(x.p), sample(x.p/2)
			if one.Lower <= truth(x.p) && truth(x.p) <= one.Upper {
				held++
			}
			if d, want := one.Above(other), truth(x.p)-truth(x.p/2); d.Lower <= want && want <= d.Upper {
				difference++
			}
		}
		if held < 465 || held > 490 || difference < 465 || difference > 490 {
			t.Errorf("%d groups of up to %d rows that fail %v: %d of %d intervals hold the truth, and %d of differences", x.groups, x.size, x.p, held, runs, difference)
		}
	}
	if (Grouped{}).Rate() != (Interval{Upper: 1}) {
		t.Error("no row says something")
	}
}
