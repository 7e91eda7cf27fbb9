package coordinator

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// trio is three stock raft nodes in one bubble, on raft's own network transport
// over pipes: what the library does, without what this package adds to it.
type trio struct {
	t     *testing.T
	net   *fates
	nodes []*replica
}

type replica struct {
	name      raft.ServerID
	raft      *raft.Raft
	config    *raft.Config
	log       raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
	transport raft.Transport
	journal   *journal
	connect   func() raft.Transport
	// stale has a token when the log asks for raft to be started again.
	stale chan error
}

// parts is what a replica of a trio is made of; a test replaces some of them.
type parts struct {
	// transport stands around raft's own.
	transport func(raft.Transport) raft.Transport
	// stores makes a node's stores; default raft's in-memory ones.
	stores func(t *testing.T, n *replica)
	// config changes raft's defaults.
	config func(*raft.Config)
}

func newTrio(t *testing.T, p parts) *trio {
	trio := &trio{t: t, net: &fates{}}
	streams := &pipes{listening: make(map[raft.ServerAddress]*pipeEnd)}
	var voters raft.Configuration
	for _, name := range []raft.ServerID{"a", "b", "c"} {
		voters.Servers = append(voters.Servers, raft.Server{ID: name, Address: raft.ServerAddress(name)})
	}
	for _, server := range voters.Servers {
		n := &replica{name: server.ID, config: raft.DefaultConfig(), journal: &journal{}, stale: make(chan error, 1)}
		n.config.LocalID = server.ID
		n.config.Logger = hclog.NewNullLogger()
		if p.config != nil {
			p.config(n.config)
		}
		if p.stores != nil {
			p.stores(t, n)
		} else {
			inMemory(t, n)
		}
		n.connect = func() raft.Transport {
			var transport raft.Transport = raft.NewNetworkTransportWithLogger(streams.listen(server.Address), 3, 10*time.Second, hclog.NewNullLogger())
			if p.transport != nil {
				transport = p.transport(transport)
			}
			return lossy{transport, server.ID, trio.net}
		}
		n.transport = n.connect()
		if err := raft.BootstrapCluster(n.config, n.log, n.stable, n.snapshots, n.transport, voters); err != nil {
			t.Fatal(err)
		}
		trio.nodes = append(trio.nodes, n)
		n.start(t)
	}
	t.Cleanup(func() {
		for _, n := range trio.nodes {
			n.stop(t)
		}
	})
	return trio
}

func inMemory(_ *testing.T, n *replica) {
	store := raft.NewInmemStore()
	n.log, n.stable, n.snapshots = store, store, raft.NewInmemSnapshotStore()
}

// onDisk is raft-wal as it comes, with raft's snapshots in files.
func onDisk(t *testing.T, n *replica) {
	dir := t.TempDir()
	store, err := wal.Open(dir, wal.WithLogger(n.config.Logger))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	n.log, n.stable = store, store
	if n.snapshots, err = raft.NewFileSnapshotStoreWithLogger(dir, 2, n.config.Logger); err != nil {
		t.Fatal(err)
	}
}

// ours is what a Node has.
func ours(t *testing.T, n *replica) {
	dir := t.TempDir()
	snapshots, err := openSnapshots(dir, 2, n.config.Logger)
	if err != nil {
		t.Fatal(err)
	}
	store, err := openLog(dir, snapshots, func(err error) { n.stale <- err }, n.config.Logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	n.log, n.stable, n.snapshots = store, store, snapshots
}

func (n *replica) start(t *testing.T) {
	t.Helper()
	var err error
	if n.raft, err = raft.NewRaft(n.config, n.journal, n.log, n.stable, n.snapshots, n.transport); err != nil {
		t.Fatal(err)
	}
}

func (n *replica) stop(t *testing.T) {
	t.Helper()
	if err := n.raft.Shutdown().Error(); err != nil {
		t.Error(err)
	}
}

// run lets time pass, in which nodes that ask for it are started again.
func (c *trio) run(d time.Duration) {
	c.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		synctest.Wait()
		for _, n := range c.nodes {
			select {
			case <-n.stale:
				n.stop(c.t)
				n.transport = n.connect()
				n.start(c.t)
			default:
			}
		}
	}
}

// leader waits for one that is none of those given, and puts it first.
func (c *trio) leader(but ...*replica) (leader *replica, others []*replica) {
	c.t.Helper()
	for range 10_000 {
		for i, n := range c.nodes {
			if n.raft.State() == raft.Leader && !slices.Contains(but, n) {
				return n, slices.Concat(c.nodes[:i], c.nodes[i+1:])
			}
		}
		time.Sleep(time.Millisecond)
	}
	c.t.Fatal("nobody leads after 10 s")
	return nil, nil
}

