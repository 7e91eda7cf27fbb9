package coordinator

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A leader whose disk hangs is replaced, and says why it stops; nothing that it was
// asked for meanwhile is told to have failed or to have happened (C10). With a disk
// that works it comes back.
func TestHangingDisk(t *testing.T) {
	inBubbleOf(t, t.TempDir(), func(t *testing.T, c *cluster) {
		var hangs atomic.Pointer[string]
		hang := make(chan struct{})
		c.options = func(o *NodeOptions) {
			name := o.Name
			o.writing = func() {
				if bad := hangs.Load(); bad != nil && *bad == name {
					<-hang
				}
			}
		}
		c.grow(3)
		c.put(0)
		leader := c.leader()
		hangs.Store(&leader.name)
		began := time.Now()
		proposed := make(chan error, 1)
		go func() {
			_, err := leader.Propose(t.Context(), policy(1))
			proposed <- err
		}()
		err := <-leader.done
		leader.done <- nil
		if err == nil || !strings.Contains(err.Error(), "disk hangs") {
			t.Errorf("the leader's Run: %v", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if err := <-proposed; err == nil {
			t.Error("what never was written was acknowledged")
		}
		// A process would have ended, and with it what raft still sends.
		c.network.part(leader.name)
		c.network.serve(leader.name, nil)
		c.awaitLeader(leader.name)
		c.put(2)
		hangs.Store(nil)
		close(hang)
		c.await("the old process to end", func() bool { return leader.raft.Stats()["state"] == "Shutdown" })
		pass(time.Minute) // and to let go of its files
		c.network.heal()
		c.start(leader.name)
		c.equal()
	})
}
