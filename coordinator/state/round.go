package state

import (
	"bytes"
	"slices"
	"strconv"

	"hone/fault"
	"hone/loop"
)

// round is one decided round and how far its components are.
type round struct {
	generation uint64
	decided    *loop.DecidedRound
	at         int64
	sequence   uint64
	// components are in the order of the decision's.
	components []*component
}

// ownRound is round n to change; c must be owned.
func (c *campaign) ownRound(n int) *round {
	r := c.round(n)
	if r == nil || r.generation == c.generation {
		return r
	}
	own := *r
	own.generation = c.generation
	own.components = slices.Clone(r.components)
	c.rounds[n-1] = &own
	return &own
}

// find returns the position of a component, or -1.
func (r *round) find(domain loop.Domain, number int) int {
	for i, k := range r.components {
		if k.domain == domain && k.number == number {
			return i
		}
	}
	return -1
}

// own is the i-th component to change; r must be owned.
func (r *round) own(i int) *component {
	k := r.components[i]
	if k.generation != r.generation {
		k = k.share(r.generation)
		r.components[i] = k
	}
	return k
}

// component returns a component to read, or nil.
func (s *State) component(campaign string, n int, domain loop.Domain, number int) *component {
	c := s.campaigns[campaign]
	if c == nil {
		return nil
	}
	r := c.round(n)
	if r == nil {
		return nil
	}
	if i := r.find(domain, number); i >= 0 {
		return r.components[i]
	}
	return nil
}

// ownComponent returns a component to change, or nil.
func (s *State) ownComponent(campaign string, n int, domain loop.Domain, number int) *component {
	if s.component(campaign, n, domain, number) == nil {
		return nil
	}
	r := s.ownCampaign(campaign).ownRound(n)
	return r.own(r.find(domain, number))
}

// openRound opens a campaign's next round and cuts the quotas of the one before
// to what was reserved of them (C3, C15).
func (s *State) openRound(o *OpenRound) Event {
	c := s.campaigns[o.Round.Campaign]
	if c == nil {
		return *refused(NotFound, "campaign", "there is no campaign %q", o.Round.Campaign)
	}
	if there := c.round(o.Round.Number); there != nil {
		content, err := encoding.Marshal(&o.Round)
		if err == nil && bytes.Equal(content, must(encoding.Marshal(&there.decided.Round))) {
			return RoundOpened{Campaign: c.loop.Name, Number: o.Round.Number, Sequence: there.sequence, Duplicate: true}
		}
		return *refused(Stale, "round.number", "round %d of %q is open already", o.Round.Number, c.loop.Name)
	}
	if c.loop.Decide == loop.DecidePropose {
		return *refused(Conflict, "campaign", "the rounds of campaign %q are proposed first", c.loop.Name)
	}
	if r := s.checkOpening(c, o); r != nil {
		return *r
	}
	return RoundOpened{Campaign: c.loop.Name, Number: o.Round.Number, Sequence: s.open(c.loop.Name, o)}
}

// checkOpening refuses what cannot open as things stand.
func (s *State) checkOpening(c *campaign, o *OpenRound) *Refused {
	if r := s.checkExpected(c, o); r != nil {
		return r
	}
	if n := len(o.FirstReserve); n != 0 && n != len(o.Round.Components) {
		return refused(Invalid, "first_reserve", "%d reserves for %d components", n, len(o.Round.Components))
	}
	if r := checkComponents(o.Round.Components); r != nil {
		return r
	}
	if r := c.checkBudget(o); r != nil {
		return r
	}
	if o.EvidenceKey != "" {
		return s.admitKey("evidence_key", o.EvidenceKey)
	}
	return nil
}

