package loop

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decided is a chain of rounds of a policy, each from evidence of its own, as a
// campaign decides them.
func decided(t testing.TB, s *Space, p *Policy, evidence []*Evidence) []*Round {
	t.Helper()
	var rounds []*Round
	var last *Round
	for n, e := range evidence {
		r, err := Decide(s, p, last, e, Budget{Campaign: "c", Number: n + 1, Train: 1500}, 7)
		if err != nil {
			t.Fatal(err)
		}
		rounds, last = append(rounds, &r), &r
	}
	return rounds
}

// A campaign's own policy, replayed, decides what was decided, to the byte; and
// nothing moves.
func TestReplayOfTheSamePolicy(t *testing.T) {
	s, p := skewed(4), policy()
	p.MinimumRows = 200
	evidence := []*Evidence{nil,
		sized(t, s, 3000, .05, map[string]float64{"a=z b=y": .8, "c=z": .3}),
		sized(t, s, 2900, .05, map[string]float64{"a=z b=y": .5, "c=z": .3}),
		sized(t, s, 2800, .05, map[string]float64{"a=z b=y": .1, "c=z": .3})}
	actual := decided(t, s, p, evidence)
	chain, m := Chain{Space: s, Policy: p, Seed: 7}, NewSimulation(s)
	for n, e := range evidence {
		views := []*Evidence{e}
		var outcomes *OffPolicy
		if e != nil {
			views = e.Views()
			var err error
			if outcomes, err = NewOffPolicy(s, e, nil); err != nil {
				t.Fatal(err)
			}
		}
		rounds, err := chain.Decide(views, Budget{Campaign: "c", Number: n + 1, Train: 1500})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(rounds[0].Canonical(), actual[n].Canonical()) {
			t.Fatalf("round %d, replayed, differs from what was decided", n+1)
		}
		chain.Last = rounds[:1]
		if err := m.Add(outcomes, nil, rounds, append([]*Round{actual[n]}, rounds[1:]...)); err != nil {
			t.Fatal(err)
		}
	}
	boosted := 0
	for _, r := range m.Rounds {
		one, _ := json.Marshal(r.Candidate)
		other, _ := json.Marshal(r.Current)
		boosted += len(r.Candidate.Slices)
		if r.KL > 1e-12 || r.Beyond != 0 || !bytes.Equal(one, other) {
			t.Errorf("round %d: %s is not %s; KL %v, beyond %v", r.Number, one, other, r.KL, r.Beyond)
		}
		for _, y := range r.Yields {
			if y.Refused != nil || y.Above == nil || math.Abs(y.Above.Upper-y.Above.Lower) > 1e-9 {
				t.Errorf("round %d: the two yields are the same, but the difference is %+v (%v)", r.Number, y.Above, y.Refused)
			}
		}
	}
	if boosted == 0 {
		t.Error("no round boosts a slice: nothing was tested")
	}
}

// Rounds that are simulated from evidence that stays as it is take nothing for a
// lack of progress: nothing was learned in between.
func TestSimulatedRoundsDampNothing(t *testing.T) {
	s, p := skewed(4), policy()
	p.MinimumRows, p.Damping.Samples = 200, 1
	e := sized(t, s, 3000, .05, map[string]float64{"a=z b=y": .8})
	last := decided(t, s, p, []*Evidence{e})
	next := func(previous *Round, number int) *Round {
		r, err := Decide(s, p, previous, e, Budget{Campaign: "c", Number: number, Train: 1500}, 7)
		if err != nil {
			t.Fatal(err)
		}
		return &r
	}
	if damped := next(last[0], 2).Memory.Slices[0].Damping; damped >= 1 {
		t.Fatalf("damping is %v of a slice that did not get better: nothing was tested", damped)
	}
	chain := Chain{Space: s, Policy: p, Seed: 7, Last: last}
	for number := 2; number < 6; number++ {
		rounds, err := chain.Decide(e.Views(), Budget{Campaign: "c", Number: number, Train: 1500})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rounds[0].Memory.Slices {
			if m.Damping != 1 || m.Quarantined {
				t.Errorf("round %d: %+v is damped by no evidence at all", number, m)
			}
		}
	}
}

