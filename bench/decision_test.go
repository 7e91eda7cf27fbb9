package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"hone/loop"
)

func small(t *testing.T) *options {
	t.Helper()
	return &options{log: io.Discard, first: 7, seeds: 2, rounds: 3, long: 4, samples: 200, small: 50, evaluation: 400, steps: 4, arms: 2,
		worlds: worldNames(), strategies: []string{loop.StrategyHone}, store: filepath.Join(t.TempDir(), "campaigns.jsonl")}
}

// TestCampaigns: equal settings give equal results (I4), although campaigns run
// side by side; what stands in the store is not run again.
func TestCampaigns(t *testing.T) {
	o := small(t)
	o.seeds = 1
	wanted := o.sampled()
	if len(wanted) != 2*4 {
		t.Fatalf("%d campaigns, want hone and uniform, planted and null, in two worlds", len(wanted))
	}
	first, err := o.campaigns(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range first {
		rounds := 3
		if c.Strategy == loop.StrategyUniform && !c.Null {
			rounds = 4 // nothing learns this fast
		}
		if len(c.Points) != rounds {
			t.Errorf("%s: %d rounds, want %d", c.title(), len(c.Points), rounds)
		}
		last := c.last()
		if last.Samples < 590 || last.Samples > 600 || last.Rows < 1150 || len(last.Slices) != 4 {
			t.Errorf("%s ends with %+v, want 600 samples, or just less where some were abandoned", c.title(), last)
		}
		if c.Strategy == loop.StrategyUniform && (c.Noise < .02 || c.Noise > .06 || c.moved() != 0) {
			t.Errorf("%s: %.3f spent on the unlearnable slice, want about .04; moved %v", c.title(), c.Noise, c.moved())
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	again, err := o.campaigns(ctx, wanted)
	if err != nil {
		t.Fatalf("what is stored was run again: %v", err)
	}
	o.store = filepath.Join(t.TempDir(), "anew.jsonl")
	if _, err := o.campaigns(ctx, wanted); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run ended with %v", err)
	}
	anew, err := o.campaigns(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		first[i].Seconds, again[i].Seconds, anew[i].Seconds = 0, 0, 0
		a, b, c := line(t, first[i]), line(t, again[i]), line(t, anew[i])
		if !bytes.Equal(a, b) || !bytes.Equal(a, c) {
			t.Errorf("two runs of %s differ:\n%s\n%s\n%s", first[i].title(), a, b, c)
		}
	}
}

// TestGrowing: rounds grow from a small first one to the same samples, those after
// them are as large as even ones, and each is held against both uniforms.
func TestGrowing(t *testing.T) {
	o := small(t)
	o.seeds, o.worlds = 1, []string{"nose"}
	measures, err := growing{}.run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	campaigns, err := o.campaigns(t.Context(), o.grown())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range campaigns {
		want := []int{50, 193, 600, 800} // 50, 143 and 407, and an even one
		if c.First == 0 {
			want = []int{200, 400, 600, 800}
		}
		for i, p := range c.Points {
			if p.Samples > want[i] || p.Samples < want[i]-10 {
				t.Errorf("%s: %d samples after round %d, want %d, or just less where some were abandoned", c.title(), p.Samples, i+1, want[i])
			}
		}
	}
	names := map[string]bool{}
	for i := range measures {
		names[measures[i].Name] = measures[i].Met != nil
	}
	for name, goal := range map[string]bool{"growing/nose/hone/to-mark": true, "growing/nose/hone-against-even/to-mark": false, "growing/nose-null/hone/mean-lost": true} {
		if got, ok := names[name]; !ok || got != goal {
			t.Errorf("%s: there %v, with a goal %v, want one %v", name, ok, got, goal)
		}
	}
}

func line(t *testing.T, c *campaign) []byte {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestComparison works out the figures of two seeds by hand.
func TestComparison(t *testing.T) {
	arm := func(strategy string, mean, noise float64, worst ...float64) *campaign {
		c := &campaign{settings: settings{Strategy: strategy, Rounds: 2}, Noise: noise}
		for i, w := range worst {
			c.Points = append(c.Points, point{Samples: 100 * (i + 1), Rows: 200 * (i + 1), Mean: mean, Slices: []float64{.9, w}})
		}
		return c
	}
	c := comparison{seeds: []uint64{0, 1}, natural: .02, goals: true,
		with:    []*campaign{arm("hone", .94, .03, .4, .6), arm("hone", .95, .05, .3, .8)},
		uniform: []*campaign{arm("uniform", .95, .02, .1, .2, .3, .5), arm("uniform", .95, .02, .1, .2, .3, .3)}}
	for i, want := range []struct{ value, ratio float64 }{
		{.7, 3.5}, {.5, 0}, {.04, 2}, {150, .353553}, {450, 1.06066},
	} {
		m := c.measures()[i]
		ratio := 0.0
		if m.Ratio != nil {
			ratio = *m.Ratio
		}
		if !near(m.Value, want.value) || !near(ratio, want.ratio) {
			t.Errorf("%s: value %v, ratio %v, want %v", m.Name, m.Value, ratio, want)
		}
	}
}

func near(got, want float64) bool { return got > want-1e-5 && got < want+1e-5 }

func TestInterval(t *testing.T) {
	// The t quantile of 2 degrees of freedom is 4.30265, the standard error .57735.
	mean, lower, upper := interval([]float64{2, 3, 4})
	if !near(mean, 3) || !near(lower, .515865) || !near(upper, 5.484135) {
		t.Errorf("interval %v, %v to %v", mean, lower, upper)
	}
	if m := (measure{Value: 1}).within(interval1([]float64{1})); m.Lower != nil {
		t.Error("one value has an interval")
	}
}

func interval1(values []float64) (lower, upper float64) {
	_, lower, upper = interval(values)
	return lower, upper
}

// TestOscillation: a mixture that goes on has none, one that comes back is all
// oscillation.
func TestOscillation(t *testing.T) {
	path := func(turn float64) *campaign {
		return &campaign{Points: []point{{}, {Move: .1}, {Move: .1, Turn: turn}, {Move: .1, Turn: turn}}}
	}
	if got := path(.2).oscillation(); !near(got, 0) {
		t.Errorf("straight on: %v", got)
	}
	if got := path(0).oscillation(); got != 1 {
		t.Errorf("back and forth: %v", got)
	}
	if got := (&campaign{Points: []point{{}, {}, {}}}).oscillation(); got != 0 {
		t.Errorf("at rest: %v", got)
	}
}
