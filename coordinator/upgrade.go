package coordinator

import (
	"context"
	"fmt"
	"time"

	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// upgrade puts the latest encoding version in force that all nodes understand, as
// soon as they do, for as long as this one leads (C25).
func (n *Node) upgrade(ctx context.Context) {
	for {
		changed := n.Changed()
		inForce, understood, err := n.versions()
		if inForce >= n.o.MaxVersion {
			return
		}
		if err == nil && understood > inForce {
			_, err = n.Propose(ctx, state.Command{RaiseVersion: &state.RaiseVersion{To: understood}})
			if err == nil {
				n.o.Logger.Info("encoding version raised", "version", understood)
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			n.o.Logger.Warn("cannot raise the encoding version", "error", err)
		}
		// Asked again also when nothing changes: an answer may have been lost.
		select {
		case <-changed:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// versions are the encoding version in force and the latest that every member of the
// cluster has said that it understands: the first one, as long as one has said nothing.
func (n *Node) versions() (inForce, understood int, err error) {
	configuration := n.raft.GetConfiguration()
	if err := n.wait(configuration); err != nil {
		return 0, 0, fmt.Errorf("read the members: %w", err)
	}
	understood = n.o.MaxVersion
	n.View(func(s *state.State) {
		inForce = s.Version()
		for _, member := range configuration.Configuration().Servers {
			registered, ok := s.Node(string(member.ID))
			if !ok {
				registered.Version = state.FirstVersion
			}
			understood = min(understood, registered.Version)
		}
	})
	return inForce, understood, nil
}

// admit refuses a command that the version in force does not have (C25): in the log
// it would stop the nodes that know no other.
func (n *Node) admit(c *state.Command) error {
	if c.Needs() == state.FirstVersion || fault.Planted("write a version that is not in force") {
		return nil
	}
	var refused *state.Refused
	n.View(func(s *state.State) { refused = s.CheckVersion(c) })
	switch {
	case refused == nil:
		return nil
	case refused.Reason == state.Stale: // it is about to be raised
		return fmt.Errorf("propose: %w: %w", refused.Err, loop.ErrUnavailable)
	}
	return refusal(*refused)
}

// EncodingVersion is the one in force (C25): what only later versions have must not be
// proposed.
func (n *Node) EncodingVersion() (version int) {
	n.View(func(s *state.State) { version = s.Version() })
	return version
}
