package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"hone/loop"
)

var errLostLeadership = errors.New("this node leads no more")

// follow runs one term of leadership after another. LeaderCh may swallow a
// quick loss and gain, and may hold a gain that has been acted on, so each
// signal is checked against raft's own state and term.
func (n *Node) follow(ctx context.Context, lead func(context.Context) error) error {
	for {
		if n.raft.State() != raft.Leader {
			select {
			case <-n.raft.LeaderCh():
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		number := n.raft.CurrentTerm()
		// All that earlier leaders committed is applied before this one acts.
		if err := n.barrier(); err != nil {
			n.o.Logger.Warn("cannot lead yet", "error", err)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue
		}
		if err := n.machine.failed(); err != nil {
			return err
		}
		// Who leads is known by its URL before anybody is sent to it.
		if err := n.Admit(ctx, n.Cluster(), n.about()); err != nil {
			if errors.Is(err, loop.ErrConflict) {
				return fmt.Errorf("lead: %w", err)
			}
			n.o.Logger.Warn("cannot lead yet", "error", err)
			select {
			case <-time.After(time.Second): // a clock that is wrong stays so for a while (C24)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		}
		if err := n.term(ctx, number, lead); err != nil {
			return err
		}
	}
}

func (n *Node) leads(number uint64) bool {
	return n.raft.State() == raft.Leader && n.raft.CurrentTerm() == number
}

func (n *Node) term(ctx context.Context, number uint64, lead func(context.Context) error) error {
	term, end := context.WithCancelCause(ctx)
	var upgrading sync.WaitGroup
	defer upgrading.Wait()
	defer end(nil)
	n.serving.Store(number)
	defer n.serving.Store(0)
	upgrading.Go(func() { n.upgrade(term) })
	done := make(chan error, 1)
	go func() { done <- lead(term) }()
	defer n.pilot.fly(term)()
	for {
		select {
		case <-n.raft.LeaderCh():
			if !n.leads(number) {
				end(errLostLeadership)
			}
		case err := <-done:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if term.Err() != nil {
				return nil
			}
			if err == nil {
				err = errors.New("it ended though the term has not")
			}
			return fmt.Errorf("lead: %w", err)
		}
	}
}

func (n *Node) barrier() error { return n.wait(n.fly(n.raft.Barrier(n.o.ProposeTimeout))) }

// fly counts an entry as on its way into the log until raft says what became of it,
// also when nobody waits for that any more: so the watchdog sees a log that stands
// still though little is asked of it.
func (n *Node) fly(f raft.Future) raft.Future {
	n.flying.Add(1)
	return flight{f, n}
}

type flight struct {
	raft.Future
	n *Node
}

func (f flight) Error() error {
	defer f.n.flying.Add(-1)
	return f.Future.Error()
}

// wait waits for a future, also when the node is about to stop: as long as raft
// runs it answers, and it is not stopped before. A future that it left behind
// when it shut down would never resolve, and keep a goroutine.
func (n *Node) wait(f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	timer := time.NewTimer(n.o.ProposeTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("no answer within %v", n.o.ProposeTimeout)
	}
}
