package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// paid is a campaign of which a millisecond costs a millionth, and that may cost so
// many milliseconds.
func (w *world) paid(millis int) {
	w.t.Helper()
	w.campaign(fmt.Sprintf("name: c\nsamples: 2000\nrounds: 2\nevaluation: {target: 100}\nlearn_from: [{model_line: net}]\nprice: {gpu_hour: 3.6, currency: EUR}\nmoney: %g\n", float64(millis)/1e6))
}

func (w *world) spent() (spent state.Spent) {
	w.node.View(func(s *state.State) { spent, _ = s.Spent("c") })
	return spent
}

// takes delivers a unit that took so many milliseconds.
func (w *world) takes(session, worker string, u loop.Unit, millis int64) {
	w.t.Helper()
	w.stage(worker, u)
	d := made(worker, u)
	d.Millis = millis
	if err := patiently(func() error { _, err := w.coord.Deliver(w.t.Context(), session, d, func() {}); return err }); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

// C14: the money is a hard stop. What is handed out is reserved from it, so that in
// the end the campaign has taken no more than its money and one unit; then it ends
// short, and says why.
func TestMoneyIsAHardStop(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.paid(255)
		ann, bob := w.join("ann"), w.join("bob")
		units := 0
		for {
			first, second := w.next(ann, 20), w.next(bob, 20)
			if outstanding := len(first) + len(second); units == 0 && outstanding != 1 {
				t.Fatalf("%d units are handed out, though nobody knows what one takes", outstanding)
			} else if outstanding == 0 {
				break
			} else if reserved := 20 * outstanding; units > 0 && reserved >= 255-10*units+20 {
				t.Fatalf("%d units are handed out, which may take %d ms, but %d are left", outstanding, reserved, 255-10*units)
			}
			units += len(first) + len(second)
			for _, u := range first {
				w.takes(ann, "ann", u, 10)
			}
			for _, u := range second {
				w.takes(bob, "bob", u, 10)
			}
			w.check(covered)
		}
		if got := w.spent(); units != 26 || got != (state.Spent{Millis: 260, Micros: 260}) {
			t.Errorf("%d units, %+v", units, got)
		}
		if c := w.show("c"); c.State != "running" || c.InFlight != 0 || !strings.Contains(c.Waiting, "its money is spent") {
			t.Errorf("%s, waits for %q", c.State, c.Waiting)
		}
		w.pass(w.coord.o.ReconnectWindow + time.Second)
		c := w.show("c")
		if c.State != "done_short" || c.Committed+c.Evaluation.Committed != 260 || c.Committed+c.Abandoned != c.Requested || c.Pending != 0 || c.Rounds != 1 {
			t.Errorf("%s: %+v %+v, %d rounds", c.State, c.Counts, *c.Evaluation, c.Rounds)
		}
		why := "money: 0.00026 EUR of 0.00026 EUR are spent"
		if !slices.ContainsFunc(c.Reasons, func(r string) bool { return strings.HasSuffix(r, "samples abandoned: "+why) }) || len(c.Amendments) != 1 || c.Amendments[0].Reason != why {
			t.Errorf("%v %+v", c.Reasons, c.Amendments)
		}
		// What there is is published.
		if r := w.round("c", 1); r.State != api.RoundPublished {
			t.Errorf("%+v", r)
		}
		if units := w.next(ann, 1); len(units) != 0 {
			t.Errorf("%v handed out", units)
		}
	})
}

// Another leader goes on from what state knows, and hands out no more either.
func TestMoneyAcrossLeaders(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.paid(100)
		s := w.join("ann")
		for range 4 {
			w.takes(s, "ann", w.next(s, 1)[0], 10)
		}
		held := w.next(s, 2)
		w.restart()
		if got := w.spent().Millis; got != 40 {
			t.Errorf("%d ms are spent, want 40", got)
		}
		s = w.join("ann", held...)
		w.pass(w.coord.o.ReconnectWindow)
		if units := w.next(s, 20); len(units) != 0 {
			t.Errorf("%d units are handed out beside those that nobody knows the time of", len(units))
		}
		for _, u := range held {
			w.takes(s, "ann", u, 10)
		}
		for units := w.next(s, 20); len(units) > 0; units = w.next(s, 20) {
			for _, u := range units {
				w.takes(s, "ann", u, 10)
			}
		}
		if got := w.spent().Millis; got != 100 {
			t.Errorf("%d ms are spent, want 100", got)
		}
	})
}

