package state

import (
	"slices"
	"strings"
	"testing"

	"hone/loop"
)

// proposing is a state with campaign "c" of 12 samples in 3 rounds, whose rounds
// are proposed.
func proposing(t testing.TB) *State {
	t.Helper()
	s := newSized("cluster", 4)
	c := testCampaign("c", 12, 3)
	c.Decide = loop.DecidePropose
	for _, command := range preparation(c) {
		if r, ok := apply(t, s, command).(Refused); ok {
			t.Fatal(r)
		}
	}
	return s
}

// proposeRound proposes a round with evidence of its own.
func proposeRound(s *State, serial, number int, cuts []uint64, quotas ...uint64) Command {
	c := campaignNow(s)
	r := testRound("c", number, quotas...)
	r.PolicyVersion = c.PolicyVersion
	for i := range r.Components {
		r.Components[i].Share = (1 << 32) * quotas[i] / (quotas[0] + quotas[len(quotas)-1]*uint64(min(1, len(quotas)-1)))
		if i > 0 {
			r.Components[i].Slice = loop.Slice{{Factor: 0, Level: i - 1}}
		}
	}
	o := openRound(r, cuts, slices.Clone(quotas)).OpenRound
	o.CampaignVersion, o.PolicyVersion = c.Version, c.PolicyVersion
	o.EvidenceKey = object("evidence", 1, string(rune('0'+serial)), 1).Key
	o.Budget = &loop.Budget{Campaign: "c", Number: number, Train: r.Quota(loop.Train)}
	return Command{ProposeRound: &ProposeRound{Open: *o, Serial: serial, Author: "hone"}}
}

func campaignNow(s *State) Campaign {
	c, _ := s.Campaign("c")
	return c
}

// ruling approves or rejects a proposal as it was seen.
func ruling(s *State, serial int, approve bool, author string) Command {
	return Command{RuleProposal: &RuleProposal{Campaign: "c", Serial: serial, Digest: s.Proposals("c")[serial-1].Digest,
		Approve: approve, Author: author, Reason: "because"}}
}

func ruled(t testing.TB, s *State, serial int, want ProposalState) Proposal {
	t.Helper()
	p := s.Proposals("c")[serial-1]
	if want == "" && p.Ruling != nil || want != "" && (p.Ruling == nil || p.Ruling.To != want) || (want == "") != (p.Open != nil) {
		t.Errorf("proposal %d is %+v, want %q", serial, p.Ruling, want)
	}
	return p
}

// A proposed round waits, across a snapshot; nothing opens unasked; what is
// approved opens to the byte, once (C8, C10, I3).
func TestProposedAndApproved(t *testing.T) {
	s := proposing(t)
	first := proposeRound(s, 1, 1, nil, 3, 1)
	refusedAs(t, s, Conflict, Command{OpenRound: &first.ProposeRound.Open})
	if got := answer[RoundProposed](t, s, first); got.Duplicate || got.Number != 1 || got.Serial != 1 || got.Digest != first.ProposeRound.Open.Round.Digest() {
		t.Errorf("%+v", got)
	}
	if got := answer[RoundProposed](t, s, first); !got.Duplicate {
		t.Errorf("sent again: %+v", got)
	}
	before := restored(t, s)
	if p, void, ok := before.Proposed("c"); !ok || void != nil || p.Open == nil || p.Author != "hone" || campaignNow(s).Total.Quota != 0 || campaignNow(s).State != Running {
		t.Fatalf("%+v %v %v", p, void, ok)
	}
	approve := ruling(before, 1, true, "ann")
	for _, s := range []*State{s, before} {
		if got := answer[ProposalRuled](t, s, approve); got.Duplicate || got.To != ProposalApproved {
			t.Errorf("%+v", got)
		}
		if got := answer[ProposalRuled](t, s, approve); !got.Duplicate {
			t.Errorf("sent again: %+v", got)
		}
		// Whoever asks for what is so already changes nothing.
		if got := answer[ProposalRuled](t, s, ruling(s, 1, true, "bob")); !got.Duplicate || ruled(t, s, 1, ProposalApproved).Ruling.Author != "ann" {
			t.Errorf("approved by a second: %+v", got)
		}
		r, _ := s.Round("c", 1)
		if r.Decided.Round.Digest() != ruled(t, s, 1, ProposalApproved).Digest || r.Decided.Budget == nil || r.Decided.EvidenceKey == "" || r.Total.Quota != 4 {
			t.Errorf("opened %+v", r.Decided)
		}
		refusedAs(t, s, Stale, first) // late
		refusedAs(t, s, Stale, ruling(s, 1, false, "bob"))
		restored(t, s)
	}
}

