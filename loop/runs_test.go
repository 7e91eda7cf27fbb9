package loop

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// keepRuns is the twin of what is counted with runs: every slice of one or two
// predicates, row by row.
func (n *naive) keepRuns() {
	n.withRuns = make([][]cell, 2)
	if n.settings.Runs < 2 {
		return
	}
	in := func(slice Slice) (rows []int) {
		for i, o := range n.rows {
			if lies(slice, o.codes) {
				rows = append(rows, i)
			}
		}
		return rows
	}
	rows := func(slice Slice) float64 { return float64(len(in(slice))) }
	var walk func(from int, slice Slice)
	walk = func(from int, slice Slice) {
		if slices.ContainsFunc(slice, func(p Predicate) bool { return p.Run > 0 }) && n.tells(slice, rows) {
			c := cell{slice: slices.Clone(slice), mates: 1}
			together := make(map[string]float64)
			for _, i := range in(slice) {
				together[n.groupOf(i)]++
			}
			if n.grouped() {
				c.mates = 0
				for _, m := range together {
					c.mates += m * m
				}
				c.mates = float64(float32(c.mates / rows(slice)))
			}
			if !n.grouped() || len(together) >= leastGroups {
				n.withRuns[len(slice)-1] = append(n.withRuns[len(slice)-1], c)
			}
		}
		for f := from; f < len(n.space.Factors) && len(slice) < min(2, n.settings.Order); f++ {
			factor := &n.space.Factors[f]
			for first := 0; first < len(factor.Levels) && factor.Pin == nil; first++ {
				walk(f+1, append(slices.Clone(slice), Predicate{Factor: f, Level: first}))
				for last := first + 1; last < len(factor.Levels); last++ {
					if levels := last - first + 1; factor.Kind != Categorical && levels <= n.settings.Runs && levels < len(factor.Levels) {
						walk(f+1, append(slices.Clone(slice), Predicate{Factor: f, Level: first, Run: levels - 1}))
					}
				}
			}
		}
	}
	walk(0, nil)
	for _, cells := range n.withRuns {
		slices.SortFunc(cells, func(a, b cell) int { return a.slice.compare(b.slice) })
	}
}

// tells reports whether a slice with runs has rows enough, and is not the same as
// one with a predicate less or with a shorter run.
func (n *naive) tells(slice Slice, rows func(Slice) float64) bool {
	all := rows(slice)
	if all < n.settings.MinimumSupport {
		return false
	}
	for i, p := range slice {
		wider := slices.Delete(slices.Clone(slice), i, i+1)
		if len(wider) == 0 {
			wider = Slice{{Factor: p.Factor, Level: 0, Run: len(n.space.Factors[p.Factor].Levels) - 1}}
		}
		if all >= same*rows(wider) {
			return false
		}
		if p.Run > 0 {
			for _, end := range []int{p.Level, p.Last()} {
				if all-rows(slice.With(Predicate{Factor: p.Factor, Level: end})) >= same*all {
					return false
				}
			}
		}
	}
	return true
}

// The search over runs equals its twin, on rows of weights and groups, failures or
// graded errors, whatever has been taken away before.
func TestRunsCoverEqualsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s *Space
		var rows []outcome
		if rapid.Bool().Draw(t, "evidence") {
			s = drawSpace(t, 4, 6)
			rows = drawEvidence(t, s, 200).outcomes(.5, 3)
		} else {
			s, rows = drawOutcomes(t)
			for f := range s.Factors {
				s.Factors[f].Kind = rapid.SampledFrom([]Kind{Ordinal, Numeric, Categorical}).Draw(t, "kind")
			}
		}
		if bad := drawSlice(t, s, 2); rapid.Bool().Draw(t, "planted") {
			for i := range rows {
				if bad.Matches(rows[i].codes) {
					rows[i].err = 1
				}
			}
		}
		settings := DefaultPolicy().Search
		settings.Order = rapid.IntRange(1, 2).Draw(t, "order")
		settings.Runs = rapid.IntRange(2, 5).Draw(t, "runs")
		settings.MinimumSupport = rapid.SampledFrom([]float64{1, 4, 12}).Draw(t, "support")
		settings.MinimumZ = rapid.SampledFrom([]float64{0, 1, 2.5}).Draw(t, "z")
		settings.FalseDiscovery = rapid.SampledFrom([]float64{.05, .5}).Draw(t, "false discovery")
		settings.Slices = rapid.IntRange(0, 4).Draw(t, "slices")
		var without []Slice
		if rapid.IntRange(0, 3).Draw(t, "quarantine") == 0 {
			without = append(without, drawSlice(t, s, 2))
		}
		compareCovers(t, s, settings, rows, without...)
	})
}

