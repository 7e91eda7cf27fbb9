package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/loop"
)

// What a loss of power brings back of a staging area that was swept is swept when
// its worker connects again; what is open, or announced, is left (C9).
func TestSweptAgain(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		ann := w.join("ann")
		units := w.next(ann, 3)
		settled, announced, open := units[0], units[1], units[2]
		w.accepted(ann, "ann", settled)
		w.accepted(ann, "ann", announced)
		for _, u := range units {
			w.stage("ann", u)
		}
		w.join("ann", announced)
		if w.store.isStaged("ann", settled) {
			t.Error("what is settled is still staged")
		}
		if !w.store.isStaged("ann", announced) || !w.store.isStaged("ann", open) {
			t.Error("what the worker will deliver was swept")
		}
	})
}

// What is delivered twice, by whom it was not leased, or on a session that never
// was, is judged by name alone (I5, C10).
func TestDuplicatesAndStrangers(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		ann, bob := w.join("ann"), w.join("bob")
		u := w.next(ann, 1)[0]
		if got := w.accepted(bob, "bob", u); got.Fresh != 10 {
			t.Errorf("another's unit stood %+v", got)
		}
		w.check(exact)
		judged := len(w.gates.judged)
		for _, session := range []string{ann, "nobody", ""} {
			if got := w.accepted(session, "ann", u); got != (loop.Standing{Duplicate: 10}) {
				t.Errorf("the second delivery, on session %q, stood %+v", session, got)
			}
			if w.store.isStaged("ann", u) {
				t.Error("what nothing is open of is not swept")
			}
		}
		if len(w.gates.judged) != judged {
			t.Error("a delivery of which nothing is open was gated")
		}
		if got, err := w.redeliver(ann, "ann", u); err != nil || got.Again || got.Duplicate != 10 {
			t.Errorf("a duplicate whose bytes were swept stood %+v, %v", got, err)
		}
		w.check(exact)
		// Two at once: both pass the gates, one is fresh.
		u = w.next(ann, 1)[0]
		w.stage("ann", u)
		w.stage("bob", u)
		answers := make(chan loop.Standing, 2)
		for session, name := range map[string]string{ann: "ann", bob: "bob"} {
			go func() {
				standing, err := w.coord.Deliver(t.Context(), session, made(name, u), func() {})
				if err != nil {
					t.Error(err)
				}
				answers <- standing
			}()
		}
		first, second := <-answers, <-answers
		if first.Fresh+second.Fresh != 10 || first.Duplicate+second.Duplicate != 10 {
			t.Errorf("two deliveries of one unit stood %+v and %+v", first, second)
		}
		w.settle()
		w.check(exact)
		// An attempt that nobody asked for, and an index beyond all reservation.
		stale := u
		stale.Attempt = 5
		beyond := u
		beyond.First = 5000
		for _, c := range []struct {
			unit loop.Unit
			want loop.Standing
		}{{stale, loop.Standing{Stale: 10}}, {beyond, loop.Standing{Closed: 10}}} {
			if got := w.accepted(ann, "ann", c.unit); got != c.want {
				t.Errorf("%s stood %+v, want %+v", c.unit.ID(), got, c.want)
			}
			w.check(exact)
		}
		// A unit of no round is the worker's mistake, for good.
		for _, change := range []func(*loop.Unit){
			func(u *loop.Unit) { u.Campaign = "other" }, func(u *loop.Unit) { u.Round = 9 }, func(u *loop.Unit) { u.Count = 0 },
		} {
			lie := u
			change(&lie)
			_, err := w.deliver(ann, "ann", lie)
			if _, refused := errors.AsType[*loop.Error](err); !refused || errors.Is(err, loop.ErrUnavailable) {
				t.Errorf("%s: %v", lie.ID(), err)
			}
		}
		w.work(ann, "ann")
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
	})
}

// Whose bytes are gone is told to forget the unit, and its indices are leased
// again (C9).
func TestStagingGone(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		s := w.join("ann")
		u := w.next(s, 1)[0]
		if got, err := w.redeliver(s, "ann", u); err != nil || got != (loop.Standing{Again: true}) {
			t.Errorf("got %+v, %v", got, err)
		}
		w.check(exact)
		if again := w.next(s, 1); len(again) != 1 || again[0] != u {
			t.Errorf("leased %v next, want %s", again, u.ID())
		}
		w.accepted(s, "ann", u)
		w.work(s, "ann")
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
	})
}

// A lying delivery is refused for good and made by another worker; that a lookup
// found nothing is not the worker's lie.
func TestLyingDelivery(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		ann, bob := w.join("ann"), w.join("bob")
		u := w.next(ann, 1)[0]
		w.gates.set(func(g *court) {
			g.refuse = func(*loop.Delivery) error {
				return &loop.Error{Field: "samples[3].digest", Problem: "the bytes have another digest"}
			}
		})
		_, err := w.deliver(ann, "ann", u)
		if refused, ok := errors.AsType[*loop.Error](err); !ok || refused.Field != "samples[3].digest" || errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("got %v, want the refusal", err)
		}
		w.check(exact)
		w.gates.set(func(g *court) {
			g.refuse = func(*loop.Delivery) error { return loop.NotFound("round", "there is no round 1") }
		})
		v := w.next(bob, 1)[0]
		if _, err := w.deliver(bob, "bob", v); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("a failed lookup was told to the worker as %v", err)
		}
		w.check(exact)
		w.gates.set(func(g *court) { g.refuse = nil })
		w.pass(2 * time.Second) // the pause after a failure
		for _, leased := range w.next(ann, 100) {
			if leased == u {
				t.Errorf("the liar was leased %s again", u.ID())
			}
			w.accepted(ann, "ann", leased)
		}
		if leased := w.next(bob, 1); len(leased) != 1 || leased[0] != u {
			t.Errorf("bob was leased %v, want %s", leased, u.ID())
		}
		w.accepted(bob, "bob", u)
		w.work(bob, "bob")
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
	})
}

