package loop

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A factor that has a value only where another has certain levels is conditional
// on it, and stands behind it; one that is missing at random is not.
func TestDraftFindsConditions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	r := clips(rng, 4000, 1, 5, 4, func([]Code, float64) float64 { return 0 })
	for i := range r.Error {
		if child, parent := &r.Codes[0][i], r.Codes[3][i]; parent == 0 || parent == 2 {
			*child = Unknown
		}
		if rng.IntN(4) == 0 {
			r.Codes[1][i] = Unknown
		}
		r.Codes[4][i] = (r.Codes[2][i] + Code(rng.IntN(2))) % 4 // goes with the third
	}
	d := r.Draft()
	if w := d.When[0]; w == nil || w.Factor != 3 || !slices.Equal(w.Levels, []int{1, 3}) {
		t.Errorf("condition %+v", d.When[0])
	}
	if d.When[1] != nil || math.Abs(d.Unknown[1]-.25) > .03 || d.Unknown[2] != 0 {
		t.Errorf("%+v, unknown %v", d.When[1], d.Unknown)
	}
	if slices.Index(d.Order, 0) < slices.Index(d.Order, 3) || len(d.Order) != 5 {
		t.Errorf("order %v", d.Order)
	}
	if len(d.Associations) != 1 || d.Associations[0].A != 2 || d.Associations[0].B != 4 || d.Associations[0].Strength < .5 {
		t.Errorf("associations %+v", d.Associations)
	}
	// Of the third's level 0 the fifth is 0 or 1, never 2 or 3.
	if len(d.Gaps) == 0 || !slices.ContainsFunc(d.Gaps, func(g Gap) bool { return g.Slice.Equal(Slice{{Factor: 2, Level: 0}, {Factor: 4, Level: 3}}) }) {
		t.Errorf("gaps %+v", d.Gaps)
	}
	for _, g := range d.Gaps {
		if g.Slice[0].Factor != 2 || g.Slice[1].Factor != 4 || g.Expected < leastExpected {
			t.Errorf("gap %+v", g)
		}
	}
}

// Shares are those of the rows to a millionth, and sum to one exactly enough for
// a space.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		for f := range r.Codes {
			levels := len(r.Space.Factors[f].Levels)
			counts, known := make([]float64, levels), 0.0
			for _, code := range r.Codes[f] {
				if code.IsLevel() {
					counts[code]++
					known++
				}
			}
			shares := r.Shares(f)
			if known == 0 {
				if shares != nil {
					t.Fatalf("shares %v of nothing", shares)
				}
				continue
			}
			sum := 0.0
			for l, share := range shares {
				sum += share
				if math.Abs(share-counts[l]/known) > 1e-6 {
					t.Fatalf("share %v of %v in %v", share, counts[l], known)
				}
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Fatalf("shares sum to %v", sum)
			}
		}
	})
}

// So many factors that conjunctions of four would take minutes are searched for
// triples.
func TestWideTablesAreSearchedForFewerConditions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 8))
	r := clips(rng, 300, 1, 130, 6, func(codes []Code, _ float64) float64 { return bernoulli(rng, .02+.6*float64(codes[7]/4)) })
	r.Group = nil
	search := DefaultSearch()
	search.Order = 4
	s, err := r.Survey(search)
	if err != nil || s.Order != 3 || len(s.Findings) == 0 {
		t.Errorf("%v: order %d, %+v", err, s.Order, s.Findings)
	}
}
