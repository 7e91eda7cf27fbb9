package schedule

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"hone/loop"
)

// Staged says that a worker has delivered a unit and its bytes are safely
// queued: from now on it does not return when the worker leaves, but only with
// Again or Failed, or StagedLease later. millis (of the worker's clock) teaches
// the rate. Nothing is reserved for it any more: what it took, its campaign cannot
// afford from now on, as the caller says. It may be said again of the same unit.
func (s *Schedule) Staged(u loop.Unit, name string, millis int64, now time.Time) {
	s.advance(now)
	t := s.track(PlaceOf(u), u.Attempt)
	if w := s.workers[name]; w != nil && t.generator != "" {
		s.rates.observe(w.kind, t.generator, u.Count, millis)
	}
	s.order++
	l := &lease{unit: u, track: t, name: name, granted: s.order, deadline: s.now.Add(s.o.StagedLease)}
	if old := s.leases[u]; old != nil {
		l.fails = old.fails
		s.release(old)
	}
	// A stale delivery is judged as such; what is known of later attempts stays.
	current := func(i uint64) uint64 { return ^s.later(t, i) | t.known(i) }
	claimed := false
	eachRun(u.First, l.end(), current, func(from, to uint64) {
		t.fly(from, to, l.granted)
		claimed = true
	})
	if claimed {
		s.leases[u] = l
		heap.Push(&s.deadline, l)
	}
	s.sweep(t.place)
}

// Done says that a delivery of the unit has been applied, however it was judged.
// Whatever of it is still open in state the caller offers after this.
func (s *Schedule) Done(u loop.Unit, now time.Time) {
	s.advance(now)
	for _, t := range s.places[PlaceOf(u)] {
		if t.attempt <= u.Attempt {
			t.clear(u.First, u.First+uint64(u.Count))
		}
	}
	if l := s.leases[u]; l != nil {
		s.release(l)
	}
	s.sweep(PlaceOf(u))
}

// Failed says that a worker could not make the unit, or that what it delivered
// was refused as a whole: it is leased again after a pause, to another worker if
// there is one. A unit that is not the worker's stays where it is.
func (s *Schedule) Failed(u loop.Unit, name string, now time.Time) {
	s.advance(now)
	var of []*lease
	if l := s.leases[u]; l != nil && l.name == name {
		of = append(of, l)
	} else if w := s.workers[name]; w != nil {
		// A unit that was announced may be with the worker in pieces.
		for _, l := range w.leases {
			if PlaceOf(l.unit) == PlaceOf(u) && l.unit.Attempt == u.Attempt &&
				l.unit.First >= u.First && l.end() <= u.First+uint64(u.Count) {
				of = append(of, l)
			}
		}
		slices.SortFunc(of, func(a, b *lease) int { return cmp.Compare(a.granted, b.granted) })
	}
	for _, l := range of {
		s.release(l)
		delay := s.o.MaxDelay
		if l.fails < 20 {
			delay = min(delay, s.o.MinDelay<<l.fails)
		}
		s.back(l, func(sp span) {
			sp.fails = l.fails + 1
			l.track.paused.add(sp.from, sp.to)
			s.wait(timer{at: s.now.Add(delay), pause: true, track: l.track, span: sp, avoid: name})
		})
	}
	s.sweep(PlaceOf(u))
}

// Again says that the bytes of a delivered unit are gone: it is open at once.
func (s *Schedule) Again(u loop.Unit, now time.Time) {
	s.advance(now)
	if l := s.leases[u]; l != nil {
		s.release(l)
		s.reopen(l, "")
		s.sweep(l.track.place)
	}
}

// Expire takes back the leases whose time is over and returns those of which
// something was still to be made. They are open again under the same unit
// names, with the same seeds.
func (s *Schedule) Expire(now time.Time) []Grant {
	s.advance(now)
	var over []Grant
	for len(s.deadline) > 0 && !s.deadline[0].deadline.After(s.now) {
		l := s.deadline[0]
		s.release(l)
		if s.reopen(l, l.name) {
			over = append(over, Grant{Lease: loop.Lease{Unit: l.unit, Generator: l.track.generator}, Worker: l.name})
		}
		s.sweep(l.track.place)
	}
	return over
}
