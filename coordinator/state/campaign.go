package state

import (
	"bytes"
	"maps"
	"slices"

	"hone/loop"
)

// campaign is a campaign and its rounds; round n stands at n-1.
type campaign struct {
	generation uint64
	// loop is the campaign as it stands: first, the one created, with the numbers
	// of the last amendment.
	loop, first   *loop.Campaign
	amendments    []Amendment
	steered       Steered
	spaceVersion  int
	policyVersion int
	document      string
	at            int64
	lastRevoke    uint64
	rounds        []*round
	// proposals are all that were made; only the last may wait.
	proposals []Proposal
	meters    meters
}

// version counts the amendments; a round says which it was decided for (C15).
func (c *campaign) version() int { return 1 + len(c.amendments) }

func (s *State) createCampaign(c *CreateCampaign) Event {
	campaignName := c.Campaign.Name
	if r := checkCampaign(&c.Campaign); r != nil {
		return *r
	}
	content, err := encoding.Marshal(&c.Campaign)
	if err != nil {
		return *refused(Invalid, "", "the campaign cannot be encoded: %v", err)
	}
	if old := s.campaigns[campaignName]; old != nil {
		// Extended or not, it is the campaign that was created from this document.
		if !bytes.Equal(must(encoding.Marshal(old.first)), content) && !bytes.Equal(must(encoding.Marshal(old.loop)), content) {
			return *refused(Conflict, "name", "there is another campaign %q", campaignName).remedy("choose another name")
		}
		return CampaignCreated{Name: campaignName, Version: old.version(),
			SpaceVersion: old.spaceVersion, PolicyVersion: old.policyVersion}
	}
	if _, ok := s.Space(c.Campaign.Space, c.SpaceVersion); !ok || c.SpaceVersion == 0 {
		return *refused(NotFound, "space", "there is no version %d of space %q", c.SpaceVersion, c.Campaign.Space)
	}
	if len(c.Campaign.Make) > 0 {
		if c.Campaign.Policy != "" || c.PolicyVersion != 0 {
			return *refused(Invalid, "policy", "a campaign that makes what it lists has no policy")
		}
	} else if _, ok := s.Policy(c.Campaign.Policy, c.PolicyVersion); !ok || c.PolicyVersion == 0 {
		return *refused(NotFound, "policy", "there is no version %d of policy %q", c.PolicyVersion, c.Campaign.Policy)
	}
	// A campaign X publishes X and X.eval: neither may be another's.
	for _, other := range [...]string{loop.EvaluationSet(campaignName), loop.EvaluatedCampaign(campaignName)} {
		if s.campaigns[other] != nil {
			return *refused(Conflict, "name", "its datasets would bear the same name as those of campaign %q", other).
				remedy("choose another name")
		}
	}
	for _, set := range [...]string{campaignName, loop.EvaluationSet(campaignName)} {
		if len(s.datasets[set]) > 0 {
			return *refused(Conflict, "name", "there is a dataset %q already", set).remedy("choose another name")
		}
	}
	s.campaigns[campaignName] = &campaign{
		generation: s.generation, loop: &c.Campaign, first: &c.Campaign, spaceVersion: c.SpaceVersion, policyVersion: c.PolicyVersion,
		document: c.Document, at: s.last,
	}
	return CampaignCreated{Name: campaignName, Version: 1,
		SpaceVersion: c.SpaceVersion, PolicyVersion: c.PolicyVersion, Created: true}
}

// checkCampaign refuses what Apply could not count with. That the campaign makes
// sense in its space, the proposer has checked.
func checkCampaign(c *loop.Campaign) *Refused {
	switch {
	case !loop.ValidName(c.Name):
		return refused(Invalid, "name", "%q is not a name", c.Name)
	case c.Rounds < 1 || c.Rounds > loop.MaxRounds:
		return refused(Invalid, "rounds", "%d rounds; 1 to %d are allowed", c.Rounds, loop.MaxRounds)
	case c.UnitSize < 1 || c.UnitSize > loop.MaxUnit:
		return refused(Invalid, "unit_size", "%d samples per unit; 1 to %d are allowed", c.UnitSize, loop.MaxUnit)
	}
	return nil
}

// ownCampaign is the campaign to change.
func (s *State) ownCampaign(name string) *campaign {
	c := s.campaigns[name]
	if c == nil || c.generation == s.generation {
		return c
	}
	own := *c
	own.generation = s.generation
	own.rounds, own.amendments, own.proposals = slices.Clone(c.rounds), slices.Clone(c.amendments), slices.Clone(c.proposals)
	own.meters.current = slices.Clone(c.meters.current)
	s.campaigns[name] = &own
	return &own
}

// round returns round n, or nil.
func (c *campaign) round(n int) *round {
	if n < 1 || n > len(c.rounds) {
		return nil
	}
	return c.rounds[n-1]
}

// requested is what the campaign asks for over all its rounds.
func (c *campaign) requested() [3]uint64 {
	return [3]uint64{loop.Train: c.loop.Samples, loop.Evaluation: uint64(c.loop.Rounds) * c.evaluationQuota()}
}

// evaluationQuota is what each round makes for evaluation.
func (c *campaign) evaluationQuota() uint64 {
	return c.loop.Evaluation.Samples()
}

// Campaign returns a campaign as it stands.
func (s *State) Campaign(name string) (Campaign, bool) {
	c := s.campaigns[name]
	if c == nil {
		return Campaign{}, false
	}
	view := Campaign{
		Campaign: c.loop, Version: c.version(), SpaceVersion: c.spaceVersion, PolicyVersion: c.policyVersion, Canary: s.canary(c),
		Document: c.document, At: c.at, Round: len(c.rounds), State: c.state(),
		Steered: c.steered, Amendments: slices.Clone(c.amendments), Requested: c.requested(), LastRevoke: c.lastRevoke, Spent: c.meters.spent,
	}
	for n, r := range c.rounds {
		for _, k := range r.components {
			counts := k.counts()
			view.Domains[k.domain].add(counts)
			view.Total.add(counts)
			for _, a := range k.reasons {
				view.Abandoned = append(view.Abandoned, Abandonment{Round: n + 1, Domain: k.domain, Component: k.number,
					Gate: a.gate, Reason: a.reason, Indices: Indices{a.indices.clone()}})
			}
		}
	}
	if view.State == Closed {
		for d := range view.Requested {
			view.GivenUp[d] = view.Requested[d] - view.Domains[d].Quota
			view.Requested[d] = view.Domains[d].Quota
		}
	}
	return view, true
}

// Asked is what a campaign asks for as it stands; it is shared and must not be changed.
func (s *State) Asked(name string) (*loop.Campaign, bool) {
	c := s.campaigns[name]
	if c == nil {
		return nil, false
	}
	return c.loop, true
}

// Campaigns returns all campaigns, by name.
func (s *State) Campaigns() []Campaign {
	all := make([]Campaign, 0, len(s.campaigns))
	for _, name := range slices.Sorted(maps.Keys(s.campaigns)) {
		view, _ := s.Campaign(name)
		all = append(all, view)
	}
	return all
}
