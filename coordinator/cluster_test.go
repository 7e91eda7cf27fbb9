package coordinator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// cluster is some nodes in one bubble, on disks of their own and over a network that
// can be cut.
type cluster struct {
	t       *testing.T
	dir     string
	network *network
	members map[string]*member
	// lead is what nodes do while they lead; default: nothing.
	lead func(ctx context.Context, n *Node) error
	// began is told of a node that is about to run.
	began func(ctx context.Context, n *Node)
	// options changes a node's before it starts.
	options func(*NodeOptions)
}

// member is one node, running or not.
type member struct {
	*Node
	name string
	end  context.CancelFunc
	done chan error
}

// inCluster runs a test of that many nodes, n1 and so on, all of them voters and one
// of them leading.
func inCluster(t *testing.T, size int, test func(t *testing.T, c *cluster)) {
	t.Helper()
	inBubbleOf(t, t.TempDir(), func(t *testing.T, c *cluster) {
		c.grow(size)
		test(t, c)
	})
}

// inBubbleOf runs a test of a cluster without a node yet.
func inBubbleOf(t *testing.T, dir string, test func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, dir: dir, network: newNetwork(), members: map[string]*member{}}
		defer c.stopAll()
		test(t, c)
	})
}

// grow starts nodes until there are so many, and waits until all vote.
func (c *cluster) grow(size int) {
	c.t.Helper()
	for i := len(c.members); i < size; i++ {
		c.start(fmt.Sprintf("n%d", i+1))
		c.await("a leader", func() bool { return c.leader() != nil })
	}
	c.await("all nodes to vote", func() bool { return c.voters() == size })
}

func (c *cluster) voters() (n int) {
	leader := c.leader()
	if leader == nil {
		return 0
	}
	servers, err := leader.configuration()
	if err != nil {
		return 0
	}
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			n++
		}
	}
	return n
}

