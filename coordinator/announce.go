package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// asking asks another node, at a URL: how it is, or to admit this one.
type asking interface {
	Node(ctx context.Context, url string) (api.Node, error)
	Join(ctx context.Context, url string, j api.Join) error
}

type overHTTP struct{}

var askOverHTTP asking = overHTTP{}

// askTimeout is how long another node may take to say how it is.
const askTimeout = 2 * time.Second

func (overHTTP) client(url string) *api.Client {
	c := api.New(url)
	c.Patience = 0
	return c
}

func (h overHTTP) Node(ctx context.Context, url string) (api.Node, error) {
	return h.client(url).Node(ctx)
}

func (h overHTTP) Join(ctx context.Context, url string, j api.Join) error {
	_, err := h.client(url).Join(ctx, j)
	return err
}

// announceEvery is how often a node looks whether its cluster knows it as it is.
const announceEvery = time.Second

// lonely is how long a node hears no leader before it asks whether it was removed.
const lonely = 5 * time.Second

// announce has the cluster know this node as it is: where it is reached, and which
// versions it understands. A node that it does not know joins so.
func (n *Node) announce(ctx context.Context) error {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	told := ""
	for {
		err := n.introduce(ctx)
		if errors.Is(err, loop.ErrConflict) {
			return fmt.Errorf("join: %w", err)
		}
		if err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			n.o.Logger.Warn("the cluster does not know this node yet", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// enter has the cluster admit a node that holds nothing yet, before raft runs. Raft
// would at once vote and acknowledge as the one of its name that may have been there
// before, whose disk is lost, and whose promises nobody remembers.
func (n *Node) enter(ctx context.Context) error {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	if len(n.o.Join) == 0 {
		return loop.Conflict("join", "node %s joins cluster %s, and has heard nothing of it yet: start it with --join", n.o.Name, n.Cluster())
	}
	told := ""
	for {
		err := n.introduce(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, loop.ErrConflict) {
			return fmt.Errorf("join: %w", err)
		}
		if ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			n.o.Logger.Warn("the cluster has not admitted this node yet", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// introduce tells the leader what this node is, unless that is known.
func (n *Node) introduce(ctx context.Context) error {
	about := n.about()
	var known state.Node
	var urls []string
	n.View(func(s *state.State) {
		known, _ = s.Node(about.Name)
		for _, other := range s.Nodes() {
			if other.Name != about.Name && other.URL != "" {
				urls = append(urls, other.URL)
			}
		}
	})
	if n.Leading() { // a new leader has introduced itself before its term began
		return nil
	}
	if known == about && time.Since(n.raft.LastContact()) < lonely {
		return nil
	}
	if !n.o.clustered() {
		return nil // a cluster of one is about to lead
	}
	urls = append(slices.Clone(n.o.Join), urls...)
	if leader, ok := n.Leader(); ok && leader.URL != "" {
		urls = append([]string{leader.URL}, urls...)
	}
	var problems []string
	for i, url := range urls {
		if slices.Contains(urls[:i], url) {
			continue
		}
		ask, done := context.WithTimeout(ctx, askTimeout)
		err := n.o.ask.Join(ask, url, api.Join{Cluster: n.Cluster(), Node: api.Node{Name: about.Name, Instance: about.Instance,
			URL: about.URL, Address: about.Address, Version: about.Version, Build: about.Build}})
		done()
		if err == nil || errors.Is(err, loop.ErrConflict) {
			return err
		}
		problems = append(problems, fmt.Sprintf("%s: %v", url, err))
	}
	if len(problems) == 0 || known == about {
		return nil // nobody to ask, or nobody who answers, and the cluster knows this node
	}
	return errors.New(strings.Join(problems, "; "))
}
