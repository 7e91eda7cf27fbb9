package coordinator

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// A snapshot that raft was removing when the node was killed, or lost its power, is
// removed for good; the newest one is never taken for such (I1).
func TestSnapshotHalfRemoved(t *testing.T) {
	dir := t.TempDir()
	open := func() (*snapshotStore, error) { return openSnapshots(dir, 2, hclog.NewNullLogger()) }
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	_, wire := raft.NewInmemTransport("n1")
	var ids []string
	for index := uint64(9); index < 12; index++ { // by name alone, 10 would come before 9
		sink, err := s.Create(raft.SnapshotVersionMax, index, 1, raft.Configuration{}, 1, wire)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write([]byte("state")); err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, sink.ID())
	}
	folder := func(i int) string { return filepath.Join(dir, "snapshots", ids[i]) }
	if _, err := os.Stat(folder(0)); !os.IsNotExist(err) {
		t.Fatalf("raft keeps more than two: %v", err)
	}
	if err := os.Remove(filepath.Join(folder(1), "meta.json")); err != nil {
		t.Fatal(err)
	}
	if s, err = open(); err != nil {
		t.Fatal(err)
	}
	if index, _ := s.newest(); index != 11 {
		t.Errorf("the newest is of entry %d", index)
	}
	if _, err := os.Stat(folder(1)); !os.IsNotExist(err) {
		t.Errorf("half a snapshot is still there: %v", err)
	}
	if err := os.Remove(filepath.Join(folder(2), "meta.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil {
		t.Error("the newest is damaged, and the node starts without it")
	}
}
