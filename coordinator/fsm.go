package coordinator

import (
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"hone/coordinator/state"
	"hone/fault"
)

// machine is the replicated state as raft drives it. Readers hold mu for
// reading; Apply, for writing.
type machine struct {
	mu    sync.RWMutex
	state *state.State
	// version is the latest encoding version that this node understands (C25).
	version int
	clock   *clock
	// replayed is the last index that stood in the log when the node started.
	replayed uint64
	// broken is why this node must not go on; from then on it applies nothing.
	broken error
	// changed is closed, and replaced, whenever an entry has been applied.
	changed chan struct{}
	watches map[*watch]bool
	// point is the latest checkpoint.
	point *checkpoint
	// stop is called with the reason why this node must not go on.
	stop func(error)
}

func newMachine(clusterID string, version int, clock *clock, stop func(error)) *machine {
	return &machine{state: state.New(clusterID), version: version, clock: clock,
		changed: make(chan struct{}), watches: make(map[*watch]bool), stop: stop}
}

// Apply answers the entry's events, one per command. After an entry that it
// could not apply it applies none: a state that lacks an entry is not what
// others have, and must neither answer anybody nor be snapshotted.
func (m *machine) Apply(log *raft.Log) (answer any) {
	fault.Point("apply-entry")
	fault.Record("applied", log.Index, log.Data)
	entry, err := state.DecodeEntryUpTo(log.Data, m.version)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if err != nil {
		return m.fail(fmt.Errorf("apply entry %d: %w", log.Index, err))
	}
	defer func() {
		// state panics on a broken invariant only. Others would break the same
		// way: stop rather than diverge.
		if broken := recover(); broken != nil {
			answer = m.fail(fmt.Errorf("apply entry %d: %v", log.Index, broken))
		}
	}()
	events := m.state.Apply(entry)
	fault.Point("apply-applied")
	for i := range entry.Commands {
		if entry.Commands[i].Checkpoint != nil {
			m.point = newCheckpoint(log.Index, m.state)
		}
	}
	if inForce := m.state.Version(); inForce > m.version {
		return m.fail(fmt.Errorf("apply entry %d: %w", log.Index, &state.VersionError{What: "cluster", Got: inForce, Known: m.version}))
	}
	m.clock.note(entry.At, log.Index > m.replayed)
	close(m.changed)
	m.changed = make(chan struct{})
	for w := range m.watches {
		w.note(&entry, events)
	}
	return events
}

func (m *machine) fail(err error) error {
	m.broken = err
	m.stop(err)
	return err
}

// failed is why the node must not go on, nil if it may.
func (m *machine) failed() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.broken
}

// watch begins to gather what entries touch; end ends it.
func (m *machine) watch() (w *watch, end func()) {
	w = newWatch()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watches[w] = true
	return w, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watches, w)
	}
}

// Snapshot clones the state copy-on-write; encoding it does not hold up Apply.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	return snapshot{m.state.Snapshot()}, nil
}

// Restore replaces the state by a snapshot's. Where that fails the state stays as it
// is and the node stops: Raft, which believes itself as far as the snapshot, would go
// on with entries that follow another state.
func (m *machine) Restore(r io.ReadCloser) error {
	defer r.Close()
	fault.Point("restore-begun")
	restored, err := state.RestoreUpTo(r, m.version)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if err == nil && restored.Cluster() != m.state.Cluster() {
		err = fmt.Errorf("it is of cluster %s, but this node belongs to cluster %s: "+
			"restore it on a node of its own cluster, or on one with an empty --data", restored.Cluster(), m.state.Cluster())
	}
	if err != nil {
		return m.fail(fmt.Errorf("restore snapshot: %w", err))
	}
	m.state = restored
	m.clock.note(restored.Time(), false)
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

type snapshot struct{ frozen *state.Frozen }

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	fault.Point("snapshot-begun")
	if err := s.frozen.Encode(sink); err != nil {
		_ = sink.Cancel() // the error that matters is the other
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := sink.Close(); err != nil {
		return err
	}
	fault.Point("snapshot-closed")
	return nil
}

func (snapshot) Release() {}
