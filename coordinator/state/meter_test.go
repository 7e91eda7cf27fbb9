package state

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"hone/loop"
)

func reading(connection, campaign string, millis, micros uint64) Meter {
	return Meter{Connection: connection, Campaign: campaign, Millis: millis, Micros: micros}
}

func accounting(readings ...Meter) Command { return Command{Account: &Account{Meters: readings}} }

func spent(t testing.TB, s *State, campaign string) Spent {
	t.Helper()
	spent, ok := s.Spent(campaign)
	if !ok {
		t.Fatalf("there is no campaign %q", campaign)
	}
	return spent
}

// C14: the greatest reading of a connection counts, whatever came twice, late or out
// of order, with a commit or without, and across a snapshot.
func TestMeters(t *testing.T) {
	s := prepared(t, 4, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 4), nil, []uint64{4}))
	commit := delivered(unit("c", 1, 0, 0, 0, 2))
	commit.Commit.Meters = []Meter{reading("a", "c", 100, 10), reading("b", "c", 50, 5)}
	for _, x := range []struct {
		what    string
		command Command
		want    Spent
	}{
		{"with a commit", commit, Spent{150, 15}},
		{"resent", commit, Spent{150, 15}},
		{"without one", accounting(reading("a", "c", 130, 13)), Spent{180, 18}},
		{"an earlier one", accounting(reading("a", "c", 120, 12)), Spent{180, 18}},
		{"two of one connection", accounting(reading("b", "c", 60, 6), reading("b", "c", 55, 9)), Spent{190, 22}},
		{"of no campaign", accounting(reading("a", "none", 1000, 1000)), Spent{190, 22}},
		{"none", accounting(), Spent{190, 22}},
	} {
		apply(t, s, x.command)
		s = restored(t, s)
		if got := spent(t, s, "c"); got != x.want {
			t.Fatalf("%s: %+v, want %+v", x.what, got, x.want)
		}
	}
	if c := campaignOf(t, s); c.Spent != (Spent{190, 22}) {
		t.Errorf("%+v", c.Spent)
	}
	for name, bad := range map[string]Meter{
		"no connection": reading("", "c", 1, 1), "a long one": reading(string(make([]byte, maxConnection+1)), "c", 1, 1),
		"millis": reading("a", "c", MaxMillis+1, 1), "micros": reading("a", "c", 1, MaxMicros+1),
	} {
		t.Run(name, func(t *testing.T) {
			refusedAs(t, s, Invalid, accounting(reading("z", "c", 9, 9), bad))
			with := delivered(unit("c", 1, 0, 0, 2, 2))
			with.Commit.Meters = []Meter{bad}
			refusedAs(t, s, Invalid, with)
		})
	}
}

// A frozen state keeps what it had spent.
func TestMetersAreFrozen(t *testing.T) {
	s := prepared(t, 4, 1, 3)
	answer[Accounted](t, s, accounting(reading("a", "c", 1, 1)))
	frozen := s.Snapshot()
	before := frozen.Digest()
	answer[Accounted](t, s, accounting(reading("a", "c", 2, 2), reading("0", "c", 2, 2)))
	if frozen.Digest() != before || s.Digest() == before {
		t.Error("the frozen state changed, or the other did not")
	}
}

