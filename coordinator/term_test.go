package coordinator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

const oneRound = "name: c\nseed: 7\nsamples: 100\nlearn_from: [{model_line: net}]\n"

func (w *world) show(name string) api.Campaign {
	w.t.Helper()
	c, err := (&Control{c: w.coord}).showCampaign(w.t.Context(), &named{name})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// ends holds that a campaign has ended so, with its quota exact.
func (w *world) ends(name, state string, counts api.Counts) {
	w.t.Helper()
	w.check(exact)
	if c := w.show(name); c.State != state || c.Counts != counts || c.Waiting != "" {
		w.t.Errorf("%s is %s with %+v, waiting for %q; want %s with %+v", name, c.State, c.Counts, c.Waiting, state, counts)
	}
}

// An ordinary campaign ends exact, and its dataset is published (I2, I3).
func TestCampaignEndsExact(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		if c := w.show("c"); c.Waiting != "a worker with generator shapes" || c.Pending != 100 {
			t.Errorf("without workers: %+v", c)
		}
		s := w.join("ann")
		units := w.next(s, 2)
		if c := w.show("c"); len(units) != 2 || c.InFlight != 20 || c.Pending != 80 || c.Waiting != "" {
			t.Errorf("leased %v: %+v", units, c)
		}
		w.check(exact)
		for _, u := range units {
			if got := w.accepted(s, "ann", u); got != (loop.Standing{Fresh: 10}) {
				t.Errorf("%s stood %+v", u.ID(), got)
			}
			if w.store.isStaged("ann", u) {
				t.Errorf("%s is not swept after its verdict (C9)", u.ID())
			}
			w.check(exact)
		}
		if n := w.work(s, "ann"); n != 8 {
			t.Errorf("%d more units", n)
		}
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
		if d := w.must("GET", "/v1/datasets/c/1", ""); !strings.Contains(d, `"samples":100`) {
			t.Error(d)
		}
		if status := w.must("GET", "/v1/status", ""); !strings.Contains(status, `"committed":100`) || !strings.Contains(status, `"busy":0`) {
			t.Error(status)
		}
	})
}

// A sample that a gate sent back is made again, with the next attempt, by
// another worker where there is one (C4).
func TestReplacementAvoidsTheRejectingWorker(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.gates.reject = func(_ *loop.Delivery, n loop.Name) (string, string) {
			if n.Index%10 == 3 && n.Attempt == 0 {
				return "blank", "one colour"
			}
			return "", ""
		}
		w.campaign(oneRound)
		ann, bob := w.join("ann"), w.join("bob")
		u := w.next(ann, 1)[0]
		if got := w.accepted(ann, "ann", u); got != (loop.Standing{Fresh: 10, Rejected: 1}) {
			t.Errorf("stood %+v", got)
		}
		w.check(exact)
		for {
			leased := w.next(ann, 1)
			if len(leased) == 0 {
				break
			}
			if leased[0].Attempt > 0 {
				t.Fatalf("ann was leased %s, which she spoiled", leased[0].ID())
			}
			w.accepted(ann, "ann", leased[0])
		}
		w.check(exact)
		for range 10 {
			u := w.next(bob, 1)[0]
			if u.Attempt != 1 || u.First%10 != 3 || u.Count != 1 {
				t.Errorf("bob was leased %s", u.ID())
			}
			w.accepted(bob, "bob", u)
			w.check(exact)
		}
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100, Rejected: 10, Replaced: 10})
	})
}

// After the last attempt an index is abandoned, and the campaign says which gate
// gave it up and why (C4, I3).
func TestAbandonedIsDoneShort(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.gates.reject = func(_ *loop.Delivery, n loop.Name) (string, string) {
			if n.Index == 42 {
				return "blank", "one colour"
			}
			return "", ""
		}
		w.campaign(oneRound + "max_attempts: 3\n")
		w.work(w.join("ann"), "ann")
		w.ends("c", "done_short", api.Counts{Requested: 100, Committed: 99, Rejected: 3, Abandoned: 1})
		if c := w.show("c"); len(c.Reasons) != 1 || !strings.Contains(c.Reasons[0], `1 samples abandoned by gate "blank": one colour`) {
			t.Errorf("reasons: %q", c.Reasons)
		}
	})
}

