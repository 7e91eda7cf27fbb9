package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"golang.org/x/sync/errgroup"

	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// NodeOptions configure a node.
type NodeOptions struct {
	// Dir holds the log, the snapshots and the cluster's id. Required.
	Dir string
	// Name is what the node is called in its cluster, over restarts too. Default
	// "n1".
	Name string
	// Cluster is the id of the cluster that a node with a new Dir joins; one whose Dir
	// is of another cluster is refused. Where it is empty, a new Dir founds a cluster
	// of one.
	Cluster string
	// Join are URLs of nodes that a node asks to be admitted, beside those it knows.
	Join []string
	// Peers is how nodes reach each other; nil for a node that is alone.
	Peers *Peers
	// URL is where clients reach this node's HTTP API: they are sent there while it
	// leads.
	URL string
	// Build is the program's version, for people to see.
	Build string
	// DeadAfter is how long a node may not be reached before it is removed, as long
	// as more than half of the voters remain, and three. 0 means never.
	DeadAfter time.Duration
	// HangAfter is how long the log may stand still with something to write before
	// this node gives its leadership up, or stops. Default 5 s.
	HangAfter time.Duration
	// ProposeTimeout is how long a proposal may take before its outcome is
	// unknown. Default 10 s.
	ProposeTimeout time.Duration
	// MaxVersion is the latest encoding version that the node understands, as if it
	// were of an older build. Default state.LatestVersion.
	MaxVersion int
	// Logger receives the node's log; default discards it.
	Logger *slog.Logger

	// wire stands in for Peers, and ask for HTTP, where tests have a network of their
	// own.
	wire transport
	ask  asking
	// writing is called before entries are written to the log, where tests have a disk
	// that hangs.
	writing func()
	// now is the clock that an operator sets. Default time.Now.
	now func() time.Time
}

// clustered reports whether the node may have others beside it.
func (o *NodeOptions) clustered() bool { return o.Peers != nil || o.wire != nil }

// Node is one replica: its log, its state, and the way to propose to it.
type Node struct {
	o       NodeOptions
	machine *machine
	clock   *clock
	raft    *raft.Raft
	log     *nodeLog
	lock    *os.File
	// instance tells this node from another of its name. joined: it founded nothing.
	instance string
	joined   bool
	pilot    *pilot
	// proposals is where commands are put, and taken where the log takes them
	// from: the same channel, but where a test stands between.
	proposals chan proposal
	// serving is raft's term in which this node leads with all applied that was
	// committed before; 0 while it does not.
	serving atomic.Uint64
	// removing is held by the one removal that is under way: each counts on those who
	// stay.
	removing sync.Mutex
	// flying counts the entries that are on their way into the log.
	flying atomic.Int64
	taken  chan proposal
	// broken carries the reason why the node must stop.
	broken chan error
	// started is closed when raft runs, stopped when Run has ended.
	started, stopped chan struct{}
}

