package coordinator

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// term is one term of leadership: soft state that dies with it. Nothing in it
// is needed for correctness; a new leader builds its own from state and from
// the workers that reconnect.
type term struct {
	c   *Coordinator
	ctx context.Context
	// inbox takes deliveries in, judged is what the gates made of them: of one
	// version of a space, each batch.
	inbox  chan *delivery
	judged chan []*delivery
	// hungry has a token when a worker has looked for something to lease.
	hungry chan struct{}
	// armed has a token when the schedule may have something due earlier.
	armed chan struct{}

	// mu guards the rest. Who needs the state too takes mu first: to wait for mu
	// while reading the state would be a deadlock with who does the reverse.
	mu       sync.Mutex
	schedule *schedule.Schedule
	sessions map[string]*session
	slots    int // of all sessions' workers
	stocks   map[string]*stock
	places   map[schedule.Place]*place
	meters   meters
	// troubles say why a campaign's last step failed, until one succeeds.
	troubles map[string]string
	// wake is closed, and replaced, when there may be something new to lease.
	wake chan struct{}
}

// session is one connection of a worker.
type session struct {
	id     string
	worker loop.Worker
	since  time.Time
	// making are the units that are with the worker, and since when.
	making map[loop.Unit]time.Time
	// charged are the milliseconds that units were charged, while they may come again.
	charged map[loop.Unit]int64
	// committed and rejected count the samples of its deliveries.
	committed, rejected uint64
}

func newTerm(ctx context.Context, c *Coordinator) *term {
	return &term{
		c: c, ctx: ctx,
		inbox: make(chan *delivery), judged: make(chan []*delivery),
		hungry: make(chan struct{}, 1), armed: make(chan struct{}, 1),
		schedule: schedule.New(c.o.Schedule), sessions: make(map[string]*session),
		stocks: make(map[string]*stock), places: make(map[schedule.Place]*place),
		meters: newMeters(), troubles: make(map[string]string), wake: make(chan struct{}),
	}
}

func (t *term) run() error {
	group, ctx := errgroup.WithContext(t.ctx)
	group.Go(func() error { return t.feed(ctx) })
	group.Go(func() error { return t.expire(ctx) })
	group.Go(func() error { return t.judge(ctx) })
	group.Go(func() error { return t.commit(ctx) })
	group.Go(func() error { return t.conduct(ctx) })
	group.Go(func() error { return t.report(ctx) })
	if t.c.o.Merger != nil {
		group.Go(func() error { return t.compact(ctx) })
	}
	return group.Wait()
}

// wakeAll tells every waiting session to look again. The caller holds mu.
func (t *term) wakeAll() {
	close(t.wake)
	t.wake = make(chan struct{})
}

// wakeWaiting wakes them where something waits for a worker: thousands may be idle,
// and what was done then is no news to them. The caller holds mu.
func (t *term) wakeWaiting() {
	for at := range t.places {
		if _, pending := t.schedule.InFlight(at); pending > 0 {
			t.wakeAll()
			return
		}
	}
}

// loosen does what may end the rest of a campaign of which nothing was leased, and
// wakes who waits where it has. The caller holds mu.
func (t *term) loosen(campaign string, do func()) {
	rested := t.schedule.Rests(campaign)
	if do(); rested && !t.schedule.Rests(campaign) {
		t.wakeWaiting()
	}
}

// expire takes back leases whose time is over, and wakes who waits when a pause
// has ended.
func (t *term) expire(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-t.armed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		t.mu.Lock()
		now := time.Now()
		due, waiting := t.schedule.Due()
		if waiting && !due.After(now) {
			for _, g := range t.schedule.Expire(now) {
				t.c.log.Warn("lease expired", "worker", g.Worker, "unit", g.Lease.Unit.ID())
				for _, s := range t.sessions {
					if s.worker.Name == g.Worker {
						t.chargeTime(s, g.Lease.Unit, now)
						delete(s.making, g.Lease.Unit)
					}
				}
			}
			t.wakeWaiting()
			due, waiting = t.schedule.Due()
		}
		t.mu.Unlock()
		timer.Stop()
		if waiting {
			timer.Reset(max(time.Millisecond, due.Sub(now)))
		}
	}
}

// join makes a session the only one of its worker.
func (t *term) join(w loop.Worker, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, old := range t.sessions {
		if old.worker.Name == w.Name {
			t.end(old, now)
			defer t.wakeAll() // it may wait
		}
	}
	s := &session{id: strconv.FormatUint(t.c.joined.Add(1), 36), worker: w, since: now, making: make(map[loop.Unit]time.Time), charged: t.recharge(&w)}
	t.sessions[s.id] = s
	t.slots += w.Slots
	t.schedule.Join(w, now)
	poke(t.armed)
	t.wakeWaiting()
	return s.id
}

// giveBack says that what a unit's delivery became is not known, or that its
// bytes are gone: what state has open of it is to be made again. The worker may
// deliver it once more, but it may also have died, and then nobody else would
// ever make it.
func (t *term) giveBack(u loop.Unit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.c.node.View(func(s *state.State) {
		standing := s.JudgeUnit(u)
		if standing.Fresh == u.Count {
			t.schedule.Again(u, now)
		} else {
			t.schedule.Done(u, now)
		}
		t.offerUnit(s, u, standing, "", now)
	})
	poke(t.armed)
	t.wakeWaiting()
}