// Against a twin that remembers everything, with few enough connections that none is
// forgotten; and with more, each that reports in time counts once.
func TestMetersAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSized("cluster", 4)
		for _, c := range preparation(testCampaign("c", 4, 1), testCampaign("d", 4, 1)) {
			s.Apply(Entry{Commands: []Command{c}})
		}
		twin := map[string]map[string]Spent{"c": {}, "d": {}}
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			r := reading(rapid.StringMatching(`[a-f]`).Draw(t, "connection"), rapid.SampledFrom([]string{"c", "d"}).Draw(t, "campaign"),
				rapid.Uint64Range(0, 50).Draw(t, "millis"), rapid.Uint64Range(0, 50).Draw(t, "micros"))
			s.Apply(Entry{Commands: []Command{accounting(r)}})
			was := twin[r.Campaign][r.Connection]
			twin[r.Campaign][r.Connection] = Spent{max(was.Millis, r.Millis), max(was.Micros, r.Micros)}
		}
		for name, readings := range twin {
			var want Spent
			for _, r := range readings {
				want.Millis, want.Micros = want.Millis+r.Millis, want.Micros+r.Micros
			}
			if got, _ := s.Spent(name); got != want {
				t.Fatalf("%s: %+v, want %+v", name, got, want)
			}
		}
	})
	s := prepared(t, 4, 1, 3)
	for i := range 2*rememberedMeters + 100 {
		answer[Accounted](t, s, accounting(reading(fmt.Sprint(i), "c", 1, 1)))
		if i%1000 == 0 {
			answer[Accounted](t, s, accounting(reading("steady", "c", uint64(1+i), 0)))
		}
	}
	want := Spent{Millis: 2*rememberedMeters + 100 + (2*rememberedMeters/1000)*1000 + 1, Micros: 2*rememberedMeters + 100}
	if got := spent(t, restored(t, s), "c"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// C14: of as many workers as a hub lets in, each is counted once however often all of
// them report in turn: none is forgotten before its next reading.
func TestMetersOfAWholeFleet(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	const workers, times = 20_000, 3 // gpuworker's default of most connections
	for millis := uint64(1); millis <= times; millis++ {
		var readings []Meter
		for i := range workers {
			readings = append(readings, Meter{Connection: fmt.Sprintf("run.%05d", i), Campaign: "c", Millis: millis})
		}
		answer[Accounted](t, s, Command{Account: &Account{Meters: readings}})
	}
	if got := spent(t, s, "c"); got.Millis != workers*times {
		t.Errorf("%d workers that took %d ms each have taken %d ms", workers, times, got.Millis)
	}
}

func outOfMoney(s *State, version int) Command {
	return Command{GiveUp: &GiveUp{Campaign: "c", Reason: "money: 10.02 of 10.00 EUR are spent", Version: version}}
}

// C14: a campaign whose money is spent ends short, with all that its rounds still
// owed named and the reason (I3), whatever was reserved of it; with more money it
// goes on, and what is revoked is given up again.
func TestEndForMoney(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	refusedAs(t, s, Conflict, outOfMoney(s, 1))
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 8), nil, []uint64{4}))
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2)))
	refusedAs(t, s, Stale, outOfMoney(s, 2))
	refusedAs(t, s, Conflict, Command{GiveUp: &GiveUp{Campaign: "c"}})
	if got := answer[GivenUp](t, s, outOfMoney(s, 1)); got.Indices != 6 {
		t.Fatalf("%+v", got)
	}
	for _, s := range []*State{s, restored(t, s)} {
		c := campaignOf(t, s)
		if c.State != DoneShort || c.Requested != [3]uint64{loop.Train: 8} || c.Total != (Counts{Quota: 8, Committed: 2, Abandoned: 6}) || c.Version != 2 {
			t.Fatalf("%s: %+v of %v, version %d", c.State, c.Total, c.Requested, c.Version)
		}
		if len(c.Abandoned) != 1 || c.Abandoned[0].Reason != "money: 10.02 of 10.00 EUR are spent" || c.Amendments[0].Rounds != 1 {
			t.Fatalf("%+v %+v", c.Abandoned, c.Amendments)
		}
		// What is late is closed, and the same again changes nothing.
		if got := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 2, 2))); got.Deliveries[0].Standing.Closed != 2 {
			t.Fatalf("%+v", got)
		}
		refusedAs(t, s, Stale, outOfMoney(s, 1))
		if got := answer[GivenUp](t, s, outOfMoney(s, 2)); got.Indices != 0 || campaignOf(t, s).Version != 2 {
			t.Fatalf("%+v", got)
		}
		answer[Revoked](t, s, revoked(added.Samples, 0, sampleName(1, 0, 0, 0)))
		if c := campaignOf(t, s); c.State != Running {
			t.Fatalf("after a revoke: %s", c.State)
		}
		if got := answer[GivenUp](t, s, outOfMoney(s, 2)); got.Indices != 1 || campaignOf(t, s).State != DoneShort {
			t.Fatalf("%+v", got)
		}
		answer[CampaignExtended](t, s, Command{ExtendCampaign: &ExtendCampaign{Campaign: "c", Version: 2, Samples: 12, Rounds: 2, Money: 20}})
		if c := campaignOf(t, s); c.State != Running || c.Requested != [3]uint64{loop.Train: 12} {
			t.Fatalf("extended: %s, %v", c.State, c.Requested)
		}
		answer[RoundOpened](t, s, openRoundFor(s, testRound("c", 2, 4), []uint64{8}, []uint64{4}))
	}
}

func openRoundFor(s *State, r loop.Round, cuts, reserve []uint64) Command {
	c := openRound(r, cuts, reserve)
	campaign, _ := s.Campaign(r.Campaign)
	c.OpenRound.CampaignVersion = campaign.Version
	return c
}
