package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

type ruling struct {
	Name   string `path:"name" doc:"The campaign" example:"loop"`
	Number int    `path:"number" minimum:"1" doc:"The round, from 1"`
	Body   api.Rule
}

type amendment struct {
	Name   string `path:"name" doc:"The campaign" example:"loop"`
	Number int    `path:"number" minimum:"1" doc:"The round, from 1"`
	Body   api.Amend
}

func (c *Control) proposals(to huma.API) {
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}/proposals", "list-proposals", "List all proposals of a campaign, and what became of each", "Rounds"), answering(c, c.listProposals))
	o := operation(http.MethodPost, "/v1/campaigns/{name}/propose", "propose-round", "Ask for another proposal of the next round", "Rounds")
	o.Description = "It is decided anew, without what was amended, and takes the place of one that waits."
	huma.Register(to, o, answering(c, c.proposeRound))
	o = operation(http.MethodGet, "/v1/campaigns/{name}/rounds/{number}/preview", "preview-round", "Show the next round before it opens, and what it changes", "Rounds")
	o.Description = "The proposal that waits, or what would be decided now, of which nothing is kept."
	o.Errors = append(o.Errors, http.StatusConflict)
	huma.Register(to, o, answering(c, c.previewRound))
	o = operation(http.MethodPost, "/v1/campaigns/{name}/rounds/{number}/approve", "approve-round", "Approve a proposed round, and open it", "Rounds")
	o.Description = "Exactly the bytes of that digest open. Asked for again it changes nothing."
	huma.Register(to, o, answering(c, func(ctx context.Context, in *ruling) (api.Proposal, error) { return c.ruleProposal(ctx, in, true) }))
	o = operation(http.MethodPost, "/v1/campaigns/{name}/rounds/{number}/reject", "reject-round", "Reject a proposed round", "Rounds")
	o.Description = "The campaign waits for new evidence, another policy, or somebody to ask for another proposal. Asked for again it changes nothing."
	huma.Register(to, o, answering(c, func(ctx context.Context, in *ruling) (api.Proposal, error) { return c.ruleProposal(ctx, in, false) }))
	o = operation(http.MethodPost, "/v1/campaigns/{name}/rounds/{number}/amend", "amend-round", "Change the shares of a proposed round", "Rounds")
	o.Description = "The round is decided again from the same evidence, with these pins and bans for this round alone beside those of earlier amendments; what comes of it is proposed in its place, and is what to approve. Asked for again it changes nothing."
	huma.Register(to, o, answering(c, c.amendRound))
}

// proposalAnswer is a proposal in the words of its space, which may be nil.
func proposalAnswer(campaign string, space *loop.Space, p *state.Proposal) api.Proposal {
	out := api.Proposal{Campaign: campaign, Round: p.Number, Serial: p.Serial, Digest: p.Digest, State: api.ProposalWaiting,
		At: rfc3339(p.At), Author: p.Author, Reason: p.Reason}
	if p.Ruling != nil {
		out.State = string(p.Ruling.To)
		out.Ruling = &api.Ruling{At: rfc3339(p.Ruling.At), Author: p.Ruling.Author, Reason: p.Ruling.Reason}
	}
	out.Changes = shareChanges(space, p.Changes)
	return out
}

func shareChanges(space *loop.Space, changes []loop.ShareChange) (out []api.ShareChange) {
	const whole = 1 << 32
	for _, x := range changes {
		name := space.Describe(x.Slice)
		if x.Over == loop.OverCurriculum {
			name = "the curriculum"
		}
		out = append(out, api.ShareChange{Name: name, Slice: space.Names(x.Slice), From: float64(x.From) / whole, To: float64(x.To) / whole})
	}
	return out
}

// standing is the last proposal of a campaign's next round, nil if there is none.
func standing(s *state.State, name string) *api.Proposal {
	p, _, ok := s.Proposed(name)
	if !ok {
		return nil
	}
	campaign, _ := s.Campaign(name)
	space, _ := s.Space(campaign.Campaign.Space, campaign.SpaceVersion)
	out := proposalAnswer(name, space.Space, &p)
	return &out
}

func (c *Control) listProposals(_ context.Context, in *named) (out api.ProposalList, err error) {
	out.Proposals = []api.Proposal{}
	c.c.node.View(func(s *state.State) {
		campaign, ok := s.Campaign(in.Name)
		if !ok {
			err = loop.NotFound("campaign", "there is no campaign %q", in.Name)
			return
		}
		space, _ := s.Space(campaign.Campaign.Space, campaign.SpaceVersion)
		for _, p := range s.Proposals(in.Name) {
			out.Proposals = append(out.Proposals, proposalAnswer(in.Name, space.Space, &p))
		}
	})
	return out, err
}

