package coordinator

import (
	"context"
	"fmt"

	"hone/coordinator/state"
	"hone/loop"
)

// untilVersions is how many versions of a line a condition looks back on.
const untilVersions = 32

// finish ends a campaign of which a condition holds (Campaign.Until): it then asks
// for no more than what is decided, so that it is done with exact quotas, and its
// last amendment says why. Somebody who extends it all the same gets a round, and
// is asked again when the model that learned from it is sealed.
func (t *term) finish(ctx context.Context, campaign *state.Campaign) (bool, error) {
	c := campaign.Campaign
	if len(c.Until) == 0 {
		return false, nil
	}
	var space *loop.Space
	var query loop.EvidenceQuery
	now := loop.Progress{Day: today(), Samples: campaign.Domains[loop.Train].Committed}
	news := false
	t.c.node.View(func(s *state.State) {
		if v, ok := s.Space(c.Space, campaign.SpaceVersion); ok {
			space = v.Space
		}
		query = evidenceQuery(s, campaign, &loop.Policy{Window: untilVersions})
		amended := int64(0)
		if n := len(campaign.Amendments); n > 0 {
			amended = campaign.Amendments[n-1].At
		}
		for _, l := range c.LearnFrom {
			line, _ := s.ModelLine(l.ModelLine)
			now.Lines = append(now.Lines, progress(s, c.Name, &line))
			if n := len(line.Sealed); n > 0 && line.Sealed[n-1].At > amended {
				news = true
			}
		}
	})
	if !news {
		return false, nil
	}
	// What all rounds took, whatever it was made of.
	query.FirstRound, query.Sliced, query.Timed = 1, nil, true
	evidence, _, err := t.c.o.View.Evidence(ctx, query)
	if err != nil {
		return false, fmt.Errorf("hold the conditions of %s against its evidence: %w", c.Name, err)
	}
	for _, m := range evidence.Made {
		now.Millis += m.Millis
	}
	for from := range now.Lines {
		line := &now.Lines[from]
		for i := range line.Versions {
			line.Versions[i].Proportion = evidence.InDeployment(nil, uint8(from), uint8(len(line.Versions)-1-i))
		}
		for i := range c.Until {
			if f := c.Until[i].Failure; f != nil {
				line.Slices[i] = evidence.InDeployment(f.Slice, uint8(from), 0)
			}
		}
	}
	condition, why := c.Reached(space, now)
	if condition < 0 {
		return false, nil
	}
	_, err = t.c.node.Propose(ctx, state.Command{ExtendCampaign: &state.ExtendCampaign{Campaign: c.Name, Version: campaign.Version,
		Samples: campaign.Domains[loop.Train].Quota, Rounds: campaign.Round, Author: "hone", Reason: fmt.Sprintf("until[%d]: %s", condition, why)}})
	if err != nil {
		return false, fmt.Errorf("end %s, as %s: %w", c.Name, why, err)
	}
	t.c.log.Info("campaign done before its last round", "campaign", c.Name, "round", campaign.Round, "until", condition, "why", why)
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
