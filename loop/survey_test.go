package loop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mathext"
)

// clips draws rows in groups, as frames come in clips. The first half of the
// factors is constant within a clip, the others vary by frame; levels are of
// falling frequency. The error of a row is drawn given its codes and a number of
// its clip's.
func clips(rng *rand.Rand, groups, size, factors, levels int, draw func(codes []Code, clip float64) float64) *Rows {
	r := &Rows{Space: &Space{Name: "clips"}, Codes: make([][]Code, factors)}
	for f := range factors {
		factor := Factor{Name: fmt.Sprint("f", f), Kind: Categorical}
		for l := range levels {
			factor.Levels = append(factor.Levels, Level{Name: fmt.Sprint("l", l)})
		}
		r.Space.Factors = append(r.Space.Factors, factor)
	}
	codes := make([]Code, factors)
	for g := range groups {
		clip := rng.Float64()
		for i := range size {
			for f := range factors {
				if i == 0 || f >= factors/2 {
					codes[f] = Code(min(rng.IntN(levels), rng.IntN(levels)))
				}
				r.Codes[f] = append(r.Codes[f], codes[f])
			}
			r.Error, r.Group = append(r.Error, draw(codes, clip)), append(r.Group, uint32(g))
		}
	}
	return r
}

// betaRate is the failure rate of a clip, of which a part of u of all clips have
// a lower one: beta-distributed, so that rows of a clip correlate by rho.
func betaRate(mean, rho float64) func(u float64) float64 {
	a, b := mean*(1-rho)/rho, (1-mean)*(1-rho)/rho
	table := make([]float64, 2000)
	for i := range table {
		table[i] = mathext.InvRegIncBeta(a, b, (float64(i)+.5)/float64(len(table)))
	}
	return func(u float64) float64 { return table[int(u*float64(len(table)))] }
}

func bernoulli(rng *rand.Rand, p float64) float64 {
	if rng.Float64() < p {
		return 1
	}
	return 0
}

// Rows of a group are not independent: where no factor has anything to do with
// failures, whole clips that fail are no slices. One that takes the rows for
// independent finds many.
func TestClipsAreNotSlices(t *testing.T) {
	beta05, beta2, rare2 := betaRate(.1, .05), betaRate(.1, .2), betaRate(.03, .2)
	for name, rate := range map[string]func(u float64) float64{
		"correlation .05":        beta05,
		"correlation .2":         beta2,
		"rare failures":          rare2,
		"one clip in twenty bad": func(u float64) float64 { return .04 + .76*math.Floor(1.05-u) },
	} {
		t.Run(name, func(t *testing.T) {
			repetitions := 40
			if testing.Short() {
				repetitions = 10
			}
			some, naive := 0, 0
			for seed := range uint64(repetitions) {
				rng := rand.New(rand.NewPCG(seed, 1))
				r := clips(rng, 200, 40, 8, 5, func(_ []Code, clip float64) float64 { return bernoulli(rng, rate(clip)) })
				s, err := r.Survey(DefaultSearch())
				if err != nil {
					t.Fatal(err)
				}
				if s.Groups != 200 || s.Correlation < .02 {
					t.Fatalf("%d groups, correlation %v", s.Groups, s.Correlation)
				}
				if len(s.Findings) > 0 {
					some++
				}
				if seed < 5 {
					r.Group = nil
					s, err := r.Survey(DefaultSearch())
					if err != nil {
						t.Fatal(err)
					}
					naive += len(s.Findings)
				}
			}
			t.Logf("%d of %d surveys found something; taking rows for independent finds %.1f slices each", some, repetitions, float64(naive)/5)
			if float64(some) > .1*float64(repetitions) {
				t.Errorf("%d of %d surveys of nothing found something", some, repetitions)
			}
			if naive == 0 {
				t.Error("the rows are too tame: nothing is found though groups are ignored")
			}
		})
	}
}

// Slices that are there are found, whether a clip lies in them as a whole or with
// some of its frames.
func TestSlicesOfClipsAreFound(t *testing.T) {
	rate := betaRate(.06, .05)
	for name, planted := range map[string]Slice{"whole clips": {{0, 1}, {1, 1}}, "both": {{1, 1}, {4, 1}}, "frames": {{4, 1}, {5, 1}}} {
		t.Run(name, func(t *testing.T) {
			const repetitions = 10
			found := 0
			for seed := range uint64(repetitions) {
				rng := rand.New(rand.NewPCG(seed, 7))
				r := clips(rng, 200, 40, 8, 5, func(codes []Code, clip float64) float64 {
					p := rate(clip)
					if planted.Matches(codes) {
						p *= 5
					}
					return bernoulli(rng, p)
				})
				s, err := r.Survey(DefaultSearch())
				if err != nil {
					t.Fatal(err)
				}
				at := slices.IndexFunc(s.Findings, func(f Finding) bool { return f.Slice.Equal(planted) })
				if at < 0 {
					continue
				}
				found++
				f := s.Findings[at]
				if !(f.Effective < float64(f.Rows)) || !(f.Lower < f.Rate && f.Rate < f.Upper) || f.Lift < 2 || f.Q > .05 {
					t.Errorf("%+v", f)
				}
			}
			t.Logf("found in %d of %d", found, repetitions)
			if found < 7 {
				t.Errorf("found in %d of %d", found, repetitions)
			}
		})
	}
}
