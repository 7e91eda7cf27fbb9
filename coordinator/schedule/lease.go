package schedule

import (
	"time"

	"hone/loop"
)

// worker is one that has joined.
type worker struct {
	name       string
	kind       string // hardware type
	slots      int
	generators []string
	leases     []*lease
}

// lease is a unit that a worker is making, or, where worker is nil, has staged.
// What is in flight by it the track knows: indices within its bounds may have
// been settled otherwise, and a lease of which nothing is left stays until it is
// done or expires, and then gives nothing back.
type lease struct {
	unit     loop.Unit
	track    *track
	name     string // the worker's
	worker   *worker
	granted  uint64 // counts grants, to break ties
	deadline time.Time
	fails    int
	// reserve is what it may take of the campaign's money, in milliseconds; nothing
	// once it is staged.
	reserve int64
	at      int // in the heap of deadlines
	slot    int // in the worker's leases
}

func (l *lease) end() uint64 { return l.unit.First + uint64(l.unit.Count) }

type leaseHeap []*lease

func (h leaseHeap) Len() int { return len(h) }
func (h leaseHeap) Less(i, j int) bool {
	if c := h[i].deadline.Compare(h[j].deadline); c != 0 {
		return c < 0
	}
	return h[i].granted < h[j].granted
}

func (h leaseHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *leaseHeap) Push(x any) {
	l := x.(*lease)
	l.at = len(*h)
	*h = append(*h, l)
}

func (h *leaseHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}
