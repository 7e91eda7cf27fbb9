package coordinator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// snapshotStore is raft's store of snapshots in files, and what it leaves out.
// raft's checks a snapshot's state by a checksum that stands in the file beside
// it, of which nothing is checked; and where it cannot read a snapshot, it takes
// an older one, or none. This one refuses. And raft's syncs the files of a snapshot
// and its directory's own name, but not the names between.
type snapshotStore struct {
	*raft.FileSnapshotStore
	path string

	mu          sync.Mutex
	index, term uint64
}

// openSnapshots opens the snapshots of a node and checks them.
func openSnapshots(dir string, retain int, logger hclog.Logger) (*snapshotStore, error) {
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, retain, logger)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	s := &snapshotStore{FileSnapshotStore: files, path: filepath.Join(dir, "snapshots")}
	all, err := s.List()
	if err != nil || len(all) == 0 {
		return s, err
	}
	_, state, err := s.Open(all[0].ID)
	if err != nil {
		return nil, err
	}
	s.index, s.term = all[0].Index, all[0].Term
	return s, state.Close()
}

// newest is the last entry that the newest snapshot covers, and its term.
func (s *snapshotStore) newest() (index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index, s.term
}

// List refuses where any snapshot's description is damaged: it may be the newest.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasSuffix(e.Name(), ".tmp") {
			ids = append(ids, e.Name())
		}
	}
	slices.SortFunc(ids, newestFirst)
	for i, id := range ids {
		err := s.check(id)
		if i > 0 && errors.Is(err, fs.ErrNotExist) {
			// raft was removing it, as there are newer ones, when the node was killed.
			if err = os.RemoveAll(filepath.Join(s.path, id)); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return s.FileSnapshotStore.List()
}

// newestFirst orders snapshots by their names: term, index, time.
func newestFirst(a, b string) int {
	var x, y [3]uint64
	_, _ = fmt.Sscanf(a, "%d-%d-%d", &x[0], &x[1], &x[2]) // another name is older than all
	_, _ = fmt.Sscanf(b, "%d-%d-%d", &y[0], &y[1], &y[2])
	return slices.Compare(y[:], x[:])
}

// check compares the description of a snapshot with its checksum, or, where it
// was made without one, with its name.
func (s *snapshotStore) check(id string) error {
	path := filepath.Join(s.path, id, "meta.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return damaged(path, err)
	}
	sum, err := os.ReadFile(filepath.Join(s.path, id, "sum"))
	if err == nil {
		if digest := sha256.Sum256(content); string(sum) != hex.EncodeToString(digest[:])+"\n" {
			return damaged(path, errors.New("it does not match the checksum in the file sum beside it"))
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var meta raft.SnapshotMeta
	if err := json.Unmarshal(content, &meta); err != nil {
		return damaged(path, err)
	}
	if meta.ID != id || !strings.HasPrefix(id, fmt.Sprintf("%d-%d-", meta.Term, meta.Index)) {
		return damaged(path, fmt.Errorf("it describes snapshot %s of entry %d, term %d", meta.ID, meta.Index, meta.Term))
	}
	return nil
}

// Open opens a snapshot whose state is what was written.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if err := s.check(id); err != nil {
		return nil, nil, err
	}
	meta, state, err := s.FileSnapshotStore.Open(id)
	if err != nil {
		return nil, nil, damaged(filepath.Join(s.path, id, "state.bin"), err)
	}
	return meta, state, nil
}

// Create begins a snapshot.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, c, ci, t)
	if err != nil {
		return nil, err
	}
	// Its files are there already, under the names that they keep.
	if err := syncDir(filepath.Join(s.path, sink.ID()+".tmp")); err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return &summedSink{sink, s, index, term}, nil
}

// summedSink writes the checksum of a snapshot's description when that is there.
// One that is missing, because the node was killed in between, is not missed.
type summedSink struct {
	raft.SnapshotSink
	store       *snapshotStore
	index, term uint64
}

func (k *summedSink) Close() error {
	if err := k.SnapshotSink.Close(); err != nil {
		return err
	}
	k.store.mu.Lock()
	if k.index >= k.store.index {
		k.store.index, k.store.term = k.index, k.term
	}
	k.store.mu.Unlock()
	dir := filepath.Join(k.store.path, k.ID())
	content, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, "sum"), fmt.Appendf(nil, "%x\n", sha256.Sum256(content)))
}
