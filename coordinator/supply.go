package coordinator

import (
	"context"
	"maps"
	"slices"
	"time"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// stock is what the term knows of a campaign's rounds.
type stock struct {
	campaign *loop.Campaign
	// rounds is how many of them have been looked at.
	rounds int
	// open are those with an index that is neither committed nor abandoned.
	open map[int]bool
}

// place is what the term knows of a component whose indices it leases.
type place struct {
	generator string
	unitSize  int
	quota     uint64
	reserved  uint64
	// offered is the index up to which open runs have been offered.
	offered uint64
	// inherited is the reserved that the term found: what is open below it may
	// be with a worker of the leader before, and waits one reconnect window.
	inherited uint64
}

// feed keeps the schedule supplied: it offers what state has open and reserved,
// and has more reserved when that runs low.
func (t *term) feed(ctx context.Context) error {
	watch, end := t.c.node.machine.watch()
	defer end()
	t.inherit()
	window := time.NewTimer(t.c.o.ReconnectWindow)
	defer window.Stop()
	for {
		for name, revoked := range watch.take().campaigns {
			t.survey(name, revoked)
		}
		var retry <-chan time.Time
		if extensions := t.extensions(); len(extensions) > 0 {
			if _, err := t.c.node.Propose(ctx, state.Command{Commit: &state.Commit{Extensions: extensions}}); err != nil && ctx.Err() == nil {
				t.c.log.Warn("cannot reserve more indices", "error", err)
				retry = time.After(retryAfter)
			}
		}
		select {
		case <-watch.wake:
		case <-t.hungry:
		case <-window.C:
			t.release()
		case <-retry:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inherit notes, of all campaigns, what the term finds reserved.
func (t *term) inherit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.node.View(func(s *state.State) {
		for _, c := range s.Campaigns() {
			t.stocks[c.Campaign.Name] = newStock(c.Campaign)
			t.look(s, c.Campaign.Name, true)
		}
	})
}

// survey offers the runs of a campaign that have become reserved or, with
// revoked, open again since the last time.
func (t *term) survey(name string, revoked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.node.View(func(s *state.State) {
		stock := t.stocks[name]
		if stock == nil {
			c, ok := s.Campaign(name)
			if !ok {
				return
			}
			stock = newStock(c.Campaign)
			t.stocks[name] = stock
		}
		if revoked {
			// Offering again what the schedule knows does nothing.
			for n := range stock.rounds {
				stock.open[n+1] = true
			}
			for at, p := range t.places {
				if at.Campaign == name {
					p.offered = p.inherited
				}
			}
		}
		if t.look(s, name, false) {
			t.wakeAll()
		}
	})
}

func newStock(c *loop.Campaign) *stock { return &stock{campaign: c, open: make(map[int]bool)} }

// look looks at the new and the open rounds of a campaign, and reports whether
// anything was offered.
func (t *term) look(s *state.State, name string, inherit bool) (news bool) {
	stock := t.stocks[name]
	t.hold(s, name)
	for {
		if _, ok := s.Round(name, stock.rounds+1); !ok {
			break
		}
		stock.rounds++
		stock.open[stock.rounds] = true
	}
	for _, number := range slices.Sorted(maps.Keys(stock.open)) {
		round, _ := s.Round(name, number)
		for i := range round.Components {
			p := &round.Components[i]
			at := schedule.Place{Campaign: name, Round: number, Domain: p.Domain, Component: p.Component}
			if round.Terminal {
				delete(t.places, at)
			} else {
				news = t.lookAt(s, at, stock.campaign, p, inherit) || news
			}
		}
		if round.Terminal {
			delete(stock.open, number)
		}
	}
	if steered, _ := s.Steered(name); steered.To == state.Closed && len(stock.open) == 0 {
		t.schedule.Drop(name) // what it was offered, and nobody will make
	}
	return news
}

// hold has the schedule lease nothing of a campaign that is paused or closed, and no
// more than its money pays for. The caller holds mu.
func (t *term) hold(s *state.State, name string) {
	switch steered, _ := s.Steered(name); steered.To {
	case state.Paused, state.Closed:
		t.schedule.Hold(name)
	default:
		t.loosen(name, func() { t.schedule.Release(name) })
	}
	t.afford(s, name)
}

func (t *term) lookAt(s *state.State, at schedule.Place, campaign *loop.Campaign, progress *state.Progress, inherit bool) (news bool) {
	p := t.places[at]
	if p == nil {
		p = &place{generator: campaign.Generator, unitSize: campaign.UnitSize}
		if inherit && !fault.Planted("lease below reserved too early") {
			p.offered, p.inherited = progress.Reserved, progress.Reserved
		}
		t.places[at] = p
	}
	p.quota, p.reserved = progress.Quota, progress.Reserved
	if p.offered >= p.reserved {
		return false
	}
	t.offer(s, at, p, p.offered, p.reserved, "", time.Now())
	p.offered = p.reserved
	return true
}

// offerLimit is how many runs are read from state at a time.
const offerLimit = 64

// offer offers the open runs among a place's indices from first to end.
func (t *term) offer(s *state.State, at schedule.Place, p *place, first, end uint64, avoid string, now time.Time) {
	for first < end {
		units := s.OpenRuns(at.Campaign, at.Round, at.Domain, at.Component, first, offerLimit)
		for _, u := range units {
			if u.First >= end {
				return
			}
			count := min(uint64(u.Count), end-u.First)
			t.schedule.Offer(schedule.Run{Place: at, Attempt: u.Attempt, First: u.First, Count: count,
				Generator: p.generator, UnitSize: p.unitSize, Avoid: avoid}, now)
			first = u.First + count
		}
		if len(units) < offerLimit {
			return
		}
	}
}

// offerUnit offers what is open of a unit that has come back and stood so. What was
// stale of it is at a later attempt, which may be with a worker of the leader before:
// it waits for the reconnect window to end, like all that is inherited (C2). The
// caller holds mu.
func (t *term) offerUnit(s *state.State, u loop.Unit, standing loop.Standing, avoid string, now time.Time) {
	at := schedule.PlaceOf(u)
	if p := t.places[at]; p != nil {
		first := u.First
		if standing.Stale > 0 {
			first = max(first, p.inherited)
		}
		t.offer(s, at, p, first, min(p.reserved, u.First+uint64(u.Count)), avoid, now)
	}
}

// release offers what the term inherited and nobody has announced (C2).
func (t *term) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.c.node.View(func(s *state.State) {
		for at, p := range t.places {
			if p.inherited > 0 {
				t.offer(s, at, p, 0, p.inherited, "", now)
				p.inherited = 0
			}
		}
	})
	t.wakeAll()
}

// extensions are the blocks to reserve for places that run low (C2).
func (t *term) extensions() []state.Extension {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []state.Extension
	for at, p := range t.places {
		if p.reserved >= p.quota {
			continue
		}
		// A block is some rounds of work of the whole fleet; below half of one,
		// the next is reserved.
		block := uint64(p.unitSize * max(8, 4*t.slots))
		if _, pending := t.schedule.InFlight(at); pending < block/2 {
			out = append(out, state.Extension{Campaign: at.Campaign, Round: at.Round, Domain: at.Domain,
				Component: at.Component, Reserved: min(p.quota, p.reserved+block)})
		}
	}
	return out
}
