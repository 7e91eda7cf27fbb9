package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// brittle is the real disk, with a model of what a power loss would leave, and a
// call that fails. The model: bytes are durable once their file is synced; a
// name is durable once its directory is synced.
type brittle struct {
	rooted
	mu sync.Mutex
	// calls counts; failAt is the number of the call that fails, from 1.
	calls, failAt int
	// synced tells of each path whether its bytes are durable; volatile holds the
	// names that a power loss would take.
	synced   map[string]bool
	volatile map[string]bool
	// forget makes the disk lie about one sort of call, to test the test.
	forget string
	faults []string
}

var errDiskFull = errors.New("no space left on device")

func (d *brittle) call(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.calls == d.failAt {
		return fmt.Errorf("%s: %w", name, errDiskFull)
	}
	return nil
}

func (d *brittle) create(path string) (file, error) {
	if err := d.call("create"); err != nil {
		return nil, err
	}
	f, err := d.rooted.create(path)
	return &brittleFile{file: f, disk: d, path: path}, err
}

func (d *brittle) rename(from, to string) error {
	if err := d.call("rename"); err != nil {
		return err
	}
	d.mu.Lock()
	if !d.synced[from] {
		d.faults = append(d.faults, to+" was named before its bytes were durable")
	}
	d.synced[to] = d.synced[from]
	d.volatile[to] = true
	d.mu.Unlock()
	return d.rooted.rename(from, to)
}

func (d *brittle) mkdir(path string) error {
	if err := d.call("mkdir"); err != nil {
		return err
	}
	err := d.rooted.mkdir(path)
	if err == nil {
		d.mu.Lock()
		d.volatile[path] = true
		d.mu.Unlock()
	}
	return err
}

func (d *brittle) syncDir(path string) error {
	if err := d.call("syncDir"); err != nil {
		return err
	}
	if d.forget == "syncDir" {
		return nil
	}
	d.mu.Lock()
	for name := range d.volatile {
		if parentOf(name) == path {
			delete(d.volatile, name)
		}
	}
	d.mu.Unlock()
	return d.rooted.syncDir(path)
}

func (d *brittle) remove(path string) error {
	// Not made to fail: what a remove leaves is never under a final name.
	return d.rooted.remove(path)
}

// lost says what a power loss would take of an object or staged file now.
func (d *brittle) lost(path string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lost := append([]string(nil), d.faults...)
	if !d.synced[path] {
		lost = append(lost, "the bytes of "+path)
	}
	for p := path; p != "."; p = parentOf(p) {
		if d.volatile[p] {
			lost = append(lost, "the name of "+p)
		}
	}
	return lost
}

type brittleFile struct {
	file
	disk *brittle
	path string
}

// Write fails half way, as a full disk does.
func (f *brittleFile) Write(p []byte) (int, error) {
	if err := f.disk.call("write"); err != nil {
		n, _ := f.file.Write(p[:len(p)/2])
		return n, err
	}
	return f.file.Write(p)
}

func (f *brittleFile) Sync() error {
	if err := f.disk.call("sync"); err != nil {
		return err
	}
	if f.disk.forget == "sync" {
		return nil
	}
	f.disk.mu.Lock()
	f.disk.synced[f.path] = true
	f.disk.mu.Unlock()
	return f.file.Sync()
}

func openBrittle(t *testing.T, failAt int, forget string) (*Lake, *brittle) {
	t.Helper()
	d := &brittle{synced: map[string]bool{}, volatile: map[string]bool{}, forget: forget}
	l, err := open(Options{Dir: t.TempDir()}, func(root *os.Root) disk { d.rooted = rooted{root}; return d })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if failAt > 0 {
		d.failAt = d.calls + failAt
	}
	return l, d
}

