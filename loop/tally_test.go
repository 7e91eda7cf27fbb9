package loop

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawRows draws rows with unknown values, rare levels, factors that repeat each
// other, and groups or none.
func drawRows(t *rapid.T) *Rows {
	factors := rapid.IntRange(1, 5).Draw(t, "factors")
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	r := clips(rng, rapid.IntRange(1, 40).Draw(t, "groups"), rapid.IntRange(1, 12).Draw(t, "size"), factors, rapid.IntRange(2, 6).Draw(t, "levels"),
		func([]Code, float64) float64 { return bernoulli(rng, .2) })
	if rapid.Bool().Draw(t, "loss") {
		for i := range r.Error {
			r.Error[i] = rng.ExpFloat64()
		}
	}
	if factors > 2 && rapid.Bool().Draw(t, "repeat") {
		copy(r.Codes[1], r.Codes[0])
	}
	for _, column := range r.Codes {
		for i := range column {
			if rng.IntN(20) == 0 {
				column[i] = []Code{Unknown, Absent}[rng.IntN(2)]
			}
		}
	}
	// In no order of groups.
	rng.Shuffle(len(r.Error), func(i, j int) {
		for _, column := range r.Codes {
			column[i], column[j] = column[j], column[i]
		}
		r.Error[i], r.Error[j] = r.Error[j], r.Error[i]
		r.Group[i], r.Group[j] = r.Group[j], r.Group[i]
	})
	if rapid.Bool().Draw(t, "alone") {
		r.Group = nil
	}
	return r
}

// outcome is one row as the twins have it.
type outcome struct {
	codes []Code
	// weight and err are multiples of 1/64, so that sums are exact in any order.
	weight, err float64
	group       uint32
	stratum     int
	discount    float64
}

// outcomes are those of the evidence, with weights as decisions have them.
func (e *Evidence) outcomes(memory float64, window int) []outcome {
	var out []outcome
	strata, discount := e.strata(memory, window)
	for i, s := range strata {
		l := e.line(i)
		for row := range l.Rows {
			o := outcome{codes: l.Codes, weight: float64(l.Weight) / MicroUnits, group: l.Group, stratum: int(s), discount: discount[s]}
			if row < l.Failures {
				o.err = 1
			}
			if o.discount > 0 {
				out = append(out, o)
			}
		}
	}
	return out
}

// drawOutcomes draws rows of one weight or several, failures or graded errors, in
// groups or none, or both.
func drawOutcomes(t *rapid.T) (*Space, []outcome) {
	r := drawRows(t)
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "weights"), 0))
	weights := rapid.SampledFrom([][]float64{{1}, {1, .5, .25}, {19. / 64, 1, 3.5}, {2}}).Draw(t, "weight")
	graded := slices.ContainsFunc(r.Error, func(e float64) bool { return e != 0 && e != 1 })
	alone := rapid.Bool().Draw(t, "some alone")
	discounts := rapid.SampledFrom([][]float64{{1}, {1, .5}, {.25, 1, 1}}).Draw(t, "discounts")
	out := make([]outcome, len(r.Error))
	for i := range out {
		s := rng.IntN(len(discounts))
		o := outcome{weight: weights[rng.IntN(len(weights))], err: r.Error[i], stratum: s, discount: discounts[s]}
		if s == 1 {
			o.weight = 2
		}
		if graded {
			o.err = math.Round(64*min(1, o.err/3)) / 64
		}
		for f := range r.Codes {
			o.codes = append(o.codes, r.Codes[f][i])
		}
		if r.Group != nil && !(alone && rng.IntN(3) == 0) {
			o.group = r.Group[i] + 1
		}
		out[i] = o
	}
	return r.Space, out
}

