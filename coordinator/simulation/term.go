package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// Timings of a leader, shorter than in production so that more happens.
const (
	window  = 2 * time.Second // for workers to announce what they hold (C2)
	linger  = 5 * time.Millisecond
	again   = time.Second // between steps of a campaign that failed
	silence = 25 * time.Second
)

var tuned = schedule.Options{MinLease: 20 * time.Second, FirstLease: 30 * time.Second, StagedLease: time.Minute,
	AvoidFor: 5 * time.Second, MinDelay: time.Second / 2, MaxDelay: 5 * time.Second}

// term is the soft state of a node that believes it leads: coordinator's, written
// once more for one thread.
type term struct {
	w      *world
	n      *node
	number int
	// barrier is how much must be applied before the term begins, and schedule is nil.
	barrier  int
	schedule *schedule.Schedule
	sessions []*session
	stocks   map[string]*stock
	places   map[schedule.Place]*place
	released bool // the window is over
	feeding  bool
	armed    time.Duration
	inbox    []*delivery
	judged   []*delivery

	conductors []*conductor
	meters     []*meter
	flying     *flying
}

// session is one connection of a worker.
type session struct {
	id     int
	worker loop.Worker
	// poll waits for leases; nil if the worker has not asked.
	poll *poll
	// heard is when the worker was heard of last.
	heard time.Duration
}

type poll struct {
	free  int
	reply func([]loop.Lease)
}

// stock and place are what the term knows of a campaign, and of a component.
type stock struct {
	campaign *loop.Campaign
	rounds   int
	open     []int // rounds
}

type place struct {
	quota, reserved, offered, inherited uint64
}

func newTerm(n *node, number int) *term {
	return &term{w: n.w, n: n, number: number, barrier: len(n.w.log.entries), stocks: make(map[string]*stock), places: make(map[schedule.Place]*place)}
}

// after has the term do something in a while, unless it is over by then.
func (t *term) after(d time.Duration, what string, do func()) {
	t.w.after(d, &t.n.party, what, func() {
		if t.n.term == t {
			do()
		}
	})
}

func (t *term) now() time.Time { return begun.Add(t.w.now) }

// begin starts with an empty schedule and what state has.
func (t *term) begin() {
	t.schedule = schedule.New(tuned)
	t.flying = newFlying(t)
	t.w.note("term %d of %s begins", t.number, t.n.name)
	for _, c := range t.n.state.Campaigns() {
		t.stock(c.Campaign)
		t.look(c.Campaign.Name, true)
		t.conduct(c.Campaign.Name)
	}
	t.after(window, "ends the reconnect window", t.release)
	t.after(time.Second, "listens for silence", t.listen)
	t.after(5*again, "accounts", t.account)
	t.feed()
}

// end is what happens to a term whose node has heard that another leads.
func (t *term) end() {
	if t.n.term != t {
		return
	}
	t.n.term = nil
	t.w.meet("a deposed leader hears of it", true)
	t.w.note("term %d of %s ends", t.number, t.n.name)
	for _, s := range t.sessions {
		t.w.hangUp(t.n, s)
	}
	for _, p := range t.n.posts {
		p.reply(nil, errUnknown)
	}
	t.n.posts = nil
}