// NewNode opens the log in o.Dir, which it creates and bootstraps on first use,
// as a cluster of one. It starts nothing; Run does.
func NewNode(o NodeOptions) (*Node, error) {
	if o.ProposeTimeout == 0 {
		o.ProposeTimeout = 10 * time.Second
	}
	if o.Name == "" {
		o.Name = "n1"
	}
	if o.HangAfter == 0 {
		o.HangAfter = 5 * time.Second
	}
	if o.MaxVersion == 0 {
		o.MaxVersion = state.LatestVersion
	}
	if o.now == nil {
		o.now = func() time.Time { return fault.Time(time.Now()) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ask == nil {
		o.ask = askOverHTTP
	}
	if !loop.ValidName(o.Name) {
		return nil, &loop.Error{Field: "node", Problem: fmt.Sprintf("%q is not a node's name", o.Name),
			Remedy: "a letter, then up to 62 letters, digits, '_', '.' or '-'"}
	}
	n := &Node{o: o, clock: newClock(o.now), proposals: make(chan proposal), broken: make(chan error, 1), started: make(chan struct{}), stopped: make(chan struct{})}
	n.taken = n.proposals
	err := os.MkdirAll(filepath.Join(o.Dir, "log"), 0o755)
	if err == nil {
		err = errors.Join(syncDir(o.Dir), syncDir(filepath.Dir(o.Dir)))
	}
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	if n.instance, err = instance(o.Dir, o.Name); err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	id, joined, err := membership(o.Dir, o.Cluster)
	if err != nil {
		return nil, err
	}
	n.joined = joined
	n.pilot = newPilot(n)
	n.machine = newMachine(id, o.MaxVersion, n.clock, n.stop)
	return n, nil
}

// stop has Run return err; the first reason is the one that counts.
func (n *Node) stop(err error) {
	select {
	case n.broken <- err:
	default:
	}
}

// start opens the stores, and starts raft once the node is one of its cluster.
func (n *Node) start(ctx context.Context) (err error) {
	// The log's own lock would make a second node wait for ever, and say nothing.
	if n.lock, err = os.OpenFile(filepath.Join(n.o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return fmt.Errorf("open node: %w", err)
	}
	defer func() {
		if err != nil {
			_ = n.lock.Close() // nothing was written to it
		}
	}()
	if err := lockFile(n.lock); err != nil {
		return fmt.Errorf("open node: another one runs in %s: %w", n.o.Dir, err)
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: newRaftLog(n.o.Logger), DisableTime: true})
	snapshots, err := openSnapshots(n.o.Dir, 2, logger)
	if err != nil {
		return fmt.Errorf("open node: %w", err)
	}
	n.log, err = openLog(filepath.Join(n.o.Dir, "log"), snapshots, n.stop, logger)
	if err != nil {
		return fmt.Errorf("open node: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.log.Close())
		}
	}()
	n.log.writing = n.o.writing
	if err := n.log.belongs(n.Cluster(), n.instance); err != nil {
		return fmt.Errorf("open node: %w", err)
	}
	exists, err := raft.HasExistingState(n.log, n.log, snapshots)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if !exists && n.joined {
		if err := n.enter(ctx); err != nil {
			return err
		}
	}
	wire, err := n.wire(logger)
	if err != nil {
		return err
	}
	config := n.config(logger)
	if !exists && !n.joined {
		voters := raft.Configuration{Servers: []raft.Server{{ID: config.LocalID, Address: wire.LocalAddr()}}}
		if err := raft.BootstrapCluster(config, n.log, n.log, snapshots, wire, voters); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	if n.machine.replayed, err = n.log.LastIndex(); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	n.raft, err = raft.NewRaft(config, n.machine, n.log, n.log, snapshots, wire)
	if err != nil {
		if broken := n.machine.failed(); broken != nil {
			return broken // what raft says is that no snapshot could be restored
		}
		return fmt.Errorf("start raft: %w", err)
	}
	if f := n.raft.GetConfiguration(); !n.o.clustered() && f.Error() == nil && len(f.Configuration().Servers) > 1 {
		n.raft.Shutdown()
		return loop.Conflict("peer-listen", "node %s belongs to a cluster of %d, and alone decides nothing: start it with --node, and --peer-listen if others reach it at a port of its own", n.o.Name, len(f.Configuration().Servers))
	}
	return nil
}

// config is raft's.
func (n *Node) config(logger hclog.Logger) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(n.o.Name)
	config.Logger = logger
	// Without these two, entries that are proposed together reach the disk one
	// by one.
	config.BatchApplyCh = true
	config.MaxAppendEntries = 512
	config.ShutdownOnRemove = false // the node itself stops, and says why
	config.TrailingLogs = fault.Number("trailing-logs", 4096)
	config.SnapshotThreshold = fault.Number("snapshot-threshold", config.SnapshotThreshold)
	config.SnapshotInterval = time.Duration(fault.Number("snapshot-seconds", uint64(config.SnapshotInterval/time.Second))) * time.Second
	// A leader is missed after one to two of these, by each follower at a moment of its
	// own, and replaced when the last of them misses it (pre-vote). Heartbeats queue
	// behind the writing of the log, so shorter ones would take a slow disk for a death.
	config.HeartbeatTimeout = 750 * time.Millisecond
	config.ElectionTimeout = 750 * time.Millisecond
	if !n.o.clustered() {
		// A cluster of one has nobody to wait for.
		config.HeartbeatTimeout = 100 * time.Millisecond
		config.ElectionTimeout = 100 * time.Millisecond
		config.LeaderLeaseTimeout = 50 * time.Millisecond
		config.CommitTimeout = 5 * time.Millisecond
	}
	return config
}

// Run runs the replica until ctx ends or the node must stop. While the node
// leads, it runs lead with a context that ends with the leadership, whose cause
// says why; lead must return then.
func (n *Node) Run(ctx context.Context, lead func(ctx context.Context) error) (err error) {
	defer close(n.stopped)
	if err := n.start(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	close(n.started)
	defer func() { err = errors.Join(err, n.shutdown()) }()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		select {
		case err := <-n.broken:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	group.Go(func() error { return n.propose(ctx) })
	group.Go(func() error { return n.follow(ctx, lead) })
	group.Go(func() error { return n.announce(ctx) })
	group.Go(func() error { return n.watchdog(ctx) })
	err = group.Wait()
	if broken := n.machine.failed(); broken != nil {
		return broken
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// shutdown stops raft and closes the log. A disk that hangs holds both up for ever:
// then they are left behind.
func (n *Node) shutdown() error {
	done := make(chan error, 1)
	go func() {
		var err error
		if e := n.raft.Shutdown().Error(); e != nil {
			err = fmt.Errorf("stop raft: %w", e)
		}
		if e := n.log.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("close log: %w", e))
		}
		_ = n.lock.Close() // nothing was written to it
		done <- err
	}()
	timer := time.NewTimer(n.o.ProposeTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("stop raft: the log is not closed after %v: the disk hangs", n.o.ProposeTimeout)
	}
}

// Cluster is the id of the cluster that the node belongs to.
func (n *Node) Cluster() (id string) {
	n.View(func(s *state.State) { id = s.Cluster() })
	return id
}

// Sequence is that of the latest change that the node has applied.
func (n *Node) Sequence() (sequence uint64) {
	n.View(func(s *state.State) { sequence = s.Sequence() })
	return sequence
}

// View calls read with the state, which must not be kept or changed. read takes
// no lock and calls nothing that does: a writer that waits for the state keeps
// other readers out of it, whoever holds what they wait for.
func (n *Node) View(read func(*state.State)) {
	n.machine.mu.RLock()
	defer n.machine.mu.RUnlock()
	read(n.machine.state)
}

// Changed is closed when an entry has been applied after the call.
func (n *Node) Changed() <-chan struct{} {
	n.machine.mu.RLock()
	defer n.machine.mu.RUnlock()
	return n.machine.changed
}

// Changes returns up to max changes of the catalogue after a sequence. It waits
// until there is one, or ctx ends.
func (n *Node) Changes(ctx context.Context, after uint64, max int) ([]loop.Change, error) {
	for {
		changed := n.Changed()
		var changes []loop.Change
		n.View(func(s *state.State) { changes = s.Changes(after, max) })
		if len(changes) > 0 {
			return changes, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Leading reports whether the node believes that it leads.
func (n *Node) Leading() bool {
	select {
	case <-n.stopped:
		return false
	default:
	}
	select {
	case <-n.started:
		return n.raft.State() == raft.Leader
	default:
		return false
	}
}
