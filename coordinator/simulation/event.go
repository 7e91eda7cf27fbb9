package simulation

import (
	"container/heap"
	"fmt"
	"strings"
	"time"
)

// party is what can crash, pause and come back: a node, a worker or a client.
type party struct {
	name string
	// life counts its starts: what was under way in an earlier one is gone.
	life int
	down bool
	// paused is until when it does nothing, and knows of nothing.
	paused time.Duration
	// crash is what a crash does to it beside.
	crash func()
}

// event is something that happens at a time, to a party or, without one, to the world.
type event struct {
	at    time.Duration
	order uint64
	to    *party
	// life is the one in which it can happen; 0 is any.
	life int
	what string
	do   func()
}

type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(*event)) }
func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}

func (w *world) push(e *event) {
	w.order++
	e.order = w.order
	heap.Push(&w.events, e)
}

// after has a party do something in a while, unless it crashes before.
func (w *world) after(d time.Duration, p *party, what string, do func()) {
	life := 0
	if p != nil {
		life = p.life
	}
	w.push(&event{at: w.now + d, to: p, life: life, what: what, do: do})
}

// send has something happen to another party, whatever has become of it by then, or
// not at all, or later, or twice.
func (w *world) send(to *party, what string, do func()) {
	copies := 1
	switch {
	case w.happens(w.odds.drop):
		w.note("%s to %s is lost", what, to.name)
		copies = 0
	case w.happens(w.odds.duplicate):
		copies = 2
	}
	for range copies {
		d := w.between(200*time.Microsecond, 5*time.Millisecond)
		if w.happens(w.odds.delay) {
			d = w.between(d, 20*time.Second)
		}
		w.push(&event{at: w.now + d, to: to, what: what, do: do})
	}
}

// step has the next thing happen; it reports whether there was one.
func (w *world) step() bool {
	if len(w.events) == 0 {
		return false
	}
	e := heap.Pop(&w.events).(*event)
	w.now = max(w.now, e.at)
	p := e.to
	if p == nil {
		w.begin("", e.what)
		e.do()
		return true
	}
	if p.down || e.life != 0 && e.life != p.life {
		return true
	}
	if p.paused > w.now {
		e.at = p.paused + w.between(0, 10*time.Millisecond)
		w.push(e)
		return true
	}
	w.begin(p.name, e.what)
	if p.crash != nil && w.happens(w.odds.crash) {
		w.fell(p, "before it")
		return true
	}
	e.do()
	if p.crash != nil && !p.down && w.happens(w.odds.crash) {
		w.fell(p, "after it")
	}
	return true
}

// fell crashes a party.
func (w *world) fell(p *party, when string) {
	w.note("%s crashes %s", p.name, when)
	w.faults++
	p.life++
	p.down, p.paused = true, 0
	p.crash()
}

// rise starts a party that has crashed, in a while.
func (w *world) rise(p *party, d time.Duration, start func()) {
	life := p.life
	w.push(&event{at: w.now + d, what: "starts again", do: func() {
		if p.down && p.life == life {
			w.current.who = p.name
			p.down = false
			start()
		}
	}})
}

// traced is how many steps are remembered for whoever reads a failure.
const traced = 40

// step is one step and what was noted during it.
type step struct {
	n     int
	at    time.Duration
	who   string
	what  string
	notes []note
}

type note struct {
	format string
	args   []any
}

// begin begins a step of the trace.
func (w *world) begin(who, what string) {
	w.steps++
	s := &w.trace[w.steps%traced]
	*s = step{n: w.steps, at: w.now, who: who, what: what, notes: s.notes[:0]}
	w.current = s
}

// note notes what happens in a step. What args point to must not change.
func (w *world) note(format string, args ...any) {
	w.current.notes = append(w.current.notes, note{format, args})
}

// told is the trace as text, the last step last.
func (w *world) told() string {
	var b strings.Builder
	for i := range traced {
		s := &w.trace[(w.steps+1+i)%traced]
		if s.n == 0 {
			continue
		}
		fmt.Fprintf(&b, "%6d %12v  %-8s %s\n", s.n, s.at.Round(time.Microsecond), s.who, s.what)
		for _, n := range s.notes {
			fmt.Fprintf(&b, "%29s%s\n", "", fmt.Sprintf(n.format, n.args...))
		}
	}
	return b.String()
}
