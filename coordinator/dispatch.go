package coordinator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// Join admits a worker and makes its generators' versions known. The session ends
// with the term.
func (c *Coordinator) Join(ctx context.Context, w loop.Worker) (session string, term context.Context, err error) {
	t, err := c.leading()
	if err != nil {
		return "", nil, err
	}
	if !loop.ValidName(w.Name) {
		return "", nil, &loop.Error{Field: "name", Problem: fmt.Sprintf("%q is not a worker's name", w.Name),
			Remedy: "a letter, then up to 62 letters, digits, '_', '.' or '-'"}
	}
	for _, g := range w.Generators {
		var known bool
		c.node.View(func(s *state.State) { known = slices.Contains(s.Generators(), g) })
		if known {
			continue
		}
		if _, err := c.node.Propose(ctx, state.Command{RegisterGenerator: &state.RegisterGenerator{Generator: g}}); err != nil {
			return "", nil, fmt.Errorf("register generator %s: %w", g.Name, err)
		}
	}
	// What state knows to be settled is not in flight, whoever announces it; the
	// worker hears so when it delivers.
	held := len(w.Holds)
	t.sweepLeft(ctx, &w)
	c.node.View(func(s *state.State) {
		w.Holds = slices.DeleteFunc(slices.Clone(w.Holds), func(u loop.Unit) bool { return s.JudgeUnit(u).Fresh == 0 })
	})
	id := t.join(w, time.Now())
	c.log.Info("worker connected", "worker", w.Name, "slots", w.Slots, "holds", held)
	return id, t.ctx, nil
}

// errSessionEnded is what a session hears that a later one of its worker, or a
// new term, has ended: the worker connects again.
var errSessionEnded = fmt.Errorf("the session has ended: %w", loop.ErrUnavailable)

// Next waits for leases for a session.
func (c *Coordinator) Next(ctx context.Context, id string, free int) ([]loop.Lease, error) {
	t, err := c.leading()
	if err != nil {
		return nil, err
	}
	for {
		leases, wake, err := t.next(id, free)
		// Whether there was enough or nothing: the feeder looks if more is to be
		// reserved.
		poke(t.hungry)
		if err != nil || len(leases) > 0 {
			return leases, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-t.ctx.Done():
			return nil, fmt.Errorf("%w: %w", context.Cause(t.ctx), loop.ErrUnavailable)
		}
	}
}

// next leases what there is now; wake is closed when there may be more.
func (t *term) next(id string, free int) (leases []loop.Lease, wake <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[id]
	if s == nil {
		return nil, nil, errSessionEnded
	}
	now := time.Now()
	leases = t.schedule.Next(s.worker.Name, free, now)
	for _, l := range leases {
		s.making[l.Unit] = now
		delete(s.charged, l.Unit) // it is made once more
	}
	if len(leases) > 0 {
		poke(t.armed)
	}
	return leases, t.wake, nil
}

// Definition is what a worker expands the units of a round from.
func (c *Coordinator) Definition(_ context.Context, campaign string, round int) (loop.Definition, error) {
	return c.node.definition(campaign, round)
}

func (n *Node) definition(campaign string, round int) (d loop.Definition, err error) {
	n.View(func(s *state.State) {
		var ok bool
		if d, ok = s.Definition(campaign, round); !ok {
			err = loop.NotFound("round", "campaign %q has no round %d", campaign, round)
		}
	})
	return d, err
}

// gated is what the gates need of a round: its definition, and their names.
func (t *term) gated(campaign string, round int) (*loop.Definition, []string, error) {
	d, err := t.c.node.definition(campaign, round)
	if err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	stock := t.stocks[campaign]
	t.mu.Unlock()
	if stock == nil {
		return nil, nil, fmt.Errorf("campaign %q is new: %w", campaign, loop.ErrUnavailable)
	}
	return &d, stock.campaign.Gates, nil
}

// Leave ends a session: its leases are open again.
func (c *Coordinator) Leave(id string, cause error) {
	t, err := c.leading()
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[id]
	if s == nil {
		return // of an earlier term, or its worker has connected again
	}
	now := time.Now()
	t.end(s, now)
	c.log.Info("worker left", "worker", s.worker.Name, "cause", cause)
	t.schedule.Leave(s.worker.Name, now)
	t.wakeWaiting()
}

// Fail says that a worker could not make a unit.
func (c *Coordinator) Fail(_ context.Context, id string, unit loop.Unit, problem string) error {
	t, err := c.leading()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[id]
	if s == nil {
		return errSessionEnded
	}
	c.log.Warn("unit failed", "worker", s.worker.Name, "unit", unit.ID(), "problem", problem)
	now := time.Now()
	t.chargeTime(s, unit, now)
	delete(s.making, unit)
	delete(s.charged, unit) // it has nothing to deliver
	t.schedule.Failed(unit, s.worker.Name, now)
	poke(t.armed)
	t.wakeWaiting()
	return nil
}