// I1, C17: when a put or a stage returns, a power loss takes nothing of it.
func TestDurableWhenReturned(t *testing.T) {
	ctx := context.Background()
	l, d := openBrittle(t, 0, "")
	body := bytes.Repeat([]byte("x"), 200_000)
	for epoch := uint64(1); epoch <= 2; epoch++ {
		for range 2 { // the second finds the object there
			o, err := l.Put(ctx, Pack, epoch, 0, writes(body))
			if err != nil {
				t.Fatal(err)
			}
			if lost := d.lost(o.Key); lost != nil {
				t.Errorf("a power loss would take %v", lost)
			}
		}
	}
	for _, unit := range []string{unitA, unitB, unitA} {
		if _, err := l.Stage(ctx, "w", unit, "samples.tar", bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if lost := d.lost("staging/w/" + unit + "/samples.tar"); lost != nil {
			t.Errorf("a power loss would take %v", lost)
		}
		if err := l.Sweep(ctx, "w", unit); err != nil {
			t.Fatal(err)
		}
	}
	for _, forget := range []string{"sync", "syncDir"} {
		l, d := openBrittle(t, 0, forget)
		o, err := l.Put(ctx, Pack, 1, 0, writes(body))
		if err != nil {
			t.Fatal(err)
		}
		if d.lost(o.Key) == nil {
			t.Errorf("the model does not notice a missing %s", forget)
		}
	}
}

// C17: whatever call fails, no final key holds a part of an object, no draft is
// left, and the same put succeeds when the disk does.
func TestFailingDiskLeavesNothingPartial(t *testing.T) {
	ctx := context.Background()
	body := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	digests := map[string]func(l *Lake) (string, error){
		"put": func(l *Lake) (string, error) {
			o, err := l.Put(ctx, Pack, 1, 0, writes(body))
			return o.Key, err
		},
		"stage": func(l *Lake) (string, error) {
			_, err := l.Stage(ctx, "w", unitA, "samples.tar", bytes.NewReader(body))
			return "staging/w/" + unitA + "/samples.tar", err
		},
	}
	for name, do := range digests {
		failures := 0
		for failAt := 1; ; failAt++ {
			l, d := openBrittle(t, failAt, "")
			_, err := do(l)
			if err == nil {
				break // it has fewer calls than that
			}
			failures++
			if !errors.Is(err, errDiskFull) {
				t.Fatalf("%s: call %d: %v", name, failAt, err)
			}
			if names := drafts(t, l); len(names) != 0 {
				t.Errorf("%s: call %d left drafts %v", name, failAt, names)
			}
			for _, folder := range []string{"packs", "staging"} {
				walk(t, filepath.Join(l.dir, folder), func(path string) {
					if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, body) {
						t.Errorf("%s: call %d left %d bytes under %s", name, failAt, len(b), path)
					}
				})
			}
			path, err := do(l)
			if err != nil {
				t.Errorf("%s: tried again after call %d: %v", name, failAt, err)
			}
			if lost := d.lost(path); lost != nil {
				t.Errorf("%s: tried again after call %d, a power loss would take %v", name, failAt, lost)
			}
		}
		if failures < 8 {
			t.Errorf("%s: only %d calls failed", name, failures)
		}
	}
}

func walk(t *testing.T, dir string, each func(path string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !e.IsDir() {
			each(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A writer that fails after some bytes puts nothing.
func TestFailingWriterPutsNothing(t *testing.T) {
	l := openLake(t)
	broken := errors.New("broken")
	_, err := l.Put(context.Background(), Pack, 1, 0, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("put: %v", err)
	}
	walk(t, l.dir, func(path string) { t.Errorf("%s is left", path) })
}

// held is a disk whose directory syncs wait to be let go.
type held struct {
	rooted
	let   chan struct{}
	calls atomic.Int32
}

func (d *held) syncDir(string) error {
	d.calls.Add(1)
	<-d.let
	return nil
}

// Writers who come while a sync is under way share the next one: theirs may have
// been named too late for the one under way.
func TestDirectorySyncsCoalesce(t *testing.T) {
	d := &held{let: make(chan struct{})}
	dirs := &directories{disk: d, ready: map[string]bool{}, turns: map[string]*turn{}}
	var writers sync.WaitGroup
	start := func(n int) {
		for range n {
			writers.Go(func() {
				if err := dirs.sync("packs/1/ab"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	start(1)
	for d.calls.Load() != 1 {
		runtime.Gosched()
	}
	start(20)
	for waiting := 0; waiting != 21; runtime.Gosched() {
		dirs.mu.Lock()
		waiting = dirs.turns["packs/1/ab"].users
		dirs.mu.Unlock()
	}
	d.let <- struct{}{}
	d.let <- struct{}{}
	writers.Wait()
	if n := d.calls.Load(); n != 2 {
		t.Errorf("%d syncs for 21 writers", n)
	}
	if len(dirs.turns) != 0 {
		t.Errorf("%d turns are left", len(dirs.turns))
	}
	if !strings.HasPrefix("packs/1/ab", parentOf("packs/1/ab")) || parentOf("packs") != "." {
		t.Error("parentOf is wrong")
	}
}
