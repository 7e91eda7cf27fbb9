package coordinator

import (
	"context"
	"fmt"
	"slices"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// spending is what a campaign has taken so far.
type spending struct {
	campaign state.Campaign
	rounds   []state.Round
	// made is what its samples took, of training by the slice whose component they are
	// of, and of all else under the empty slice.
	made []loop.Made
	now  loop.Progress
}

// spending asks the view. Where nothing was made yet nothing is asked.
func (c *Control) spending(ctx context.Context, name string) (*spending, error) {
	p := &spending{}
	q := loop.EvidenceQuery{Campaign: name, FirstRound: 1, Timed: true}
	c.c.node.View(func(s *state.State) {
		p.campaign, _ = s.Campaign(name)
		p.rounds, q.AtLeast = s.Rounds(name), s.Sequence()
	})
	if p.campaign.Total.Committed == 0 {
		return p, nil
	}
	q.Space, q.SpaceVersion, q.LastRound = p.campaign.Campaign.Space, p.campaign.SpaceVersion, len(p.rounds)
	for i := range p.rounds {
		round := &p.rounds[i].Decided.Round
		for j := range round.Components {
			if k := &round.Components[j]; k.Domain == loop.Train && len(k.Slice) > 0 {
				q.Sliced = append(q.Sliced, loop.Sliced{Round: round.Number, Domain: k.Domain, Component: k.Number, Slice: k.Slice})
			}
		}
	}
	evidence, _, err := c.c.o.View.Evidence(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("what campaign %s has taken: %w", name, err)
	}
	p.made, p.now = evidence.Made, progressOf(&p.campaign)
	p.now.Spend(p.campaign.Campaign, p.made)
	read(&p.now, p.campaign.Spent)
	return p, nil
}

// read has a campaign spend what its workers' meters say: they count what was made in
// vain, too. Of what was made before there were meters the evidence says more.
func read(now *loop.Progress, spent state.Spent) {
	now.Millis, now.Money = max(now.Millis, float64(spent.Millis)), max(now.Money, float64(spent.Micros)/1e6)
}

// progressOf is how far a campaign has come, as state knows it.
func progressOf(campaign *state.Campaign) loop.Progress {
	return loop.Progress{Day: today(), Round: campaign.Round, Decided: campaign.Domains[loop.Train].Quota,
		Samples: campaign.Domains[loop.Train].Committed, Evaluation: campaign.Domains[loop.Evaluation].Committed}
}

// cost is what so much of generators' time is, in the campaign's terms.
func (p *spending) cost(millis float64) api.Cost { return costOf(&p.campaign.Campaign.Price, millis) }

// costOf is what so much of generators' time is, at a price.
func costOf(price *loop.Price, millis float64) api.Cost {
	out := api.Cost{GPUSeconds: millis / 1000}
	if price.Known() {
		money := price.Of(millis)
		out.Money, out.Currency = &money, price.Currency
	}
	return out
}

// ahead is what so many training samples more would take, with what is made to
// evaluate them; nil where nobody knows.
func (p *spending) ahead(samples uint64) *api.Cost {
	if p.now.Samples == 0 || !(p.now.Millis > 0) {
		return nil
	}
	cost := p.cost(p.now.Millis / float64(p.now.Samples) * float64(samples))
	return &cost
}

// buys is how many training samples an amount buys, with what is made to evaluate
// them.
func (p *spending) buys(money float64) (uint64, error) {
	switch {
	case !p.campaign.Campaign.Price.Known():
		return 0, &loop.Error{Field: "money", Problem: fmt.Sprintf("campaign %q does not say what generating costs", p.campaign.Campaign.Name),
			Remedy: "ask by samples; the next campaign may have price: {gpu_hour: 2.50}"}
	case p.now.Samples == 0 || !(p.now.Money > 0):
		return 0, loop.Conflict("money", "what a sample of campaign %q costs is not known before some are made", p.campaign.Campaign.Name)
	}
	return uint64(min(max(1, money/p.now.Money*float64(p.now.Samples)), float64(loop.MaxQuota))), nil
}

// total is all of it; nil where nothing was made.
func (p *spending) total() *api.Spent {
	if !(p.now.Millis > 0) {
		return nil
	}
	asked := p.campaign.Campaign
	out := &api.Spent{Cost: p.cost(p.now.Millis), Samples: p.now.Samples, Evaluation: p.now.Evaluation, Most: asked.Money}
	if pays, ok := asked.Pays(&p.now); ok {
		left := asked.Samples - min(asked.Samples, p.now.Samples)
		out.Pays, out.Left, out.Binds = &pays, &left, "samples"
		if pays < left || asked.ByMoney {
			out.Binds = "money"
		}
	}
	return out
}

// own is what was spent on a slice's own samples.
func (p *spending) own(slice loop.Slice) (millis, each float64) {
	for _, m := range p.made {
		if m.Slice.Equal(slice) {
			millis = loop.Spent([]loop.Made{m})
			return millis, millis / float64(max(1, m.Accepted))
		}
	}
	return 0, 0
}

// flat are the slices of which more samples do not help: those that damping holds
// back, and those whose outlook says so; with what they took, and take no more.
func (p *spending) flat(space *loop.Space, forecasts []api.SliceForecast, sliced []loop.Slice) []api.FlatSlice {
	var memory []loop.Remembered
	if n := len(p.rounds); n > 0 {
		memory = p.rounds[n-1].Decided.Round.Memory.Slices
	}
	out := []api.FlatSlice{}
	add := func(slice loop.Slice, why string) {
		f := api.FlatSlice{Name: space.Describe(slice), Slice: space.Names(slice), Why: why}
		if slices.ContainsFunc(out, func(o api.FlatSlice) bool { return o.Name == f.Name }) {
			return
		}
		for i := range p.rounds {
			round, quota := &p.rounds[i].Decided.Round, uint64(0)
			for j := range round.Components {
				if k := &round.Components[j]; k.Domain == loop.Train && k.Slice.Equal(slice) {
					quota += k.Quota
				}
			}
			f.Samples, f.Latest = f.Samples+quota, quota
			if quota > 0 && f.Since == 0 {
				f.Since = round.Number
			}
			if quota > f.Most {
				f.Most, f.MostRound = quota, round.Number
			}
		}
		millis, each := p.own(slice)
		f.Cost, f.Saved = p.cost(millis), p.cost(each*float64(f.Most-f.Latest))
		out = append(out, f)
	}
	for _, r := range damped(memory) {
		why := fmt.Sprintf("damped to %.0f%%", 100*r.Damping)
		if r.Quarantined {
			why = "in quarantine"
		}
		add(r.Slice, why)
	}
	for i, f := range forecasts {
		if len(sliced[i]) > 0 && (f.Outlook == loop.NoLongerPays || f.Outlook == loop.Unlearnable) {
			add(sliced[i], string(f.Outlook))
		}
	}
	return out
}
