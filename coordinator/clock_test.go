package coordinator

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hone/loop"
)

// C24: a leader whose clock disagrees with the log's by more than five minutes
// proposes nothing until somebody confirms; one that comes back after a night does.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64 // what the operator's clock is ahead of the true one
		options := NodeOptions{Dir: dir, now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }}
		set := func(d time.Duration) { offset.Store(int64(d)) }
		next := 0
		proposes := func(n *running, step string) {
			t.Helper()
			next++
			if _, err := n.Propose(t.Context(), policy(next)); err != nil {
				t.Errorf("%s: %v", step, err)
			}
		}
		refuses := func(n *running, step string, words ...string) {
			t.Helper()
			before := n.digest()
			_, err := n.Propose(t.Context(), policy(1000))
			if refusal, ok := errors.AsType[*loop.Error](err); !ok || !errors.Is(err, loop.ErrUnavailable) || !strings.Contains(refusal.Remedy, "hone cluster confirm-clock") {
				t.Fatalf("%s: %v", step, err)
			}
			for _, word := range words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%s: %q does not say %q", step, err, word)
				}
			}
			if n.digest() != before {
				t.Errorf("%s: a refused proposal came into the log", step)
			}
		}

		n := runWith(t, options).leading()
		proposes(n, "the first entry")
		pass(8 * time.Hour)
		proposes(n, "after a night of doing nothing")
		set(4 * time.Minute)
		proposes(n, "4 minutes ahead")
		set(-time.Minute)
		proposes(n, "5 minutes back")
		time.Sleep(time.Minute) // the bubble began at midnight of 2000-01-01
		set(time.Hour)
		refuses(n, "an hour ahead", "2000-01-01T09:01:00Z", "2000-01-01T08:00:00Z")
		set(-time.Hour)
		refuses(n, "an hour behind", "2000-01-01T07:01:00Z", "2000-01-01T08:00:00Z")
		set(0)
		proposes(n, "set right")
		set(-time.Hour)
		n.ConfirmClock()
		proposes(n, "an hour behind, but confirmed")
		pass(time.Hour)
		proposes(n, "an hour later")
		set(0)
		refuses(n, "an hour ahead of what was confirmed")
		n.ConfirmClock()
		proposes(n, "the true time, confirmed")
		n.stop()

		pass(8 * time.Hour)
		n = runWith(t, options).leading()
		proposes(n, "after a night of not running")
		set(time.Hour)
		refuses(n, "an hour ahead, since it runs")
		n.stop()

		set(-10 * time.Minute)
		n = runWith(t, options).leading()
		refuses(n, "behind what it has written itself")
		set(0)
		proposes(n, "set right")
		if err := n.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		n.stop()

		set(-10 * time.Minute)
		n = runWith(t, options).leading()
		refuses(n, "behind the snapshot that it has written")
		n.stop()
		set(24 * time.Hour)
		n = runWith(t, options).leading()
		proposes(n, "after a day of not running, from a snapshot")
		n.stop()
	})
}

// A laptop that slept all night is no clock that was set (C24): the monotonic clock
// stood still meanwhile. What it slept counts once.
func TestClockOfMachineThatSlept(t *testing.T) {
	if _, err := sinceBoot(); err != nil {
		t.Skip("this system does not say when it booted, and so refuses nothing that is ahead")
	}
	now := time.Now()
	c := newClock(func() time.Time { return now })
	c.note(now.UnixMicro(), true)
	now = now.Add(8 * time.Hour)
	c.boot -= 8 * time.Hour
	for range 2 {
		if _, err := c.read(); err != nil {
			t.Error(err)
		}
	}
	now = now.Add(8 * time.Hour)
	if _, err := c.read(); err == nil {
		t.Error("the machine has slept for 8 hours, and its clock has gone on by 16")
	}
}

// A new leader whose clock is not the last one's proposes nothing (C24): what it wrote
// would put everybody else in the wrong.
func TestClockOfNewLeader(t *testing.T) {
	inBubbleOf(t, t.TempDir(), func(t *testing.T, c *cluster) {
		c.options = func(o *NodeOptions) {
			if o.Name == "n3" {
				o.now = func() time.Time { return time.Now().Add(time.Hour) }
			}
		}
		c.grow(3)
		for i := range 3 {
			c.put(i)
		}
		to := func(name string) *member {
			t.Helper()
			if err := c.leader().Transfer(name); err != nil {
				t.Fatal(err)
			}
			c.await(name+" to lead", func() bool { l := c.leader(); return l != nil && l.name == name })
			return c.members[name]
		}
		for _, name := range []string{"n3", "n2"} {
			pass(time.Minute)
			m := to(name)
			before := m.digest()
			if _, err := m.Propose(t.Context(), policy(9)); !errors.Is(err, loop.ErrUnavailable) || !errors.As(err, new(*loop.Error)) {
				t.Errorf("%s, an hour off: %v", name, err)
			}
			if m.digest() != before {
				t.Errorf("%s: a refused proposal came into the log", name)
			}
			m.ConfirmClock()
			if _, err := m.Propose(t.Context(), policy(9)); err != nil {
				t.Errorf("%s, confirmed: %v", name, err)
			}
		}
		// It goes by the last entry's time, so that the others need nobody's word.
		to("n1")
		c.put(10)
		c.equal()
	})
}
