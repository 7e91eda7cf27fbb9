package state

import (
	"hone/loop"
)

// What a person writes of a steering is bounded.
const (
	maxAuthorLength = 128
	maxWhyLength    = 1024
)

// closedReason is why what a closed campaign still had open was abandoned.
const closedReason = "the campaign was closed before it was made"

// steer pauses, resumes or closes a campaign. Closing cuts the quotas to what is
// reserved, as a next round would (C3): what is above is never made. What is
// below is with workers, or will be given up; until then it may still count.
func (s *State) steer(c *SteerCampaign) Event {
	campaign := s.campaigns[c.Campaign]
	if campaign == nil {
		return *refused(NotFound, "campaign", "there is no campaign %q", c.Campaign)
	}
	if !steerable(c.To) {
		return *refused(Invalid, "to", "%q is no state to steer to", c.To)
	}
	if r := checkWhy(c.Author, c.Reason); r != nil {
		return *r
	}
	now := campaign.state()
	switch {
	case now == Closed && c.To != Closed:
		return *refused(Conflict, "campaign", "campaign %q is closed, and stays so", c.Campaign).remedy("create another campaign")
	case (now == Done || now == DoneShort) && c.To == Paused:
		return *refused(Conflict, "campaign", "campaign %q is %s: there is nothing to pause", c.Campaign, now)
	}
	current := c.Version == campaign.steered.Version()
	if campaign.is(c.To) {
		if current {
			s.ownCampaign(c.Campaign).steered.Answers++
		}
		return CampaignSteered{Name: c.Campaign, To: now, Duplicate: true}
	}
	if c.Version != 0 && !current {
		return *refused(Stale, "version", "version %d is not that of the campaign's steering, %d is", c.Version, campaign.steered.Version())
	}
	campaign = s.ownCampaign(c.Campaign)
	steered := Steered{To: c.To, At: s.last, Author: c.Author, Reason: c.Reason, Answers: campaign.steered.Answers}
	if current {
		steered.Answers++
	}
	campaign.steered = steered
	if c.To == Closed {
		campaign.cutAll()
		if campaign.waiting() != nil {
			campaign.rule(ProposalVoid, s.last, c.Author, c.Reason)
		}
	}
	return CampaignSteered{Name: c.Campaign, To: campaign.state()}
}

// is reports whether a campaign needs no steering to a state: it is there
// already, or has come to its end by itself. One that was paused when it came to
// its end needs to be resumed all the same, or an extension would find it paused.
func (c *campaign) is(to CampaignState) bool {
	switch now := c.state(); to {
	case Running:
		return c.steered.To != Paused
	case Closed:
		return now != Running && now != Paused
	default:
		return now == to
	}
}

func steerable(to CampaignState) bool { return to == Running || to == Paused || to == Closed }

func checkWhy(author, reason string) *Refused {
	switch {
	case len(author) > maxAuthorLength:
		return refused(Invalid, "author", "%d bytes; at most %d are allowed", len(author), maxAuthorLength)
	case len(reason) > maxWhyLength:
		return refused(Invalid, "reason", "%d bytes; at most %d are allowed", len(reason), maxWhyLength)
	}
	return nil
}

// cutAll cuts every quota to what is reserved; c must be owned.
func (c *campaign) cutAll() {
	for n, r := range c.rounds {
		for i, k := range r.components {
			k.check()
			if k.quota != k.reserved {
				c.ownRound(n + 1).own(i).cut(k.reserved)
			}
		}
	}
}

// state is what the campaign is doing.
func (c *campaign) state() CampaignState {
	if c.steered.To == Closed {
		return Closed
	}
	// All rounds are looked at, not the last one alone: a revoke may have opened
	// an index of an earlier one (C8, C13).
	terminal, abandoned := len(c.rounds) == c.loop.Rounds, false
	for _, r := range c.rounds {
		for _, k := range r.components {
			terminal = terminal && k.terminal()
			abandoned = abandoned || k.abandoned.count > 0
		}
	}
	switch {
	case terminal && abandoned:
		return DoneShort
	case terminal:
		return Done
	case c.steered.To == Paused:
		return Paused
	}
	return Running
}

// giveUp abandons what a closed campaign has open.
func (s *State) giveUp(g *GiveUp) Event {
	c := s.campaigns[g.Campaign]
	if c == nil {
		return *refused(NotFound, "campaign", "there is no campaign %q", g.Campaign)
	}
	switch {
	case c.steered.To == Closed:
		return GivenUp{Name: g.Campaign, Indices: s.ownCampaign(g.Campaign).abandonOpen(closedReason, false)}
	case g.Reason != "":
		return s.endForMoney(g)
	}
	return *refused(Conflict, "campaign", "campaign %q is not closed", g.Campaign)
}

