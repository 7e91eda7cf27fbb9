package coordinator

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"time"

	"hone/loop"
)

// clockTolerance is by how much a leader's clock may disagree with the log's (C24).
const clockTolerance = 5 * time.Minute

// clock tells a leader the time for its entries, and refuses to where it disagrees
// with that of the last entry and what has passed since (C24). No rule of
// correctness needs it right, but what it says once is in the log for good.
type clock struct {
	// wall is the clock that an operator sets; what passes is measured by the
	// monotonic one.
	wall func() time.Time

	mu sync.Mutex
	// at is the time of the last entry, in microseconds since 1970 UTC, 0 if there is
	// none yet, and seen is when it was applied here.
	at   int64
	seen time.Time
	// live: the entry was new then. What stood in the log when the node started may
	// be from long before.
	live bool
	// awake is when boot was the time since the machine booted, asleep or not.
	awake time.Time
	boot  time.Duration
}

func newClock(wall func() time.Time) *clock {
	c := &clock{wall: wall, awake: time.Now()}
	c.boot, _ = sinceBoot()
	return c
}

// note takes the time of an entry that was applied.
func (c *clock) note(at int64, live bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.seen, c.live = at, time.Now(), live
}

// confirm makes the clock's own time the right one.
func (c *clock) confirm() { c.note(c.wall().UnixMicro(), true) }

// read is the time, or why nothing may be proposed.
func (c *clock) read() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.wall()
	if c.at == 0 {
		return now, nil
	}
	expected := time.UnixMicro(c.at).Add(time.Since(c.seen))
	ahead := now.Round(0).Sub(expected)
	if ahead > clockTolerance {
		// The monotonic clock stands still while the machine sleeps.
		slept := c.slept()
		c.seen = c.seen.Add(-min(slept, ahead))
		ahead -= min(slept, ahead)
	}
	if ahead >= -clockTolerance && (ahead <= clockTolerance || !c.live) {
		return now, nil
	}
	return time.Time{}, fmt.Errorf("propose: %w: %w", &loop.Error{
		Problem: fmt.Sprintf("this node's clock says %s, but by the log and what has passed since it is %s; more than %v apart it proposes nothing (C24)",
			now.UTC().Format(time.RFC3339), expected.UTC().Format(time.RFC3339), clockTolerance),
		Remedy: "set the clock right; if it is, and the log is wrong: hone cluster confirm-clock",
	}, loop.ErrUnavailable)
}

// slept is for how long the machine has slept since it was last asked. Where that
// cannot be told it may have been for ever: a laptop that wakes up must go on.
func (c *clock) slept() time.Duration {
	boot, err := sinceBoot()
	if err != nil {
		return math.MaxInt64
	}
	now := time.Now()
	slept := boot - c.boot - now.Sub(c.awake)
	c.awake, c.boot = now, boot
	return max(0, slept)
}

// sinceBoot counts also the time that the machine slept.
func sinceBoot() (time.Duration, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(text, []byte(" "))
	seconds, err := strconv.ParseFloat(string(first), 64)
	return time.Duration(seconds * float64(time.Second)), err
}

// ConfirmClock says that this node's clock is right, whatever the log says: what it
// proposes next sets the log's time (C24).
func (n *Node) ConfirmClock() { n.clock.confirm() }
