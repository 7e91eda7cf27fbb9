package main

import (
	"math"
	"testing"

	"hone/loop"
)

// Planted runs have the rows and the failures that they are said to have, and their
// standard score whatever their size.
func TestPlantedRuns(t *testing.T) {
	kind := trial{rows: 100_000, levels: orderedLevels, ordinal: orderedFactors, runs: true}
	table := kind.table(1, 1)
	if len(table.planted) != plantedSlices || table.space.Factors[2].Kind != loop.Ordinal || table.space.Factors[3].Kind != loop.Categorical {
		t.Fatalf("%d planted in %+v", len(table.planted), table.space)
	}
	failed := 0.
	for _, e := range table.errors {
		failed += e
	}
	overall := failed / 100_000
	for i, slice := range table.planted {
		if n := len(slice); i == 0 && n != 1 || i > 0 && n != 2 || i < 3 && table.space.ValidateSlice("", slice) != nil {
			t.Errorf("%d is %v", i, slice)
		}
		rows, failures := 0., 0.
		codes := make([]loop.Code, len(table.codes))
		for row := range table.errors {
			for f := range codes {
				codes[f] = table.codes[f][row]
			}
			if slice.Matches(codes) {
				rows, failures = rows+1, failures+table.errors[row]
			}
		}
		if mass := table.mass(slice); math.Abs(rows/100_000-mass) > .005 || math.Abs(failures/rows-table.rates[i]) > .05 {
			t.Errorf("%v has %v of the rows, want %v; %v of them fail, want %v", slice, rows/100_000, mass, failures/rows, table.rates[i])
		}
		if score := (failures/rows - overall) * math.Sqrt(rows/10/(overall*(1-overall))); math.Abs(score-plantedStandard) > 2 {
			t.Errorf("%v would have a standard score of %v", slice, score)
		}
	}
}

func TestOverlap(t *testing.T) {
	factor := loop.Factor{Name: "f", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "a", Target: .1}, {Name: "b", Target: .2}, {Name: "c", Target: .3}, {Name: "d", Target: .4}}}
	table := table{trial: &trial{runs: true}, space: &loop.Space{Factors: []loop.Factor{factor, factor}}}
	planted := loop.Slice{{Factor: 0, Level: 1, Run: 1}}
	for _, c := range []struct {
		other loop.Slice
		want  float64
	}{
		{planted, 1}, {loop.Slice{{Factor: 0, Level: 2, Run: 1}}, .3 / .9}, {loop.Slice{{Factor: 0, Level: 0}}, 0},
		{loop.Slice{{Factor: 0, Level: 1}}, .4}, {planted.With(loop.Predicate{Factor: 1, Level: 3}), .4}, {loop.Slice{{Factor: 1, Level: 3}}, .2 / .7},
	} {
		if got := table.overlap(planted, c.other); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v: %v, want %v", c.other, got, c.want)
		}
	}
	table.planted = []loop.Slice{planted}
	for _, c := range []struct {
		found       loop.Slice
		hits, wrong int
	}{{planted, 1, 0}, {loop.Slice{{Factor: 0, Level: 1}}, 0, 0}, {loop.Slice{{Factor: 0, Level: 2, Run: 1}}, 0, 1}, {loop.Slice{{Factor: 0, Level: 0, Run: 2}}, 0, 0}} {
		if hits, wrong := table.judge([]loop.Slice{c.found}); hits != c.hits || wrong != c.wrong {
			t.Errorf("%v: %d hits, %d wrong", c.found, hits, wrong)
		}
	}
}