// A worker that leaves, fails a unit or hangs gives its units back (I3), and one
// that has nothing to do hears of them.
func TestUnitsComeBack(t *testing.T) {
	o := Options{Schedule: schedule.Options{FirstLease: time.Minute, MinLease: time.Minute}}
	inWorld(t, o, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		ann, bob := w.join("ann"), w.join("bob")
		kept := w.next(ann, 10)
		if len(kept) != 10 || len(w.next(bob, 1)) != 0 {
			t.Fatalf("ann has %d units", len(kept))
		}
		w.check(exact)
		woken := func(after time.Duration, cause func()) {
			t.Helper()
			started := time.Now()
			got := make(chan []loop.Lease, 1)
			go func() {
				leases, err := w.coord.Next(t.Context(), bob, 1)
				if err != nil {
					t.Error(err)
				}
				got <- leases
			}()
			w.settle()
			cause()
			leases := <-got
			if waited := time.Since(started); len(leases) != 1 || waited < after || waited > after+time.Second {
				t.Fatalf("bob was leased %v after %v", leases, waited)
			}
			w.check(exact)
			w.accepted(bob, "bob", leases[0].Unit)
			w.check(exact)
		}
		woken(time.Second, func() { // the pause after a failure
			if err := w.coord.Fail(t.Context(), ann, kept[0], "out of memory"); err != nil {
				t.Error(err)
			}
		})
		// Nothing happens but that time passes: a hung lease comes back by itself.
		woken(58*time.Second, func() {})
		woken(0, func() { w.coord.Leave(ann, errors.New("gone")) })
		if _, err := w.coord.Next(t.Context(), ann, 1); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("a session that has left was answered %v", err)
		}
		if err := w.coord.Fail(t.Context(), ann, kept[1], "late"); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("a session that has left failed a unit: %v", err)
		}
		w.work(bob, "bob")
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
	})
}

// The first lease of a quiet cluster expires though nothing ever wakes anybody.
func TestLoneLeaseExpires(t *testing.T) {
	inWorld(t, Options{Schedule: schedule.Options{FirstLease: time.Minute, MinLease: time.Minute}}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		s := w.join("ann")
		w.pass(time.Hour)
		if n := len(w.next(s, 10)); n != 10 {
			t.Fatalf("%d units", n)
		}
		w.pass(61 * time.Second)
		if c := w.show("c"); c.InFlight != 0 || c.Pending != 100 {
			t.Errorf("after the lease: %+v", c.Counts)
		}
		w.check(exact)
	})
}

// A worker that connects again has one session: the old one ends.
func TestRejoin(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		old := w.join("ann")
		units := w.next(old, 3)
		w.next(w.join("bob"), 100)
		waiting := make(chan error, 1)
		go func() {
			_, err := w.coord.Next(t.Context(), old, 1)
			waiting <- err
		}()
		w.settle()
		fresh := w.join("ann", units[0], units[2])
		if err := <-waiting; !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("the old session was answered %v", err)
		}
		w.coord.Leave(old, errors.New("late news"))
		w.check(exact)
		// What was not announced is open again; what was is not.
		if again := w.next(fresh, 10); len(again) != 1 || again[0] != units[1] {
			t.Errorf("leased %v, want %s alone", again, units[1].ID())
		}
		w.check(exact)
	})
}

// A worker whose name is none, or whose generator contradicts what is known, is
// refused for good.
func TestJoinRefused(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.join("ann")
		for _, worker := range []loop.Worker{
			{Name: "../etc", Slots: 1},
			{Name: "eve", Slots: 1, Generators: []loop.Generator{{Name: "shapes", Version: "1"}}},
			{Name: "eve", Slots: 1, Generators: []loop.Generator{{Name: "shapes"}}},
		} {
			_, _, err := w.coord.Join(t.Context(), worker)
			if _, refused := errors.AsType[*loop.Error](err); !refused || errors.Is(err, loop.ErrUnavailable) {
				t.Errorf("%+v: %v", worker, err)
			}
		}
	})
}

