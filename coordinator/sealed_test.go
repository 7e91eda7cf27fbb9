package coordinator

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

// dying is a store of segments that is dead when a segment is to be entered.
type dying struct {
	types.MetaStore
	segments int
}

func (d *dying) CommitState(s types.PersistentState) error {
	if d.segments--; d.segments < 0 {
		return errors.New("killed")
	}
	return d.MetaStore.CommitState(s)
}

// logUntilSealed appends until a segment is sealed, and dies before the log
// enters that. It returns the index of the last entry.
func logUntilSealed(t *testing.T, dir string, meta types.MetaStore) (last uint64) {
	t.Helper()
	log, err := wal.Open(dir, wal.WithSegmentSize(4096), wal.WithMetaStore(&dying{meta, 1}))
	if err != nil {
		t.Fatal(err)
	}
	for {
		last++
		if err := log.StoreLog(sealedEntry(last)); errors.Is(err, wal.ErrSealed) {
			last--
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return last
}

func sealedEntry(i uint64) *raft.Log {
	return &raft.Log{Index: i, Term: 1, Data: bytes.Repeat(fmt.Appendf(nil, "entry %d;", i), 10)}
}

// A log whose last segment was sealed, and which was killed before it entered
// that, goes on; without our guard it never would. A torn seal is none (I1).
func TestKilledBetweenSealAndRotation(t *testing.T) {
	tear := func(t *testing.T, dir string) {
		files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		// The last sector with anything in it never reached the disk.
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		end := len(bytes.TrimRight(b, "\x00"))
		clear(b[(end-1)/512*512:])
		if err := os.WriteFile(files[0], b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name string
		torn bool
	}{{"killed", false}, {"power lost", true}} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			last := logUntilSealed(t, dir, new(metadb.BoltMetaDB))
			least := last
			if tc.torn {
				tear(t, dir)
				least = last - 5 // what was appended with the seal was not acknowledged, nor what shared its sector here
			}
			// It may die again, at any step of that.
			for range 3 {
				meta := new(metadb.BoltMetaDB)
				if _, err := (reopening{MetaStore: &dying{meta, 0}}).Load(dir); err == nil {
					t.Fatal("there was nothing to do")
				}
				if err := meta.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				log, err := wal.Open(dir, wal.WithSegmentSize(4096), wal.WithMetaStore(reopening{MetaStore: new(metadb.BoltMetaDB)}))
				if err != nil {
					t.Fatal(err)
				}
				first, _ := log.FirstIndex()
				has, err := log.LastIndex()
				if err != nil || first != 1 || has < least {
					t.Fatalf("the log has %d to %d of 1 to %d, %v", first, has, least, err)
				}
				for i := first; i <= has; i++ {
					var got raft.Log
					if err := log.GetLog(i, &got); err != nil || !bytes.Equal(got.Data, sealedEntry(i).Data) {
						t.Errorf("entry %d is %q, %v", i, got.Data, err)
					}
				}
				for range 100 { // fills this segment too, and others
					has++
					if err := log.StoreLog(sealedEntry(has)); err != nil {
						t.Fatalf("entry %d: %v", has, err)
					}
				}
				least = has
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// That it is needed: without it, the log is open and takes nothing any more.
func TestSealedLogIsLostWithoutGuard(t *testing.T) {
	dir := t.TempDir()
	last := logUntilSealed(t, dir, new(metadb.BoltMetaDB))
	log, err := wal.Open(dir, wal.WithSegmentSize(4096))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := log.StoreLog(sealedEntry(last + 1)); !errors.Is(err, wal.ErrSealed) {
		t.Errorf("%v: the library rotates by itself now; reopening has done its work", err)
	}
}
