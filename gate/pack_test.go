package gate

import (
	"archive/tar"
	"bytes"
	"testing"

	"hone/loop"
)

// A unit that was taken for lost may be delivered twice at once, and with other
// cuts. Every delivery gets its samples packed (C10: who comes first is Apply's
// affair), but no pack holds a name twice.
func TestNoNameTwiceInAPack(t *testing.T) {
	s, d := newShelf(), world(t)
	deliveries := []loop.Delivery{
		deliver(t, s, unitOf(loop.Train, 0, 0, 50), members(t)),
		deliver(t, s, unitOf(loop.Train, 0, 0, 50), members(t)),
		deliver(t, s, unitOf(loop.Train, 0, 40, 30), members(t)),
		deliver(t, s, unitOf(loop.Train, 0, 69, 1), members(t)),
		deliver(t, s, unitOf(loop.Train, 1, 0, 50), members(t)),
	}
	for _, j := range judgeAll(t, New(Options{Lake: s}), lookupOf(d, "format"), deliveries...) {
		if j.Err != nil || len(j.Samples) != j.Delivery.Unit.Count {
			t.Fatalf("%d samples of %s, %v", len(j.Samples), j.Delivery.Unit.ID(), j.Err)
		}
		for _, r := range j.Samples {
			readBack(t, s, r)
		}
	}
	for key, pack := range s.packs {
		seen := map[string]bool{}
		in := tar.NewReader(bytes.NewReader(pack))
		for header, err := in.Next(); err == nil; header, err = in.Next() {
			if seen[header.Name] {
				t.Errorf("%s is in %s twice", header.Name, key)
			}
			seen[header.Name] = true
		}
	}
	// The second delivery of a unit has the bytes of the first: the same object.
	if len(s.packs) != 3 {
		t.Errorf("%d packs, want 3", len(s.packs))
	}
}
