package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"hone/coordinator/state"
	"hone/fault"
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
	// maxEntryBytes is what raft advises; a single command may be larger, up to
	// maxCommandBytes, which the log can still hold.
	maxEntryBytes   = 512 << 10
	maxCommandBytes = 32 << 20
)

// Propose puts a command into the log and returns Apply's event on it. A
// refusal is an error that wraps a *loop.Error; everything else that goes wrong
// leaves the outcome unknown and wraps loop.ErrUnavailable (C10).
func (n *Node) Propose(ctx context.Context, c state.Command) (state.Event, error) {
	if err := n.admit(&c); err != nil {
		return nil, err
	}
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
	case state.EpochClosed:
		return fmt.Errorf("%w: %w: %w", errStale, loop.ErrEpochClosed, r.Err)
	default:
		return r.Err
	}
}

// proposeAnew proposes what command makes of the state, and makes it anew where it
// is refused as stale, which has no effect: whoever asked named no version. Only
// what enters the log late, when nobody waits for it any more, stays refused.
func (n *Node) proposeAnew(ctx context.Context, command func(*state.State) (state.Command, error)) (event state.Event, err error) {
	for {
		var next state.Command
		n.View(func(s *state.State) { next, err = command(s) })
		if err != nil {
			return nil, err
		}
		if event, err = n.Propose(ctx, next); !errors.Is(err, errStale) || ctx.Err() != nil {
			return event, err
		}
	}
}

// proposePut proposes a command that names objects, which put has made durable
// under the lake epoch that it is given (C17). Where that epoch was closed
// meanwhile the command is refused, without effect: what it names may be deleted at
// any time, and put puts it again under the open one (C18).
func (n *Node) proposePut(ctx context.Context, put func(epoch uint64) (state.Command, error)) (state.Event, error) {
	for {
		command, err := put(n.epoch())
		if err != nil {
			return nil, err
		}
		event, err := n.Propose(ctx, command)
		if !errors.Is(err, loop.ErrEpochClosed) || ctx.Err() != nil {
			return event, err
		}
		n.o.Logger.Info("putting objects again, as their lake epoch was closed", "epoch", n.epoch())
	}
}

// epoch is the open lake epoch.
func (n *Node) epoch() (epoch uint64) {
	n.View(func(s *state.State) { epoch = s.Epoch() })
	return epoch
}

func weigh(c *state.Command) int {
	w := 1
	if c.Import != nil {
		w += len(c.Import.Packs)
	}
	if c.Commit != nil {
		for i := range c.Commit.Deliveries {
			w += c.Commit.Deliveries[i].Unit.Count
		}
	}
	return w
}

// propose gathers commands into entries. It never waits for more to come: what
// arrives while entries are in flight forms the next one. When ctx ends it takes
// no more, and returns when what is in flight has been answered.
func (n *Node) propose(ctx context.Context) error {
	slots := make(chan struct{}, maxEntries)
	var flying sync.WaitGroup
	defer flying.Wait()
	for {
		var group []proposal
		select {
		case p := <-n.taken:
			group = append(group, p)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		weight := group[0].weight
		// Wait for a slot while more commands come in.
		for held := false; !held; {
			more := n.taken
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
		<-slots
		now, err := n.clock.read()
		if err != nil {
			for _, p := range group {
				p.answer <- answer{err: err}
			}
			continue
		}
		for _, e := range pack(group, now) {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			fault.Point("propose-entry")
			future := n.raft.Apply(e.encoded, n.o.ProposeTimeout)
			flying.Go(func() {
				n.answer(e.group, future)
				<-slots
			})
		}
	}
}

// entry is what goes into the log as one.
type entry struct {
	group   []proposal
	encoded []byte
}

// pack makes entries of a group, usually one: more where it is too large, or a
// command cannot be encoded so that every node could read it back. Such a
// command is refused here, alone. In the log it would stop every node, for ever.
func pack(group []proposal, now time.Time) []entry {
	encoded, err := encode(group, now)
	if err == nil && (len(encoded) <= maxEntryBytes || len(group) == 1 && len(encoded) <= maxCommandBytes) {
		return []entry{{group, encoded}}
	}
	if len(group) > 1 {
		half := len(group) / 2
		return append(pack(group[:half], now), pack(group[half:], now)...)
	}
	if err == nil {
		err = &loop.Error{Problem: fmt.Sprintf("the command has %d bytes; at most %d are allowed", len(encoded), maxCommandBytes)}
	} else {
		err = &loop.Error{Problem: "the command cannot be replicated: " + err.Error()}
	}
	group[0].answer <- answer{err: fmt.Errorf("propose: %w", err)}
	return nil
}

func encode(group []proposal, now time.Time) ([]byte, error) {
	e := state.Entry{At: now.UnixMicro()}
	for _, p := range group {
		e.Commands = append(e.Commands, p.command)
	}
	encoded, err := e.Encode()
	if err != nil {
		return nil, err
	}
	_, err = state.DecodeEntry(encoded)
	return encoded, err
}

// answer hands out an entry's events when it is applied. It waits past the end
// of the node's context, so that what was proposed before is answered as it was.
func (n *Node) answer(group []proposal, future raft.ApplyFuture) {
	fail := func(err error) {
		err = fmt.Errorf("propose: %w: %w", err, loop.ErrUnavailable)
		if fault.Planted("report a timed-out proposal as failed") {
			err = &loop.Error{Problem: "the proposal failed"}
		}
		for _, p := range group {
			p.answer <- answer{err: err}
		}
	}
	if err := n.wait(n.fly(future)); err != nil {
		fail(err)
		return
	}
	fault.Point("propose-answer")
	switch events := future.Response().(type) {
	case []state.Event:
		for i, p := range group {
			p.answer <- answer{event: events[i]}
		}
	case error:
		fail(events)
	default:
		fail(fmt.Errorf("apply answered %T", events))
	}
}
