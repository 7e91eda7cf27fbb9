package main

import (
	"context"

	"hone/loop"
)

// growing measures what small first rounds make of the same samples: campaigns by
// hone and by uniform whose rounds grow from a small first one, so that a model
// tells what it lacks before much is made. All else is as in part samples.
type growing struct{}

func (growing) name() string { return "growing" }

func (growing) run(ctx context.Context, o *options) ([]measure, error) {
	campaigns, err := o.campaigns(ctx, o.grown())
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
		var uniform, even []*campaign
		for _, c := range of(campaigns, name, false, loop.StrategyUniform) {
			if c.First > 0 {
				uniform = append(uniform, c)
			} else {
				even = append(even, c)
			}
		}
		c := comparison{name: "growing/" + name + "/hone", seeds: o.seedList(), with: of(campaigns, name, false, loop.StrategyHone), uniform: uniform, natural: natural, goals: true}
		out = append(out, c.measures()...)
		c.name, c.uniform, c.goals = "growing/"+name+"/hone-against-even", even, false
		out = append(out, c.measures()...)
		out = append(out, lostToNull("growing/"+name, o.seedList(), of(campaigns, name, true, loop.StrategyHone), of(campaigns, name, true, loop.StrategyUniform)))
	}
	return out, nil
}

// grown are the campaigns that part growing is about: those that grow, and the even
// ones by uniform, which it is held against as well.
func (o *options) grown() []settings {
	var out []settings
	for _, seed := range o.seedList() {
		for _, world := range o.worlds {
			for _, null := range []bool{false, true} {
				for _, strategy := range []string{loop.StrategyHone, loop.StrategyUniform} {
					s := o.settings(world, strategy, seed, null)
					s.First = o.small
					out = append(out, s)
				}
			}
			out = append(out, o.settings(world, loop.StrategyUniform, seed, false))
		}
	}
	return out
}
