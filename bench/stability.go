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

// calm is the most that the mixture may move from round to round, as total
// variation, where nothing is planted: all that it then follows is noise.
const calm = .05

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
	var out []measure
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
				if null {
					out = append(out, move.goal(m <= calm, "<= %v", calm))
					continue
				}
				m, lower, upper = interval(each(found, (*campaign).oscillation))
				out = append(out, move, measure{Name: name + "/oscillation", Value: m, Unit: "index", Seeds: o.seedList(),
					Note: "0 where mixtures keep going one way, .29 for a random walk, 1 where every second one is the same"}.
					within(lower, upper))
			}
		}
	}
	return out, nil
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
