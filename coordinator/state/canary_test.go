package state

import (
	"testing"

	"hone/loop"
)

func putCanary(name string, floor float64, share uint32) Command {
	c := putPolicy(name, floor)
	c.PutPolicy.Canary = share
	return c
}

// tried is a round of two arms.
func tried(r loop.Round, canary int) Command {
	r.Canary = &loop.CanaryArm{PolicyVersion: canary, Share: loop.MostCanary}
	c := openRound(r, nil, nil)
	c.OpenRound.Canary = canary
	return c
}

// The latest version of a policy is a canary until there is another: campaigns try
// it beside the version that they follow, which stays the one that others are given.
// A round that was decided with another canary, or with none, is stale (C15).
func TestCanary(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	for _, bad := range []struct {
		c      Command
		reason Reason
	}{
		{putCanary("plain", .5, loop.LeastCanary-1), Invalid}, {putCanary("plain", .5, loop.MostCanary+1), Invalid},
		{putCanary("new", .5, loop.MostCanary), Conflict}, // there is nothing beside it
		{tried(testRound("c", 1, 4), 2), Stale},
	} {
		refusedAs(t, s, bad.reason, bad.c)
	}
	for range 2 { // sent again it is that version
		if got := answer[PolicyPut](t, s, putCanary("plain", .5, loop.LeastCanary)); got.Version != 2 {
			t.Fatalf("%+v", got)
		}
	}
	if got := answer[PolicyPut](t, s, putCanary("plain", .5, loop.MostCanary)); got.Version != 3 || !got.Created {
		t.Errorf("of another share it is %+v", got)
	}
	for _, s := range []*State{s, restored(t, s)} {
		if v, ok := s.Canary("plain"); !ok || v.Policy.Version != 3 || v.Canary != loop.MostCanary {
			t.Errorf("the canary is %+v", v)
		}
		if v, _ := s.Policy("plain", 0); v.Policy.Version != 1 {
			t.Errorf("the stable version is %+v", v)
		}
		if v := s.Policies(); len(v) != 1 || v[0].Policy.Version != 1 {
			t.Errorf("the policies are %+v", v)
		}
		if c := campaignOf(t, s); c.PolicyVersion != 1 || c.Canary != 3 {
			t.Errorf("%+v", c)
		}
		refusedAs(t, s, Stale, openRound(testRound("c", 1, 4), nil, nil))
		refusedAs(t, s, Stale, tried(testRound("c", 1, 4), 2))
		other := tried(testRound("c", 1, 4), 3)
		other.OpenRound.Round.Canary.PolicyVersion = 2
		refusedAs(t, s, Invalid, other)
		answer[RoundOpened](t, s, tried(testRound("c", 1, 4), 3))
		restored(t, s)
		// A campaign that follows the canary tries nothing beside it.
		answer[PolicyAdopted](t, s, adopt("c", "plain", 3, 1))
		if c := campaignOf(t, s); c.Canary != 0 {
			t.Errorf("it tries %d beside itself", c.Canary)
		}
		answer[PolicyAdopted](t, s, adopt("c", "plain", 1, 2))
		// What is put without a share ends it, also where it says the same.
		if got := answer[PolicyPut](t, s, putPolicy("plain", .5)); got.Version != 4 {
			t.Errorf("%+v", got)
		}
		if _, ok := s.Canary("plain"); ok || campaignOf(t, s).Canary != 0 {
			t.Error("there is a canary yet")
		}
		if v, _ := s.Policy("plain", 0); v.Policy.Version != 4 {
			t.Errorf("the stable version is %+v", v)
		}
		restored(t, s)
	}
}

// A proposal that was decided before a canary was put, or ended, cannot open (C15).
func TestCanaryVoidsProposal(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	asks := testCampaign("asks", 12, 3)
	asks.Decide = loop.DecidePropose
	answer[CampaignCreated](t, s, preparation(asks)[2])
	open := openRound(testRound("asks", 1, 4), nil, nil).OpenRound
	answer[RoundProposed](t, s, Command{ProposeRound: &ProposeRound{Open: *open, Serial: 1}})
	if _, void, ok := s.Proposed("asks"); !ok || void != nil {
		t.Fatal(void)
	}
	answer[PolicyPut](t, s, putCanary("plain", .5, loop.MostCanary))
	if _, void, _ := s.Proposed("asks"); void == nil || void.Field != "canary" {
		t.Error(void)
	}
	refusedAs(t, s, Stale, Command{RuleProposal: &RuleProposal{Campaign: "asks", Serial: 1, Digest: open.Round.Digest(), Approve: true}})
	answer[RoundProposed](t, s, Command{ProposeRound: &ProposeRound{Open: *tried(testRound("asks", 1, 4), 2).OpenRound, Serial: 2}})
	answer[PolicyPut](t, s, putPolicy("plain", 0)) // withdrawn
	if _, void, _ := s.Proposed("asks"); void == nil || void.Field != "canary" {
		t.Error(void)
	}
}

// A snapshot with a canary that nobody put is refused.
func TestRestoreRefusesCanary(t *testing.T) {
	for name, share := range map[string]uint32{"nothing beside it": loop.MostCanary, "too great a share": loop.MostCanary + 1} {
		var b builder
		err := prepared(t, 12, 3, 3).records(func(r *record) error {
			if r.Policy != nil {
				own := *r.Policy
				own.Canary = share
				r.Policy = &own
			}
			return b.add(r)
		})
		if err == nil {
			t.Errorf("%s: it was restored", name)
		}
	}
}
