package loop

import (
	"slices"
	"testing"
)

func TestPolicyChanges(t *testing.T) {
	override := func(share float64, slice map[string]string) Override {
		return Override{Slice: slice, Share: share, Author: "ann", Reason: "why not"}
	}
	low, day := map[string]string{"light": "low"}, map[string]string{"light": "day"}
	a := DefaultPolicy()
	a.Name, a.Version = "p", 1
	a.Pins = []Override{override(.1, low), override(.2, day)}
	b := a
	b.Version, b.Owner, b.Shares.Cap, b.Damping.Samples = 2, "ann", .2, 300
	b.Pins = []Override{override(.25, day), override(.1, low)}
	b.Bans = []Override{override(0, map[string]string{"glove": "yes", "light": "dusk"})}
	var got []string
	for _, c := range a.Changes(&b) {
		got = append(got, c.String())
	}
	want := []string{"owner: ann", "shares.cap 0.15 → 0.2", "damping.samples 100 → 300",
		"pins[light=day] 20% by ann (why not) → 25% by ann (why not)", "bans[glove=yes ∧ light=dusk]: banned by ann (why not)"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if back := b.Changes(&a); len(back) != len(want) || back[0].String() != "owner removed" || back[4].String() != "bans[glove=yes ∧ light=dusk] removed" {
		t.Errorf("back: %v", back)
	}
	if same := a.Changes(&a); len(same) != 0 {
		t.Errorf("nothing: %v", same)
	}
}
