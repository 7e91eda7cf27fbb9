package lake

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hone/loop"
)

// list is the keys of a folder's objects up to an epoch, in order.
func list(t *testing.T, l *Lake, folder string, last uint64) (keys []string) {
	t.Helper()
	for o, err := range l.Objects(context.Background(), folder, last) {
		if err != nil {
			t.Fatal(err)
		}
		if k, err := ParseKey(o.Key); err != nil || k.Digest != o.Digest || o.Bytes != 1 {
			t.Errorf("%+v", o)
		}
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	return keys
}

// The lister finds every object of a kind, of the epochs that are asked for, and
// nothing that is none; however many there are.
func TestObjects(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	var want []string
	for i := range 300 {
		o := put(t, l, Pack, uint64(1+i%3), []byte{byte(i)})
		if i%3 < 2 {
			want = append(want, o.Key)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	manifest, addresses := put(t, l, Manifest, 1, []byte("m")), put(t, l, Addresses, 1, []byte("a"))
	// What somebody else has put there.
	for _, path := range []string{"packs/readme", "packs/1/notes", "packs/1/ab/notes.tar", "packs/x/ab/notes.tar", "packs/2/sub/ab/notes.tar"} {
		path = filepath.Join(l.dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, l, "packs", 2); !slices.Equal(got, want) {
		t.Errorf("%d packs, want %d", len(got), len(want))
	}
	if got := list(t, l, "packs", 0); len(got) != 0 {
		t.Errorf("%v before the first epoch", got)
	}
	if got := list(t, l, "manifests", 9); len(got) != 2 || !slices.Contains(got, manifest.Key) || !slices.Contains(got, addresses.Key) {
		t.Errorf("%v", got)
	}
	if got := list(t, l, "evidence", 9); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for _, folder := range []string{"staging", "..", ""} {
		for _, err := range l.Objects(ctx, folder, 9) {
			if err == nil {
				t.Errorf("%q was listed", folder)
			}
		}
	}
	// Deleting while listing, twice over; and a reader that has enough.
	n := 0
	for o := range l.Objects(ctx, "packs", 3) {
		if n++; n == 7 {
			break
		}
		for range 2 {
			if err := l.Delete(ctx, o.Key); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := l.OpenObject(ctx, o.Key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", o.Key, err)
		}
	}
	if got := list(t, l, "packs", 3); len(got) != 256-6 && len(got) != 300-6 {
		t.Errorf("%d packs are left", len(got))
	}
	for _, key := range []string{"staging/w/u/x", "packs/1/ab/../../x", "", "tmp/x"} {
		if l.Delete(ctx, key) == nil {
			t.Errorf("%q was deleted", key)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range l.Objects(ended, "packs", 3) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
}

// All packs that a part names are found, and in a damaged part none is overlooked.
func TestPacks(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	var rows []loop.SampleRow
	for i := range 1000 {
		r := sampleRow(i)
		r.Address.Key = []string{"packs/1/a", "packs/2/b", "packs/1/c"}[i*i%3]
		rows = append(rows, r)
	}
	rows[999].Address.Key = "packs/9/last"
	part, err := l.WriteSamples(ctx, 1, space, rows)
	if err != nil {
		t.Fatal(err)
	}
	packs, err := l.Packs(ctx, part.Key)
	slices.Sort(packs)
	if err != nil || !slices.Equal(packs, []string{"packs/1/a", "packs/2/b", "packs/9/last"}) {
		t.Errorf("%v, %v", packs, err)
	}
	verdicts, err := l.WriteVerdicts(ctx, 1, space, []loop.VerdictRow{{Campaign: "c", Name: rows[0].Name, Scenario: rows[0].Scenario}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Packs(ctx, verdicts.Key); err == nil {
		t.Error("verdicts have packs")
	}
	path := filepath.Join(l.dir, part.Key)
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bytes[len(bytes)/2] ^= 1
	if err := os.WriteFile(path, bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Packs(ctx, part.Key); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
	if err := l.Delete(ctx, part.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Packs(ctx, part.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
