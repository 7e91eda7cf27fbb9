package simulation

import (
	"cmp"
	"slices"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// stock and place are what the term knows of a campaign, and of a component.
type stock struct {
	campaign *loop.Campaign
	rounds   int
	open     []int // rounds
}

type place struct {
	quota, reserved, offered, inherited uint64
}

func (t *term) stock(c *loop.Campaign) *stock {
	s := t.stocks[c.Name]
	if s == nil {
		s = &stock{campaign: c}
		t.stocks[c.Name] = s
	}
	return s
}

// survey offers what has become reserved, or open again.
func (t *term) survey(name string, revoked bool) {
	c, ok := t.n.state.Campaign(name)
	if !ok {
		return // a delivery of no campaign
	}
	s := t.stock(c.Campaign)
	if revoked {
		s.open = s.open[:0]
		for n := range s.rounds {
			s.open = append(s.open, n+1)
		}
		for at, p := range t.places {
			if at.Campaign == name {
				p.offered = p.inherited
			}
		}
	}
	if t.look(name, false) {
		t.wake()
	}
	t.conduct(name)
}

// look looks at the new and the open rounds of a campaign.
func (t *term) look(name string, inherit bool) (news bool) {
	stock := t.stocks[name]
	steered, _ := t.n.state.Steered(name)
	if steered.To == state.Paused || steered.To == state.Closed {
		t.schedule.Hold(name)
	} else {
		t.schedule.Release(name)
	}
	for _, ok := t.n.state.Round(name, stock.rounds+1); ok; _, ok = t.n.state.Round(name, stock.rounds+1) {
		stock.rounds++
		stock.open = append(stock.open, stock.rounds)
	}
	stock.open = slices.DeleteFunc(stock.open, func(number int) bool {
		round, _ := t.n.state.Round(name, number)
		for i := range round.Components {
			p := &round.Components[i]
			at := schedule.Place{Campaign: name, Round: number, Domain: p.Domain, Component: p.Component}
			if round.Terminal {
				delete(t.places, at)
			} else {
				news = t.lookAt(at, p, inherit) || news
			}
		}
		return round.Terminal
	})
	if steered.To == state.Closed && len(stock.open) == 0 {
		t.schedule.Drop(name)
		t.flying.drop(name)
	}
	return news
}

func (t *term) lookAt(at schedule.Place, progress *state.Progress, inherit bool) bool {
	p := t.places[at]
	if p == nil {
		p = &place{}
		if inherit {
			p.offered, p.inherited = progress.Reserved, progress.Reserved
		}
		t.places[at] = p
	}
	p.quota, p.reserved = progress.Quota, progress.Reserved
	if p.offered >= p.reserved {
		return false
	}
	t.offer(at, p.offered, p.reserved, "")
	p.offered = p.reserved
	return true
}

// offer offers the open runs among a place's indices from first to end.
func (t *term) offer(at schedule.Place, first, end uint64, avoid string) {
	for _, u := range t.n.state.OpenRuns(at.Campaign, at.Round, at.Domain, at.Component, first, 1<<20) {
		if u.First >= end {
			return
		}
		t.schedule.Offer(schedule.Run{Place: at, Attempt: u.Attempt, First: u.First, Count: min(uint64(u.Count), end-u.First),
			Generator: generator.Name, UnitSize: t.stocks[at.Campaign].campaign.UnitSize, Avoid: avoid}, t.now())
	}
}

// offerUnit offers what is open of a unit that has come back and stood so. What was
// stale of it is at a later attempt, which may be with a worker of the leader before:
// it waits for the window to end.
func (t *term) offerUnit(u loop.Unit, standing loop.Standing, avoid string) {
	at := schedule.PlaceOf(u)
	if p := t.places[at]; p != nil {
		first := u.First
		if standing.Stale > 0 {
			first = max(first, p.inherited)
		}
		t.offer(at, first, min(p.reserved, u.First+uint64(u.Count)), avoid)
	}
}

// sorted are the term's places, in order.
func (t *term) sorted() []schedule.Place {
	all := make([]schedule.Place, 0, len(t.places))
	for at := range t.places {
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b schedule.Place) int {
		return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), a.Round-b.Round, int(a.Domain)-int(b.Domain), a.Component-b.Component)
	})
	return all
}

// release offers what the term inherited and nobody has announced (C2).
func (t *term) release() {
	for _, at := range t.sorted() {
		if p := t.places[at]; p.inherited > 0 {
			t.offer(at, 0, p.inherited, "")
			p.inherited = 0
		}
	}
	t.released = true
	t.wake()
}

// feed has more reserved where that runs low (C2).
func (t *term) feed() {
	if t.feeding {
		return
	}
	slots := 0
	for _, s := range t.sessions {
		slots += s.worker.Slots
	}
	var extensions []state.Extension
	for _, at := range t.sorted() {
		p := t.places[at]
		if p.reserved >= p.quota {
			continue
		}
		block := uint64(t.stocks[at.Campaign].campaign.UnitSize * max(2, slots))
		if _, pending := t.schedule.InFlight(at); pending < max(1, block/2) {
			extensions = append(extensions, state.Extension{Campaign: at.Campaign, Round: at.Round, Domain: at.Domain,
				Component: at.Component, Reserved: min(p.quota, p.reserved+block)})
		}
	}
	if len(extensions) == 0 {
		return
	}
	t.feeding = true
	t.n.propose(state.Command{Commit: &state.Commit{Extensions: extensions}}, func(_ state.Event, err error) {
		if t.n.term != t {
			return
		}
		t.feeding = false
		if err != nil {
			t.after(again, "tries to reserve again", t.feed)
			return
		}
		t.feed()
	})
}

// giveBack says that nobody knows what became of a unit's delivery.
func (t *term) giveBack(u loop.Unit) {
	standing := t.n.state.JudgeUnit(u)
	if standing.Fresh == u.Count {
		t.schedule.Again(u, t.now())
	} else {
		t.schedule.Done(u, t.now())
	}
	t.flying.over(u)
	t.offerUnit(u, standing, "")
	t.wake()
}
