package coordinator

import (
	"context"
	"fmt"
	"time"
)

// watchdog watches over the log while something is on its way into it. A leader whose
// disk hangs goes on to send heartbeats, so that nobody takes over, and gets nothing
// done (hashicorp/raft issue 503): it gives its leadership up, and where it cannot
// even do that, it stops.
func (n *Node) watchdog(ctx context.Context) error {
	tick := time.NewTicker(n.o.HangAfter / 5)
	defer tick.Stop()
	var index uint64 // applied when it was seen to move last
	moved := time.Now()
	tried := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now := n.raft.AppliedIndex()
		if now != index || n.flying.Load() == 0 || !n.Leading() {
			index, moved, tried = now, time.Now(), false
			continue
		}
		stood := time.Since(moved)
		switch {
		case stood >= 2*n.o.HangAfter && n.o.clustered():
			return fmt.Errorf("the log has stood still for %v, and leadership could not be given up: the disk hangs", stood)
		case stood >= n.o.HangAfter && !tried && n.o.clustered():
			tried = true
			n.o.Logger.Error("the log stands still: giving up leadership", "for", stood)
			n.raft.LeadershipTransfer() // nobody waits for its outcome: the next tick sees it
		}
	}
}
