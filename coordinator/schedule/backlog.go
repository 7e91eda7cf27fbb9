package schedule

import (
	"container/heap"
)

// backlog is what one generator has to make: queues grouped by the worker that
// they avoid, the groups in a heap by their first queue. So the best queue for
// a worker is that of the root, or, where that group avoids this very worker,
// that of one of the root's two children.
type backlog struct {
	groups []*group
	by     map[string]*group
}

type group struct {
	avoid  string
	queues queueHeap
	at     int
}

// best is the queue that a worker is served from; nil if there is none. With
// alone the worker is the only one there is, and avoids nothing.
func (b *backlog) best(worker string, alone bool) *queue {
	var best *queue
	for i, g := range b.groups {
		if alone || g.avoid != worker {
			if q := g.queues[0]; best == nil || q.before(best) {
				best = q
			}
			if i == 0 {
				break
			}
		}
		if i == 2 {
			break
		}
	}
	return best
}

// add puts a queue that has spans into the backlog, or moves it to its place.
func (b *backlog) add(q *queue) {
	g := b.by[q.avoid]
	if g == nil {
		if b.by == nil {
			b.by = make(map[string]*group)
		}
		g = &group{avoid: q.avoid, at: -1}
		b.by[q.avoid] = g
	}
	if q.at < 0 {
		heap.Push(&g.queues, q)
	} else {
		heap.Fix(&g.queues, q.at)
	}
	if g.at < 0 {
		heap.Push(b, g)
	} else {
		heap.Fix(b, g.at)
	}
}

// remove takes out a queue that has no spans left.
func (b *backlog) remove(q *queue) {
	if q.at < 0 {
		return
	}
	g := b.by[q.avoid]
	heap.Remove(&g.queues, q.at)
	if len(g.queues) > 0 {
		heap.Fix(b, g.at)
		return
	}
	// An empty group has no first queue to be compared by: it goes to the end by
	// hand, and the one that takes its place is moved.
	at, last := g.at, len(b.groups)-1
	b.Swap(at, last)
	b.Pop()
	if at < last {
		heap.Fix(b, at)
	}
	delete(b.by, q.avoid)
}

func (b *backlog) Len() int           { return len(b.groups) }
func (b *backlog) Less(i, j int) bool { return b.groups[i].queues[0].before(b.groups[j].queues[0]) }
func (b *backlog) Swap(i, j int) {
	b.groups[i], b.groups[j] = b.groups[j], b.groups[i]
	b.groups[i].at, b.groups[j].at = i, j
}

// Push and Pop are container/heap's; use add and remove.
func (b *backlog) Push(x any) {
	g := x.(*group)
	g.at = len(b.groups)
	b.groups = append(b.groups, g)
}

// Pop is container/heap's.
func (b *backlog) Pop() any {
	last := len(b.groups) - 1
	g := b.groups[last]
	b.groups[last] = nil
	b.groups = b.groups[:last]
	g.at = -1
	return g
}

type queueHeap []*queue

func (h queueHeap) Len() int           { return len(h) }
func (h queueHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h queueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *queueHeap) Push(x any) {
	q := x.(*queue)
	q.at = len(*h)
	*h = append(*h, q)
}

func (h *queueHeap) Pop() any {
	last := len(*h) - 1
	q := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	q.at = -1
	return q
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

// place puts a queue where it belongs in its backlog: nowhere while its campaign
// is held, or its purse empty.
func (s *Schedule) place(q *queue) {
	b := s.backlogs[q.track.generator]
	if q.spans.n == 0 || s.Rests(q.track.place.Campaign) {
		if b != nil {
			b.remove(q)
		}
		if q.spans.n == 0 {
			delete(q.track.queues, q.avoid)
		}
		return
	}
	if b == nil {
		b = new(backlog)
		s.backlogs[q.track.generator] = b
	}
	b.add(q)
}
