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
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}/rounds", "list-rounds", "List a campaign's rounds", "Rounds"), answering(c, c.listRounds))
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}/rounds/{number}", "show-round", "Show a round; wait until it is published", "Rounds"), answering(c, c.showRound))
	huma.Register(to, streams(operation(http.MethodGet, "/v1/campaigns/{name}/rounds/{number}/canonical", "canonical-round", "A round's canonical bytes", "Rounds"),
		"application/json", "The decision as it was made, byte for byte: the same evidence, policy, space and seed give the same bytes"), c.canonicalRound)
}

func (c *Control) listRounds(_ context.Context, in *named) (out api.RoundList, err error) {
	out.Rounds = []api.Round{}
	c.c.node.View(func(s *state.State) {
		rounds := s.Rounds(in.Name)
		if _, ok := s.Campaign(in.Name); !ok {
			err = loop.NotFound("campaign", "there is no campaign %q", in.Name)
			return
		}
		for i := range rounds {
			out.Rounds = append(out.Rounds, roundAnswer(s, in.Name, &rounds[i]))
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
	for done := wait == 0; ; {
		changed := c.c.node.Changed()
		var out api.Round
		var ready bool
		var err error
		c.c.node.View(func(s *state.State) {
			round, ok := s.Round(in.Name, in.Number)
			if ok {
				ready = published(s, in.Name, &round) || over(s, in.Name, &round)
			}
			if ready || done {
				out, err = decidedRound(s, in)
			} else if !ok {
				err = refuseRound(s, in)
			}
		})
		if ready || done || err != nil {
			return out, err
		}
		select {
		case <-changed:
		case <-timer.C:
			done = true
		case <-ctx.Done():
			done = true
		}
	}
}

// refuseRound refuses a round that there will never be.
func refuseRound(s *state.State, in *roundWait) error {
	campaign, ok := s.Campaign(in.Name)
	switch {
	case !ok:
		return loop.NotFound("campaign", "there is no campaign %q", in.Name)
	case in.Number > campaign.Campaign.Rounds:
		return loop.NotFound("round", "campaign %q has only %d rounds", in.Name, campaign.Campaign.Rounds)
	case in.Number > campaign.Round && campaign.State == state.Closed:
		return loop.NotFound("round", "campaign %q was closed after %d rounds", in.Name, campaign.Round)
	}
	return nil
}

func decidedRound(s *state.State, in *roundWait) (api.Round, error) {
	round, ok := s.Round(in.Name, in.Number)
	if !ok {
		if err := refuseRound(s, in); err != nil {
			return api.Round{}, err
		}
		return api.Round{}, loop.NotFound("round", "campaign %q has no round %d yet", in.Name, in.Number)
	}
	out := roundAnswer(s, in.Name, &round)
	if space, ok := s.Space(round.Decided.Space, round.Decided.Round.SpaceVersion); ok {
		out.Decision = api.NewDecision(space.Space, &round.Decided.Round)
	}
	return out, nil
}

// published reports whether nothing of a round is open, and its dataset versions
// are there: of a closed campaign's those that there is anything for.
func published(s *state.State, campaign string, round *state.Round) bool {
	return round.Terminal && !over(s, campaign, round) && len(unpublished(s, campaign, round)) == 0
}

// over reports whether a round of a closed campaign has ended without a sample,
// so that nothing of it will be published.
func over(s *state.State, campaign string, round *state.Round) bool {
	steered, _ := s.Steered(campaign)
	return steered.To == state.Closed && round.Terminal && round.Total.Committed == 0
}

// unpublished are the dataset versions that a terminal round still owes. That of a
// closed campaign is published with what there is, if there is anything.
func unpublished(s *state.State, campaign string, round *state.Round) (owed []loop.Domain) {
	steered, _ := s.Steered(campaign)
	made := map[loop.Domain]bool{}
	for _, p := range round.Components {
		made[p.Domain] = made[p.Domain] || p.Committed > 0
	}
	for _, set := range roundSets(campaign) {
		_, there := s.Dataset(set.name, round.Decided.Round.Number)
		if !there && round.Decided.Round.Quota(set.domain) > 0 && (made[set.domain] || steered.To != state.Closed) {
			owed = append(owed, set.domain)
		}
	}
	return owed
}

type roundSet struct {
	name   string
	domain loop.Domain
}

// roundSets are the datasets of which each round makes a version.
func roundSets(campaign string) [2]roundSet {
	return [...]roundSet{{campaign, loop.Train}, {loop.EvaluationSet(campaign), loop.Evaluation}}
}

// roundAnswer is a round without its decision.
func roundAnswer(s *state.State, campaign string, round *state.Round) api.Round {
	decided := &round.Decided.Round
	out := api.Round{Campaign: campaign, Round: decided.Number, State: api.RoundOpen, Sequence: round.Decided.Sequence}
	if published(s, campaign, round) {
		out.State = api.RoundPublished
	}
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
	for _, set := range roundSets(campaign) {
		if _, ok := s.Dataset(set.name, decided.Number); ok && set.domain == loop.Train {
			out.Dataset = fmt.Sprintf("%s@%d", set.name, decided.Number)
		} else if ok {
			out.EvalDataset = fmt.Sprintf("%s@%d", set.name, decided.Number)
		}
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
		return nil, c.problem(loop.NotFound("round", "campaign %q has no round %d", in.Name, in.Number))
	}
	return out, nil
}
