package simulation

import (
	"fmt"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// everything is more than there is.
const everything = 1 << 30

// entered checks what an entry has done to the truth.
func (l *ledger) entered(e *state.Entry, events []state.Event) {
	s := l.w.truth
	for i := range e.Commands {
		if needs := e.Commands[i].Needs(); needs > l.inForce {
			breaks("C25: an entry of version %d is in the log, and version %d in force", needs, l.inForce)
		}
	}
	l.inForce = s.Version()
	if s.Time() < l.time || s.Time() < e.At {
		breaks("C24: the last time is %d after %d, and an entry of %d", s.Time(), l.time, e.At)
	}
	l.time = s.Time()
	l.view.follow(l.w, s, everything) // which can lack nothing
	for i := range events {
		l.answered(&e.Commands[i], events[i], events[i+1:])
	}
	l.counts()
	for _, x := range l.view.samples {
		if j := s.Judge(x.row.sample.campaign, x.row.sample.name); j != state.JudgedDuplicate {
			breaks("I2: %s is visible, and is judged %d", x.row.sample, j)
		}
	}
	for i := range l.acks {
		l.stands(&l.acks[i])
	}
}

// answered checks what Apply has answered to a command; then are the answers to those
// after it in its entry, of which the view knows already.
func (l *ledger) answered(c *state.Command, event state.Event, then []state.Event) {
	w := l.w
	switch event := event.(type) {
	case state.GivenUp:
		l.ended[event.Name] = true
		w.meet("what is open is given up", event.Indices > 0)
	case state.Accounted:
		l.metered(c.Account.Meters)
	case state.Committed:
		l.metered(c.Commit.Meters)
		for i, j := range event.Deliveries {
			d := &c.Commit.Deliveries[i]
			w.meet("a sample is committed", j.Standing.Fresh > j.Standing.Rejected)
			w.meet("a sample is rejected", j.Standing.Rejected > 0)
			w.meet("a sample is a duplicate", j.Standing.Duplicate > 0)
			w.meet("a sample is stale", j.Standing.Stale > 0)
			w.meet("a sample is closed", j.Standing.Closed > 0)
			if n := j.Standing.Fresh + j.Standing.Duplicate + j.Standing.Stale + j.Standing.Closed; n != d.Accepted.Count()+len(d.Rejected) {
				breaks("C10: %d samples of %s are judged %+v", d.Unit.Count, d.Unit.ID(), j.Standing)
			}
		}
	case state.RoundOpened:
		w.meet("a round is opened once more", event.Duplicate)
	case state.ProposalRuled:
		w.meet("a proposal is "+string(event.To), !event.Duplicate)
	case state.Compacted:
		w.meet("parts are compacted", !event.Duplicate)
		w.meet("parts are compacted once more", event.Duplicate)
	case state.Revoked:
		w.meet("a sample is taken back", len(event.Reopened) > 0)
		w.meet("a revoke comes too late", len(event.Reopened) == 0)
		w.meet("a published version gets an advisory", len(event.Advisories) > 0)
	case state.CampaignSteered:
		w.meet("a campaign is "+string(event.To), !event.Duplicate)
	case state.CampaignExtended:
		w.meet("a campaign is extended", !event.Duplicate)
	case state.EpochRaised:
		w.meet("an epoch is closed", !event.Duplicate)
	case state.VersionRaised:
		w.meet("a version is raised", !event.Duplicate)
	case state.Appended:
		for i, a := range event.Posts {
			l.judgedPost(&c.Append.Posts[i], a)
		}
	case state.Published:
		l.version(c.Publish, event, then)
	}
}

func (l *ledger) judgedPost(p *state.Posted, a state.PostAnswer) {
	id := (&post{post: p.Post}).id()
	l.w.meet("a post is a duplicate", a.DuplicateOf > 0)
	l.w.meet("a key is used for another body", a.Refused != nil)
	if a.Accepted == 0 {
		return
	}
	if l.counted[id] != nil || l.asks[id] == nil {
		breaks("C22: %s counts twice, or is nobody's", id)
	}
	l.counted[id] = l.asks[id]
	if a.Accepted != uint64(p.Rows) || l.view.posts[id] != int(p.Rows) {
		breaks("C22: %d of %d rows of %s are accepted, and %d count", a.Accepted, p.Rows, id, l.view.posts[id])
	}
}

// version checks a version when it is published, and that it never changes (I8, C26).
func (l *ledger) version(c *state.Publish, event state.Published, then []state.Event) {
	v, ok := l.w.truth.Dataset(event.Name, event.Version)
	id := fmt.Sprintf("%s@%d", event.Name, event.Version)
	if before, ok := l.published[id]; ok && before != v.Manifest.Digest || !ok && event.Duplicate {
		breaks("I8: %s was %s, and is %s", id, before, v.Manifest.Digest)
	}
	if !ok {
		breaks("I1: %s is published, and is not there", id)
	}
	l.w.meet("a version is published once more", event.Duplicate)
	if event.Duplicate {
		return
	}
	l.published[id] = v.Manifest.Digest
	for _, key := range append([]string{v.Manifest.Key, v.Addresses.Key}, v.Packs...) {
		l.refer(key)
	}
	since := make(map[sample]bool)
	for _, e := range then {
		if revoked, ok := e.(state.Revoked); ok {
			for _, x := range revoked.Reopened {
				since[sample{x.Campaign, x.Name}] = true
			}
		}
	}
	rows := l.w.lake.objects[v.Manifest.Key].rows
	for _, r := range rows {
		if there, ok := l.view.samples[anyAttempt(r.sample)]; (!ok || there.row.sample != r.sample) && !since[r.sample] {
			breaks("C26: %s is published with %s, which is not committed", id, r.sample)
		}
		if r.sample.campaign != c.Campaign {
			breaks("C26: %s is published with %s, which is another campaign's", id, r.sample)
		}
	}
	if uint64(len(rows)) != v.Samples {
		breaks("I2: %s has %d samples, and %d rows in its manifest", id, v.Samples, len(rows))
	}
}

// counts checks that what is visible is what state counts, and that it adds up.
func (l *ledger) counts() {
	s := l.w.truth
	for _, c := range l.w.campaigns {
		train := uint64(0)
		for _, round := range s.Rounds(c.Name) {
			l.opened(&round)
			for i := range round.Components {
				p := &round.Components[i]
				at := schedule.Place{Campaign: c.Name, Round: round.Decided.Round.Number, Domain: p.Domain, Component: p.Component}
				l.component(s, at, p)
				if p.Domain == loop.Train {
					train += p.Quota
				}
			}
		}
		now, ok := s.Campaign(c.Name)
		if !ok {
			continue
		}
		if spent, _ := s.Spent(c.Name); spent.Millis != l.spent[c.Name] {
			breaks("C14: %s has spent %d by its meters, and %d in state", c.Name, l.spent[c.Name], spent.Millis)
		}
		if train > now.Campaign.Samples {
			breaks("C3: the quotas of %s sum to %d, and %d were asked for", c.Name, train, now.Campaign.Samples)
		}
	}
}

// opened checks a round that is new: its evidence never goes back (C15).
func (l *ledger) opened(r *state.Round) {
	campaign, number := r.Decided.Round.Campaign, r.Decided.Round.Number
	if number <= l.rounds[campaign] {
		return
	}
	if number != l.rounds[campaign]+1 || r.Decided.Sequence < l.evidence[campaign] || r.Decided.Sequence > r.Sequence {
		breaks("C15: round %d of %s is of evidence at %d, after round %d of evidence at %d", number, campaign, r.Decided.Sequence,
			l.rounds[campaign], l.evidence[campaign])
	}
	l.rounds[campaign], l.evidence[campaign] = number, r.Decided.Sequence
	l.refer(r.Decided.EvidenceKey)
}

func (l *ledger) component(s *state.State, at schedule.Place, p *state.Progress) {
	if p.Committed != l.visible[at] {
		breaks("I2: of %+v state counts %d, and %d rows are visible", at, p.Committed, l.visible[at])
	}
	if p.Reserved < l.reserved[at] || p.Reserved > p.Quota {
		breaks("C2: of %+v %d are reserved of %d, and %d were", at, p.Reserved, p.Quota, l.reserved[at])
	}
	if before, ok := l.quotas[at]; ok && p.Quota > before {
		breaks("C3: the quota of %+v rises from %d to %d", at, before, p.Quota)
	}
	if p.Abandoned < l.abandoned[at] {
		breaks("C3: of %+v %d are abandoned, and %d were", at, p.Abandoned, l.abandoned[at])
	}
	given := p.Abandoned > l.abandoned[at]
	if before, ok := l.quotas[at]; ok {
		l.w.meet("a quota is cut", p.Quota < before)
	}
	l.reserved[at], l.quotas[at], l.abandoned[at] = p.Reserved, p.Quota, p.Abandoned
	open := l.open(s, at)
	if p.Quota != l.visible[at]+p.Abandoned+open+(p.Quota-p.Reserved) || p.Pending != open+p.Quota-p.Reserved {
		breaks("I3: of %+v the quota is %d: %d visible, %d abandoned, %d open, %d not reserved, %d pending",
			at, p.Quota, l.visible[at], p.Abandoned, open, p.Quota-p.Reserved, p.Pending)
	}
	if given {
		l.givenUp(s, at, p.Abandoned)
	}
}

// open counts what is open, which must be fresh, and looks at its attempts.
func (l *ledger) open(s *state.State, at schedule.Place) (open uint64) {
	for _, u := range s.OpenRuns(at.Campaign, at.Round, at.Domain, at.Component, 0, everything) {
		for i := range u.Count {
			x := sample{u.Campaign, u.Name(i)}
			if j := s.Judge(x.campaign, x.name); j != state.JudgedFresh {
				breaks("C1: %s is to be leased, and is judged %d", x, j)
			}
			if s == l.w.truth {
				l.attempt(x)
			}
		}
		open += uint64(u.Count)
	}
	return open
}

// attempt checks that an index is at this attempt for a reason: every one before was
// sent back by the gates or taken back (C4, C13).
func (l *ledger) attempt(x sample) {
	index := anyAttempt(x)
	known := l.attempts[index]
	if x.name.Attempt < known {
		breaks("C4: %s is open, and was at attempt %d", x, known)
	}
	for ; known < x.name.Attempt; known++ {
		before := x
		before.name.Attempt = known
		if accepts(x.campaign, before.name) && !l.revoked[before] {
			breaks("C4: %s is open, but %s was neither sent back nor taken back", x, before)
		}
	}
	l.attempts[index] = known
}

// givenUp checks that what is abandoned is so for a reason: the gates have sent it
// back often enough, or the campaign is closed (C4).
func (l *ledger) givenUp(s *state.State, at schedule.Place, count uint64) {
	campaign, _ := s.Campaign(at.Campaign)
	seen := uint64(0)
	for _, a := range campaign.Abandoned {
		if a.Round != at.Round || a.Domain != at.Domain || a.Component != at.Component {
			continue
		}
		seen += a.Indices.Count()
		for index := range a.Indices.All() {
			last := sample{at.Campaign, loop.Name{Domain: at.Domain, Round: at.Round, Component: at.Component, Index: index}}
			last.name.Attempt = l.attempts[last]
			switch {
			case s.Judge(last.campaign, last.name) != state.JudgedClosed:
				breaks("C4: %s is abandoned, and is judged otherwise", last)
			case a.Gate == "" && (campaign.State == state.Closed || l.ended[at.Campaign]):
			case accepts(last.campaign, last.name), last.name.Attempt+1 < campaign.Campaign.MaxAttempts:
				breaks("C4: %s is abandoned at attempt %d, and the gates had not sent it back %d times", last, last.name.Attempt, campaign.Campaign.MaxAttempts)
			}
		}
	}
	if seen != count {
		breaks("I3: of %+v %d are abandoned, and %d for a reason", at, count, seen)
	}
}
