package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hone/loop"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func maker(name, kind string, generators ...string) loop.Worker {
	w := loop.Worker{Name: name, Type: kind, Slots: 1}
	for _, g := range generators {
		w.Generators = append(w.Generators, loop.Generator{Name: g, Version: "1"})
	}
	return w
}

func run(campaign string, round int, first, count uint64) Run {
	return Run{Place: Place{Campaign: campaign, Round: round}, First: first, Count: count, Generator: "g", UnitSize: 50}
}

func ids(leases []loop.Lease) []string {
	var out []string
	for _, l := range leases {
		out = append(out, l.Unit.ID())
	}
	return out
}

func wantIDs(t *testing.T, got []loop.Lease, want ...string) {
	t.Helper()
	if !slices.Equal(ids(got), want) {
		t.Fatalf("leased %v, want %v", ids(got), want)
	}
}

func wantFlow(t *testing.T, s *Schedule, p Place, inFlight, pending uint64) {
	t.Helper()
	if f, n := s.InFlight(p); f != inFlight || n != pending {
		t.Fatalf("in flight %d, pending %d; want %d, %d (I3)", f, n, inFlight, pending)
	}
}

func TestUnitsAreCutFromRuns(t *testing.T) {
	s := New(Options{})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Offer(run("c", 1, 0, 120), at(0))
	s.Offer(run("c", 1, 0, 120), at(0)) // again is harmless
	wantFlow(t, s, Place{Campaign: "c", Round: 1}, 0, 120)
	wantIDs(t, s.Next("a", 2, at(0)), "c.1-t0-0-0-50", "c.1-t0-0-50-50")
	wantFlow(t, s, Place{Campaign: "c", Round: 1}, 100, 20)
	wantIDs(t, s.Next("a", 5, at(0)), "c.1-t0-0-100-20")
	wantIDs(t, s.Next("a", 5, at(0)))
}

func TestOnlyGeneratorsThatAWorkerHas(t *testing.T) {
	s := New(Options{})
	s.Join(maker("a", "H100", "other"), at(0))
	s.Offer(run("c", 1, 0, 50), at(0))
	wantIDs(t, s.Next("a", 1, at(0)))
	wantIDs(t, s.Next("stranger", 1, at(0)))
	s.Join(maker("a", "H100", "other", "g"), at(0))
	wantIDs(t, s.Next("a", 1, at(0)), "c.1-t0-0-0-50")
}

// The oldest round first, also when it was offered last; what was rejected
// before what is fresh; components in turn.
func TestOrder(t *testing.T) {
	s := New(Options{})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Offer(run("c", 2, 0, 50), at(0))
	s.Offer(run("d", 1, 0, 50), at(0)) // younger than c's, though its number is lower
	s.Offer(run("c", 1, 0, 100), at(0))
	second := run("c", 1, 0, 100)
	second.Component = 1
	s.Offer(second, at(0))
	retry := run("c", 1, 7, 1)
	retry.Component, retry.Attempt = 2, 1
	s.Offer(retry, at(0))
	wantIDs(t, s.Next("a", 9, at(0)), "c.1-t2-1-7-1",
		"c.1-t0-0-0-50", "c.1-t1-0-0-50", "c.1-t0-0-50-50", "c.1-t1-0-50-50", "c.2-t0-0-0-50", "d.1-t0-0-0-50")
}