// linesOf merges rows that differ in nothing but their error, if asked to.
func linesOf(s *Space, rows []outcome, merge bool) *lines {
	l := &lines{codes: make([][]Code, len(s.Factors)), rows: []int64{}, weight: []float64{}, group: []uint32{}, stratum: []uint16{}, discount: make([]float64, 16)}
	at := make(map[string]int)
	grouped, graded := false, false
	for i, o := range rows {
		grouped, graded = grouped || o.group != 0, graded || o.err != 0 && o.err != 1
		key := fmt.Sprint(i)
		if merge {
			key = fmt.Sprint(o.codes, o.weight, o.group, o.stratum)
		}
		if _, ok := at[key]; !ok {
			at[key] = len(l.errors)
			for f := range l.codes {
				l.codes[f] = append(l.codes[f], o.codes[f])
			}
			l.rows, l.weight, l.group = append(l.rows, 0), append(l.weight, o.weight), append(l.group, o.group)
			l.errors, l.squares = append(l.errors, 0), append(l.squares, 0)
			l.stratum, l.discount[o.stratum] = append(l.stratum, uint16(o.stratum)), o.discount
		}
		line := at[key]
		l.rows[line]++
		l.errors[line] += o.err
		l.squares[line] += o.err * o.err
	}
	if !grouped {
		l.group = nil
	}
	if !graded {
		l.squares = nil
	}
	return l
}

// naive is the twin of a tally: every row by itself, every slice by a map, every
// rule in the order in which it is written.
type naive struct {
	space    *Space
	settings Search
	rows     []outcome
	gone     []bool
	// kept are the slices that are counted, by order less 1, with what their rows of
	// a group are to each other; withRuns those that have a run of levels.
	kept, withRuns [][]cell
}

func newNaive(s *Space, settings Search, rows []outcome, without []Slice) *naive {
	n := &naive{space: s, settings: settings, gone: make([]bool, len(rows))}
	for _, o := range rows {
		if !slices.ContainsFunc(without, func(s Slice) bool { return s.Matches(o.codes) }) {
			n.rows = append(n.rows, o)
		}
	}
	n.gone = n.gone[:len(n.rows)]
	all := make(map[string][]int)
	named := make(map[string]Slice)
	for i, o := range n.rows {
		var walk func(from int, slice Slice)
		walk = func(from int, slice Slice) {
			name := fmt.Sprint(slice)
			all[name], named[name] = append(all[name], i), slice
			for f := from; f < len(s.Factors) && len(slice) < settings.Order; f++ {
				if o.codes[f].IsLevel() && s.Factors[f].Pin == nil {
					walk(f+1, append(slices.Clone(slice), Predicate{Factor: f, Level: int(o.codes[f])}))
				}
			}
		}
		walk(0, nil)
	}
	var repeats func(slice Slice) bool
	repeats = func(slice Slice) bool {
		for i := range slice {
			wider := slices.Delete(slices.Clone(slice), i, i+1)
			if len(wider) > 0 && (float64(len(all[fmt.Sprint(slice)])) >= same*float64(len(all[fmt.Sprint(wider)])) || repeats(wider)) {
				return true
			}
		}
		return false
	}
	n.kept = make([][]cell, settings.Order)
	for name, slice := range named {
		together := make(map[string]float64)
		for _, i := range all[name] {
			together[n.groupOf(i)]++
		}
		if len(slice) == 0 || float64(len(all[name])) < settings.MinimumSupport || repeats(slice) || n.grouped() && len(together) < leastGroups {
			continue
		}
		c := cell{slice: slice, mates: 1}
		if n.grouped() {
			c.mates = 0
			for _, m := range together {
				c.mates += m * m
			}
			c.mates = float64(float32(c.mates / float64(len(all[name]))))
		}
		n.kept[len(slice)-1] = append(n.kept[len(slice)-1], c)
	}
	for _, cells := range n.kept {
		slices.SortFunc(cells, func(a, b cell) int { return a.slice.compare(b.slice) })
	}
	n.keepRuns()
	return n
}

func (n *naive) grouped() bool {
	return slices.ContainsFunc(n.rows, func(o outcome) bool { return o.group != 0 })
}

func (n *naive) groupOf(i int) string {
	if n.rows[i].group == 0 {
		return fmt.Sprint("row ", i)
	}
	return fmt.Sprint("group ", n.rows[i].group)
}

func (n *naive) remove(slice Slice) {
	for i, o := range n.rows {
		n.gone[i] = n.gone[i] || slice.Matches(o.codes)
	}
}

