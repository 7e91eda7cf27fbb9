package report

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"hone/loop"
)

// A space of many factors with many levels gets few maps of few rows, among them
// the levels that a slice is about, and every level has its place.
func TestCoverageStaysSmall(t *testing.T) {
	space := &loop.Space{Name: "s"}
	for f := range 20 {
		factor := loop.Factor{Name: fmt.Sprintf("f%d", f), Kind: loop.Categorical}
		levels := 20
		if f == 3 {
			levels = loop.MaxLevels
		}
		for l := range levels {
			factor.Levels = append(factor.Levels, loop.Level{Name: fmt.Sprintf("%s %d", hostile, l), Target: 1 / float64(levels)})
		}
		space.Factors = append(space.Factors, factor)
	}
	space.Factors[5].When = &loop.LevelSet{Factor: 3, Levels: []int{0}}
	n := &Numbers{Accuracy: []SliceAccuracy{{}, {in: loop.Slice{{Factor: 3, Level: 9_876}, {Factor: 5, Level: 19}, {Factor: 7}}}}}
	pairs := choosePairs(space, n)
	if len(pairs) != maxPairs || pairs[0] != [2]int{3, 5} {
		t.Fatalf("pairs %v", pairs)
	}
	drawn, err := space.Draw(nil, 2000, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		c := PairCoverage{}
		for side, f := range p {
			c.Levels[side] = shownLevels(space, f, n)
			if len(c.Levels[side]) > maxLevels+2 {
				t.Errorf("factor %d has %d rows", f, len(c.Levels[side]))
			}
			for _, slice := range n.Accuracy {
				if l := slice.in.Level(f); l >= 0 && !slices.Contains(c.Levels[side], space.Factors[f].Levels[l].Name) {
					t.Errorf("level %d of factor %d has no row", l, f)
				}
			}
		}
		c.target(space, p, drawn)
		sum := 0.0
		for _, row := range c.Cells {
			for _, cell := range row {
				sum += cell.Target
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("pair %v: the target sums to %v", p, sum)
		}
	}
}
