package lake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/loop"
)

func openLake(t testing.TB) *Lake {
	t.Helper()
	l, err := Open(Options{Dir: filepath.Join(t.TempDir(), "data", "lake")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func put(t testing.TB, l *Lake, kind Kind, epoch uint64, b []byte) loop.Object {
	t.Helper()
	o, err := l.Put(context.Background(), kind, epoch, 3, writes(b))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func writes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

// drafts lists what lies under tmp.
func drafts(t testing.TB, l *Lake) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(l.dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func refused(err error) bool {
	var refusal *loop.Error
	return errors.As(err, &refusal)
}

func TestPutC16(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	b := []byte("some bytes")
	for kind, want := range map[Kind]string{
		Pack:      "packs/7/0d/0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d.tar",
		Part:      "parts/7/0d/0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d.parquet",
		Manifest:  "manifests/7/0d/0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d.ndjson",
		Addresses: "manifests/7/0d/0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d.addresses",
		Evidence:  "evidence/7/0d/0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d.bin",
	} {
		o := put(t, l, kind, 7, b)
		if o.Key != want || o.Bytes != int64(len(b)) || o.Rows != 3 || !strings.Contains(want, o.Digest.String()[7:]) {
			t.Errorf("put gave %+v, want key %s", o, want)
		}
		got, err := l.Read(ctx, o.Key)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("read %q, %v", got, err)
		}
		path, err := l.Path(o.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b) {
			t.Errorf("the file holds %q, %v", got, err)
		}
		if again := put(t, l, kind, 7, b); again != o {
			t.Errorf("put again gave %+v, first %+v", again, o)
		}
	}
	if first, second := put(t, l, Pack, 1, b), put(t, l, Pack, 2, b); first.Key == second.Key || first.Digest != second.Digest {
		t.Errorf("epochs 1 and 2 gave %s and %s (C18)", first.Key, second.Key)
	}
	if names := drafts(t, l); len(names) != 0 {
		t.Errorf("drafts are left: %v", names)
	}
}

func TestPutKeepsAndHeals(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	b := bytes.Repeat([]byte("pack"), 1000)
	o := put(t, l, Pack, 1, b)
	path, _ := l.Path(o.Key)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, l, Pack, 1, b)
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("an object that was there was replaced (%v)", err)
	}

	// Damage that changes the size is mended by the next put of the bytes.
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(ctx, o.Key); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a truncated object reads with %v", err)
	}
	put(t, l, Pack, 1, b)
	if got, err := l.Read(ctx, o.Key); err != nil || !bytes.Equal(got, b) {
		t.Errorf("after another put: %d bytes, %v", len(got), err)
	}

	// Damage that does not is found by whoever reads the whole.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{'X'}, 17); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(ctx, o.Key); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
	if err := l.Verify(ctx, o.Key); !errors.Is(err, ErrCorrupt) {
		t.Errorf("verify: %v", err)
	}
}

func TestReads(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	o := put(t, l, Pack, 1, []byte("0123456789"))
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, 10, "0123456789"}, {3, 4, "3456"}, {10, 0, ""}, {9, 1, "9"}} {
		if got, err := l.ReadRange(ctx, o.Key, c.offset, c.length); err != nil || string(got) != c.want {
			t.Errorf("range %d+%d: %q, %v", c.offset, c.length, got, err)
		}
	}
	for _, c := range [][2]int64{{-1, 2}, {0, 11}, {10, 1}, {5, -1}, {1 << 62, 1 << 62}} {
		if _, err := l.ReadRange(ctx, o.Key, c[0], c[1]); !refused(err) {
			t.Errorf("range %v: %v", c, err)
		}
	}
	r, size, err := l.OpenObject(ctx, o.Key)
	if err != nil || size != 10 {
		t.Fatalf("open: %d bytes, %v", size, err)
	}
	if b, err := io.ReadAll(r); err != nil || len(b) != 10 {
		t.Errorf("%q, %v", b, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Verify(ctx, o.Key); err != nil {
		t.Error(err)
	}

	missing := Key{Kind: Pack, Epoch: 1}.String()
	for name, err := range map[string]error{
		"read":   second(l.Read(ctx, missing)),
		"range":  second(l.ReadRange(ctx, missing, 0, 1)),
		"verify": l.Verify(ctx, missing),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of a missing object: %v", name, err)
		}
	}
	ended, end := context.WithCancel(ctx)
	end()
	for name, err := range map[string]error{
		"read":   second(l.Read(ended, o.Key)),
		"verify": l.Verify(ended, o.Key),
		"put":    second(l.Put(ended, Pack, 1, 0, writes(nil))),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end of its context: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

var hostileKeys = []string{
	"", "/", "packs", "../../etc/passwd", "packs/1/ab/../../../x.tar",
	"/packs/1/00/" + zeros64 + ".tar",
	"packs/1/ab/" + zeros64 + ".tar", // hh is not the digest's
	"packs/01/00/" + zeros64 + ".tar",
	"packs/-1/00/" + zeros64 + ".tar",
	"packs/+1/00/" + zeros64 + ".tar",
	"packs/1/00/" + zeros64 + ".parquet",
	"packs/1/00/" + zeros64 + ".tar/x",
	"packs/1/00/" + zeros64 + ".tar.tar",
	"packs/1/00/" + zeros64,
	"packs/1/00/" + zeros64[1:] + ".tar",
	"packs/1/00/" + zeros64 + "00.tar",
	"packs/99999999999999999999999/00/" + zeros64 + ".tar",
	"packs/1/00/" + zeros64[:62] + "AB.tar",
	"tmp/1/00/" + zeros64 + ".tar",
	"staging/w/u/samples.tar",
	"packs\\1\\00\\" + zeros64 + ".tar",
}

const zeros64 = "0000000000000000000000000000000000000000000000000000000000000000"

func TestParseKeyRefuses(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	for _, key := range hostileKeys {
		if k, err := ParseKey(key); !refused(err) {
			t.Errorf("%q is read as %+v, %v", key, k, err)
		}
		if path, err := l.Path(key); !refused(err) {
			t.Errorf("%q leads to %q, %v", key, path, err)
		}
		if _, err := l.Read(ctx, key); !refused(err) {
			t.Errorf("%q is read: %v", key, err)
		}
		if _, _, err := l.OpenObject(ctx, key); !refused(err) {
			t.Errorf("%q is opened: %v", key, err)
		}
	}
}

// A key that is accepted is exactly its own text, and stays in its folder.
func FuzzParseKey(f *testing.F) {
	for _, key := range hostileKeys {
		f.Add(key)
	}
	for kind := range kinds {
		f.Add(Key{Kind: Kind(kind), Epoch: 3}.String())
	}
	f.Fuzz(func(t *testing.T, key string) {
		k, err := ParseKey(key)
		if err != nil {
			return
		}
		if k.String() != key || !filepath.IsLocal(key) || strings.Contains(key, "..") {
			t.Fatalf("%q is read as %+v", key, k)
		}
	})
}

// Many writers of the same few objects all succeed, and none ever sees, or
// leaves, a part of one.
func TestConcurrentPuts(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	bodies := [][]byte{bytes.Repeat([]byte("a"), 1), bytes.Repeat([]byte("b"), 70_000), bytes.Repeat([]byte("c"), 200_000)}
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for i, b := range bodies {
				o, err := l.Put(ctx, Pack, 1, 0, writes(b))
				if err != nil {
					t.Errorf("put %d: %v", i, err)
					continue
				}
				if got, err := l.Read(ctx, o.Key); err != nil || !bytes.Equal(got, b) {
					t.Errorf("read %d: %d bytes, %v", i, len(got), err)
				}
			}
		})
	}
	writers.Wait()
	if names := drafts(t, l); len(names) != 0 {
		t.Errorf("drafts are left: %v", names)
	}
	count := 0
	err := filepath.WalkDir(filepath.Join(l.dir, "packs"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			count++
		}
		return err
	})
	if err != nil || count != len(bodies) {
		t.Errorf("%d objects, %v", count, err)
	}
}

func TestOpenSweepsStaleDrafts(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old": 2 * staleDraft, "young": time.Minute} {
		path := filepath.Join(dir, "tmp", name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if names := drafts(t, l); !slices.Equal(names, []string{"young"}) {
		t.Errorf("left: %v", names)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("a lake without a directory was opened")
	}
	if _, err := Open(Options{Dir: filepath.Join(dir, "tmp", "young")}); err == nil {
		t.Error("a file was opened as a lake")
	}
}