// A stage or a writer that fails leaves the outcome unknown, never refused: the
// worker delivers again, and so may another (C10).
func TestFailuresAreUnknown(t *testing.T) {
	boom := errors.New("disk full")
	for name, fail := range map[string]func(w *world, err error){
		"gates": func(w *world, err error) { w.gates.set(func(g *court) { g.broken = func() error { return err } }) },
		"pack":  func(w *world, err error) { w.failWrites("packs", err) },
		"parts": func(w *world, err error) { w.failWrites("parts", err) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(t *testing.T, w *world) {
				w.gates.reject = func(_ *loop.Delivery, n loop.Name) (string, string) {
					if n.Attempt == 0 && n.Index%7 == 0 {
						return "blank", "one colour"
					}
					return "", ""
				}
				w.campaign(oneRound)
				s := w.join("ann")
				u := w.next(s, 1)[0]
				fail(w, boom)
				if got, err := w.deliver(s, "ann", u); !errors.Is(err, loop.ErrUnavailable) || !errors.Is(err, boom) {
					t.Errorf("got %+v, %v; want unknown", got, err)
				}
				if !w.store.isStaged("ann", u) {
					t.Error("a unit without a verdict was swept (C9)")
				}
				w.check(exact)
				if c := w.show("c"); c.Committed+c.Rejected != 0 {
					t.Errorf("counted %+v", c.Counts)
				}
				fail(w, nil)
				if got, err := w.redeliver(s, "ann", u); err != nil || got.Fresh != 10 {
					t.Errorf("the second delivery stood %+v, %v", got, err)
				}
				w.check(exact)
				w.work(s, "ann")
				w.ends("c", "done", api.Counts{Requested: 100, Committed: 100, Rejected: 15, Replaced: 15})
			})
		})
	}
}

func (w *world) failWrites(kind string, err error) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.fail = func(of string) error {
		if of == kind {
			return err
		}
		return nil
	}
}

// Two campaigns of two spaces deliver at once: no part holds rows of both.
func TestSpacesDoNotMix(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		w.must("POST", "/v1/spaces", strings.Replace(spaceDocument, "lab", "field", 1))
		w.must("POST", "/v1/campaigns", "space: field\npolicy: plain\ngenerator: shapes\nname: d\nsamples: 100\nunit_size: 10\n")
		s := w.join("ann")
		units := w.next(s, 20)
		if len(units) != 20 {
			t.Fatalf("%d units", len(units))
		}
		done := make(chan error, len(units))
		for _, u := range units {
			w.stage("ann", u)
			go func() {
				standing, err := w.coord.Deliver(t.Context(), s, made("ann", u), func() {})
				if err == nil && standing.Fresh != 10 {
					err = fmt.Errorf("%s stood %+v", u.ID(), standing)
				}
				done <- err
			}()
		}
		for range units {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		w.settle()
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
		w.ends("d", "done", api.Counts{Requested: 100, Committed: 100})
	})
}

// A deliverer who gives up before the delivery is queued leaves nothing in
// flight.
func TestDelivererGivesUp(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		s := w.join("ann")
		hold := make(chan struct{})
		w.gates.set(func(g *court) { g.broken = func() error { <-hold; return nil } })
		units := w.next(s, 10)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, len(units))
		queued := make(chan loop.Unit, len(units))
		for _, u := range units {
			w.stage("ann", u)
			go func() {
				_, err := w.coord.Deliver(ctx, s, made("ann", u), func() { queued <- u })
				done <- err
			}()
			w.pass(time.Second) // so that each makes a batch of its own
		}
		if c := w.show("c"); c.InFlight != 100 {
			t.Errorf("all delivered, none judged: %+v", c.Counts)
		}
		cancel()
		for range units {
			if err := <-done; !errors.Is(err, loop.ErrUnavailable) {
				t.Error(err)
			}
		}
		w.settle()
		w.check(exact)
		n := len(queued)
		if n == 0 || n == len(units) {
			t.Fatalf("%d of %d were queued: the test needs some of both", n, len(units))
		}
		if c := w.show("c"); c.InFlight != uint64(10*n) || c.Pending != uint64(100-10*n) {
			t.Errorf("with %d queued: %+v", n, c.Counts)
		}
		close(hold)
		w.pass(time.Second)
		if c := w.show("c"); c.Committed != uint64(10*n) {
			t.Errorf("what was queued did not go on: %+v", c.Counts)
		}
		w.work(s, "ann")
		w.ends("c", "done", api.Counts{Requested: 100, Committed: 100})
	})
}
