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
			repetitions := 80
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
			if float64(some) > .16*float64(repetitions) {
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
	for name, planted := range map[string]Slice{"whole clips": {{Factor: 0, Level: 1}, {Factor: 1, Level: 1}}, "both": {{Factor: 1, Level: 1}, {Factor: 4, Level: 1}}, "frames": {{Factor: 4, Level: 1}, {Factor: 5, Level: 1}}} {
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

// Where what fails has been shuffled, nothing is found: neither with failures,
// rare or frequent, nor with losses of a heavy tail, nor with many ties.
func TestShuffledErrorsAreNotSlices(t *testing.T) {
	for name, draw := range map[string]func(rng *rand.Rand) float64{
		"failures":        func(rng *rand.Rand) float64 { return bernoulli(rng, .06) },
		"rare failures":   func(rng *rand.Rand) float64 { return bernoulli(rng, .003) },
		"many failures":   func(rng *rand.Rand) float64 { return bernoulli(rng, .6) },
		"lognormal loss":  func(rng *rand.Rand) float64 { return math.Exp(2 * rng.NormFloat64()) },
		"Pareto loss":     func(rng *rand.Rand) float64 { return math.Pow(rng.Float64(), -1/1.1) },
		"loss mostly 0":   func(rng *rand.Rand) float64 { return bernoulli(rng, .05) * rng.ExpFloat64() },
		"loss in [0.9,1]": func(rng *rand.Rand) float64 { return .9 + .1*rng.Float64() },
	} {
		t.Run(name, func(t *testing.T) {
			repetitions := 40
			if testing.Short() {
				repetitions = 12
			}
			some := 0
			for seed := range uint64(repetitions) {
				rng := rand.New(rand.NewPCG(seed, 3))
				r := clips(rng, 4000, 1, 8, 5, func([]Code, float64) float64 { return draw(rng) })
				r.Group = nil
				s, err := r.Survey(DefaultSearch())
				if err != nil {
					t.Fatal(err)
				}
				if len(s.Findings) > 0 {
					some++
				}
			}
			t.Logf("%s: %d of %d surveys found something", name, some, repetitions)
			if float64(some) > .16*float64(repetitions) {
				t.Errorf("%d of %d surveys of nothing found something", some, repetitions)
			}
		})
	}
}

// What a survey says that its rows suffice to show, they show, about as often as
// it says; and half of it in as many more rows as it says.
func TestDetectableSlicesAreDetected(t *testing.T) {
	const rate, levels = .05, 40
	// A factor of one planted level, of so many rows, among others.
	plant := func(rng *rand.Rand, rows, inside int, lift float64) *Rows {
		r := clips(rng, rows, 1, 6, 5, func([]Code, float64) float64 { return bernoulli(rng, rate) })
		r.Group = nil
		factor := Factor{Name: "planted"}
		for l := range levels {
			factor.Levels = append(factor.Levels, Level{Name: fmt.Sprint(l)})
		}
		r.Space.Factors = append(r.Space.Factors, factor)
		column := make([]Code, rows)
		for i := range column {
			if column[i] = Code(1 + rng.IntN(levels-1)); i < inside {
				column[i] = 0
				r.Error[i] = bernoulli(rng, lift*rate)
			}
		}
		r.Codes = append(r.Codes, column)
		return r
	}
	const rows = 10_000
	s, err := plant(rand.New(rand.NewPCG(1, 1)), rows, 0, 1).Survey(DefaultSearch())
	if err != nil || len(s.Detectable) != 2 || s.More < rows || s.More > 2*rows {
		t.Fatalf("%v: %+v", err, s)
	}
	for _, d := range s.Detectable {
		for _, test := range []struct{ rows, inside int }{{rows, d.Rows}, {rows + s.More, d.Rows}} {
			const repetitions = 40
			found := 0
			for seed := range uint64(repetitions) {
				r := plant(rand.New(rand.NewPCG(seed, 5)), test.rows, test.inside, d.Lift)
				s, err := r.Survey(DefaultSearch())
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Slice.Level(6) == 0 }) {
					found++
				}
			}
			t.Logf("lift %v, %d of %d rows: found in %d of %d", d.Lift, test.inside, test.rows, found, repetitions)
			if float64(found) < .6*repetitions {
				t.Errorf("lift %v, %d of %d rows: found in %d of %d", d.Lift, test.inside, test.rows, found, repetitions)
			}
		}
	}
}

