package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"hone/examples/shapes"
	"hone/loop"
)

// arm is a campaign and the training job that it serves, in process: the
// decisions, scenarios, seeds and importance weights are those of the product.
type arm struct {
	settings
	world *world
	exam  *shapes.Exam
	log   io.Writer // nil: says nothing

	policy  loop.Policy
	learner *shapes.Learner
	// recent is the outcomes of the newest model versions, newest first.
	recent []*loop.Evidence
	// samplers are of the last rounds, newest first, at most three.
	samplers []*loop.Sampler
}

// settings name a campaign: equal settings give equal results.
type settings struct {
	World    string `json:"world"`
	Null     bool   `json:"null,omitempty"`
	Strategy string `json:"strategy"`
	Seed     uint64 `json:"seed"`
	// Rounds are made in any case, and up to Long until the worst slice is at the
	// mark.
	Rounds  int    `json:"rounds"`
	Long    int    `json:"long"`
	Samples uint64 `json:"samples"`
	// First is the samples of the first round, where rounds grow; Samples is then
	// what they make on average, and each one after them.
	First      uint64 `json:"first,omitempty"`
	Evaluation uint64 `json:"evaluation"`
	Steps      int    `json:"steps"`
}

// campaign is what became of it.
type campaign struct {
	settings
	Points []point `json:"points"`
	// Noise is the part of the training samples of the first Rounds that lay in the
	// unlearnable slice.
	Noise float64 `json:"noise"`
	// Seconds is how long it took; it is no part of the result.
	Seconds float64 `json:"seconds"`
}

// point is the state after a round.
type point struct {
	// Samples were trained on, and Rows evaluated, up to here.
	Samples int `json:"samples"`
	Rows    int `json:"rows"`
	// Mean accuracy in deployment, and that of the learnable slices in order.
	Mean   float64   `json:"mean"`
	Slices []float64 `json:"slices"`
	// Move is the total variation between the round's mixture and that of the round
	// before, Turn between it and the one before that: 0 to 1.
	Move float64 `json:"move"`
	Turn float64 `json:"turn"`
}

func (p *point) worst() float64 { return slices.Min(p.Slices) }

// mark is the accuracy of the worst slice to which samples are counted.
const mark = .35

// last is the state after the campaign's own rounds.
func (c *campaign) last() *point { return &c.Points[min(c.Rounds, len(c.Points))-1] }

// toMark is the first state in which the worst slice is at the mark; false where
// it never is, with the last one.
func (c *campaign) toMark() (*point, bool) {
	for i := range c.Points {
		if c.Points[i].worst() >= mark {
			return &c.Points[i], true
		}
	}
	return &c.Points[len(c.Points)-1], false
}

func (a *arm) run(ctx context.Context) (*campaign, error) {
	a.policy = loop.DefaultPolicy()
	a.policy.Name, a.policy.Version, a.policy.Strategy = a.Strategy, 1, a.Strategy
	a.learner = shapes.NewLearner(shapes.LearnerOptions{Seed: a.Seed, Steps: a.Steps})
	result := &campaign{settings: a.settings}
	var previous *loop.Round
	rows, inNoise := 0, 0
	asked := loop.Campaign{Samples: a.Samples * uint64(a.Rounds), Rounds: a.Rounds, FirstSamples: a.First}
	for number := 1; number <= a.Rounds || number <= a.Long; number++ {
		if number > a.Rounds {
			if _, ok := result.toMark(); ok {
				break
			}
		}
		budget := loop.Budget{Campaign: "loop", Number: number, Train: a.Samples, Evaluation: plan(a.Evaluation)}
		if number <= a.Rounds {
			budget.Train = asked.RoundSamples(number)
		}
		round, err := loop.Decide(a.world.space, &a.policy, previous, a.evidence(), budget, a.Seed)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", number, err)
		}
		previous = &round
		a.tell(&round)
		var drawn [][]loop.Code
		err = a.world.make(&round, loop.Train, func(s made) {
			a.learner.Add(&s.picture, s.class, s.weight)
			drawn = append(drawn, s.codes)
			if a.world.unlearnable.Matches(s.codes) {
				inNoise++
			}
		})
		if err != nil {
			return nil, err
		}
		if number == a.Rounds {
			result.Noise = float64(inNoise) / float64(a.learner.Len())
		}
		p := point{Samples: a.learner.Len()}
		if p.Move, p.Turn, err = a.moved(&round, drawn); err != nil {
			return nil, err
		}
		if err := a.learner.Train(ctx); err != nil {
			return nil, err
		}
		evaluated, err := a.evaluate(&round)
		if err != nil {
			return nil, err
		}
		rows += evaluated
		_, score := a.exam.Take(a.learner)
		p.Rows, p.Mean, p.Slices = rows, score.Mean, score.Slices
		result.Points = append(result.Points, p)
		if a.log != nil {
			fmt.Fprintf(a.log, "%s seed %d %s round %d: mean %.4f slices %.3f move %.3f\n", a.World, a.Seed, a.Strategy, number, p.Mean, p.Slices, p.Move)
		}
	}
	return result, nil
}

