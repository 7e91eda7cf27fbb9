package coordinator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"hone/coordinator/state"
	"hone/loop"
)

// running is a node without a coordinator, in a bubble.
type running struct {
	*Node
	t    *testing.T
	led  chan struct{}
	done chan error
	end  context.CancelFunc
}

func run(t *testing.T, dir string) *running {
	t.Helper()
	return runWith(t, NodeOptions{Dir: dir})
}

func runWith(t *testing.T, o NodeOptions) *running {
	t.Helper()
	n, err := NewNode(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	r := &running{Node: n, t: t, led: make(chan struct{}), done: make(chan error, 1), end: end}
	go func() {
		r.done <- n.Run(ctx, func(ctx context.Context) error {
			close(r.led)
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}()
	return r
}

// leading waits until the node leads.
func (r *running) leading() *running {
	r.t.Helper()
	select {
	case <-r.led:
	case err := <-r.done:
		r.t.Fatalf("Run: %v", err)
	}
	return r
}

func (r *running) stop() {
	r.t.Helper()
	r.end()
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

func policy(n int) state.Command {
	p := loop.DefaultPolicy()
	p.Name = fmt.Sprintf("p%d", n)
	return state.Command{PutPolicy: &state.PutPolicy{Policy: p, Document: "name: " + p.Name}}
}

func (r *running) put(n int) {
	r.t.Helper()
	if _, err := r.Propose(r.t.Context(), policy(n)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) digest() (d loop.Digest) {
	r.View(func(s *state.State) { d = s.Digest() })
	return d
}

// inBubble runs a test of nodes on a directory of its own.
func inBubble(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { test(t, dir) })
}

// What was answered is there after a restart, from the log or from a snapshot
// and the rest of the log (I1, C23).
func TestNodeRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n := run(t, dir).leading()
		cluster := n.Cluster()
		if cluster == "" || !n.Leading() {
			t.Errorf("cluster %q, leading %v", cluster, n.Leading())
		}
		for i := range 5 {
			n.put(i)
		}
		before := n.digest()
		n.stop()
		if n.Leading() {
			t.Error("a node that has stopped believes that it leads")
		}

		n = run(t, dir).leading()
		if n.digest() != before || n.Cluster() != cluster {
			t.Error("replaying the log gives another state")
		}
		n.put(5)
		if err := n.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			n.put(6 + i)
		}
		before = n.digest()
		n.stop()
		if files, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*", "state.bin")); len(files) != 1 {
			t.Fatalf("snapshots: %v", files)
		}

		n = run(t, dir).leading()
		if n.digest() != before || n.Cluster() != cluster {
			t.Error("a snapshot and the rest of the log give another state")
		}
		n.View(func(s *state.State) {
			if len(s.Policies()) != 9 {
				t.Errorf("%d policies", len(s.Policies()))
			}
		})
		n.stop()
	})
}

// A snapshot is written while entries are applied, and holds none of them
// (copy-on-write).
func TestSnapshotWhileApplying(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n := run(t, dir).leading()
		for i := range 50 {
			n.put(i)
		}
		frozen, err := n.machine.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		want := n.digest()
		for i := range 50 {
			n.put(100 + i)
		}
		var b strings.Builder
		if err := frozen.Persist(sink{&b}); err != nil {
			t.Fatal(err)
		}
		restored, err := state.Restore(strings.NewReader(b.String()))
		if err != nil || restored.Digest() != want {
			t.Errorf("the snapshot is of another state (%v)", err)
		}
		n.stop()
	})
}

type sink struct{ *strings.Builder }

func (sink) Close() error  { return nil }
func (sink) Cancel() error { return nil }
func (sink) ID() string    { return "test" }

// An entry that this build does not understand stops the node, with the reason,
// now and after every restart (C25): nothing behind it is applied.
func TestEntryOfTheFuture(t *testing.T) {
	for name, entry := range map[string][]byte{
		"newer version": {state.LatestVersion + 1, 0xa0},
		"garbage":       {state.FirstVersion, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, dir string) {
				n := run(t, dir).leading()
				n.put(1)
				before := n.digest()
				bad := n.raft.Apply(entry, time.Second)
				future := state.Entry{Commands: []state.Command{policy(2)}}
				behind, err := future.Encode()
				if err != nil {
					t.Fatal(err)
				}
				after := n.raft.Apply(behind, time.Second)
				stopped := func(err error) {
					t.Helper()
					if err == nil || !strings.Contains(err.Error(), "apply entry") {
						t.Errorf("Run: %v", err)
					}
					if newer, ok := errors.AsType[*state.VersionError](err); ok != (name == "newer version") || ok && newer.Got != state.LatestVersion+1 {
						t.Errorf("the reason is %v", err)
					}
				}
				for _, f := range []raft.ApplyFuture{bad, after} {
					if err := f.Error(); err == nil {
						if _, failed := f.Response().(error); !failed {
							t.Errorf("answered %+v", f.Response())
						}
					}
				}
				stopped(<-n.done)
				n.end()
				if n.digest() != before {
					t.Error("the node went on behind an entry that it did not understand")
				}
				if _, err := n.machine.Snapshot(); err == nil {
					t.Error("a state that lacks an entry was snapshotted")
				}
				if _, err := n.Propose(t.Context(), policy(3)); !errors.Is(err, loop.ErrUnavailable) {
					t.Errorf("propose: %v", err)
				}

				again := run(t, dir)
				stopped(<-again.done)
				again.end()
				select {
				case <-again.led:
					t.Error("the node led with a state that lacks an entry")
				default:
				}
			})
		})
	}
}

