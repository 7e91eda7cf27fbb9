package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/coordinator/state"
	"hone/loop"
)

// conduct advances every running campaign, each by itself, so that one which
// waits for its evidence holds up no other.
func (t *term) conduct(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	conducted := make(map[string]bool)
	for {
		changed := t.c.node.Changed()
		var fresh []string
		t.c.node.View(func(s *state.State) {
			for _, c := range s.Campaigns() {
				if !conducted[c.Campaign.Name] {
					fresh = append(fresh, c.Campaign.Name)
				}
			}
		})
		for _, name := range fresh {
			conducted[name] = true
			group.Go(func() error { return t.conductCampaign(ctx, name) })
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), group.Wait())
		}
	}
}

// retryAfter is how long a campaign pauses after a step that failed.
const retryAfter = time.Second

// conductCampaign takes one step after another: open a round, publish it, open
// the next.
func (t *term) conductCampaign(ctx context.Context, name string) error {
	for {
		changed := t.c.node.Changed()
		next, err := t.advance(ctx, name)
		switch {
		case err != nil && ctx.Err() == nil:
			t.c.log.Warn("cannot advance campaign; trying again", "campaign", name, "error", err)
			select {
			case <-time.After(retryAfter):
			case <-ctx.Done():
			}
		case err != nil:
			return context.Cause(ctx)
		case next == finished:
			return nil
		case next == waiting:
			select {
			case <-changed:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// step is what came of a look at a campaign.
type step int

const (
	waiting  step = iota // nothing to do until something changes
	moved                // something was done: look again
	finished             // nothing will ever be to do
)

// advance does the next thing that a campaign needs, if there is one.
func (t *term) advance(ctx context.Context, name string) (step, error) {
	var campaign state.Campaign
	var round state.Round
	var exists, trained, evaluated bool
	t.c.node.View(func(s *state.State) {
		if campaign, exists = s.Campaign(name); !exists || campaign.Round == 0 {
			return
		}
		round, _ = s.Round(name, campaign.Round)
		_, trained = s.Dataset(name, campaign.Round)
		_, evaluated = s.Dataset(evaluationSet(name), campaign.Round)
	})
	switch {
	case !exists:
		return finished, nil
	case campaign.Round == 0:
		return moved, t.open(ctx, &campaign, nil)
	case !round.Terminal:
		return waiting, nil
	}
	decided := &round.Decided.Round
	if !trained && decided.Quota(loop.Train) > 0 {
		return moved, t.publish(ctx, &campaign, loop.Train)
	}
	if !evaluated && decided.Quota(loop.Evaluation) > 0 {
		return moved, t.publish(ctx, &campaign, loop.Evaluation)
	}
	if campaign.Round >= campaign.Campaign.Rounds {
		return finished, nil
	}
	if !t.sealedSince(&campaign) {
		return waiting, nil
	}
	return moved, t.open(ctx, &campaign, &round)
}

// evaluationSet is the name under which a campaign's evaluation samples are
// published.
func evaluationSet(campaign string) string { return campaign + ".eval" }

// sealedSince reports whether each model line that the campaign learns from has
// a version that was sealed after the latest round was published (C8).
func (t *term) sealedSince(campaign *state.Campaign) bool {
	name, all := campaign.Campaign.Name, true
	t.c.node.View(func(s *state.State) {
		published := uint64(0)
		for _, set := range []string{name, evaluationSet(name)} {
			if d, ok := s.Dataset(set, campaign.Round); ok {
				published = max(published, d.Sequence)
			}
		}
		for _, l := range campaign.Campaign.LearnFrom {
			line, _ := s.ModelLine(l.ModelLine)
			n := len(line.Sealed)
			all = all && n > 0 && line.Sealed[n-1].Sequence >= published
		}
	})
	return all
}

// open decides the next round and opens it.
func (t *term) open(ctx context.Context, campaign *state.Campaign, previous *state.Round) error {
	c := campaign.Campaign
	var space state.SpaceVersion
	var policy state.PolicyVersion
	var query loop.EvidenceQuery
	t.c.node.View(func(s *state.State) {
		space, _ = s.Space(c.Space, campaign.SpaceVersion)
		policy, _ = s.Policy(c.Policy, campaign.PolicyVersion)
		query = evidenceQuery(s, campaign, policy.Policy)
	})
	number := campaign.Round + 1
	command := state.OpenRound{Previous: campaign.Round, CampaignVersion: campaign.Version,
		SpaceVersion: campaign.SpaceVersion, PolicyVersion: campaign.PolicyVersion, Models: query.Models}
	var evidence *loop.Evidence
	if len(query.Models) > 0 {
		read, sequence, err := t.c.o.View.Evidence(ctx, query)
		if err != nil {
			return fmt.Errorf("decide round %d of %s: %w", number, c.Name, err)
		}
		command.Sequence = sequence
		if read.Len() > 0 {
			evidence = &read
			object, err := t.c.o.Parts.PutEvidence(ctx, t.epoch(), int64(read.Len()), read.Encode())
			if err != nil {
				return fmt.Errorf("decide round %d of %s: %w", number, c.Name, err)
			}
			command.EvidenceKey = object.Key
		}
	}
	var last *loop.Round
	if previous != nil {
		last = &previous.Decided.Round
		command.Sequence = max(command.Sequence, previous.Decided.Sequence)
		for _, p := range previous.Components {
			command.Cuts = append(command.Cuts, p.Reserved)
		}
	}
	budget := loop.Budget{Campaign: c.Name, Number: number, Evaluation: c.Evaluation, QuotaBy: c.QuotaBy}
	if c.Samples > 0 {
		budget.Train = c.RoundSamples(number)
	}
	round, err := loop.Decide(space.Space, policy.Policy, last, evidence, budget, c.Seed)
	if err != nil {
		return fmt.Errorf("decide round %d of %s: %w", number, c.Name, err)
	}
	command.Round = round
	for _, component := range round.Components {
		command.FirstReserve = append(command.FirstReserve, min(component.Quota, uint64(8*c.UnitSize)))
	}
	if _, err := t.c.node.Propose(ctx, state.Command{OpenRound: &command}); err != nil {
		return fmt.Errorf("open round %d of %s: %w", number, c.Name, err)
	}
	t.c.log.Info("round opened", "campaign", c.Name, "round", number, "boosts", boosts(&round), "evidence_rows", round.EvidenceRows)
	return nil
}

func boosts(r *loop.Round) (n int) {
	for i := range r.Components {
		if r.Components[i].Domain == loop.Train && len(r.Components[i].Slice) > 0 {
			n++
		}
	}
	return n
}

// evidenceQuery asks for the outcomes of the newest sealed versions of the
// lines that a campaign learns from, as many as the policy's window.
func evidenceQuery(s *state.State, campaign *state.Campaign, policy *loop.Policy) loop.EvidenceQuery {
	q := loop.EvidenceQuery{Space: campaign.Campaign.Space}
	for _, l := range campaign.Campaign.LearnFrom {
		line, _ := s.ModelLine(l.ModelLine)
		for age := 0; age < len(line.Sealed) && age < policy.Window && age <= math.MaxUint8; age++ {
			version := line.Sealed[len(line.Sealed)-1-age]
			q.AtLeast = max(q.AtLeast, version.Sequence)
			q.Models = append(q.Models, loop.EvidenceModel{ModelLine: l.ModelLine, Version: version.Version,
				Age: uint8(age), EvalSet: l.EvalSet, Task: l.Task})
		}
	}
	return q
}
