package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"hone/loop"
)

// recall measures what a search finds in tables of which it is known what is in
// them: four slices of .5 to 2 % that fail at .35 among rows that fail at .08, or
// nothing. A slice is recalled if it is found as it was planted, and false if it
// neither is one of them, nor lies in one, nor contains one.
type recall struct{}

func (recall) name() string { return "recall" }

const (
	tablesPerSeed = 5
	plantedSlices = 4
	tableRate     = .08
	plantedRate   = .35
)

// tableLevels is the number of levels of each factor of a table.
var tableLevels = []int{8, 6, 6, 5, 5, 4, 4, 4}

// trial is a kind of table, and who searches it.
type trial struct {
	name    string
	rows    int
	null    bool
	missing float64 // part of the values that are unknown
	// clips of so many rows, in which errors correlate so; half of the factors are
	// the same for all rows of a clip.
	clip        int
	correlation float64
	loss        bool // a heavy-tailed loss instead of failures
	// levels of the factors, of which the first so many are ordinal; nil: tableLevels.
	levels  []int
	ordinal int
	// runs are planted, and longest is how long one may be that is searched for.
	runs    bool
	longest int
	find    func(t *table) ([]loop.Slice, error)

	recall, null05 float64 // goals; 0: none
}

var trials = func() []trial {
	var all []trial
	for _, finder := range []struct {
		name string
		find func(t *table) ([]loop.Slice, error)
	}{{"survey", (*table).survey}, {"decide", (*table).decide}} {
		for _, rows := range []int{3000, 10_000, 30_000} {
			planted := trial{name: fmt.Sprintf("%s/%dk", finder.name, rows/1000), rows: rows, find: finder.find}
			if rows == 10_000 {
				planted.recall = .95
			}
			null := planted
			null.name, null.null, null.recall, null.null05 = planted.name+"-null", true, 0, .05
			all = append(all, planted, null)
		}
		base := trial{rows: 10_000, find: finder.find}
		missing, missingNull := base, base
		missing.name, missing.missing = finder.name+"/10k-half-missing", .5
		missingNull.name, missingNull.missing, missingNull.null, missingNull.null05 = finder.name+"/10k-half-missing-null", .5, true, .05
		all = append(all, missing, missingNull)
		for _, correlation := range []float64{.05, .2} {
			t := base
			t.name = fmt.Sprintf("%s/8k-clips-%g-null", finder.name, correlation)
			t.rows, t.clip, t.correlation, t.null, t.null05 = 8000, 40, correlation, true, .05
			all = append(all, t)
		}
	}
	all = append(all,
		trial{name: "decide/3k-probes", rows: 3000, find: (*table).probe, recall: .5},
		trial{name: "decide/3k-probes-null", rows: 3000, find: (*table).probe, null: true, null05: .05},
		trial{name: "survey/10k-loss", rows: 10_000, find: (*table).survey, loss: true},
		trial{name: "survey/10k-loss-null", rows: 10_000, find: (*table).survey, loss: true, null: true, null05: .05})
	return append(all, runTrials()...)
}()

func (recall) run(ctx context.Context, o *options) ([]measure, error) {
	var out []measure
	for i := range trials {
		t := &trials[i]
		fmt.Fprintf(o.log, "recall: %d of %d, %s\n", i+1, len(trials), t.name)
		var recalled, discovered, falseOnes []float64
		var kinds recalledKinds
		for _, seed := range o.seedList() {
			for n := range uint64(tablesPerSeed) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				table := t.table(seed, n)
				found, err := t.find(table)
				if err != nil {
					return nil, fmt.Errorf("%s, seed %d: %w", t.name, seed, err)
				}
				hits, wrong := table.judge(found)
				recalled = append(recalled, float64(hits)/plantedSlices)
				kinds.judge(table, found)
				falseOnes = append(falseOnes, float64(wrong))
				discovered = append(discovered, float64(wrong)/float64(max(1, len(found))))
			}
		}
		note := fmt.Sprintf("%d tables", len(recalled))
		if t.null {
			m, lower, upper := interval(falseOnes)
			out = append(out, measure{Name: "recall/" + t.name, Value: m, Unit: "false slices a run", Seeds: o.seedList(), Note: note}.
				within(max(0, lower), upper).goal(m <= t.null05, "<= %v", t.null05))
			continue
		}
		m, lower, upper := interval(recalled)
		found := measure{Name: "recall/" + t.name, Value: m, Unit: "recall", Seeds: o.seedList(), Note: note}.share(lower, upper)
		m, lower, upper = interval(discovered)
		wrong := measure{Name: "recall/" + t.name + "-fdr", Value: m, Unit: "false discovery rate", Seeds: o.seedList(), Note: note}.share(lower, upper)
		if t.recall > 0 {
			found, wrong = found.goal(found.Value >= t.recall, ">= %v", t.recall), wrong.goal(m <= .05, "<= 0.05")
		}
		out = append(append(out, found, wrong), kinds.measures(t, o.seedList(), note)...)
	}
	return out, nil
}

