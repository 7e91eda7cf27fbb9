package schedule

import (
	"container/heap"
	"time"
)

// timer queues a span at a time: one that has paused after a failure, or one that
// has avoided its worker for long enough.
type timer struct {
	pause bool
	at    time.Time
	order uint64
	track *track
	span  span
	avoid string
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if c := h[i].at.Compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].order < h[j].order
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = timer{}
	*h = (*h)[:last]
	return t
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
