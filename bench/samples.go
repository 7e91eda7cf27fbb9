package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"hone/loop"
)

// samples measures what strategies make of samples: campaigns by each of them,
// side by side over the same seeds, exams and numbers of evaluation rows. Where
// rows are charged, they are charged to those that look at them.
type samples struct{}

func (samples) name() string { return "samples" }

func (samples) run(ctx context.Context, o *options) ([]measure, error) {
	campaigns, err := o.campaigns(ctx, o.sampled())
	if err != nil {
		return nil, err
	}
	var out []measure
	for _, name := range o.worlds {
		w, err := newWorld(name, false)
		if err != nil {
			return nil, err
		}
		natural, err := w.space.Mass(w.unlearnable)
		if err != nil {
			return nil, err
		}
		uniform := of(campaigns, name, false, loop.StrategyUniform)
		for _, strategy := range o.compared() {
			c := comparison{name: "samples/" + name + "/" + strategy, seeds: o.seedList(),
				with: of(campaigns, name, false, strategy), uniform: uniform, natural: natural, goals: strategy == loop.StrategyHone}
			out = append(out, c.measures()...)
		}
		if hone := of(campaigns, name, true, loop.StrategyHone); len(hone) > 0 {
			out = append(out, lostToNull("samples/"+name, o.seedList(), hone, of(campaigns, name, true, loop.StrategyUniform)))
		}
	}
	return out, nil
}

