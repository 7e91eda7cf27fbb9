package coordinator

import (
	"context"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// previewSamples is from how many samples of a round the shares of levels are
// estimated.
const previewSamples = 20_000

// previewRound shows the proposal that waits, or what would be decided now.
// Nothing is kept of the latter, its evidence neither.
func (c *Control) previewRound(ctx context.Context, in *roundOf) (api.Preview, error) {
	var campaign state.Campaign
	var previous *state.Round
	var last state.Proposal
	var void *loop.Error
	var proposed bool
	var space state.SpaceVersion
	var policy state.PolicyVersion
	var err error
	c.c.node.View(func(s *state.State) {
		var ok bool
		if campaign, ok = s.Campaign(in.Name); !ok {
			err = loop.NotFound("campaign", "there is no campaign %q", in.Name)
			return
		}
		if err = previewed(&campaign, in.Number); err != nil {
			return
		}
		if round, ok := s.Round(in.Name, campaign.Round); ok {
			previous = &round
		}
		last, void, proposed = s.Proposed(in.Name)
		space, _ = s.Space(campaign.Campaign.Space, campaign.SpaceVersion)
		policy, _ = s.Policy(campaign.Campaign.Policy, campaign.PolicyVersion)
	})
	if err != nil {
		return api.Preview{}, err
	}
	out := api.Preview{Campaign: in.Name, Round: in.Number, Standing: "imagined"}
	if proposed {
		p := proposalAnswer(in.Name, space.Space, &last)
		out.Proposal = &p
	}
	if void != nil {
		out.Void = void.Problem
	}
	open := last.Open
	if open != nil {
		out.Standing = "proposed"
	} else {
		t, err := c.c.leading()
		if err == nil {
			open, err = t.decide(ctx, &campaign, previous, deciding{})
		}
		if err != nil {
			return api.Preview{}, err
		}
	}
	out.Digest, out.Sequence, out.Decision = open.Round.Digest(), open.Sequence, api.NewDecision(space.Space, &open.Round)
	var before loop.Round
	if previous != nil {
		before = previous.Decided.Round
	}
	if out.Factors, err = factorChanges(space.Space, &before, &open.Round); err != nil {
		return api.Preview{}, err
	}
	out.Slices = sliceChanges(space.Space, &before, &open.Round)
	out.Price = c.price(ctx, in.Name, &open.Round)
	if policy.Policy != nil && len(campaign.Campaign.Make) == 0 {
		amended := policy.Policy
		if open.Budget != nil {
			amended = amended.Amended(*open.Budget)
		}
		out.Guards = guards(space.Space, amended, &open.Round)
	}
	return out, nil
}

// previewed refuses a round that is not the campaign's next.
func previewed(campaign *state.Campaign, number int) error {
	name := campaign.Campaign.Name
	switch {
	case number <= campaign.Round:
		return loop.Conflict("round", "round %d of campaign %q is decided: show or explain it", number, name)
	case number > campaign.Campaign.Rounds:
		return loop.NotFound("round", "campaign %q has only %d rounds", name, campaign.Campaign.Rounds)
	case number > campaign.Round+1:
		return loop.NotFound("round", "the next round of campaign %q is %d", name, campaign.Round+1)
	case campaign.State == state.Closed:
		return loop.NotFound("round", "campaign %q was closed after %d rounds", name, campaign.Round)
	}
	return nil
}

func sliceChanges(space *loop.Space, before, next *loop.Round) []api.ShareChange {
	shift := before.Shift(next)
	out := shareChanges(space, shift)
	for i := range next.Components {
		c := &next.Components[i]
		for j := range shift {
			if c.Domain == loop.Train && c.Over == shift[j].Over && c.Slice.Equal(shift[j].Slice) {
				out[j].Quota += c.Quota
			}
		}
	}
	if out == nil {
		out = []api.ShareChange{}
	}
	return out
}

// factorChanges compares what two rounds make; before the first there is nothing.
func factorChanges(space *loop.Space, before, next *loop.Round) ([]api.FactorChange, error) {
	to, err := next.Levels(space, previewSamples)
	if err != nil {
		return nil, err
	}
	from, err := before.Levels(space, previewSamples)
	if err != nil {
		return nil, err
	}
	out := []api.FactorChange{}
	for f := range to {
		change := api.FactorChange{Factor: space.Factors[f].Name}
		for l := range to[f] {
			level := api.LevelChange{Level: space.Factors[f].Levels[l].Name, To: to[f][l]}
			if from != nil {
				level.From = from[f][l]
			}
			change.Levels = append(change.Levels, level)
		}
		out = append(out, change)
	}
	return out, nil
}

// price is what a round asks for, and what that will take by what its campaign has
// taken so far, attempts that were sent back included. What the view cannot tell is
// left out: a preview is worth having all the same.
func (c *Control) price(ctx context.Context, name string, r *loop.Round) api.Price {
	p := api.Price{Training: r.Quota(loop.Train), Evaluation: r.Quota(loop.Evaluation)}
	spent, err := c.spending(ctx, name)
	if err != nil {
		c.c.log.Warn("what samples took is not known", "campaign", name, "error", err)
		return p
	}
	for i := range spent.made {
		p.Measured += spent.made[i].Accepted
	}
	if p.Measured > 0 && spent.now.Millis > 0 {
		cost := spent.cost(spent.now.Millis / float64(p.Measured) * float64(p.Training+p.Evaluation))
		p.GPUSeconds, p.Money, p.Currency = &cost.GPUSeconds, cost.Money, cost.Currency
	}
	return p
}

func guards(space *loop.Space, policy *loop.Policy, r *loop.Round) *api.Guards {
	g := &api.Guards{Floor: policy.Floor, MinimumRows: policy.MinimumRows, Base: policy.Shares.Base, Boosted: policy.Shares.Boosted,
		Cap: policy.Shares.Cap, TrustRegion: policy.Shares.TrustRegion, KL: r.KL, Step: r.Step, Pins: policy.Pins, Bans: policy.Bans}
	for _, p := range space.Protected {
		g.Protected = append(g.Protected, api.Held{Name: space.Describe(p.Slice), Share: p.Share, Reason: p.Reason})
	}
	return g
}
