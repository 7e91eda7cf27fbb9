package program

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"hone/loop"
)

// Generator is a program that makes samples.
type Generator struct{ pool *pool }

// Unit is what a generator is asked to make.
type Unit struct {
	// ID names the unit in the program's own log.
	ID       string
	Campaign string
	// CampaignSeed is for what a whole campaign shares.
	CampaignSeed uint64
	Space        *loop.Space
	Samples      []Sample
}

// Sample is one sample of a unit.
type Sample struct {
	Index    uint64
	Scenario loop.Scenario
	// Seed is the sample's own: everything random in it derives from it.
	Seed uint64
}

// OpenGenerator starts a first process of the program and returns when it has
// described itself, or with the reason why not. It is to be closed.
func OpenGenerator(ctx context.Context, o Options) (*Generator, error) {
	p, err := openPool(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("generator %s: %w", o.Name, err)
	}
	return &Generator{p}, nil
}

// Close stops every process, and returns when nothing of them is left.
func (g *Generator) Close() error { return g.pool.close() }

// Describe is what campaigns call the generator, and what it says of itself.
func (g *Generator) Describe() loop.Generator {
	d := g.pool.described
	return loop.Generator{Name: g.pool.o.Name, Version: d.Version, Deterministic: d.Deterministic}
}

// Outputs are the members that every sample has; nil if the program does not
// say.
func (g *Generator) Outputs() []string { return slices.Clone(g.pool.described.Outputs) }

// Make has a process make the unit, and emits each sample once, in the order in
// which it answers, from the calling goroutine. It may be called concurrently,
// and waits for a process if all are busy. An error of emit is final; a *Breach
// says what the program did wrong.
func (g *Generator) Make(ctx context.Context, u Unit, emit func(index uint64, members []loop.Member) error) error {
	err := g.pool.use(ctx, func(ctx context.Context, process *process, dir string) error {
		return g.converse(ctx, process, dir, &u, emit)
	})
	if err != nil {
		return fmt.Errorf("generator %s: %w", g.pool.o.Name, err)
	}
	return nil
}

func (g *Generator) converse(ctx context.Context, process *process, dir string, u *Unit, emit func(index uint64, members []loop.Member) error) error {
	message := unit{Type: "unit", ID: u.ID, Dir: dir, Campaign: u.Campaign, CampaignSeed: seedText(u.CampaignSeed)}
	open := make(map[uint64]bool, len(u.Samples))
	for i := range u.Samples {
		s := &u.Samples[i]
		c, err := conditionsOf(u.Space, s.Scenario)
		if err != nil {
			return fmt.Errorf("sample %d: %w", s.Index, err)
		}
		message.Samples = append(message.Samples, wanted{s.Index, seedText(s.Seed), c})
		open[s.Index] = true
	}
	l, err := line(message)
	if err != nil {
		return err
	}
	files, err := newCollector(dir)
	if err != nil {
		return err
	}
	defer files.close()
	process.send(l)
	for {
		var (
			made   sample
			end    done
			reason failed
		)
		kind, err := process.next(ctx, map[string]any{"sample": &made, "done": &end, "failed": &reason})
		switch {
		case err != nil:
			return err
		case kind == "failed":
			return gaveUp(reason)
		case kind == "done":
			return complete(end, len(u.Samples), open)
		}
		if err := expect(made.Index, len(u.Samples), open); err != nil {
			return err
		}
		for _, name := range g.pool.described.Outputs {
			if _, ok := made.Files[name]; !ok {
				return &Breach{Rule: RuleOutputs, Expected: fmt.Sprintf("%s in every sample, as the description says", name),
					Got: fmt.Sprintf("sample %d without it", *made.Index), Remedy: "name every member in files, or leave it out of outputs"}
			}
		}
		members, err := files.members(made.Files)
		if err != nil {
			return err
		}
		if err := emit(*made.Index, members); err != nil {
			return err
		}
	}
}

// expect takes an index off those that are open.
func expect(index *uint64, asked int, open map[uint64]bool) error {
	refuse := func(got string) error {
		return &Breach{Rule: RuleIndices, Expected: fmt.Sprintf("each of the %d samples that were asked for, once", asked), Got: got,
			Remedy: "answer with the index of the sample in the unit"}
	}
	if index == nil {
		return refuse("one without an index")
	}
	unanswered, known := open[*index]
	switch {
	case !known:
		return refuse(fmt.Sprintf("index %d, which was not asked for", *index))
	case !unanswered:
		return refuse(fmt.Sprintf("index %d a second time", *index))
	}
	open[*index] = false
	return nil
}

// complete judges a "done".
func complete(end done, asked int, open map[uint64]bool) error {
	for _, index := range slices.Sorted(maps.Keys(open)) {
		if open[index] {
			return &Breach{Rule: RuleIndices, Expected: fmt.Sprintf("each of the %d samples that were asked for, once", asked),
				Got: fmt.Sprintf("\"done\" before index %d", index), Remedy: `if a unit cannot be made, answer {"type":"failed","error":"why"}`}
		}
	}
	if end.Samples == nil || *end.Samples != asked {
		got := "none"
		if end.Samples != nil {
			got = fmt.Sprint(*end.Samples)
		}
		return &Breach{Rule: RuleIndices, Expected: fmt.Sprintf("\"done\" with samples %d", asked), Got: got, Remedy: "count the lines that were answered"}
	}
	return nil
}

func gaveUp(f failed) error {
	reason := f.Error
	if reason == "" {
		reason = "without a reason"
	}
	return &Breach{Rule: RuleMade, Expected: "an answer", Got: "the program says that it failed: " + reason}
}