// table is rows drawn from a space, and what is in them.
type table struct {
	*trial
	space   *loop.Space
	planted []loop.Slice
	rates   []float64 // of what is planted
	codes   [][]loop.Code
	errors  []float64
	groups  []uint32 // by row; nil without clips
	random  *rand.Rand
}

func (t *trial) table(seed, n uint64) *table {
	out := &table{trial: t, space: &loop.Space{Name: "table", Version: 1}, random: rand.New(rand.NewPCG(seed, n))}
	for f, levels := range t.factorLevels() {
		factor := loop.Factor{Name: fmt.Sprintf("f%d", f), Kind: loop.Categorical}
		if f < t.ordinal {
			factor.Kind = loop.Ordinal
		}
		sum := 0.0
		for l := range levels {
			factor.Levels = append(factor.Levels, loop.Level{Name: fmt.Sprintf("l%d", l), Target: .4 + out.random.Float64()})
			sum += factor.Levels[l].Target
		}
		for l := range levels {
			factor.Levels[l].Target /= sum
		}
		out.space.Factors = append(out.space.Factors, factor)
	}
	if !t.null && t.runs {
		out.plantRuns()
	} else if !t.null {
		out.plant()
	}
	out.draw()
	return out
}

// plant chooses slices of two or three predicates that have .5 to 2 % of the rows,
// no two of them with a level in common.
func (t *table) plant() {
	for len(t.planted) < plantedSlices {
		var slice loop.Slice
		mass := 1.0
		factors := t.random.Perm(len(t.space.Factors))[:2+t.random.IntN(2)]
		slices.Sort(factors)
		for _, f := range factors {
			p := loop.Predicate{Factor: f, Level: t.random.IntN(len(t.space.Factors[f].Levels))}
			slice = append(slice, p)
			mass *= t.space.Factors[f].Levels[p.Level].Target
		}
		shares := slices.ContainsFunc(t.planted, func(other loop.Slice) bool {
			return slices.ContainsFunc(slice, func(p loop.Predicate) bool { return other.Level(p.Factor) == p.Level })
		})
		if mass >= .005 && mass <= .02 && !shares {
			t.planted, t.rates = append(t.planted, slice), append(t.rates, plantedRate)
		}
	}
}

func (t *table) draw() {
	t.codes = make([][]loop.Code, len(t.space.Factors))
	rate := tableRate
	for row := range t.rows {
		if t.clip > 0 {
			if row%t.clip == 0 { // the errors of two of a clip's rows correlate so if its rate is so drawn
				a := (1 - t.correlation) / t.correlation
				rate = distuv.Beta{Alpha: tableRate * a, Beta: (1 - tableRate) * a, Src: t.random}.Rand()
			}
			t.groups = append(t.groups, uint32(row/t.clip))
		}
		codes := make([]loop.Code, len(t.space.Factors))
		for f := range codes {
			codes[f] = t.level(f)
			if t.clip > 0 && f%2 == 0 && row%t.clip > 0 {
				codes[f] = t.codes[f][row-1]
			}
		}
		t.errors = append(t.errors, t.outcome(codes, rate))
		for f, code := range codes {
			if t.missing > 0 && t.random.Float64() < t.missing {
				code = loop.Unknown
			}
			t.codes[f] = append(t.codes[f], code)
		}
	}
}

func (t *table) level(f int) loop.Code {
	u := t.random.Float64()
	for l := range t.space.Factors[f].Levels {
		if u -= t.space.Factors[f].Levels[l].Target; u < 0 {
			return loop.Code(l)
		}
	}
	return loop.Code(len(t.space.Factors[f].Levels) - 1)
}

// outcome is 1 for a failure and 0 for none; or a loss, log-normal with σ = 1.5,
// four times as large in what is planted.
func (t *table) outcome(codes []loop.Code, rate float64) float64 {
	in := false
	for i, s := range t.planted {
		if s.Matches(codes) {
			in, rate = true, max(rate, t.rates[i])
		}
	}
	if t.loss {
		loss := math.Exp(1.5 * t.random.NormFloat64())
		if in {
			loss *= 4
		}
		return loss
	}
	if t.random.Float64() < rate {
		return 1
	}
	return 0
}

