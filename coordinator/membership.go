package coordinator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// about is what the node says of itself.
func (n *Node) about() state.Node {
	return state.Node{Name: n.o.Name, Instance: n.instance, URL: n.o.URL, Address: n.address(),
		Version: n.o.MaxVersion, Build: n.o.Build}
}

// configuration is who belongs to the cluster, as raft knows it.
func (n *Node) configuration() ([]raft.Server, error) {
	f := n.raft.GetConfiguration()
	if err := n.wait(f); err != nil {
		return nil, fmt.Errorf("members: %w: %w", err, loop.ErrUnavailable)
	}
	return f.Configuration().Servers, nil
}

func memberOf(servers []raft.Server, name string) (raft.Server, bool) {
	i := slices.IndexFunc(servers, func(s raft.Server) bool { return string(s.ID) == name })
	if i < 0 {
		return raft.Server{}, false
	}
	return servers[i], true
}

// Admit notes what a node says of itself, and lets a new one join: it receives the
// log, and votes when it has been stable for a while. Only a leader can; repeated,
// it changes nothing.
func (n *Node) Admit(ctx context.Context, cluster string, who state.Node) error {
	if own := n.Cluster(); cluster != own {
		return loop.Conflict("cluster", "node %s belongs to cluster %s, and this one is %s: start it with an empty --data to join this one", who.Name, cluster, own)
	}
	if who.Address == "" && who.Name != n.o.Name {
		return &loop.Error{Field: "address", Problem: "node " + who.Name + " does not say where other nodes reach it"}
	}
	if n.address() == "" && who.Name != n.o.Name {
		return loop.Conflict("peer-listen", "node %s listens to no other nodes: start it again with --peer-listen HOST:PORT", n.o.Name)
	}
	servers, err := n.configuration()
	if err != nil {
		return err
	}
	var known state.Node
	n.View(func(s *state.State) { known, _ = s.Node(who.Name) })
	member, ok := memberOf(servers, who.Name)
	if ok && known == (state.Node{}) && who.Name != n.o.Name {
		// One of this name was forgotten, and its removal went no further. Who comes
		// in its place holds nothing, and must not have its vote.
		if err := n.changed("remove "+who.Name, n.raft.RemoveServer(member.ID, 0, n.o.ProposeTimeout)); err != nil {
			return err
		}
		ok = false
	}
	if known != who {
		if _, err := n.Propose(ctx, state.Command{RegisterNode: &state.RegisterNode{Node: who}}); err != nil {
			return err
		}
	}
	if ok {
		return nil
	}
	n.o.Logger.Info("a node joins", "node", who.Name, "address", who.Address)
	return n.changed("add "+who.Name, n.raft.AddNonvoter(raft.ServerID(who.Name), raft.ServerAddress(who.Address), 0, n.o.ProposeTimeout))
}

// changed waits for a change of raft's configuration.
func (n *Node) changed(what string, f raft.Future) error {
	if err := n.wait(f); err != nil {
		return fmt.Errorf("%s: %w: %w", what, err, loop.ErrUnavailable)
	}
	return nil
}

// Promote lets a node that has joined vote at once.
func (n *Node) Promote(name string) error {
	servers, err := n.configuration()
	if err != nil {
		return err
	}
	member, ok := memberOf(servers, name)
	if !ok {
		return loop.NotFound("node", "no node %q has joined: start it with --join, and it asks to be admitted by itself", name)
	}
	if member.Suffrage == raft.Voter {
		return nil
	}
	return n.changed("add "+name, n.raft.AddVoter(member.ID, member.Address, 0, n.o.ProposeTimeout))
}

