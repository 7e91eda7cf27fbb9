package coordinator

import (
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// hashicorp/raft #695: a transport with a fast path for heartbeats answers them
// beside raft's main loop, and so changes the node's term and standing under a
// leader's feet. A leader that waits in its loop while a heartbeat of its
// successor arrives writes the next entry with its successor's term: two
// entries with one index and one term, which raft never finds out.
//
// What it takes: a request to take over the lead that arrives late, and a
// moment in which nothing else reaches the old leader but a heartbeat.
func TestHeartbeatBesideTheMainLoop(t *testing.T) {
	for _, tt := range []struct {
		name      string
		transport func(raft.Transport) raft.Transport
		diverges  bool
	}{
		{"stock", nil, true},
		{"ordered", func(t raft.Transport) raft.Transport { return ordered{t.(transport)} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTrio(t, parts{transport: tt.transport})
				a, others := c.leader()
				b := others[0]
				a.apply(t, "first")
				c.agree(c.nodes...)

				// a hands the lead over to b, but the word is late: a goes on.
				c.net.decide(func(_, _ raft.ServerID, request any) error {
					if _, ok := request.(*raft.TimeoutNowRequest); ok {
						return errLost
					}
					return nil
				})
				if err := a.raft.LeadershipTransferToServer(b.name, raft.ServerAddress(b.name)).Error(); err == nil {
					t.Fatal("the lead was handed over, though the word was late")
				}
				a.apply(t, "second")
				c.agree(c.nodes...)
				c.net.cut(a.name, nil)
				word := raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(a.name), Addr: []byte(a.name)}}
				if err := a.transport.(lossy).Transport.TimeoutNow(b.name, raft.ServerAddress(b.name), &word, new(raft.TimeoutNowResponse)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if b.raft.State() != raft.Leader || a.raft.State() != raft.Leader {
					t.Fatalf("a is %v and b is %v, want two that believe they lead", a.raft.State(), b.raft.State())
				}

				// Of b, a hears a heartbeat, and nothing else.
				c.net.cut(a.name, func(from raft.ServerID, request any) bool {
					r, ok := request.(*raft.AppendEntriesRequest)
					return ok && from == b.name && r.PrevLogEntry == 0 && r.LeaderCommitIndex == 0 && len(r.Entries) == 0
				})
				for a.raft.CurrentTerm() < b.raft.CurrentTerm() {
					time.Sleep(time.Millisecond)
				}
				synctest.Wait()
				lost := a.raft.Apply([]byte("of nobody's term"), 0)
				synctest.Wait()

				c.net.heal()
				b.apply(t, "third")
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if err := lost.Error(); err == nil {
					t.Error("a acknowledged what it wrote after its term")
				}
				want := []string{"first", "second", "third"}
				for _, n := range others {
					if got := n.journal.lines(); !slices.Equal(got, want) {
						t.Errorf("%s applied %q, want %q", n.name, got, want)
					}
				}
				got := a.journal.lines()
				if diverged := !slices.Equal(got, want); diverged != tt.diverges {
					t.Errorf("a applied %q, the others %q: diverged %v, want %v", got, want, diverged, tt.diverges)
				}
				t.Logf("a applied %q, the others %q", got, want)
			})
		})
	}
}

// hashicorp/raft #697: a follower that is sent a snapshot which ends within what
// it has written, other than the snapshot says, installs it, refuses what follows
// it, and is sent it again, for ever. A monotonic log store, which is emptied by
// the installation, does not help: raft goes on believing that the log ends where
// it did. Ours says that raft must be started again.
func TestSnapshotOverAConflict(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stores func(*testing.T, *replica)
		// unheard is how many entries the old leader wrote that nobody heard of; the
		// snapshot ends with the fourth.
		unheard int
		loops   bool
	}{
		{"stock, log ends with the snapshot", inMemory, 4, true},
		{"stock, log ends after it", inMemory, 10, true},
		{"raft-wal, log ends before it", onDisk, 2, false},
		{"raft-wal, log ends with it", onDisk, 4, true},
		{"raft-wal, log ends after it", onDisk, 10, true},
		{"ours, log ends before it", ours, 2, false},
		{"ours, log ends with it", ours, 4, false},
		{"ours, log ends after it", ours, 10, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTrio(t, parts{stores: tt.stores, config: onlySnapshots})
				a, _ := c.leader()
				a.apply(t, "first")
				c.agree(c.nodes...)
				c.net.cut(a.name, nil)
				for range tt.unheard {
					a.raft.Apply([]byte("unheard"), 0)
				}
				b, _ := c.leader(a)
				for range 3 {
					b.apply(t, "heard")
				}
				if err := b.raft.Snapshot().Error(); err != nil {
					t.Fatal(err)
				}
				c.net.heal()
				c.run(5 * time.Second)
				b.apply(t, "last")
				c.run(5 * time.Second)
				want := []string{"first", "heard", "heard", "heard", "last"}
				got := a.journal.lines()
				if caught := slices.Equal(got, want); caught == tt.loops {
					t.Errorf("a applied %q, want %q: %v", got, want, !tt.loops)
				}
				if installs := a.journal.installs(); (installs > 10) != tt.loops {
					t.Errorf("the snapshot was installed %d times", installs)
				}
				if got := b.journal.lines(); !slices.Equal(got, want) {
					t.Errorf("b applied %q, want %q", got, want)
				}
			})
		})
	}
}

