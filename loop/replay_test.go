package loop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func replayedRound() Round {
	return Round{Campaign: "c", Number: 2, Strategy: StrategyHone, Notes: []string{"one", "two"}, Components: []Component{
		{Domain: Train, Over: OverBase, Share: whole / 2, Quota: 50},
		{Domain: Train, Number: 1, Over: OverBase, Slice: Slice{{Factor: 0, Level: 1}}, Share: whole / 4, Quota: 25, Reason: &Reason{Sentence: strings.Repeat("ä", 100)}},
		{Domain: Train, Number: 2, Over: OverBase, Slice: Slice{{Factor: 1, Level: 0}}, Share: whole / 4, Quota: 25},
		{Domain: Evaluation, Over: OverTarget, Share: whole, Quota: 10, Source: SourceTarget},
	}}
}

// I4: what differs is named by its place, with both values.
func TestDifferences(t *testing.T) {
	r := replayedRound()
	for name, x := range map[string]struct {
		change   func(*Round)
		fields   []string
		distance float64
	}{
		"nothing": {func(*Round) {}, nil, 0},
		"a share": {func(o *Round) { o.Components[1].Share += 1 << 28 }, []string{"components[1].share"}, 1. / 16},
		"another slice": {func(o *Round) { o.Components[2].Slice = Slice{{Factor: 1, Level: 1}} },
			[]string{"components[2].slice[0].level"}, 1. / 4},
		"a component more": {func(o *Round) { o.Components = append(o.Components, Component{Domain: Evaluation, Number: 1}) },
			[]string{"components[4]"}, 0},
		"a note less":      {func(o *Round) { o.Notes = o.Notes[:1] }, []string{"notes[1]"}, 0},
		"no notes":         {func(o *Round) { o.Notes = nil }, []string{"notes"}, 0},
		"a kind":           {func(o *Round) { o.Curriculum = []Marginal{{whole}} }, []string{"curriculum"}, 0},
		"order of numbers": {func(o *Round) { o.Step, o.KL = .5, .25 }, []string{"kl", "step"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			other := replayedRound()
			x.change(&other)
			var fields []string
			for _, d := range r.Differences(&other, 9) {
				fields = append(fields, d.Field)
				if d.Was == d.Is || len(d.Was) > maxDifference+len("…") || !json.Valid([]byte(`"`+strings.ReplaceAll(d.Was, `"`, "")+`"`)) {
					t.Errorf("%+v", d)
				}
			}
			if !slices.Equal(fields, x.fields) {
				t.Errorf("differs in %v, want %v", fields, x.fields)
			}
			if got := r.ShareDistance(&other); got != x.distance || other.ShareDistance(&r) != got {
				t.Errorf("shares differ by %v, want %v", got, x.distance)
			}
			if len(x.fields) > 1 && len(r.Differences(&other, 1)) != 1 {
				t.Error("more than the limit")
			}
		})
	}
}

// There are differences exactly where the bytes differ.
func TestDifferencesAreTheBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Round {
			r := replayedRound()
			r.Components[0].Share = rapid.Uint64Range(whole-2, whole).Draw(t, name+" share")
			r.KL = rapid.SampledFrom([]float64{0, 1e-9, 1e21}).Draw(t, name+" kl")
			r.Notes = r.Notes[:rapid.IntRange(0, 2).Draw(t, name+" notes")]
			return r
		}
		a, b := draw("a"), draw("b")
		if same := a.Digest() == b.Digest(); same != (len(a.Differences(&b, 9)) == 0) {
			t.Fatalf("equal bytes: %v, differences %v", same, a.Differences(&b, 9))
		}
	})
}

// The budget of a round from before it was kept follows from the round.
func TestBudgetOf(t *testing.T) {
	r := replayedRound()
	c := Campaign{Name: "c", Samples: 1000, Rounds: 10, QuotaBy: "shape", Evaluation: EvaluationPlan{Target: 10}}
	d := DecidedRound{Round: r}
	if b := d.BudgetOf(&c); b.Train != 100 || b.Number != 2 || b.Campaign != "c" || b.QuotaBy != "shape" || b.Evaluation.Target != 10 {
		t.Errorf("%+v", b)
	}
	d.Budget = &Budget{Train: 7}
	if b := d.BudgetOf(&c); b.Train != 7 || b.Number != 0 {
		t.Errorf("%+v", b)
	}
}
