package schedule

import (
	"cmp"
	"math/bits"

	"hone/loop"
)

// Place is one component of one round of one campaign: where indices count.
type Place struct {
	Campaign  string
	Round     int
	Domain    loop.Domain
	Component int
}

// PlaceOf is the place of a unit's indices.
func PlaceOf(u loop.Unit) Place {
	return Place{Campaign: u.Campaign, Round: u.Round, Domain: u.Domain, Component: u.Component}
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Campaign, q.Campaign), p.Round-q.Round,
		int(p.Domain)-int(q.Domain), p.Component-q.Component)
}

// track is one attempt at one place.
type track struct {
	place   Place
	attempt int
	// age orders rounds by when they opened.
	age uint64
	// generator is empty until the place is offered: a worker may announce a unit
	// of a round that this leader has not come to yet.
	generator string
	size      uint64
	// pending, paused and flying are disjoint. Every pending index lies in a span
	// of some queue, every paused one in a timer's, every flying one in a lease.
	pending, paused, flying indices
	// owners say by which lease an index is in flight: what was settled and
	// opened again may lie within the bounds of two.
	owners owners
	// queues are by the worker to avoid; most tracks have one, for "".
	queues map[string]*queue
}

func (t *track) unit(from, to uint64) loop.Unit {
	return loop.Unit{Campaign: t.place.Campaign, Round: t.place.Round, Domain: t.place.Domain,
		Component: t.place.Component, Attempt: t.attempt, First: from, Count: int(to - from)}
}

// known are the indices that need not be offered again.
func (t *track) known(i uint64) uint64 { return t.waiting(i) | t.flying.word(i) }

// waiting are the indices that nobody is making.
func (t *track) waiting(i uint64) uint64 { return t.pending.word(i) | t.paused.word(i) }

// fly puts a range in flight by a lease.
func (t *track) fly(from, to, lease uint64) {
	t.clear(from, to)
	t.flying.add(from, to)
	t.owners.set(from, to, lease)
}

// flown are the indices that are in flight by the lease.
func (t *track) flown(i, lease uint64) (w uint64) {
	for all := t.flying.word(i); all != 0; all &= all - 1 {
		if bit := uint64(bits.TrailingZeros64(all)); t.owners.is(i<<6+bit, lease) {
			w |= 1 << bit
		}
	}
	return w
}

func (t *track) empty() bool { return t.pending.n+t.paused.n+t.flying.n == 0 }

func (t *track) clear(from, to uint64) {
	t.pending.remove(from, to)
	t.paused.remove(from, to)
	t.flying.remove(from, to)
	if t.flying.n == 0 {
		t.owners = nil
	}
}

// span is a range of which whatever is pending waits to be leased. The track's
// sets are the truth, a span only says where to look: two may overlap, and one
// whose indices have gone is skipped.
type span struct {
	from, to uint64
	// unit says that the span was a unit once and keeps its bounds.
	unit bool
	// fails counts how often in a row the unit has failed.
	fails int
}

// queue holds the spans of a track that avoid one worker.
type queue struct {
	track *track
	avoid string
	spans deque
	// served is when the queue was last served, so that components take turns.
	served uint64
	at     int // in its group's heap; -1 outside
}

// take cuts a unit of at most size indices from the queue, unless it is a unit
// already. It does not touch the track's sets.
func (q *queue) take(size uint64) (from, to uint64, fails int, ok bool) {
	for q.spans.n > 0 {
		s := q.spans.front()
		limit := size
		if s.unit {
			limit = loop.MaxUnit
		}
		from, to, ok := q.track.pending.next(s.from, s.to, limit)
		if !ok {
			q.spans.pop()
			continue
		}
		fails = s.fails
		if s.from = to; s.from >= s.to {
			q.spans.pop()
		}
		return from, to, fails, true
	}
	return 0, 0, 0, false
}

// compare orders queues by what comes first, apart from whose turn it is.
func (q *queue) compare(r *queue) int {
	a, b := q.track, r.track
	return cmp.Or(cmp.Compare(a.age, b.age), a.place.Round-b.place.Round, b.attempt-a.attempt)
}

func (q *queue) before(r *queue) bool {
	return cmp.Or(q.compare(r), cmp.Compare(q.served, r.served), q.track.place.compare(r.track.place),
		cmp.Compare(q.avoid, r.avoid)) < 0
}

// deque is a ring of spans.
type deque struct {
	ring    []span
	head, n int
}

func (d *deque) front() *span { return &d.ring[d.head] }

func (d *deque) pop() {
	d.ring[d.head] = span{}
	d.head = (d.head + 1) % len(d.ring)
	if d.n--; d.n == 0 {
		*d = deque{}
	}
}

func (d *deque) push(s span, first bool) {
	if d.n == len(d.ring) {
		ring := make([]span, max(4, 2*d.n))
		for i := range d.n {
			ring[i] = d.ring[(d.head+i)%d.n]
		}
		d.ring, d.head = ring, 0
	}
	at := d.head + d.n
	if first {
		d.head = (d.head - 1 + len(d.ring)) % len(d.ring)
		at = d.head
	}
	d.ring[at%len(d.ring)] = s
	d.n++
}
