package gpuworker

import (
	"context"

	"hone/loop"
)

// Dispatcher is what the hub needs of whoever leads: it admits workers and hands
// out units. All methods are called concurrently, for one session too.
type Dispatcher interface {
	// Join admits a worker that has connected. The session that it returns names
	// the connection in every other call and is never used again. A *loop.Error
	// refuses the worker for good; any other error (no leader, stopping) is
	// told to the worker as "later", and it tries again.
	//
	// w.Holds are the units that the worker has, or is making, without a verdict;
	// it delivers each of them again, or reports it failed, without being asked.
	//
	// The session is of a term of leadership. When the term's context ends, so does
	// the connection, with its cause: the worker goes to whoever leads then.
	Join(ctx context.Context, w loop.Worker) (session string, term context.Context, err error)
	// Next blocks until there is something to do for the session's worker and
	// returns 1 to free leases. It returns when ctx ends, at the latest; leases
	// returned together with an error are not handed on. It is called by one
	// goroutine per session.
	Next(ctx context.Context, session string, free int) ([]loop.Lease, error)
	// Definition is the definition of a round; every lease that Next returns is
	// of a round that has one.
	Definition(ctx context.Context, campaign string, round int) (loop.Definition, error)
	// Leave says that the connection has ended, and why: cause is never nil. It
	// is the last call for the session except that deliveries which are still
	// being judged go on to their end.
	Leave(session string, cause error)
}

// Receiver is what the hub needs of whoever judges deliveries.
type Receiver interface {
	// Deliver takes a finished unit, whose bytes lie in the worker's staging
	// area. It calls staged at most once, when the delivery is safely queued and
	// the worker may free what it made it with; it returns when the samples'
	// verdicts are committed (C9). ctx ends with the hub, not with the
	// connection: a delivery does not depend on the socket that it came by.
	//
	// Standing.Again means that the bytes are gone and the worker shall forget
	// the unit. A *loop.Error refuses the delivery for good, with the same effect.
	// Any other error means that the outcome is unknown (C10): the worker keeps
	// the unit and delivers it again later.
	//
	// The unit need not be leased to the worker: Apply judges by name alone (I5).
	Deliver(ctx context.Context, session string, d loop.Delivery, staged func()) (loop.Standing, error)
	// Fail says that the worker could not make a unit that it was leased, or
	// announced, and why. The unit is open again.
	Fail(ctx context.Context, session string, unit loop.Unit, problem string) error
}