// plan divides evaluation rows: half are of the mixture, half of the target or, a
// sixth of that, of what is suspected; a strategy that suspects nothing has those
// of the target, too.
func plan(rows uint64) loop.EvaluationPlan {
	probe := rows / 12
	return loop.EvaluationPlan{Target: rows/2 - probe, Mixture: rows - rows/2, Probe: probe}
}

// evaluate judges what the round makes for evaluation, and makes evidence of it.
func (a *arm) evaluate(round *loop.Round) (rows int, err error) {
	var pictures []shapes.Picture
	var classes []uint8
	var samples []made
	err = a.world.make(round, loop.Evaluation, func(s made) {
		pictures, classes, samples = append(pictures, s.picture), append(classes, uint8(s.class)), append(samples, s)
	})
	if err != nil {
		return 0, err
	}
	e := &loop.Evidence{}
	for i, j := range a.learner.Evaluate(pictures, classes) {
		s := &samples[i]
		line := loop.Line{Codes: s.codes, Source: s.component.Source, Origin: loop.Synthetic, Rows: 1,
			Weight: min(max(1, int64(math.Round(s.weight*loop.MicroUnits))), 1e6*loop.MicroUnits),
			Loss:   int64(math.Round(j.Loss * loop.MicroUnits))}
		if !j.Correct {
			line.Failures = 1
		}
		e.Append(line)
	}
	a.recent = append([]*loop.Evidence{e}, a.recent...)
	a.recent = a.recent[:min(len(a.recent), a.policy.Window)]
	return len(samples), nil
}

// evidence puts the newest model versions together; nil before there is any.
func (a *arm) evidence() *loop.Evidence {
	if len(a.recent) == 0 {
		return nil
	}
	all := &loop.Evidence{}
	for age, e := range a.recent {
		for i := range e.Len() {
			codes := make([]loop.Code, len(e.Codes))
			for f := range codes {
				codes[f] = e.Codes[f][i]
			}
			all.Append(loop.Line{Codes: codes, Age: uint8(age), Source: e.Source[i], Origin: e.Origin[i], Weight: e.Weight[i],
				Rows: e.Rows[i], Failures: e.Failures[i], Loss: e.Loss[i]})
		}
	}
	all.Sort()
	return all
}

// moved is the total variation between the round's mixture and each of the two
// before it; 0 where there was none. drawn are its training scenarios.
func (a *arm) moved(round *loop.Round, drawn [][]loop.Code) (move, turn float64, err error) {
	sampler, err := loop.NewSampler(a.world.space, round)
	if err != nil {
		return 0, 0, err
	}
	a.samplers = append([]*loop.Sampler{sampler}, a.samplers...)
	a.samplers = a.samplers[:min(len(a.samplers), 3)]
	if len(a.samplers) > 1 {
		move = variation(drawn, sampler, a.samplers[1])
	}
	if len(a.samplers) > 2 {
		turn = variation(drawn, sampler, a.samplers[2])
	}
	return move, turn, nil
}

// variation estimates the total variation between two mixtures from scenarios
// drawn from the first: TV = E max(0, 1 - q(x)/p(x)).
func variation(drawn [][]loop.Code, p, q *loop.Sampler) float64 {
	if len(drawn) == 0 {
		return 0
	}
	sum := 0.0
	for _, codes := range drawn {
		sum += max(0, 1-q.Density(codes)/p.Density(codes))
	}
	return sum / float64(len(drawn))
}

func (a *arm) tell(round *loop.Round) {
	if a.log == nil {
		return
	}
	for i := range round.Components {
		if c := &round.Components[i]; c.Domain == loop.Train && c.Reason != nil {
			fmt.Fprintf(a.log, "%s seed %d %s round %d: %4d of %s\n", a.World, a.Seed, a.Strategy, round.Number, c.Quota, c.Reason.Sentence)
		}
	}
	for _, note := range round.Notes {
		fmt.Fprintf(a.log, "%s seed %d %s round %d: note: %s\n", a.World, a.Seed, a.Strategy, round.Number, note)
	}
}
