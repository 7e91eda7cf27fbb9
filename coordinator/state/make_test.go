package state

import (
	"testing"

	"hone/loop"
)

// A campaign that makes what it lists has no policy, in any version; every other
// has one.
func TestMakeNeedsNoPolicy(t *testing.T) {
	s := prepared(t, 8, 1, 3)
	made := loop.Campaign{Name: "m", Space: "lab", Generator: "shapes", Seed: 7, Samples: 5, Rounds: 1, Make: []loop.Request{{Count: 5}},
		UnitSize: 4, MaxAttempts: 3, Advance: loop.AdvanceSealed, Decide: loop.DecideAuto}
	create := func(c loop.Campaign, policy int) Command {
		return Command{CreateCampaign: &CreateCampaign{Campaign: c, SpaceVersion: 1, PolicyVersion: policy, Document: "name: " + c.Name}}
	}
	refusedAs(t, s, Invalid, create(made, 1))
	named := made
	named.Policy = "plain"
	refusedAs(t, s, Invalid, create(named, 0))
	refusedAs(t, s, NotFound, create(testCampaign("l", 5, 1), 0))
	if c := answer[CampaignCreated](t, s, create(made, 0)); !c.Created || c.PolicyVersion != 0 {
		t.Errorf("%+v", c)
	}
	if c := answer[CampaignCreated](t, s, create(made, 0)); c.Created {
		t.Errorf("created again: %+v", c)
	}
	round := testRound("m", 1, 5)
	round.PolicyVersion, round.Strategy = 0, loop.StrategyMake
	open := openRound(round, nil, nil)
	open.OpenRound.PolicyVersion = 1
	refusedAs(t, s, Stale, open)
	open.OpenRound.PolicyVersion = 0
	answer[RoundOpened](t, s, open)
	if digestBut(t, restored(t, s)) != digestBut(t, s) {
		t.Error("it is another after a restart")
	}
}

// The names of a campaign's datasets are its own, whichever was there first
// (C26): a round that could not be published would hold its campaign for ever.
func TestDatasetNamesAreKept(t *testing.T) {
	s := prepared(t, 8, 1, 3)
	for _, c := range preparation(testCampaign("other", 8, 1)) {
		apply(t, s, c)
	}
	refusedAs(t, s, Conflict, published(s, "other", 1, s.Sequence()))
	refusedAs(t, s, Conflict, published(s, "other.eval", 1, s.Sequence()))
	for _, name := range []string{"c", "c.eval", "set", "test.eval"} {
		answer[Published](t, s, published(s, name, 1, s.Sequence()))
	}
	for _, name := range []string{"set", "test"} {
		refusedAs(t, s, Conflict, preparation(testCampaign(name, 8, 1))[2])
	}
}
