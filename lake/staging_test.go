package lake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	unitA = "loop.1-t0-0-0-50"
	unitB = "loop.1-t0-0-50-50"
)

func TestStagingC19(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	if units, err := l.StagedUnits(ctx, "w1"); err != nil || len(units) != 0 {
		t.Errorf("an unknown worker has %v, %v", units, err)
	}
	for _, c := range []struct{ worker, unit, body string }{
		{"w1", unitB, "b"}, {"w1", unitA, "first"}, {"w1", unitA, "second"}, {"w2", unitA, "other"},
	} {
		if n, err := l.Stage(ctx, c.worker, c.unit, "samples.tar", strings.NewReader(c.body)); err != nil || n != int64(len(c.body)) {
			t.Fatalf("stage: %d, %v", n, err)
		}
	}
	check := func(worker, unit, want string) {
		t.Helper()
		r, size, err := l.OpenStaged(ctx, worker, unit, "samples.tar")
		if err != nil {
			t.Errorf("open: %v", err)
			return
		}
		defer r.Close()
		if b, err := io.ReadAll(r); err != nil || string(b) != want || size != int64(len(want)) {
			t.Errorf("%s/%s holds %q (%d), %v; want %q", worker, unit, b, size, err, want)
		}
	}
	check("w1", unitA, "second")
	check("w2", unitA, "other")
	// Something that is no unit is not listed, and not touched.
	if err := os.Mkdir(filepath.Join(l.dir, "staging/w1/lost+found"), 0o755); err != nil {
		t.Fatal(err)
	}
	units, err := l.StagedUnits(ctx, "w1")
	if err != nil || len(units) != 2 || units[0].ID() != unitA || units[1].ID() != unitB {
		t.Errorf("listed %v, %v", units, err)
	}
	for range 2 {
		if err := l.Sweep(ctx, "w1", unitA); err != nil {
			t.Errorf("sweep: %v", err)
		}
		if _, _, err := l.OpenStaged(ctx, "w1", unitA, "samples.tar"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open after the sweep: %v (C9)", err)
		}
	}
	check("w2", unitA, "other")
	// A swept area may be filled again.
	if _, err := l.Stage(ctx, "w1", unitA, "samples.tar", strings.NewReader("third")); err != nil {
		t.Fatal(err)
	}
	check("w1", unitA, "third")
}

func TestStageLimit(t *testing.T) {
	ctx := context.Background()
	l, err := Open(Options{Dir: t.TempDir(), StageLimit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n, err := l.Stage(ctx, "w", unitA, "samples.tar", bytes.NewReader(make([]byte, 1000))); err != nil || n != 1000 {
		t.Errorf("at the limit: %d, %v", n, err)
	}
	if _, err := l.Stage(ctx, "w", unitA, "samples.tar", bytes.NewReader(make([]byte, 1001))); !refused(err) {
		t.Errorf("above the limit: %v", err)
	}
	// An upload that breaks off leaves what was there before.
	broken := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := l.Stage(ctx, "w", unitA, "samples.tar", broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken upload: %v", err)
	}
	if _, size, err := l.OpenStaged(ctx, "w", unitA, "samples.tar"); err != nil || size != 1000 {
		t.Errorf("afterwards %d bytes are staged, %v", size, err)
	}
	if names := drafts(t, l); len(names) != 0 {
		t.Errorf("drafts are left: %v", names)
	}
}

func TestStagingRefusesPaths(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	if err := os.WriteFile(filepath.Join(filepath.Dir(l.dir), "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"", unitA, "samples.tar"}, {"..", unitA, "samples.tar"}, {"a/b", unitA, "samples.tar"}, {".", unitA, "x"}, {"w\x00", unitA, "x"},
		{"w", "", "samples.tar"}, {"w", "..", "samples.tar"}, {"w", unitA + "/..", "x"}, {"w", "../" + unitA, "x"},
		{"w", unitA, ""}, {"w", unitA, "."}, {"w", unitA, ".."}, {"w", unitA, "../x"}, {"w", unitA, "a/b"}, {"w", unitA, ".hidden"}, {"w", unitA, "a\\b\x00"},
	} {
		if _, err := l.Stage(ctx, c[0], c[1], c[2], strings.NewReader("x")); !refused(err) {
			t.Errorf("stage %q: %v", c, err)
		}
		if _, _, err := l.OpenStaged(ctx, c[0], c[1], c[2]); !refused(err) {
			t.Errorf("open %q: %v", c, err)
		}
	}
	for _, c := range [][2]string{{"..", unitA}, {"", unitA}, {"w", ".."}, {"w", ""}} {
		if err := l.Sweep(ctx, c[0], c[1]); !refused(err) {
			t.Errorf("sweep %q: %v", c, err)
		}
	}
	if _, err := l.StagedUnits(ctx, ".."); !refused(err) {
		t.Errorf("list ..: %v", err)
	}
}

// With a shared directory a worker could leave a link instead of a file.
func TestStagedLinksAreNotFollowed(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	if _, err := l.Stage(ctx, "w", unitA, "samples.tar", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(filepath.Dir(l.dir), "secret")
	if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"outside": secret, "up": "../../../../secret", "inside": "samples.tar"} {
		if err := os.Symlink(target, filepath.Join(l.dir, "staging/w", unitA, name)); err != nil {
			t.Skip(err)
		}
		if _, _, err := l.OpenStaged(ctx, "w", unitA, name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("link %s: %v", name, err)
		}
	}
	// Nor does a linked staging area lead out.
	if err := os.Symlink(filepath.Dir(l.dir), filepath.Join(l.dir, "staging/x")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Stage(ctx, "x", unitA, "samples.tar", strings.NewReader("x")); err == nil {
		t.Error("staged through a link that leads out")
	}
}

// sweeper is a disk on which a unit is swept just before a file of it is named.
type sweeper struct {
	disk
	sweeps int
	sweep  func()
}

func (d *sweeper) rename(from, to string) error {
	if d.sweeps > 0 {
		d.sweeps--
		d.sweep()
	}
	return d.disk.rename(from, to)
}

// A worker that delivers again while its first delivery is settled stages what it
// promised all the same.
func TestStageWhileSwept(t *testing.T) {
	for _, sweeps := range []int{1, 2, stageTries} {
		l, ctx := openLake(t), context.Background()
		real := l.disk
		l.disk = &sweeper{disk: real, sweeps: sweeps, sweep: func() { real.removeAll("staging/w1/" + unitA) }}
		_, err := l.Stage(ctx, "w1", unitA, "samples.tar", strings.NewReader("bytes"))
		if (err == nil) != (sweeps < stageTries) {
			t.Errorf("swept %d times: %v", sweeps, err)
		}
	}
}
