package simulation

import (
	"errors"
	"slices"
	"time"

	"hone/loop"
)

// generator is what all workers have.
var generator = loop.Generator{Name: "shapes", Version: "1"}

// worker is one box. It keeps what it holds on its disk (C9).
type worker struct {
	party
	w     *world
	slots int
	lies  bool
	pace  time.Duration

	// on disk
	holds []*hold
	// made are units that it has made, for a liar to remember.
	made []loop.Unit

	// in memory
	node *node // whom it talks to
	// call counts what it has asked: an answer to an earlier question is ignored.
	call    int
	session int // 0 without one
}

// hold is a unit that the worker has had no verdict on.
type hold struct {
	unit loop.Unit
	// staged: its bytes are; under way: in this life, it is being made or delivered.
	staged, underway bool
}

func newWorker(w *world, name string) *worker {
	k := &worker{party: party{name: name}, w: w, slots: 1 + w.random.IntN(2), lies: w.odds.lie > 0 && w.chance(0.5),
		pace: w.between(200*time.Millisecond, 2*time.Second)}
	k.life = 1
	k.crash = func() {
		if s := k.session; s != 0 {
			// The node sees the connection break, at once or never.
			n := k.node
			w.send(&n.party, "a connection breaks", func() { n.dropped(k.name, s) })
		}
		k.session = 0
		if w.happens(w.odds.wiped) {
			w.note("the disk of %s is new", k.name)
			k.holds = nil
		}
		w.rise(&k.party, w.between(time.Second/10, 5*time.Second), k.start)
	}
	w.after(w.between(0, time.Second), &k.party, "starts", k.start)
	return k
}

func (k *worker) start() {
	k.node = pick(k.w, k.w.nodes)
	for _, h := range k.holds {
		h.underway = false
	}
	k.connect()
}

// ask asks the node, and hears its answer unless it was lost, or is late. Without any
// it connects again, elsewhere.
func (k *worker) ask(what string, patience time.Duration, do func(n *node, answer func(then func()))) {
	w, n, life := k.w, k.node, k.life
	k.call++
	call := k.call
	w.send(&n.party, what+" of "+k.name, func() {
		do(n, func(then func()) {
			w.send(&k.party, "an answer to "+what, func() {
				if k.life == life && k.call == call {
					then()
				}
			})
		})
	})
	w.after(patience, &k.party, "has no answer to "+what, func() {
		if k.call == call {
			k.elsewhere(nil)
		}
	})
}

// elsewhere connects again: to the node that leads, as far as anybody says, or any.
func (k *worker) elsewhere(to *node) {
	k.session = 0
	k.call++
	if k.node = to; to == nil {
		k.node = pick(k.w, k.w.nodes)
	}
	k.w.after(k.w.between(10*time.Millisecond, time.Second), &k.party, "connects", k.connect)
}

// connect announces what the worker holds to whoever leads (C9).
func (k *worker) connect() {
	if k.session != 0 {
		return
	}
	me := loop.Worker{Name: k.name, Slots: k.slots, Type: "gpu", Generators: []loop.Generator{generator}}
	for _, h := range k.holds {
		me.Holds = append(me.Holds, h.unit)
	}
	k.ask("hello", 2*time.Second, func(n *node, answer func(func())) {
		if n.term == nil || n.term.schedule == nil {
			leader := k.w.leader
			answer(func() { k.elsewhere(leader) })
			return
		}
		s := n.term.join(me)
		n.term.feed()
		answer(func() {
			k.session = s.id
			for _, h := range slices.Clone(k.holds) {
				h.underway = false
				k.goOn(h)
			}
			k.poll()
		})
	})
}

// dropped is what a node makes of a connection that broke.
func (n *node) dropped(name string, session int) {
	if t := n.term; t != nil && t.schedule != nil {
		if s := t.session(session); s != nil {
			t.leave(name)
		}
	}
}

// hangUp tells a worker that its session is over.
func (w *world) hangUp(s *session) {
	for _, k := range w.workers {
		if k.name == s.worker.Name {
			w.send(&k.party, "the connection is closed", func() {
				if k.session == s.id {
					k.elsewhere(nil)
				}
			})
		}
	}
}

// poll waits for leases while there is a free slot.
func (k *worker) poll() {
	w, session, life := k.w, k.session, k.life
	free := k.slots - len(k.holds)
	k.ask("a request for leases", 20*time.Second, func(n *node, answer func(func())) {
		t := n.term
		if t == nil || t.schedule == nil || t.session(session) == nil {
			answer(func() { k.elsewhere(w.leader) })
			return
		}
		s := t.session(session)
		here := &poll{free: free, reply: func(leases []loop.Lease) {
			// Leases count also where the worker has asked for more since.
			w.send(&k.party, "leases", func() {
				if k.life == life && k.session == session {
					for _, l := range leases {
						k.take(l.Unit)
					}
				}
			})
			answer(k.poll)
		}}
		s.poll = here
		t.after(8*time.Second, "has nothing to lease", func() {
			if s.poll == here {
				s.poll = nil
				here.reply(nil)
			}
		})
		t.wake()
		t.feed()
	})
}

