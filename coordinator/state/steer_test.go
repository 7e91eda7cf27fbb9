package state

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"hone/loop"
)

func steer(to CampaignState, author, reason string) Command {
	return Command{SteerCampaign: &SteerCampaign{Campaign: "c", To: to, Author: author, Reason: reason}}
}

func extend(samples uint64, rounds, version int) Command {
	return Command{ExtendCampaign: &ExtendCampaign{Campaign: "c", Version: version, Samples: samples, Rounds: rounds}}
}

func campaignOf(t testing.TB, s *State) Campaign {
	t.Helper()
	c, ok := s.Campaign("c")
	if !ok {
		t.Fatal("no campaign")
	}
	return c
}

// A paused campaign opens no round, counts what comes, and keeps who paused it
// first; resumed it goes on.
func TestPaused(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 4), nil, []uint64{4}))
	answer[CampaignSteered](t, s, steer(Paused, "ann", "lunch"))
	at := s.Time()
	if got := answer[CampaignSteered](t, s, steer(Paused, "bob", "too")); !got.Duplicate {
		t.Errorf("%+v", got)
	}
	for _, s := range []*State{s, restored(t, s)} {
		if c := campaignOf(t, s); c.State != Paused || c.Steered != (Steered{To: Paused, At: at, Author: "ann", Reason: "lunch"}) {
			t.Fatalf("%s, steered %+v", c.State, c.Steered)
		}
		if got := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 4))); got.Deliveries[0].Standing.Fresh != 4 {
			t.Errorf("what was in flight stood %+v", got)
		}
		next := openRound(testRound("c", 2, 4), []uint64{4}, []uint64{4})
		refusedAs(t, s, Stale, next)
		answer[CampaignSteered](t, s, steer(Running, "ann", ""))
		answer[RoundOpened](t, s, next)
	}
}

// Closing cuts what is not reserved; what is open may count until it is given up,
// and nothing opens any more (C3, C13, I3).
func TestClosed(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 8), nil, []uint64{4}))
	refusedAs(t, s, Conflict, Command{GiveUp: &GiveUp{Campaign: "c"}})
	first := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 1)))
	answer[CampaignSteered](t, s, steer(Closed, "ann", "enough"))
	if c := campaignOf(t, s); c.State != Closed || c.Requested != [3]uint64{loop.Train: 4} || c.GivenUp != [3]uint64{loop.Train: 8} || c.Total.Pending != 3 {
		t.Fatalf("%+v", c)
	}
	answer[Committed](t, s, extension(1, 8)) // what was under way to be reserved is not
	answer[Committed](t, s, spoiled(unit("c", 1, 0, 0, 1, 1)))
	answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 2, 1)))
	for _, s := range []*State{s, restored(t, s)} {
		if got := answer[GivenUp](t, s, Command{GiveUp: &GiveUp{Campaign: "c"}}); got.Indices != 2 {
			t.Errorf("gave up %d, want 2", got.Indices)
		}
		if got := answer[GivenUp](t, s, Command{GiveUp: &GiveUp{Campaign: "c"}}); got.Indices != 0 {
			t.Errorf("gave up %d more", got.Indices)
		}
		answer[Revoked](t, s, revoked(first.Samples, 0, sampleName(1, 0, 0, 0)))
		late := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 1), unit("c", 1, 0, 1, 1, 1), unit("c", 1, 0, 0, 3, 1)))
		for i, d := range late.Deliveries {
			if d.Standing.Closed != 1 {
				t.Errorf("late delivery %d stood %+v", i, d.Standing)
			}
		}
		c := campaignOf(t, restored(t, s))
		if c.Total != (Counts{Quota: 4, Committed: 1, Abandoned: 3, Rejected: 1}) || c.State != Closed || len(c.Abandoned) != 2 {
			t.Errorf("ended with %+v %+v", c.Total, c.Abandoned)
		}
		refusedAs(t, s, Conflict, steer(Running, "", ""))
		refusedAs(t, s, Conflict, steer(Paused, "", ""))
		refusedAs(t, s, Conflict, extend(100, 9, 0))
		refusedAs(t, s, Stale, openRound(testRound("c", 2, 4), []uint64{4}, nil))
	}
}

// A steering that enters the log after later ones is refused (C10), also where
// the later ones found nothing to change; sent twice it counts once.
func TestLateSteering(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	at := func(version int, to CampaignState) Command {
		return Command{SteerCampaign: &SteerCampaign{Campaign: "c", To: to, Version: version}}
	}
	// Nobody knows what came of the pause, so somebody resumes what still runs.
	if got := answer[CampaignSteered](t, s, at(1, Running)); !got.Duplicate {
		t.Errorf("resumed what runs: %+v", got)
	}
	refusedAs(t, s, Stale, at(1, Paused))
	answer[CampaignSteered](t, s, at(2, Paused))
	for _, s := range []*State{s, restored(t, s)} {
		if got := answer[CampaignSteered](t, s, at(2, Paused)); !got.Duplicate {
			t.Errorf("sent again: %+v", got)
		}
		if got := campaignOf(t, s).Steered.Version(); got != 3 {
			t.Errorf("what was sent again made version %d, want 3", got)
		}
		answer[CampaignSteered](t, s, at(3, Running))
		refusedAs(t, s, Stale, at(2, Paused))
		refusedAs(t, s, Stale, at(3, Closed))
		if c := campaignOf(t, s); c.State != Running || c.Steered.Version() != 4 {
			t.Errorf("%s at version %d", c.State, c.Steered.Version())
		}
		answer[CampaignSteered](t, s, steer(Paused, "", "")) // an entry of before
		answer[CampaignSteered](t, s, at(4, Closed))
	}
}