// extend changes how much a campaign asks for in all.
func (s *State) extend(e *ExtendCampaign) Event {
	c := s.campaigns[e.Campaign]
	if c == nil {
		return *refused(NotFound, "campaign", "there is no campaign %q", e.Campaign)
	}
	if c.steered.To == Closed {
		return *refused(Conflict, "campaign", "campaign %q is closed, and stays so", e.Campaign).remedy("create another campaign")
	}
	if e.Samples == c.loop.Samples && e.Rounds == c.loop.Rounds && (e.Money == 0 || e.Money == c.loop.Money) {
		return CampaignExtended{Name: e.Campaign, Version: c.version(), Duplicate: true}
	}
	if e.Version != 0 && e.Version != c.version() {
		return *refused(Stale, "version", "version %d is not the campaign's, %d is", e.Version, c.version())
	}
	if r := checkWhy(e.Author, e.Reason); r != nil {
		return *r
	}
	if r := c.checkExtension(e); r != nil {
		return *r
	}
	c = s.ownCampaign(e.Campaign)
	if p := c.waiting(); p != nil && p.Number > e.Rounds {
		c.rule(ProposalVoid, s.last, e.Author, e.Reason)
	}
	c.amend(Amendment{Samples: e.Samples, Rounds: e.Rounds, At: s.last, Author: e.Author, Reason: e.Reason, Money: e.Money})
	return CampaignExtended{Name: e.Campaign, Version: c.version()}
}

// maxAmendments bounds the versions of a campaign, which are all kept.
const maxAmendments = 1000

// checkExtension refuses numbers that the rounds decided so far contradict, or
// that no further round could fulfil.
func (c *campaign) checkExtension(e *ExtendCampaign) *Refused {
	opened := len(c.rounds)
	var decided uint64
	for _, r := range c.rounds {
		for _, k := range r.components {
			if k.domain == loop.Train {
				decided += k.quota
			}
		}
	}
	next := *c.loop
	next.Samples, next.Rounds = e.Samples, e.Rounds
	if r := checkCampaign(&next); r != nil {
		return r
	}
	switch {
	case len(c.amendments) >= maxAmendments:
		return refused(Conflict, "campaign", "campaign %q was extended or given a policy %d times already", c.loop.Name, maxAmendments).remedy("create another campaign")
	case !(e.Money >= 0 && e.Money <= loop.MaxMoney):
		return refused(Invalid, "money", "%v is not an amount", e.Money).remedy("above 0")
	case e.Samples >= loop.MaxQuota:
		return refused(Invalid, "samples", "%d samples; at most %d are allowed", e.Samples, loop.MaxQuota-1)
	case e.Rounds < opened:
		return refused(Conflict, "rounds", "%d rounds, but %d are decided already", e.Rounds, opened).remedy("ask for more")
	case e.Samples < decided:
		return refused(Conflict, "samples", "%d samples, but the rounds so far have decided on %d", e.Samples, decided).remedy("ask for more")
	case e.Rounds == opened && e.Samples > decided:
		return refused(Conflict, "rounds", "all %d rounds are decided, so that none is left to make %d more samples", opened, e.Samples-decided).
			remedy("ask for more rounds, too")
	case e.Samples > 0 && e.Samples-decided < uint64(e.Rounds-opened):
		return refused(Invalid, "samples", "%d samples cannot be spread over %d rounds to come", e.Samples-decided, e.Rounds-opened).
			remedy("ask for more samples or fewer rounds")
	}
	return nil
}

// amend makes the campaign's next version; c must be owned.
func (c *campaign) amend(a Amendment) {
	next := *c.loop
	next.Samples, next.Rounds = a.Samples, a.Rounds
	if a.Money > 0 {
		next.Money = a.Money
	}
	if a.Policy != "" {
		next.Policy, c.policyVersion = a.Policy, a.PolicyVersion
	}
	c.loop = &next
	c.amendments = append(c.amendments, a)
}

// Steered is who paused, resumed or closed a campaign last; ok is false where
// there is no such campaign.
func (s *State) Steered(name string) (steered Steered, ok bool) {
	c := s.campaigns[name]
	if c == nil {
		return Steered{}, false
	}
	return c.steered, true
}