// count is what the rows of a slice that are left are worth, stratum by stratum:
// the cell's rows, n, k and skew, and what a weight of 1 is worth in each.
func (n *naive) count(slice Slice) (c cell, scale map[int]float64) {
	scale = make(map[int]float64)
	even := 0.0
	for s := range 16 {
		rows, weight, fails, squares, discount := 0.0, 0.0, 0.0, 0.0, 0.0
		for i, o := range n.rows {
			if o.stratum == s && !n.gone[i] && slice.Matches(o.codes) {
				rows++
				weight += o.weight
				fails += o.weight * o.err
				squares += o.weight * o.weight
				discount = o.discount
			}
		}
		if rows > 0 {
			scale[s] = discount * (weight / squares)
			c.rows, c.n, c.k, even = c.rows+rows, c.n+scale[s]*weight, c.k+scale[s]*fails, even+discount*rows
		}
	}
	c.skew = even / c.n
	return c, scale
}

// anova is the one-way analysis of variance of weighted rows.
func (n *naive) anova() clusters {
	all, scale := n.count(nil)
	mean, weights, squares := all.k/all.n, 0.0, 0.0
	a := make([]float64, len(n.rows))
	for i, o := range n.rows {
		if !n.gone[i] {
			a[i] = o.weight * scale[o.stratum]
			weights, squares = weights+a[i], squares+a[i]*a[i]
		}
	}
	c := clusters{scale: weights / squares}
	type group struct{ rows, weight, square, errors float64 }
	groups := make(map[string]*group)
	var names []string
	for i, o := range n.rows {
		if n.gone[i] {
			continue
		}
		name := n.groupOf(i)
		if groups[name] == nil {
			groups[name] = &group{}
			names = append(names, name)
		}
		g, w := groups[name], a[i]*c.scale
		g.rows, g.weight, g.square, g.errors = g.rows+1, g.weight+w, g.square+w*w, g.errors+w*o.err
		c.rows += w
	}
	mates := 0.0
	for _, name := range names {
		g := groups[name]
		c.groups += g.square / g.weight
		c.mates += g.rows * g.rows / all.rows
		mates += g.weight * g.weight / c.rows
		c.between += g.weight * (g.errors/g.weight - mean) * (g.errors/g.weight - mean)
	}
	for i, o := range n.rows {
		if !n.gone[i] {
			g := groups[n.groupOf(i)]
			c.within += a[i] * c.scale * (o.err - g.errors/g.weight) * (o.err - g.errors/g.weight)
		}
	}
	c.size = (c.rows - mates) / (c.groups - 1)
	return c
}

