package coordinator

import (
	"context"
	"fmt"

	"hone/coordinator/state"
	"hone/loop"
)

// untilVersions is how many versions of a line a condition looks back on.
const untilVersions = 32

// finish ends a campaign of which a condition holds (Campaign.Until), or cuts it to
// what its money pays for (Campaign.Afford): it then asks for no more than what is
// decided, so that it is done with exact quotas, and its last amendment says why.
// Somebody who extends it all the same gets a round, and is asked again when the model
// that learned from it is sealed; but there is no round beyond the money. It reports
// whether anything was changed.
//
// What was seen to hold nothing is not looked at again, until another version is
// sealed, or it is another day.
func (c *conductor) finish(ctx context.Context, campaign *state.Campaign) (bool, error) {
	asked := campaign.Campaign
	if len(asked.Until) == 0 && asked.Money == 0 {
		return false, nil
	}
	var space *loop.Space
	var query loop.EvidenceQuery
	now, news := progressOf(campaign), false
	c.t.c.node.View(func(s *state.State) {
		if v, ok := s.Space(asked.Space, campaign.SpaceVersion); ok {
			space = v.Space
		}
		query = evidenceQuery(s, campaign, &loop.Policy{Window: untilVersions})
		amended := int64(0)
		if n := len(campaign.Amendments); n > 0 {
			amended = campaign.Amendments[n-1].At
		}
		for _, l := range asked.LearnFrom {
			line, _ := s.ModelLine(l.ModelLine)
			now.Lines = append(now.Lines, progress(s, asked.Name, &line))
			if n := len(line.Sealed); n > 0 && line.Sealed[n-1].At > amended {
				news = true
			}
		}
	})
	looked := fmt.Sprint(campaign.Version, campaign.Round, campaign.Total.Committed, now.Day, query.Models)
	if looked == c.looked || !news && asked.Money == 0 {
		return false, nil
	}
	// What all rounds took, whatever it was made of.
	query.FirstRound, query.Sliced, query.Timed = 1, nil, true
	evidence, _, err := c.t.c.o.View.Evidence(ctx, query)
	if err != nil {
		return false, fmt.Errorf("hold the conditions of %s against its evidence: %w", asked.Name, err)
	}
	now.Spend(asked, evidence.Made)
	read(&now, campaign.Spent)
	for from := range now.Lines {
		line := &now.Lines[from]
		for i := range line.Versions {
			line.Versions[i].Proportion = evidence.InDeployment(nil, uint8(from), uint8(len(line.Versions)-1-i))
		}
		for i := range asked.Until {
			if f := asked.Until[i].Failure; f != nil {
				line.Slices[i] = evidence.InDeployment(f.Slice, uint8(from), 0)
			}
		}
	}
	samples, rounds, why := now.Decided, campaign.Round, ""
	if news {
		if condition, holds := asked.Reached(space, now); condition >= 0 {
			why = fmt.Sprintf("until[%d]: %s", condition, holds)
		}
	}
	if why == "" {
		samples, rounds, why = asked.Afford(&now)
	}
	if why == "" {
		c.looked = looked
		return false, nil
	}
	_, err = c.t.c.node.Propose(ctx, state.Command{ExtendCampaign: &state.ExtendCampaign{Campaign: asked.Name, Version: campaign.Version,
		Samples: samples, Rounds: rounds, Author: "hone", Reason: why}})
	if err != nil {
		return false, fmt.Errorf("cut %s, as %s: %w", asked.Name, why, err)
	}
	c.t.c.log.Info("campaign asks for other numbers", "campaign", asked.Name, "samples", samples, "rounds", rounds, "why", why)
	return true, nil
}

// progress is how many training samples of a campaign there were when each of the
// newest versions of a line was sealed.
func progress(s *state.State, campaign string, line *state.ModelLine) loop.ProgressLine {
	out := loop.ProgressLine{Name: line.Line, Slices: map[int]loop.Proportion{}}
	for _, v := range line.Sealed[max(0, len(line.Sealed)-untilVersions):] {
		var version loop.VersionProgress
		for _, r := range s.Rounds(campaign) {
			if d, ok := s.Dataset(campaign, r.Decided.Round.Number); ok && d.At <= v.At {
				for _, p := range r.Components {
					if p.Domain == loop.Train {
						version.Samples += p.Committed
					}
				}
			}
		}
		out.Versions = append(out.Versions, version)
	}
	return out
}
