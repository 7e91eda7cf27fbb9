package state

import (
	"strings"
	"testing"

	"hone/loop"
)

func adopt(campaign, policy string, policyVersion, version int) Command {
	return Command{AdoptPolicy: &AdoptPolicy{Campaign: campaign, Version: version, Policy: policy, PolicyVersion: policyVersion, Author: "ann", Reason: "more exploration"}}
}

func putPolicy(name string, floor float64) Command {
	return Command{PutPolicy: &PutPolicy{Policy: loop.Policy{Name: name, Strategy: loop.StrategyUniform, Floor: floor},
		Document: "name: " + name, Author: "bob", Reason: "night shift"}}
}

// A campaign follows the policy that it adopted from the next round on; a round
// decided by the one before is stale (C15), and those that are there keep theirs.
func TestAdopted(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 4), nil, []uint64{4}))
	answer[PolicyPut](t, s, putPolicy("bold", .5)) // version 1, as that of plain is
	listed := testCampaign("listed", 2, 1)
	listed.Policy, listed.Make, listed.LearnFrom = "", []loop.Request{{Count: 2}}, nil
	answer[CampaignCreated](t, s, Command{CreateCampaign: &CreateCampaign{Campaign: listed, SpaceVersion: 1}})
	for _, bad := range []struct {
		c      Command
		reason Reason
	}{
		{adopt("none", "bold", 1, 0), NotFound}, {adopt("c", "none", 1, 0), NotFound}, {adopt("c", "bold", 0, 0), NotFound},
		{adopt("c", "bold", 2, 0), NotFound}, {adopt("c", "bold", 1, 2), Stale}, {adopt("listed", "bold", 1, 0), Conflict},
		{Command{AdoptPolicy: &AdoptPolicy{Campaign: "c", Policy: "bold", PolicyVersion: 1, Author: strings.Repeat("a", 129)}}, Invalid},
		{Command{PutPolicy: &PutPolicy{Policy: loop.Policy{Name: "p"}, Reason: strings.Repeat("a", 1025)}}, Invalid},
	} {
		refusedAs(t, s, bad.reason, bad.c)
	}
	next := openRound(testRound("c", 2, 4), []uint64{4}, []uint64{4})
	if got := answer[PolicyAdopted](t, s, adopt("c", "bold", 1, 1)); got.Duplicate || got.Version != 2 {
		t.Fatalf("%+v", got)
	}
	if got := answer[PolicyAdopted](t, s, adopt("c", "bold", 1, 1)); !got.Duplicate || got.Version != 2 {
		t.Errorf("sent again: %+v", got)
	}
	for _, s := range []*State{s, restored(t, s)} {
		// The policies' versions are the same number: only the campaign's tells them apart.
		refusedAs(t, s, Stale, next)
		fresh := *next.OpenRound
		fresh.CampaignVersion = 2
		answer[RoundOpened](t, s, Command{OpenRound: &fresh})
		c := campaignOf(t, s)
		if want := (Amendment{Samples: 12, Rounds: 3, At: c.Amendments[0].At, Author: "ann", Reason: "more exploration", Policy: "bold", PolicyVersion: 1}); c.Campaign.Policy != "bold" ||
			c.PolicyVersion != 1 || len(c.Amendments) != 1 || c.Amendments[0] != want {
			t.Errorf("%+v", c)
		}
		rounds := s.Rounds("c")
		if rounds[0].Decided.Policy != "plain" || rounds[1].Decided.Policy != "bold" {
			t.Errorf("the rounds are by %s and %s", rounds[0].Decided.Policy, rounds[1].Decided.Policy)
		}
		if v := s.PolicyVersions("bold"); len(v) != 1 || v[0].Author != "bob" || v[0].Reason != "night shift" {
			t.Errorf("%+v", v)
		}
		// Extended afterwards it still follows it.
		answer[CampaignExtended](t, s, extend(16, 4, 2))
		if c := campaignOf(t, s); c.Campaign.Policy != "bold" || c.Version != 3 || c.Amendments[1].Policy != "" {
			t.Errorf("%+v", c)
		}
		answer[PolicyAdopted](t, s, adopt("c", "plain", 1, 3))
		answer[CampaignSteered](t, s, steer(Closed, "", ""))
		refusedAs(t, s, Conflict, adopt("c", "bold", 1, 0))
		restored(t, s)
	}
}
