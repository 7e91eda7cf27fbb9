package coordinator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// InspectSnapshot reads a snapshot through and says what it holds.
func InspectSnapshot(r io.Reader) (api.Snapshot, error) {
	s, err := state.Restore(r)
	if err != nil {
		return api.Snapshot{}, err
	}
	return inspect(s), nil
}

func inspect(s *state.State) api.Snapshot {
	return api.Snapshot{Cluster: s.Cluster(), At: time.UnixMicro(s.Time()).UTC(), Sequence: s.Sequence(), Digest: s.Digest().String()}
}

// RestoreSnapshot makes a node in a directory in which there is none: the only one of
// its cluster, with the state of a snapshot. A directory of another cluster, or in
// which a node has been, is refused.
func RestoreSnapshot(dir, name string, r io.Reader) (_ api.Snapshot, err error) {
	if !loop.ValidName(name) {
		return api.Snapshot{}, &loop.Error{Field: "node", Problem: fmt.Sprintf("%q is not a node's name", name)}
	}
	s, err := state.Restore(r)
	if err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		if id, _, err := readMembership(dir); err == nil && id != s.Cluster() {
			return api.Snapshot{}, loop.Conflict("data", "%s belongs to cluster %s, and the snapshot is of %s: choose an empty --data", dir, id, s.Cluster())
		}
		return api.Snapshot{}, loop.Conflict("data", "there is a node in %s already, which knows as much as the snapshot or more: start it, or choose an empty --data", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return api.Snapshot{}, err
	}
	// The nodes of before are no members of what begins here.
	forgetAll(s)
	// It appears whole, or not at all.
	whole := dir
	dir += ".restoring"
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return api.Snapshot{}, err
	}
	defer os.RemoveAll(dir)
	snapshots, err := openSnapshots(dir, 2, hclog.NewNullLogger())
	if err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	_, alone := raft.NewInmemTransport(raft.ServerAddress(name))
	voters := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(name), Address: raft.ServerAddress(name)}}}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, 1, 1, voters, 1, alone)
	if err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	if err := s.Snapshot().Encode(sink); err != nil {
		return api.Snapshot{}, errors.Join(fmt.Errorf("restore: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	if err := remember(filepath.Join(dir, "name"), name); err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	if err := replaceFile(filepath.Join(dir, "cluster"), []byte(s.Cluster()+"\n")); err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	if err := os.Rename(dir, whole); err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	if err := syncDir(filepath.Dir(whole)); err != nil {
		return api.Snapshot{}, fmt.Errorf("restore: %w", err)
	}
	return inspect(s), nil
}

// forgetAll forgets every node of a state.
func forgetAll(s *state.State) {
	var forget []state.Command
	for _, n := range s.Nodes() {
		forget = append(forget, state.Command{ForgetNode: &state.ForgetNode{Name: n.Name, Instance: n.Instance}})
	}
	s.Apply(state.Entry{At: s.Time(), Commands: forget})
}
