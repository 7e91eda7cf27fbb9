package coordinator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// Join admits a worker and makes its generators' versions known.
func (c *Coordinator) Join(ctx context.Context, w loop.Worker) (string, error) {
	t, err := c.leading()
	if err != nil {
		return "", err
	}
	if !loop.ValidName(w.Name) {
		return "", &loop.Error{Field: "name", Problem: fmt.Sprintf("%q is not a worker's name", w.Name),
			Remedy: "a letter, then up to 62 letters, digits, '_', '.' or '-'"}
	}
	for _, g := range w.Generators {
		var known bool
		c.node.View(func(s *state.State) { known = slices.Contains(s.Generators(), g) })
		if known {
			continue
		}
		if _, err := c.node.Propose(ctx, state.Command{RegisterGenerator: &state.RegisterGenerator{Generator: g}}); err != nil {
			return "", err
		}
	}
	// What state knows to be settled is not in flight, whoever announces it; the
	// worker hears so when it delivers.
	held := w.Holds
	w.Holds = nil
	c.node.View(func(s *state.State) {
		for _, u := range held {
			if s.JudgeUnit(u).Fresh > 0 {
				w.Holds = append(w.Holds, u)
			}
		}
	})
	c.log.Info("worker connected", "worker", w.Name, "slots", w.Slots, "holds", len(held))
	return t.join(w, time.Now()), nil
}

// Next waits for leases for a session.
func (c *Coordinator) Next(ctx context.Context, id string, free int) ([]loop.Lease, error) {
	t, err := c.leading()
	if err != nil {
		return nil, err
	}
	for {
		t.mu.Lock()
		s := t.sessions[id]
		if s == nil {
			t.mu.Unlock()
			return nil, fmt.Errorf("the session has ended: %w", loop.ErrUnavailable)
		}
		leases := t.schedule.Next(s.worker.Name, free, time.Now())
		wake := t.wake
		t.mu.Unlock()
		// Whether there was enough or nothing: the feeder looks if more is to be
		// reserved.
		select {
		case t.hungry <- struct{}{}:
		default:
		}
		if len(leases) > 0 {
			return leases, nil
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
func (n *Node) gated(campaign string, round int) (*loop.Definition, []string, error) {
	d, err := n.definition(campaign, round)
	var gates []string
	n.View(func(s *state.State) {
		if c, ok := s.Campaign(campaign); ok {
			gates = c.Campaign.Gates
		}
	})
	return &d, gates, err
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
		return
	}
	delete(t.sessions, id)
	c.log.Info("worker left", "worker", s.worker.Name, "cause", cause)
	for _, other := range t.sessions {
		if other.worker.Name == s.worker.Name {
			return // it has connected again already, and keeps its leases
		}
	}
	t.schedule.Leave(s.worker.Name, time.Now())
	t.wakeAll()
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
		return fmt.Errorf("the session has ended: %w", loop.ErrUnavailable)
	}
	c.log.Warn("unit failed", "worker", s.worker.Name, "unit", unit.ID(), "problem", problem)
	t.schedule.Failed(unit, s.worker.Name, time.Now())
	t.wakeAll()
	return nil
}
