package coordinator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// C25: a cluster of one raises its version as soon as it understands a later one, and
// does not come back to a build that does not.
func TestUpgradeOfOne(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		at := func(n *running, version int) {
			t.Helper()
			n.leading()
			synctest.Wait()
			if got := n.EncodingVersion(); got != version {
				t.Errorf("version %d, want %d", got, version)
			}
		}
		n := runWith(t, NodeOptions{Dir: dir, MaxVersion: 1})
		at(n, 1)
		n.put(1)
		n.stop()
		n = run(t, dir)
		at(n, state.LatestVersion)
		before := n.digest()
		n.stop()
		old := runWith(t, NodeOptions{Dir: dir, MaxVersion: 1})
		if err := <-old.done; !errors.As(err, new(*state.VersionError)) {
			t.Errorf("an old build: %v", err)
		}
		old.end()
		n = run(t, dir)
		at(n, state.LatestVersion)
		if n.digest() != before {
			t.Error("the old build has changed something")
		}
		n.stop()
	})
}

// C25: three nodes are upgraded one after another while work goes on. Nothing that was
// answered is lost (I1), the version rises when the last of them has come back, and
// whoever goes back to the old build afterwards stops, and harms nobody.
func TestRollingUpgrade(t *testing.T) {
	understands := map[string]int{"n1": 1, "n2": 1, "n3": 1}
	inBubbleOf(t, t.TempDir(), func(t *testing.T, c *cluster) {
		c.options = func(o *NodeOptions) { o.MaxVersion = understands[o.Name] }
		c.grow(3)
		var answered []int
		var load sync.WaitGroup
		ctx, end := context.WithCancel(t.Context())
		defer load.Wait()
		defer end()
		var mu sync.Mutex // guards c.members against the load
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				mu.Lock()
				leader := c.leader()
				mu.Unlock()
				if leader != nil {
					if _, err := leader.Propose(ctx, policy(n)); err == nil {
						answered = append(answered, n)
					}
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
		versions := func() (all []int) {
			for _, name := range []string{"n1", "n2", "n3"} {
				all = append(all, c.members[name].EncodingVersion())
			}
			return all
		}
		restart := func(name string, version int) *member {
			t.Helper()
			understands[name] = version
			c.stop(name)
			mu.Lock()
			defer mu.Unlock()
			return c.start(name)
		}
		for i, name := range []string{"n3", "n2", "n1"} {
			if got := versions(); !slices.Equal(got, []int{1, 1, 1}) {
				t.Errorf("versions %v after %d of 3 nodes were upgraded", got, i)
			}
			newer := state.Command{Account: &state.Account{Meters: []state.Meter{{Connection: "1", Campaign: "none", Millis: 1}}}}
			if _, err := c.awaitLeader("").Propose(t.Context(), newer); err == nil {
				t.Errorf("what version 2 alone has is written after %d of 3 nodes were upgraded", i)
			}
			m := restart(name, 2)
			c.await("the cluster to know that "+name+" is new", func() bool {
				about, ok := m.Node.about(), false
				leader := c.leader()
				if leader == nil {
					return false
				}
				leader.View(func(s *state.State) { known, _ := s.Node(name); ok = known == about })
				return ok && m.raft.AppliedIndex() >= leader.raft.AppliedIndex()-1
			})
			time.Sleep(5 * time.Second) // for who would raise too early
			// What needs the later version is refused, and for whom it waits is said.
			_, err := c.leader().Propose(ctx, state.Command{Account: &state.Account{Meters: []state.Meter{{Connection: "x", Campaign: "c", Millis: 1}}}})
			for other, version := range understands {
				refusal, ok := errors.AsType[*loop.Error](err)
				if name != "n1" && (!ok || !errors.Is(err, loop.ErrConflict) || strings.Contains(refusal.Problem, other) != (version == 1)) {
					t.Errorf("%v are upgraded: %v", understands, err)
				}
			}
		}
		c.await("version 2", func() bool { return slices.Equal(versions(), []int{2, 2, 2}) })
		time.Sleep(time.Second)
		end()
		load.Wait()
		c.equal()
		c.leader().View(func(s *state.State) {
			for _, n := range answered {
				if _, ok := s.Policy(policy(n).PutPolicy.Policy.Name, 0); !ok {
					t.Errorf("policy %d of %d was answered, and is lost", n, len(answered))
				}
			}
		})
		if len(answered) < 100 {
			t.Errorf("only %d commands went through", len(answered))
		}

		back := c.follower().name
		old := restart(back, 1)
		// It learns of it from its own log or from the others, whichever is faster.
		if err := <-old.done; !errors.As(err, new(*state.VersionError)) && !errors.Is(err, loop.ErrConflict) {
			t.Errorf("%s on the old build: %v", back, err)
		}
		old.done <- nil
		c.put(1_000_000)
		restart(back, 2)
		c.equal()
	})
}