// start starts a node, the first of a cluster or one that joins it.
func (c *cluster) start(name string) *member {
	c.t.Helper()
	m, err := c.open(name)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *cluster) open(name string) (*member, error) {
	o := NodeOptions{Dir: filepath.Join(c.dir, name), Name: name, URL: "http://" + name,
		wire: c.network.join(name), ask: asker{c.network, name}}
	for other := range c.members {
		if other != name {
			o.Join = append(o.Join, "http://"+other)
		}
	}
	if leader := c.leader(); leader != nil {
		o.Cluster = leader.Cluster()
	}
	if c.options != nil {
		c.options(&o)
	}
	n, err := NewNode(o)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	m := &member{Node: n, name: name, end: end, done: make(chan error, 1)}
	c.members[name] = m
	c.network.serve(name, n)
	if c.began != nil {
		c.began(ctx, n)
	}
	go func() {
		m.done <- n.Run(ctx, func(ctx context.Context) error {
			if c.lead != nil {
				return c.lead(ctx, n)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}()
	return m, nil
}

// stop stops a node, which must have been well.
func (c *cluster) stop(name string) {
	c.t.Helper()
	m := c.members[name]
	m.end()
	if err := <-m.done; err != nil {
		c.t.Errorf("%s: Run: %v", name, err)
	}
	m.done <- nil
	c.network.serve(name, nil)
}

func (c *cluster) stopAll() {
	c.network.heal()
	for name := range c.members {
		c.members[name].end()
		<-c.members[name].done
	}
}

// leader is the node that leads and has more than half of the others behind it; nil
// if none does.
func (c *cluster) leader() *member {
	for _, m := range c.members {
		if m.Leading() && m.Verify() == nil {
			return m
		}
	}
	return nil
}

// pass lets the bubble's time pass.
func pass(d time.Duration) { time.Sleep(d) }

// await waits in the bubble's time until something is so.
func (c *cluster) await(what string, is func() bool) {
	c.t.Helper()
	for range 60_000 / 50 {
		if is() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatalf("waited a minute for %s", what)
}

// awaitLeader waits for a leader other than one.
func (c *cluster) awaitLeader(except string) *member {
	c.t.Helper()
	var found *member
	c.await("another leader than "+except, func() bool {
		found = c.leader()
		return found != nil && found.name != except
	})
	return found
}

// follower is a node that does not lead.
func (c *cluster) follower() *member {
	leader := c.leader()
	for _, name := range []string{"n1", "n2", "n3"} {
		if m := c.members[name]; m != nil && m != leader {
			return m
		}
	}
	c.t.Fatal("there is no follower")
	return nil
}

// put puts a policy through a node, again and again until it is there.
func (c *cluster) put(n int) {
	c.t.Helper()
	c.await("a policy to be put", func() bool {
		leader := c.leader()
		if leader == nil {
			return false
		}
		_, err := leader.Propose(c.t.Context(), policy(n))
		return err == nil
	})
}

// equal waits until all that run are at the same place, and compares them (I6).
func (c *cluster) equal() {
	c.t.Helper()
	leader := c.awaitLeader("")
	c.await("all nodes to agree", func() bool {
		v, err := leader.Compare(c.t.Context())
		if err != nil || !v.Equal {
			return false
		}
		for _, d := range v.Nodes {
			if d.Digest == "" {
				return false
			}
		}
		return true
	})
}

// network is raft's in-memory one, and that of what nodes ask each other, of which
// any link can be cut, in one direction or both.
type network struct {
	mu         sync.Mutex
	transports map[string]*raft.InmemTransport
	nodes      map[string]*Node
	cut        map[[2]string]bool // from, to
}

func newNetwork() *network {
	return &network{transports: map[string]*raft.InmemTransport{}, nodes: map[string]*Node{}, cut: map[[2]string]bool{}}
}

// join gives a node a fresh place in the network; what it had before is gone.
func (w *network) join(name string) transport {
	_, own := raft.NewInmemTransportWithTimeout(raft.ServerAddress(name), time.Second)
	w.mu.Lock()
	w.transports[name] = own
	w.mu.Unlock()
	w.route()
	return own
}

func (w *network) serve(name string, n *Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[name] = n
}

// route connects and disconnects as the cuts say.
func (w *network) route() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for from, a := range w.transports {
		for to, b := range w.transports {
			switch {
			case from == to:
			case w.cut[[2]string{from, to}]:
				a.Disconnect(b.LocalAddr())
			default:
				a.Connect(b.LocalAddr(), b)
			}
		}
	}
}

// part cuts all links between one side and the rest.
func (w *network) part(side ...string) {
	on := map[string]bool{}
	for _, name := range side {
		on[name] = true
	}
	w.mu.Lock()
	for from := range w.transports {
		for to := range w.transports {
			if on[from] != on[to] {
				w.cut[[2]string{from, to}] = true
			}
		}
	}
	w.mu.Unlock()
	w.route()
}

// sever cuts one direction of one link.
func (w *network) sever(from, to string) {
	w.mu.Lock()
	w.cut[[2]string{from, to}] = true
	w.mu.Unlock()
	w.route()
}

func (w *network) heal() {
	w.mu.Lock()
	clear(w.cut)
	w.mu.Unlock()
	w.route()
}

// asker is what one node asks others by.
type asker struct {
	network *network
	from    string
}

var errCut = errors.New("cut off")

func (a asker) node(url string) (*Node, error) {
	name := url[len("http://"):]
	a.network.mu.Lock()
	defer a.network.mu.Unlock()
	n := a.network.nodes[name]
	if n == nil || a.network.cut[[2]string{a.from, name}] || a.network.cut[[2]string{name, a.from}] {
		return nil, errCut
	}
	return n, nil
}

func (a asker) Node(_ context.Context, url string) (api.Node, error) {
	n, err := a.node(url)
	if err != nil {
		return api.Node{}, err
	}
	return n.Self(), nil
}

func (a asker) Join(ctx context.Context, url string, j api.Join) error {
	n, err := a.node(url)
	if err != nil {
		return err
	}
	if !n.Leading() { // as the redirect would
		leader, ok := n.Leader()
		if !ok {
			return loop.ErrUnavailable
		}
		if n, err = a.node(leader.URL); err != nil {
			return err
		}
	}
	return n.Admit(ctx, j.Cluster, state.Node{Name: j.Node.Name, Instance: j.Node.Instance, URL: j.Node.URL,
		Address: j.Node.Address, Version: j.Node.Version, Build: j.Node.Build})
}

// Three nodes elect a leader, and each applies what it decides (I6). What was
// answered outlives the leader that answered it, and the loss of every node at once
// (I1).
func TestClusterOutlivesItsLeaders(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		for i := range 10 {
			c.put(i)
		}
		c.equal()
		first := c.leader()
		c.stop(first.name)
		second := c.awaitLeader(first.name)
		c.put(10)
		c.start(first.name)
		c.await("the first leader to catch up", func() bool { return c.members[first.name].digest() == second.digest() })
		for name := range c.members {
			c.stop(name)
		}
		for name := range c.members {
			c.start(name)
		}
		c.equal()
		c.awaitLeader("").View(func(s *state.State) {
			if n := len(s.Policies()); n != 11 {
				t.Errorf("%d policies, want 11", n)
			}
		})
	})
}

func (m *member) digest() (d loop.Digest) {
	m.View(func(s *state.State) { d = s.Digest() })
	return d
}

// A leader that is cut off leads no more, answers nothing it cannot keep, and takes
// the others' word when it is back (C10).
func TestClusterPartition(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		c.put(0)
		old := c.leader()
		c.network.part(old.name)
		// Unknown: it may or may not happen.
		if _, err := old.Propose(t.Context(), policy(100)); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("a leader without followers answered %v", err)
		}
		if old.Verify() == nil {
			t.Error("a leader without followers is sure of itself")
		}
		c.awaitLeader(old.name)
		c.put(1)
		c.network.heal()
		c.put(2)
		c.equal()
	})
}

