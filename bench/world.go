package main

import (
	"fmt"

	"hone/examples/shapes"
	"hone/loop"
	"hone/spec"
)

// world is something that a learner has to learn from samples: a space, what a
// scenario looks like, and where it is hard.
type world struct {
	name  string
	space *loop.Space
	// learnable are the planted slices that an ordinary share of samples leaves
	// wrong and a larger one mends; unlearnable is the one that nothing mends.
	learnable   []loop.Slice
	unlearnable loop.Slice
	// draw renders a scenario: all worlds give shapes.Pixels gray values and one of
	// as many classes as there are shapes, so that one learner serves them all.
	draw func(codes []loop.Code, seed uint64) (shapes.Picture, int, error)
}

// builders are the worlds, by name; a null world has nothing planted in it.
var builders = []struct {
	name  string
	build func(null bool) (*world, error)
}{
	{"shapes", shapesWorld},
	{"nose", noseWorld},
}

func worldNames() []string {
	var names []string
	for _, b := range builders {
		names = append(names, b.name)
	}
	return names
}

func newWorld(name string, null bool) (*world, error) {
	for _, b := range builders {
		if b.name == name {
			w, err := b.build(null)
			if err != nil {
				return nil, fmt.Errorf("world %s: %w", name, err)
			}
			return w, nil
		}
	}
	return nil, fmt.Errorf("no world %q", name)
}

// shapesWorld is the demo's, on which the default policy was tuned.
func shapesWorld(null bool) (*world, error) {
	w, err := emptyWorld("shapes", shapes.SpaceDocument, shapes.Learnable(), shapes.Unlearnable())
	if err != nil {
		return nil, err
	}
	renderer, err := shapes.NewRenderer(w.space, shapes.World{Null: null})
	if err != nil {
		return nil, err
	}
	w.draw = renderer.Render
	return w, nil
}

func emptyWorld(name string, document []byte, learnable []map[string]string, unlearnable map[string]string) (*world, error) {
	space, err := spec.ParseSpace(document)
	if err != nil {
		return nil, err
	}
	space.Version = 1
	w := &world{name: name, space: &space}
	for _, named := range learnable {
		slice, err := spec.SliceOf(w.space, named)
		if err != nil {
			return nil, err
		}
		w.learnable = append(w.learnable, slice)
	}
	w.unlearnable, err = spec.SliceOf(w.space, unlearnable)
	return w, err
}

// made is one sample that passed the gate.
type made struct {
	component *loop.Component
	codes     []loop.Code
	weight    float64
	picture   shapes.Picture
	class     int
}

// make makes a round's samples of one domain, in the order of a manifest. What
// the gate would send back is made anew with the next attempt, as in the
// product.
func (w *world) make(round *loop.Round, domain loop.Domain, emit func(made)) error {
	sampler, err := loop.NewSampler(w.space, round)
	if err != nil {
		return err
	}
	for i := range round.Components {
		c := &round.Components[i]
		if c.Domain != domain {
			continue
		}
		for index := range c.Quota {
			scenario, err := sampler.Scenario(domain, c.Number, index)
			if err != nil {
				return err
			}
			s := made{component: c, codes: scenario.Codes, weight: sampler.Weight(domain, c.Number, scenario.Codes)}
			for attempt := range loop.DefaultMaxAttempts {
				name := loop.Name{Domain: domain, Round: round.Number, Component: c.Number, Index: index, Attempt: attempt}
				if s.picture, s.class, err = w.draw(s.codes, loop.SampleSeed(round.Seed, name)); err != nil {
					return err
				}
				if !blank(&s.picture) {
					emit(s)
					break
				}
			}
		}
	}
	return nil
}

// blank pictures are what the built-in gate sends back.
func blank(p *shapes.Picture) bool {
	for _, v := range p {
		if v != p[0] {
			return false
		}
	}
	return true
}

// The exam's numbers of scenes: of the target, and of each learnable slice.
const (
	examTarget = 4000
	examSlice  = 400
)

// exam makes the frozen set that all campaigns of a seed are judged by: a
// campaign of evaluation samples only.
func (w *world) exam(seed uint64) (*shapes.Exam, error) {
	plan := loop.EvaluationPlan{Target: examTarget}
	for _, slice := range w.learnable {
		plan.Pinned = append(plan.Pinned, loop.Pinned{Slice: slice, Count: examSlice})
	}
	policy := loop.DefaultPolicy()
	policy.Name, policy.Version = "exam", 1
	round, err := loop.Decide(w.space, &policy, nil, nil, loop.Budget{Campaign: "exam", Number: 1, Evaluation: plan}, seed+shapes.ExamSeed)
	if err != nil {
		return nil, err
	}
	exam := &shapes.Exam{}
	err = w.make(&round, loop.Evaluation, func(s made) { exam.Add(s.component.Number, &s.picture, s.class) })
	return exam, err
}
