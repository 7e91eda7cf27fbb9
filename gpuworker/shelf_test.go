package gpuworker

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"hone/loop"
)

func openTestShelf(t *testing.T, dir string) *shelf {
	t.Helper()
	s, err := openShelf(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func loadTest(t *testing.T, s *shelf) []*held {
	t.Helper()
	units, err := s.load("w1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return units
}

// make puts a unit on a shelf.
func putTest(t *testing.T, s *shelf, u loop.Unit) *held {
	t.Helper()
	d, err := s.draft(u)
	if err != nil {
		t.Fatal(err)
	}
	defer d.discard()
	for i := range u.Count {
		if err := d.emit(u.First+uint64(i), []loop.Member{{Ext: "txt", Bytes: []byte(u.Name(i).Key())}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.complete(); err != nil {
		t.Fatal(err)
	}
	h, err := s.put(d, loop.Delivery{Worker: "w1", Unit: u, Generator: loop.Generator{Name: "echo", Version: "1"}, Millis: 3})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// C9: what is on the shelf is found by the next agent, whole; what was being
// made is gone; what was removed stays away.
func TestShelfOutlivesItsAgent(t *testing.T) {
	dir := t.TempDir()
	s := openTestShelf(t, dir)
	all := units(3, 4)
	var kept []*held
	for _, u := range all {
		kept = append(kept, putTest(t, s, u))
	}
	if _, err := s.draft(units(4, 4)[3]); err != nil {
		t.Fatal(err)
	}
	if err := s.remove(kept[1]); err != nil {
		t.Fatal(err)
	}
	instance := s.instance
	s.close()

	s = openTestShelf(t, dir)
	if s.instance != instance || len(instance) != 32 {
		t.Errorf("instance %q became %q", instance, s.instance)
	}
	got := loadTest(t, s)
	if len(got) != 2 || got[0].delivery.Unit != all[0] || got[1].delivery.Unit != all[2] {
		t.Fatalf("found %v", got)
	}
	for i, h := range got {
		if want := kept[2*i]; h.size != want.size || !slices.Equal(h.delivery.Samples, want.delivery.Samples) || h.delivery.Generator != want.delivery.Generator {
			t.Errorf("found %+v, want %+v", h, want)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, makingDir)); len(left) != 0 {
		t.Errorf("still being made: %v", left)
	}
}

func TestShelfIsOneAgents(t *testing.T) {
	dir := t.TempDir()
	openTestShelf(t, dir)
	if _, err := openShelf(dir); err == nil || !strings.Contains(err.Error(), "another worker uses this directory") {
		t.Fatalf("a second agent: %v", err)
	}
}

// Damage of every sort drops the unit, and only that.
func TestDamagedUnitsAreDropped(t *testing.T) {
	u := units(2, 4)
	id := u[0].ID()
	for name, damage := range map[string]func(held string) error{
		"no description":      func(h string) error { return os.Remove(filepath.Join(h, id, deliveryFile)) },
		"no bundle":           func(h string) error { return os.Remove(filepath.Join(h, id, loop.Bundle)) },
		"cut bundle":          func(h string) error { return os.Truncate(filepath.Join(h, id, loop.Bundle), 3000) },
		"cut description":     func(h string) error { return os.Truncate(filepath.Join(h, id, deliveryFile), 100) },
		"large description":   func(h string) error { return os.Truncate(filepath.Join(h, id, deliveryFile), 2<<20) },
		"another unit's name": func(h string) error { return os.Rename(filepath.Join(h, id), filepath.Join(h, "c.1-t0-0-100-4")) },
		"no unit's name":      func(h string) error { return os.Rename(filepath.Join(h, id), filepath.Join(h, "backup")) },
		"another worker's": func(h string) error {
			path := filepath.Join(h, id, deliveryFile)
			b, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, bytes.Replace(b, []byte(`"w1"`), []byte(`"w2"`), 1), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openTestShelf(t, dir)
			putTest(t, s, u[0])
			putTest(t, s, u[1])
			if err := damage(filepath.Join(dir, heldDir)); err != nil {
				t.Fatal(err)
			}
			if got := loadTest(t, s); len(got) != 1 || got[0].delivery.Unit != u[1] {
				t.Errorf("found %d units", len(got))
			}
			if left, _ := os.ReadDir(filepath.Join(dir, heldDir)); len(left) != 1 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Samples may be emitted in any order, from many goroutines: the bundle is the
// same, in order, and a tar that anyone can read.
func TestBundleDoesNotDependOnTheOrder(t *testing.T) {
	u := loop.Unit{Campaign: "c", Round: 2, Domain: loop.Probe, Component: 3, Attempt: 1, First: 700, Count: 40}
	members := func(index uint64) []loop.Member {
		return []loop.Member{{Ext: "label.json", Bytes: []byte{byte(index)}}, {Ext: "image.bin", Bytes: bytes.Repeat([]byte{7}, int(index))}}
	}
	bundle := func(order []int) ([]byte, []loop.Staged) {
		var out bytes.Buffer
		d := newDraft(u, t.TempDir(), writeCloser{&out})
		var wg sync.WaitGroup
		for _, half := range [][]int{order[:20], order[20:]} {
			wg.Go(func() {
				for _, i := range half {
					if err := d.emit(u.First+uint64(i), members(u.First+uint64(i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if err := d.complete(); err != nil {
			t.Fatal(err)
		}
		rows, size, err := d.finish()
		if err != nil || size != int64(out.Len()) {
			t.Fatal(size, out.Len(), err)
		}
		return out.Bytes(), rows
	}
	first, rows := bundle(rand.New(rand.NewPCG(1, 1)).Perm(40))
	for seed := range uint64(3) {
		again, others := bundle(rand.New(rand.NewPCG(seed, 9)).Perm(40))
		if !bytes.Equal(again, first) || !slices.Equal(rows, others) {
			t.Fatal("two orders, two bundles")
		}
	}
	d := loop.Delivery{Worker: "w", Unit: u, Samples: rows}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		key, got, digest, err := loop.ReadSample(first[row.Offset:row.Offset+row.Length], loop.MaxSampleBytes)
		if err != nil || key != u.Name(i).Key() || digest != row.Digest || len(got) != 2 {
			t.Fatalf("sample %d: %s %v %v", i, key, digest, err)
		}
	}
	entries := 0
	for r := tar.NewReader(bytes.NewReader(first)); ; entries++ {
		if _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if entries != 80 {
		t.Errorf("%d entries, want 80", entries)
	}
}

type writeCloser struct{ io.Writer }

func (writeCloser) Close() error { return nil }

func TestDraftRefuses(t *testing.T) {
	u := loop.Unit{Campaign: "c", Round: 1, First: 10, Count: 3}
	one := []loop.Member{{Ext: "txt", Bytes: []byte("x")}}
	full := errors.New("disk full")
	for name, c := range map[string]struct {
		do   func(d *draft)
		want string
	}{
		"below":         {func(d *draft) { d.emit(9, one) }, "emitted index 9; the unit has 10 to 12"},
		"beyond":        {func(d *draft) { d.emit(13, one) }, "emitted index 13"},
		"twice":         {func(d *draft) { d.emit(10, one); d.emit(10, one) }, "twice"},
		"twice early":   {func(d *draft) { d.emit(12, one); d.emit(12, one) }, "twice"},
		"no members":    {func(d *draft) { d.emit(10, nil) }, "0 members"},
		"one missing":   {func(d *draft) { d.emit(10, one); d.emit(12, one) }, "emitted 2 of 3 samples"},
		"after the end": {func(d *draft) { d.close(full); d.emit(10, one) }, "disk full"},
		"first error stays": {func(d *draft) {
			d.emit(99, one)
			for i := range 3 {
				d.emit(10+uint64(i), one)
			}
		}, "emitted index 99"},
	} {
		d := newDraft(u, t.TempDir(), writeCloser{io.Discard})
		c.do(d)
		if err := d.complete(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, _, err := d.finish(); err == nil {
			t.Errorf("%s: finished all the same", name)
		}
	}
	d := newDraft(u, t.TempDir(), writeCloser{faulty{full}})
	if err := d.emit(10, one); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
}

type faulty struct{ err error }

func (f faulty) Write([]byte) (int, error) { return 0, f.err }