// C4: a rejected attempt goes to another worker, if there is one, for a while.
func TestRejectedAttemptAvoidsItsWorker(t *testing.T) {
	retry := func(s *Schedule) {
		r := run("c", 1, 3, 1)
		r.Attempt, r.Avoid = 1, "a"
		s.Offer(r, at(0))
	}
	t.Run("another worker", func(t *testing.T) {
		s := New(Options{})
		s.Join(maker("a", "H100", "g"), at(0))
		s.Join(maker("b", "H100", "g"), at(0))
		retry(s)
		s.Offer(run("c", 1, 50, 50), at(0))
		wantIDs(t, s.Next("a", 9, at(0)), "c.1-t0-0-50-50")
		wantIDs(t, s.Next("b", 9, at(0)), "c.1-t0-1-3-1")
	})
	t.Run("only worker", func(t *testing.T) {
		s := New(Options{})
		s.Join(maker("a", "H100", "g"), at(0))
		s.Join(maker("b", "H100", "other"), at(0))
		retry(s)
		wantIDs(t, s.Next("a", 9, at(0)), "c.1-t0-1-3-1")
	})
	t.Run("for a while", func(t *testing.T) {
		s := New(Options{})
		s.Join(maker("a", "H100", "g"), at(0))
		s.Join(maker("b", "H100", "g"), at(0))
		retry(s)
		wantIDs(t, s.Next("a", 9, at(59)))
		if due, ok := s.Due(); !ok || !due.Equal(at(60)) {
			t.Fatalf("due %v, %v; want a minute", due, ok)
		}
		wantIDs(t, s.Next("a", 9, at(60)), "c.1-t0-1-3-1")
	})
	t.Run("of many workers", func(t *testing.T) {
		// Whatever the others avoid, each gets the best that it may have.
		s := New(Options{})
		for _, name := range []string{"a", "b", "c", "d"} {
			s.Join(maker(name, "H100", "g"), at(0))
			r := run("c", 1, uint64(len(s.workers)), 1)
			r.Attempt, r.Avoid = 1, name
			s.Offer(r, at(0))
		}
		wantIDs(t, s.Next("a", 9, at(0)), "c.1-t0-1-2-1", "c.1-t0-1-3-1", "c.1-t0-1-4-1")
		wantIDs(t, s.Next("b", 9, at(0)), "c.1-t0-1-1-1")
	})
}