// More money, and a round more, and it goes on.
func TestMoneyIsRaised(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.paid(50)
		s := w.join("ann")
		for units := w.next(s, 20); len(units) > 0; units = w.next(s, 20) {
			for _, u := range units {
				w.takes(s, "ann", u, 10)
			}
		}
		// Before it has ended it takes up again as if nothing had been.
		c := asked[api.Campaign](w, "POST", "/v1/campaigns/c/extend", `{"money": 0.0001}`)
		if units := w.next(s, 20); len(units) == 0 || c.Money != .0001 {
			t.Fatalf("%+v", c)
		} else {
			for _, u := range units {
				w.takes(s, "ann", u, 10)
			}
		}
		for units := w.next(s, 20); len(units) > 0; units = w.next(s, 20) {
			for _, u := range units {
				w.takes(s, "ann", u, 10)
			}
		}
		w.pass(time.Minute)
		if c := w.show("c"); c.State != "done_short" || w.spent().Millis != 100 {
			t.Fatalf("%s, %+v", c.State, w.spent())
		}
		made := w.show("c").Samples
		asked[api.Campaign](w, "POST", "/v1/campaigns/c/extend", fmt.Sprintf(`{"money": 0.0002, "rounds": 2, "samples": %d}`, made+1000))
		w.train("v1")
		if units := w.next(s, 20); len(units) == 0 {
			t.Errorf("nothing is handed out: %+v", w.show("c"))
		}
	})
}

// What a unit took counts once, however often it is delivered and whatever becomes of
// the answers; what failed, hung or vanished counts as far as it was begun, and not
// again when it comes back.
func TestMetersCountOnce(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.paid(1_000_000)
		s := w.join("ann")
		wants := func(what string, millis uint64) {
			t.Helper()
			w.pass(2 * reportEvery)
			if got := w.spent(); got != (state.Spent{Millis: millis, Micros: millis}) {
				t.Errorf("%s: %+v, want %d", what, got, millis)
			}
		}
		first := w.next(s, 1)[0]
		times := 0
		w.lose = func() loss {
			if times++; times < 3 {
				return theAnswer
			}
			return nothing
		}
		w.takes(s, "ann", first, 1000)
		wants("answers lost", 1000)
		w.takes(s, "ann", first, 1000)
		wants("delivered again", 1000)

		units := w.next(s, 3)
		w.idle(7 * time.Millisecond)
		if err := w.coord.Fail(t.Context(), s, units[0], "out of memory"); err != nil {
			t.Fatal(err)
		}
		wants("failed after 7 ms", 1007)
		w.takes(s, "ann", units[1], 500)
		wants("another took 500", 1507)

		w.pass(20 * time.Second) // the failed unit may be handed out again
		held := w.next(s, 3)
		w.idle(5 * time.Millisecond)
		w.coord.Leave(s, nil)     // two slots, four units: one since half a minute, one since 5 ms
		limit := uint64(2 * 1000) // what the longest was reserved
		wants("vanished", 1507+limit+5)
		s = w.join("ann", units[2], held[0], held[1], held[2])
		w.takes(s, "ann", units[2], 1900)
		wants("back with what was charged", 1507+limit+5)
		w.takes(s, "ann", held[0], 905)
		wants("back with the one that was begun", 1507+limit+905)
		w.takes(s, "ann", held[1], 100)
		wants("and with one that was not", 1507+limit+905+100)
		// A worker's clock may say anything.
		w.takes(s, "ann", held[2], 1<<62)
		wants("a week at most", 1507+limit+905+100+uint64(maxCharge))
	})
}

// What a term remembers of workers does not grow with those that come and go, nor
// with what they failed to make.
func TestMetersForgetWhoIsGone(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.paid(1_000_000)
		w.pass(time.Minute)
		t1, err := w.coord.leading()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			name := fmt.Sprintf("w%d", i)
			s := w.join(name)
			units := w.next(s, 3)
			w.takes(s, name, units[0], 10)
			w.idle(time.Millisecond)
			if err := w.coord.Fail(t.Context(), s, units[1], "out of memory"); err != nil {
				t.Fatal(err)
			}
			t1.mu.Lock()
			if n := len(t1.sessions[s].charged); n != 0 {
				t.Errorf("%d units are remembered that a worker has failed or delivered", n)
			}
			t1.mu.Unlock()
			w.pass(2 * reportEvery) // all is noted before it leaves, and units[2] is charged when it does
			w.coord.Leave(s, nil)
			w.pass(time.Minute)
		}
		s := w.join("last")
		for units := w.next(s, 20); len(units) > 0; units = w.next(s, 20) {
			for _, u := range units {
				w.takes(s, "last", u, 10)
			}
		}
		w.coord.Leave(s, nil)
		w.pass(time.Minute)
		t1.mu.Lock()
		defer t1.mu.Unlock()
		if len(t1.meters.of) != 0 || len(t1.meters.vanished) != 0 {
			t.Errorf("of workers that are gone, and units that are settled, %d meters and %d charges are remembered", len(t1.meters.of), len(t1.meters.vanished))
		}
	})
}

// Thousands may be idle: that one more connects, or leaves, is no news to them.
func TestIdleWorkersAreNotWokenInVain(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.join("ann")
		t1, err := w.coord.leading()
		if err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		woken := func() bool {
			t1.mu.Lock()
			defer t1.mu.Unlock()
			wake := t1.wake
			t1.mu.Unlock()
			w.coord.Leave(w.join("bob"), nil)
			t1.mu.Lock()
			return wake != t1.wake
		}
		if woken() {
			t.Error("all are woken where there is nothing to lease")
		}
		w.campaign(fourRounds)
		w.pass(time.Minute)
		if !woken() {
			t.Error("nobody is woken where there is something to lease")
		}
	})
}
