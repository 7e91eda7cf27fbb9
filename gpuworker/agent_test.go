package gpuworker

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/api"
	"hone/loop"
)

// The whole way: hello, credits, leases, samples, staging, both answers; and an
// empty shelf in the end.
func TestUnitsAreMadeAndCommitted(t *testing.T) {
	all := units(20, 25)
	d := newDesk(all...)
	s := serve(t, d, "127.0.0.1:0", nil)
	dir := t.TempDir()
	one := work(t, s.url(), func(o *AgentOptions) { o.Slots, o.Dir = 3, dir })
	two := work(t, s.url()+"/", func(o *AgentOptions) { o.Name = "w2" })
	d.wait(t, "all committed", func() bool { return len(d.committed) == 500 })
	for _, w := range []*working{one, two} {
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
	}
	d.wantCommitted(t, all)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, st := range d.standings {
		if st != (loop.Standing{Fresh: 25}) {
			t.Errorf("a standing of %+v", st)
		}
	}
	if len(d.failed) > 0 {
		t.Errorf("failed: %v", d.failed)
	}
	held, err := os.ReadDir(filepath.Join(dir, heldDir))
	if err != nil || len(held) != 0 {
		t.Errorf("left on the shelf: %v, %v", held, err)
	}
}

// Credits: never more units are with a worker than it has slots, and one ahead.
func TestCreditsBoundWhatIsLeased(t *testing.T) {
	d := newDesk(units(50, 1)...)
	s := serve(t, d, "127.0.0.1:0", nil)
	made, most, running, together := 0, 0, 0, 0
	w := work(t, s.url(), func(o *AgentOptions) {
		o.Slots = 2
		o.Generators = []Generator{echo{before: func(ctx context.Context, w Work, _ func(uint64, []loop.Member) error) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			most = max(most, 50-len(d.pending)-made)
			running++
			together = max(together, running)
			return nil
		}, after: func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			made++
			running--
		}}}
	})
	d.wait(t, "all committed", func() bool { return len(d.committed) == 50 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if most > 3 || most < 2 {
		t.Errorf("%d units that were not made were leased to 2 slots", most)
	}
	if together > 2 {
		t.Errorf("%d units were made together in 2 slots", together)
	}
}

// With MaxHeld units waiting for their verdict a worker asks for no more.
func TestSlowVerdictsStopTheWork(t *testing.T) {
	d := newDesk(units(30, 1)...)
	release := make(chan struct{})
	d.verdict = func(ctx context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return loop.Standing{}, nil, false
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	work(t, s.url(), func(o *AgentOptions) { o.MaxHeld = 3 })
	d.wait(t, "three deliveries", func() bool { return d.deliver >= 3 })
	// Slots+1 units may have been asked for already when the third was done.
	d.mu.Lock()
	if taken := 30 - len(d.pending); taken > 3+2 {
		t.Errorf("%d units were taken, though 3 may wait", taken)
	}
	d.mu.Unlock()
	close(release)
	d.wait(t, "all committed", func() bool { return len(d.committed) == 30 })
}

// C9, C10: a server that dies between a delivery and its verdict is delivered to
// again by itself; nothing is lost or counted twice.
func TestServerRestart(t *testing.T) {
	all := units(12, 5)
	d := newDesk(all...)
	died := make(chan struct{})
	d.verdict = func(ctx context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		if n > 3 {
			return loop.Standing{}, nil, false
		}
		if n == 3 {
			close(died)
		}
		<-ctx.Done() // the first three get no verdict
		return loop.Standing{}, loop.ErrUnavailable, true
	}
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.Grace = time.Millisecond })
	w := work(t, s.url(), nil)
	<-died
	s.stop()
	d.mu.Lock()
	d.staged = make(map[string][]byte) // and the server's disk with it
	d.mu.Unlock()
	serve(t, d, s.addr, nil)
	d.wait(t, "all committed", func() bool { return len(d.committed) == 60 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	d.wantCommitted(t, all)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.holds) < 2 || len(d.holds[1]) < 3 {
		t.Errorf("announced on reconnecting: %v, want the three without a verdict at least", d.holds)
	}
}

// C10: an unknown outcome is delivered again on the same connection, and a
// duplicate is an answer like any other.
func TestUnknownOutcomeIsDeliveredAgain(t *testing.T) {
	d := newDesk(units(1, 5)...)
	d.verdict = func(_ context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		if n == 1 {
			// It was applied, only nobody knows.
			d.mu.Lock()
			for i, s := range v.Samples {
				d.committed[v.Unit.Name(i)] = s.Digest
			}
			d.mu.Unlock()
			return loop.Standing{}, &wrapped{loop.ErrUnavailable, &loop.Error{Problem: "no leader"}}, true
		}
		return loop.Standing{}, nil, false
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	w := work(t, s.url(), nil)
	d.wait(t, "the second verdict", func() bool { return len(d.standings) == 1 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if d.standings[0] != (loop.Standing{Duplicate: 5}) || d.joined != 1 || d.puts != 2 {
		t.Errorf("%+v after %d connections and %d uploads", d.standings[0], d.joined, d.puts)
	}
}

type wrapped struct{ kind, err error }

func (w *wrapped) Error() string   { return w.err.Error() }
func (w *wrapped) Unwrap() []error { return []error{w.kind, w.err} }

// C9: at "again" the worker forgets the unit; it is leased once more and made
// once more, also by the same worker, before it knows.
func TestAgain(t *testing.T) {
	all := units(3, 5)
	d := newDesk(all...)
	d.verdict = func(_ context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		return loop.Standing{Again: true}, nil, n <= 2
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	w := work(t, s.url(), nil)
	d.wait(t, "all committed", func() bool { return len(d.committed) == 15 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	d.wantCommitted(t, all)
	if d.deliver != 5 {
		t.Errorf("%d deliveries, want 5", d.deliver)
	}
}

// A lease of a unit that is still held is kept for the case that the answer,
// which is on its way, is "again".
func TestLeaseBeforeAgain(t *testing.T) {
	a, err := NewAgent(AgentOptions{Server: "http://127.0.0.1:1", Name: "w1", Dir: t.TempDir(), Generators: []Generator{echo{}}})
	if err != nil {
		t.Fatal(err)
	}
	if a.shelf, err = openShelf(a.o.Dir); err != nil {
		t.Fatal(err)
	}
	defer a.shelf.close()
	u := units(1, 5)[0]
	h := newHeld(loop.Delivery{Unit: u}, filepath.Join(a.o.Dir, heldDir, u.ID()), 0)
	a.held[u] = h
	if err := a.accept(task{unit: u}); err != nil || len(a.tasks) != 0 {
		t.Fatalf("%v, %d tasks; a unit that is held is not made", err, len(a.tasks))
	}
	a.settle(h)
	if len(a.tasks) != 1 || !a.busy[u] || a.held[u] != nil {
		t.Fatal("the unit was not made again")
	}
}

// A refused delivery is dropped: delivering it again would not mend it.
func TestRefusedDeliveryIsDropped(t *testing.T) {
	all := units(2, 5)
	d := newDesk(all...)
	d.verdict = func(_ context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		return loop.Standing{}, &loop.Error{Field: "samples", Problem: "digests differ"}, v.Unit == all[0]
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	w := work(t, s.url(), nil)
	d.wait(t, "the other unit", func() bool { return len(d.committed) == 5 && d.deliver == 2 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	d.wantCommitted(t, all[1:])
}

// A generator may fail in every way: its unit is reported and leased again, the
// worker lives.
func TestBadGenerators(t *testing.T) {
	type emit = func(uint64, []loop.Member) error
	sample := []loop.Member{{Ext: "txt", Bytes: []byte("x")}}
	cases := map[string]struct {
		before func(ctx context.Context, w Work, emit emit) error
		want   string
	}{
		"panics":      {func(context.Context, Work, emit) error { panic("out of memory") }, "panicked: out of memory"},
		"errs":        {func(context.Context, Work, emit) error { return errors.New("no GPU") }, "no GPU"},
		"wrong index": {func(_ context.Context, _ Work, e emit) error { _ = e(99, sample); return nil }, "emitted index 99; the unit has 0 to 4"},
		"too many": {func(_ context.Context, w Work, e emit) error {
			for range 2 {
				_ = e(0, sample)
			}
			return nil
		}, "emitted index 0 twice"},
		"bad member": {func(_ context.Context, w Work, e emit) error {
			return e(0, []loop.Member{{Ext: "../../x", Bytes: []byte("x")}})
		}, "is not an extension"},
		"oversize": {func(_ context.Context, w Work, e emit) error {
			return e(0, []loop.Member{{Ext: "txt", Bytes: make([]byte, loop.MaxSampleBytes+1)}})
		}, "at most"},
		"hangs, and obeys":       {func(ctx context.Context, _ Work, _ emit) error { <-ctx.Done(); return nil }, "took more than 50ms"},
		"hangs, and emits later": {func(ctx context.Context, _ Work, e emit) error { <-ctx.Done(); return e(0, sample) }, "took more than 50ms"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDesk(units(1, 5)...)
			s := serve(t, d, "127.0.0.1:0", nil)
			var once sync.Once
			w := work(t, s.url(), func(o *AgentOptions) {
				o.UnitTimeout = 50 * time.Millisecond
				if !strings.HasPrefix(name, "hangs") {
					o.UnitTimeout = time.Minute
				}
				o.Generators = []Generator{echo{before: func(ctx context.Context, w Work, e emit) (err error) {
					once.Do(func() { err = c.before(ctx, w, e) })
					return err
				}}}
			})
			d.wait(t, "the unit, the second time", func() bool { return len(d.committed) == 5 })
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			if len(d.failed) != 1 || !strings.Contains(d.failed[0], c.want) {
				t.Errorf("failed: %q, want %q", d.failed, c.want)
			}
			if d.joined != 1 {
				t.Errorf("%d connections", d.joined)
			}
		})
	}
	t.Run("too few", func(t *testing.T) {
		d := newDesk(units(1, 5)...)
		s := serve(t, d, "127.0.0.1:0", nil)
		work(t, s.url(), func(o *AgentOptions) { o.Generators = []Generator{lazy{}} })
		d.wait(t, "a failure", func() bool { return len(d.failed) > 0 })
		d.mu.Lock()
		defer d.mu.Unlock()
		if !strings.Contains(d.failed[0], "emitted 0 of 5 samples") {
			t.Errorf("failed: %q", d.failed[0])
		}
	})
}

// lazy makes nothing.
type lazy struct{ echo }

func (lazy) Make(context.Context, Work, func(uint64, []loop.Member) error) error { return nil }

// A generator that does not even return is left behind, and does not keep the
// others from working; too many of them end the worker.
func TestGeneratorsThatNeverReturn(t *testing.T) {
	d := newDesk(units(1, 1)...)
	s := serve(t, d, "127.0.0.1:0", nil)
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	w := work(t, s.url(), func(o *AgentOptions) {
		o.Slots, o.UnitTimeout = 40, time.Millisecond
		o.Generators = []Generator{echo{before: func(context.Context, Work, func(uint64, []loop.Member) error) error {
			<-forever
			return nil
		}}}
	})
	d.wait(t, "a failure", func() bool { return len(d.failed) > 0 })
	d.mu.Lock()
	d.pending = append(d.pending, units(200, 1)[1:]...)
	d.changed()
	d.mu.Unlock()
	<-w.done
	if err := w.stop(); err == nil || !strings.Contains(err.Error(), "hang") {
		t.Fatalf("Run returned %v", err)
	}
}

// SIGTERM: take no more, but finish and deliver what was begun.
func TestDrainFinishes(t *testing.T) {
	d := newDesk(units(10, 5)...)
	s := serve(t, d, "127.0.0.1:0", nil)
	began, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w := work(t, s.url(), func(o *AgentOptions) {
		o.Grace = time.Minute
		o.Generators = []Generator{echo{before: func(ctx context.Context, w Work, _ func(uint64, []loop.Member) error) error {
			once.Do(func() { close(began) })
			select {
			case <-finish:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}}}
	})
	<-began
	stopped := make(chan error)
	go func() { stopped <- w.stop() }()
	awaitDraining(w.agent)
	close(finish)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	d.wait(t, "the worker's end", func() bool { return len(d.left) == 1 })
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.committed) != 5 || len(d.pending) != 9 || len(d.failed) != 0 {
		t.Errorf("%d committed, %d pending, failed %v; want one unit done and nine open", len(d.committed), len(d.pending), d.failed)
	}
}

func awaitDraining(a *Agent) {
	for {
		a.mu.Lock()
		draining := a.draining
		a.mu.Unlock()
		if draining {
			return
		}
		runtime.Gosched()
	}
}

// Grace is bounded: what cannot be finished or delivered in time is abandoned or
// kept, and the next agent in the directory delivers what was kept (C9).
func TestDrainIsBoundedAndTheNextAgentGoesOn(t *testing.T) {
	all := units(1, 5)
	d := newDesk(all...)
	deaf := true
	d.verdict = func(ctx context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		d.mu.Lock()
		wait := deaf
		d.mu.Unlock()
		if wait {
			<-ctx.Done()
			return loop.Standing{}, loop.ErrUnavailable, true
		}
		return loop.Standing{}, nil, false
	}
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.Grace = time.Millisecond })
	dir := t.TempDir()
	w := work(t, s.url(), func(o *AgentOptions) { o.Dir, o.Grace = dir, 10*time.Millisecond })
	d.wait(t, "a delivery", func() bool { return d.deliver == 1 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	s.stop()
	d.mu.Lock()
	deaf, d.staged = false, make(map[string][]byte)
	d.mu.Unlock()
	serve(t, d, s.addr, nil)
	made := false
	w = work(t, s.url(), func(o *AgentOptions) {
		o.Dir = dir
		o.Generators = []Generator{echo{version: ".1", before: func(context.Context, Work, func(uint64, []loop.Member) error) error {
			made = true
			return nil
		}}}
	})
	d.wait(t, "the delivery", func() bool { return len(d.committed) == 5 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if made {
		t.Error("the unit was made anew")
	}
	if last := d.holds[len(d.holds)-1]; !slices.Equal(last, all) {
		t.Errorf("announced %v, want %v", last, all)
	}
}

// A bundle that is small by what the hub says goes with its delivery (C19: any other
// is staged).
func TestSmallBundles(t *testing.T) {
	small, large := units(10, 1), loop.Unit{Campaign: "c", Round: 1, First: 500, Count: 25}
	d := newDesk(append(small, large)...)
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.Small = 4 << 10 })
	w := work(t, s.url(), nil)
	d.wait(t, "all committed", func() bool { return len(d.committed) == 35 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, staged := d.staged["w1/"+large.ID()]; d.puts != 1 || !staged {
		t.Errorf("%d bundles were staged; the large one: %t", d.puts, staged)
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.hub.bytes != 0 {
		t.Errorf("%d bytes are counted as judged for ever", s.hub.bytes)
	}
}

// A bundle that the server refuses for good fails its unit.
func TestRefusedStaging(t *testing.T) {
	d := newDesk(units(2, 5)...)
	s := serve(t, d, "127.0.0.1:0", nil)
	first := stageOverHTTP(api.New(s.url()), "w1")
	tries := 0
	w := work(t, s.url(), func(o *AgentOptions) {
		o.Stage = func(ctx context.Context, u loop.Unit, b io.ReadSeeker, size int64) error {
			switch tries++; tries {
			case 1:
				return errors.New("connection reset")
			case 2:
				return &loop.Error{Field: "body", Problem: "too large"}
			}
			return first(ctx, u, b, size)
		}
	})
	d.wait(t, "both units", func() bool { return len(d.committed) == 10 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if len(d.failed) != 1 || !strings.Contains(d.failed[0], "too large") {
		t.Errorf("failed: %q", d.failed)
	}
}

// What makes trying again useless ends Run with the reason.
func TestRefusedForGood(t *testing.T) {
	d := newDesk()
	d.join = func(w loop.Worker) error {
		return loop.Conflict("generators", "generator %q is retired", w.Generators[0].Name)
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	w := work(t, s.url(), nil)
	<-w.done
	err := w.stop()
	if refusal, ok := errors.AsType[*loop.Error](err); !ok || !strings.Contains(err.Error(), `generator "echo" is retired`) || refusal.Field != "generators" {
		t.Fatalf("Run returned %v", err)
	}
}

// A server without a leader is tried again.
func TestNoLeaderYet(t *testing.T) {
	d := newDesk(units(1, 5)...)
	tries := 0
	d.join = func(loop.Worker) error {
		if tries++; tries < 4 {
			return loop.ErrUnavailable
		}
		return nil
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	work(t, s.url(), nil)
	d.wait(t, "the unit", func() bool { return len(d.committed) == 5 })
}

func TestAgentOptions(t *testing.T) {
	ok := AgentOptions{Server: "http://127.0.0.1:7070", Name: "w1", Dir: "d", Generators: []Generator{echo{}}}
	for name, change := range map[string]func(*AgentOptions){
		"server":     func(o *AgentOptions) { o.Server = "127.0.0.1:7070,ftp://n2" },
		"name":       func(o *AgentOptions) { o.Name = "../w" },
		"dir":        func(o *AgentOptions) { o.Dir = "" },
		"slots":      func(o *AgentOptions) { o.Slots = -1 },
		"generators": func(o *AgentOptions) { o.Generators = nil },
		"max_held":   func(o *AgentOptions) { o.MaxHeld = 1 << 20 },
		"backoff":    func(o *AgentOptions) { o.MinBackoff = time.Hour },
	} {
		o := ok
		change(&o)
		_, err := NewAgent(o)
		if refusal, is := errors.AsType[*loop.Error](err); !is || refusal.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewAgent(ok); err != nil {
		t.Error(err)
	}
}