// DESIGN §1: a lost unit is handed out again under the same name, so with the
// same seeds; and first.
func TestLeaveAndExpireKeepUnits(t *testing.T) {
	s := New(Options{FirstLease: time.Minute})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Join(maker("b", "H100", "g"), at(0))
	s.Offer(run("c", 1, 0, 180), at(0))
	wantIDs(t, s.Next("a", 2, at(0)), "c.1-t0-0-0-50", "c.1-t0-0-50-50")
	s.Leave("a", at(1))
	wantFlow(t, s, Place{Campaign: "c", Round: 1}, 0, 180)
	// b's hardware has turned out slow: fresh units would be cut to 11 samples.
	s.rates.observe("H100", "g", 1, 5000)
	wantIDs(t, s.Next("b", 3, at(1)), "c.1-t0-0-0-50", "c.1-t0-0-50-50", "c.1-t0-0-100-11")
	s.Join(maker("a", "L40S", "g"), at(1))
	due, _ := s.Due()
	if got := s.Expire(due.Add(-time.Nanosecond)); len(got) != 0 {
		t.Fatalf("expired %v before their time", got)
	}
	var back []string
	for at, ok := s.Due(); ok && len(back) < 3; at, ok = s.Due() {
		for _, g := range s.Expire(at) {
			back = append(back, g.Worker+" "+g.Lease.Unit.ID())
		}
	}
	if want := []string{"b c.1-t0-0-100-11", "b c.1-t0-0-0-50", "b c.1-t0-0-50-50"}; !sameSet(back, want) {
		t.Fatalf("expired %v, want %v", back, want)
	}
	got := ids(s.Next("a", 4, due))
	if !sameSet(got, []string{"c.1-t0-0-0-50", "c.1-t0-0-50-50", "c.1-t0-0-100-11", "c.1-t0-0-111-50"}) {
		t.Fatalf("leased %v", got)
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

func TestLeaseTime(t *testing.T) {
	s := New(Options{})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Offer(run("c", 1, 0, 1000), at(0))
	s.Next("a", 1, at(0))
	if due, _ := s.Due(); !due.Equal(at(300)) {
		t.Fatalf("nothing learned: due %v, want 5 min", due.Sub(start))
	}
	u := loop.Unit{Campaign: "c", Round: 1, First: 0, Count: 50}
	s.Staged(u, "a", 40_000, at(40)) // 0.8 s a sample
	s.Done(u, at(41))
	s.Next("a", 1, at(100))
	if due, _ := s.Due(); !due.Equal(at(100 + 5*40)) {
		t.Fatalf("learned 40 s a unit: due %v, want 300 s", due.Sub(start))
	}
	// A straggler moves the rate by no more than 2.5 times would.
	s.Staged(loop.Unit{Campaign: "c", Round: 1, First: 50, Count: 50}, "a", 4_000_000, at(100))
	if m, _ := s.rates.perSample("H100", "g"); m < 1039 || m > 1041 {
		t.Fatalf("a straggler made the rate %v ms a sample, want 1040", m)
	}
	// Fast work has a minute all the same.
	s = New(Options{})
	s.Join(maker("a", "H100", "g"), at(0))
	s.rates.observe("H100", "g", 50, 50)
	s.Offer(run("c", 1, 0, 50), at(0))
	s.Next("a", 1, at(0))
	if due, _ := s.Due(); !due.Equal(at(60)) {
		t.Fatalf("fast work is due %v, want 60 s", due.Sub(start))
	}
}

// Among generators that are equally urgent a worker gets the one that its
// hardware is best at, compared with the others'.
func TestComparativeAdvantage(t *testing.T) {
	s := New(Options{})
	for _, g := range []string{"g", "h"} {
		r := run("c", 1, 0, 500)
		r.Generator = g
		if g == "h" {
			r.Component = 1
		}
		s.Offer(r, at(0))
	}
	s.Join(maker("a", "A100", "g", "h"), at(0))
	s.Join(maker("b", "H100", "g", "h"), at(0))
	s.rates.observe("H100", "g", 1, 100)
	s.rates.observe("A100", "g", 1, 300)
	s.rates.observe("H100", "h", 1, 200)
	s.rates.observe("A100", "h", 1, 250)
	for range 3 {
		if got := s.Next("a", 1, at(0)); got[0].Generator != "h" {
			t.Fatalf("A100 got %v, though it is nearly as good as any at h", got)
		}
	}
}

// C9: what a reconnecting worker announces is in flight with it, whichever way
// round Offer and Join come; what is with somebody else stays there.
func TestHolds(t *testing.T) {
	place := Place{Campaign: "c", Round: 1}
	held := loop.Unit{Campaign: "c", Round: 1, First: 10, Count: 50}
	back := maker("a", "H100", "g")
	back.Holds = []loop.Unit{held}
	t.Run("join, then offer", func(t *testing.T) {
		s := New(Options{})
		s.Join(back, at(0))
		s.Offer(run("c", 1, 0, 100), at(0))
		wantFlow(t, s, place, 50, 50)
		s.Join(maker("b", "H100", "g"), at(0))
		wantIDs(t, s.Next("b", 9, at(0)), "c.1-t0-0-0-10", "c.1-t0-0-60-40")
		s.Leave("a", at(1))
		wantIDs(t, s.Next("b", 9, at(1)), held.ID())
	})
	t.Run("offer, then join", func(t *testing.T) {
		s := New(Options{})
		s.Offer(run("c", 1, 0, 100), at(0))
		s.Join(back, at(0))
		wantFlow(t, s, place, 50, 50)
		wantIDs(t, s.Next("a", 9, at(0)), "c.1-t0-0-0-10", "c.1-t0-0-60-40")
	})
	t.Run("leave before offer", func(t *testing.T) {
		s := New(Options{})
		s.Join(back, at(0))
		s.Leave("a", at(0))
		wantFlow(t, s, place, 0, 0)
		s.Offer(run("c", 1, 0, 100), at(0))
		wantFlow(t, s, place, 0, 100)
	})
	t.Run("partly with another", func(t *testing.T) {
		s := New(Options{})
		s.Join(maker("b", "H100", "g"), at(0))
		s.Offer(run("c", 1, 0, 100), at(0))
		wantIDs(t, s.Next("b", 1, at(0)), "c.1-t0-0-0-50")
		s.Join(back, at(0)) // indices 50 to 59 are nobody's
		wantFlow(t, s, place, 60, 40)
		s.Failed(held, "a", at(0))
		wantFlow(t, s, place, 50, 50)
		wantIDs(t, s.Next("b", 9, at(10)), "c.1-t0-0-50-10", "c.1-t0-0-60-40")
	})
}

// C9: staged work is nobody's lease; again opens it; a delivery that went
// astray does not stay in flight for ever.
func TestStaged(t *testing.T) {
	place := Place{Campaign: "c", Round: 1}
	u := loop.Unit{Campaign: "c", Round: 1, First: 0, Count: 50}
	set := func(t *testing.T) *Schedule {
		s := New(Options{})
		s.Join(maker("a", "H100", "g"), at(0))
		s.Offer(run("c", 1, 0, 50), at(0))
		s.Next("a", 1, at(0))
		s.Staged(u, "a", 1000, at(1))
		s.Leave("a", at(1))
		wantFlow(t, s, place, 50, 0)
		s.Join(maker("b", "H100", "g"), at(2))
		wantIDs(t, s.Next("b", 1, at(2)))
		return s
	}
	t.Run("done", func(t *testing.T) {
		s := set(t)
		s.Done(u, at(3))
		wantFlow(t, s, place, 0, 0)
		if _, ok := s.Due(); ok {
			t.Fatal("something is still due")
		}
	})
	t.Run("again", func(t *testing.T) {
		s := set(t)
		s.Again(u, at(3))
		wantIDs(t, s.Next("b", 1, at(3)), u.ID())
	})
	t.Run("refused", func(t *testing.T) {
		s := set(t)
		s.Failed(u, "a", at(3))
		wantIDs(t, s.Next("b", 1, at(3)))
		wantIDs(t, s.Next("b", 1, at(4)), u.ID())
	})
	t.Run("astray", func(t *testing.T) {
		s := set(t)
		if got := s.Expire(at(1 + 900)); len(got) != 1 || got[0].Lease.Unit != u || got[0].Worker != "a" {
			t.Fatalf("expired %v", got)
		}
		wantIDs(t, s.Next("b", 1, at(901)), u.ID())
	})
	t.Run("by the first of two holders", func(t *testing.T) {
		s := New(Options{FirstLease: time.Minute})
		s.Join(maker("a", "H100", "g"), at(0))
		s.Join(maker("b", "H100", "g"), at(0))
		s.Offer(run("c", 1, 0, 50), at(0))
		s.Next("a", 1, at(0))
		s.Expire(at(60))
		wantIDs(t, s.Next("b", 1, at(60)), u.ID())
		s.Staged(u, "a", 1000, at(61)) // it was only slow
		s.Leave("b", at(62))
		wantFlow(t, s, place, 50, 0)
	})
}

// A unit that fails is not leased in a tight loop, not even to the only worker.
func TestFailuresPause(t *testing.T) {
	s := New(Options{})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Offer(run("c", 1, 0, 50), at(0))
	u := s.Next("a", 1, at(0))[0].Unit
	now := at(0)
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		s.Failed(u, "a", now)
		due := now.Add(pause * time.Second)
		wantIDs(t, s.Next("a", 1, due.Add(-time.Millisecond)))
		wantIDs(t, s.Next("a", 1, due), u.ID())
		now = due
	}
	s.Failed(u, "b", now) // not b's to give back
	wantFlow(t, s, PlaceOf(u), 50, 0)
}

// C1: what is known of an attempt is forgotten when a later one is open.
func TestLaterAttempt(t *testing.T) {
	place := Place{Campaign: "c", Round: 1}
	s := New(Options{FirstLease: time.Minute})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Offer(run("c", 1, 0, 50), at(0))
	s.Next("a", 1, at(0))
	retry := run("c", 1, 20, 5)
	retry.Attempt = 1
	s.Offer(retry, at(0))
	wantFlow(t, s, place, 45, 5)
	s.Offer(run("c", 1, 0, 50), at(0)) // a view that is behind
	wantFlow(t, s, place, 45, 5)
	s.Expire(at(60))
	wantIDs(t, s.Next("a", 9, at(120)), "c.1-t0-1-20-5", "c.1-t0-0-25-25", "c.1-t0-0-0-20")
}

func TestDrop(t *testing.T) {
	s := New(Options{})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Offer(run("c", 1, 0, 100), at(0))
	s.Offer(run("d", 1, 0, 100), at(0))
	u := s.Next("a", 1, at(0))[0].Unit
	s.Drop("c")
	wantFlow(t, s, PlaceOf(u), 0, 0)
	s.Failed(u, "a", at(1))
	wantIDs(t, s.Next("a", 9, at(100)), "d.1-t0-0-0-50", "d.1-t0-0-50-50")
}

// Equal calls, equal answers, though maps are iterated inside.
func TestDeterministic(t *testing.T) {
	trace := func() string {
		s := New(Options{FirstLease: 30 * time.Second, MinLease: time.Second})
		r := rand.New(rand.NewPCG(1, 2))
		var out string
		for i := range 400 {
			now := at(float64(i))
			name := string(rune('a' + r.IntN(6)))
			switch r.IntN(6) {
			case 0:
				s.Join(maker(name, []string{"H100", "A100"}[r.IntN(2)], "g"), now)
			case 1:
				s.Leave(name, now)
			case 2:
				u := run("c", 1+r.IntN(3), uint64(r.IntN(500)), uint64(r.IntN(200)))
				u.Component, u.Attempt, u.Avoid = r.IntN(3), r.IntN(2), name
				s.Offer(u, now)
			case 3:
				out += fmt.Sprint(s.Expire(now))
			default:
				for _, l := range s.Next(name, 3, now) {
					out += l.Unit.ID() + " "
					if r.IntN(2) == 0 {
						s.Staged(l.Unit, name, int64(r.IntN(90_000)), now)
						s.Done(l.Unit, now)
					}
				}
			}
		}
		return out
	}
	first := trace()
	for range 5 {
		if again := trace(); again != first {
			t.Fatal("two equal runs differ")
		}
	}
}

// 10,000 workers, 600 components: one round trip of a unit, from Next to Done.
func BenchmarkDecision(b *testing.B) {
	s := New(Options{})
	const workers = 10_000
	for c := range 600 {
		r := run("c", 1+c%4, 0, 1<<31)
		r.Component, r.Count = c, 1<<20
		s.Offer(r, start)
	}
	type holding struct {
		name string
		unit loop.Unit
	}
	ring := make([]holding, workers)
	for i := range ring {
		name := fmt.Sprintf("w%05d", i)
		s.Join(maker(name, []string{"H100", "A100", "L40S"}[i%3], "g"), start)
		ring[i] = holding{name, s.Next(name, 1, start)[0].Unit}
	}
	now, i := start, 0
	for b.Loop() {
		h := &ring[i%workers]
		now = now.Add(4 * time.Millisecond)
		s.Staged(h.unit, h.name, 40_000, now)
		s.Done(h.unit, now)
		next := s.Next(h.name, 1, now)
		if len(next) == 0 {
			b.Fatal("nothing left to lease")
		}
		h.unit = next[0].Unit
		i++
	}
}
