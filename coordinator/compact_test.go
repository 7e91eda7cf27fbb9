package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hone/coordinator/state"
	"hone/loop"
)

// parts are the parts of samples that the catalogue holds.
func (w *world) parts() (all []loop.Added) {
	w.node.View(func(s *state.State) { all = s.Parts(loop.SampleParts, "lab") })
	return all
}

// Small parts become few, and nothing else changes: the same samples are committed,
// published and revoked, and what was merged is garbage (C21, C18).
func TestCompaction(t *testing.T) {
	inWorld(t, Options{MergeParts: 4}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 200\nrounds: 2\nlearn_from: [{model_line: net}]\n")
		s := w.join("ann")
		units := w.next(s, 100)
		for _, u := range units {
			w.accepted(s, "ann", u)
		}
		before := len(w.parts())
		sorted := func() (rows []string) {
			for _, r := range w.view.rows() {
				rows = append(rows, fmt.Sprint(r))
			}
			slices.Sort(rows)
			return rows
		}
		rows := sorted()
		w.pass(compactEvery)
		if got := len(w.parts()); before != 10 || got != 4 || !slices.Equal(sorted(), rows) {
			t.Errorf("%d parts became %d, and the rows are as before: %v", before, got, slices.Equal(sorted(), rows))
		}
		w.check(exact)
		w.revoke(w.view.rows()[7])
		if again := w.next(s, 1); len(again) != 1 || again[0].Attempt != 1 {
			t.Fatalf("%v", again)
		} else {
			w.accepted(s, "ann", again[0])
		}
		if r := w.round("c", 1); r.State != "published" {
			t.Errorf("%+v", r)
		}
		deleted := w.collect().Kinds[slices.Index(collected[:], "parts")].Objects
		if gone := w.missing(); deleted != 8 || len(gone) > 0 {
			t.Errorf("%d parts collected, missing %v", deleted, gone)
		}
		w.restart()
		w.check(counted)
		w.train("v1")
		s = w.join("ann")
		w.pass(w.coord.o.ReconnectWindow)
		w.work(s, "ann")
		if c := w.show("c"); c.State != "done" || c.Committed != 200 {
			t.Errorf("%+v", c)
		}
	})
}

// A sample that is revoked while its part is merged stays revoked: the merge is
// refused, and made anew (V6b).
func TestCompactionRacesWithRevoke(t *testing.T) {
	inWorld(t, Options{MergeParts: 4}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 40\nrounds: 1\n")
		s, times := w.join("ann"), 0
		var row loop.SampleRow
		w.store.merging = func() {
			if times++; times == 1 {
				row = w.view.rows()[3]
				for i, r := range w.store.samples[w.parts()[0].Part.Object.Key] {
					if r.Name == row.Name {
						if _, err := w.node.Propose(t.Context(), state.Command{Revoke: &state.Revoke{Samples: []state.RevokedSample{
							{Campaign: "c", Name: row.Name, Reference: w.parts()[0].Reference, Row: uint32(i)}}}}); err != nil {
							t.Error(err)
						}
					}
				}
			}
		}
		w.work(s, "ann")
		w.pass(3 * compactEvery)
		if parts := w.parts(); len(parts) != 1 || parts[0].Part.Object.Rows != 39 || times != 2 {
			t.Errorf("%d parts of %d rows after %d merges", len(parts), parts[0].Part.Object.Rows, times)
		}
		if slices.ContainsFunc(w.view.rows(), func(r loop.SampleRow) bool { return r.Name == row.Name }) {
			t.Errorf("%s is visible", row.Name.Key())
		}
		w.work(s, "ann")
		w.check(exact)
	})
}

// What does not go together is left, and asked for once in a term.
func TestCompactionOfUnlikeParts(t *testing.T) {
	inWorld(t, Options{MergeParts: 2}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 20\nrounds: 1\n")
		asked := 0
		w.store.merging = func() { asked++ }
		for i := range 4 {
			w.post("net", "v1", fmt.Sprint("key", i), 2)
		}
		w.pass(5 * compactEvery)
		if asked != 3 {
			t.Errorf("asked %d times", asked)
		}
		if strings.Contains(w.log.String(), "cannot compact") {
			t.Error(w.log.String())
		}
	})
}

// However many commits there are, references grow with rows alone (C21): of parts of
// so many rows each, merged as they come, few are left, and each row is written seldom.
func TestRipe(t *testing.T) {
	for _, rows := range []int64{1, 50, 4095, 4096, 8192, 70_000} {
		var parts []state.Shelved
		written, next := int64(0), uint64(0)
		const commits = 20_000
		for range commits {
			next++
			parts = append(parts, state.Shelved{Reference: next, Rows: rows})
			for {
				first, n := ripe(parts, 16, nil)
				if n == 0 {
					break
				}
				merged := state.Shelved{}
				for _, p := range parts[first : first+n] {
					merged.Rows += p.Rows
				}
				next++
				merged.Reference = next
				written += merged.Rows
				parts = slices.Replace(parts, first, first+n, merged)
			}
		}
		total := commits * rows
		if most := 32 + int(total/65_536); len(parts) > most || written > 5*total {
			t.Errorf("%d rows a part: %d are left of %d, at most %d are to be; %.1f writes a row", rows, len(parts), commits, most, float64(written)/float64(total))
		}
	}
	if first, n := ripe([]state.Shelved{{Rows: 1 << 20}, {Rows: 1 << 20, Voids: maxVoids}, {Voids: maxVoids}}, 16, nil); first != 1 || n != 1 {
		t.Errorf("%d parts from %d, where rows were taken out of one so often", n, first)
	}
	small := func(references ...uint64) (parts []state.Shelved) {
		for _, r := range references {
			parts = append(parts, state.Shelved{Reference: r, Rows: 10})
		}
		return parts
	}
	if first, n := ripe(small(1, 2, 3, 4, 5), 3, map[uint64]bool{2: true}); first != 2 || n != 3 {
		t.Errorf("%d parts from %d", n, first)
	}
	if _, n := ripe(small(1, 2, 3, 4, 5), 3, map[uint64]bool{2: true, 4: true}); n != 0 {
		t.Errorf("%d parts", n)
	}
}
