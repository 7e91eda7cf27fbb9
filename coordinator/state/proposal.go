package state

import (
	"fmt"

	"hone/loop"
)

// ProposalState is what has become of a proposal.
type ProposalState string

// What becomes of a proposal; one that waits has none of these.
const (
	ProposalApproved ProposalState = "approved"
	ProposalRejected ProposalState = "rejected"
	// ProposalAmended: a person changed it, and the next one waits in its place.
	ProposalAmended ProposalState = "amended"
	// ProposalReplaced: what it was decided from has changed, or somebody asked for
	// another; the next one waits in its place.
	ProposalReplaced ProposalState = "replaced"
	// ProposalVoid: its campaign was closed, or has no such round any more.
	ProposalVoid ProposalState = "void"
)

// Proposal is a round that waits, or waited, for approval (C8). What a proposal
// was decided from stays referenced, also when nothing came of it.
type Proposal struct {
	// Serial numbers the campaign's proposals, from 1; Number is the round's.
	Serial int
	Number int
	// Digest is that of the round's canonical bytes.
	Digest loop.Digest
	// At is when it was made, in microseconds since 1970 UTC.
	At     int64
	Author string
	Reason string
	// CampaignVersion, PolicyVersion, Canary and Models are what it was decided from.
	CampaignVersion int
	PolicyVersion   int
	Canary          int
	EvidenceKey     string
	Models          []loop.EvidenceModel
	// Changes are how an amendment moved the mixture of the proposal before it;
	// nothing of any other.
	Changes []loop.ShareChange
	// Open is what approval opens; nil of one that waits no more. It is shared and
	// must not be changed.
	Open *OpenRound
	// Ruling is nil of one that waits.
	Ruling *Ruling
}

// Ruling is what became of a proposal, and by whom.
type Ruling struct {
	To     ProposalState
	At     int64
	Author string
	Reason string
}

// maxProposals bounds the proposals of one round, which are all kept.
const maxProposals = 1000

// waiting is the proposal that waits, or nil.
func (c *campaign) waiting() *Proposal {
	if n := len(c.proposals); n > 0 && c.proposals[n-1].Ruling == nil {
		return &c.proposals[n-1]
	}
	return nil
}

// rule says what became of the proposal that waits; c must be owned.
func (c *campaign) rule(to ProposalState, at int64, author, reason string) {
	p := c.waiting()
	p.Open, p.Ruling = nil, &Ruling{to, at, author, reason}
}

func (s *State) proposeRound(p *ProposeRound) Event {
	o := &p.Open
	c := s.campaigns[o.Round.Campaign]
	if c == nil {
		return *refused(NotFound, "campaign", "there is no campaign %q", o.Round.Campaign)
	}
	if c.loop.Decide != loop.DecidePropose {
		return *refused(Conflict, "campaign", "campaign %q decides by itself", c.loop.Name)
	}
	if r := checkWhy(p.Author, p.Reason); r != nil {
		return *r
	}
	digest, before := o.Round.Digest(), c.waiting()
	if before != nil && before.Serial == p.Serial && before.Digest == digest {
		return RoundProposed{Campaign: c.loop.Name, Number: before.Number, Serial: p.Serial, Digest: digest, Duplicate: true}
	}
	if p.Serial != len(c.proposals)+1 {
		return *refused(Stale, "serial", "the next proposal is number %d, not %d", len(c.proposals)+1, p.Serial)
	}
	if p.Amends && before == nil {
		return *refused(Stale, "amends", "no proposal waits to be amended")
	}
	if r := s.checkOpening(c, o); r != nil {
		return *r
	}
	if n := len(c.proposals); n >= maxProposals && c.proposals[n-maxProposals].Number == o.Round.Number {
		return *refused(Conflict, "round", "round %d was proposed %d times already", o.Round.Number, maxProposals).remedy("approve the one that waits, or close the campaign")
	}

	c = s.ownCampaign(c.loop.Name)
	next := Proposal{Serial: p.Serial, Number: o.Round.Number, Digest: digest, At: s.last, Author: p.Author, Reason: p.Reason,
		CampaignVersion: o.CampaignVersion, PolicyVersion: o.PolicyVersion, Canary: o.Canary, Models: o.Models, Open: o}
	if o.EvidenceKey != "" {
		next.EvidenceKey = s.reference(o.EvidenceKey)
	}
	if before = c.waiting(); before != nil {
		to := ProposalReplaced
		if p.Amends {
			to = ProposalAmended
			for _, change := range before.Open.Round.Shift(&o.Round) {
				if change.From != change.To {
					next.Changes = append(next.Changes, change)
				}
			}
		}
		c.rule(to, s.last, p.Author, p.Reason)
	}
	c.proposals = append(c.proposals, next)
	return RoundProposed{Campaign: c.loop.Name, Number: next.Number, Serial: next.Serial, Digest: digest}
}

