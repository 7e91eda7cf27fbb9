package schedule

import (
	"cmp"
	"slices"
	"time"

	"hone/fault"
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
	held     map[string]bool     // campaigns of which nothing is leased
	purses   map[string]*purse   // of campaigns that are in flight, or bounded
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
		held:     make(map[string]bool),
		purses:   make(map[string]*purse),
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
	if fault.Planted("lease what is in flight") {
		fresh = func(i uint64) uint64 { return ^t.waiting(i) }
	}
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

// Hold says that nothing of a campaign is to be leased until it is released;
// what is in flight stays so, and what comes back waits.
func (s *Schedule) Hold(campaign string) {
	if !s.held[campaign] {
		s.held[campaign] = true
		s.placeAll(campaign)
	}
}

// Release ends a Hold.
func (s *Schedule) Release(campaign string) {
	if s.held[campaign] {
		delete(s.held, campaign)
		s.placeAll(campaign)
	}
}

// placeAll puts every queue of a campaign where it belongs now. In which order
// does not matter: which queue is best depends on what is queued alone.
func (s *Schedule) placeAll(campaign string) {
	for p, tracks := range s.places {
		if p.Campaign != campaign {
			continue
		}
		for _, t := range tracks {
			for _, q := range t.queues {
				s.place(q)
			}
		}
	}
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
	delete(s.purses, campaign)
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
