package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"hone/examples/shapes"
	"hone/loop"
	"hone/spec"
)

func decisionCommand() *cli.Command {
	return &cli.Command{
		Name:  "decision",
		Usage: "loop against uniform sampling on the shapes world, in process",
		UsageText: "bench decision --seeds 5 --output json\n" +
			"bench decision --first 10 --seeds 10 --world null",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "first", Usage: "the first seed", Value: 0},
			&cli.IntFlag{Name: "seeds", Usage: "how many seeds", Value: 2},
			&cli.IntFlag{Name: "rounds", Usage: "rounds per campaign", Value: 12},
			&cli.IntFlag{Name: "samples", Usage: "training samples per round", Value: 1500},
			&cli.IntFlag{Name: "evaluation", Usage: "evaluation rows per round, half target, half mixture", Value: 3000},
			&cli.IntFlag{Name: "steps", Usage: "optimiser steps per round", Value: 250},
			&cli.StringFlag{Name: "world", Usage: "planted, or null: without slices that mislead", Value: "planted"},
			&cli.StringFlag{Name: "output", Usage: "table or json", Value: "table"},
			&cli.BoolFlag{Name: "explain", Usage: "print every round's boosts to stderr"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("decision takes no argument, got %q", c.Args().First())
			}
			world := shapes.World{}
			switch c.String("world") {
			case "planted":
			case "null":
				world.Null = true
			default:
				return fmt.Errorf("--world %q: planted or null", c.String("world"))
			}
			if out := c.String("output"); out != "table" && out != "json" {
				return fmt.Errorf("--output %q: table or json", out)
			}
			if c.Int("seeds") < 1 || c.Int("rounds") < 1 || c.Int("samples") < 1 || c.Int("evaluation") < 0 || c.Int("steps") < 1 {
				return fmt.Errorf("--seeds, --rounds, --samples and --steps are at least 1")
			}
			e := experiment{
				world: world, rounds: c.Int("rounds"), samples: uint64(c.Int("samples")),
				evaluation: uint64(c.Int("evaluation")), steps: c.Int("steps"), log: os.Stderr,
				explain: c.Bool("explain"),
			}
			report, err := e.run(c.Context, c.Uint64("first"), c.Int("seeds"))
			if err != nil {
				return err
			}
			if c.String("output") == "json" {
				return json.NewEncoder(os.Stdout).Encode(report)
			}
			report.table(os.Stdout)
			return nil
		},
	}
}

// experiment compares strategy hone with strategy uniform: the same budget,
// learner, seeds and numbers of evaluation rows.
type experiment struct {
	world      shapes.World
	rounds     int
	samples    uint64 // per round
	evaluation uint64 // rows per round, half of each source
	steps      int
	log        io.Writer
	explain    bool
	space      *loop.Space
}

// decisionReport is what the bench prints.
type decisionReport struct {
	World  string       `json:"world"`
	Rounds int          `json:"rounds"`
	Seeds  []seedReport `json:"seeds"`
	// Ratio is of the worst slices' accuracies, loop over uniform, paired by
	// seed; Lower and Upper bound its mean (Student t, 95 %).
	Ratio          float64 `json:"ratio"`
	RatioLower     float64 `json:"ratio_lower"`
	RatioUpper     float64 `json:"ratio_upper"`
	RatioLeast     float64 `json:"ratio_least"`
	MeanLossPoints float64 `json:"mean_loss_points"`
	// NoiseShareMost is the largest share of the loop's training samples in the
	// unlearnable slice; NoiseTarget that slice's mass in the target.
	NoiseShareMost float64 `json:"noise_share_most"`
	NoiseTarget    float64 `json:"noise_target"`
	ElapsedSeconds float64 `json:"elapsed_seconds"`
}

type seedReport struct {
	Seed    uint64    `json:"seed"`
	Loop    armReport `json:"loop"`
	Uniform armReport `json:"uniform"`
	Ratio   float64   `json:"ratio"`
}

type armReport struct {
	WorstSliceAccuracy float64        `json:"worst_slice_accuracy"`
	MeanAccuracy       float64        `json:"mean_accuracy"`
	NoiseSliceShare    float64        `json:"noise_slice_share"`
	SamplesToWorst035  *int           `json:"samples_to_worst_035"`
	Scores             []shapes.Score `json:"scores"`
}

func (e *experiment) run(ctx context.Context, first uint64, seeds int) (*decisionReport, error) {
	start := time.Now()
	space, err := spec.ParseSpace(shapes.SpaceDocument)
	if err != nil {
		return nil, err
	}
	space.Version = 1
	e.space = &space
	r := &decisionReport{World: "planted", Rounds: e.rounds}
	if e.world.Null {
		r.World = "null"
	}
	noise, err := spec.SliceOf(e.space, shapes.Unlearnable())
	if err != nil {
		return nil, err
	}
	if r.NoiseTarget, err = space.Mass(noise); err != nil {
		return nil, err
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		s, err := e.seed(ctx, seed, noise)
		if err != nil {
			return nil, fmt.Errorf("seed %d: %w", seed, err)
		}
		r.Seeds = append(r.Seeds, s)
		fmt.Fprintf(e.log, "seed %d: worst %.3f against %.3f, ratio %.2f, mean %.4f against %.4f, noise share %.3f against %.3f (%.0f s)\n",
			seed, s.Loop.WorstSliceAccuracy, s.Uniform.WorstSliceAccuracy, s.Ratio, s.Loop.MeanAccuracy, s.Uniform.MeanAccuracy,
			s.Loop.NoiseSliceShare, s.Uniform.NoiseSliceShare, time.Since(start).Seconds())
	}
	r.summarise()
	r.ElapsedSeconds = time.Since(start).Seconds()
	return r, nil
}

