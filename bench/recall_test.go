package main

import (
	"math"
	"testing"

	"hone/loop"
)

// TestTables: what is planted is as rare, and fails as often, as the bench says;
// rows of a clip correlate as asked; equal seeds give equal tables.
func TestTables(t *testing.T) {
	planted := (&trial{rows: 30_000}).table(1, 2)
	for _, slice := range planted.planted {
		mass, err := planted.space.Mass(slice)
		if err != nil || mass < .005 || mass > .02 || len(slice) < 2 || len(slice) > 3 {
			t.Errorf("%v has %v of the rows (%v)", slice, mass, err)
		}
		rows, failed := 0., 0.
		for row := range planted.errors {
			codes := make([]loop.Code, len(planted.codes))
			for f := range codes {
				codes[f] = planted.codes[f][row]
			}
			if slice.Matches(codes) {
				rows++
				failed += planted.errors[row]
			}
		}
		if math.Abs(rows/30_000-mass) > .004 || math.Abs(failed/rows-plantedRate) > .12 {
			t.Errorf("%v has %v of 30,000 rows, want %v; %v of them fail", slice, rows, mass, failed/rows)
		}
	}
	again := (&trial{rows: 30_000}).table(1, 2)
	other := (&trial{rows: 30_000}).table(1, 3)
	if again.evidence().Digest() != planted.evidence().Digest() || other.evidence().Digest() == planted.evidence().Digest() {
		t.Error("tables do not follow from their seeds")
	}

	// The correlation by analysis of variance: pairs of a clip against all pairs.
	clips := (&trial{rows: 200_000, null: true, clip: 40, correlation: .2}).table(1, 1)
	all, both, pairs := 0., 0., 0.
	for row := 0; row < len(clips.errors); row += 2 {
		all += clips.errors[row] + clips.errors[row+1]
		both += clips.errors[row] * clips.errors[row+1]
		pairs++
	}
	rate := all / (2 * pairs)
	if got := (both/pairs - rate*rate) / (rate * (1 - rate)); math.Abs(got-.2) > .03 || math.Abs(rate-tableRate) > .01 {
		t.Errorf("correlation %.3f at rate %.3f, want .2 at %v", got, rate, tableRate)
	}
}

func TestJudge(t *testing.T) {
	one := loop.Slice{{Factor: 0, Level: 1}, {Factor: 2, Level: 3}}
	table := &table{trial: &trial{}, planted: []loop.Slice{one}}
	for name, c := range map[string]struct {
		found       loop.Slice
		hits, wrong int
	}{
		"as planted": {one, 1, 0},
		"parent":     {one[:1], 0, 0},
		"child":      {one.With(loop.Predicate{Factor: 5, Level: 0}), 0, 0},
		"beside":     {loop.Slice{{Factor: 0, Level: 1}, {Factor: 2, Level: 2}}, 0, 1},
	} {
		if hits, wrong := table.judge([]loop.Slice{c.found}); hits != c.hits || wrong != c.wrong {
			t.Errorf("%s: %d hits, %d wrong", name, hits, wrong)
		}
	}
}
