package coordinator

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/hashicorp/raft"

	"hone/api"
	"hone/coordinator/state"
)

type joining struct{ Body api.Join }

type memberPath struct {
	Name string `path:"name" doc:"The node's name"`
}

type transferring struct{ Body api.Transfer }

// cluster adds the routes by which nodes and operators keep the cluster.
func (c *Control) cluster(to huma.API) {
	huma.Register(to, operation(http.MethodGet, "/v1/node", "node", "How this very node is", "Cluster"), answering(c, c.showNode))
	huma.Register(to, operation(http.MethodGet, "/v1/cluster", "cluster", "Who belongs to the cluster", "Cluster"), answering(c, c.showCluster))
	huma.Register(to, operation(http.MethodPost, "/v1/cluster/members", "join", "Admit a node", "Cluster"), answering(c, c.join))
	huma.Register(to, operation(http.MethodPost, "/v1/cluster/members/{name}/vote", "promote", "Let a node that has joined vote at once", "Cluster"), answering(c, c.promote))
	huma.Register(to, operation(http.MethodDelete, "/v1/cluster/members/{name}", "remove", "Remove a node for good", "Cluster"), answering(c, c.remove))
	huma.Register(to, operation(http.MethodPost, "/v1/cluster/transfer", "transfer", "Hand leadership to another node", "Cluster"), answering(c, c.transfer))
	huma.Register(to, operation(http.MethodPost, "/v1/cluster/verify", "verify", "Compare the states of all nodes", "Cluster"), answering(c, c.verify))
	huma.Register(to, operation(http.MethodPost, "/v1/cluster/clock", "confirm-clock", "Say that the leader's clock is right", "Cluster"), answering(c, c.confirmClock))
	huma.Register(to, streams(operation(http.MethodGet, "/v1/cluster/snapshot", "snapshot", "The state as one file", "Cluster"),
		"application/octet-stream", "The state, and its SHA-256"), c.snapshot)
}

func (c *Control) showNode(context.Context, *struct{}) (api.Node, error) { return c.c.node.Self(), nil }

func (c *Control) showCluster(context.Context, *struct{}) (api.Cluster, error) {
	return c.c.node.Members()
}

func (c *Control) join(ctx context.Context, in *joining) (api.Cluster, error) {
	who := in.Body.Node
	err := c.c.node.Admit(ctx, in.Body.Cluster, state.Node{Name: who.Name, Instance: who.Instance, URL: who.URL,
		Address: who.Address, Version: who.Version, Build: who.Build})
	if err != nil {
		return api.Cluster{}, err
	}
	return c.c.node.Members()
}

func (c *Control) promote(_ context.Context, in *memberPath) (api.Cluster, error) {
	if err := c.c.node.Promote(in.Name); err != nil {
		return api.Cluster{}, err
	}
	return c.c.node.Members()
}

func (c *Control) remove(ctx context.Context, in *memberPath) (api.Cluster, error) {
	if err := c.c.node.Remove(ctx, in.Name); err != nil {
		return api.Cluster{}, err
	}
	return c.c.node.Members()
}

func (c *Control) transfer(_ context.Context, in *transferring) (api.Cluster, error) {
	if err := c.c.node.Transfer(in.Body.To); err != nil {
		return api.Cluster{}, err
	}
	return c.c.node.Members()
}

func (c *Control) verify(ctx context.Context, _ *struct{}) (api.Verification, error) {
	return c.c.node.Compare(ctx)
}

func (c *Control) confirmClock(context.Context, *struct{}) (api.Cluster, error) {
	c.c.node.ConfirmClock()
	return c.c.node.Members()
}

func (c *Control) snapshot(context.Context, *struct{}) (*huma.StreamResponse, error) {
	frozen, err := c.c.node.freeze()
	if err != nil {
		return nil, c.problem(err)
	}
	return &huma.StreamResponse{Body: func(to huma.Context) {
		to.SetHeader("Content-Type", "application/octet-stream")
		if err := frozen.Encode(to.BodyWriter()); err != nil {
			c.c.log.Warn("a snapshot was not sent whole", "error", err)
			panic(http.ErrAbortHandler) // half of it must not look like all of it
		}
	}}, nil
}

// Members is the cluster as this node sees it.
func (n *Node) Members() (api.Cluster, error) {
	servers, err := n.configuration()
	if err != nil {
		return api.Cluster{}, err
	}
	self := n.Self()
	out := api.Cluster{ID: self.Cluster, Leader: self.Leader, Term: self.Term, Sequence: self.Sequence,
		Version: n.EncodingVersion(), Tolerate: n.pilot.tolerates(), Members: []api.Member{}}
	var nodes []state.Node
	n.View(func(s *state.State) { nodes = s.Nodes() })
	known := make(map[string]state.Node, len(nodes))
	for _, about := range nodes {
		known[about.Name] = about
	}
	for _, s := range servers {
		name := string(s.ID)
		m := api.Member{Name: name, Role: "voter", Address: string(s.Address), ContactMillis: -1}
		if about, ok := known[name]; ok {
			m.URL, m.Version, m.Build = about.URL, about.Version, about.Build
			if about.Address != "" {
				m.Address = about.Address
			}
		} else {
			m.Role = "forgotten"
		}
		switch {
		case name == self.Leader:
			m.Role = "leader"
		case s.Suffrage != raft.Voter:
			m.Role = "joining"
		}
		if said, last, ok := n.pilot.heard(name); ok {
			m.LastIndex, m.ContactMillis = said.LastIndex, said.ContactMillis
			m.SilentMillis = time.Since(last).Milliseconds()
		}
		m.Healthy = n.pilot.healthy(name)
		if name == n.o.Name {
			m.LastIndex, m.ContactMillis, m.SilentMillis = self.LastIndex, self.ContactMillis, 0
			m.Healthy = m.Healthy || self.Role == "leader"
		}
		out.Members = append(out.Members, m)
	}
	slices.SortFunc(out.Members, func(a, b api.Member) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// freeze is the state as it is now.
func (n *Node) freeze() (*state.Frozen, error) {
	n.machine.mu.Lock()
	defer n.machine.mu.Unlock()
	if n.machine.broken != nil {
		return nil, n.machine.broken
	}
	return n.machine.state.Snapshot(), nil
}
