package schedule

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"hone/fault"
	"hone/loop"
)

// Join says that a worker has connected, once more if it had joined before. What
// it holds, and nobody else has, is in flight with it from now on; the caller
// leaves out holds that state knows to be settled.
func (s *Schedule) Join(w loop.Worker, now time.Time) {
	s.Leave(w.Name, now)
	joined := &worker{name: w.Name, kind: w.Type, slots: max(w.Slots, 1)}
	for _, g := range w.Generators {
		if !slices.Contains(joined.generators, g.Name) {
			joined.generators = append(joined.generators, g.Name)
			s.makers[g.Name]++
		}
	}
	slices.Sort(joined.generators)
	s.workers[w.Name] = joined
	for _, u := range w.Holds {
		t := s.track(PlaceOf(u), u.Attempt)
		free := func(i uint64) uint64 { return ^(s.later(t, i) &^ t.waiting(i)) }
		eachRun(u.First, u.First+uint64(u.Count), free, func(from, to uint64) {
			s.grant(joined, t, from, to, 0)
		})
		s.sweep(t.place)
	}
}

// Leave says that a worker's connection has ended: its leases are open again at
// once, under the same unit names; what it has staged stays in flight.
func (s *Schedule) Leave(name string, now time.Time) {
	s.advance(now)
	w := s.workers[name]
	if w == nil {
		return
	}
	// Each goes to the front of its track, so the one that was granted first goes
	// there last.
	for _, l := range slices.SortedFunc(slices.Values(w.leases), func(a, b *lease) int {
		return cmp.Compare(b.granted, a.granted)
	}) {
		s.release(l)
		if !fault.Planted("forget what a worker held that left") {
			s.reopen(l, "")
		}
		s.sweep(l.track.place)
	}
	for _, g := range w.generators {
		if s.makers[g]--; s.makers[g] == 0 {
			delete(s.makers, g)
		}
	}
	delete(s.workers, name)
}

// Next leases up to free units to a worker that has joined; none if there is
// nothing for it now.
func (s *Schedule) Next(name string, free int, now time.Time) []loop.Lease {
	s.advance(now)
	w := s.workers[name]
	if w == nil {
		return nil
	}
	var leases []loop.Lease
	for len(leases) < free {
		q := s.best(w)
		if q == nil {
			break
		}
		t := q.track
		from, to, fails, ok := q.take(s.size(w, t))
		s.order++
		q.served = s.order
		s.place(q)
		if ok {
			l := s.grant(w, t, from, to, fails)
			leases = append(leases, loop.Lease{Unit: l.unit, Generator: t.generator})
		}
	}
	return leases
}

// best is the queue that a worker is served from.
func (s *Schedule) best(w *worker) *queue {
	var best *queue
	handicap := 0.0
	for _, g := range w.generators {
		b := s.backlogs[g]
		if b == nil {
			continue
		}
		q := b.best(w.name, s.makers[g] == 1)
		if q == nil {
			continue
		}
		h := s.rates.handicap(w.kind, g)
		if best != nil {
			if c := cmp.Or(q.compare(best), cmp.Compare(h, handicap)); c > 0 || c == 0 && !q.before(best) {
				continue
			}
		}
		best, handicap = q, h
	}
	return best
}

// size is how many samples a worker gets of a track in one unit.
func (s *Schedule) size(w *worker, t *track) uint64 {
	if m, ok := s.rates.perSample(w.kind, t.generator); ok {
		return min(t.size, max(1, uint64(float64(s.o.UnitTime.Milliseconds())/m)))
	}
	return t.size
}

// grant makes a range, which is in flight nowhere, a worker's lease.
func (s *Schedule) grant(w *worker, t *track, from, to uint64, fails int) *lease {
	term := s.o.FirstLease
	if m, ok := s.rates.perSample(w.kind, t.generator); ok {
		// What the worker has already is made first.
		turns := 1 + len(w.leases)/w.slots
		term = time.Duration(s.o.LeaseFactor * m * float64(to-from) * float64(turns) * float64(time.Millisecond))
	}
	u := t.unit(from, to)
	if old := s.leases[u]; old != nil {
		s.release(old) // all of it was settled otherwise, or it would be in flight
	}
	s.order++
	l := &lease{unit: u, track: t, name: w.name, worker: w, granted: s.order, fails: fails,
		deadline: s.now.Add(max(term, s.o.MinLease)), slot: len(w.leases), reserve: s.mayTake(w, t, to-from)}
	w.leases = append(w.leases, l)
	s.leases[l.unit] = l
	t.fly(from, to, l.granted)
	heap.Push(&s.deadline, l)
	s.reserve(u.Campaign, l.reserve)
	return l
}

// release takes a lease off the books; its indices stay as they are.
func (s *Schedule) release(l *lease) {
	if s.leases[l.unit] == l {
		delete(s.leases, l.unit)
	}
	heap.Remove(&s.deadline, l.at)
	s.reserve(l.unit.Campaign, -l.reserve)
	w := l.worker
	if w == nil {
		return
	}
	last := w.leases[len(w.leases)-1]
	w.leases[l.slot], last.slot = last, l.slot
	w.leases = w.leases[:len(w.leases)-1]
}

// reopen makes what is left of a released lease pending, before anything else
// of its track, and reports whether anything was.
func (s *Schedule) reopen(l *lease, avoid string) bool {
	return s.back(l, func(sp span) {
		l.track.pending.add(sp.from, sp.to)
		s.queue(l.track, sp, avoid, true)
	})
}

// back takes the indices that are still in flight by a lease out of flight, and
// calls put with the spans that they make. Indices of a place that nobody has
// offered are forgotten instead: they come back with the offer.
func (s *Schedule) back(l *lease, put func(span)) (any bool) {
	t := l.track
	flown := func(i uint64) uint64 { return t.flown(i, l.granted) }
	eachRun(l.unit.First, l.end(), flown, func(from, to uint64) {
		any = true
		t.clear(from, to)
		if t.generator != "" {
			put(span{from: from, to: to, unit: true})
		}
	})
	return any
}
