package schedule

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hone/loop"
)

// twin is the stupid version: it knows of every single index by which lease it
// is in flight, and is told what was leased and what expired.
type twin struct {
	at     map[spot]*grant      // nil: pending
	leases map[loop.Unit]*grant // the last of each unit
	joined map[string]bool
}

type spot struct {
	place   Place
	attempt int
	index   uint64
}

type grant struct {
	unit   loop.Unit
	worker string // "" once it is staged
}

// back makes what is left of a lease pending, and reports whether there was any.
func (w *twin) back(g *grant) (any bool) {
	w.each(g.unit, func(p spot) {
		if w.at[p] == g {
			w.at[p], any = nil, true
		}
	})
	if w.leases[g.unit] == g {
		delete(w.leases, g.unit)
	}
	return any
}

// of are the leases of a worker, in a fixed order.
func (w *twin) of(worker string) []*grant {
	var all []*grant
	for _, g := range w.leases {
		if g.worker == worker {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *grant) int { return strings.Compare(a.unit.ID(), b.unit.ID()) })
	return all
}

func (w *twin) each(u loop.Unit, f func(spot)) {
	for i := range u.Count {
		f(spot{PlaceOf(u), u.Attempt, u.First + uint64(i)})
	}
}

// later reports whether the index is known at the attempt or one above.
func (w *twin) later(s spot) bool {
	for a := s.attempt; a <= maxTwinAttempt; a++ {
		if _, ok := w.at[spot{s.place, a, s.index}]; ok {
			return true
		}
	}
	return false
}

const maxTwinAttempt = 2

// Every index is pending, in flight or forgotten, as the calls imply; nothing is
// leased twice at a time but after Expire or Leave; and whatever is pending is
// started in the end by an idle worker that has the generator (scheduling.md §3).
func TestAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Options{FirstLease: 90 * time.Second, StagedLease: 5 * time.Minute})
		w := &twin{at: make(map[spot]*grant), leases: make(map[loop.Unit]*grant), joined: make(map[string]bool)}
		now := start
		held := make(map[string]bool)
		left := map[string]int64{"c": math.MaxInt64, "d": math.MaxInt64}
		names := rapid.SampledFrom([]string{"a", "b", "c"})
		place := func() Place {
			return Place{Campaign: rapid.SampledFrom([]string{"c", "d"}).Draw(t, "campaign"), Round: rapid.IntRange(1, 2).Draw(t, "round")}
		}
		var seen []loop.Unit // every unit there ever was
		unit := func() (loop.Unit, bool) {
			if len(seen) == 0 {
				return loop.Unit{}, false
			}
			return rapid.SampledFrom(seen).Draw(t, "unit"), true
		}
		next := func(name string, free int) {
			last := make(map[string]int64)
			for _, l := range s.Next(name, free, now) {
				if !w.joined[name] {
					t.Fatalf("%s was leased to %s, who has not joined", l.Unit.ID(), name)
				}
				if err := l.Unit.Validate(); err != nil {
					t.Fatal(err)
				}
				if held[l.Unit.Campaign] {
					t.Fatalf("%s was leased while its campaign is held", l.Unit.ID())
				}
				g := &grant{l.Unit, name}
				w.each(l.Unit, func(p spot) {
					if at, ok := w.at[p]; !ok || at != nil {
						t.Fatalf("index %d of %s was leased to %s, but is %+v (known %v)", p.index, l.Unit.ID(), name, at, ok)
					}
					w.at[p] = g
				})
				w.leases[l.Unit] = g
				seen = append(seen, l.Unit)
				last[l.Unit.Campaign] = s.ReservedBy(l.Unit, name)
			}
			// Before the last lease, what was in flight could not yet take all that is
			// left (C14).
			for c, reserve := range last {
				if s.Reserved(c)-reserve >= left[c] {
					t.Fatalf("campaign %s has %d ms reserved, the last %d, of %d", c, s.Reserved(c), reserve, left[c])
				}
			}
		}
		expire := func() {
			for _, g := range s.Expire(now) {
				if held := w.leases[g.Lease.Unit]; held == nil || !w.back(held) {
					t.Fatalf("%s expired, but nothing of it was in flight", g.Lease.Unit.ID())
				}
			}
		}
		check := func() {
			flying, pending := make(map[Place]uint64), make(map[Place]uint64)
			for p, at := range w.at {
				if at == nil {
					pending[p.place]++
				} else {
					flying[p.place]++
				}
			}
			for _, c := range []string{"c", "d"} {
				for r := 1; r <= 2; r++ {
					p := Place{Campaign: c, Round: r}
					if f, n := s.InFlight(p); f != flying[p] || n != pending[p] {
						t.Fatalf("%+v: in flight %d, pending %d; want %d, %d (I3)", p, f, n, flying[p], pending[p])
					}
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"offer": func(t *rapid.T) {
				r := Run{Place: place(), Attempt: rapid.IntRange(0, maxTwinAttempt).Draw(t, "attempt"),
					First: rapid.Uint64Range(0, 200).Draw(t, "first"), Count: rapid.Uint64Range(1, 150).Draw(t, "count"),
					Generator: "g", UnitSize: rapid.IntRange(1, 60).Draw(t, "size")}
				if r.Attempt > 0 {
					r.Avoid = names.Draw(t, "avoid")
				}
				s.Offer(r, now)
				for i := r.First; i < r.First+r.Count; i++ {
					for a := range r.Attempt {
						delete(w.at, spot{r.Place, a, i})
					}
					if p := (spot{r.Place, r.Attempt, i}); !w.later(p) {
						w.at[p] = nil
					}
				}
			},
			"join": func(t *rapid.T) {
				name := names.Draw(t, "name")
				for _, g := range w.of(name) {
					w.back(g)
				}
				s.Join(maker(name, "H100", "g"), now)
				w.joined[name] = true
			},
			"leave": func(t *rapid.T) {
				name := names.Draw(t, "name")
				s.Leave(name, now)
				for _, g := range w.of(name) {
					w.back(g)
				}
				delete(w.joined, name)
			},
			"next": func(t *rapid.T) { next(names.Draw(t, "name"), rapid.IntRange(1, 4).Draw(t, "free")) },
			"staged": func(t *rapid.T) {
				u, ok := unit()
				if !ok || len(s.places[PlaceOf(u)]) == 0 {
					return // of a place that is not known: see TestHolds
				}
				s.Staged(u, names.Draw(t, "name"), 1000, now)
				g := &grant{unit: u}
				delete(w.leases, u)
				w.each(u, func(p spot) {
					if _, known := w.at[p]; known || !w.later(p) {
						w.at[p], w.leases[u] = g, g
					}
				})
			},
			"done": func(t *rapid.T) {
				u, ok := unit()
				if !ok {
					return
				}
				s.Done(u, now)
				delete(w.leases, u)
				w.each(u, func(p spot) {
					for a := 0; a <= p.attempt; a++ {
						delete(w.at, spot{p.place, a, p.index})
					}
				})
			},
			"failed": func(t *rapid.T) {
				name := names.Draw(t, "name")
				for _, g := range w.of(name) {
					s.Failed(g.unit, name, now)
					w.back(g)
				}
			},
			"again": func(t *rapid.T) {
				u, ok := unit()
				if !ok {
					return
				}
				s.Again(u, now)
				if g := w.leases[u]; g != nil {
					w.back(g)
				}
			},
			"hold": func(t *rapid.T) {
				c := rapid.SampledFrom([]string{"c", "d"}).Draw(t, "campaign")
				if held[c] = !held[c]; held[c] {
					s.Hold(c)
				} else {
					s.Release(c)
				}
			},
			"afford": func(t *rapid.T) {
				c := rapid.SampledFrom([]string{"c", "d"}).Draw(t, "campaign")
				left[c] = rapid.Int64Range(-1, 400_000).Draw(t, "left")
				s.Afford(c, left[c])
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "seconds")) * time.Second)
				expire()
			},
			"": func(*rapid.T) { check() },
		})
		for c := range held {
			s.Release(c)
			delete(held, c)
		}
		for c := range left {
			left[c] = math.MaxInt64
			s.Afford(c, left[c])
		}
		// Two idle workers take everything that is pending, once every pause and
		// every avoidance is over; nothing is lost on the way.
		for _, name := range []string{"x", "y"} {
			s.Join(maker(name, "H100", "g"), now)
			w.joined[name] = true
		}
		for range 3 {
			now = now.Add(61 * time.Second)
			expire()
			next("x", 1000)
			next("y", 1000)
		}
		check()
		for p, at := range w.at {
			if at == nil {
				t.Fatalf("index %d of %v, attempt %d, is pending, but no idle worker gets it", p.index, p.place, p.attempt)
			}
		}
		if err := consistent(s); err != nil {
			t.Fatal(err)
		}
	})
}

