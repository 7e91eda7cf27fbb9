package coordinator

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"hone/api"
	"hone/coordinator/state"
)

// pilot watches the nodes for a leader: it has who joined vote when it has been
// stable, and removes who has been gone for too long. It is raft-autopilot's
// ApplicationIntegration.
type pilot struct {
	n *Node

	mu sync.Mutex
	// report is autopilot's latest, nil while this node does not lead.
	report *autopilot.State
	// answered is when each node could last be asked, of those known since the term
	// began.
	answered map[raft.ServerID]time.Time
	// said is what each node said of itself then.
	said map[raft.ServerID]api.Node
}

// Times of the watch over the nodes.
const (
	pilotEvery  = time.Second
	stableAfter = 10 * time.Second
	// maxContact is how long a healthy node may go without its leader, and
	// maxTrailing how many entries it may be behind.
	maxContact  = 5 * time.Second
	maxTrailing = 4096
	// minVoters is how many voters a cluster keeps, dead or not.
	minVoters = 3
)

func newPilot(n *Node) *pilot { return &pilot{n: n} }

// fly watches until stop is called, which waits for its end.
func (p *pilot) fly(ctx context.Context) (stop func()) {
	if !p.n.o.clustered() {
		return func() {}
	}
	p.mu.Lock()
	p.answered, p.said = map[raft.ServerID]time.Time{}, map[raft.ServerID]api.Node{}
	p.mu.Unlock()
	logger := hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: newRaftLog(p.n.o.Logger), DisableTime: true})
	a := autopilot.New(p.n.raft, p, autopilot.WithLogger(logger),
		autopilot.WithUpdateInterval(pilotEvery), autopilot.WithReconcileInterval(2*pilotEvery), autopilot.WithPromoter(autopilot.DefaultPromoter()))
	// Its first look asks all nodes, and must not hold up the term.
	started := make(chan struct{})
	go func() { defer close(started); a.Start(ctx) }()
	return func() {
		// What it waits for in raft has no time-out of its own.
		stopped := make(chan struct{})
		go func() { defer close(stopped); <-started; <-a.Stop() }()
		patience := time.NewTimer(p.n.o.ProposeTimeout)
		defer patience.Stop()
		select {
		case <-stopped:
		case <-patience.C:
		}
		p.mu.Lock()
		p.report = nil
		p.mu.Unlock()
	}
}

// healthy reports whether a node is, as far as this leader knows.
func (p *pilot) healthy(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.report == nil {
		return false
	}
	s := p.report.Servers[raft.ServerID(name)]
	return s != nil && s.Health.Healthy
}

// watching reports whether this leader has looked at the nodes.
func (p *pilot) watching() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report != nil
}

// tolerates is how many voters may fail now without the cluster losing its voice.
func (p *pilot) tolerates() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.report == nil {
		return 0
	}
	return p.report.FailureTolerance
}

// heard is what a node said last, and when.
func (p *pilot) heard(name string) (api.Node, time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said, ok := p.said[raft.ServerID(name)]
	return said, p.answered[raft.ServerID(name)], ok
}

// AutopilotConfig is how nodes are judged.
func (p *pilot) AutopilotConfig() *autopilot.Config {
	return &autopilot.Config{CleanupDeadServers: p.n.o.DeadAfter > 0, LastContactThreshold: maxContact,
		MaxTrailingLogs: maxTrailing, MinQuorum: minVoters, ServerStabilizationTime: stableAfter}
}

// NotifyState takes a report.
func (p *pilot) NotifyState(s *autopilot.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report = s
}

// KnownServers are the members, as they said of themselves.
func (p *pilot) KnownServers() map[raft.ServerID]*autopilot.Server {
	servers, err := p.n.configuration()
	if err != nil {
		return nil
	}
	known := make(map[raft.ServerID]*autopilot.Server)
	p.n.View(func(s *state.State) {
		for _, member := range servers {
			about, _ := s.Node(string(member.ID))
			known[member.ID] = &autopilot.Server{ID: member.ID, Name: string(member.ID), Address: member.Address,
				Version: about.Build, RaftVersion: 3, IsLeader: string(member.ID) == p.n.o.Name, NodeType: autopilot.NodeVoter}
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for id, one := range known {
		last, ok := p.answered[id]
		if !ok {
			p.answered[id], last = now, now // its time begins with the term
		}
		switch silent := now.Sub(last); {
		case p.n.o.DeadAfter > 0 && silent >= p.n.o.DeadAfter:
			one.NodeStatus = autopilot.NodeFailed
		case silent >= maxContact:
			one.NodeStatus = autopilot.NodeUnknown // not healthy, and not removed either
		default:
			one.NodeStatus = autopilot.NodeAlive
		}
	}
	return known
}

// FetchServerStats asks every node how far it is.
func (p *pilot) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	urls := make(map[raft.ServerID]string, len(servers))
	p.n.View(func(s *state.State) {
		for id := range servers {
			if about, ok := s.Node(string(id)); ok && about.URL != "" {
				urls[id] = about.URL
			}
		}
	})
	var mu sync.Mutex
	stats := make(map[raft.ServerID]*autopilot.ServerStats)
	var asking sync.WaitGroup
	for id := range servers {
		asking.Go(func() {
			said, err := p.n.Self(), error(nil)
			if string(id) != p.n.o.Name {
				ask, done := context.WithTimeout(ctx, askTimeout)
				defer done()
				if said, err = p.n.o.ask.Node(ask, urls[id]); err != nil || said.Cluster != p.n.Cluster() {
					return
				}
			}
			mu.Lock()
			stats[id] = statsOf(said)
			mu.Unlock()
			p.mu.Lock()
			p.answered[id], p.said[id] = time.Now(), said
			p.mu.Unlock()
		})
	}
	asking.Wait()
	return stats
}

func statsOf(n api.Node) *autopilot.ServerStats {
	contact := time.Duration(n.ContactMillis) * time.Millisecond
	if n.ContactMillis < 0 {
		contact = -1
	}
	return &autopilot.ServerStats{LastContact: contact, LastTerm: n.LastTerm, LastIndex: n.LastIndex}
}

// RemoveFailedServer removes a node that has been gone for too long.
func (p *pilot) RemoveFailedServer(s *autopilot.Server) {
	p.n.o.Logger.Warn("a node has not been reached for too long, and is removed", "node", s.Name, "after", p.n.o.DeadAfter)
	go func() {
		ctx, done := context.WithTimeout(context.Background(), p.n.o.ProposeTimeout)
		defer done()
		if err := p.n.Remove(ctx, s.Name); err != nil && !errors.Is(err, context.Canceled) {
			p.n.o.Logger.Warn("the node was not removed; this is tried again", "node", s.Name, "error", err)
		}
	}()
}

// lastTerm is the term of the last entry of the log.
func (n *Node) lastTerm() uint64 {
	term, _ := strconv.ParseUint(n.raft.Stats()["last_log_term"], 10, 64)
	return term
}