// seed runs both arms of one seed side by side.
func (e *experiment) seed(ctx context.Context, seed uint64, noise loop.Slice) (seedReport, error) {
	renderer, err := shapes.NewRenderer(e.space, e.world)
	if err != nil {
		return seedReport{}, err
	}
	exam, err := e.exam(renderer, seed)
	if err != nil {
		return seedReport{}, fmt.Errorf("exam: %w", err)
	}
	out := seedReport{Seed: seed}
	group, ctx := errgroup.WithContext(ctx)
	for name, to := range map[string]*armReport{loop.StrategyHone: &out.Loop, loop.StrategyUniform: &out.Uniform} {
		policy := loop.DefaultPolicy()
		policy.Name, policy.Version, policy.Strategy = name, 1, name
		a := &arm{experiment: e, policy: policy, seed: seed, renderer: renderer, exam: exam, noise: noise,
			learner: shapes.NewLearner(shapes.LearnerOptions{Seed: seed, Steps: e.steps})}
		group.Go(func() (err error) {
			*to, err = a.run(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return seedReport{}, err
	}
	out.Ratio = out.Loop.WorstSliceAccuracy / math.Max(out.Uniform.WorstSliceAccuracy, 1e-3)
	return out, nil
}

// The exam's numbers of scenes.
const (
	examTarget = 4000
	examSlice  = 400
)

// exam makes the frozen set of pictures that both arms are judged by: a
// campaign of evaluation samples only.
func (e *experiment) exam(renderer *shapes.Renderer, seed uint64) (*shapes.Exam, error) {
	plan := loop.EvaluationPlan{Target: examTarget}
	for _, named := range shapes.Learnable() {
		slice, err := spec.SliceOf(e.space, named)
		if err != nil {
			return nil, err
		}
		plan.Pinned = append(plan.Pinned, loop.Pinned{Slice: slice, Count: examSlice})
	}
	policy := loop.DefaultPolicy()
	policy.Name, policy.Version = "exam", 1
	round, err := loop.Decide(e.space, &policy, nil, nil, loop.Budget{Campaign: "exam", Number: 1, Evaluation: plan}, seed+shapes.ExamSeed)
	if err != nil {
		return nil, err
	}
	exam := &shapes.Exam{}
	err = e.make(renderer, &round, loop.Evaluation, func(s made) {
		exam.Add(s.component.Number, &s.picture, s.class)
	})
	return exam, err
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
func (e *experiment) make(renderer *shapes.Renderer, round *loop.Round, domain loop.Domain, emit func(made)) error {
	sampler, err := loop.NewSampler(e.space, round)
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
			ok := false
			for attempt := 0; attempt < loop.DefaultMaxAttempts && !ok; attempt++ {
				name := loop.Name{Domain: domain, Round: round.Number, Component: c.Number, Index: index, Attempt: attempt}
				if s.picture, s.class, err = renderer.Render(s.codes, loop.SampleSeed(round.Seed, name)); err != nil {
					return err
				}
				ok = !blank(&s.picture)
			}
			if ok {
				emit(s)
			}
		}
	}
	return nil
}

func blank(p *shapes.Picture) bool {
	for _, v := range p {
		if v != p[0] {
			return false
		}
	}
	return true
}

// arm is one campaign and its training job.
type arm struct {
	*experiment
	policy   loop.Policy
	seed     uint64
	renderer *shapes.Renderer
	exam     *shapes.Exam
	noise    loop.Slice
	learner  *shapes.Learner
	// recent is the outcomes of the newest model versions, newest first.
	recent []*loop.Evidence
}

func (a *arm) run(ctx context.Context) (armReport, error) {
	var report armReport
	var previous *loop.Round
	inNoise := 0
	for number := 1; number <= a.rounds; number++ {
		budget := loop.Budget{Campaign: "loop", Number: number, Train: a.samples,
			Evaluation: loop.EvaluationPlan{Target: a.evaluation / 2, Mixture: a.evaluation - a.evaluation/2}}
		round, err := loop.Decide(a.space, &a.policy, previous, a.evidence(), budget, a.seed)
		if err != nil {
			return report, err
		}
		previous = &round
		a.tell(&round)
		err = a.make(a.renderer, &round, loop.Train, func(s made) {
			a.learner.Add(&s.picture, s.class, s.weight)
			if a.noise.Matches(s.codes) {
				inNoise++
			}
		})
		if err != nil {
			return report, err
		}
		if err := a.learner.Train(ctx); err != nil {
			return report, err
		}
		if err := a.evaluate(&round); err != nil {
			return report, err
		}
		_, score := a.exam.Take(a.learner)
		report.Scores = append(report.Scores, score)
		if a.explain {
			fmt.Fprintf(a.log, "seed %d %s round %d: mean %.4f slices %.3f\n", a.seed, a.policy.Strategy, number, score.Mean, score.Slices)
		}
	}
	last := report.Scores[len(report.Scores)-1]
	report.WorstSliceAccuracy, report.MeanAccuracy = last.Worst(), last.Mean
	report.NoiseSliceShare = float64(inNoise) / float64(a.learner.Len())
	if n, ok := shapes.SamplesTo(report.Scores, .35); ok {
		report.SamplesToWorst035 = &n
	}
	return report, nil
}

// evaluate judges the round's evaluation samples and makes evidence of it.
func (a *arm) evaluate(round *loop.Round) error {
	var pictures []shapes.Picture
	var classes []uint8
	var samples []made
	err := a.make(a.renderer, round, loop.Evaluation, func(s made) {
		pictures, classes, samples = append(pictures, s.picture), append(classes, uint8(s.class)), append(samples, s)
	})
	if err != nil {
		return err
	}
	e := &loop.Evidence{}
	for i, j := range a.learner.Evaluate(pictures, classes) {
		line := loop.Line{Codes: samples[i].codes, Source: samples[i].component.Source, Origin: loop.Synthetic,
			Rows: 1, Loss: int64(math.Round(j.Loss * loop.MicroUnits))}
		if !j.Correct {
			line.Failures = 1
		}
		e.Append(line)
	}
	a.recent = append([]*loop.Evidence{e}, a.recent...)
	a.recent = a.recent[:min(len(a.recent), a.policy.Window)]
	return nil
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
			all.Append(loop.Line{Codes: codes, Age: uint8(age), Source: e.Source[i], Origin: e.Origin[i],
				Rows: e.Rows[i], Failures: e.Failures[i], Loss: e.Loss[i]})
		}
	}
	all.Sort()
	return all
}