// A profile is what the samples are, counted one by one; pairs too.
func TestProfileCountsSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 4)
		r, err := Decide(s, drawPolicy(t), nil, drawEvidence(t, s, 400), Budget{Campaign: "c", Number: 1, Train: uint64(rapid.IntRange(1, 600).Draw(t, "train"))}, 3)
		if err != nil {
			return // no mixture, no profile
		}
		// A sample takes 10 ms, as every other attempt is sent back, but three times as
		// long in the first slice.
		made := []Made{{Accepted: 10, Rejected: 10, Millis: 50}}
		for _, c := range r.Components {
			if len(made) == 1 && c.Domain == Train && len(c.Slice) > 0 {
				made = append(made, Made{Slice: c.Slice, Accepted: 10, Millis: 300})
			}
		}
		m := NewSimulation(s)
		if err := m.Add(nil, made, []*Round{&r}, []*Round{&r}); err != nil {
			t.Fatal(err)
		}
		sampler, err := NewSampler(s, &r)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Rounds[0].Candidate
		levels, spent, total := make([][]float64, len(s.Factors)), make([][]float64, len(s.Factors)), 0.0
		for f := range levels {
			levels[f], spent[f] = make([]float64, len(s.Factors[f].Levels)), make([]float64, len(s.Factors[f].Levels))
		}
		type pair struct{ f, l, g, k int }
		pairs := map[pair]int{}
		in := make([]float64, len(got.Slices))
		for _, c := range r.Components {
			seconds := .01
			if len(made) > 1 && c.Slice.Equal(made[1].Slice) {
				seconds = .03
			}
			for index := range c.Quota {
				if c.Domain != Train {
					continue
				}
				total += seconds
				x, err := sampler.Scenario(Train, c.Number, index)
				if err != nil {
					t.Fatal(err)
				}
				for f, code := range x.Codes {
					if !code.IsLevel() {
						continue
					}
					levels[f][code]++
					spent[f][code] += seconds
					for g, other := range x.Codes {
						if other.IsLevel() && g < f {
							pairs[pair{f, int(code), g, int(other)}]++
						}
					}
				}
				for i := range got.Slices {
					if got.Slices[i].Slice.Matches(x.Codes) {
						in[i]++
					}
				}
			}
		}
		for f := range levels {
			if !slices.Equal(levels[f], got.Levels[f]) {
				t.Fatalf("factor %d: %v samples by level, counted %v", f, got.Levels[f], levels[f])
			}
			for l := range spent[f] {
				if math.Abs(spent[f][l]-got.Spent[f][l]) > 1e-9 {
					t.Fatalf("factor %d: %v seconds by level, counted %v", f, got.Spent[f], spent[f])
				}
			}
		}
		if math.Abs(got.Seconds-total) > 1e-9 {
			t.Fatalf("%v seconds, counted %v", got.Seconds, total)
		}
		for _, of := range got.Slices {
			if want := .01 * float64(of.Quota); len(made) > 1 && of.Slice.Equal(made[1].Slice) && math.Abs(of.Seconds-3*want) > 1e-9 {
				t.Fatalf("%v takes %v seconds, not %v", of.Slice, of.Seconds, 3*want)
			}
		}
		for i := range in {
			if in[i] != got.Slices[i].Samples {
				t.Fatalf("slice %v: %v samples, counted %v", got.Slices[i].Slice, got.Slices[i].Samples, in[i])
			}
		}
		covered := 0
		for _, n := range pairs {
			if n >= 5 {
				covered++
			}
		}
		// A pair can occur if some scenario that is allowed has it, under a base that
		// leans all the way.
		can := map[pair]bool{}
		for _, x := range enumerate(s, s.baseMarginals(1)) {
			if x.p == 0 || !allowed(s, x.codes) {
				continue
			}
			for f, code := range x.codes {
				for g, other := range x.codes[:f] {
					if code.IsLevel() && other.IsLevel() {
						can[pair{f, int(code), g, int(other)}] = true
					}
				}
			}
		}
		count, _, ok, err := m.Pairs()
		if want := (Pairs{Possible: len(can), Covered: covered, Never: len(can) - len(pairs)}); err != nil || !ok || count != want {
			t.Fatalf("pairs: %+v, counted %+v (%v)", count, want, err)
		}
		if n := float64(got.Samples); !(got.Effective >= 0 && got.Effective <= n*(1+1e-9)) {
			t.Fatalf("%v of %v samples are effective", got.Effective, n)
		}
	})
}