// cover is the twin of the tally's, but that it measures and tests by the tally's
// own formulas, given sums of its own.
func (n *naive) cover() (found []cell) {
	for len(found) < n.settings.Slices {
		all, scale := n.count(nil)
		rate := all.k / all.n
		if all.rows == 0 || rate <= 0 || rate >= 1 {
			break
		}
		squares := 0.0
		for i, o := range n.rows {
			if !n.gone[i] {
				squares += scale[o.stratum] * o.weight * (o.err - rate) * (o.err - rate)
			}
		}
		binary := !slices.ContainsFunc(n.rows, func(o outcome) bool { return o.err != 0 && o.err != 1 })
		tester := &tally{settings: n.settings, grouped: n.grouped(), graded: !binary, dispersion: 1, rows: all.rows}
		if !binary {
			tester.dispersion = squares / all.n / (rate * (1 - rate))
		}
		if n.grouped() {
			tester.clusters = n.anova()
		}
		var significant []cell
		var candidates []*cell
		tests, runTests, families := 0, 0, [][][]cell{n.kept, n.withRuns}
		for at, kept := range slices.Concat(families...) {
			var supported []*cell
			part := 1.0
			if at >= len(n.kept) {
				part = runShare
			}
			for _, c := range kept {
				s, _ := n.count(c.slice)
				c.rows, c.n, c.k, c.skew, c.p = s.rows, s.n, s.k, s.skew, 1
				design := 1.0
				if n.grouped() {
					design += tester.clusters.correlation(0, 0) * max(0, c.mates-1)
				}
				c.worth, c.design = c.n/design, design*tester.dispersion
				c.effect = c.design
				if s.rows > 0 && c.worth >= n.settings.MinimumSupport {
					supported = append(supported, &c)
				}
			}
			for _, c := range supported {
				if c.n/c.design < math.Log(part*n.settings.FalseDiscovery/float64(len(supported)))/math.Log(rate) {
					continue
				}
				if tester.test(c, rate); c.z >= n.settings.MinimumZ {
					candidates = append(candidates, c)
				}
				if at < len(n.kept) {
					tests++
				} else {
					runTests++
				}
			}
		}
		// counts is how many tests a p-value stands against: those of its family, over
		// the family's part of the false discoveries.
		counts := func(c *cell) float64 {
			hasRun := slices.ContainsFunc(c.slice, func(p Predicate) bool { return p.Run > 0 })
			switch {
			case hasRun:
				return c.p * float64(runTests) / runShare
			case runTests > 0:
				return c.p * float64(tests) / (1 - runShare)
			}
			return c.p * float64(tests)
		}
		for _, c := range candidates {
			c.q = 1
			for _, other := range candidates {
				if counts(other) < counts(c) {
					continue
				}
				rank := 0
				for _, third := range candidates {
					if counts(third) <= counts(other) {
						rank++
					}
				}
				c.q = min(c.q, counts(other)/float64(rank+len(found)))
			}
			if c.q <= n.settings.FalseDiscovery {
				significant = append(significant, *c)
			}
		}
		if len(significant) == 0 {
			break
		}
		slices.SortFunc(significant, func(a, b cell) int {
			return cmp.Or(-cmp.Compare(a.z, b.z), a.slice.compare(b.slice))
		})
		best := significant[0]
		runs := func(slice Slice) bool { return slices.ContainsFunc(slice, func(p Predicate) bool { return p.Run > 0 }) }
		for _, c := range significant[1:] { // the greatest score first
			inside := len(c.slice) == len(best.slice) && !runs(c.slice) && runs(best.slice) && best.z*best.z-c.z*c.z < 5.99 && c.z > 0
			for _, p := range c.slice {
				q := best.slice.Of(p.Factor)
				inside = inside && q != nil && q.Holds(Code(p.Level))
			}
			if inside {
				best = c
			}
		}
		for {
			var children []cell
			for _, c := range significant {
				inside := len(c.slice) > len(best.slice)
				for _, p := range best.slice {
					q := c.slice.Of(p.Factor)
					inside = inside && q != nil && (*q == p || q.Run == 0 && p.Holds(Code(q.Level)))
				}
				for _, q := range c.slice {
					inside = inside && (q.Run == 0 || slices.Contains(best.slice, q))
				}
				if inside && c.k-c.n*rate >= n.settings.Descent*(best.k-best.n*rate) {
					children = append(children, c)
				}
			}
			if len(children) == 0 {
				break
			}
			slices.SortFunc(children, func(a, b cell) int {
				return cmp.Or(-cmp.Compare(a.k-a.n*rate, b.k-b.n*rate), a.slice.compare(b.slice))
			})
			best = children[0]
		}
		found = append(found, best)
		n.remove(best.slice)
	}
	return found
}

// searched is what a tally of the rows finds.
func searched(s *Space, settings Search, rows []outcome) []cell {
	return newTally(s, settings, linesOf(s, rows, true), nil).cover(nil, nil)
}

// backwards runs the parts of a count from the last to the first.
func backwards(n int, do func(i int)) {
	for i := range n {
		do(n - 1 - i)
	}
}

// compareCovers refuses a cover that is not its twin's, and returns it.
func compareCovers(t rapid.TB, s *Space, settings Search, rows []outcome, without ...Slice) []cell {
	var got []cell
	want := newNaive(s, settings, rows, without).cover()
	for _, merge := range []bool{true, false} {
		tally := newTally(s, settings, linesOf(s, rows, merge), backwards)
		for _, slice := range without {
			tally.remove(slice)
		}
		got = tally.cover(nil, nil)
		if len(got) != len(want) {
			t.Fatalf("found %+v, want %+v", got, want)
		}
		for i := range got {
			a, b := got[i], want[i]
			if !a.slice.Equal(b.slice) || a.rows != b.rows || !near(a.n, b.n) || !near(a.k, b.k) || !near(a.worth, b.worth) || !near(a.z, b.z) || !near(a.p, b.p) || !near(a.q, b.q) {
				t.Fatalf("found %d is %+v, want %+v", i, a, b)
			}
		}
	}
	return got
}

