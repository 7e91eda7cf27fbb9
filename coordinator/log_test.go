package coordinator

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// openDir opens the log and the snapshots of a directory.
func openDir(dir string) (*nodeLog, error) {
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o755); err != nil {
		return nil, err
	}
	snapshots, err := openSnapshots(dir, 2, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	return openLog(filepath.Join(dir, "log"), snapshots, func(error) {}, hclog.NewNullLogger())
}

func entries(from, to uint64) (logs []*raft.Log) {
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: 1 + i/8, Type: raft.LogCommand, Data: fmt.Appendf(nil, "entry %d", i)})
	}
	return logs
}

// A log that a version without checksums left is taken over: its entries, its
// term and its vote. What is written from then on is checked.
func TestLogOfAnOlderVersion(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	bolt := new(metadb.BoltMetaDB)
	old, err := wal.Open(filepath.Join(dir, "log"), wal.WithMetaStore(bolt), wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{old.StoreLogs(entries(1, 10)), old.SetUint64([]byte("CurrentTerm"), 7),
		old.Set([]byte("LastVoteCand"), []byte("n1")), old.Close(), bolt.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		l, err := openDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if term, err := l.GetUint64([]byte("CurrentTerm")); err != nil || term != 7 {
			t.Errorf("term %d, %v", term, err)
		}
		if vote, err := l.Get([]byte("LastVoteCand")); err != nil || string(vote) != "n1" {
			t.Errorf("vote %q, %v", vote, err)
		}
		last := 10 + 5*uint64(round)
		for i := uint64(1); i <= last; i++ {
			var e raft.Log
			if err := l.GetLog(i, &e); err != nil || string(e.Data) != fmt.Sprintf("entry %d", i) || e.Extensions != nil {
				t.Errorf("entry %d: %+v, %v", i, e, err)
			}
		}
		if l.meta.unsummed() != 10 {
			t.Errorf("entries without checksum up to %d, want 10", l.meta.unsummed())
		}
		if err := l.StoreLogs(entries(last+1, last+5)); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The older version must not take it for an empty one.
	if old, err := wal.Open(filepath.Join(dir, "log"), wal.WithLogger(hclog.NewNullLogger())); err == nil {
		t.Error("an older version opens it", old.Close())
	}
	if _, err := openDir(dir); err != nil {
		t.Error(err)
	}
}

// What a caller gives to the log is not changed by it, and comes back as it was.
func TestLogGivesBack(t *testing.T) {
	l, err := openDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	in := &raft.Log{Index: 5, Term: 2, Type: raft.LogBarrier, Extensions: []byte("of somebody else")}
	if err := l.StoreLog(in); err != nil {
		t.Fatal(err)
	}
	var out raft.Log
	if err := l.GetLog(5, &out); err != nil || out.Term != 2 || out.Type != raft.LogBarrier || string(out.Extensions) != "of somebody else" {
		t.Errorf("%+v, %v", out, err)
	}
	if string(in.Extensions) != "of somebody else" {
		t.Errorf("the caller's entry has extensions %q", in.Extensions)
	}
	if err := l.GetLog(6, &out); err != raft.ErrLogNotFound {
		t.Errorf("got %v: raft compares it", err)
	}
}

// A log that ends before where it has been is refused, but not one of which the
// end was removed on purpose, nor one that a snapshot goes on from.
func TestLogReached(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, dir string, l *nodeLog)
		want string
	}{
		{"as it was", func(*testing.T, string, *nodeLog) {}, ""},
		{"cut on purpose", func(t *testing.T, _ string, l *nodeLog) {
			if err := l.DeleteRange(15, 20); err != nil {
				t.Error(err)
			}
		}, ""},
		{"cut behind its back", func(t *testing.T, _ string, l *nodeLog) {
			if err := l.WAL.DeleteRange(15, 20); err != nil {
				t.Error(err)
			}
		}, "ends with entry 14, and entries up to 20 were once on this disk"},
		{"begun behind its back", func(t *testing.T, _ string, l *nodeLog) {
			if err := l.WAL.DeleteRange(1, 5); err != nil {
				t.Error(err)
			}
		}, "begins with entry 6, and the newest snapshot ends with entry 0"},
		{"without knowing", func(t *testing.T, dir string, l *nodeLog) {
			if err := os.Remove(filepath.Join(dir, "log", "reached")); err != nil {
				t.Error(err)
			}
		}, ""},
		{"without its description", func(t *testing.T, dir string, l *nodeLog) {
			if err := os.Remove(filepath.Join(dir, "log", "meta")); err != nil {
				t.Error(err)
			}
		}, "it is missing, and there are 1 segments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := openDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for i := uint64(1); i <= 20; i += 4 {
				if err := l.StoreLogs(entries(i, i+3)); err != nil {
					t.Fatal(err)
				}
			}
			tt.do(t, dir, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l, err = openDir(dir)
			if err == nil {
				defer l.Close()
			}
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir)):
				t.Errorf("got %v, want %q and the file's name", err, tt.want)
			}
		})
	}
}

// Whatever the place where the file is torn, it says at most what is true.
func TestReachedTorn(t *testing.T) {
	dir := t.TempDir()
	write := func(path string, upTo uint64) []byte {
		r, err := openReached(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := uint64(1); i <= upTo; i++ {
			if err := r.advance(i * 100); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	// Its size may be on disk before any of it.
	path := filepath.Join(dir, "zeros")
	if err := os.WriteFile(path, make([]byte, 2*slot), 0o644); err != nil {
		t.Fatal(err)
	}
	write(path, 3)
	for n := uint64(1); n < 6; n++ {
		before := write(filepath.Join(dir, fmt.Sprint("a", n)), n)
		after := write(filepath.Join(dir, fmt.Sprint("b", n)), n+1)
		for cut := range after {
			torn := bytes.Clone(after)
			copy(torn[cut:], before[min(cut, len(before)):])
			path := filepath.Join(dir, "torn")
			if err := os.WriteFile(path, torn[:max(cut, len(before))], 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := openReached(path)
			if err != nil {
				t.Fatalf("%d cut at %d: %v", n, cut, err)
			}
			if got := r.index(); got != n*100 && got != (n+1)*100 && got != 0 {
				t.Errorf("%d cut at %d: says %d", n, cut, got)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A file of which the name survived a loss of power, and not the content, says
// nothing; one with a content that was never written is damaged.
func TestReachedEmpty(t *testing.T) {
	for _, tt := range []struct {
		name    string
		content []byte
		damaged bool
	}{
		{"empty", nil, false},
		{"zeroes", make([]byte, 24), false},
		{"half", make([]byte, 12), false},
		{"noise", bytes.Repeat([]byte{7}, 24), true},
	} {
		path := filepath.Join(t.TempDir(), "reached")
		if err := os.WriteFile(path, tt.content, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := openReached(path)
		if (err != nil) != tt.damaged {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			if r.index() != 0 || r.Close() != nil {
				t.Errorf("%s: says %d", tt.name, r.index())
			}
		}
	}
}

// raft's own start, stop and snapshots, with the log cut short by them.
func TestLogOfANodeThatMakesSnapshots(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for round := range 4 {
			n := run(t, dir).leading()
			for i := range 6 {
				n.put(10*round + i)
			}
			if err := n.raft.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
			n.put(10*round + 6)
			n.stop()
		}
	})
}