// ordered are rows of four factors of ten ordinal levels, of which those in a slice
// fail at one rate and the others at another.
func ordered(seed uint64, rows int, bad Slice, inside, outside float64) *Rows {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := clips(rng, rows, 1, 4, 10, func(codes []Code, _ float64) float64 {
		if bad.Matches(codes) {
			return bernoulli(rng, inside)
		}
		return bernoulli(rng, outside)
	})
	for f := range r.Space.Factors {
		r.Space.Factors[f].Kind = Ordinal
	}
	r.Group = nil
	return r
}

// The twin finds the runs that are planted, too.
func TestPlantedRunsCoverEqualsItsTwin(t *testing.T) {
	settings := DefaultPolicy().Search
	settings.Order, settings.Runs, settings.Slices = 2, 4, 3
	for _, bad := range []Slice{{{Factor: 2, Level: 4, Run: 2}}, {{Factor: 0, Level: 1}, {Factor: 2, Level: 3, Run: 3}}} {
		r := ordered(3, 1000, bad, .7, .05)
		rows := make([]outcome, len(r.Error))
		for i := range rows {
			rows[i] = outcome{weight: 1, err: r.Error[i], discount: 1}
			for f := range r.Codes {
				rows[i].codes = append(rows[i].codes, r.Codes[f][i])
			}
		}
		if found := compareCovers(t, r.Space, settings, rows); len(found) == 0 || !found[0].slice.Equal(bad) {
			t.Errorf("%s is not what was found first: %+v", r.Space.Describe(bad), found)
		}
	}
}

// What fails over a few levels too weakly for any of them to show is found as the
// run that it is; without runs it is not, and where nothing has an order the search
// is the one that it was.
func TestSurveyFindsRuns(t *testing.T) {
	search := DefaultSearch()
	for name, c := range map[string]struct {
		bad  Slice
		rate float64
	}{
		"alone":     {Slice{{Factor: 2, Level: 4, Run: 2}}, .12},
		"with one":  {Slice{{Factor: 0, Level: 1}, {Factor: 2, Level: 3, Run: 3}}, .14},
		"with runs": {Slice{{Factor: 1, Level: 2, Run: 1}, {Factor: 3, Level: 1, Run: 2}}, .13},
	} {
		r := ordered(3, 20_000, c.bad, c.rate, .08)
		search.Runs = 4
		survey, err := r.Survey(search)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(survey.Findings, func(f Finding) bool { return f.Slice.Equal(c.bad) }) {
			t.Errorf("%s: %s is not among %v", name, r.Space.Describe(c.bad), survey.Findings)
		}
		for f := range r.Space.Factors {
			r.Space.Factors[f].Kind = Categorical
		}
		without, err := r.Survey(search)
		if err != nil {
			t.Fatal(err)
		}
		search.Runs = 0
		if plain, err := r.Survey(search); err != nil || len(plain.Findings) != len(without.Findings) || !slices.Equal(plain.Tested, without.Tested) {
			t.Errorf("%s: %v, %v: without an order %v", name, plain, err, without)
		}
	}
}