// A leader that is cut off, and has not noticed, may not have heard of a round or of
// an attempt: it has no last word on any unit, and the worker keeps it (C9, C10).
func TestDeposedLeaderSettlesNothing(t *testing.T) {
	inBubbleOf(t, t.TempDir(), func(t *testing.T, c *cluster) {
		leaders := map[string]*Coordinator{}
		c.lead = func(ctx context.Context, n *Node) error { return leaders[n.o.Name].lead(ctx) }
		c.began = func(_ context.Context, n *Node) { leaders[n.o.Name] = New(Options{Node: n}) }
		c.grow(3)
		old := c.leader()
		deliver := func() error {
			_, err := leaders[old.name].Deliver(t.Context(), "", made("ann", loop.Unit{Campaign: "c", Round: 1, Count: 1}), func() {})
			return err
		}
		if err := deliver(); err == nil || errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("a unit of no round is answered %v", err)
		}
		c.network.part(old.name)
		if err := deliver(); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("cut off, the leader answers %v", err)
		}
	})
}

// A node that hears the others but is not heard, and the reverse, keeps nobody from
// deciding for long.
func TestClusterOneWay(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf=%v", deaf), func(t *testing.T) {
			inCluster(t, 3, func(t *testing.T, c *cluster) {
				old := c.leader()
				for name := range c.members {
					if name == old.name {
						continue
					}
					if deaf {
						c.network.sever(name, old.name)
					} else {
						c.network.sever(old.name, name)
					}
				}
				if !deaf { // who is deaf but heard goes on leading; its answers still come back
					c.awaitLeader(old.name)
				}
				c.put(1)
				c.network.heal()
				c.put(2)
				c.equal()
			})
		})
	}
}

