package simulation

import (
	"bytes"
	"errors"
	"reflect"
	"time"

	"hone/coordinator/state"
)

var (
	// errUnknown says that nobody knows what became of it: ask again (C10).
	errUnknown = errors.New("unknown")
	// errElsewhere says that the node does not lead.
	errElsewhere = errors.New("not the leader")
)

// node is one replica.
type node struct {
	party
	w    *world
	pace time.Duration

	// in memory
	state   *state.State
	applied int
	busy    bool // an entry is about to be applied
	group   []*proposal
	// flights are the proposals that the node has to answer, by index.
	flights map[int][]*proposal
	posts   []*post // that wait for others to share a part with
	term    *term   // nil where it does not believe that it leads
	view    *view
	skew    time.Duration

	// on disk
	saved   []byte
	savedAt int
}

func newNode(w *world, name string) *node {
	n := &node{party: party{name: name}, w: w}
	n.life = 1
	n.pace = w.between(0, 200*time.Millisecond)
	n.crash = func() {
		n.state, n.term, n.group, n.posts = nil, nil, nil, nil
		if w.leader == n {
			w.leader = nil
			w.after(w.between(time.Second/2, 3*time.Second), nil, "an election", w.elect)
		}
		w.rise(&n.party, w.between(time.Second/10, 10*time.Second), n.start)
	}
	n.view = newView()
	n.start()
	return n
}

// start brings the node up from what its disk has, or what a peer sends.
func (n *node) start() {
	w := n.w
	n.flights, n.busy = make(map[int][]*proposal), false
	if n.saved == nil {
		n.state, n.applied = state.New("simulated"), 0
	} else {
		n.restore(n.saved, n.savedAt)
	}
	if w.chance(0.3) {
		n.view = newView() // its directory is gone: it is built again
	}
	n.view.busy = false
	n.learn()
	n.tail()
}

func (n *node) restore(snapshot []byte, applied int) {
	restored, err := state.Restore(bytes.NewReader(snapshot))
	if err != nil {
		breaks("%s cannot restore its snapshot: %v", n.name, err)
	}
	n.state, n.applied = restored, applied
	n.w.note("%s is restored, as after %d entries", n.name, applied)
	n.w.meet("a snapshot is restored", true)
	n.w.ledger.restored(n)
}

// learn has the node apply what is new, soon.
func (n *node) learn() {
	if n.busy || n.down || n.applied >= len(n.w.log.entries) {
		return
	}
	n.busy = true
	d := n.w.between(0, n.pace)
	if n.w.leader == n {
		d = n.w.between(0, time.Millisecond)
	}
	if n.w.happens(n.w.odds.stall) {
		d += n.w.between(0, 10*time.Second)
	}
	n.w.after(d, &n.party, "applies", n.apply)
}

// apply applies the next entry and answers who proposed it.
func (n *node) apply() {
	w := n.w
	n.busy = false
	if n.applied >= len(w.log.entries) {
		return // a snapshot was quicker
	}
	index := n.applied
	entry := decode(w.log.entries[index])
	events := n.state.Apply(entry)
	n.applied++
	if !reflect.DeepEqual(events, w.log.events[index]) {
		breaks("I6: node %s answers entry %d with %+v, the others with %+v", n.name, index, events, w.log.events[index])
	}
	if want, ok := w.log.digests[index]; ok && n.state.Digest() != want {
		breaks("I6: after entry %d node %s has another state than the others", index, n.name)
	}
	w.ledger.applied(n)
	if group := n.flights[index]; group != nil {
		delete(n.flights, index)
		for i, p := range group {
			p.hear(events[i], nil)
		}
	}
	if n.down {
		return
	}
	n.lead(&entry, events)
	n.keep()
	n.tail()
	n.learn()
}

// keep takes a snapshot now and then, and writes it while the state goes on; or is
// sent another's.
func (n *node) keep() {
	w := n.w
	if w.chance(w.odds.snapshot) {
		frozen, applied := n.state.Snapshot(), n.applied
		w.after(w.between(0, 2*time.Second), &n.party, "writes a snapshot", func() {
			var b bytes.Buffer
			if err := frozen.Encode(&b); err != nil {
				breaks("node %s cannot write its snapshot: %v", n.name, err)
			}
			n.saved, n.savedAt = b.Bytes(), applied
		})
	}
	if from := pick(w, w.nodes); n.term == nil && from.savedAt > n.applied && w.happens(w.odds.install) {
		n.saved, n.savedAt = from.saved, from.savedAt
		n.restore(n.saved, n.savedAt)
		w.meet("another's snapshot is installed", true)
	}
}

// lead lets the node's term look at what an entry has changed, and begins it once
// all that was there at its election is applied.
func (n *node) lead(entry *state.Entry, events []state.Event) {
	t := n.term
	switch {
	case t == nil:
	case t.schedule != nil:
		t.watch(entry, events)
	case n.applied >= t.barrier:
		t.begin()
	}
}

// elect makes a node the leader. Whoever was it hears of it later, or never.
func (w *world) elect() {
	var able []*node
	for _, n := range w.nodes {
		if !n.down && n.paused <= w.now && n != w.leader {
			able = append(able, n)
		}
	}
	if len(able) == 0 {
		if w.leader == nil {
			w.after(time.Second, nil, "an election", w.elect)
		}
		return
	}
	old := w.leader
	n := pick(w, able)
	w.terms++
	w.leader = n
	n.flights = make(map[int][]*proposal)
	n.term = newTerm(n, w.terms)
	w.note("%s is elected, for term %d", n.name, w.terms)
	if old != nil && old.term != nil {
		t := old.term
		w.after(w.between(0, 3*time.Second), &old.party, "is deposed", t.end)
	}
	if n.applied >= n.term.barrier {
		n.term.begin()
	}
	number := w.terms
	var watch func()
	watch = func() {
		if w.terms != number || w.leader != n {
			return
		}
		switch {
		case n.paused > w.now && w.chance(0.5), w.happens(w.odds.elect):
			w.elect()
			if w.terms != number {
				return
			}
		case w.happens(w.odds.pause):
			n.paused = w.now + w.between(time.Second/10, 30*time.Second)
			w.note("%s is paused", n.name)
		}
		w.after(w.between(time.Second/2, 5*time.Second), nil, "a look at the leader", watch)
	}
	w.after(time.Second, nil, "a look at the leader", watch)
}
