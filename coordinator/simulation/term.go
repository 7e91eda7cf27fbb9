package simulation

import (
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
		t.w.hangUp(s)
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

// idOf defers the cost of a unit's id to whoever reads the trace.
type idOf loop.Unit

func (u idOf) String() string { return loop.Unit(u).ID() }
