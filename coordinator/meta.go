package coordinator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

// logMeta is what a log is: its segments, and the term and vote of its node. It
// is one small file, replaced as a whole, with a checksum. raft-wal's own is a
// bbolt database, whose pages have none; it is read once, where an older version
// left one.
type logMeta struct {
	mu   sync.Mutex
	path string
	now  metaFile
}

type metaFile struct {
	// Unsummed is the last entry that was written before entries had checksums.
	Unsummed uint64 `json:",omitempty"`
	Log      types.PersistentState
	// Stable is what raft keeps: its term, and whom it voted for.
	Stable map[string][]byte `json:",omitempty"`
}

// Load reads the file of a log, and makes what was there before it into one.
func (m *logMeta) Load(dir string) (types.PersistentState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.path = filepath.Join(dir, "meta")
	content, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m.now.Log, m.first(dir)
	}
	if err != nil {
		return m.now.Log, err
	}
	body, sum, ok := bytes.Cut(content, []byte("\n"))
	if digest := sha256.Sum256(body); !ok || string(sum) != hex.EncodeToString(digest[:])+"\n" {
		return m.now.Log, damaged(m.path, errors.New("its checksum does not match"))
	}
	if err := json.Unmarshal(body, &m.now); err != nil {
		return m.now.Log, damaged(m.path, err)
	}
	return m.now.Log, nil
}

// elsewhere stands where an older version looks: it would take the log for empty,
// and remove its segments.
const elsewhere = "what this log is stands in the file meta\n"

// first begins a log, or takes over that of an older version.
func (m *logMeta) first(dir string) error {
	m.now.Stable = make(map[string][]byte)
	old := filepath.Join(dir, metadb.FileName)
	content, err := os.ReadFile(old)
	if errors.Is(err, fs.ErrNotExist) || string(content) == elsewhere {
		// raft-wal, too, removes segments that it is not told of.
		if segments, err := filepath.Glob(filepath.Join(dir, "*.wal")); err != nil || len(segments) > 0 {
			return errors.Join(err, damaged(m.path, fmt.Errorf("it is missing, and there are %d segments of a log", len(segments))))
		}
		return replaceFile(old, []byte(elsewhere))
	}
	if err != nil {
		return err
	}
	bolt := new(metadb.BoltMetaDB)
	defer bolt.Close()
	if m.now.Log, err = bolt.Load(dir); err != nil {
		return err
	}
	// The keys that raft has.
	for _, key := range []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand"} {
		value, err := bolt.GetStable([]byte(key))
		if err != nil {
			return err
		}
		if value != nil {
			m.now.Stable[key] = value
		}
	}
	m.now.Unsummed = math.MaxUint64
	if err := m.write(m.now); err != nil {
		return err
	}
	return replaceFile(old, []byte(elsewhere))
}

// imported says with which entry a log ends that an older version left.
func (m *logMeta) imported(last uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now.Unsummed != math.MaxUint64 {
		return nil
	}
	next := m.now
	next.Unsummed = last
	return m.write(next)
}

func (m *logMeta) unsummed() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.Unsummed
}

// CommitState replaces what is known of the segments.
func (m *logMeta) CommitState(log types.PersistentState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.now
	next.Log = log
	return m.write(next)
}

// GetStable reads a value of raft's, nil if there is none.
func (m *logMeta) GetStable(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.now.Stable[string(key)]), nil
}

// SetStable keeps a value for raft.
func (m *logMeta) SetStable(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.now
	next.Stable = maps.Clone(m.now.Stable)
	if next.Stable == nil {
		next.Stable = make(map[string][]byte)
	}
	next.Stable[string(key)] = bytes.Clone(value)
	return m.write(next)
}

// write makes next durable, and what holds from then on. The caller holds mu.
func (m *logMeta) write(next metaFile) error {
	body, err := json.Marshal(next)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(body)
	if err := replaceFile(m.path, fmt.Appendf(body, "\n%x\n", digest)); err != nil {
		return err
	}
	m.now = next
	return nil
}

// Close has nothing to close: every change is on disk.
func (m *logMeta) Close() error { return nil }

// replaceFile replaces a file as a whole, and its name durably.
func replaceFile(path string, content []byte) error {
	if err := renameio.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
