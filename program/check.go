package program

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"hone/loop"
)

// Finding is the outcome of one check of a program.
type Finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// Warning says that what was found is allowed, and yet hardly meant.
	Warning  bool   `json:"warning,omitempty"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	// Remedy is empty where nothing need be done.
	Remedy string `json:"remedy"`
}

// Complete reports whether nothing was left untried because of what had failed
// before.
func Complete(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Check == checkSpeed })
}

// Maker is a generator that can be checked: a [Generator], or one in Go.
type Maker interface {
	Describe() loop.Generator
	Make(ctx context.Context, u Unit, emit func(index uint64, members []loop.Member) error) error
}

// The checks beside those of rules.
const (
	checkDescribes = "describes itself"
	checkEnds      = "ends with its input"
	checkLeaves    = "leaves no process behind"
	checkSpeed     = "speed"
)

// checkOf names the check that a breach of a rule fails.
var checkOf = map[Rule]string{
	RuleDescription: checkDescribes,
	RuleMade:        "does its work",
	RuleTime:        "answers in time",
	RuleAlive:       "stays alive",
	RuleMessages:    "writes the protocol alone",
	RuleIndices:     "answers each sample once",
	RuleOutputs:     "has the outputs it describes",
	RuleFiles:       "leaves plain files in its directory",
}

// talking are the rules that every unit is held to.
var talking = []Rule{RuleMade, RuleTime, RuleAlive, RuleMessages, RuleIndices}

// exam collects findings.
type exam struct {
	ctx      context.Context
	findings []Finding
	// broke are the first breaches of rules.
	broke map[Rule]*Breach
	// other is the first error that is no breach.
	other error
	// names are those of the checks that a breach of a rule fails.
	names map[Rule]string
	// space names that of the scenarios.
	space string
	// strayed tells of what went wrong between units.
	strayed func() *Breach
}

func (x *exam) add(f Finding) { x.findings = append(x.findings, f) }

// passed says that something is as expected.
func (x *exam) passed(check, expected, got string) {
	x.add(Finding{Check: check, OK: true, Expected: expected, Got: got})
}

// fails notes an error of a conversation, and reports whether there is one.
func (x *exam) fails(err error) bool {
	if err == nil {
		return false
	}
	if breach, ok := errors.AsType[*Breach](err); ok {
		if x.broke[breach.Rule] == nil {
			x.broke[breach.Rule] = breach
		}
	} else if x.other == nil {
		x.other = err
	}
	return true
}

// rules lists what came of the rules that units are held to, each breach first
// among them, since nothing behind it was seen.
func (x *exam) rules(rules []Rule, units int) {
	if b := x.strayed(); b != nil {
		x.fails(b)
	}
	for _, rule := range slices.Sorted(maps.Keys(x.broke)) {
		b := x.broke[rule]
		got := b.Got
		if b.Last != "" {
			got += "; its last words:\n" + b.Last
		}
		x.add(Finding{Check: x.names[rule], Expected: b.Expected, Got: got, Remedy: x.hint(rule, b.Remedy)})
	}
	if x.other != nil {
		x.add(Finding{Check: x.names[RuleMade], Expected: "no error", Got: x.other.Error(), Remedy: x.hint(RuleMade, "")})
	}
	if len(x.broke) == 0 && x.other == nil {
		for _, rule := range rules {
			x.passed(x.names[rule], "so in every unit", fmt.Sprintf("so in %d units", units))
		}
	}
}

// hint adds what a program fails of most often when it is tried out.
func (x *exam) hint(rule Rule, remedy string) string {
	if rule != RuleMade && rule != RuleAlive {
		return remedy
	}
	if remedy != "" {
		remedy += "; "
	}
	return remedy + fmt.Sprintf("the scenarios were of space %q: if the program is written for another, give it by --space FILE", x.space)
}

func newExam(ctx context.Context) *exam {
	return &exam{ctx: ctx, broke: map[Rule]*Breach{}, names: maps.Clone(checkOf), strayed: func() *Breach { return nil }}
}

// CheckGenerator tries a program out and reports how it keeps to PROTOCOL.md. It
// asks for scenarios of the space. What it cannot try, because of what failed
// before, is not in the list. The error is that of ctx.
func CheckGenerator(ctx context.Context, o Options, space *loop.Space) ([]Finding, error) {
	x := newExam(ctx)
	g, ok := x.open(func() (tried, error) { return OpenGenerator(ctx, o) })
	if !ok {
		return x.findings, ctx.Err()
	}
	generator := g.(*Generator)
	x.strayed = generator.pool.strayed
	d := generator.Describe()
	x.passed(checkDescribes, "a description with a version", fmt.Sprintf("version %s, outputs %v, deterministic %v", d.Version, generator.Outputs(), d.Deterministic))
	fresh := func() (Maker, func() error, error) {
		another, err := OpenGenerator(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		return another, another.Close, nil
	}
	if x.makes(generator, space, fresh, slices.Concat(talking, []Rule{RuleOutputs, RuleFiles})) {
		x.ends(generator.pool)
	}
	return x.findings, errors.Join(ctx.Err(), generator.Close())
}

// CheckMaker is CheckGenerator for one in Go, as far as that makes sense.
func CheckMaker(ctx context.Context, m Maker, space *loop.Space) ([]Finding, error) {
	x := newExam(ctx)
	d := m.Describe()
	if loop.ValidName(d.Name) && d.Version != "" {
		x.passed(checkDescribes, "a name and a version", fmt.Sprintf("%s@%s, deterministic %v", d.Name, d.Version, d.Deterministic))
	} else {
		x.add(Finding{Check: checkDescribes, Expected: "a name and a version", Got: fmt.Sprintf("%q and %q", d.Name, d.Version)})
	}
	x.makes(counted{m}, space, func() (Maker, func() error, error) { return counted{m}, func() error { return nil }, nil },
		[]Rule{RuleMade, RuleIndices})
	return x.findings, ctx.Err()
}

// counted holds a generator in Go to what is asked of programs: the samples that
// were asked for, each once.
type counted struct{ Maker }

func (c counted) Make(ctx context.Context, u Unit, emit func(index uint64, members []loop.Member) error) error {
	asked := map[uint64]bool{}
	for i := range u.Samples {
		asked[u.Samples[i].Index] = true
	}
	var mu sync.Mutex // it may emit from any goroutine
	err := c.Maker.Make(ctx, u, func(index uint64, members []loop.Member) error {
		mu.Lock()
		defer mu.Unlock()
		if err := expect(&index, len(u.Samples), asked); err != nil {
			return err
		}
		return emit(index, members)
	})
	if err != nil {
		return err
	}
	n := len(u.Samples)
	return complete(done{Samples: &n}, n, asked)
}

// tried is a program that was opened to be checked.
type tried interface{ Close() error }

// open starts a program, or says why it does not start.
func (x *exam) open(start func() (tried, error)) (tried, bool) {
	t, err := start()
	if err == nil {
		return t, true
	}
	f := Finding{Check: checkDescribes, Expected: "that it starts", Got: err.Error()}
	if b, ok := errors.AsType[*Breach](err); ok {
		f.Expected, f.Got, f.Remedy = b.Expected, b.Got, b.Remedy
		if b.Last != "" {
			f.Got += "; its last words:\n" + b.Last
		}
	}
	x.add(f)
	return nil, false
}

// The unit that generators are tried on.
const (
	checkSamples = 8
	checkFirst   = 100 // an index is not a count from 0
	checkSeed    = 20260101
	checkUnits   = 8 // at most, for the speed
)

// checkFor is about how long units are made for the speed.
const checkFor = 2 * time.Second

// made is what came of a unit: the digest of every sample.
type made map[uint64]loop.Digest

// try makes a unit.
func (x *exam) try(m Maker, u Unit) (made, bool) {
	out := made{}
	err := m.Make(x.ctx, u, func(index uint64, members []loop.Member) error {
		digest, err := loop.SampleDigest(members)
		if err != nil {
			return &Breach{Rule: RuleFiles, Expected: "members with names", Got: err.Error()}
		}
		out[index] = digest
		return nil
	})
	return out, !x.fails(err)
}

// makes tries a generator on units of scenarios of a space, and reports whether
// it makes them.
func (x *exam) makes(m Maker, space *loop.Space, fresh func() (Maker, func() error, error), rules []Rule) bool {
	x.space = space.Name
	u, absent, err := checkUnit(space)
	if err != nil {
		x.add(Finding{Check: x.names[RuleMade], Expected: "scenarios of the space", Got: err.Error()})
		return false
	}
	began := time.Now()
	first, ok := x.try(m, u)
	firstTook := time.Since(began)
	again, backward, other := made{}, made{}, made{}
	if ok {
		again, ok = x.try(m, u)
	}
	if ok {
		backward, ok = x.try(m, reversed(u))
	}
	if ok {
		other, ok = x.try(m, reseeded(u))
	}
	elsewhere := made{}
	if ok {
		var another Maker
		var end func() error
		if another, end, err = fresh(); !x.fails(err) {
			elsewhere, ok = x.try(another, u)
			ok = !x.fails(end()) && ok
		} else {
			ok = false
		}
	}
	units, samples := 5, 0
	began = time.Now()
	for i := 0; ok && i < checkUnits && time.Since(began) < checkFor; i++ {
		_, ok = x.try(m, u)
		units, samples = units+1, samples+len(u.Samples)
	}
	took := time.Since(began)
	x.rules(rules, units)
	if !ok {
		return false
	}
	if absent {
		x.passed("takes absent factors", "samples also where a conditional factor is absent", "samples with and without")
	}
	x.repeats(m.Describe().Deterministic, u, first, []repeat{
		{"in the same process", again}, {"in another order", backward}, {"in a fresh process", elsewhere},
	})
	x.seeds(u, first, other)
	x.passed(checkSpeed, "for information", fmt.Sprintf("%s samples/s in one process; the first unit of %d took %s",
		perSecond(samples, took), len(u.Samples), firstTook.Round(time.Millisecond)))
	return true
}

// repeat is what came of a unit that had been made before.
type repeat struct {
	where string
	made  made
}

// repeats compares what the same seeds gave.
func (x *exam) repeats(promised bool, u Unit, first made, others []repeat) {
	const check = "same seed, same bytes"
	expected := "the same bytes whenever a unit is made again"
	for _, other := range others {
		for i := range u.Samples {
			index := u.Samples[i].Index
			if first[index] == other.made[index] {
				continue
			}
			got := fmt.Sprintf("sample %d with other bytes %s", index, other.where)
			f := Finding{Check: check, Expected: expected, Got: got,
				Remedy: "take everything random from the sample's own seed, not from the clock, a global generator or earlier samples; or leave deterministic out of the description"}
			if !promised {
				f.OK, f.Remedy = true, ""
				f.Expected, f.Got = "for information: deterministic is not promised", got
			}
			x.add(f)
			return
		}
	}
	got := "the same in the same process, in another order, and in a fresh process"
	if !promised {
		x.passed(check, "for information: deterministic is not promised", got+`; if that holds on every machine, say "deterministic":true`)
		return
	}
	x.passed(check, expected, got)
}

// seeds looks whether seeds change anything.
func (x *exam) seeds(u Unit, first, other made) {
	const check, expected = "another seed, other bytes", "another sample of the same scenario"
	for i := range u.Samples {
		if index := u.Samples[i].Index; first[index] == other[index] {
			x.add(Finding{Check: check, OK: true, Warning: true, Expected: expected, Got: fmt.Sprintf("sample %d with the same bytes", index),
				Remedy: "seed what is random with the sample's seed; else a thousand samples of a scenario are one sample a thousand times"})
			return
		}
	}
	x.passed(check, expected, fmt.Sprintf("%d of %d differ", len(u.Samples), len(u.Samples)))
}

// ends stops a program that is idle, as Hone does.
func (x *exam) ends(p *pool) {
	process, err := p.acquire(x.ctx)
	if err != nil {
		x.add(Finding{Check: checkEnds, Expected: "a process", Got: err.Error()})
		return
	}
	end := process.stop()
	f := Finding{Check: checkEnds, OK: end.signalled == "", Expected: fmt.Sprintf("its end within %v after that of standard input", p.o.grace),
		Got: "its end after " + end.took.Round(100*time.Microsecond).String()}
	if !f.OK {
		f.Got += " and " + end.signalled
		f.Remedy = "read standard input until it ends, then leave; close what keeps threads running"
	}
	x.add(f)
	f = Finding{Check: checkLeaves, OK: !process.survivors, Expected: "that all it has started ends with it", Got: "nothing is left"}
	if !f.OK {
		f.Got = "processes in its group that live on (they were killed)"
		f.Remedy = "end child processes, and wait for them, before the program ends"
	}
	x.add(f)
}

// checkUnit draws a unit; absent says that some conditional factor is absent in
// one of its scenarios and present in another.
func checkUnit(space *loop.Space) (u Unit, absent bool, err error) {
	drawn, err := space.Draw(nil, 256, checkSeed)
	if err != nil {
		return u, false, err
	}
	for f := range space.Factors {
		if space.Factors[f].When == nil {
			continue
		}
		isAbsent := func(s loop.Scenario) bool { return s.Codes[f] == loop.Absent }
		without := slices.IndexFunc(drawn, isAbsent)
		with := slices.IndexFunc(drawn, func(s loop.Scenario) bool { return !isAbsent(s) })
		if without >= 0 && with >= 0 {
			other := max(with, without) // the first is one of the two
			drawn[1], drawn[other], absent = drawn[other], drawn[1], true
			break
		}
	}
	at := loop.Unit{Campaign: "check", Domain: loop.Train, Round: 1, First: checkFirst, Count: checkSamples}
	u = Unit{ID: at.ID(), Campaign: at.Campaign, CampaignSeed: checkSeed, Space: space}
	for i := range at.Count {
		name := at.Name(i)
		u.Samples = append(u.Samples, Sample{Index: name.Index, Scenario: drawn[i], Seed: loop.SampleSeed(checkSeed, name)})
	}
	return u, absent, nil
}

func reversed(u Unit) Unit {
	u.Samples = slices.Clone(u.Samples)
	slices.Reverse(u.Samples)
	return u
}

// reseeded is the next attempt at a unit: the same scenarios, other seeds.
func reseeded(u Unit) Unit {
	u.Samples = slices.Clone(u.Samples)
	for i := range u.Samples {
		u.Samples[i].Seed = loop.SampleSeed(checkSeed, loop.Name{Round: 1, Index: u.Samples[i].Index, Attempt: 1})
	}
	return u
}

func perSecond(n int, took time.Duration) string {
	rate := float64(n) / took.Seconds()
	if rate < 10 {
		return strconv.FormatFloat(rate, 'g', 2, 64)
	}
	return strconv.FormatFloat(rate, 'f', 0, 64)
}

// CheckSpace is the space of the page's transcripts, for programs that have none
// yet: a level, a number, a condition and a label.
func CheckSpace() *loop.Space {
	return &loop.Space{Name: "check", Version: 1, Factors: []loop.Factor{
		{Name: "light", Kind: loop.Categorical, Levels: []loop.Level{{Name: "low", Target: 0.3}, {Name: "day", Target: 0.7}}},
		{Name: "distance", Kind: loop.Numeric, Levels: []loop.Level{{Name: "[0,5)", Target: 0.5, High: 5}, {Name: "[5,10)", Target: 0.5, Low: 5, High: 10}}},
		{Name: "glove", Kind: loop.Categorical, Levels: []loop.Level{{Name: "no", Target: 0.5}, {Name: "yes", Target: 0.5}}},
		{Name: "glove_colour", Kind: loop.Categorical, When: &loop.LevelSet{Factor: 2, Levels: []int{1}},
			Levels: []loop.Level{{Name: "blue", Target: 0.5}, {Name: "orange", Target: 0.5}}},
	}, Derived: []loop.Derived{{Name: "visible", Levels: []string{"no", "yes"}, Otherwise: 1,
		Rules: []loop.DerivedRule{{When: []loop.LevelSet{{Factor: 0, Levels: []int{0}}}, Level: 0}}}}}
}
