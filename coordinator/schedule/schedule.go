package schedule

import (
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
	// generator. Default 5 min.
	FirstLease time.Duration
	// UnitTime is how long a unit should take at most: where a worker's type is
	// known to be slow, units are cut smaller than the campaign's size. Default
	// 55 s.
	UnitTime time.Duration
	// Learning is the weight of the newest observation in the learned rate.
	// Default 0.2.
	Learning float64
	// AvoidFor is how long a unit is kept from the worker that it is to avoid,
	// while others could make it. Default 60 s.
	AvoidFor time.Duration
	// MinDelay and MaxDelay bound the pause before a unit that failed is leased
	// again; it doubles with every failure. Defaults 1 s and 60 s.
	MinDelay, MaxDelay time.Duration
}

// Place is one component of one round of one campaign: where indices count.
type Place struct {
	Campaign  string
	Round     int
	Domain    loop.Domain
	Component int
}

// Run is a run of open indices of a place, below what state has reserved (C2),
// all with one attempt.
type Run struct {
	Place
	Attempt int
	First   uint64
	// Count is any number of indices; the schedule cuts units from the run.
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
// not safe for concurrent use. Time never goes back: an earlier now is taken as
// the latest one seen.
type Schedule struct {
	o Options
}

// New returns an empty schedule. A new leader starts with an empty one.
func New(o Options) *Schedule { return &Schedule{o: o} }

// Offer says that a run is open in state. Indices that the schedule knows
// already, at this attempt or a later one, are left as they are, so offering
// again is harmless; what it knows of earlier attempts at them is dropped.
func (s *Schedule) Offer(r Run) {}

// Join says that a worker has connected. What it holds, and nobody else has, is
// in flight with it from now on. The caller leaves out holds that state knows
// to be settled.
func (s *Schedule) Join(w loop.Worker, now time.Time) {}

// Leave says that a worker's connection has ended: its leases are open again at
// once, under the same unit names; what it has staged stays in flight.
func (s *Schedule) Leave(worker string, now time.Time) {}

// Next leases up to free units to a worker that has joined; none if there is
// nothing for it now.
func (s *Schedule) Next(worker string, free int, now time.Time) []loop.Lease { return nil }

// Staged says that a worker has delivered a unit and its bytes are safely
// queued: from now on it neither expires nor returns when the worker leaves,
// until Done, Failed or Again. millis (of the worker's clock) teaches the rate.
func (s *Schedule) Staged(u loop.Unit, worker string, millis int64, now time.Time) {}

// Done says that a delivery of the unit has been applied, however it was judged.
// Whatever of it is still open in state the caller offers after this.
func (s *Schedule) Done(u loop.Unit, now time.Time) {}

// Failed says that a worker could not make the unit: it is leased again after a
// pause, to another worker if there is one.
func (s *Schedule) Failed(u loop.Unit, worker string, now time.Time) {}

// Again says that the bytes of a staged unit are gone: it is open at once.
func (s *Schedule) Again(u loop.Unit, now time.Time) {}

// Expire takes back the leases whose time is over and returns them. They are
// open again under the same unit names, with the same seeds.
func (s *Schedule) Expire(now time.Time) []Grant { return nil }

// Due is when the schedule next changes by itself (a lease expires, a pause
// ends): the caller calls Expire then and offers idle workers Next. ok is false
// if nothing is waiting for time to pass.
func (s *Schedule) Due() (at time.Time, ok bool) { return time.Time{}, false }

// InFlight counts the place's indices that are leased or staged, and those that
// wait to be leased (I3).
func (s *Schedule) InFlight(p Place) (inFlight, pending uint64) { return 0, 0 }

// Drop forgets a campaign: nothing of it is leased any more.
func (s *Schedule) Drop(campaign string) {}
