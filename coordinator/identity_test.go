package coordinator

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"hone/coordinator/state"
	"hone/loop"
)

// A node whose log is gone and whose name is not does not go on: who founded the
// cluster would found another with the same id, and any would forget what it has
// acknowledged and for whom it has voted (I1).
func TestLostLogIsRefused(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		c.put(1)
		for _, name := range []string{"n1", c.follower().name} {
			c.stop(name)
			if err := os.RemoveAll(filepath.Join(c.dir, name, "log")); err != nil {
				t.Fatal(err)
			}
			m, err := c.open(name)
			if err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Second)
			if m.Leading() {
				t.Errorf("%s leads a second cluster %s", name, m.Cluster())
			}
			m.end()
			if err = <-m.done; err == nil || !errors.As(err, new(*damage)) {
				t.Errorf("%s went on without its log: %v", name, err)
			}
			m.done <- nil
			if name != "n1" {
				break
			}
			c.await("a leader", func() bool { return c.leader() != nil })
		}
	})
}

// A node that takes the place of one whose disk is lost takes part in nothing before
// it is admitted: it does not know what the other had promised. Here the leader, which
// would refuse it, is gone as well: n3 lacks what n1 and n2 have acknowledged, and must
// not lead with a vote of a n2 that holds nothing.
func TestEmptyNodeDoesNotVote(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		if err := c.leader().Transfer("n1"); err != nil {
			t.Fatal(err)
		}
		c.await("n1 to lead", func() bool { l := c.leader(); return l != nil && l.name == "n1" })
		id := c.leader().Cluster()
		c.stop("n3")
		c.put(1)
		c.stop("n2")
		c.stop("n1")
		if err := os.RemoveAll(filepath.Join(c.dir, "n2")); err != nil {
			t.Fatal(err)
		}
		c.options = func(o *NodeOptions) { o.Cluster = id }
		c.start("n3")
		c.start("n2")
		pass(time.Minute)
		if leader := c.leader(); leader != nil {
			t.Errorf("%s leads at sequence %d, without what was acknowledged", leader.name, leader.Sequence())
		}
		// With n1 there is a leader, and n2 is told what to do.
		c.start("n1")
		if err := <-c.members["n2"].done; !errors.Is(err, loop.ErrConflict) {
			t.Errorf("another n2: %v", err)
		}
		c.members["n2"].done <- nil
		c.await("n1 to lead", func() bool { l := c.leader(); return l != nil && l.name == "n1" })
	})
}

// A removal that stopped halfway, with its leader, leaves nobody's vote to who comes
// in the place of the node that was removed.
func TestRemovalThatStoppedHalfway(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		gone := c.follower().name
		c.stop(gone)
		known := state.Node{}
		c.leader().View(func(s *state.State) { known, _ = s.Node(gone) })
		forget := state.Command{ForgetNode: &state.ForgetNode{Name: gone, Instance: known.Instance}}
		if _, err := c.leader().Propose(t.Context(), forget); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(c.dir, gone)); err != nil {
			t.Fatal(err)
		}
		c.start(gone)
		c.await(gone+" to be admitted", func() bool {
			var ok bool
			c.leader().View(func(s *state.State) { _, ok = s.Node(gone) })
			return ok
		})
		servers, err := c.leader().configuration()
		if err != nil {
			t.Fatal(err)
		}
		if member, _ := memberOf(servers, gone); member.Suffrage == raft.Voter {
			t.Errorf("an empty %s votes", gone)
		}
		c.await("all to vote", func() bool { return c.voters() == 3 })
	})
}

// A restore that is refused changes nothing, and one that was cut off is begun anew.
func TestRestoreSnapshotAgain(t *testing.T) {
	var file bytes.Buffer
	if err := state.New("abc").Snapshot().Encode(&file); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "raft")
	if err := os.MkdirAll(filepath.Join(dir+".restoring", "snapshots", "half"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "something"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreSnapshot(dir, "n1", bytes.NewReader(file.Bytes())); !errors.Is(err, loop.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cluster")); err == nil {
		t.Error("what was refused founded a cluster")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreSnapshot(dir, "n1", bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	if id, joined, err := readMembership(dir); err != nil || id != "abc" || joined {
		t.Errorf("%s, %v, %v", id, joined, err)
	}
	if _, err := os.Stat(dir + ".restoring"); err == nil {
		t.Error("something was left behind")
	}
}

// A leader that cannot begin its term for its clock, as it has to say that it is of a
// newer build, lets its operator confirm the clock (C24).
func TestClockIsConfirmedBeforeATerm(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for _, build := range []string{"1", "2"} {
			n, err := NewNode(NodeOptions{Dir: dir, Build: build, now: func() time.Time {
				if build == "1" {
					return time.Now().Add(24 * time.Hour) // it was wrong, and has been set right
				}
				return time.Now()
			}})
			if err != nil {
				t.Fatal(err)
			}
			coord := New(Options{Node: n})
			front := coord.Front(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.ConfirmClock() }))
			ctx, end := context.WithCancel(context.Background())
			done := make(chan error, 1)
			led := make(chan struct{})
			go func() {
				done <- n.Run(ctx, func(ctx context.Context) error {
					close(led)
					<-ctx.Done()
					return context.Cause(ctx)
				})
			}()
			if build == "2" {
				pass(time.Minute)
				answer := httptest.NewRecorder()
				front.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/v1/cluster/clock", nil))
				if answer.Code != http.StatusOK {
					t.Errorf("confirm-clock: %d %s", answer.Code, answer.Body)
				}
			}
			pass(10 * time.Second)
			select {
			case <-led:
			default:
				t.Errorf("build %s does not lead", build)
			}
			end()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	})
}