// The interval of a slice's rate holds the rate, groups or not, in about 95 of
// 100 draws.
func TestIntervalsCover(t *testing.T) {
	rate := betaRate(.2, .1)
	inside, outside := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		r := clips(rng, 200, 20, 4, 4, func(_ []Code, clip float64) float64 { return bernoulli(rng, rate(clip)) })
		counted, err := r.Count(DefaultSearch())
		if err != nil {
			t.Fatal(err)
		}
		counted.Survey()
		s := Survey{Rows: len(r.Error), highest: 199, Correlation: .1}
		for f := range 4 {
			for l := range 3 {
				found := counted.finding(&s, &cell{slice: Slice{{Factor: f, Level: l}}})
				if found.Lower <= .2 && .2 <= found.Upper {
					inside++
				} else {
					outside++
				}
			}
		}
	}
	if part := float64(inside) / float64(inside+outside); part < .92 || part > .99 {
		t.Errorf("%.3f of the intervals hold the rate", part)
	}
}

// The ends of the scale: no rows, no failures, nothing else, one row, one factor
// that is never known, no factor at all.
func TestSurveyAtTheExtremes(t *testing.T) {
	space := &Space{Factors: []Factor{factor("f", "a", .5, "b", .5)}}
	column := func(n int, code Code) [][]Code { return [][]Code{slices.Repeat([]Code{code}, n)} }
	for name, r := range map[string]*Rows{
		"no rows":         {Space: space, Codes: [][]Code{nil}},
		"no factor":       {Space: &Space{}, Error: []float64{0, 1, 0}},
		"no failures":     {Space: space, Codes: column(50, 0), Error: make([]float64, 50)},
		"nothing else":    {Space: space, Codes: column(50, 0), Error: slices.Repeat([]float64{1}, 50)},
		"one row":         {Space: space, Codes: column(1, 0), Error: []float64{1}},
		"never known":     {Space: space, Codes: column(50, Unknown), Error: append(make([]float64, 49), 1)},
		"one group":       {Space: space, Codes: column(50, 0), Error: append(make([]float64, 40), 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), Group: make([]uint32, 50)},
		"equal losses":    {Space: space, Codes: column(50, 0), Error: slices.Repeat([]float64{2.5}, 50)},
		"one tiny loss":   {Space: space, Codes: column(50, 0), Error: append(make([]float64, 49), math.SmallestNonzeroFloat64)},
		"one huge loss":   {Space: space, Codes: column(50, 0), Error: append(make([]float64, 49), math.MaxFloat64)},
		"groups of one":   {Space: space, Codes: column(3, 0), Error: []float64{0, 1, 0}, Group: []uint32{2, 0, 1}},
		"two whole clips": {Space: space, Codes: column(4, 0), Error: []float64{1, 1, 0, 0}, Group: []uint32{1, 1, 0, 0}},
	} {
		s, err := r.Survey(DefaultSearch())
		if err != nil || len(s.Findings) > 0 {
			t.Errorf("%s: %v, %+v", name, err, s)
		}
		r.Unfit()
		r.Draft()
	}
	bad := DefaultSearch()
	bad.Order = MaxOrder + 1
	for name, test := range map[string]struct {
		rows   Rows
		search Search
	}{
		"NaN":      {Rows{Space: space, Codes: column(1, 0), Error: []float64{math.NaN()}}, DefaultSearch()},
		"negative": {Rows{Space: space, Codes: column(1, 0), Error: []float64{-1}}, DefaultSearch()},
		"group":    {Rows{Space: space, Codes: column(1, 0), Error: []float64{1}, Group: []uint32{1}}, DefaultSearch()},
		"order":    {Rows{Space: space}, bad},
	} {
		if s, err := test.rows.Survey(test.search); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// A score that tells failures by itself is no condition, and a column in other
// words no second one.
func TestUnfitFactors(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	r := clips(rng, 2000, 1, 4, 3, func(codes []Code, _ float64) float64 {
		return bernoulli(rng, []float64{.05, .3, .05}[codes[0]])
	})
	for i, e := range r.Error {
		r.Codes[1][i] = Code(e)                 // the outcome
		r.Codes[3][i] = (r.Codes[2][i] + 1) % 3 // the third one by other names
	}
	unfit := r.Unfit()
	if len(unfit) != 2 || unfit[1] == "" || unfit[3] != "it says the same as f2" {
		t.Errorf("%v", unfit)
	}
	rest := r.Without(unfit)
	if len(rest.Codes) != 2 || rest.Space.Factors[1].Name != "f2" || len(r.Space.Factors) != 4 {
		t.Errorf("%d columns, %+v", len(rest.Codes), rest.Space.Factors)
	}
	s, err := rest.Survey(DefaultSearch())
	if err != nil || len(s.Findings) != 1 || !s.Findings[0].Slice.Equal(Slice{{Factor: 0, Level: 1}}) {
		t.Errorf("%v: %+v", err, s.Findings)
	}
}