// seen is the proposal of a round that has a digest, the latest if there are
// several; of another digest it is a conflict, since nobody decides about what
// they have not seen.
func seen(s *state.State, name string, number int, digest loop.Digest) (p state.Proposal, err error) {
	if _, ok := s.Campaign(name); !ok {
		return p, loop.NotFound("campaign", "there is no campaign %q", name)
	}
	all := s.Proposals(name)
	all = slices.DeleteFunc(all, func(p state.Proposal) bool { return p.Number != number })
	if len(all) == 0 {
		return p, loop.NotFound("round", "no round %d of campaign %q was proposed", number, name)
	}
	for _, p := range slices.Backward(all) {
		if p.Digest == digest {
			return p, nil
		}
	}
	return p, loop.Conflict("digest", "%s is not what is proposed for round %d, %s is: look at it first", digest, number, all[len(all)-1].Digest)
}

func (c *Control) ruleProposal(ctx context.Context, in *ruling, approve bool) (api.Proposal, error) {
	var p state.Proposal
	var err error
	c.c.node.View(func(s *state.State) { p, err = seen(s, in.Name, in.Number, in.Body.Digest) })
	if err != nil {
		return api.Proposal{}, err
	}
	_, err = c.c.node.Propose(ctx, state.Command{RuleProposal: &state.RuleProposal{Campaign: in.Name, Serial: p.Serial, Digest: p.Digest,
		Approve: approve, Author: in.Body.Author, Reason: in.Body.Reason}})
	return c.proposal(in.Name, p.Serial, err)
}

// proposal answers a proposal as it now stands.
func (c *Control) proposal(name string, serial int, err error) (out api.Proposal, _ error) {
	if errors.Is(err, errStale) {
		err = fmt.Errorf("%w: %w", loop.ErrConflict, err)
	}
	if err != nil {
		return out, err
	}
	c.c.node.View(func(s *state.State) {
		campaign, _ := s.Campaign(name)
		space, _ := s.Space(campaign.Campaign.Space, campaign.SpaceVersion)
		if all := s.Proposals(name); serial >= 1 && serial <= len(all) {
			out = proposalAnswer(name, space.Space, &all[serial-1])
		}
	})
	return out, nil
}

// paused refuses what opens nothing until somebody resumes the campaign.
func paused(name string) error {
	return loop.Conflict("campaign", "campaign %q is paused: resume it first (hone campaign resume %s)", name, name)
}

// due is a campaign whose next round can be decided now, with its last round, nil
// if there is none.
func due(s *state.State, name string) (campaign state.Campaign, previous *state.Round, err error) {
	campaign, ok := s.Campaign(name)
	if !ok {
		return campaign, nil, loop.NotFound("campaign", "there is no campaign %q", name)
	}
	if campaign.State == state.Paused {
		return campaign, nil, paused(name)
	}
	if campaign.State != state.Running {
		return campaign, nil, loop.Conflict("campaign", "campaign %q is %s", name, campaign.State)
	}
	if campaign.Round >= campaign.Campaign.Rounds {
		return campaign, nil, loop.Conflict("round", "all %d rounds of campaign %q are decided", campaign.Round, name)
	}
	round, ok := s.Round(name, campaign.Round)
	if !ok {
		return campaign, nil, nil
	}
	if !published(s, name, &round) || campaign.Total.Pending > 0 {
		return campaign, &round, loop.Conflict("round", "round %d is still being made", campaign.Round)
	}
	if lines := unsealed(s, &campaign, &round); len(lines) > 0 {
		return campaign, &round, loop.Conflict("round", "no version of model line %s has been sealed since round %d was published", lines[0], campaign.Round)
	}
	return campaign, &round, nil
}

// proposeRound proposes the next round anew because somebody asks for it.
func (c *Control) proposeRound(ctx context.Context, in *steering) (api.Proposal, error) {
	t, err := c.c.leading()
	if err != nil {
		return api.Proposal{}, err
	}
	next := proposing{author: proposer, reason: "somebody asked for another"}
	if in.Body != nil {
		if in.Body.Author != "" {
			next.author = in.Body.Author
		}
		if in.Body.Reason != "" {
			next.reason = in.Body.Reason
		}
	}
	var campaign state.Campaign
	var previous *state.Round
	c.c.node.View(func(s *state.State) {
		if campaign, previous, err = due(s, in.Name); err == nil && campaign.Campaign.Decide != loop.DecidePropose {
			err = loop.Conflict("campaign", "campaign %q decides by itself", in.Name)
		}
		next.serial = len(s.Proposals(in.Name)) + 1
	})
	if err == nil {
		err = t.put(ctx, &campaign, previous, next)
	}
	return c.proposal(in.Name, next.serial, err)
}