// The search equals its twin, on rows of weights and groups, failures or graded
// errors, whatever has been taken away before.
func TestCoverEqualsItsTwin(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		var s *Space
		var rows []outcome
		if rapid.Bool().Draw(t, "evidence") {
			s = drawSpace(t, 5, 5)
			e := drawEvidence(t, s, 200)
			rows = e.outcomes(rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "memory"), rapid.IntRange(1, 4).Draw(t, "window"))
		} else {
			s, rows = drawOutcomes(t)
		}
		settings := DefaultPolicy().Search
		settings.Order = rapid.IntRange(1, 4).Draw(t, "order")
		settings.MinimumSupport = rapid.SampledFrom([]float64{1, 4, 12}).Draw(t, "support")
		settings.MinimumZ = rapid.SampledFrom([]float64{0, 1, 2.5}).Draw(t, "z")
		settings.FalseDiscovery = rapid.SampledFrom([]float64{.05, .5}).Draw(t, "false discovery")
		settings.Slices = rapid.IntRange(0, 5).Draw(t, "slices")
		var without []Slice
		if rapid.IntRange(0, 3).Draw(t, "quarantine") == 0 {
			without = append(without, Slice{{Factor: 0, Level: rapid.IntRange(0, 1).Draw(t, "level")}})
		}
		found += len(compareCovers(t, s, settings, rows, without...))
	})
	if found == 0 && !testing.Short() {
		t.Error("no drawn evidence had anything to find")
	}
}

// A tally counts what its twin counts, at first and after any slices are taken
// away.
func TestTallyEqualsItsTwin(t *testing.T) {
	compared, removals := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s, rows := drawOutcomes(t)
		settings := DefaultSearch()
		settings.Order = rapid.IntRange(1, 4).Draw(t, "order")
		settings.MinimumSupport = rapid.SampledFrom([]float64{1, 4, 12}).Draw(t, "support")
		tally, twin := newTally(s, settings, linesOf(s, rows, rapid.Bool().Draw(t, "merge")), backwards), newNaive(s, settings, rows, nil)
		check := func() {
			for order := 1; order <= settings.Order; order++ {
				want := twin.kept[order-1]
				for _, table := range tally.count(order) {
					for i := range table.keys {
						c := tally.cell(table, i)
						if c.slice = tally.slice(&c); len(want) == 0 || !c.slice.Equal(want[0].slice) {
							t.Fatalf("%v is counted, want %+v", c.slice, want[:min(1, len(want))])
						}
						w, _ := twin.count(c.slice)
						if c.rows != w.rows || c.rows > 0 && (!near(c.n, w.n) || !near(c.k, w.k) || !near(c.skew, w.skew) || !near(c.mates, want[0].mates)) {
							t.Fatalf("%v has %+v, want %+v", c.slice, c, w)
						}
						want = want[1:]
						compared++
					}
				}
				if len(want) > 0 {
					t.Fatalf("%v is not counted", want[0].slice)
				}
			}
			all, _ := twin.count(nil)
			if rate, worth := tally.rate(); !near(worth, all.n) || worth > 0 && !near(rate, all.k/all.n) {
				t.Fatalf("rate %v of %v, want %+v", rate, worth, all)
			}
			if c := tally.clusters; tally.grouped && all.k > 0 && all.k < all.n {
				if w := twin.anova(); !near(c.groups, w.groups) || !near(c.mates, w.mates) || c.groups > 1.01 && !near(c.size, w.size) || math.Abs(c.between-w.between) > 1e-9*w.rows || math.Abs(c.within-w.within) > 1e-9*w.rows {
					t.Fatalf("%+v, want %+v", c, w)
				}
			}
		}
		check()
		for range rapid.IntRange(0, 2).Draw(t, "removals") {
			slice := Slice{}
			for f := range s.Factors {
				if rapid.IntRange(0, 2).Draw(t, "in") == 0 {
					slice = append(slice, Predicate{Factor: f, Level: rapid.IntRange(0, 1).Draw(t, "level")})
				}
			}
			if len(slice) == 0 {
				continue
			}
			tally.remove(slice)
			twin.remove(slice)
			removals++
			check()
		}
	})
	if compared == 0 || removals == 0 {
		t.Errorf("%d cells compared, %d removals", compared, removals)
	}
}
