package coordinator

import (
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"hone/coordinator/state"
)

// machine is the replicated state as raft drives it. Readers hold mu for
// reading; Apply, for writing.
type machine struct {
	mu    sync.RWMutex
	state *state.State
	// changed is closed, and replaced, whenever an entry has been applied.
	changed chan struct{}
	// stop is called with the reason why this node must not go on.
	stop func(error)
}

func newMachine(clusterID string, stop func(error)) *machine {
	return &machine{state: state.New(clusterID), changed: make(chan struct{}), stop: stop}
}

// Apply answers the entry's events, one per command.
func (m *machine) Apply(log *raft.Log) (answer any) {
	entry, err := state.DecodeEntry(log.Data)
	if err != nil {
		err = fmt.Errorf("apply entry %d: %w", log.Index, err)
		m.stop(err)
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() {
		// state panics on a broken invariant only. Others would break the same
		// way: stop rather than diverge.
		if broken := recover(); broken != nil {
			err := fmt.Errorf("apply entry %d: %v", log.Index, broken)
			m.stop(err)
			answer = err
		}
	}()
	events := m.state.Apply(entry)
	close(m.changed)
	m.changed = make(chan struct{})
	return events
}

// Snapshot clones the state copy-on-write; encoding it does not hold up Apply.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return snapshot{m.state.Snapshot()}, nil
}

// Restore replaces the state by a snapshot's.
func (m *machine) Restore(r io.ReadCloser) error {
	defer r.Close()
	restored, err := state.Restore(r)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = restored
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

type snapshot struct{ frozen *state.Frozen }

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.frozen.Encode(sink); err != nil {
		_ = sink.Cancel() // the error that matters is the one above
		return fmt.Errorf("write snapshot: %w", err)
	}
	return sink.Close()
}

func (snapshot) Release() {}
