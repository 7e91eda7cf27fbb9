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
	// inbox takes deliveries in, judged is what the gates made of them.
	inbox  chan *delivery
	judged chan []*delivery

	mu       sync.Mutex
	schedule *schedule.Schedule
	sessions map[string]*session
	places   map[schedule.Place]*place
	// settled rounds have no open index. A revoke brings them back: revoked is
	// each campaign's last one that the term has seen.
	settled map[string]map[int]bool
	revoked map[string]uint64
	// wake is closed, and replaced, when there may be something new to lease.
	wake chan struct{}
	// hungry has a token when a worker found nothing to lease.
	hungry chan struct{}
	// committed counts samples, for the size of a block (C2).
	committed uint64
}

// session is one connection of a worker.
type session struct {
	id     string
	worker loop.Worker
	since  time.Time
	// committed and rejected count the samples of its deliveries.
	committed, rejected uint64
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

func newTerm(ctx context.Context, c *Coordinator) *term {
	return &term{
		c: c, ctx: ctx,
		inbox: make(chan *delivery), judged: make(chan []*delivery),
		schedule: schedule.New(c.o.Schedule),
		sessions: make(map[string]*session), places: make(map[schedule.Place]*place),
		settled: make(map[string]map[int]bool), revoked: make(map[string]uint64),
		wake:    make(chan struct{}), hungry: make(chan struct{}, 1),
	}
}

func (t *term) run() error {
	group, ctx := errgroup.WithContext(t.ctx)
	group.Go(func() error { return t.feed(ctx) })
	group.Go(func() error { return t.expire(ctx) })
	group.Go(func() error { return t.judge(ctx) })
	group.Go(func() error { return t.commit(ctx) })
	group.Go(func() error { return t.conduct(ctx) })
	return group.Wait()
}

// feed keeps the schedule supplied: it offers what state has open and reserved,
// and has more reserved when that runs low.
func (t *term) feed(ctx context.Context) error {
	t.survey(true)
	window := time.NewTimer(t.c.o.ReconnectWindow)
	defer window.Stop()
	for {
		changed := t.c.node.Changed()
		t.survey(false)
		if extensions := t.extensions(); len(extensions) > 0 {
			if _, err := t.c.node.Propose(ctx, state.Command{Commit: &state.Commit{Extensions: extensions}}); err != nil && ctx.Err() == nil {
				t.c.log.Warn("cannot reserve more indices", "error", err)
			}
		}
		select {
		case <-changed:
		case <-t.hungry:
		case <-window.C:
			t.release()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// survey offers the runs that have become reserved since the last time. The
// first survey of a term only notes what it inherits.
func (t *term) survey(first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := false
	t.c.node.View(func(s *state.State) {
		for _, campaign := range s.Campaigns() {
			if campaign.State != state.Running {
				continue
			}
			name := campaign.Campaign.Name
			if t.revoked[name] != campaign.LastRevoke {
				t.revoked[name] = campaign.LastRevoke
				t.lookAgain(name)
			}
			for number := 1; number <= campaign.Round; number++ {
				if t.settled[name][number] {
					continue
				}
				round, ok := s.Round(name, number)
				if !ok {
					continue
				}
				if round.Terminal {
					if t.settled[name] == nil {
						t.settled[name] = make(map[int]bool)
					}
					t.settled[name][number] = true
					continue
				}
				for _, progress := range round.Components {
					news = t.surveyPlace(s, campaign.Campaign, number, &progress, first) || news
				}
			}
		}
	})
	if news {
		t.wakeAll()
	}
}

// lookAgain forgets what of a campaign has been offered and settled. Offering
// again what the schedule knows does nothing.
func (t *term) lookAgain(campaign string) {
	delete(t.settled, campaign)
	for at, p := range t.places {
		if at.Campaign == campaign {
			p.offered = p.inherited
		}
	}
}

func (t *term) surveyPlace(s *state.State, campaign *loop.Campaign, round int, progress *state.Progress, first bool) (news bool) {
	at := schedule.Place{Campaign: campaign.Name, Round: round, Domain: progress.Domain, Component: progress.Component}
	p := t.places[at]
	if p == nil {
		p = &place{generator: campaign.Generator, unitSize: campaign.UnitSize}
		t.places[at] = p
		if first {
			p.offered, p.inherited = progress.Reserved, progress.Reserved
		}
	}
	p.quota, p.reserved = progress.Quota, progress.Reserved
	if p.offered >= p.reserved {
		return false
	}
	t.offer(s, at, p, p.offered, p.reserved, "")
	p.offered = p.reserved
	return true
}

// offer offers the open runs among a place's indices from first to end.
func (t *term) offer(s *state.State, at schedule.Place, p *place, first, end uint64, avoid string) {
	for first < end {
		units := s.OpenRuns(at.Campaign, at.Round, at.Domain, at.Component, first, offerLimit)
		for _, u := range units {
			if u.First >= end {
				return
			}
			count := min(uint64(u.Count), end-u.First)
			t.schedule.Offer(schedule.Run{Place: at, Attempt: u.Attempt, First: u.First, Count: count,
				Generator: p.generator, UnitSize: p.unitSize, Avoid: avoid}, time.Now())
			first = u.First + count
		}
		if len(units) < offerLimit {
			return
		}
	}
}

// offerLimit is how many runs are read from state at a time.
const offerLimit = 64

// release offers what the term inherited and nobody has announced.
func (t *term) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.node.View(func(s *state.State) {
		for at, p := range t.places {
			if p.inherited > 0 {
				t.offer(s, at, p, 0, p.inherited, "")
				p.inherited = 0
			}
		}
	})
	t.wakeAll()
}

// wakeAll tells every waiting session to look again. The caller holds mu.
func (t *term) wakeAll() {
	close(t.wake)
	t.wake = make(chan struct{})
}

// extensions are the blocks to reserve for places that run low (C2).
func (t *term) extensions() []state.Extension {
	t.mu.Lock()
	defer t.mu.Unlock()
	slots := 0
	for _, s := range t.sessions {
		slots += s.worker.Slots
	}
	var out []state.Extension
	for at, p := range t.places {
		if p.reserved >= p.quota {
			continue
		}
		// A block is some rounds of work of the whole fleet; below half of one,
		// the next is reserved.
		block := uint64(p.unitSize * max(8, 4*slots))
		if _, pending := t.schedule.InFlight(at); pending < block/2 {
			out = append(out, state.Extension{Campaign: at.Campaign, Round: at.Round, Domain: at.Domain,
				Component: at.Component, Reserved: min(p.quota, p.reserved+block)})
		}
	}
	return out
}

// expire takes back leases whose time is over.
func (t *term) expire(ctx context.Context) error {
	for {
		t.mu.Lock()
		now := time.Now()
		if granted := t.schedule.Expire(now); len(granted) > 0 {
			for _, g := range granted {
				t.c.log.Warn("lease expired", "worker", g.Worker, "unit", g.Lease.Unit.ID())
			}
			t.wakeAll()
		}
		due, waiting := t.schedule.Due()
		wake := t.wake
		t.mu.Unlock()
		var timer <-chan time.Time
		if waiting {
			timer = time.After(max(time.Millisecond, due.Sub(now)))
		}
		select {
		case <-timer:
			t.mu.Lock()
			t.wakeAll()
			t.mu.Unlock()
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (t *term) join(w loop.Worker, now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &session{id: strconv.FormatUint(t.c.joined.Add(1), 36), worker: w, since: now}
	t.sessions[s.id] = s
	t.schedule.Join(w, now)
	return s.id
}