// Leadership is handed over on request, to whom it was asked for.
func TestClusterTransfer(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		c.put(0)
		to := c.follower()
		if err := c.leader().Transfer(to.name); err != nil {
			t.Fatal(err)
		}
		c.await("the other to lead", func() bool { l := c.leader(); return l != nil && l.name == to.name })
		c.put(1)
		if err := c.leader().Transfer("n9"); !errors.Is(err, loop.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if err := c.leader().Transfer(""); err != nil {
			t.Error(err)
		}
		c.awaitLeader(to.name)
		c.equal()
	})
}

// What would harm the cluster is refused, and says what to do.
func TestClusterMembership(t *testing.T) {
	inCluster(t, 1, func(t *testing.T, c *cluster) {
		leader := c.leader()
		if err := leader.Remove(t.Context(), "n1"); !errors.Is(err, loop.ErrConflict) {
			t.Errorf("the last voter was removed: %v", err)
		}
		if err := leader.Transfer(""); !errors.Is(err, loop.ErrConflict) {
			t.Errorf("leadership went to nobody: %v", err)
		}
		about := state.Node{Name: "n2", Instance: "x", Address: "n2", Version: 1}
		if err := leader.Admit(t.Context(), "another", about); !errors.Is(err, loop.ErrConflict) {
			t.Errorf("a node of another cluster was admitted: %v", err)
		}
		c.grow(3)
		about.Address = "elsewhere"
		if err := c.leader().Admit(t.Context(), c.leader().Cluster(), about); !errors.Is(err, loop.ErrConflict) {
			t.Errorf("a second n2 was admitted: %v", err)
		}
		if err := c.leader().Remove(t.Context(), "n9"); !errors.Is(err, loop.ErrNotFound) {
			t.Errorf("got %v", err)
		}

		// One of three is down: to remove another that is up would leave nobody to decide.
		down := c.follower()
		c.stop(down.name)
		c.await("the loss to be noticed", func() bool { return !c.leader().pilot.healthy(down.name) })
		for name := range c.members {
			if name != down.name && name != c.leader().name {
				if err := c.leader().Remove(t.Context(), name); !errors.Is(err, loop.ErrConflict) {
					t.Errorf("%s was removed: %v", name, err)
				}
			}
		}
		// To remove the one that is down is right, and it does not come back.
		if err := c.leader().Remove(t.Context(), down.name); err != nil {
			t.Fatal(err)
		}
		if c.voters() != 2 {
			t.Errorf("%d voters", c.voters())
		}
		back := c.start(down.name)
		if err := <-back.done; !errors.Is(err, loop.ErrConflict) {
			t.Errorf("a node that was removed came back: %v", err)
		}
		back.done <- nil
	})
}

// A node that was away for longer than the log reaches back gets a snapshot.
func TestClusterInstallsSnapshots(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		away := c.follower()
		c.stop(away.name)
		for i := range 20 {
			c.put(i)
		}
		leader := c.leader()
		reload := leader.raft.ReloadableConfig()
		reload.TrailingLogs = 1
		if err := leader.raft.ReloadConfig(reload); err != nil {
			t.Fatal(err)
		}
		if err := leader.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		c.put(20)
		c.start(away.name)
		c.equal()
	})
}

// A directory belongs to one node, and a node of a cluster is not started alone.
func TestClusterNames(t *testing.T) {
	inCluster(t, 2, func(t *testing.T, c *cluster) {
		c.stop("n2")
		dir := filepath.Join(c.dir, "n2")
		if _, err := NewNode(NodeOptions{Dir: dir, Name: "n3"}); !errors.Is(err, loop.ErrConflict) {
			t.Errorf("a node took another's directory: %v", err)
		}
		n, err := NewNode(NodeOptions{Dir: dir, Name: "n2"})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Run(t.Context(), nil); !errors.Is(err, loop.ErrConflict) {
			t.Errorf("one of two was started alone: %v", err)
		}
		c.start("n2")
		c.equal()
	})
}