// watch looks at what an entry has touched.
func (t *term) watch(e *state.Entry, events []state.Event) {
	for i, event := range events {
		c := &e.Commands[i]
		switch event := event.(type) {
		case state.CampaignSteered:
			t.survey(event.Name, false)
		case state.CampaignExtended:
			t.survey(event.Name, false)
		case state.GivenUp:
			t.survey(event.Name, false)
		case state.RoundOpened:
			t.survey(event.Campaign, false)
		case state.RoundProposed:
			t.survey(event.Campaign, false)
		case state.ProposalRuled:
			t.survey(event.Campaign, false)
		case state.Committed:
			for _, d := range c.Commit.Deliveries {
				t.survey(d.Unit.Campaign, false)
			}
			for _, x := range c.Commit.Extensions {
				t.survey(x.Campaign, false)
			}
		case state.Published:
			t.survey(c.Publish.Campaign, false)
		case state.Revoked:
			for _, x := range event.Reopened {
				t.flying.opened(x.Campaign, x.Name)
				t.survey(x.Campaign, true)
			}
		case state.Accounted, state.ModelSealed:
			for _, c := range t.w.campaigns {
				t.survey(c.Name, false)
			}
		}
	}
	t.feed()
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
	if p := t.places[at]; p != nil && (standing.Stale == 0 || u.First >= p.inherited) {
		t.offer(at, u.First, min(p.reserved, u.First+uint64(u.Count)), avoid)
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

// join makes a session the only one of its worker (C9).
func (t *term) join(k loop.Worker) *session {
	t.leave(k.Name)
	k.Holds = slices.DeleteFunc(slices.Clone(k.Holds), func(u loop.Unit) bool { return t.n.state.JudgeUnit(u).Fresh == 0 })
	t.w.joined++
	s := &session{id: t.w.joined, worker: k, heard: t.w.now}
	t.sessions = append(t.sessions, s)
	t.schedule.Join(k, t.now())
	t.flying.joined(&k)
	t.arm()
	t.wake()
	return s
}

func (t *term) leave(worker string) {
	for i, s := range t.sessions {
		if s.worker.Name == worker {
			t.sessions = slices.Delete(t.sessions, i, i+1)
			break
		}
	}
	t.schedule.Leave(worker, t.now())
	t.flying.left(worker)
	t.wake()
}

// connection names the connection of a worker for all time.
func (t *term) connection(worker string) string {
	for _, s := range t.sessions {
		if s.worker.Name == worker {
			return fmt.Sprint(t.number, ".", s.id)
		}
	}
	return fmt.Sprint(t.number)
}

func (t *term) session(id int) *session {
	for _, s := range t.sessions {
		if s.id == id {
			s.heard = t.w.now
			return s
		}
	}
	return nil
}

// listen ends the sessions of workers that have not been heard of for long.
func (t *term) listen() {
	for _, s := range slices.Clone(t.sessions) {
		if t.w.now-s.heard > silence {
			t.leave(s.worker.Name)
		}
	}
	t.after(5*time.Second, "listens for silence", t.listen)
}

// wake serves those that wait for leases.
func (t *term) wake() {
	for _, s := range t.sessions {
		if s.poll == nil {
			continue
		}
		leases := t.schedule.Next(s.worker.Name, s.poll.free, t.now())
		if len(leases) == 0 {
			continue
		}
		for _, l := range leases {
			t.w.note("%s leases %s to %s", t.n.name, idOf(l.Unit), s.worker.Name)
			t.flying.leased(l.Unit, s.worker.Name)
		}
		s.poll.reply(leases)
		s.poll = nil
	}
	t.arm()
}

// arm sees to it that leases end when their time is over.
func (t *term) arm() {
	due, waiting := t.schedule.Due()
	if !waiting {
		return
	}
	at := max(t.w.now+time.Millisecond, due.Sub(begun))
	if t.armed > t.w.now && t.armed <= at {
		return
	}
	t.armed = at
	t.after(at-t.w.now, "looks at its leases", func() {
		if t.armed == at {
			t.armed = 0
		}
		for _, g := range t.schedule.Expire(t.now()) {
			t.w.note("the lease of %s on %s is over", g.Worker, idOf(g.Lease.Unit))
			t.flying.over(g.Lease.Unit)
			t.w.meet("a lease expires", true)
		}
		t.wake()
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

// idOf defers the cost of a unit's id to whoever reads the trace.
type idOf loop.Unit

func (u idOf) String() string { return loop.Unit(u).ID() }

var _ fmt.Stringer = idOf{}
