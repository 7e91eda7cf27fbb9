package schedule

import (
	"testing"

	"hone/loop"
)

// C14: so much may be taken, and what leases may take is reserved of it: at first one
// at a time, as nobody knows what a unit takes, then as many as the rest pays for,
// and none more when that is used up.
func TestAfford(t *testing.T) {
	s := New(Options{})
	s.Join(maker("a", "H100", "g"), at(0))
	s.Join(maker("b", "A10", "g"), at(0))
	s.Offer(Run{Place: Place{Campaign: "c", Round: 1}, Count: 1000, Generator: "g", UnitSize: 10}, at(0))
	s.Afford("c", 10_000)
	leased := func(name string, free, want int) []loop.Lease {
		t.Helper()
		leases := s.Next(name, free, at(1))
		if len(leases) != want {
			t.Fatalf("%s was leased %d units, want %d; %d ms are reserved", name, len(leases), want, s.Reserved("c"))
		}
		return leases
	}
	first := leased("a", 5, 1) // it may take as long as a first lease
	leased("b", 5, 0)
	s.Staged(first[0].Unit, "a", 1000, at(1))
	s.Afford("c", 9_000) // it took the rest
	if s.Reserved("c") != 0 {
		t.Errorf("%d ms are reserved for what is staged", s.Reserved("c"))
	}
	s.Done(first[0].Unit, at(1))
	// 9 s pay for five leases of 10 x 100 ms, of which each may take twice as much.
	units := leased("a", 9, 5)
	if s.Reserved("c") != 10_000 {
		t.Errorf("%d ms are reserved", s.Reserved("c"))
	}
	leased("b", 9, 0)
	s.Failed(units[0].Unit, "a", at(1))
	leased("b", 9, 1) // of hardware of which nothing is known, but of others
	s.Leave("a", at(2))
	leased("b", 9, 4)
	s.Afford("c", 0)
	leased("b", 9, 0)
	s.Leave("b", at(3))
	s.Join(maker("b", "A10", "g"), at(3))
	leased("b", 9, 0)
	s.Afford("c", 1)
	leased("b", 9, 1)
	s.Drop("c")
	if s.Reserved("c") != 0 {
		t.Errorf("%d ms are reserved of what is forgotten", s.Reserved("c"))
	}
	// A worker that comes back with what it holds has it, whatever is left.
	held := loop.Unit{Campaign: "c", Round: 1, First: 0, Count: 10}
	back := maker("a", "H100", "g")
	back.Holds = []loop.Unit{held}
	s.Afford("c", 0)
	s.Join(back, at(4))
	if got := s.ReservedBy(held, "a"); got == 0 || got != s.Reserved("c") || s.ReservedBy(held, "b") != 0 {
		t.Errorf("%d ms are reserved by what is held, %d in all", got, s.Reserved("c"))
	}
}