func (s *State) ruleProposal(j *RuleProposal) Event {
	c := s.campaigns[j.Campaign]
	if c == nil {
		return *refused(NotFound, "campaign", "there is no campaign %q", j.Campaign)
	}
	if r := checkWhy(j.Author, j.Reason); r != nil {
		return *r
	}
	if j.Serial < 1 || j.Serial > len(c.proposals) {
		return *refused(NotFound, "serial", "campaign %q has no proposal %d", j.Campaign, j.Serial)
	}
	p := c.proposals[j.Serial-1]
	to := ProposalRejected
	if j.Approve {
		to = ProposalApproved
	}
	event := ProposalRuled{Campaign: j.Campaign, Number: p.Number, Serial: p.Serial, To: to}
	switch {
	case p.Digest != j.Digest:
		return *refused(Stale, "digest", "%s is not what is proposed, %s is", j.Digest, p.Digest)
	case p.Ruling != nil && p.Ruling.To == to:
		event.Duplicate = true // whoever asked first, and why
		return event
	case p.Ruling != nil:
		return Refused{Stale, p.Settled(j.Campaign)}
	}
	if j.Approve {
		// The cuts may have moved since, an amendment may have come (C3, C15): then it
		// is decided again, and proposed again.
		if r := s.checkOpening(c, p.Open); r != nil {
			return *r
		}
		s.open(j.Campaign, p.Open)
	}
	s.ownCampaign(j.Campaign).rule(to, s.last, j.Author, j.Reason)
	return event
}

// Settled says of a proposal that waits no more what became of it, and what to do
// instead.
func (p *Proposal) Settled(campaign string) *loop.Error {
	by := ""
	if p.Ruling.Author != "" {
		by = " by " + p.Ruling.Author
	}
	e := &loop.Error{Field: "round"}
	look := fmt.Sprintf("look at what waits now: hone round preview %s %d", campaign, p.Number)
	switch p.Ruling.To {
	case ProposalApproved:
		e.Problem, e.Remedy = fmt.Sprintf("round %d was approved%s, and is open", p.Number, by), "what comes after it can be changed"
	case ProposalRejected:
		e.Problem, e.Remedy = fmt.Sprintf("this proposal of round %d was rejected%s", p.Number, by), "ask for another: hone round propose "+campaign
	case ProposalAmended:
		e.Problem, e.Remedy = fmt.Sprintf("this proposal of round %d was amended%s", p.Number, by), look
	case ProposalReplaced:
		e.Problem, e.Remedy = fmt.Sprintf("this proposal of round %d was replaced%s: somebody asked for another, or what it was decided from has changed", p.Number, by), look
	default:
		e.Problem, e.Remedy = fmt.Sprintf("this proposal of round %d is void: the campaign was closed, or has no such round any more", p.Number), "see hone campaign show "+campaign
	}
	return e
}

// Proposals returns all proposals of a campaign, from the first.
func (s *State) Proposals(campaign string) []Proposal {
	c := s.campaigns[campaign]
	if c == nil {
		return nil
	}
	return append([]Proposal(nil), c.proposals...)
}

// Proposed returns the last proposal of a campaign's next round, whether it still
// waits or not; ok is false where there is none. Where it waits, but could not
// open as things stand, void says why.
func (s *State) Proposed(campaign string) (p Proposal, void *loop.Error, ok bool) {
	c := s.campaigns[campaign]
	if c == nil || len(c.proposals) == 0 {
		return Proposal{}, nil, false
	}
	p = c.proposals[len(c.proposals)-1]
	if p.Number != len(c.rounds)+1 || p.Number > c.loop.Rounds {
		return Proposal{}, nil, false
	}
	if p.Ruling == nil {
		if r := s.checkOpening(c, p.Open); r != nil {
			void = r.Err
		}
	}
	return p, void, true
}

func recordProposal(p *Proposal) *proposalRecord {
	r := &proposalRecord{p.Number, p.Digest, p.At, p.Author, p.Reason, p.CampaignVersion, p.PolicyVersion, p.EvidenceKey, p.Models, p.Changes, p.Open, nil, p.Canary}
	if p.Ruling != nil {
		ruling := rulingRecord(*p.Ruling)
		r.Ruling = &ruling
	}
	return r
}

func (b *builder) addProposal(r *proposalRecord) error {
	if b.campaign == nil || b.campaign.waiting() != nil || (r.Open == nil) == (r.Ruling == nil) {
		return errOrder
	}
	if r.Open != nil && (r.Open.Round.Campaign != b.campaign.loop.Name || r.Open.Round.Number != r.Number || r.Open.Round.Digest() != r.Digest) {
		return errOrder
	}
	p := Proposal{Serial: len(b.campaign.proposals) + 1, Number: r.Number, Digest: r.Digest, At: r.At, Author: r.Author, Reason: r.Reason,
		CampaignVersion: r.CampaignVersion, PolicyVersion: r.PolicyVersion, Canary: r.Canary, EvidenceKey: r.EvidenceKey, Models: r.Models, Changes: r.Changes, Open: r.Open}
	if r.Ruling != nil {
		ruling := Ruling(*r.Ruling)
		p.Ruling = &ruling
	}
	if p.EvidenceKey != "" {
		b.s.reference(p.EvidenceKey)
	}
	b.campaign.proposals = append(b.campaign.proposals, p)
	return nil
}
