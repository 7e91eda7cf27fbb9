package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"hone/coordinator/state"
	"hone/loop"
)

// keep is a copy of a directory in memory, of files without what is only
// allocated and never written.
type kept map[string][]byte

func keep(t *testing.T, dir string) kept {
	t.Helper()
	k := kept{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(path, ".wal") {
			content = bytes.TrimRight(content, "\x00")
			content = append(content, make([]byte, 64)...) // room for a frame that never was
		}
		k[strings.TrimPrefix(path, dir)] = content
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k kept) put(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for name, content := range k {
		if err := os.MkdirAll(filepath.Dir(dir+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// nodeFiles is what a node has before it hears of anybody: what its files say.
type nodeFiles struct {
	state loop.Digest
	term  uint64
	vote  string
	last  uint64
}

// readNode reads a node's directory as Node.start does, and applies its log.
func readNode(dir string) (r nodeFiles, err error) {
	cluster, _, err := membership(dir, "")
	if err != nil {
		return r, err
	}
	who, err := instance(dir, "n1")
	if err != nil {
		return r, err
	}
	l, err := openDir(dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.belongs(cluster, who); err != nil {
		return r, err
	}
	m := newMachine(cluster, state.LatestVersion, newClock(time.Now), func(error) {})
	applied, _ := l.snapshots.newest()
	if applied > 0 {
		all, err := l.snapshots.List()
		if err != nil {
			return r, err
		}
		_, content, err := l.snapshots.Open(all[0].ID)
		if err != nil {
			return r, err
		}
		if err := m.Restore(content); err != nil {
			return r, err
		}
	}
	if r.last, err = l.LastIndex(); err != nil {
		return r, err
	}
	for i := applied + 1; i <= r.last; i++ {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil {
			return r, err
		}
		if e.Type == raft.LogCommand {
			m.Apply(&e)
		}
	}
	if err := m.failed(); err != nil {
		return r, err
	}
	if r.term, err = l.GetUint64([]byte("CurrentTerm")); err != nil {
		return r, err
	}
	vote, err := l.Get([]byte("LastVoteCand"))
	r.vote, r.state = string(vote), m.state.Digest()
	return r, err
}

// A node of which one byte went bad is refused, with the file's name and what to
// do, or it is the same node: nothing is ever forgotten or changed in silence. Of
// every byte of its log, its snapshots and what describes them; HONE_CORRUPTION=all
// takes all of them and every bit, otherwise it is some of each file.
func TestEveryByteOfANode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	synctest.Test(t, func(t *testing.T) {
		n := run(t, dir).leading()
		for i := range 12 {
			n.put(i)
			if i == 3 || i == 7 {
				if err := n.raft.Snapshot().Error(); err != nil {
					t.Fatal(err)
				}
			}
		}
		n.stop()
	})
	whole := keep(t, dir)
	whole.put(t, dir)
	want, err := readNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	every, masks := 1+len(whole.bytes())/1500, []byte{0x01, 0x80}
	if os.Getenv("HONE_CORRUPTION") == "all" {
		every, masks = 1, []byte{1, 2, 4, 8, 16, 32, 64, 128, 255}
	}
	refused, same := map[string]int{}, map[string]int{}
	for name, content := range whole {
		kind := filepath.Base(name)
		if strings.HasSuffix(name, ".wal") {
			kind = "*.wal"
		}
		for at := range content {
			if at%every != 0 && len(content) > 256 {
				continue
			}
			for _, mask := range masks {
				flip(t, dir+name, at, mask)
				got, err := readNode(dir)
				if err != nil && refused[kind] == 0 {
					refusedToRun(t, dir)
				}
				whole.restore(t, dir, name, at, mask, err)
				switch {
				case err == nil && got == want:
					same[kind]++
				case err == nil:
					t.Errorf("%s, byte %d ^ %#x: in silence it is %+v, and was %+v", name, at, mask, got, want)
				case !strings.Contains(err.Error(), dir):
					t.Errorf("%s, byte %d ^ %#x: the refusal names no file: %v", name, at, mask, err)
				default:
					refused[kind]++
				}
			}
		}
	}
	for kind := range whole.kinds() {
		t.Logf("%-10s refused %5d, unharmed %5d", kind, refused[kind], same[kind])
		// Of reached one of two slots is enough; nobody reads what wal-meta.db says.
		if kind != "wal-meta.db" && kind != "reached" && refused[kind] == 0 {
			t.Errorf("no damage of %s is noticed", kind)
		}
	}
}

// restore undoes a flip. Who refused to start has changed nothing; who did not may
// have taken a segment for sealed, and copied it.
func (k kept) restore(t *testing.T, dir, name string, at int, mask byte, refusal error) {
	t.Helper()
	is := keep(t, dir)
	if there, ok := is[name]; ok && len(there) > at {
		there[at] ^= mask
		if maps.EqualFunc(is, k, bytes.Equal) {
			flip(t, dir+name, at, mask)
			return
		}
	}
	if refusal != nil {
		t.Errorf("%s, byte %d ^ %#x: files were changed by who refused: %v", name, at, mask, refusal)
	}
	k.put(t, dir)
}

// flip changes bits of one byte of a file.
func flip(t *testing.T, path string, at int, mask byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], int64(at)); err != nil {
		t.Fatal(err)
	}
	b[0] ^= mask
	if _, err := f.WriteAt(b[:], int64(at)); err != nil {
		t.Fatal(err)
	}
}

// refusedToRun starts a node as its users do.
func refusedToRun(t *testing.T, dir string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n, err := NewNode(NodeOptions{Dir: dir})
		if err == nil {
			ctx, end := context.WithTimeout(t.Context(), time.Minute)
			defer end()
			err = n.Run(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil })
		}
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("a damaged node runs, or does not say of what: %v", err)
		}
	})
}

