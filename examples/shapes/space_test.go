package shapes

import (
	"testing"

	"hone/loop"
	"hone/spec"
)

func testSpace(t testing.TB) *loop.Space {
	t.Helper()
	s, err := spec.ParseSpace(SpaceDocument)
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

// TestSpace holds the demo's space to what its world was measured with: the
// masses of the planted slices in the target, and a constraint that takes less
// than half a per cent of it and leaves the planted slices alone.
func TestSpace(t *testing.T) {
	space := testSpace(t)
	mass := func(named map[string]string) float64 {
		slice, err := spec.SliceOf(space, named)
		if err != nil {
			t.Fatal(err)
		}
		m, err := space.Mass(slice)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	combinations := 1
	for f := range space.Factors {
		if space.Factors[f].When == nil {
			combinations *= len(space.Factors[f].Levels)
		}
	}
	if combinations != 460_800 {
		t.Errorf("%d combinations of the unconditional factors, want 460,800", combinations)
	}
	for in, want := range map[planted]float64{saturated: .0255, mirrored: .0200, tipped: .0100, strobed: .0077, heated: .0051} {
		if got := mass(in.named()); got < want-.0002 || got > want+.0002 {
			t.Errorf("%v has mass %.5f of the target, want %.4f", in.named(), got, want)
		}
	}
	if len(space.Constraints) != 1 || len(space.Risks) != 1 {
		t.Fatalf("%d constraints and %d risk weights, want one of each", len(space.Constraints), len(space.Risks))
	}
	free := *space
	free.Constraints = nil
	slice, err := spec.SliceOf(&free, map[string]string{"background": "foliage", "occluder_side": "bottom"})
	if err != nil {
		t.Fatal(err)
	}
	if forbidden, err := free.Mass(slice); err != nil || forbidden <= 0 || forbidden >= .005 {
		t.Errorf("the constraint forbids %.4f of the target (%v), want less than .005", forbidden, err)
	}
	for in := saturated; in <= heated; in++ {
		for _, p := range slice {
			if level, ok := in.named()[space.Factors[p.Factor].Name]; ok && level == space.Factors[p.Factor].Levels[p.Level].Name {
				t.Errorf("the constraint and %v share %s", in.named(), level)
			}
		}
	}
}
