package schedule

import (
	"testing"

	"pgregory.net/rapid"
)

// The set against a map: adding, removing, runs and counts, over page and word
// borders.
func TestIndicesAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s indices
		twin := make(map[uint64]bool)
		base := rapid.SampledFrom([]uint64{0, 4000, 1<<32 - 600}).Draw(t, "base")
		at := rapid.Uint64Range(0, 600)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			a, b := at.Draw(t, "a"), at.Draw(t, "b")
			first, end := base+min(a, b), base+max(a, b)
			put := rapid.Bool().Draw(t, "add")
			if put {
				s.add(first, end)
			} else {
				s.remove(first, end)
			}
			for i := first; i < end; i++ {
				if put {
					twin[i] = true
				} else {
					delete(twin, i)
				}
			}
			if s.n != uint64(len(twin)) {
				t.Fatalf("%d members, want %d", s.n, len(twin))
			}
			if len(twin) == 0 && len(s.pages) != 0 {
				t.Fatalf("an empty set holds %d pages", len(s.pages))
			}
			a, b = at.Draw(t, "from"), at.Draw(t, "to")
			first, end = base+min(a, b), base+max(a, b)
			limit := rapid.Uint64Range(1, 200).Draw(t, "limit")
			from, to, ok := s.next(first, end, limit)
			wantFrom := first
			for wantFrom < end && !twin[wantFrom] {
				wantFrom++
			}
			wantTo := wantFrom
			for wantTo < end && twin[wantTo] && wantTo-wantFrom < limit {
				wantTo++
			}
			if ok != (wantFrom < end) || ok && (from != wantFrom || to != wantTo) {
				t.Fatalf("next of [%d,%d) = %d,%d,%v; want %d,%d", first, end, from, to, ok, wantFrom, wantTo)
			}
			covered := make(map[uint64]bool)
			last := first
			eachRun(first, end, s.word, func(from, to uint64) {
				if from >= to || from < last || covered[from-1] {
					t.Fatalf("run [%d,%d) after %d is not maximal or not in order", from, to, last)
				}
				for i := from; i < to; i++ {
					covered[i] = true
				}
				last = to
			})
			for i := first; i < end; i++ {
				if covered[i] != twin[i] {
					t.Fatalf("runs of [%d,%d): index %d is %v", first, end, i, covered[i])
				}
			}
		}
	})
}
