package coordinator

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"hone/coordinator/state"
)

// applied is a machine that has applied some policies, and its snapshot.
func applied(t *testing.T, cluster string, version, policies int) (m *machine, snapshot []byte, stops *[]error) {
	t.Helper()
	stops = new([]error)
	m = newMachine(cluster, version, newClock(nil), func(err error) { *stops = append(*stops, err) })
	for i := range policies {
		applyTo(t, m, policy(i))
	}
	if len(*stops) > 0 {
		t.Fatal(*stops)
	}
	frozen, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := frozen.Persist(sink{&b}); err != nil {
		t.Fatal(err)
	}
	return m, []byte(b.String()), stops
}

func applyTo(t *testing.T, m *machine, commands ...state.Command) any {
	t.Helper()
	e := state.Entry{At: 1, Commands: commands}
	encoded, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return m.Apply(&raft.Log{Index: 1, Data: encoded})
}

// A snapshot that is not whole, not of this cluster or not of this version is
// refused: the state stays as it was, and the node stops instead of going on with
// entries that follow another one (C23, C25).
func TestSnapshotRefused(t *testing.T) {
	_, good, _ := applied(t, "ours", 2, 3)
	_, theirs, _ := applied(t, "theirs", 2, 3)
	raised, _, _ := applied(t, "ours", 2, 0)
	if e, ok := applyTo(t, raised, state.Command{RaiseVersion: &state.RaiseVersion{To: 2}}).([]state.Event); !ok || e[0] != (state.VersionRaised{Version: 2}) {
		t.Fatal(e)
	}
	frozen, err := raised.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var newer strings.Builder
	if err := frozen.Persist(sink{&newer}); err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 4
	for name, c := range map[string]struct {
		snapshot []byte
		words    []string
	}{
		"a flipped bit":     {flipped, []string{"damaged"}},
		"half of it":        {good[:len(good)/2], []string{"damaged"}},
		"nothing":           {nil, []string{"damaged"}},
		"something after":   {append(slices.Clone(good), '\n'), []string{"damaged"}},
		"another cluster":   {theirs, []string{"cluster theirs", "cluster ours", "empty --data"}},
		"a newer version":   {[]byte(newer.String()), []string{"version 2", "up to 1", "newer build"}},
		"a version of none": {append([]byte("hone state\n\x00"), good[12:]...), []string{"version 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, _, stops := applied(t, "ours", 1, 2)
			before := m.state.Digest()
			err := m.Restore(io.NopCloser(bytes.NewReader(c.snapshot)))
			if err == nil || len(*stops) != 1 || !errors.Is(err, (*stops)[0]) {
				t.Fatalf("restored: %v; stopped: %v", err, *stops)
			}
			for _, word := range c.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not say %q", err, word)
				}
			}
			if _, ok := applyTo(t, m, policy(9)).(error); !ok {
				t.Error("an entry is applied after a snapshot that was not restored")
			}
			if err := m.Restore(io.NopCloser(bytes.NewReader(good))); err == nil {
				t.Error("an older snapshot is restored instead")
			}
			if _, err := m.Snapshot(); err == nil {
				t.Error("a state that should have been another one is snapshotted")
			}
			if m.state.Digest() != before {
				t.Error("what was not restored changed the state")
			}
		})
	}
	m, _, stops := applied(t, "ours", 1, 0)
	if err := m.Restore(io.NopCloser(bytes.NewReader(good))); err != nil || len(*stops) > 0 || len(m.state.Policies()) != 3 {
		t.Errorf("a good one: %v, %v, %d policies", err, *stops, len(m.state.Policies()))
	}
}

// C25: a node stops at the raise of a version that it does not understand, before it
// meets anything written in it.
func TestRaiseBeyondTheNode(t *testing.T) {
	m, _, stops := applied(t, "ours", 1, 2)
	answer := applyTo(t, m, state.Command{RaiseVersion: &state.RaiseVersion{To: 2}})
	var newer *state.VersionError
	if err, ok := answer.(error); !ok || !errors.As(err, &newer) || *newer != (state.VersionError{What: "cluster", Got: 2, Known: 1}) || len(*stops) != 1 {
		t.Errorf("%v, %v", answer, *stops)
	}
}