// Remove removes a node for good: the same one comes back only on an empty
// directory. It is refused where too few of the rest could decide anything. A
// leader that is to remove itself gives its leadership up, and leaves it to the next.
func (n *Node) Remove(ctx context.Context, name string) error {
	n.removing.Lock()
	defer n.removing.Unlock()
	servers, err := n.configuration()
	if err != nil {
		return err
	}
	var known state.Node
	var registered bool
	n.View(func(s *state.State) { known, registered = s.Node(name) })
	member, ok := memberOf(servers, name)
	if !ok && !registered {
		return loop.NotFound("node", "no node is called %q", name)
	}
	if ok && member.Suffrage == raft.Voter {
		if err := n.spare(servers, name); err != nil {
			return err
		}
	}
	if name == n.o.Name {
		if err := n.Transfer(""); err != nil {
			return err
		}
		return fmt.Errorf("remove %s: it led, and another node does now: %w", name, loop.ErrUnavailable)
	}
	if registered {
		forget := state.Command{ForgetNode: &state.ForgetNode{Name: name, Instance: known.Instance}}
		if _, err := n.Propose(ctx, forget); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	n.o.Logger.Info("a node is removed", "node", name)
	return n.changed("remove "+name, n.raft.RemoveServer(member.ID, 0, n.o.ProposeTimeout))
}

// spare refuses to remove a voter without whom the others could not go on.
func (n *Node) spare(servers []raft.Server, name string) error {
	if n.o.clustered() && !n.pilot.watching() {
		return fmt.Errorf("remove %s: how the others are is not known yet: %w", name, loop.ErrUnavailable)
	}
	left, healthy := 0, 0
	for _, s := range servers {
		if s.Suffrage == raft.Voter && string(s.ID) != name {
			left++
			if string(s.ID) == n.o.Name || n.pilot.healthy(string(s.ID)) {
				healthy++
			}
		}
	}
	switch {
	case left == 0:
		return loop.Conflict("node", "%s is the last node that votes, and without it there is no cluster: let another join first", name)
	case healthy <= left/2:
		return loop.Conflict("node", "without %s only %d of %d nodes that vote would be healthy, too few to decide anything: bring the others back, or remove them first", name, healthy, left)
	}
	return nil
}

// Transfer hands leadership to a node, or to whichever has most of the log.
func (n *Node) Transfer(to string) error {
	servers, err := n.configuration()
	if err != nil {
		return err
	}
	if to == "" {
		if !slices.ContainsFunc(servers, func(s raft.Server) bool { return s.Suffrage == raft.Voter && string(s.ID) != n.o.Name }) {
			return loop.Conflict("to", "no other node votes: there is nobody to lead in place of %s", n.o.Name)
		}
		return n.changed("transfer leadership", n.raft.LeadershipTransfer())
	}
	member, ok := memberOf(servers, to)
	switch {
	case !ok:
		return loop.NotFound("to", "no node is called %q", to)
	case member.Suffrage != raft.Voter:
		return loop.Conflict("to", "%s does not vote yet, and so cannot lead: wait, or hone cluster add %s", to, to)
	case to == n.o.Name:
		return nil
	}
	return n.changed("transfer leadership to "+to, n.raft.LeadershipTransferToServer(member.ID, member.Address))
}

// Leader is the node that leads as far as this one knows, which may be itself; ok is
// false where it knows of none.
func (n *Node) Leader() (leader state.Node, ok bool) {
	select {
	case <-n.started:
	default:
		return state.Node{}, false
	}
	_, id := n.raft.LeaderWithID()
	if id == "" {
		return state.Node{}, false
	}
	n.View(func(s *state.State) { leader, ok = s.Node(string(id)) })
	return leader, ok
}

// Verify makes sure that this node led when it was called (for reads that may not be
// stale): more than half of the voters say so.
func (n *Node) Verify() error {
	select {
	case <-n.started:
	default:
		return fmt.Errorf("the node has not started: %w", loop.ErrUnavailable)
	}
	if err := n.wait(n.raft.VerifyLeader()); err != nil {
		return fmt.Errorf("%w: %w", err, loop.ErrUnavailable)
	}
	// Deposed and elected anew, it may not have applied what others committed between.
	if n.serving.Load() != n.raft.CurrentTerm() {
		return fmt.Errorf("this node has just begun to lead: %w", loop.ErrUnavailable)
	}
	return nil
}

// Self is how the node is, by itself.
func (n *Node) Self() api.Node {
	about := n.about()
	out := api.Node{Name: about.Name, Instance: about.Instance, Cluster: n.Cluster(), URL: about.URL,
		Address: about.Address, Role: "starting", Version: about.Version, Build: about.Build, ContactMillis: -1}
	n.View(func(s *state.State) { out.Sequence = s.Sequence() })
	out.Checkpoint = n.machine.checkpoint()
	select {
	case <-n.started:
	default:
		return out
	}
	switch n.raft.State() {
	case raft.Leader:
		out.Role, out.ContactMillis = "leader", 0
	case raft.Shutdown:
		out.Role = "stopped"
	default:
		out.Role = "follower"
		if last := n.raft.LastContact(); !last.IsZero() {
			out.ContactMillis = time.Since(last).Milliseconds()
		}
	}
	_, leader := n.raft.LeaderWithID()
	out.Leader, out.Term = string(leader), n.raft.CurrentTerm()
	out.LastIndex, out.Applied = n.raft.LastIndex(), n.raft.AppliedIndex()
	out.LastTerm = n.lastTerm()
	return out
}
