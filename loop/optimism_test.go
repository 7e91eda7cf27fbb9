package loop

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Rows that chose a mixture's slices flatter it. What is estimated of it all the
// same holds the truth, where an estimate that knows nothing of that does not; so
// does the difference from another mixture.
func TestYieldOfWhatTheRowsChose(t *testing.T) {
	s := skewed(5)
	bad := []Slice{{{Factor: 0, Level: 3}, {Factor: 1, Level: 2}}, {{Factor: 2, Level: 3}, {Factor: 3, Level: 2}}, {{Factor: 4, Level: 3}}}
	g := ground{space: s, made: mixtureOf(t, s, .2), fails: func(codes []Code) float64 {
		for _, slice := range bad {
			if slice.Matches(codes) {
				return .4
			}
		}
		return .1
	}}
	random := rand.New(rand.NewPCG(3, 4))
	p := policy()
	p.MinimumRows = 500
	const runs = 150
	var held, naive, difference, bias, flattered float64
	for range runs {
		e := g.rows(t, random, 800, 800, 0)
		chain := Chain{Space: s, Policy: p, Seed: 7}
		rounds, err := chain.Decide(e.Views(), Budget{Campaign: "c", Number: 1, Train: 1500})
		if err != nil {
			t.Fatal(err)
		}
		mixtures, err := NewSimulation(s).samplers(rounds)
		if err != nil {
			t.Fatal(err)
		}
		o, err := NewOffPolicy(s, e, []*Sampler{g.made})
		if err != nil {
			t.Fatal(err)
		}
		y, err := o.Yield(0, mixtures[0], mixtures[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := o.Yield(0, mixtures[0])
		if err != nil {
			t.Fatal(err)
		}
		made, err := o.Yield(0, g.made)
		if err != nil {
			t.Fatal(err)
		}
		truth := expect(s, mixtures[0].Density, g.fails)
		before := expect(s, g.made.Density, g.fails)
		count := func(in *float64, of Interval, truth float64) {
			if of.Lower <= truth && truth <= of.Upper {
				*in += 1. / runs
			}
		}
		count(&held, y.Rate, truth)
		count(&naive, plain.Rate, truth)
		count(&difference, y.Above(made), truth-before)
		bias += (y.Rate.Expected - truth) / runs
		flattered += (plain.Rate.Expected - truth) / runs
	}
	t.Logf("held %.3f, difference %.3f, bias %+.4f; uncorrected %.3f, %+.4f", held, difference, bias, naive, flattered)
	if held < .9 || difference < .9 || math.Abs(bias) > flattered/3 {
		t.Errorf("the 95%% interval of a yield holds the truth in %.1f%% of runs, of a difference in %.1f%%; the bias is %.4f, and %.4f without a correction",
			100*held, 100*difference, bias, flattered)
	}
}
