//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"hone/loop"
)

// dump is all that tables say of samples, but for by what they are told.
const dump = `SELECT digest, "index", attempt, committed_at, "select", size, pack, "offset", _sequence FROM shapes.samples ORDER BY ALL`

// compacted is a world with samples in parts of two versions of a space, some of them
// void, and the sequences of their changes.
func compacted(t *testing.T) (w *world, parts []uint64) {
	w = newWorld(t)
	s := shapes()
	w.addSpace(s)
	index := uint64(0)
	add := func(n int, void ...uint32) {
		var rows []loop.SampleRow
		for range n {
			rows = append(rows, sample("c", loop.Name{Round: 1, Index: index}, loop.Code(index%3), loop.Code(index%2), 0, loop.Absent))
			index++
		}
		parts = append(parts, w.addPart(loop.SampleParts, s.Name, w.samples(s, rows...), void...))
	}
	add(4, 1)
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, loop.Post{ModelLine: "m", Version: "1"}, loop.Outcome{Example: "x", Group: "x", Scenario: scenario(0, 0, 0, 0).Codes, Origin: loop.Real, Source: loop.SourceTarget}))
	add(3)
	w.add(loop.Change{Void: &loop.Void{Reference: parts[0], Rows: []uint32{2}}})
	next := shapes()
	next.Version = 2
	next.Factors = append(next.Factors, loop.Factor{Name: "mood", Kind: loop.Categorical, Levels: []loop.Level{{Name: "glad", Target: .5}, {Name: "sad", Target: .5}}})
	w.addSpace(next)
	row := sample("c", loop.Name{Round: 1, Index: index}, 0, 0, 0, loop.Absent, 1)
	index++
	parts = append(parts, w.addPart(loop.SampleParts, next.Name, w.samples(next, row)))
	add(2)
	return w, parts
}

// C20, C21: a view that has the parts and one that begins when they are gone show the
// same, to the time and the change that a row came in by; and rows of the part in their
// place can be voided.
func TestReplace(t *testing.T) {
	w, parts := compacted(t)
	tailing := w.run(t.TempDir()).latest(w)
	before := tailing.table(dump)
	if len(before) != 8 {
		t.Fatalf("%d rows", len(before))
	}
	first := w.compact(parts[0], parts[1])
	tailing.latest(w)
	equalLines(t, "after a compaction", tailing.table(dump), before)
	second := w.compact(first, parts[2], parts[3])
	for _, key := range []string{"part-0.parquet", "part-2.parquet"} {
		w.lose(key, true) // collected
	}
	tailing.latest(w)
	equalLines(t, "after another", tailing.table(dump), before)
	equalLines(t, "moods", tailing.table(`SELECT mood, count(*) FROM shapes.samples GROUP BY ALL ORDER BY ALL`), []string{"sad|1", "<nil>|7"})
	equalLines(t, "parts", tailing.table(`SELECT reference, kind, rows FROM parts ORDER BY ALL`), []string{fmt.Sprint(3, "|outcomes|1"), fmt.Sprint(second, "|samples|8")})

	w.add(loop.Change{Void: &loop.Void{Reference: second, Rows: []uint32{0, 7}}})
	rebuilt := w.run(t.TempDir()).latest(w)
	tailing.latest(w)
	equalLines(t, "a rebuilt view", rebuilt.table(dump), tailing.table(dump))
	if n := len(rebuilt.table(dump)); n != 6 {
		t.Errorf("%d rows after a void", n)
	}
	a, err := rebuilt.Query(t.Context(), `SELECT count(*) FROM shapes.samples`, uint64(len(w.changes)), 0)
	if err != nil || fmt.Sprint(a.Rows) != "[[6]]" {
		t.Errorf("analysts: %v, %v", a.Rows, err)
	}
}

// C15: a view that was behind what was compacted answers nothing until it has come to
// what replaces that: it would lack rows that were there long before.
func TestReplaceBehind(t *testing.T) {
	for have := range 5 {
		t.Run(fmt.Sprint("have=", have), func(t *testing.T) {
			w, parts := compacted(t)
			all := w.changes
			dir := t.TempDir()
			w.changes = all[:have]
			early := w.run(dir, func(o *Options) { o.Batch = 1 }).latest(w)
			early.stop()
			w.changes = all
			sequence := w.compact(parts[0], parts[1])
			// What comes between is held up, and so is the view.
			held := "part-3.parquet"
			w.lose(held, true)
			late := w.run(dir, func(o *Options) { o.Batch = 1 })
			w.until(held, 1)
			soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			if err := late.Wait(soon, parts[1]+1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("at %d it was taken for whole: %v", late.Sequence(), err)
			}
			cancel()
			w.lose(held, false)
			late.latest(w)
			equalLines(t, "late", late.table(dump), w.run(t.TempDir()).latest(w).table(dump))
			if late.Sequence() != sequence {
				t.Errorf("at %d of %d", late.Sequence(), sequence)
			}
		})
	}
}
