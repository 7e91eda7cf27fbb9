package coordinator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// checkpoint is the digest of the state at one place in the log. The state is frozen
// there; its digest is computed while others go on.
type checkpoint struct {
	index    uint64
	sequence uint64
	done     chan struct{}
	digest   loop.Digest
}

func newCheckpoint(index uint64, s *state.State) *checkpoint {
	p := &checkpoint{index: index, sequence: s.Sequence(), done: make(chan struct{})}
	frozen := s.Snapshot()
	go func() {
		defer close(p.done)
		p.digest = frozen.Digest()
	}()
	return p
}

// checkpoint is the latest of which the digest is known, nil if there is none.
func (m *machine) checkpoint() *api.Checkpoint {
	m.mu.RLock()
	p := m.point
	m.mu.RUnlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return &api.Checkpoint{Index: p.index, Sequence: p.sequence, Digest: p.digest.String()}
	default:
		return nil
	}
}

// Compare has every node note its state's digest at one place in the log, and
// compares them (I6). Who does not answer in time is left out, with the reason.
func (n *Node) Compare(ctx context.Context) (api.Verification, error) {
	if _, err := n.Propose(ctx, state.Command{Checkpoint: &state.Checkpoint{}}); err != nil {
		return api.Verification{}, err
	}
	n.machine.mu.RLock()
	own := n.machine.point
	n.machine.mu.RUnlock()
	if own == nil {
		return api.Verification{}, fmt.Errorf("verify: a snapshot was restored meanwhile: %w", loop.ErrUnavailable)
	}
	select {
	case <-own.done:
	case <-ctx.Done():
		return api.Verification{}, context.Cause(ctx)
	}
	out := api.Verification{Index: own.index, Sequence: own.sequence, Digest: own.digest.String()}
	var nodes []state.Node
	n.View(func(s *state.State) { nodes = s.Nodes() })
	out.Nodes = make([]api.NodeDigest, len(nodes))
	var asking sync.WaitGroup
	for i, who := range nodes {
		out.Nodes[i].Name = who.Name
		asking.Go(func() { n.compareWith(ctx, who, own, &out.Nodes[i]) })
	}
	asking.Wait()
	out.Equal = true
	for _, d := range out.Nodes {
		out.Equal = out.Equal && (d.Digest == "" || d.Digest == out.Digest)
	}
	return out, nil
}

// comparePatience is how long a node may take to get to a checkpoint.
const comparePatience = 10 * time.Second

func (n *Node) compareWith(ctx context.Context, who state.Node, own *checkpoint, out *api.NodeDigest) {
	if who.Name == n.o.Name {
		out.Digest = own.digest.String()
		return
	}
	ctx, done := context.WithTimeout(ctx, comparePatience)
	defer done()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		said, err := n.o.ask.Node(ctx, who.URL)
		switch {
		case err != nil:
			out.Problem = err.Error()
		case said.Checkpoint == nil || said.Checkpoint.Index < own.index:
			out.Problem = fmt.Sprintf("it is at entry %d, %d behind", said.Applied, own.index-min(own.index, said.Applied))
		case said.Checkpoint.Index > own.index:
			out.Problem = "another comparison came between: try again"
			return
		default:
			out.Digest, out.Problem = said.Checkpoint.Digest, ""
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}
