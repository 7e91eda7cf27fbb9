package loop

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// independent makes rows of so many factors, of so many levels of unequal shares,
// that have nothing to do with each other.
func independent(rng *rand.Rand, rows, factors, levels int) *Rows {
	r := &Rows{Space: &Space{}, Error: make([]float64, rows), Codes: make([][]Code, factors)}
	for f := range factors {
		factor := Factor{Kind: Categorical}
		for range levels {
			factor.Levels = append(factor.Levels, Level{})
		}
		r.Space.Factors = append(r.Space.Factors, factor)
		for range rows {
			r.Codes[f] = append(r.Codes[f], Code(float64(levels)*math.Pow(rng.Float64(), 1.5)))
		}
	}
	return r
}

// Factors that are independent stay so, whatever their number of levels, with few
// rows as with many; also in clips whose frames are all alike.
func TestTreeOfIndependentFactors(t *testing.T) {
	for _, c := range []struct{ rows, levels, frames int }{{200, 20, 1}, {1000, 20, 1}, {5000, 20, 1}, {1000, 5, 1}, {10_000, 3, 1}, {300, 2, 1}, {4000, 6, 40}, {8000, 4, 10}} {
		found := 0
		for seed := range uint64(10) {
			rng := rand.New(rand.NewPCG(seed, 1))
			r := independent(rng, c.rows, 12, c.levels)
			if c.frames > 1 {
				for i := range r.Error {
					r.Group = append(r.Group, uint32(i/c.frames))
					for f := range r.Codes {
						r.Codes[f][i] = r.Codes[f][i/c.frames*c.frames]
					}
				}
			}
			draft := r.Draft()
			tree, order := r.Tree(&draft)
			for f, d := range tree {
				if d != nil {
					found++
				}
				if order[f] != f {
					t.Errorf("%+v: order %v", c, order)
				}
			}
		}
		if found > 1 { // in 10 tables of 66 pairs, with odds of .01 each
			t.Errorf("%+v: %d dependences in 10 tables without any", c, found)
		}
	}
}

// A tree is found again, with its tables; a factor that is conditional depends on
// what is there wherever it is; an unknown value says nothing.
func TestTreeIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	r := independent(rng, 20_000, 7, 4)
	// 0 ─ 3 ─ 2, 3 ─ 5 with half of its values unknown; 6 is there where 2 is 1 or 3,
	// and goes with 0; 1 and 4 stand for themselves.
	follow := func(child, parent Code) Code {
		if rng.IntN(2) == 0 {
			return parent
		}
		return child
	}
	for i := range r.Error {
		r.Codes[3][i] = follow(r.Codes[3][i], r.Codes[0][i])
		r.Codes[2][i] = follow(r.Codes[2][i], r.Codes[3][i])
		r.Codes[5][i] = follow(r.Codes[5][i], r.Codes[3][i])
		r.Codes[6][i] = follow(r.Codes[6][i], r.Codes[0][i])
		if rng.IntN(2) == 0 {
			r.Codes[5][i] = Unknown
		}
		if r.Codes[2][i]%2 == 0 {
			r.Codes[6][i] = Unknown
		}
	}
	draft := r.Draft()
	if w := draft.When[6]; w == nil || w.Factor != 2 {
		t.Fatalf("condition %+v", w)
	}
	tree, order := r.Tree(&draft)
	for f, on := range []int{-1, -1, 3, 0, -1, 3, 0} {
		if (tree[f] == nil) != (on < 0) || on >= 0 && tree[f].On != on {
			t.Errorf("factor %d: %+v, want it to depend on %d", f, tree[f], on)
		}
	}
	if want := []int{0, 1, 3, 2, 4, 5, 6}; !equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	// p(3 = l | 0 = l) is half, and half of what 3 has by itself.
	for l, row := range tree[3].Rows {
		alone := math.Pow(float64(l+1)/4, 1/1.5) - math.Pow(float64(l)/4, 1/1.5)
		if want := .5 + .5*alone; math.Abs(row[l]-want) > .03 {
			t.Errorf("level %d goes with itself in %v, want %v", l, row[l], want)
		}
	}
	if d := tree[5]; d.Counted > 10_500 || d.Counted < 9_500 || d.Information < .05 {
		t.Errorf("%+v", d)
	}
}

func equal(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// Whatever the rows, the tree is one: every factor after what it depends on, rows
// that sum to one, and a space with them is valid.
func TestTreeMakesASpace(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		for f := 1; f < len(r.Codes); f++ {
			if on := rapid.IntRange(0, f).Draw(t, "follows"); on < f {
				for i, code := range r.Codes[on] {
					if code.IsLevel() && i%8 > 0 {
						r.Codes[f][i] = code % Code(len(r.Space.Factors[f].Levels))
					}
				}
			}
		}
		draft := r.Draft()
		tree, order := r.Tree(&draft)
		place := make([]int, len(order))
		for i, f := range order {
			place[f] = i
		}
		s := &Space{Name: "fitted", Factors: make([]Factor, len(order))}
		for f, at := range place {
			factor := Factor{Name: "f" + string(rune('a'+f)), Kind: Categorical}
			shares := r.Shares(f)
			for l := range r.Space.Factors[f].Levels {
				level := Level{Name: "l" + string(rune('a'+l)), Target: 1 / float64(len(r.Space.Factors[f].Levels))}
				if tree[f] != nil {
					level.Target = 0
				} else if shares != nil {
					level.Target = shares[l]
				}
				factor.Levels = append(factor.Levels, level)
			}
			if when := draft.When[f]; when != nil {
				factor.When = &LevelSet{place[when.Factor], when.Levels}
			}
			if d := tree[f]; d != nil {
				found++
				factor.Given = &Given{Factor: place[d.On]}
				for _, row := range d.Rows {
					if row == nil {
						factor.Given.Of = append(factor.Given.Of, None)
						continue
					}
					factor.Given.Of = append(factor.Given.Of, len(factor.Given.Rows))
					factor.Given.Rows = append(factor.Given.Rows, row)
				}
			}
			s.Factors[at] = factor
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("%v\n%+v", err, s)
		}
	})
	if found == 0 {
		t.Error("nothing depends on anything in any rows")
	}
}
