package schedule

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"hone/loop"
)

// Options tune the schedule; the zero value is the default.
type Options struct {
	// MinLease is the least time a worker has for a unit, and LeaseFactor times
	// the expected time is what it has beyond that. Defaults 60 s and 5.
	MinLease    time.Duration
	LeaseFactor float64
	// FirstLease is the time for a unit while nothing has been learned of a
	// generator on the worker's hardware. Default 5 min.
	FirstLease time.Duration
	// StagedLease is the time from Staged to Done. It is generous, because what is
	// staged is only in a queue; it is there, because a worker whose delivery went
	// astray may never come back. Default 15 min.
	StagedLease time.Duration
	// UnitTime is how long a unit should take at most: where a worker's type is
	// known to be slow, units are cut smaller than the campaign's size. Default
	// 55 s.
	UnitTime time.Duration
	// Learning is the weight of the newest observation in a learned rate.
	// Default 0.2.
	Learning float64
	// AvoidFor is how long a unit is kept from the worker that it is to avoid,
	// while others have the generator. Default 60 s.
	AvoidFor time.Duration
	// MinDelay and MaxDelay bound the pause before a unit that failed is leased
	// again; it doubles with every failure in a row. Defaults 1 s and 60 s.
	MinDelay, MaxDelay time.Duration
}

// Run is a run of open indices of a place, below what state has reserved (C2),
// all with one attempt.
type Run struct {
	Place
	Attempt int
	First   uint64
	// Count is any number of indices; units are cut from the run.
	Count     uint64
	Generator string
	// UnitSize is the campaign's, 1..loop.MaxUnit.
	UnitSize int
	// Avoid names the worker whose attempt was rejected, if any.
	Avoid string
}

// Grant is a lease and whose it was.
type Grant struct {
	Lease  loop.Lease
	Worker string
}

// Schedule is the leader's soft state: which open indices are with whom. It is
// not safe for concurrent use. Its time never goes back: an earlier now is taken
// as the latest one seen.
type Schedule struct {
	o        Options
	now      time.Time
	places   map[Place][]*track // by attempt, ascending
	rounds   map[string][]opened
	age      uint64
	backlogs map[string]*backlog // by generator
	workers  map[string]*worker
	makers   map[string]int // workers that have joined, by generator
	leases   map[loop.Unit]*lease
	deadline leaseHeap
	timers   timerHeap
	order    uint64 // counts grants, servings and timers, to break ties
	rates    rates
}

// opened is a round and its age.
type opened struct {
	round int
	age   uint64
}

// New returns an empty schedule. A new leader starts with an empty one.
func New(o Options) *Schedule {
	o.MinLease = cmp.Or(o.MinLease, time.Minute)
	o.LeaseFactor = cmp.Or(o.LeaseFactor, 5)
	o.FirstLease = cmp.Or(o.FirstLease, 5*time.Minute)
	o.StagedLease = cmp.Or(o.StagedLease, 15*time.Minute)
	o.UnitTime = cmp.Or(o.UnitTime, 55*time.Second)
	o.Learning = cmp.Or(o.Learning, 0.2)
	o.AvoidFor = cmp.Or(o.AvoidFor, time.Minute)
	o.MinDelay = cmp.Or(o.MinDelay, time.Second)
	o.MaxDelay = cmp.Or(o.MaxDelay, time.Minute)
	return &Schedule{
		o:        o,
		places:   make(map[Place][]*track),
		rounds:   make(map[string][]opened),
		backlogs: make(map[string]*backlog),
		workers:  make(map[string]*worker),
		makers:   make(map[string]int),
		leases:   make(map[loop.Unit]*lease),
		rates:    rates{learning: o.Learning},
	}
}

// Offer says that a run is open in state. Indices that the schedule knows
// already, at this attempt or a later one, stay as they are, so offering again
// is harmless; what it knows of earlier attempts at them is forgotten.
func (s *Schedule) Offer(r Run, now time.Time) {
	s.advance(now)
	r.Count = min(r.Count, loop.MaxQuota-min(r.First, loop.MaxQuota))
	if r.Count == 0 {
		return
	}
	t := s.track(r.Place, r.Attempt)
	end := r.First + r.Count
	for _, old := range s.places[r.Place] {
		old.generator, old.size = r.Generator, uint64(min(max(r.UnitSize, 1), loop.MaxUnit))
		if old.attempt < r.Attempt {
			old.clear(r.First, end)
		}
	}
	fresh := func(i uint64) uint64 { return ^s.later(t, i) }
	eachRun(r.First, end, fresh, func(from, to uint64) {
		t.pending.add(from, to)
		s.queue(t, span{from: from, to: to}, r.Avoid, false)
	})
	s.sweep(r.Place)
}

// later are the indices that are known at the track's attempt or a later one.
func (s *Schedule) later(t *track, i uint64) uint64 {
	var w uint64
	for _, other := range s.places[t.place] {
		if other.attempt >= t.attempt {
			w |= other.known(i)
		}
	}
	return w
}

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
		s.reopen(l, "")
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
		deadline: s.now.Add(max(term, s.o.MinLease)), slot: len(w.leases)}
	w.leases = append(w.leases, l)
	s.leases[l.unit] = l
	t.fly(from, to, l.granted)
	heap.Push(&s.deadline, l)
	return l
}

