package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// proposal is one command on its way into the log. answer has room for one.
type proposal struct {
	command state.Command
	// weight is about how many transitions the command carries.
	weight int
	answer chan answer
}

type answer struct {
	event state.Event
	err   error
}

// Bounds of one log entry: what is proposed while an entry is on its way goes
// into the next one together, up to here.
const (
	maxEntryCommands = 256
	maxEntryWeight   = 4096
	maxEntries       = 4 // entries in flight
)

// Propose puts a command into the log and returns Apply's event on it. A
// refusal is an error that wraps a *loop.Error; everything else that goes wrong
// leaves the outcome unknown and wraps loop.ErrUnavailable (C10).
func (n *Node) Propose(ctx context.Context, c state.Command) (state.Event, error) {
	p := proposal{command: c, weight: weigh(&c), answer: make(chan answer, 1)}
	select {
	case n.proposals <- p:
	case <-n.stopped:
		return nil, fmt.Errorf("propose: the node has stopped: %w", loop.ErrUnavailable)
	case <-ctx.Done():
		return nil, fmt.Errorf("propose: %w: %w", context.Cause(ctx), loop.ErrUnavailable)
	}
	select {
	case a := <-p.answer:
		if a.err != nil {
			return nil, a.err
		}
		if refused, ok := a.event.(state.Refused); ok {
			return nil, refusal(refused)
		}
		return a.event, nil
	case <-n.stopped:
		return nil, fmt.Errorf("propose: the node has stopped: %w", loop.ErrUnavailable)
	case <-ctx.Done():
		return nil, fmt.Errorf("propose: %w: %w", context.Cause(ctx), loop.ErrUnavailable)
	}
}

// errStale says that a command was computed from what has changed since.
var errStale = errors.New("stale")

// refusal wraps a refusal in the sentinel of its kind.
func refusal(r state.Refused) error {
	switch r.Reason {
	case state.NotFound:
		return fmt.Errorf("%w: %w", loop.ErrNotFound, r.Err)
	case state.Conflict:
		return fmt.Errorf("%w: %w", loop.ErrConflict, r.Err)
	case state.Stale:
		return fmt.Errorf("%w: %w", errStale, r.Err)
	default:
		return r.Err
	}
}

func weigh(c *state.Command) int {
	w := 1
	if c.Commit != nil {
		for i := range c.Commit.Deliveries {
			w += c.Commit.Deliveries[i].Unit.Count
		}
	}
	return w
}

// propose gathers commands into entries. It never waits for more to come: what
// arrives while entries are in flight forms the next one.
func (n *Node) propose(ctx context.Context) error {
	slots := make(chan struct{}, maxEntries)
	for {
		var group []proposal
		select {
		case p := <-n.proposals:
			group = append(group, p)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		weight := group[0].weight
		// Wait for a slot while more commands come in.
		for held := false; !held; {
			more := n.proposals
			if len(group) >= maxEntryCommands || weight >= maxEntryWeight {
				more = nil
			}
			select {
			case p := <-more:
				group = append(group, p)
				weight += p.weight
			case slots <- struct{}{}:
				held = true
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		n.apply(ctx, group, func() { <-slots })
	}
}

// apply proposes one entry and hands out its events when it is applied.
func (n *Node) apply(ctx context.Context, group []proposal, done func()) {
	fail := func(err error) {
		for _, p := range group {
			p.answer <- answer{err: err}
		}
		done()
	}
	entry := state.Entry{At: time.Now().UnixMicro()}
	for _, p := range group {
		entry.Commands = append(entry.Commands, p.command)
	}
	encoded, err := entry.Encode()
	if err != nil {
		fail(fmt.Errorf("propose: %w", err))
		return
	}
	future := n.raft.Apply(encoded, n.o.ProposeTimeout)
	go func() {
		if err := wait(ctx, n.o.ProposeTimeout, future); err != nil {
			fail(fmt.Errorf("propose: %w: %w", err, loop.ErrUnavailable))
			return
		}
		switch events := future.Response().(type) {
		case []state.Event:
			for i, p := range group {
				p.answer <- answer{event: events[i]}
			}
			done()
		case error:
			fail(fmt.Errorf("propose: %w: %w", events, loop.ErrUnavailable))
		default:
			fail(fmt.Errorf("propose: apply answered %T: %w", events, loop.ErrUnavailable))
		}
	}()
}
