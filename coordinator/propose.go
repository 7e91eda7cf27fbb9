package coordinator

import (
	"context"
	"fmt"
	"reflect"

	"hone/coordinator/state"
	"hone/loop"
)

// proposer is the author of what the conductor proposes by itself.
const proposer = "hone"

// proposing is a proposal to make.
type proposing struct {
	deciding
	// serial is the number it gets.
	serial         int
	author, reason string
	amends         bool
}

// propose sees to it that the next round waits for approval (C8). It is proposed
// again when what it was decided from has changed: then with what a person had
// amended. A rejected one is made again when there is new evidence, when the
// campaign or its policy has changed, or when somebody asks; not before.
func (t *term) propose(ctx context.Context, campaign *state.Campaign, previous *state.Round) (step, error) {
	var last state.Proposal
	var void *loop.Error
	var there, same bool
	next := proposing{author: proposer}
	t.c.node.View(func(s *state.State) {
		next.serial = len(s.Proposals(campaign.Campaign.Name)) + 1
		if last, void, there = s.Proposed(campaign.Campaign.Name); there {
			arms := armsOf(s, campaign)
			same = sameModels(last.Models, evidenceQuery(s, campaign, widest(arms.Stable, arms.Canary)).Models)
		}
	})
	switch {
	case !there:
	case last.CampaignVersion != campaign.Version:
		next.reason = "the campaign was extended, or follows another policy"
	case last.Canary != campaign.Canary:
		next.reason = "a canary of its policy began or ended"
	case !same:
		next.reason = "there is new evidence"
	case void != nil:
		next.reason = "the one before could not open any more: " + void.Problem
	default:
		return waiting, nil
	}
	if there && last.Ruling == nil && last.Open.Budget != nil {
		next.pins, next.bans = last.Open.Budget.Pins, last.Open.Budget.Bans
	}
	return moved, t.put(ctx, campaign, previous, next)
}

// sameModels reports whether two queries ask for the same outcomes. Model versions
// that are sealed never get more of them.
func sameModels(a, b []loop.EvidenceModel) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

// put decides the next round and proposes it.
func (t *term) put(ctx context.Context, campaign *state.Campaign, previous *state.Round, p proposing) error {
	c, number := campaign.Campaign, campaign.Round+1
	var open *state.OpenRound
	_, err := t.c.node.proposePut(ctx, func(epoch uint64) (_ state.Command, err error) {
		p.epoch = epoch
		if open, err = t.decide(ctx, campaign, previous, p.deciding); err != nil {
			return state.Command{}, fmt.Errorf("decide: %w", err)
		}
		return state.Command{ProposeRound: &state.ProposeRound{Open: *open, Serial: p.serial, Author: p.author, Reason: p.reason, Amends: p.amends}}, nil
	})
	if err != nil {
		return fmt.Errorf("propose round %d of %s: %w", number, c.Name, err)
	}
	t.c.log.Info("round proposed", "campaign", c.Name, "round", number, "serial", p.serial, "author", p.author, "boosts", boosts(&open.Round))
	return nil
}

// waitingForApproval says what a campaign waits for that waits for people; nothing
// if it does not.
func waitingForApproval(s *state.State, name string) string {
	p, _, ok := s.Proposed(name)
	switch {
	case !ok:
		return ""
	case p.Ruling == nil:
		return fmt.Sprintf("approval of round %d, proposed at %s by %s", p.Number, rfc3339(p.At), p.Author)
	case p.Ruling.To == state.ProposalRejected:
		text := fmt.Sprintf("new evidence, or somebody to ask for another proposal of round %d: the last was rejected", p.Number)
		if p.Ruling.Author != "" {
			text += " by " + p.Ruling.Author
		}
		if p.Ruling.Reason != "" {
			text += " (" + p.Ruling.Reason + ")"
		}
		return text
	}
	return ""
}