// After a restart, what is below the inherited reservation waits one reconnect
// window for whoever may hold it; what is above does not (C2).
func TestRestartWithinReconnectWindow(t *testing.T) {
	inWorld(t, Options{ReconnectWindow: 10 * time.Second}, func(t *testing.T, w *world) {
		w.campaign("name: c\nseed: 7\nsamples: 1000\n")
		ann, bob := w.join("ann"), w.join("bob")
		annHas, bobHas := w.next(ann, 3), w.next(bob, 2)
		w.accepted(ann, "ann", annHas[0])
		t1, _ := w.coord.leading()
		reserved := uint64(0)
		for _, p := range t1.places {
			reserved = p.reserved
		}
		if reserved == 0 || reserved >= 1000 {
			t.Fatalf("%d of 1000 reserved: the test needs some of both", reserved)
		}
		w.restart()
		if c := w.show("c"); c.Committed != 10 || c.InFlight != 0 {
			t.Errorf("after the restart: %+v", c.Counts)
		}
		// ann announces what she has, settled or not, and delivers one of it.
		ann = w.join("ann", annHas...)
		if c := w.show("c"); c.InFlight != 20 {
			t.Errorf("announced: %+v", c.Counts)
		}
		if got := w.accepted(ann, "ann", annHas[1]); got.Fresh != 10 {
			t.Errorf("%+v", got)
		}
		carl := w.join("carl")
		early := w.next(carl, 1000)
		if len(early) == 0 {
			t.Error("nothing above the inherited reservation is leased")
		}
		for _, u := range early {
			if u.First < reserved {
				t.Errorf("%s is below the inherited %d and was leased within the window (C2)", u.ID(), reserved)
			}
		}
		w.check(counted)
		w.pass(10 * time.Second)
		w.check(exact)
		late := w.next(carl, 1000)
		below := uint64(0)
		for _, u := range late {
			if u.First < reserved {
				below += uint64(u.Count)
			}
			for _, held := range annHas {
				if u.First < held.First+uint64(held.Count) && held.First < u.First+uint64(u.Count) {
					t.Errorf("%s is ann's", u.ID())
				}
			}
		}
		if below != reserved-30 {
			t.Errorf("%d indices below the inherited %d are leased after the window, want all but ann's 30", below, reserved)
		}
		// bob comes late, with what carl was leased meanwhile: whoever is first counts.
		bob = w.join("bob", bobHas...)
		w.accepted(bob, "bob", bobHas[0])
		w.check(counted)
		for _, u := range append(early, late...) {
			w.accepted(carl, "carl", u)
		}
		w.accepted(ann, "ann", annHas[2])
		if got := w.accepted(bob, "bob", bobHas[1]); got.Duplicate != 10 {
			t.Errorf("bob's second unit stood %+v", got)
		}
		w.work(carl, "carl")
		w.ends("c", "done", api.Counts{Requested: 1000, Committed: 1000})
	})
}

// What is delivered once more within the window, and is stale, says nothing of who
// makes the later attempt (C2).
func TestStaleWithinReconnectWindow(t *testing.T) {
	inWorld(t, Options{ReconnectWindow: 10 * time.Second}, func(t *testing.T, w *world) {
		w.gates.reject = func(_ *loop.Delivery, n loop.Name) (string, string) {
			if n.Index == 3 && n.Attempt == 0 {
				return "blank", "one colour"
			}
			return "", ""
		}
		w.campaign("name: c\nseed: 7\nsamples: 1000\n")
		ann, bob := w.join("ann"), w.join("bob")
		u := w.next(ann, 1)[0]
		w.stage("ann", u)
		if got, err := w.redeliver(ann, "ann", u); err != nil || got.Rejected != 1 {
			t.Fatalf("got %+v, %v", got, err)
		}
		replacement := w.next(bob, 1)[0]
		if replacement.First != 3 || replacement.Attempt != 1 {
			t.Fatalf("bob makes %s", replacement.ID())
		}
		w.restart()
		if got, err := w.redeliver("", "ann", u); err != nil || got.Stale != 1 || got.Duplicate != 9 {
			t.Errorf("delivered once more: %+v, %v", got, err)
		}
		for _, early := range w.next(w.join("carl"), 1000) {
			if early.First == 3 {
				t.Errorf("%s is leased within the window, and bob makes it", early.ID())
			}
		}
		w.accepted(w.join("bob", replacement), "bob", replacement)
	})
}

// A delivery that arrives before its worker's round has been offered, and fails
// transiently, is not forgotten.
func TestGivenBackBeforeOffered(t *testing.T) {
	inWorld(t, Options{ReconnectWindow: 10 * time.Second}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		held := w.next(w.join("ann"), 10)
		w.restart()
		w.gates.set(func(g *court) { g.broken = func() error { return errors.New("not yet") } })
		for _, u := range held {
			if _, err := w.deliver("", "ann", u); !errors.Is(err, loop.ErrUnavailable) {
				t.Error(err)
			}
		}
		w.gates.set(func(g *court) { g.broken = nil })
		w.check(exact)
		w.work(w.join("bob"), "bob")
		w.pass(10 * time.Second)
		w.check(exact)
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
	})
}