// compared are the strategies asked for, uniform and hone first.
func (o *options) compared() []string {
	out := []string{loop.StrategyUniform}
	for _, s := range append([]string{loop.StrategyHone}, loop.Strategies()...) {
		if slices.Contains(o.strategies, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// sampled are the campaigns that part samples is about: seed by seed, so that
// what is whole of a run that was stopped is whole seeds.
func (o *options) sampled() []settings {
	var out []settings
	for _, seed := range o.seedList() {
		for _, world := range o.worlds {
			for _, strategy := range o.compared() {
				out = append(out, o.settings(world, strategy, seed, false))
			}
			if slices.Contains(o.strategies, loop.StrategyHone) {
				out = append(out, o.settings(world, loop.StrategyHone, seed, true), o.settings(world, loop.StrategyUniform, seed, true))
			}
		}
	}
	return out
}

func (o *options) settings(world, strategy string, seed uint64, null bool) settings {
	s := settings{World: world, Null: null, Strategy: strategy, Seed: seed, Rounds: o.rounds, Long: o.rounds,
		Samples: o.samples, Evaluation: o.evaluation, Steps: o.steps}
	if strategy == loop.StrategyUniform && !null {
		s.Long = o.long
	}
	return s
}

func of(campaigns []*campaign, world string, null bool, strategy string) []*campaign {
	var out []*campaign
	for _, c := range campaigns {
		if c.World == world && c.Null == null && c.Strategy == strategy {
			out = append(out, c)
		}
	}
	return out
}

// comparison is campaigns by one strategy against those by uniform, paired by
// seed.
type comparison struct {
	name          string
	seeds         []uint64
	with, uniform []*campaign
	natural       float64 // the unlearnable slice's mass in deployment
	goals         bool
}

func (c *comparison) measures() []measure {
	out := []measure{c.worst(), c.lost(), c.noise(), c.toMark(false), c.toMark(true)}
	for i := range out {
		out[i].Seeds = c.seeds
	}
	return out
}

// blind strategies look at no evidence.
var blind = []string{loop.StrategyUniform, loop.StrategyTarget, loop.StrategyStratified}

func each(campaigns []*campaign, f func(*campaign) float64) []float64 {
	out := make([]float64, len(campaigns))
	for i, c := range campaigns {
		out[i] = f(c)
	}
	return out
}

func mean(values []float64) float64 {
	m, _, _ := interval(values)
	return m
}

// worst is the accuracy of the worst slice after the campaign's rounds.
func (c *comparison) worst() measure {
	worst := func(c *campaign) float64 { return c.last().worst() }
	with, uniform := each(c.with, worst), each(c.uniform, worst)
	ratios := make([]float64, len(with))
	for i := range ratios {
		ratios[i] = with[i] / max(uniform[i], 1e-3)
	}
	ratio, lower, upper := interval(ratios)
	m := measure{Name: c.name + "/worst", Value: mean(with), Unit: "accuracy"}.against(mean(uniform)).within(lower, upper)
	m.Ratio = &ratio
	if c.goals {
		m = m.goal(ratio >= 3 && m.Value >= .6, "ratio >= 3, value >= 0.6")
	}
	return m
}

// lost is by how many points uniform is more accurate in deployment.
func lost(with, uniform []*campaign) []float64 {
	out := make([]float64, len(with))
	for i := range out {
		out[i] = 100 * (uniform[i].last().Mean - with[i].last().Mean)
	}
	return out
}

// lostToNull is what hone loses where nothing is planted.
func lostToNull(name string, seeds []uint64, hone, uniform []*campaign) measure {
	m, lower, upper := interval(lost(hone, uniform))
	return measure{Name: name + "-null/hone/mean-lost", Value: m, Unit: "points", Seeds: seeds,
		Note: "accuracy in deployment lost to uniform where nothing is planted"}.
		within(lower, upper).goal(m <= .5, "<= 0.5")
}

func (c *comparison) lost() measure {
	value, lower, upper := interval(lost(c.with, c.uniform))
	m := measure{Name: c.name + "/mean-lost", Value: value, Unit: "points",
		Note: fmt.Sprintf("accuracy in deployment lost to uniform, which has %.4f", mean(each(c.uniform, func(c *campaign) float64 { return c.last().Mean })))}.
		within(lower, upper)
	if c.goals {
		m = m.goal(value <= 1, "<= 1")
	}
	return m
}

// noise is what was spent on the slice that nothing mends.
func (c *comparison) noise() measure {
	shares := each(c.with, func(c *campaign) float64 { return c.Noise })
	times := each(c.with, func(x *campaign) float64 { return x.Noise / c.natural })
	ratio, lower, upper := interval(times)
	m := measure{Name: c.name + "/noise", Value: mean(shares), Unit: "share",
		Note: fmt.Sprintf("of training samples in the unlearnable slice, against its share of deployment; most %.3f", slices.Max(shares))}.
		against(c.natural).within(lower, upper)
	if c.goals {
		m = m.goal(ratio <= 2, "ratio <= 2")
	}
	return m
}

// toMark is how many samples it takes until the worst slice is at the mark. What
// never came so far is counted as if it had at its end: for uniform that makes
// the ratio look worse than it is, for the strategy better, and a note says so.
func (c *comparison) toMark(charged bool) measure {
	name, goal := c.name+"/to-mark", 1.0/12
	count := func(p *point) float64 { return float64(p.Samples) }
	if charged {
		name, goal = name+"-charged", 1.0/5
		count = func(p *point) float64 { return float64(p.Samples + p.Rows) }
	}
	never, uniformNever := 0, 0
	var with, uniform, logs []float64
	for i := range c.with {
		p, ok := c.with[i].toMark()
		if !ok {
			never++
		}
		q, ok := c.uniform[i].toMark()
		if !ok {
			uniformNever++
		}
		n := count(p)
		if slices.Contains(blind, c.with[i].Strategy) {
			n = float64(p.Samples)
		}
		with, uniform = append(with, n), append(uniform, float64(q.Samples))
		logs = append(logs, math.Log(n/float64(q.Samples)))
	}
	l, lower, upper := interval(logs)
	ratio := math.Exp(l)
	m := measure{Name: name, Value: mean(with), Unit: "samples"}.against(mean(uniform)).within(math.Exp(lower), math.Exp(upper))
	m.Ratio = &ratio
	if c.with[0].Strategy == loop.StrategyUniform {
		uniformNever = 0
	}
	switch {
	case never > 0 && uniformNever > 0:
		m.Bound = unbounded
	case never > 0:
		m.Bound = atLeast
	case uniformNever > 0:
		m.Bound = atMost
	}
	if never > 0 {
		m.Note = fmt.Sprintf("%d of %d never came to %.2f: they are counted as if they had at their end", never, len(with), mark)
	}
	if uniformNever > 0 {
		if m.Note != "" {
			m.Note += "; "
		}
		m.Note += fmt.Sprintf("uniform never did in %d, counted likewise", uniformNever)
	}
	if c.goals {
		m = m.goal(ratio <= goal && never == 0, "ratio <= 1/%.0f", 1/goal)
	}
	return m
}