// open opens what was checked, and returns the sequence of its change.
func (s *State) open(name string, o *OpenRound) uint64 {
	c := s.ownCampaign(name)
	if previous := c.ownRound(len(c.rounds)); previous != nil {
		for i, cut := range o.Cuts {
			previous.components[i].check()
			if previous.components[i].quota != cut {
				previous.own(i).cut(cut)
			}
		}
	}
	opened := &round{
		generation: s.generation,
		decided: &loop.DecidedRound{Round: o.Round, Space: c.loop.Space, Policy: c.loop.Policy,
			Sequence: o.Sequence, EvidenceKey: o.EvidenceKey, Models: o.Models,
			Budget: o.Budget, Build: o.Build, Architecture: o.Architecture},
		at: s.last,
	}
	for i := range o.Round.Components {
		var reserve uint64
		if len(o.FirstReserve) > 0 {
			reserve = o.FirstReserve[i]
		}
		opened.components = append(opened.components, newComponent(s.generation, &o.Round.Components[i], reserve))
	}
	opened.sequence = s.add(loop.Change{Round: opened.decided})
	c.rounds = append(c.rounds, opened)
	return opened.sequence
}

// checkExpected refuses a round that was decided from anything but what stands
// (C15).
func (s *State) checkExpected(c *campaign, o *OpenRound) *Refused {
	last := len(c.rounds)
	switch {
	case o.Round.Number != o.Previous+1:
		return refused(Invalid, "round.number", "round %d does not follow round %d", o.Round.Number, o.Previous)
	case o.Previous != last:
		return refused(Stale, "previous", "round %d is not the last one, %d is", o.Previous, last)
	case c.steered.To == Paused:
		return refused(Stale, "campaign", "campaign %q is paused", c.loop.Name).remedy("resume it first: hone campaign resume " + c.loop.Name)
	case c.steered.To == Closed:
		return refused(Stale, "campaign", "campaign %q is closed, and opens no round any more", c.loop.Name)
	case o.CampaignVersion != c.version():
		return refused(Stale, "campaign_version", "version %d is not the campaign's, %d is", o.CampaignVersion, c.version())
	case o.Round.Number > c.loop.Rounds:
		return refused(Conflict, "round.number", "the campaign has only %d rounds", c.loop.Rounds)
	case o.SpaceVersion != c.spaceVersion || o.Round.SpaceVersion != c.spaceVersion:
		return refused(Stale, "space_version", "version %d is not the campaign's, %d is", o.SpaceVersion, c.spaceVersion)
	case o.PolicyVersion != c.policyVersion || o.Round.PolicyVersion != c.policyVersion:
		return refused(Stale, "policy_version", "version %d is not the campaign's, %d is", o.PolicyVersion, c.policyVersion)
	case o.Canary != s.canary(c):
		return refused(Stale, "canary", "decided beside version %d of policy %q, but version %d is its canary (0 is none)", o.Canary, c.loop.Policy, s.canary(c))
	case o.Round.Canary != nil && o.Round.Canary.PolicyVersion != o.Canary:
		return refused(Invalid, "round.canary", "the canary's arm is of version %d, not of %d", o.Round.Canary.PolicyVersion, o.Canary)
	case o.Round.Seed != c.loop.Seed:
		return refused(Invalid, "round.seed", "%d is not the campaign's seed", o.Round.Seed)
	case o.Sequence > s.Sequence():
		return refused(Invalid, "sequence", "%d is beyond the catalogue, which ends at %d", o.Sequence, s.Sequence())
	}
	if last == 0 {
		if len(o.Cuts) != 0 {
			return refused(Invalid, "cuts", "the first round supersedes none")
		}
		return nil
	}
	previous := c.rounds[last-1]
	if o.Sequence < previous.decided.Sequence && !fault.Planted("let evidence go backwards") {
		return refused(Stale, "sequence", "%d is below the last round's, %d", o.Sequence, previous.decided.Sequence)
	}
	if len(o.Cuts) != len(previous.components) {
		return refused(Invalid, "cuts", "%d cuts for the %d components of round %d", len(o.Cuts), len(previous.components), last)
	}
	for i, k := range previous.components {
		if o.Cuts[i] != k.reserved && !fault.Planted("let an extension slip in") {
			return refused(Stale, "cuts["+strconv.Itoa(i)+"]", "computed with %d reserved, but %d are", o.Cuts[i], k.reserved)
		}
	}
	return nil
}

