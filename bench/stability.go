package main

import (
	"context"
	"fmt"

	"hone/loop"
)

// stability measures how calmly a strategy moves: mixtures that go back and
// forth make a fleet warm up and cool down for nothing. It looks at the
// campaigns of part samples.
type stability struct{}

func (stability) name() string { return "stability" }

const (
	// calm is the most that the mixture may move from round to round, as total
	// variation, where rows fail whatever their scenario is.
	calm       = .02
	calmRounds = 6
)

func (stability) run(ctx context.Context, o *options) ([]measure, error) {
	var wanted []settings
	for _, seed := range o.seedList() {
		for _, world := range o.worlds {
			for _, strategy := range o.compared()[1:] {
				wanted = append(wanted, o.settings(world, strategy, seed, false))
				if strategy == loop.StrategyHone {
					wanted = append(wanted, o.settings(world, strategy, seed, true))
				}
			}
		}
	}
	campaigns, err := o.campaigns(ctx, wanted)
	if err != nil {
		return nil, err
	}
	out, err := o.noise(ctx)
	if err != nil {
		return nil, err
	}
	for _, world := range o.worlds {
		for _, strategy := range o.compared()[1:] {
			for _, null := range []bool{false, true} {
				found := of(campaigns, world, null, strategy)
				if len(found) == 0 {
					continue
				}
				name := fmt.Sprintf("stability/%s/%s", world, strategy)
				if null {
					name = fmt.Sprintf("stability/%s-null/%s", world, strategy)
				}
				m, lower, upper := interval(each(found, (*campaign).moved))
				move := measure{Name: name + "/move", Value: m, Unit: "total variation", Seeds: o.seedList(),
					Note: "between the mixtures of consecutive rounds, mean"}.within(lower, upper)
				m, lower, upper = interval(each(found, (*campaign).oscillation))
				out = append(out, move, measure{Name: name + "/oscillation", Value: m, Unit: "index", Seeds: o.seedList(),
					Note: "0 where mixtures keep going one way, .29 for a random walk, 1 where every second one is the same"}.
					within(lower, upper))
			}
		}
	}
	return out, nil
}

// noise measures how much strategies move by evidence that says nothing.
func (o *options) noise(ctx context.Context) ([]measure, error) {
	var out []measure
	for _, name := range o.worlds {
		w, err := newWorld(name, false)
		if err != nil {
			return nil, err
		}
		for _, strategy := range o.compared()[1:] {
			var moves []float64
			for _, seed := range o.seedList() {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				rounds, err := chain{world: w, strategy: strategy, seed: seed, flat: true}.rounds(calmRounds)
				if err != nil {
					return nil, err
				}
				move := 0.0
				for i := range rounds[1:] {
					tv, err := w.variation(rounds[i+1], rounds[i])
					if err != nil {
						return nil, err
					}
					move += tv / float64(len(rounds)-1)
				}
				moves = append(moves, move)
			}
			m, lower, upper := interval(moves)
			noise := measure{Name: fmt.Sprintf("stability/%s/%s/noise", name, strategy), Value: m, Unit: "total variation", Seeds: o.seedList(),
				Note: "between consecutive rounds, mean, where rows fail whatever their scenario is"}.within(lower, upper)
			if strategy == loop.StrategyHone {
				noise = noise.goal(m <= calm, "<= %v", calm)
			}
			out = append(out, noise)
			fmt.Fprintf(o.log, "stability: noise, world %s, strategy %s: %.3f\n", name, strategy, m)
		}
	}
	return out, nil
}

// variation is the total variation between the training mixtures of two rounds,
// estimated from the first one's scenarios.
func (w *world) variation(a, b *loop.Round) (float64, error) {
	p, err := loop.NewSampler(w.space, a)
	if err != nil {
		return 0, err
	}
	q, err := loop.NewSampler(w.space, b)
	if err != nil {
		return 0, err
	}
	var drawn [][]loop.Code
	for i := range a.Components {
		for index := range a.Components[i].Quota {
			if a.Components[i].Domain != loop.Train {
				break
			}
			x, err := p.Scenario(loop.Train, a.Components[i].Number, index)
			if err != nil {
				return 0, err
			}
			drawn = append(drawn, x.Codes)
		}
	}
	return variation(drawn, p, q), nil
}

// moved is the mean total variation between consecutive mixtures.
func (c *campaign) moved() float64 {
	if len(c.Points) < 2 {
		return 0
	}
	sum := 0.0
	for i := range c.Points[1:] {
		sum += c.Points[i+1].Move
	}
	return sum / float64(len(c.Points)-1)
}

// oscillation compares how far the mixture of every second round is away with the
// way there: 1 - Σ TV(q_t, q_t+2) / Σ (TV(q_t, q_t+1) + TV(q_t+1, q_t+2)). By the
// triangle inequality it is from 0 to 1, but for the estimate's error; 0 for what
// never moves.
func (c *campaign) oscillation() float64 {
	way, apart := 0.0, 0.0
	for i := 2; i < len(c.Points); i++ {
		way += c.Points[i-1].Move + c.Points[i].Move
		apart += c.Points[i].Turn
	}
	if way == 0 {
		return 0
	}
	return 1 - apart/way
}
