package coordinator

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

type roundOf struct {
	Name   string `path:"name" doc:"The campaign"`
	Number int    `path:"number" minimum:"1" doc:"The round, from 1"`
}

type roundWait struct {
	Name   string `path:"name" doc:"The campaign"`
	Number int    `path:"number" minimum:"1" doc:"The round, from 1"`
	Wait   string `query:"wait" example:"30s" doc:"Wait so long for the round to be published; at most 1m"`
}

// maxWait bounds a long poll.
const maxWait = time.Minute

func (c *Control) rounds(to huma.API) {
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}/rounds", "list-rounds", "List a campaign's rounds", "Rounds"), answering(c.listRounds))
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}/rounds/{number}", "show-round", "Show a round; wait until it is published", "Rounds"), answering(c.showRound))
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}/rounds/{number}/canonical", "canonical-round", "A round's canonical bytes", "Rounds"), c.canonicalRound)
}

func (c *Control) listRounds(_ context.Context, in *named) (out api.RoundList, err error) {
	out.Rounds = []api.Round{}
	c.c.node.View(func(s *state.State) {
		campaign, ok := s.Campaign(in.Name)
		if !ok {
			err = loop.NotFound("campaign", "there is no campaign %q", in.Name)
			return
		}
		for number := 1; number <= campaign.Round; number++ {
			round, _ := s.Round(in.Name, number)
			out.Rounds = append(out.Rounds, c.round(s, &campaign, &round))
		}
	})
	return out, err
}

// showRound waits, if asked to, until the round is there and published.
func (c *Control) showRound(ctx context.Context, in *roundWait) (api.Round, error) {
	var wait time.Duration
	if in.Wait != "" {
		var err error
		if wait, err = time.ParseDuration(in.Wait); err != nil || wait < 0 {
			return api.Round{}, &loop.Error{Field: "wait", Problem: fmt.Sprintf("%q is not a duration", in.Wait), Remedy: "for example 30s"}
		}
	}
	timer := time.NewTimer(min(wait, maxWait))
	defer timer.Stop()
	for {
		changed := c.c.node.Changed()
		var out api.Round
		var exists, known bool
		c.c.node.View(func(s *state.State) {
			var campaign state.Campaign
			if campaign, exists = s.Campaign(in.Name); !exists || in.Number > campaign.Round {
				return
			}
			known = true
			round, _ := s.Round(in.Name, in.Number)
			out = c.round(s, &campaign, &round)
			if space, ok := s.Space(campaign.Campaign.Space, round.Decided.Round.SpaceVersion); ok {
				out.Decision = api.NewDecision(space.Space, &round.Decided.Round)
			}
		})
		if !exists {
			return out, loop.NotFound("campaign", "there is no campaign %q", in.Name)
		}
		if known && out.State == api.RoundPublished {
			return out, nil
		}
		select {
		case <-changed:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		if !known {
			return out, loop.NotFound("round", "campaign %q has no round %d yet", in.Name, in.Number)
		}
		return out, nil
	}
}

// round is a round without its decision.
func (c *Control) round(s *state.State, campaign *state.Campaign, round *state.Round) api.Round {
	name, decided := campaign.Campaign.Name, &round.Decided.Round
	out := api.Round{Campaign: name, Round: decided.Number, State: api.RoundOpen, Sequence: round.Decided.Sequence}
	domain := loop.Train
	if decided.Quota(loop.Train) == 0 {
		domain = loop.Evaluation
	}
	var counts state.Counts
	for _, p := range round.Components {
		if p.Domain == domain {
			counts.Quota += p.Quota
			counts.Committed += p.Committed
			counts.Abandoned += p.Abandoned
			counts.Rejected += p.Rejected
			counts.Replaced += p.Replaced
		}
	}
	out.Counts = accounting(counts.Quota, counts, 0)
	published := round.Terminal
	for _, set := range []struct {
		name   string
		domain loop.Domain
		to     *string
	}{{name, loop.Train, &out.Dataset}, {evaluationSet(name), loop.Evaluation, &out.EvalDataset}} {
		if decided.Quota(set.domain) == 0 {
			continue
		}
		if _, ok := s.Dataset(set.name, decided.Number); ok {
			*set.to = fmt.Sprintf("%s@%d", set.name, decided.Number)
		} else {
			published = false
		}
	}
	if published {
		out.State = api.RoundPublished
	}
	return out
}

type canonical struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (c *Control) canonicalRound(_ context.Context, in *roundOf) (*canonical, error) {
	var out *canonical
	c.c.node.View(func(s *state.State) {
		if round, ok := s.Round(in.Name, in.Number); ok {
			out = &canonical{ContentType: "application/json", Body: round.Decided.Round.Canonical()}
		}
	})
	if out == nil {
		return nil, problem(loop.NotFound("round", "campaign %q has no round %d", in.Name, in.Number))
	}
	return out, nil
}