// judge counts the planted slices among the found ones, and the false ones.
func (t *table) judge(found []loop.Slice) (hits, wrong int) {
	for _, slice := range found {
		if slices.ContainsFunc(t.planted, slice.Equal) {
			hits++
			continue
		}
		if !slices.ContainsFunc(t.planted, func(s loop.Slice) bool {
			return slice.Within(s) || s.Within(slice) || t.runs && t.overlap(s, slice) >= .5
		}) {
			wrong++
		}
	}
	return hits, wrong
}

func (t *table) survey() ([]loop.Slice, error) {
	rows := &loop.Rows{Space: t.space, Codes: t.codes, Error: t.errors, Group: t.groups}
	search := loop.DefaultSearch()
	if t.levels != nil {
		search.Runs = t.longest
	}
	found, err := rows.Survey(search)
	if err != nil {
		return nil, err
	}
	var out []loop.Slice
	for _, f := range found.Findings {
		out = append(out, f.Slice)
	}
	return out, nil
}

// decide is what strategy hone boosts on this evidence.
func (t *table) decide() ([]loop.Slice, error) {
	round, err := t.round(t.evidence())
	if err != nil {
		return nil, err
	}
	return boosted(round), nil
}

// probe decides from all rows but the last tenth, spends as many rows as that on
// what the decision wants to have probed, and decides again.
func (t *table) probe() ([]loop.Slice, error) {
	probes := len(t.errors) / 10
	t.cut(len(t.errors) - probes)
	e := t.evidence()
	round, err := t.next(e, nil, uint64(probes))
	if err != nil {
		return nil, err
	}
	sampler, err := loop.NewSampler(t.space, round)
	if err != nil {
		return nil, err
	}
	for i := range round.Components {
		c := &round.Components[i]
		if c.Domain != loop.Evaluation {
			continue
		}
		for index := range c.Quota {
			x, err := sampler.Scenario(c.Domain, c.Number, index)
			if err != nil {
				return nil, err
			}
			e.Append(loop.Line{Codes: x.Codes, Source: c.Source, Origin: loop.Synthetic, Rows: 1,
				Weight:   max(1, int64(sampler.Weight(c.Domain, c.Number, x.Codes)*loop.MicroUnits)),
				Failures: int64(t.outcome(x.Codes, tableRate))})
		}
	}
	e.Sort()
	if round, err = t.next(e, round, 0); err != nil {
		return nil, err
	}
	return boosted(round), nil
}

// cut keeps the first rows.
func (t *table) cut(rows int) {
	t.errors = t.errors[:rows]
	for f := range t.codes {
		t.codes[f] = t.codes[f][:rows]
	}
}

func boosted(round *loop.Round) []loop.Slice {
	var out []loop.Slice
	for i := range round.Components {
		if c := &round.Components[i]; c.Domain == loop.Train && len(c.Slice) > 0 && c.Reason.Value > 0 {
			out = append(out, c.Slice)
		}
	}
	return out
}

func (t *table) evidence() *loop.Evidence {
	e := &loop.Evidence{}
	for row := range t.errors {
		l := loop.Line{Source: loop.SourceTarget, Origin: loop.Synthetic, Rows: 1, Failures: int64(t.errors[row])}
		for f := range t.codes {
			l.Codes = append(l.Codes, t.codes[f][row])
		}
		if t.groups != nil {
			l.Group = t.groups[row] + 1
		}
		e.Append(l)
	}
	e.Sort()
	return e
}

func (t *table) round(e *loop.Evidence) (*loop.Round, error) { return t.next(e, nil, 0) }

func (t *table) next(e *loop.Evidence, previous *loop.Round, probes uint64) (*loop.Round, error) {
	policy := loop.DefaultPolicy()
	policy.Name, policy.Version = "recall", 1
	if t.levels != nil {
		policy.Search.Runs = t.longest
	}
	// Whatever is found is boosted, however little it is worth.
	policy.Shares.Smallest = 1e-6
	budget := loop.Budget{Campaign: "recall", Number: 1, Train: 1 << 20, Evaluation: loop.EvaluationPlan{Probe: probes}}
	if previous != nil {
		budget.Number = previous.Number + 1
	}
	round, err := loop.Decide(t.space, &policy, previous, e, budget, 1)
	return &round, err
}