// amendRound decides the proposal again, from its own evidence, with what a person
// wants otherwise, and proposes that in its place.
func (c *Control) amendRound(ctx context.Context, in *amendment) (api.Proposal, error) {
	pins, bans := overrides(&in.Body, in.Body.Pins), overrides(&in.Body, in.Body.Bans)
	if len(pins)+len(bans) == 0 {
		return api.Proposal{}, &loop.Error{Field: "pins", Problem: "nothing is to be changed", Remedy: "name a slice and its share under pins, or a slice under bans"}
	}
	var p state.Proposal
	var from arguments
	var size, done int
	var err error
	c.c.node.View(func(s *state.State) {
		if p, err = seen(s, in.Name, in.Number, in.Body.Digest); err != nil {
			return
		}
		if p.Ruling != nil {
			err = fmt.Errorf("%w: %w", loop.ErrConflict, p.Settled(in.Name))
			// The same amendment, whose answer was lost (C10).
			if all := s.Proposals(in.Name); p.Ruling.To == state.ProposalAmended && p.Serial < len(all) && all[p.Serial].Open != nil &&
				p.Ruling.Author == in.Body.Author && p.Ruling.Reason == in.Body.Reason && has(all[p.Serial].Open.Budget, pins, bans) {
				done, err = p.Serial+1, nil
			}
			return
		}
		campaign, _ := s.Campaign(in.Name)
		if campaign.State == state.Paused {
			err = paused(in.Name)
			return
		}
		if _, void, _ := s.Proposed(in.Name); void != nil {
			err = loop.Conflict("round", "what is proposed cannot open any more, and is proposed again: %s", void.Problem)
			return
		}
		size = campaign.Campaign.UnitSize
		o := p.Open
		from, err = argumentsOf(s, &loop.DecidedRound{Round: o.Round, Space: campaign.Campaign.Space, Policy: campaign.Campaign.Policy,
			EvidenceKey: o.EvidenceKey, Budget: o.Budget})
	})
	if err != nil || done > 0 {
		return c.proposal(in.Name, done, err)
	}
	evidence, err := c.evidence(ctx, from.decided)
	if err != nil {
		return api.Proposal{}, fmt.Errorf("amend round %d of %s: %w", in.Number, in.Name, err)
	}
	from.budget.Pins, from.budget.Bans = beside(pins, bans, from.budget.Pins), beside(bans, pins, from.budget.Bans)
	round, err := from.decide(evidence)
	if err != nil {
		return api.Proposal{}, err
	}
	open := *p.Open
	open.Round, open.Budget, open.FirstReserve = round, &from.budget, firstReserve(&round, size)
	_, err = c.c.node.Propose(ctx, state.Command{ProposeRound: &state.ProposeRound{Open: open, Serial: p.Serial + 1,
		Author: in.Body.Author, Reason: in.Body.Reason, Amends: true}})
	return c.proposal(in.Name, p.Serial+1, err)
}

// overrides are what an amendment says, each by its author unless told.
func overrides(by *api.Amend, all []loop.Override) (out []loop.Override) {
	for _, o := range all {
		o.Author, o.Reason = cmp.Or(o.Author, by.Author), cmp.Or(o.Reason, by.Reason)
		out = append(out, o)
	}
	return out
}

// beside are new overrides and those of earlier amendments that they, and the new
// ones of the other kind, leave standing.
func beside(own, other, before []loop.Override) []loop.Override {
	out := slices.Clone(own)
	for _, o := range before {
		if !slices.ContainsFunc(slices.Concat(own, other), func(n loop.Override) bool { return reflect.DeepEqual(n.Slice, o.Slice) }) {
			out = append(out, o)
		}
	}
	return out
}

// has reports whether a budget begins with these overrides.
func has(b *loop.Budget, pins, bans []loop.Override) bool {
	return b != nil && len(b.Pins) >= len(pins) && len(b.Bans) >= len(bans) &&
		(len(pins) == 0 || reflect.DeepEqual(b.Pins[:len(pins)], pins)) && (len(bans) == 0 || reflect.DeepEqual(b.Bans[:len(bans)], bans))
}