// Two nodes of one directory: the second refuses at once, and the first goes on.
func TestTwoNodes(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		first := run(t, dir).leading()
		first.put(1)
		second := run(t, dir)
		if err := <-second.done; err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("the second node's Run: %v", err)
		}
		second.end()
		first.put(2)
		before := first.digest()
		first.stop()
		third := run(t, dir).leading()
		if third.digest() != before {
			t.Error("the state has changed")
		}
		third.stop()
	})
}

// A damaged snapshot or log is an error of Run, not a node with half a state.
func TestDamagedSnapshot(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n := run(t, dir).leading()
		for i := range 20 {
			n.put(i)
		}
		if err := n.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		n.stop()
		files, _ := filepath.Glob(filepath.Join(dir, "snapshots", "*", "state.bin"))
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 0x40
			if err := os.WriteFile(file, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		n = run(t, dir)
		if err := <-n.done; err == nil {
			t.Error("a node started with a damaged snapshot")
		}
		n.end()
	})
}

// A term lasts until it is lost: a signal that says nothing new ends none.
func TestLeadership(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n, err := NewNode(NodeOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		terms, causes, done := make(chan struct{}), make(chan error, 1), make(chan error, 1)
		go func() {
			done <- n.Run(ctx, func(ctx context.Context) error {
				terms <- struct{}{}
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return nil
			})
		}()
		<-terms
		synctest.Wait()
		if len(causes) != 0 {
			t.Fatalf("a term ended with %v though nothing was lost", <-causes)
		}
		// A gain that was acted on already is no loss.
		if !n.leads(n.raft.CurrentTerm()) || n.leads(n.raft.CurrentTerm()+1) {
			t.Error("the node does not know which term it leads")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if cause := <-causes; !errors.Is(cause, context.Canceled) {
			t.Errorf("the last term ended with %v", cause)
		}
	})
}

// A term that gives up by itself is a fault, and stops the node.
func TestTermFails(t *testing.T) {
	for name, failure := range map[string]error{"error": errors.New("no room"), "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, dir string) {
				n, err := NewNode(NodeOptions{Dir: dir})
				if err != nil {
					t.Fatal(err)
				}
				err = n.Run(t.Context(), func(context.Context) error { return failure })
				if err == nil || failure != nil && !errors.Is(err, failure) {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// Changes waits until there are some, and ends with its context.
func TestChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n := run(t, dir).leading()
		space := state.Command{PutSpace: &state.PutSpace{Space: loop.Space{Name: "lab", Factors: []loop.Factor{{Name: "light",
			Kind: loop.Categorical, Levels: []loop.Level{{Name: "low", Target: 1}}}}}}}
		got := make(chan []loop.Change, 1)
		go func() {
			changes, err := n.Changes(t.Context(), 0, 10)
			if err != nil {
				t.Error(err)
			}
			got <- changes
		}()
		n.put(1) // changes the state, but not the catalogue
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("got %+v", <-got)
		}
		if _, err := n.Propose(t.Context(), space); err != nil {
			t.Fatal(err)
		}
		if changes := <-got; len(changes) != 1 || changes[0].Space == nil || changes[0].Sequence != 1 {
			t.Errorf("got %+v", changes)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Changes(ctx, 1, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		n.stop()
	})
}

// A directory belongs to one cluster for ever, and remembers whether it founded it:
// who has joined and heard nothing yet must not found another with the same id.
func TestMembership(t *testing.T) {
	dir := t.TempDir()
	first, joined, err := membership(dir, "")
	if err != nil || len(first) != 32 || joined {
		t.Fatalf("%q, %v, %v", first, joined, err)
	}
	for _, join := range []string{"", first} {
		if again, joined, err := membership(dir, join); err != nil || again != first || joined {
			t.Errorf("%q, %v, %v; want %q", again, joined, err, first)
		}
	}
	if other, _, err := membership(t.TempDir(), ""); err != nil || other == first {
		t.Errorf("%q, %v", other, err)
	}
	if _, _, err := membership(dir, "another"); !errors.Is(err, loop.ErrConflict) {
		t.Errorf("got %v", err)
	}
	dir = t.TempDir()
	for _, join := range []string{first, "", first} {
		if id, joined, err := membership(dir, join); err != nil || id != first || !joined {
			t.Errorf("%q, %v, %v", id, joined, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cluster"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := membership(dir, ""); err == nil {
		t.Error("an empty file names a cluster")
	}

	// A log without the name of its cluster is not taken for a new node.
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log", "1.wal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if id, _, err := membership(dir, ""); err == nil {
		t.Errorf("a log without the name of its cluster became %s", id)
	}
}

// The log on disk holds what was answered before anybody heard of it (I1): a
// second reader of the files, after a clean stop, finds every entry.
func TestLogOnDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := run(t, dir).leading()
		for i := range 10 {
			n.put(i)
		}
		n.stop()
		log, err := wal.Open(filepath.Join(dir, "log"), wal.WithMetaStore(new(logMeta)))
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		first, _ := log.FirstIndex()
		last, _ := log.LastIndex()
		for i := first; i <= last; i++ {
			var l raft.Log
			if err := log.GetLog(i, &l); err != nil {
				t.Fatal(err)
			}
			if l.Type != raft.LogCommand {
				continue
			}
			e, err := state.DecodeEntry(l.Data)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range e.Commands {
				if c.PutPolicy != nil {
					found[c.PutPolicy.Policy.Name] = true
				}
			}
		}
		if len(found) != 10 {
			t.Errorf("found %v", found)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
}
