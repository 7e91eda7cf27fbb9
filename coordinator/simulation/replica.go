package simulation

import (
	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// restored checks what no snapshot holds and a restored node derives; applied does so
// now and then for all.
func (l *ledger) restored(n *node) {
	for _, c := range l.w.campaigns {
		for _, round := range n.state.Rounds(c.Name) {
			for i := range round.Components {
				p := &round.Components[i]
				at := schedule.Place{Campaign: c.Name, Round: round.Decided.Round.Number, Domain: p.Domain, Component: p.Component}
				if open := l.open(n.state, at); p.Quota != p.Committed+p.Abandoned+open+p.Quota-p.Reserved {
					breaks("I3: on %s the quota of %+v is %d: %+v, %d open", n.name, at, p.Quota, *p, open)
				}
			}
		}
	}
	for _, c := range n.state.Changes(0, everything) {
		if key := keyOf(&c); key != "" && !n.state.References(key) {
			breaks("C18: %s does not know that %s is referenced", n.name, key)
		}
	}
	if n.applied == len(l.w.log.entries) {
		for _, key := range l.w.lake.keys {
			if n.state.References(key) != l.w.truth.References(key) {
				breaks("I6: %s does not know like the others whether %s is referenced", n.name, key)
			}
		}
	}
}

func (l *ledger) applied(n *node) {
	if n.applied%digestEvery == 0 {
		l.restored(n)
	}
}

// followed checks a view that has come to where its node's state is (I7).
func (l *ledger) followed(v *view, s *state.State) {
	if !v.whole() {
		breaks("C20: a view has come to %d, and still lacks what is whole at %d", v.sequence, v.lacks)
	}
	committed := uint64(0)
	for _, c := range s.Campaigns() {
		committed += c.Total.Committed
	}
	if uint64(len(v.samples)) != committed {
		breaks("I7: a view shows %d samples at %d, and state counts %d", len(v.samples), v.sequence, committed)
	}
}

// look checks, between steps, that the leader forgets nothing that is open (I3).
func (w *world) look() {
	n := w.leader
	if w.steps%4 != 0 || n == nil || n.down || n.term == nil || !n.term.released {
		return
	}
	t := n.term
	for at, p := range t.places {
		flight, pending := t.schedule.InFlight(at)
		open := uint64(0)
		for _, u := range n.state.OpenRuns(at.Campaign, at.Round, at.Domain, at.Component, 0, everything) {
			if u.First < p.offered {
				open += min(uint64(u.Count), p.offered-u.First)
			}
		}
		if flight+pending < open {
			breaks("I3: of %+v %d are open, but only %d in flight and %d waiting", at, open, flight, pending)
		}
	}
}

// audit checks what must hold when everything is over.
func (l *ledger) audit() {
	w, s := l.w, l.w.truth
	for _, c := range w.campaigns {
		now, _ := s.Campaign(c.Name)
		w.meet("a campaign ends "+string(now.State), true)
		for d, asked := range now.Requested {
			n := now.Domains[d]
			if loop.Domain(d) == loop.Evaluation && continuous(c) {
				asked = n.Quota // a round that is superseded is evaluated by less
			}
			if asked != n.Committed+n.Abandoned || asked != n.Quota || n.Pending != 0 {
				breaks("I3: in the end %s was asked for %d %s samples, and has %+v", c.Name, asked, loop.Domain(d), n)
			}
		}
		if now.State == state.Done && now.Total.Abandoned > 0 || now.State == state.DoneShort && len(now.Abandoned) == 0 {
			breaks("I3: in the end %s is %s, with %d abandoned", c.Name, now.State, now.Total.Abandoned)
		}
	}
	for id := range l.acked {
		if l.view.posts[id] != l.asks[id].rows {
			breaks("I1: %s was acknowledged, and %d of %d rows count", id, l.view.posts[id], l.asks[id].rows)
		}
	}
	want := s.Digest()
	for _, n := range w.nodes {
		if n.state.Digest() != want {
			breaks("I6: in the end node %s has another state than the others", n.name)
		}
		l.restored(n)
	}
}