// A revoke opens indices of a campaign that has ended; they are made again, and
// the version that was published stays (C13, I8).
func TestRevokeReopens(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		s := w.join("ann")
		w.work(s, "ann")
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
		manifest := w.must("GET", "/v1/datasets/c/1/manifest", "")
		var revoke state.Revoke
		for _, c := range w.view.changes() {
			if c.Part == nil || len(revoke.Samples) == 3 {
				continue
			}
			row := w.store.samples[c.Part.Object.Key][0]
			revoke.Samples = append(revoke.Samples, state.RevokedSample{Campaign: "c", Name: row.Name, Reference: c.Sequence, Row: 0})
		}
		w.propose(state.Command{Revoke: &revoke})
		w.check(exact)
		if c := w.show("c"); c.State != "running" || c.Pending != 3 {
			t.Errorf("after the revoke: %s %+v", c.State, c.Counts)
		}
		if n := w.work(s, "ann"); n != 3 {
			t.Errorf("%d units after the revoke", n)
		}
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100, Replaced: 3})
		if again := w.must("GET", "/v1/datasets/c/1/manifest", ""); again != manifest {
			t.Error("a published version has changed (I8)")
		}
		if d := w.must("GET", "/v1/datasets/c/1", ""); !strings.Contains(d, "3 of its samples were revoked") {
			t.Error(d)
		}
	})
}

// Who asks a node that does not lead is told to come again.
func TestNotLeading(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		s := w.join("ann")
		u := w.next(s, 100)[0]
		blocked := make(chan error, 1)
		go func() {
			_, err := w.coord.Next(t.Context(), s, 1)
			blocked <- err
		}()
		w.settle()
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		_, _, joined := w.coord.Join(t.Context(), loop.Worker{Name: "eve"})
		_, next := w.coord.Next(t.Context(), s, 1)
		_, delivered := w.coord.Deliver(t.Context(), s, made("ann", u), func() {})
		for name, err := range map[string]error{
			"join": joined, "next": next, "deliver": delivered, "fail": w.coord.Fail(t.Context(), s, u, "x"), "blocked next": <-blocked,
		} {
			if !errors.Is(err, loop.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.coord.Leave(s, errors.New("gone"))
		if answer := w.request("POST", "/v1/spaces", spaceDocument); answer.Code != 503 {
			t.Errorf("put: %d %s", answer.Code, answer.Body)
		}
		if c := w.show("c"); c.InFlight != 0 || c.Pending != 100 {
			t.Errorf("%+v", c.Counts)
		}
	})
}

// A term that is lost throws its schedule away: nobody waits on it for ever, and
// nothing is handed out by a node that does not lead.
func TestLostTerm(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		s := w.join("ann")
		units := w.next(s, 100)
		waiting := make(chan error, 2)
		go func() {
			_, err := w.coord.Next(t.Context(), s, 1)
			waiting <- err
		}()
		hold := make(chan struct{})
		w.gates.set(func(g *court) { g.broken = func() error { <-hold; return errors.New("too late") } })
		w.stage("ann", units[0])
		go func() {
			_, err := w.coord.Deliver(t.Context(), s, made("ann", units[0]), func() {})
			waiting <- err
		}()
		w.pass(time.Second)
		// A second voter that nobody can reach: there is no majority any more.
		w.node.raft.AddVoter("n2", "n2", 0, 0)
		for range 2 {
			if err := <-waiting; !errors.Is(err, loop.ErrUnavailable) || !errors.Is(err, errLostLeadership) {
				t.Errorf("got %v", err)
			}
		}
		close(hold)
		w.pass(time.Minute)
		if _, err := w.coord.Next(t.Context(), s, 1); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("next: %v", err)
		}
		if _, err := w.node.Propose(t.Context(), policy(1)); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("propose: %v", err)
		}
		if status := w.must("GET", "/v1/status", ""); !strings.Contains(status, `"role":"follower"`) {
			t.Error(status)
		}
	})
}

// People look while samples are committed: nobody who holds one of the two locks
// waits for the other in the wrong order.
func TestShownWhileCommitting(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 600\n")
		looked := make(chan int, 4)
		ctx, cancel := context.WithCancel(t.Context())
		for range cap(looked) {
			go func() {
				n := 0
				for ; ctx.Err() == nil; n++ {
					if c := w.show("c"); c.Requested != c.Committed+c.Abandoned+c.InFlight+c.Pending {
						t.Errorf("does not add up (I3): %+v", c.Counts)
					}
					w.idle(time.Microsecond)
				}
				looked <- n
			}()
		}
		s, _, err := w.coord.Join(ctx, loop.Worker{Name: "ann", Slots: 8, Generators: []loop.Generator{shapes}})
		if err != nil {
			t.Fatal(err)
		}
		for count := 0; count < 600; {
			leases, err := w.coord.Next(ctx, s, 8)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, len(leases))
			for _, l := range leases {
				w.stage("ann", l.Unit)
				go func() {
					_, err := w.coord.Deliver(ctx, s, made("ann", l.Unit), func() {})
					done <- err
				}()
				count += l.Unit.Count
			}
			for range leases {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		}
		cancel()
		for range cap(looked) {
			if n := <-looked; n == 0 {
				t.Error("nobody looked")
			}
		}
		w.settle()
		w.ends("c", "done", api.Counts{Requested: 600, Committed: 600})
	})
}
