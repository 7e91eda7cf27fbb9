package state

// adoptPolicy makes a campaign follow a version of a policy. The rounds that are
// there keep the one that they were decided by.
func (s *State) adoptPolicy(a *AdoptPolicy) Event {
	c := s.campaigns[a.Campaign]
	if c == nil {
		return *refused(NotFound, "campaign", "there is no campaign %q", a.Campaign)
	}
	if len(c.loop.Make) > 0 {
		return *refused(Conflict, "campaign", "campaign %q makes what it lists, and follows no policy", a.Campaign)
	}
	if c.steered.To == Closed {
		return *refused(Conflict, "campaign", "campaign %q is closed, and stays so", a.Campaign).remedy("create another campaign")
	}
	if _, ok := s.Policy(a.Policy, a.PolicyVersion); !ok || a.PolicyVersion == 0 {
		return *refused(NotFound, "policy", "there is no version %d of policy %q", a.PolicyVersion, a.Policy)
	}
	if r := checkWhy(a.Author, a.Reason); r != nil {
		return *r
	}
	event := PolicyAdopted{Name: a.Campaign, Version: c.version(), Policy: a.Policy, PolicyVersion: a.PolicyVersion}
	if c.loop.Policy == a.Policy && c.policyVersion == a.PolicyVersion {
		event.Duplicate = true
		return event
	}
	if a.Version != 0 && a.Version != c.version() {
		return *refused(Stale, "version", "version %d is not the campaign's, %d is", a.Version, c.version())
	}
	if len(c.amendments) >= maxAmendments {
		return *refused(Conflict, "campaign", "campaign %q was extended or given a policy %d times already", a.Campaign, maxAmendments).
			remedy("create another campaign")
	}
	c = s.ownCampaign(a.Campaign)
	c.amend(Amendment{Samples: c.loop.Samples, Rounds: c.loop.Rounds, At: s.last, Author: a.Author, Reason: a.Reason,
		Policy: a.Policy, PolicyVersion: a.PolicyVersion})
	event.Version = c.version()
	return event
}