// take keeps the description of a unit, and makes it.
func (k *worker) take(u loop.Unit) {
	for _, h := range k.holds {
		if h.unit == u {
			return
		}
	}
	h := &hold{unit: u}
	k.holds = append(k.holds, h)
	k.goOn(h)
}

// goOn makes or delivers what is held.
func (k *worker) goOn(h *hold) {
	if h.underway {
		return
	}
	h.underway = true
	if h.staged {
		k.deliver(h)
		return
	}
	k.w.after(k.w.between(k.pace/4, k.pace), &k.party, "has made a unit", func() {
		h.staged = true
		k.made = append(k.made, h.unit)
		if k.w.happens(k.w.odds.mislaid) {
			k.w.note("the staging of %s is lost", idOf(h.unit))
			delete(k.w.lake.staged, stagingOf(k.name, h.unit))
		} else {
			k.w.stage(k.name, h.unit, staging{false: k.lies && k.w.happens(k.w.odds.lie/4)})
		}
		if k.lies && k.w.happens(k.w.odds.lie) {
			k.lie()
		}
		k.deliver(h)
	})
}

// deliver delivers what is staged, until there is a verdict.
func (k *worker) deliver(h *hold) {
	w, n, session, life := k.w, k.node, k.session, k.life
	if session == 0 {
		h.underway = false // with the next session
		return
	}
	heard := false
	retry := func() {
		w.after(w.between(time.Second/2, 2*time.Second), &k.party, "delivers again", func() {
			if slices.Contains(k.holds, h) {
				k.deliver(h)
			}
		})
	}
	w.send(&n.party, "a delivery of "+k.name, func() {
		if n.term == nil || n.term.schedule == nil {
			return // the connection is broken, as the worker will notice
		}
		n.term.deliver(k.name, h.unit, func(standing loop.Standing, err error) {
			w.send(&k.party, "a verdict", func() {
				if k.life != life || heard || !slices.Contains(k.holds, h) {
					return
				}
				heard = true
				switch {
				case errors.Is(err, errUnknown):
					retry()
				case err != nil:
					w.ledger.refused(k, h.unit)
					k.drop(h)
				case standing.Again:
					w.note("%s is told to drop %s", k.name, idOf(h.unit))
					k.drop(h)
				default:
					w.ledger.acknowledged(k.name, h.unit, standing)
					k.drop(h)
				}
			})
		})
	})
	w.after(15*time.Second, &k.party, "has no verdict", func() {
		if !heard && slices.Contains(k.holds, h) {
			heard = true
			retry()
		}
	})
}

func (k *worker) drop(h *hold) {
	k.holds = slices.DeleteFunc(k.holds, func(x *hold) bool { return x == h })
	if k.session != 0 {
		k.poll()
	}
}

// lie delivers what nobody asked for, or not so.
func (k *worker) lie() {
	w := k.w
	var known []loop.Unit
	for _, other := range w.workers {
		known = append(known, other.made...)
		for _, h := range other.holds {
			known = append(known, h.unit)
		}
	}
	u := pick(w, known)
	s := staging{invented: true}
	switch w.random.IntN(6) {
	case 0: // as it is: another's, or once more, or of a round that is superseded
	case 1:
		u.Attempt++
	case 2:
		u.Attempt = max(0, u.Attempt-1)
	case 3:
		u.First += uint64(w.random.IntN(40)) // beyond what is reserved, or the quota
	case 4:
		u.Count = 1 + w.random.IntN(2*u.Count)
	case 5:
		u.Round += w.random.IntN(3) - 1
		u.Component = w.random.IntN(4)
		if u.Round < 1 {
			u.Campaign = "nobody"
			u.Round = 1
		}
	}
	w.note("%s invents %s %+v", k.name, idOf(u), s)
	if _, honest := w.lake.staged[stagingOf(k.name, u)]; honest {
		return // it would spoil what it made itself
	}
	for _, h := range k.holds {
		if h.unit == u {
			return
		}
	}
	w.stage(k.name, u, s)
	n := k.node
	w.send(&n.party, "an invention of "+k.name, func() {
		if n.term != nil && n.term.schedule != nil {
			n.term.deliver(k.name, u, func(loop.Standing, error) {})
		}
	})
}