// release takes a lease off the books; its indices stay as they are.
func (s *Schedule) release(l *lease) {
	if s.leases[l.unit] == l {
		delete(s.leases, l.unit)
	}
	heap.Remove(&s.deadline, l.at)
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

// Staged says that a worker has delivered a unit and its bytes are safely
// queued: from now on it does not return when the worker leaves, but only with
// Again or Failed, or StagedLease later. millis (of the worker's clock) teaches
// the rate. It may be said again of the same unit.
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

// Due is when the schedule next changes by itself (a lease expires, a pause
// ends): the caller then calls Expire, and Next for workers that wait. ok is
// false if nothing waits for time to pass.
func (s *Schedule) Due() (at time.Time, ok bool) {
	if len(s.deadline) > 0 {
		at, ok = s.deadline[0].deadline, true
	}
	if len(s.timers) > 0 && (!ok || s.timers[0].at.Before(at)) {
		at, ok = s.timers[0].at, true
	}
	return at, ok
}

// InFlight counts the place's indices that are leased or staged, and those that
// wait to be leased (I3).
func (s *Schedule) InFlight(p Place) (inFlight, pending uint64) {
	for _, t := range s.places[p] {
		inFlight += t.flying.n
		pending += t.pending.n + t.paused.n
	}
	return inFlight, pending
}

// Drop forgets a campaign: nothing of it is leased any more. Deliveries of it
// may still come, and are harmless.
func (s *Schedule) Drop(campaign string) {
	for u, l := range s.leases {
		if u.Campaign == campaign {
			s.release(l)
		}
	}
	for p, tracks := range s.places {
		if p.Campaign == campaign {
			for _, t := range tracks {
				s.discard(t)
			}
			delete(s.places, p)
		}
	}
	delete(s.rounds, campaign)
}

// advance moves the schedule's time on and fires the timers that are due.
func (s *Schedule) advance(now time.Time) {
	if now.After(s.now) {
		s.now = now
	}
	for len(s.timers) > 0 && !s.timers[0].at.After(s.now) {
		t := heap.Pop(&s.timers).(timer)
		if t.pause {
			eachRun(t.span.from, t.span.to, t.track.paused.word, func(from, to uint64) {
				t.track.paused.remove(from, to)
				t.track.pending.add(from, to)
			})
		}
		// A timer that nothing waits for any more may be of a track that is gone.
		if _, _, ok := t.track.pending.next(t.span.from, t.span.to, 1); ok {
			s.queue(t.track, t.span, t.avoid, t.span.unit)
		}
	}
}

// wait queues a span later.
func (s *Schedule) wait(t timer) {
	s.order++
	t.order = s.order
	heap.Push(&s.timers, t)
}

// queue makes a span of pending indices available: first of its track, or last.
func (s *Schedule) queue(t *track, sp span, avoid string, first bool) {
	if t.generator == "" {
		return
	}
	q := t.queues[avoid]
	if q == nil {
		q = &queue{track: t, avoid: avoid, at: -1}
		if t.queues == nil {
			t.queues = make(map[string]*queue)
		}
		t.queues[avoid] = q
	}
	q.spans.push(sp, first)
	s.place(q)
	if avoid != "" {
		s.wait(timer{at: s.now.Add(s.o.AvoidFor), track: t, span: sp})
	}
}

// place puts a queue where it belongs in its backlog.
func (s *Schedule) place(q *queue) {
	b := s.backlogs[q.track.generator]
	if q.spans.n == 0 {
		if b != nil {
			b.remove(q)
		}
		delete(q.track.queues, q.avoid)
		return
	}
	if b == nil {
		b = new(backlog)
		s.backlogs[q.track.generator] = b
	}
	b.add(q)
}

// track finds or makes the track of an attempt at a place.
func (s *Schedule) track(p Place, attempt int) *track {
	tracks := s.places[p]
	i, ok := slices.BinarySearchFunc(tracks, attempt, func(t *track, a int) int { return t.attempt - a })
	if ok {
		return tracks[i]
	}
	t := &track{place: p, attempt: attempt, age: s.opened(p.Campaign, p.Round)}
	if len(tracks) > 0 {
		t.generator, t.size = tracks[0].generator, tracks[0].size
	}
	s.places[p] = slices.Insert(tracks, i, t)
	return t
}

// opened is the age of a round. Rounds age in the order in which they are first
// seen, but none is younger than a later round of its campaign.
func (s *Schedule) opened(campaign string, round int) uint64 {
	known := s.rounds[campaign]
	i, ok := slices.BinarySearchFunc(known, round, func(o opened, r int) int { return o.round - r })
	if ok {
		return known[i].age
	}
	age := s.age
	s.age++
	if i < len(known) {
		age = known[i].age
	}
	s.rounds[campaign] = slices.Insert(known, i, opened{round, age})
	return age
}

// sweep lets go of a place's tracks of which nothing is left.
func (s *Schedule) sweep(p Place) {
	tracks := s.places[p]
	if !slices.ContainsFunc(tracks, (*track).empty) {
		return
	}
	kept := slices.DeleteFunc(tracks, func(t *track) bool {
		if !t.empty() {
			return false
		}
		s.discard(t)
		return true
	})
	if len(kept) == 0 {
		delete(s.places, p)
		return
	}
	s.places[p] = kept
}

// discard empties a track and takes it out of the backlog. Leases and timers may
// still point to it, and find nothing.
func (s *Schedule) discard(t *track) {
	t.pending, t.paused, t.flying, t.owners = indices{}, indices{}, indices{}, nil
	if b := s.backlogs[t.generator]; b != nil {
		for _, q := range t.queues {
			b.remove(q)
		}
		if len(b.groups) == 0 {
			delete(s.backlogs, t.generator)
		}
	}
	t.queues = nil
}
