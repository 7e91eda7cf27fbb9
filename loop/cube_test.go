package loop

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What is read off cubes equals what is counted row by row, whether rows stand for
// themselves, have weights or come many to a line, and however many levels factors have.
func TestCubesEqualTheirTwin(t *testing.T) {
	four, several := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		s := &Space{Name: "s"}
		for range rapid.IntRange(1, 7).Draw(t, "factors") {
			f := Factor{Kind: Categorical, Levels: make([]Level, rapid.IntRange(1, 5).Draw(t, "levels"))}
			s.Factors = append(s.Factors, f)
		}
		n := rapid.IntRange(1, 6000).Draw(t, "rows")
		l := &lines{codes: make([][]Code, len(s.Factors)), errors: make([]float64, n)}
		if rapid.Bool().Draw(t, "weights") {
			l.rows, l.weight = make([]int64, n), make([]float64, n)
		}
		for i := range n {
			rows := 1
			if l.rows != nil {
				rows = rng.IntN(3)
				l.rows[i], l.weight[i] = int64(rows), []float64{.5, 1}[rng.IntN(2)]
			}
			l.errors[i] = float64(rng.IntN(rows + 1))
			for f := range s.Factors {
				code := Code(min(rng.IntN(len(s.Factors[f].Levels)), rng.IntN(6)))
				if rng.IntN(20) == 0 {
					code = Unknown
				}
				l.codes[f] = append(l.codes[f], code)
			}
		}
		settings := DefaultSearch()
		settings.Order = rapid.IntRange(1, 4).Draw(t, "order")
		tally := newTally(s, settings, l, backwards)
		for order := 1; order <= settings.Order; order++ {
			for _, table := range tally.count(order) {
				for i := range table.keys {
					c := tally.cell(table, i)
					slice := tally.slice(&c)
					var sums stratum
					rows := 0.0
					for line := range n {
						if many, w := l.line(line); within(l.codes, slice, line) {
							rows += many
							sums.add(many*w, l.errors[line]*w, many*w*w)
						}
					}
					if worth, fails := sums.worth(1); c.rows != rows || !near(c.n, worth) || !near(c.k, fails) {
						t.Fatalf("%v has %v rows worth %v, of which %v fail, want %v, %v and %v", slice, c.rows, c.n, c.k, rows, worth, fails)
					}
				}
			}
		}
		again := newTally(s, settings, l, nil)
		again.place()
		prefixes := []*table{again.root}
		again.want(prefixes)
		wanted := 0
		for _, yes := range again.root.wanted {
			if yes {
				wanted++
			}
		}
		for _, c := range again.cubes(prefixes) {
			if len(c.factors) == 4 {
				four++
			}
			several += len(c.tables) - 1
			if wanted -= len(c.tables); len(c.tables) < 2 || c.cells > n/cubeLines || !slices.IsSorted(c.factors) {
				t.Fatalf("a cube of %v has %d cells, of %d lines", c.factors, c.cells, n)
			}
		}
		if wanted < 0 {
			t.Fatalf("%d tables are in several cubes", -wanted)
		}
	})
	if four == 0 || several == 0 {
		t.Errorf("%d cubes of four factors, with %d more tables than cubes", four, several)
	}
}