// A Node whose log conflicts with a snapshot that it was sent stops, says so, and
// goes on where the others are when it is started again.
func TestNodeWithAConflict(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		c.put(0)
		c.equal()
		old := c.leader()
		c.network.part(old.name)
		for range 30 {
			old.raft.Barrier(0) // entries that nobody hears of
		}
		leader := c.awaitLeader(old.name)
		c.put(1)
		reload := leader.raft.ReloadableConfig()
		reload.TrailingLogs = 0
		if err := leader.raft.ReloadConfig(reload); err != nil {
			t.Fatal(err)
		}
		if err := leader.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		if last, err := old.log.LastIndex(); err != nil || last <= leader.raft.LastIndex() {
			t.Fatalf("the old log ends with %d, the snapshot with %d: %v", last, leader.raft.LastIndex(), err)
		}
		c.network.heal()
		err := <-old.done
		old.done <- nil
		if !errors.Is(err, errConflict) {
			t.Fatalf("Run: %v", err)
		}
		c.start(old.name)
		c.put(2)
		c.equal()
	})
}

// onlySnapshots has a node keep nothing in its log that is in a snapshot, and
// make one only when told to.
func onlySnapshots(c *raft.Config) {
	c.TrailingLogs = 0
	c.SnapshotInterval = 24 * time.Hour
}

// The other half of #697: a follower whose disk is full for a while is sent a
// snapshot that ends before what it has acknowledged. raft empties a monotonic
// store, and so forgets entries which count as committed because of this node;
// ours keeps them.
func TestSnapshotBeforeWhatWasAcknowledged(t *testing.T) {
	for _, tt := range []struct {
		name    string
		stores  func(*testing.T, *replica)
		forgets bool
	}{
		{"raft-wal", onDisk, true},
		{"ours", ours, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTrio(t, parts{config: onlySnapshots, stores: func(t *testing.T, n *replica) {
					tt.stores(t, n)
					n.log = &disk{LogStore: n.log}
				}})
				a, others := c.leader()
				a.apply(t, "one")
				c.agree(c.nodes...)
				if err := a.raft.Snapshot().Error(); err != nil {
					t.Fatal(err)
				}
				a.apply(t, "two")
				a.apply(t, "three")
				c.agree(c.nodes...)
				b := others[0]
				acknowledged, err := b.log.LastIndex()
				if err != nil {
					t.Fatal(err)
				}
				b.log.(*disk).full.Store(true)
				a.apply(t, "four") // a and the other one commit it
				for range 100 {
					time.Sleep(time.Second)
					if b.journal.installs() > 0 {
						break
					}
				}
				synctest.Wait()
				if b.journal.installs() == 0 {
					t.Fatal("no snapshot was installed")
				}
				var entry raft.Log
				if err := b.log.GetLog(acknowledged, &entry); (err != nil) != tt.forgets {
					t.Errorf("b acknowledged entry %d; when it reads it now: %v", acknowledged, err)
				}
				if tt.forgets {
					return // what follows is raft's panic, or the loop from above
				}
				b.log.(*disk).full.Store(false)
				want := []string{"one", "two", "three", "four"}
				if got := c.agree(c.nodes...); !slices.Equal(got, want) {
					t.Errorf("all applied %q, want %q", got, want)
				}
			})
		})
	}
}

// hashicorp/raft #503: a leader whose disk hangs goes on sending heartbeats beside
// the loop that waits for the disk, and so leads for ever without getting anything
// done. A Node has a watchdog: see TestHangingDisk.
func TestStockLeaderWithAHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTrio(t, parts{stores: func(t *testing.T, n *replica) {
			inMemory(t, n)
			n.log = &disk{LogStore: n.log}
		}})
		a, others := c.leader()
		a.apply(t, "one")
		c.agree(c.nodes...)
		hang := make(chan struct{})
		a.log.(*disk).hang.Store(&hang)
		hung := a.raft.Apply([]byte("two"), 0)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for _, n := range others {
			if n.raft.State() != raft.Follower || n.raft.Leader() != raft.ServerAddress(a.name) {
				t.Errorf("%s is %v and follows %q", n.name, n.raft.State(), n.raft.Leader())
			}
		}
		if a.raft.State() != raft.Leader {
			t.Errorf("a is %v: raft watches over the disk now, and our watchdog may go", a.raft.State())
		}
		close(hang)
		if err := hung.Error(); err != nil {
			t.Error(err)
		}
	})
}

// disk is a log store whose disk may be full, or hang.
type disk struct {
	raft.LogStore
	full atomic.Bool
	hang atomic.Pointer[chan struct{}] // until it is closed
}

func (d *disk) IsMonotonic() bool {
	m, ok := d.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

func (d *disk) StoreLogs(logs []*raft.Log) error {
	if hang := d.hang.Load(); hang != nil {
		<-*hang
	}
	if d.full.Load() {
		return syscall.ENOSPC
	}
	return d.LogStore.StoreLogs(logs)
}