func (k kept) bytes() (all []byte) {
	for _, content := range k {
		all = append(all, content...)
	}
	return all
}

func (k kept) kinds() map[string]bool {
	kinds := map[string]bool{}
	for name := range k {
		if strings.HasSuffix(name, ".wal") {
			name = "*.wal"
		}
		kinds[filepath.Base(name)] = true
	}
	return kinds
}

// The same of a log of several segments, all but one of them sealed. raft-wal
// reads those without checking anything.
func TestEveryByteOfSealedSegments(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	l := &nodeLog{path: path, meta: &logMeta{}}
	var err error
	if l.reached, err = openReached(filepath.Join(path, "reached")); err != nil {
		t.Fatal(err)
	}
	if l.WAL, err = wal.Open(path, wal.WithMetaStore(l.meta), wal.WithSegmentSize(512), wal.WithLogger(hclog.NewNullLogger())); err != nil {
		t.Fatal(err)
	}
	const last = 60
	for i := uint64(1); i <= last; i += 3 {
		if err := l.StoreLogs(entries(i, i+2)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	read := func() (text string, err error) {
		err = ReadLog(dir, func(e *raft.Log) error {
			text += fmt.Sprintln(e.Index, e.Term, e.Type, string(e.Data))
			return nil
		})
		return text, err
	}
	want, err := read() // which also enters that the last segment was sealed, if it was
	whole := keep(t, dir)
	whole.put(t, dir)
	if err != nil || strings.Count(want, "\n") != last {
		t.Fatalf("%q, %v", want, err)
	}
	every, masks := 3, []byte{0x01}
	if os.Getenv("HONE_CORRUPTION") == "all" {
		every, masks = 1, []byte{1, 2, 4, 8, 16, 32, 64, 128, 255}
	}
	refused, same, segments := 0, 0, 0
	for name, content := range whole {
		if !strings.HasSuffix(name, ".wal") {
			continue
		}
		segments++
		for at := 0; at < len(content); at += every {
			for _, mask := range masks {
				flip(t, dir+name, at, mask)
				got, err := read()
				whole.restore(t, dir, name, at, mask, err)
				if err == nil && got != want {
					t.Errorf("%s, byte %d ^ %#x: in silence other entries are read", name, at, mask)
				} else if err != nil && !strings.Contains(err.Error(), dir) {
					t.Errorf("%s, byte %d ^ %#x: the refusal names no file: %v", name, at, mask, err)
				}
				if err != nil {
					refused++
				} else {
					same++
				}
			}
		}
	}
	t.Logf("%d segments: refused %d, unharmed %d", segments, refused, same)
	if segments < 4 || refused == 0 {
		t.Errorf("%d segments, %d refused", segments, refused)
	}
}

// What a single node refuses, others hold: the damaged node is removed, its
// folder emptied, and it joins again. Bytes that no crash explains are never
// fetched again in silence: the node may have acknowledged them, and must not vote
// as if it had not.
func TestDamagedNodeJoinsAgain(t *testing.T) {
	for _, file := range []string{"log/*.wal", "log/meta", "snapshots/*/state.bin", "snapshots/*/meta.json"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			inCluster(t, 3, func(t *testing.T, c *cluster) {
				for i := range 10 {
					c.put(i)
				}
				bad := c.follower()
				c.equal()
				// Not before the follower has applied who belongs to the cluster.
				c.await("a snapshot", func() bool { return bad.raft.Snapshot().Error() == nil })
				c.stop(bad.name)
				dir := filepath.Join(c.dir, bad.name)
				found, err := filepath.Glob(filepath.Join(dir, file))
				if err != nil || len(found) != 1 {
					t.Fatalf("%q, %v", found, err)
				}
				whole := keep(t, dir)
				flip(t, found[0], len(whole[strings.TrimPrefix(found[0], dir)])/2, 0x10)
				err = <-c.start(bad.name).done
				if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "join again") {
					t.Errorf("started on damaged files: %v", err)
				}
				c.members[bad.name].done <- nil
				c.put(10)

				// What it was told to do.
				c.await("the loss to be noticed", func() bool { return !c.awaitLeader(bad.name).pilot.healthy(bad.name) })
				if err := c.leader().Remove(t.Context(), bad.name); err != nil {
					t.Fatal(err)
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				c.start(bad.name)
				c.await("all to vote", func() bool { return c.voters() == 3 })
				c.equal()
			})
		})
	}
}

// A batch that a loss of power tore was acknowledged by nobody here: the log ends
// before it, and the rest is fetched from the others.
func TestTornBatchIsFetchedAgain(t *testing.T) {
	inCluster(t, 3, func(t *testing.T, c *cluster) {
		for i := range 5 {
			c.put(i)
		}
		c.equal()
		torn := c.follower()
		last := torn.raft.LastIndex()
		c.stop(torn.name)
		dir := filepath.Join(c.dir, torn.name)
		found, err := filepath.Glob(filepath.Join(dir, "log", "*.wal"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%q, %v", found, err)
		}
		written := len(bytes.TrimRight(keep(t, dir)[strings.TrimPrefix(found[0], dir)], "\x00"))
		// Half of the last batch is there; how far the log reached is what was
		// written with it, and not on disk either.
		if err := os.Truncate(found[0], int64(written-20)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "log", "reached")); err != nil {
			t.Fatal(err)
		}
		var left uint64
		if err := ReadLog(dir, func(e *raft.Log) error { left = e.Index; return nil }); err != nil || left >= last || left == 0 {
			t.Fatalf("the log ends with entry %d, and did with %d: %v", left, last, err)
		}
		c.put(5)
		c.start(torn.name)
		c.equal()
	})
}