// Rows that are added are counted as if they had been there, and a survey that is
// asked again says the same.
func TestRunsOfAddedRows(t *testing.T) {
	search := DefaultSearch()
	search.Runs = 3
	bad := Slice{{Factor: 0, Level: 3, Run: 1}, {Factor: 3, Level: 1, Run: 2}}
	all := ordered(5, 9000, bad, .25, .08)
	part := func(from, to int) *Rows {
		r := &Rows{Space: all.Space, Error: all.Error[from:to]}
		for _, column := range all.Codes {
			r.Codes = append(r.Codes, column[from:to])
		}
		return r
	}
	counted, err := part(0, 7000).Count(search)
	if err != nil {
		t.Fatal(err)
	}
	counted.Survey()
	if err := counted.Add(part(7000, 9000)); err != nil {
		t.Fatal(err)
	}
	want, err := all.Survey(search)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(want.Findings, func(f Finding) bool { return f.Slice.Equal(bad) }) {
		t.Errorf("found %v", want.Findings)
	}
	for range 2 {
		if got := counted.Survey(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// However many levels there are, a search over runs stays within bounds: long
// factors have runs alone, and none where even those are too many.
func TestRunsAreBounded(t *testing.T) {
	long := func(name string, levels int) Factor {
		f := Factor{Name: name, Kind: Ordinal}
		for l := range levels {
			f.Levels = append(f.Levels, Level{Name: fmt.Sprint("l", l)})
		}
		return f
	}
	s := &Space{Factors: []Factor{long("a", MaxLevels), long("b", 64), long("c", 64), long("d", 2)}}
	rng := rand.New(rand.NewPCG(1, 1))
	r := &Rows{Space: s, Codes: make([][]Code, 4)}
	for range 5000 {
		at := rng.IntN(MaxLevels)
		r.Error = append(r.Error, bernoulli(rng, map[bool]float64{false: .08, true: .95}[at >= 4000 && at < 4064]))
		for f, levels := range []int{MaxLevels, 64, 64, 2} {
			code := rng.IntN(levels)
			if f == 0 {
				code = at
			}
			r.Codes[f] = append(r.Codes[f], Code(code))
		}
	}
	search := DefaultSearch()
	search.Runs = 64
	tally := newTally(s, search, &lines{codes: r.Codes, errors: r.Error}, nil)
	runs := tally.countRuns()
	boxes, longest := map[int]int{}, map[int]int{}
	for _, o := range runs.tables {
		boxes[len(o.factors)] += len(o.boxes)
		longest[len(o.factors)] = o.longest
		if len(o.factors) == 2 && o.factors[0] == 0 {
			t.Errorf("%v is a pair of a factor of %d levels", o.factors, MaxLevels)
		}
	}
	if longest[1] != 64 || longest[2] < 2 || longest[2] > 40 || boxes[1]+boxes[2] > 2*maxBoxes {
		t.Errorf("longest runs %v, boxes %v", longest, boxes)
	}
	survey, err := r.Survey(search)
	if err != nil || len(survey.Findings) == 0 || survey.Findings[0].Slice[0].Factor != 0 || survey.Findings[0].Slice[0].Run < 32 {
		t.Errorf("%v, %v", survey.Findings, err)
	}
	many := &Space{}
	for f := range MaxFactors {
		many.Factors = append(many.Factors, long(fmt.Sprint("f", f), MaxLevels))
	}
	empty := &lines{codes: make([][]Code, MaxFactors), errors: []float64{}}
	if runs := newTally(many, search, empty, nil).countRuns(); len(runs.tables) != 0 {
		t.Errorf("%d tables of %d factors", len(runs.tables), MaxFactors)
	}
}

// A slice of three predicates grows into the run that it is part of.
func TestTriplesGrow(t *testing.T) {
	search := DefaultSearch()
	search.Runs = 4
	bad := Slice{{Factor: 0, Level: 1}, {Factor: 1, Level: 2}, {Factor: 2, Level: 3, Run: 2}}
	survey, err := ordered(2, 40_000, bad, .45, .08).Survey(search)
	if err != nil || !slices.ContainsFunc(survey.Findings, func(f Finding) bool { return f.Slice.Equal(bad) }) {
		t.Errorf("%v, %v", survey.Findings, err)
	}
}

// A slice that was boosted keeps its name while its run fits nearly as well as
// another that overlaps it; where it does not, the other is a slice of its own.
func TestRunsKeepTheirNames(t *testing.T) {
	search := DefaultPolicy().Search
	search.Runs = 4
	bad := Slice{{Factor: 0, Level: 5, Run: 2}}
	r := ordered(4, 3000, bad, .18, .08)
	cover := func(remembered ...Slice) Slice {
		tally := newTally(r.Space, search, &lines{codes: r.Codes, errors: r.Error}, nil)
		tally.remembered = remembered
		found := tally.cover(nil, nil)
		if len(found) == 0 || found[0].q > search.FalseDiscovery || !found[0].slice.Equal(bad) && found[0].k == 0 {
			t.Fatalf("found %+v", found)
		}
		return found[0].slice
	}
	wider, elsewhere, other := Slice{{Factor: 0, Level: 5, Run: 3}}, Slice{{Factor: 0, Level: 7, Run: 2}}, Slice{{Factor: 1, Level: 5, Run: 2}}
	for _, c := range []struct {
		remembered []Slice
		want       Slice
	}{{nil, bad}, {[]Slice{wider}, wider}, {[]Slice{elsewhere, other}, bad}, {[]Slice{bad, wider}, bad}} {
		if got := cover(c.remembered...); !got.Equal(c.want) {
			t.Errorf("remembering %v it is %v, want %v", c.remembered, got, c.want)
		}
	}
}