// agree waits until the given nodes have applied the same, and says what.
func (c *trio) agree(nodes ...*replica) []string {
	c.t.Helper()
	for range 10_000 {
		synctest.Wait()
		first := nodes[0].journal.lines()
		if !slices.ContainsFunc(nodes[1:], func(n *replica) bool { return !slices.Equal(n.journal.lines(), first) }) {
			return first
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (n *replica) apply(t *testing.T, line string) {
	t.Helper()
	if err := n.raft.Apply([]byte(line), 0).Error(); err != nil {
		t.Fatalf("apply %q at %s: %v", line, n.name, err)
	}
}

// journal is a state machine that remembers every entry.
type journal struct {
	mu       sync.Mutex
	entries  []string
	restores int
}

func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

func (j *journal) installs() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.restores
}

func (j *journal) Apply(log *raft.Log) any {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, string(log.Data))
	return nil
}

func (j *journal) Snapshot() (raft.FSMSnapshot, error) { return page(j.lines()), nil }

func (j *journal) Restore(r io.ReadCloser) error {
	defer r.Close()
	var entries []string
	if err := json.NewDecoder(r).Decode(&entries); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = entries
	j.restores++
	return nil
}

type page []string

func (p page) Persist(sink raft.SnapshotSink) error {
	return errors.Join(json.NewEncoder(sink).Encode(p), sink.Close())
}
func (page) Release() {}

// fates say what becomes of a request: its error is what the sender gets
// instead of an answer.
type fates struct {
	mu   sync.Mutex
	fate func(from, to raft.ServerID, request any) error
}

var errLost = errors.New("lost on its way")

func (n *fates) decide(fate func(from, to raft.ServerID, request any) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fate = fate
}

// cut isolates a node, but for what let passes.
func (n *fates) cut(node raft.ServerID, let func(from raft.ServerID, request any) bool) {
	n.decide(func(from, to raft.ServerID, request any) error {
		if (from == node || to == node) && (let == nil || !let(from, request)) {
			return errLost
		}
		return nil
	})
}

func (n *fates) heal() { n.decide(nil) }

func (n *fates) ask(from, to raft.ServerID, request any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fate == nil {
		return nil
	}
	return n.fate(from, to, request)
}

// lossy is a transport whose requests the fates decide about.
type lossy struct {
	raft.Transport
	from raft.ServerID
	net  *fates
}

func (l lossy) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

func (l lossy) AppendEntries(id raft.ServerID, to raft.ServerAddress, request *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	if err := l.net.ask(l.from, id, request); err != nil {
		return err
	}
	return l.Transport.AppendEntries(id, to, request, answer)
}

func (l lossy) RequestVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestVoteRequest, answer *raft.RequestVoteResponse) error {
	if err := l.net.ask(l.from, id, request); err != nil {
		return err
	}
	return l.Transport.RequestVote(id, to, request, answer)
}

func (l lossy) RequestPreVote(id raft.ServerID, to raft.ServerAddress, request *raft.RequestPreVoteRequest, answer *raft.RequestPreVoteResponse) error {
	if err := l.net.ask(l.from, id, request); err != nil {
		return err
	}
	return l.Transport.(raft.WithPreVote).RequestPreVote(id, to, request, answer)
}

func (l lossy) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, request *raft.InstallSnapshotRequest, answer *raft.InstallSnapshotResponse, state io.Reader) error {
	if err := l.net.ask(l.from, id, request); err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // a loop of these would let no time pass
	return l.Transport.InstallSnapshot(id, to, request, answer, state)
}

func (l lossy) TimeoutNow(id raft.ServerID, to raft.ServerAddress, request *raft.TimeoutNowRequest, answer *raft.TimeoutNowResponse) error {
	if err := l.net.ask(l.from, id, request); err != nil {
		return err
	}
	return l.Transport.TimeoutNow(id, to, request, answer)
}

func (l lossy) Close() error { return l.Transport.(raft.WithClose).Close() }

// pipes connect transports within one process.
type pipes struct {
	mu        sync.Mutex
	listening map[raft.ServerAddress]*pipeEnd
}

// pipeEnd is where one node listens.
type pipeEnd struct {
	all     *pipes
	address raft.ServerAddress
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
	mu      sync.Mutex
	near    []net.Conn // raft's transport does not close what it keeps for later
}

func (p *pipes) listen(address raft.ServerAddress) *pipeEnd {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := &pipeEnd{all: p, address: address, dialled: make(chan net.Conn), closed: make(chan struct{})}
	p.listening[address] = end
	return end
}

func (e *pipeEnd) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	e.all.mu.Lock()
	there := e.all.listening[address]
	e.all.mu.Unlock()
	near, far := net.Pipe()
	e.mu.Lock()
	e.near = append(e.near, near)
	e.mu.Unlock()
	select {
	case there.dialled <- far:
		return near, nil
	case <-there.closed:
		return nil, net.ErrClosed
	case <-time.After(timeout):
		return nil, errLost
	}
}

func (e *pipeEnd) Accept() (net.Conn, error) {
	select {
	case conn := <-e.dialled:
		return conn, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

func (e *pipeEnd) Close() error {
	e.once.Do(func() { close(e.closed) })
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, conn := range e.near {
		_ = conn.Close() // a pipe's cannot fail
	}
	return nil
}

func (e *pipeEnd) Addr() net.Addr  { return e }
func (e *pipeEnd) Network() string { return "pipe" }
func (e *pipeEnd) String() string  { return string(e.address) }