// Rows are used only where their density is known, and what is left out is counted
// by why.
func TestRowsWithoutDensity(t *testing.T) {
	s := skewed(3)
	older, newer := mixtureOf(t, s, .2, share{Slice{{Factor: 0, Level: 3}}, .3}), mixtureOf(t, s, .2, share{Slice{{Factor: 1, Level: 3}}, .3})
	line := func(source Source, from *Sampler, codes ...Code) Line {
		l := Line{Codes: codes, Source: source, Origin: Synthetic, Rows: 1, Weight: MicroUnits}
		if from != nil {
			l.Weight = int64(math.Round(from.Target(codes) / from.Density(codes) * MicroUnits))
		}
		return l
	}
	e := &Evidence{}
	for _, l := range []Line{
		line(SourceTarget, nil, 0, 0, 0), line(SourceTarget, nil, 0, Unknown, 0), line(SourceProbe, nil, 0, 0, 1),
		line(SourceMixture, older, 3, 0, 0), line(SourceMixture, newer, 0, 3, 0), line(SourceMixture, newer, 1, 3, 0),
		{Codes: []Code{2, 2, 2}, Source: SourceMixture, Origin: Synthetic, Rows: 1, Weight: 123},
		{Codes: []Code{2, 2, 2}, Age: 1, Source: SourceMixture, Origin: Synthetic, Rows: 1, Weight: 123},
	} {
		e.Append(l)
	}
	e.Sort()
	o, err := NewOffPolicy(s, e, []*Sampler{older, newer})
	if err != nil {
		t.Fatal(err)
	}
	p := &o.pools[0]
	if want := (YieldRows{Used: 4, Unknown: 1, Unplaced: 1, Probes: 1}); p.rows != want || p.rows.Total() != 7 {
		t.Errorf("%+v, want %+v", p.rows, want)
	}
	// The pool's density is that of one row of the target, one of the older and two of
	// the newer mixture.
	for _, l := range p.lines {
		want := (newer.Target(l.codes) + older.Density(l.codes) + 2*newer.Density(l.codes)) / 4
		if math.Abs(l.density.float64()-want) > 1e-12*want {
			t.Errorf("density of %v is %v, want %v", l.codes, l.density.float64(), want)
		}
	}
}

// An estimate from too little is refused, with what to do about it.
func TestYieldIsRefused(t *testing.T) {
	s := skewed(3)
	rare := Slice{{Factor: 0, Level: 3}, {Factor: 1, Level: 3}, {Factor: 2, Level: 3}}
	g := ground{space: s, fails: func([]Code) float64 { return .2 }, made: mixtureOf(t, s, .2)}
	random := rand.New(rand.NewPCG(1, 1))
	for name, x := range map[string]struct {
		n         int
		group     int
		candidate *Sampler
		problem   string
	}{
		"few rows":           {60, 0, mixtureOf(t, s, 0), "only 60 of 60 rows"},
		"far away":           {400, 0, mixtureOf(t, s, 0, share{Slice{{Factor: 0, Level: 3}, {Factor: 1, Level: 2}}, .6}), "effective sample size"},
		"a slice unseen":     {150, 0, mixtureOf(t, s, 0, share{rare, .5}), "no row says anything of 50% of the mixture, such as of a=z ∧ b=z ∧ c=z"},
		"few groups of many": {15, 100, mixtureOf(t, s, 0), "effective sample size"},
	} {
		e := g.rows(t, random, x.n, 0, x.group)
		o, err := NewOffPolicy(s, e, nil)
		if err != nil {
			t.Fatal(err)
		}
		var refused *Error
		if _, err := o.Yield(0, x.candidate); !errors.As(err, &refused) || !strings.Contains(refused.Problem, x.problem) || refused.Remedy == "" {
			t.Errorf("%s: %v, want a refusal that says %q", name, err, x.problem)
		}
	}
}

// What is estimated of any mixture from any evidence is a probability, or refused.
func TestYieldIsAProbability(t *testing.T) {
	estimated := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 3)
		p := drawPolicy(t)
		e := drawEvidence(t, s, 2000)
		chain := Chain{Space: s, Policy: p, Seed: 3}
		rounds, err := chain.Decide(e.Views(), Budget{Campaign: "c", Number: 1, Train: 100})
		if err != nil {
			return
		}
		o, err := NewOffPolicy(s, e, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := NewSimulation(s)
		if err := m.Add(o, nil, rounds, rounds); err != nil {
			t.Fatal(err)
		}
		for _, y := range m.Rounds[0].Yields {
			if y.Refused != nil {
				continue
			}
			estimated++
			r := y.Candidate.Rate
			if !(0 <= r.Lower && r.Lower <= r.Expected && r.Expected <= r.Upper && r.Upper <= 1) {
				t.Fatalf("%+v", r)
			}
		}
	})
	if estimated == 0 {
		t.Error("everything was refused: nothing was tested")
	}
}

// Folds deal out every row once; what is without a fold is evidence, and is the
// whole with what the fold has.
func TestViews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 3, 3)
		e := drawEvidence(t, s, 300)
		views := e.Views()
		if len(views) != folds+1 || views[0] != e {
			t.Fatalf("%d views", len(views))
		}
		newest, rows, failures := int64(0), int64(0), int64(0)
		for i := range e.Len() {
			if e.Age[i] == 0 {
				newest += e.Rows[i]
			}
		}
		for _, v := range views[1:] {
			if err := v.Validate(s); err != nil {
				t.Fatal(err)
			}
			rows += e.TotalRows() - v.TotalRows()
			for i := range e.Len() {
				failures += e.Failures[i]
			}
			for i := range v.Len() {
				failures -= v.Failures[i]
			}
		}
		for i := range e.Len() {
			if e.Age[i] == 0 {
				failures -= e.Failures[i]
			}
		}
		if rows != newest || failures != 0 {
			t.Fatalf("the folds have %d rows of %d, and %d failures too many", rows, newest, failures)
		}
	})
}