// Of what waits no more it is said what became of it, and what to do.
func TestSettled(t *testing.T) {
	for to, want := range map[ProposalState]string{
		ProposalApproved: "round: round 4 was approved by ann, and is open (what comes after it can be changed)",
		ProposalRejected: "round: this proposal of round 4 was rejected by ann (ask for another: hone round propose c)",
		ProposalAmended:  "round: this proposal of round 4 was amended by ann (look at what waits now: hone round preview c 4)",
		ProposalReplaced: "round: this proposal of round 4 was replaced by ann: somebody asked for another, or what it was decided from has changed (look at what waits now: hone round preview c 4)",
		ProposalVoid:     "round: this proposal of round 4 is void: the campaign was closed, or has no such round any more (see hone campaign show c)",
	} {
		p := Proposal{Number: 4, Ruling: &Ruling{To: to, Author: "ann"}}
		if got := p.Settled("c").Error(); got != want {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
}

// Whatever contradicts what stands is refused, and changes nothing (C10, C15).
func TestProposalsRefused(t *testing.T) {
	s := proposing(t)
	answer[RoundProposed](t, s, proposeRound(s, 1, 1, nil, 4))
	change := func(c Command, change func(*ProposeRound)) Command {
		p := *c.ProposeRound
		change(&p)
		return Command{ProposeRound: &p}
	}
	next := proposeRound(s, 2, 1, nil, 3)
	for name, x := range map[string]struct {
		c    Command
		want Reason
	}{
		"no such campaign":      {change(next, func(p *ProposeRound) { p.Open.Round.Campaign = "none" }), NotFound},
		"late":                  {change(next, func(p *ProposeRound) { p.Serial = 1 }), Stale},
		"ahead":                 {change(next, func(p *ProposeRound) { p.Serial = 3 }), Stale},
		"of another version":    {change(next, func(p *ProposeRound) { p.Open.CampaignVersion = 2 }), Stale},
		"by another policy":     {change(next, func(p *ProposeRound) { p.Open.PolicyVersion = 2 }), Stale},
		"too much":              {proposeRound(s, 2, 1, nil, 13), Invalid},
		"a round too far":       {proposeRound(s, 2, 2, nil, 3), Stale},
		"too long an author":    {change(next, func(p *ProposeRound) { p.Author = strings.Repeat("a", 129) }), Invalid},
		"evidence elsewhere":    {change(next, func(p *ProposeRound) { p.Open.EvidenceKey = "evidence" }), Invalid},
		"no proposal":           {Command{RuleProposal: &RuleProposal{Campaign: "c", Serial: 2}}, NotFound},
		"proposal 0":            {Command{RuleProposal: &RuleProposal{Campaign: "c"}}, NotFound},
		"of no campaign":        {Command{RuleProposal: &RuleProposal{Campaign: "none", Serial: 1}}, NotFound},
		"another than was seen": {Command{RuleProposal: &RuleProposal{Campaign: "c", Serial: 1, Digest: loop.Digest{1}, Approve: true}}, Stale},
		"too long a reason":     {Command{RuleProposal: &RuleProposal{Campaign: "c", Serial: 1, Reason: strings.Repeat("a", 1025)}}, Invalid},
	} {
		t.Run(name, func(t *testing.T) { refusedAs(t, s, x.want, x.c) })
	}
	ruled(t, s, 1, "")
	refusedAs(t, prepared(t, 12, 3, 3), Conflict, proposeRound(prepared(t, 12, 3, 3), 1, 1, nil, 4)) // decides by itself
}

// An amendment takes the place of what it amends, and says what it changed; what
// was amended is approved by nobody any more (C8).
func TestProposalAmended(t *testing.T) {
	s := proposing(t)
	answer[RoundProposed](t, s, proposeRound(s, 1, 1, nil, 3, 1))
	old := ruling(s, 1, true, "bob")
	amend := proposeRound(s, 2, 1, nil, 1, 1)
	amend.ProposeRound.Author, amend.ProposeRound.Reason, amend.ProposeRound.Amends = "ann", "the night shift", true
	answer[RoundProposed](t, s, amend)
	refusedAs(t, s, Stale, old)
	s = restored(t, s)
	if p := ruled(t, s, 1, ProposalAmended); p.Ruling.Author != "ann" || p.Ruling.Reason != "the night shift" {
		t.Errorf("%+v", p.Ruling)
	}
	want := []loop.ShareChange{{Over: loop.OverBase, From: 3 << 30, To: 1 << 31}, {Over: loop.OverBase, Slice: loop.Slice{{Factor: 0, Level: 0}}, From: 1 << 30, To: 1 << 31}}
	p := ruled(t, s, 2, "")
	if p.Author != "ann" || len(p.Changes) != 2 || p.Changes[0].From != want[0].From || p.Changes[0].To != want[0].To ||
		!p.Changes[1].Slice.Equal(want[1].Slice) || p.Changes[1].From != want[1].From || p.Changes[1].To != want[1].To {
		t.Errorf("%+v", p)
	}
	answer[RoundProposed](t, s, proposeRound(s, 3, 1, nil, 2, 2))
	if p := ruled(t, s, 3, ""); ruled(t, s, 2, ProposalReplaced).Ruling.Author != "hone" || len(p.Changes) != 0 {
		t.Errorf("%+v", p)
	}
	answer[ProposalRuled](t, s, ruling(s, 3, false, "ann"))
	amend.ProposeRound.Serial = 4
	refusedAs(t, s, Stale, amend) // nothing waits
	answer[RoundProposed](t, s, proposeRound(s, 4, 1, nil, 2, 2))
	ruled(t, s, 3, ProposalRejected)
}

// The round before may have been handed out further since, the campaign extended
// or paused: what was decided from what was is not opened (C3, C15), but decided
// again.
func TestApprovalOfWhatHasMoved(t *testing.T) {
	begin := func(t *testing.T) *State {
		s := proposing(t)
		p := proposeRound(s, 1, 1, nil, 4)
		p.ProposeRound.Open.FirstReserve = []uint64{2}
		answer[RoundProposed](t, s, p)
		answer[ProposalRuled](t, s, ruling(s, 1, true, "ann"))
		answer[RoundProposed](t, s, proposeRound(s, 2, 2, []uint64{2}, 5))
		return s
	}
	for name, move := range map[string]Command{
		"the cuts":   extension(1, 3),
		"the budget": extend(20, 3, 1),
		"paused":     steer(Paused, "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			apply(t, s, move)
			if _, void, ok := s.Proposed("c"); !ok || void == nil {
				t.Errorf("%v %v", void, ok)
			}
			refusedAs(t, s, Stale, ruling(s, 2, true, "ann"))
			ruled(t, s, 2, "")
			if name == "paused" {
				answer[CampaignSteered](t, s, steer(Running, "", ""))
				answer[ProposalRuled](t, s, ruling(s, 2, true, "ann"))
				return
			}
			r, _ := s.Round("c", 1)
			answer[RoundProposed](t, s, proposeRound(s, 3, 2, []uint64{r.Components[0].Reserved}, 4))
			ruled(t, s, 2, ProposalReplaced)
			answer[ProposalRuled](t, s, ruling(s, 3, true, "ann"))
			if r, _ := s.Round("c", 2); r.Total.Quota != 4 {
				t.Errorf("opened %+v", r.Total)
			}
		})
	}
}

// What waits for approval when its campaign ends waits no more.
func TestProposalVoid(t *testing.T) {
	for name, x := range map[string]struct {
		c  Command
		by string
	}{
		"closed":    {steer(Closed, "ann", "enough"), "ann"},
		"cut short": {extend(0, 1, 0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := proposing(t)
			if name == "cut short" {
				answer[RoundProposed](t, s, proposeRound(s, 1, 1, nil, 4))
				answer[ProposalRuled](t, s, ruling(s, 1, true, "ann"))
				x.c = extend(4, 1, 0)
			}
			n := len(s.Proposals("c")) + 1
			var cuts []uint64
			if n > 1 {
				cuts = []uint64{4}
			}
			answer[RoundProposed](t, s, proposeRound(s, n, n, cuts, 4))
			apply(t, s, x.c)
			s = restored(t, s)
			if p := ruled(t, s, n, ProposalVoid); p.Ruling.Author != x.by {
				t.Errorf("%+v", p.Ruling)
			}
			if _, _, ok := s.Proposed("c"); ok && name == "cut short" {
				t.Error("a round is proposed that there will never be")
			}
		})
	}
}

// The evidence of a proposal stays referenced, whatever became of it, on a replica
// that was restored, too (C18, I6).
func TestEvidenceOfProposals(t *testing.T) {
	s := proposing(t)
	p := proposeRound(s, 1, 1, nil, 4)
	answer[RoundProposed](t, s, p)
	answer[ProposalRuled](t, s, ruling(s, 1, false, "ann"))
	answer[EpochRaised](t, s, Command{RaiseEpoch: &RaiseEpoch{Closes: 1}})
	for _, s := range []*State{s, restored(t, s)} {
		if !s.References(p.ProposeRound.Open.EvidenceKey) {
			t.Error("the evidence of a rejected proposal is not referenced")
		}
		again := *p.ProposeRound
		again.Serial = 2
		answer[RoundProposed](t, s, Command{ProposeRound: &again})
		fresh := proposeRound(s, 3, 1, nil, 3)
		refusedAs(t, s, EpochClosed, fresh)
	}
}

// So many proposals of one round are kept, and no more.
func TestProposalsAreBounded(t *testing.T) {
	s := proposing(t)
	for serial := 1; serial <= maxProposals; serial++ {
		answer[RoundProposed](t, s, proposeRound(s, serial, 1, nil, 4))
	}
	refusedAs(t, s, Conflict, proposeRound(s, maxProposals+1, 1, nil, 3))
	answer[ProposalRuled](t, s, ruling(s, maxProposals, true, "ann"))
	answer[RoundProposed](t, s, proposeRound(s, maxProposals+1, 2, []uint64{4}, 4))
}

// A snapshot that nobody wrote is refused.
func TestRestoreRefusesProposals(t *testing.T) {
	s := proposing(t)
	answer[RoundProposed](t, s, proposeRound(s, 1, 1, nil, 4))
	for name, change := range map[string]func(*proposalRecord){
		"neither waits nor not": func(r *proposalRecord) { r.Open = nil },
		"both":                  func(r *proposalRecord) { r.Ruling = &rulingRecord{} },
		"another digest":        func(r *proposalRecord) { r.Digest[0]++ },
		"another number":        func(r *proposalRecord) { r.Number++ },
	} {
		t.Run(name, func(t *testing.T) {
			var b builder
			err := s.records(func(r *record) error {
				if r.Proposal != nil {
					change(r.Proposal)
				}
				return b.add(r)
			})
			if err == nil {
				t.Error("it was restored")
			}
		})
	}
}