// consistent checks the bookkeeping that nobody sees from outside.
func consistent(s *Schedule) error {
	for i, l := range s.deadline {
		if l.at != i {
			return fmt.Errorf("lease %s is at %d and says %d", l.unit.ID(), i, l.at)
		}
	}
	for name, w := range s.workers {
		for i, l := range w.leases {
			if l.slot != i || l.worker != w || s.leases[l.unit] != l {
				return fmt.Errorf("%s's lease %d, %s, is out of order", name, i, l.unit.ID())
			}
		}
	}
	if len(s.leases) != len(s.deadline) {
		return fmt.Errorf("%d leases, %d deadlines", len(s.leases), len(s.deadline))
	}
	reserved := make(map[string]int64)
	for _, l := range s.leases {
		reserved[l.unit.Campaign] += l.reserve
	}
	for c, p := range s.purses {
		if p.reserved != reserved[c] || p.empty != (p.bounded && p.reserved >= p.left) {
			return fmt.Errorf("campaign %s: %+v, but %d are reserved", c, *p, reserved[c])
		}
		delete(reserved, c)
	}
	if len(reserved) > 0 {
		return fmt.Errorf("%v are reserved without a purse", reserved)
	}
	for g, b := range s.backlogs {
		for i, group := range b.groups {
			if group.at != i || len(group.queues) == 0 || b.by[group.avoid] != group {
				return fmt.Errorf("backlog %s: group %d (%q) is out of order", g, i, group.avoid)
			}
			for j, q := range group.queues {
				if q.at != j || q.spans.n == 0 || q.avoid != group.avoid {
					return fmt.Errorf("backlog %s, group %q: queue %d is out of order", g, group.avoid, j)
				}
			}
		}
	}
	for p, tracks := range s.places {
		for _, t := range tracks {
			if t.empty() {
				return fmt.Errorf("an empty track of %+v is kept", p)
			}
		}
	}
	return nil
}