// checkComponents refuses components that no name could tell apart or count.
func checkComponents(components []loop.Component) *Refused {
	if len(components) == 0 {
		return refused(Invalid, "round.components", "a round has at least one component")
	}
	domain, number := loop.Train, 0
	for i := range components {
		k := &components[i]
		if k.Domain > domain {
			domain, number = k.Domain, 0
		}
		field := "round.components[" + strconv.Itoa(i) + "]"
		switch {
		case k.Domain != domain || k.Number != number:
			return refused(Invalid, field, "%s component %d is out of order", k.Domain, k.Number)
		case k.Domain > loop.Evaluation:
			return refused(Invalid, field+".domain", "%d is not a domain", k.Domain)
		case k.Quota >= loop.MaxQuota:
			return refused(Invalid, field+".quota", "%d; at most %d are allowed", k.Quota, loop.MaxQuota-1)
		}
		number++
	}
	return nil
}

// checkBudget refuses a round by which more would be made than was requested,
// or a last round that leaves training samples unmade (I3, C3). The round is
// known to fit the one before.
func (c *campaign) checkBudget(o *OpenRound) *Refused {
	var train uint64
	for n, r := range c.rounds {
		for i, k := range r.components {
			switch {
			case k.domain != loop.Train:
			case n == len(c.rounds)-1:
				train += o.Cuts[i]
			default:
				train += k.quota
			}
		}
	}
	train += o.Round.Quota(loop.Train)
	if train > c.loop.Samples || o.Round.Number == c.loop.Rounds && train != c.loop.Samples {
		return refused(Invalid, "round", "with this round the quotas sum to %d training samples of %d requested", train, c.loop.Samples)
	}
	if n := o.Round.Quota(loop.Evaluation); n > c.evaluationQuota() {
		return refused(Invalid, "round", "%d evaluation samples of %d requested", n, c.evaluationQuota())
	}
	return nil
}

// Round returns a round as it stands.
func (s *State) Round(campaign string, n int) (Round, bool) {
	c := s.campaigns[campaign]
	if c == nil || c.round(n) == nil {
		return Round{}, false
	}
	return c.round(n).view(), true
}

// Rounds returns all rounds of a campaign, in order.
func (s *State) Rounds(campaign string) []Round {
	c := s.campaigns[campaign]
	if c == nil {
		return nil
	}
	all := make([]Round, len(c.rounds))
	for i, r := range c.rounds {
		all[i] = r.view()
	}
	return all
}

func (r *round) view() Round {
	view := Round{Decided: r.decided, At: r.at, Sequence: r.sequence, Terminal: true}
	for _, k := range r.components {
		p := Progress{Domain: k.domain, Component: k.number, Reserved: k.reserved, Counts: k.counts()}
		view.Components = append(view.Components, p)
		view.Total.add(p.Counts)
		view.Terminal = view.Terminal && k.terminal()
	}
	return view
}

// Definition is what a worker needs of a round.
func (s *State) Definition(campaign string, n int) (loop.Definition, bool) {
	c := s.campaigns[campaign]
	if c == nil || c.round(n) == nil {
		return loop.Definition{}, false
	}
	space, ok := s.Space(c.loop.Space, c.spaceVersion)
	invariant(ok, "campaign %q is of a space that is not there", campaign)
	return loop.Definition{Campaign: campaign, Seed: c.loop.Seed, Generator: c.loop.Generator,
		Space: *space.Space, Round: c.round(n).decided.Round}, true
}

// OpenRuns returns up to limit units that can be leased: runs of open indices of
// a component, from an index on and below what is reserved, of one attempt each
// and of the campaign's unit size at most. It costs what it returns, however
// much is committed.
func (s *State) OpenRuns(campaign string, n int, domain loop.Domain, number int, from uint64, limit int) []loop.Unit {
	k := s.component(campaign, n, domain, number)
	if k == nil || from >= k.reserved || limit <= 0 {
		return nil
	}
	size := s.campaigns[campaign].loop.UnitSize
	var units []loop.Unit
	for index, ok := k.open.next(from); ok; index, ok = k.open.next(index + 1) {
		attempt := k.attempt(index)
		if last := len(units) - 1; last >= 0 {
			u := &units[last]
			if u.Count < size && u.Attempt == attempt && u.First+uint64(u.Count) == index {
				u.Count++
				continue
			}
			if len(units) == limit {
				break
			}
		}
		units = append(units, loop.Unit{Campaign: campaign, Domain: domain, Round: n, Component: number,
			Attempt: attempt, First: index, Count: 1})
	}
	return units
}
