package main

import (
	"fmt"
	"math"
	"slices"

	"hone/loop"
)

// orderedLevels are the levels of the factors of a table in which runs are planted,
// or searched for, and longLevels of one with longer factors; the first so many
// factors are ordinal.
var (
	orderedLevels   = []int{10, 10, 6, 6, 5, 5, 4, 4}
	longLevels      = []int{20, 20, 10, 6, 5, 5, 4, 4}
	orderedFactors  = 3
	searchedRun     = 4
	plantedStandard = 7.
)

// runTrials are tables of ordinal factors, each searched with runs and without.
func runTrials() []trial {
	var all []trial
	for _, with := range []struct {
		name    string
		longest int
	}{{"runs", searchedRun}, {"levels", 1}} {
		add := func(t trial) {
			t.name, t.ordinal, t.longest = t.name+"-"+with.name, orderedFactors, with.longest
			all = append(all, t)
		}
		for _, rows := range []int{3000, 10_000, 30_000} {
			k := fmt.Sprintf("%dk", rows/1000)
			add(trial{name: "survey/" + k + "-planted-runs", rows: rows, find: (*table).survey, levels: orderedLevels, runs: true})
			add(trial{name: "survey/" + k + "-planted-levels", rows: rows, find: (*table).survey, levels: tableLevels})
			add(trial{name: "survey/" + k + "-ordered-null", rows: rows, find: (*table).survey, levels: orderedLevels, null: true, null05: .05})
			add(trial{name: "survey/" + k + "-long-null", rows: rows, find: (*table).survey, levels: longLevels, null: true, null05: .05})
		}
		add(trial{name: "decide/10k-planted-runs", rows: 10_000, find: (*table).decide, levels: orderedLevels, runs: true})
		add(trial{name: "decide/10k-planted-levels", rows: 10_000, find: (*table).decide, levels: tableLevels})
		add(trial{name: "decide/10k-long-null", rows: 10_000, find: (*table).decide, levels: longLevels, null: true, null05: .05})
		for _, correlation := range []float64{.05, .2} {
			add(trial{name: fmt.Sprintf("survey/8k-clips-%g-long-null", correlation), rows: 8000, find: (*table).survey,
				levels: longLevels, clip: 40, correlation: correlation, null: true, null05: .05})
		}
	}
	return all
}

func (t *trial) factorLevels() []int {
	if t.levels == nil {
		return tableLevels
	}
	return t.levels
}

// plantRuns plants a run of 2 to 4 levels of an ordinal factor, two of those with a
// level of another one, and a slice of two levels; no two of them with a level in
// common. Each fails so much more than all rows together that its standard score is
// expected to be plantedStandard at 10,000 rows, however many it has: a level alone
// of the run has no more than .7 of that.
func (t *table) plantRuns() {
	for len(t.planted) < plantedSlices {
		var slice loop.Slice
		for _, f := range t.random.Perm(len(t.space.Factors))[:min(2, 1+len(t.planted))] {
			slice = slice.With(loop.Predicate{Factor: f, Level: t.random.IntN(len(t.space.Factors[f].Levels))})
		}
		if len(t.planted) < 3 {
			f := t.random.IntN(2)
			n := 2 + t.random.IntN(3)
			slice = slice[:len(slice)-1].With(loop.Predicate{Factor: f, Level: t.random.IntN(len(t.space.Factors[f].Levels) - n + 1), Run: n - 1})
		}
		mass := t.mass(slice)
		shares := slices.ContainsFunc(t.planted, func(other loop.Slice) bool {
			return slices.ContainsFunc(slice, func(p loop.Predicate) bool {
				q := other.Of(p.Factor)
				return q != nil && p.Level <= q.Last() && q.Level <= p.Last()
			})
		})
		if !shares && len(slice) == min(2, 1+len(t.planted)) && mass > .002 {
			t.planted, t.rates = append(t.planted, slice), append(t.rates, tableRate)
		}
	}
	for range 100 {
		overall := tableRate
		for i, slice := range t.planted {
			overall += t.mass(slice) * (t.rates[i] - tableRate)
		}
		for i, slice := range t.planted {
			t.rates[i] = min(.9, overall+plantedStandard*math.Sqrt(overall*(1-overall)/(10_000*t.mass(slice))))
		}
	}
}

// mass is the part of the rows that lie in a slice.
func (t *table) mass(slice loop.Slice) float64 {
	mass := 1.0
	for _, p := range slice {
		sum := 0.0
		for l := p.Level; l <= p.Last(); l++ {
			sum += t.space.Factors[p.Factor].Levels[l].Target
		}
		mass *= sum
	}
	return mass
}

// overlap is the part of the rows of two slices together that lie in both.
func (t *table) overlap(a, b loop.Slice) float64 {
	both := slices.Clone(a)
	for _, q := range b {
		if p := a.Of(q.Factor); p != nil {
			first, last := max(p.Level, q.Level), min(p.Last(), q.Last())
			if first > last {
				return 0
			}
			q.Level, q.Run = first, last-first
		}
		both = both.With(q)
	}
	in := t.mass(both)
	return in / (t.mass(a) + t.mass(b) - in)
}

// recalledKinds is, by what was planted, the part that was found as it was, and
// that which was found but for at most three in ten of the rows.
type recalledKinds struct{ exact, near [3][]float64 }

var kindNames = [3]string{"run", "run-and-level", "levels"}

func (k *recalledKinds) judge(t *table, found []loop.Slice) {
	if !t.runs {
		return
	}
	for _, planted := range t.planted {
		kind := 2
		if slices.ContainsFunc(planted, func(p loop.Predicate) bool { return p.Run > 0 }) {
			kind = len(planted) - 1
		}
		exact, near := 0., 0.
		for _, slice := range found {
			if slice.Equal(planted) {
				exact = 1
			}
			if t.overlap(slice, planted) >= .7 {
				near = 1
			}
		}
		k.exact[kind], k.near[kind] = append(k.exact[kind], exact), append(k.near[kind], near)
	}
}

func (k *recalledKinds) measures(t *trial, seeds []uint64, note string) []measure {
	var out []measure
	for kind, name := range kindNames {
		for i, values := range [][]float64{k.exact[kind], k.near[kind]} {
			if len(values) == 0 {
				continue
			}
			m, lower, upper := interval(values)
			unit := []string{"recall", "recall but for .3 of the rows"}[i]
			suffix := []string{"", "-near"}[i]
			out = append(out, measure{Name: "recall/" + t.name + "-of-" + name + suffix, Value: m, Unit: unit, Seeds: seeds, Note: note}.share(lower, upper))
		}
	}
	return out
}