func (a *arm) tell(round *loop.Round) {
	if !a.explain {
		return
	}
	for i := range round.Components {
		if c := &round.Components[i]; c.Domain == loop.Train && c.Reason != nil {
			fmt.Fprintf(a.log, "seed %d %s round %d: %4d of %s\n", a.seed, a.policy.Strategy, round.Number, c.Quota, c.Reason.Sentence)
		}
	}
	for _, note := range round.Notes {
		fmt.Fprintf(a.log, "seed %d %s round %d: note: %s\n", a.seed, a.policy.Strategy, round.Number, note)
	}
}

func (r *decisionReport) summarise() {
	ratios := make([]float64, len(r.Seeds))
	r.RatioLeast = math.Inf(1)
	for i, s := range r.Seeds {
		ratios[i] = s.Ratio
		r.RatioLeast = min(r.RatioLeast, s.Ratio)
		r.MeanLossPoints += 100 * (s.Uniform.MeanAccuracy - s.Loop.MeanAccuracy) / float64(len(r.Seeds))
		r.NoiseShareMost = max(r.NoiseShareMost, s.Loop.NoiseSliceShare)
	}
	r.Ratio, r.RatioLower, r.RatioUpper = interval(ratios)
}

// interval is the mean of values and its 95 % interval by Student's t; of one
// value, that value three times.
func interval(values []float64) (mean, lower, upper float64) {
	mean = stat.Mean(values, nil)
	n := float64(len(values))
	if n < 2 {
		return mean, mean, mean
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(.975)
	half := t * stat.StdDev(values, nil) / math.Sqrt(n)
	return mean, mean - half, mean + half
}

func (r *decisionReport) table(w io.Writer) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.AppendHeader(table.Row{"seed", "worst: loop", "uniform", "ratio", "mean: loop", "uniform", "noise: loop", "uniform", "to .35: loop", "uniform"})
	to := func(n *int) string {
		if n == nil {
			return "never"
		}
		return fmt.Sprint(*n)
	}
	f := func(x float64) string { return fmt.Sprintf("%.3f", x) }
	for _, s := range r.Seeds {
		t.AppendRow(table.Row{s.Seed, f(s.Loop.WorstSliceAccuracy), f(s.Uniform.WorstSliceAccuracy), f(s.Ratio),
			f(s.Loop.MeanAccuracy), f(s.Uniform.MeanAccuracy), f(s.Loop.NoiseSliceShare), f(s.Uniform.NoiseSliceShare),
			to(s.Loop.SamplesToWorst035), to(s.Uniform.SamplesToWorst035)})
	}
	t.Render()
	fmt.Fprintf(w, "ratio %.2f (%.2f to %.2f; least %.2f), mean loss %.2f points, noise share at most %.3f (target %.4f), %.0f s\n",
		r.Ratio, r.RatioLower, r.RatioUpper, r.RatioLeast, r.MeanLossPoints, r.NoiseShareMost, r.NoiseTarget, r.ElapsedSeconds)
}