// Whoever resumes a campaign that came to its end while it was paused finds it
// running when it is extended.
func TestResumeOfWhatIsDone(t *testing.T) {
	s := prepared(t, 2, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 2), nil, []uint64{2}))
	answer[CampaignSteered](t, s, steer(Paused, "ann", ""))
	answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2)))
	if got := answer[CampaignSteered](t, s, steer(Running, "ann", "")); got.To != Done || got.Duplicate {
		t.Errorf("%+v", got)
	}
	answer[CampaignExtended](t, s, extend(4, 2, 1))
	if got := campaignOf(t, s).State; got != Running {
		t.Errorf("resumed and extended it is %s", got)
	}
}

// What is done cannot be paused, and needs no closing.
func TestSteeringWhatIsDone(t *testing.T) {
	s := prepared(t, 2, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 2), nil, []uint64{2}))
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2)))
	refusedAs(t, s, Conflict, steer(Paused, "", ""))
	for _, to := range []CampaignState{Running, Closed} {
		if got := answer[CampaignSteered](t, s, steer(to, "", "")); !got.Duplicate || got.To != Done {
			t.Errorf("%s: %+v", to, got)
		}
	}
	answer[Revoked](t, s, revoked(added.Samples, 0, sampleName(1, 0, 0, 0)))
	if got := campaignOf(t, s).State; got != Running {
		t.Errorf("after a revoke it is %s (C13)", got)
	}
}

// Nothing below what was decided, nothing that no round can make; the same
// numbers again make no version.
func TestExtended(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 4), nil, []uint64{4}))
	for _, bad := range []struct {
		c      Command
		reason Reason
	}{
		{extend(3, 3, 0), Conflict}, {extend(12, 0, 0), Invalid}, {extend(12, 1, 0), Conflict}, {extend(5, 3, 0), Invalid},
		{extend(20, 3, 2), Stale}, {extend(loop.MaxQuota, 3, 0), Invalid}, {extend(12, loop.MaxRounds+1, 0), Invalid},
		{Command{ExtendCampaign: &ExtendCampaign{Campaign: "none", Rounds: 1}}, NotFound},
		{Command{ExtendCampaign: &ExtendCampaign{Campaign: "c", Samples: 20, Rounds: 3, Author: strings.Repeat("a", 129)}}, Invalid},
		{Command{SteerCampaign: &SteerCampaign{Campaign: "none", To: Paused}}, NotFound},
		{Command{SteerCampaign: &SteerCampaign{Campaign: "c", To: Done}}, Invalid},
		{Command{SteerCampaign: &SteerCampaign{Campaign: "c", To: Paused, Reason: strings.Repeat("a", 1025)}}, Invalid},
		{Command{GiveUp: &GiveUp{Campaign: "none"}}, NotFound},
	} {
		refusedAs(t, s, bad.reason, bad.c)
	}
	next := openRound(testRound("c", 2, 4), []uint64{4}, []uint64{4})
	if got := answer[CampaignExtended](t, s, extend(30, 4, 1)); got.Version != 2 || got.Duplicate {
		t.Fatalf("%+v", got)
	}
	if got := answer[CampaignExtended](t, s, extend(30, 4, 1)); got.Version != 2 || !got.Duplicate {
		t.Errorf("sent again: %+v", got)
	}
	for _, s := range []*State{s, restored(t, s)} {
		refusedAs(t, s, Stale, next) // decided from the version before (C15)
		fresh := *next.OpenRound
		fresh.CampaignVersion = 2
		answer[RoundOpened](t, s, Command{OpenRound: &fresh})
		// The document that it was created from names it still, and so does what
		// it has become.
		for _, samples := range []uint64{12, 30} {
			c := testCampaign("c", samples, 3)
			if samples == 30 {
				c.Rounds = 4
			}
			if got := answer[CampaignCreated](t, s, preparation(c)[2]); got.Created || got.Version != 2 {
				t.Errorf("%d samples: %+v", samples, got)
			}
		}
	}
}

// What a build before there was steering wrote is read as it was, byte for byte
// (C25).
func TestWrittenBeforeSteering(t *testing.T) {
	old, err := os.ReadFile("testdata/before-steering.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Restore(bytes.NewReader(old))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snapshotOf(t, s), old) {
		t.Error("written again it is another snapshot: two builds would differ in their digests (I6)")
	}
	if c := campaignOf(t, s); c.State != Running || c.Version != 1 || c.Steered != (Steered{}) {
		t.Errorf("%+v", c)
	}
	answer[CampaignSteered](t, s, steer(Closed, "", ""))
	restored(t, s)

	entry, err := os.ReadFile("testdata/before-steering.entry")
	if err != nil {
		t.Fatal(err)
	}
	e, err := DecodeEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	s = New("cluster")
	for i, event := range s.Apply(e) {
		if r, ok := event.(Refused); ok {
			t.Errorf("command %d: %v", i, r)
		}
	}
	if again, err := e.Encode(); err != nil || !bytes.Equal(again, entry) {
		t.Errorf("encoded again it is another entry (%v)", err)
	}
}

// A snapshot that nobody wrote is refused.
func TestRestoreRefusesSteering(t *testing.T) {
	for name, change := range map[string]func(*campaignRecord){
		"no state to steer to": func(r *campaignRecord) { r.Steered = &steeredRecord{To: Done} },
		"no rounds":            func(r *campaignRecord) { r.Amendments = []amendmentRecord{{Samples: 12}} },
	} {
		t.Run(name, func(t *testing.T) {
			var b builder
			err := prepared(t, 12, 3, 3).records(func(r *record) error {
				if r.Campaign != nil {
					change(r.Campaign)
				}
				return b.add(r)
			})
			if err == nil {
				t.Error("it was restored")
			}
		})
	}
}
