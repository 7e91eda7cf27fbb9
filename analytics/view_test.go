//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/loop"
)

// The tables are as promised, with hostile names and every kind of value.
func TestTables(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	row := sample("c", loop.Name{Round: 1, Component: 2, Index: 7, Attempt: 1}, 1, 1, 1, 1)
	row.Seed = 1<<64 - 1
	w.addPart(loop.SampleParts, s.Name, w.samples(s, row, sample("c", loop.Name{Domain: loop.Evaluation, Round: 1, Index: 3}, loop.Unknown, loop.Absent, 0, loop.Absent)))
	w.addPart(loop.VerdictParts, s.Name, w.verdicts(s, loop.VerdictRow{Campaign: "c", Name: loop.Name{Round: 1, Index: 9}, Worker: "w", Generator: "g@1",
		Gate: "blank", Reason: "it's blank", Scenario: scenario(0, 0, 0, loop.Absent)}))
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, loop.Post{ModelLine: "m", Version: "1", EvalSet: "e@1"},
		loop.Outcome{Example: "x", Group: "g", Sample: row.Digest, Scenario: []loop.Code{2, 0, 1, 0}, Loss: 1_234_567, HasLoss: true, Origin: loop.Real, Source: loop.SourceTarget, URI: "s3://it's/1"},
		loop.Outcome{Example: "y", Group: "g", Scenario: []loop.Code{loop.Unknown, loop.Unknown, loop.Unknown, loop.Absent}, Correct: true, Origin: loop.Synthetic}))
	v := w.run(t.TempDir()).latest(w)

	equalLines(t, "samples", v.table(`SELECT "select", size, size__level, glove, glove_colour, digest, campaign, round, component, "index", attempt, seed,
		importance_weight, split, worker, generator, committed_at, pack, "offset", length, millis, scores->>'blank.mean' FROM shapes.samples ORDER BY ALL`), []string{
		fmt.Sprintf("🙂|5.75|large|yes|; DROP TABLE spaces; --|%s|c|1|2|7|1|18446744073709551615|1.25|train|w1|shapes@1|1700000002000000|packs/1/ab/cd.tar|7168|1024|2.5|0.5", row.Digest),
		fmt.Sprintf("<nil>|<nil>|absent|no|absent|%s|c|1|0|3|0|%d|1.25|evaluation|w1|shapes@1|1700000002000000|packs/1/ab/cd.tar|3072|1024|2.5|0.5",
			digestOf(2<<60|1<<48|3<<4), ^uint64(0)-(2<<60|1<<48|3<<4)),
	})
	equalLines(t, "verdicts", v.table(`SELECT "select", size, gate, reason, split, "index", judged_at, scores FROM shapes.verdicts`),
		[]string{`it's "low"|0.75|blank|it's blank|train|9|1700000003000000|<nil>`})
	equalLines(t, "outcomes", v.table(`SELECT "select", size__level, glove, model_line, model_version, task, eval_set, example, "group", sample, origin, source, correct, loss, uri, posted_at
		FROM shapes.outcomes ORDER BY example`), []string{
		fmt.Sprintf("null|small|yes|m|1||e@1|x|g|%s|real|target|false|1.234567|s3://it's/1|1700000004000000", row.Digest),
		"<nil>|<nil>|<nil>|m|1||e@1|y|g|<nil>|synthetic|<nil>|true|<nil>|<nil>|1700000004000000",
	})
	// Levels are typed, and in the order of the space.
	equalLines(t, "enum", v.table(`SELECT enum_range(NULL::`+`ENUM('no', 'yes', 'absent'))::VARCHAR, max(typeof(glove)), bool_and(glove < 'yes' OR glove = 'yes') FROM shapes.outcomes WHERE glove IS NOT NULL`),
		[]string{"[no, yes, absent]|ENUM('no', 'yes', 'absent')|true"})
	if v.Sequence() != 4 {
		t.Errorf("sequence %d", v.Sequence())
	}
}

// Parts of outcomes that were written before there was a uri are read beside those
// that have it.
func TestPartsWithoutURI(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	row := func(example, uri string) loop.Outcome {
		return loop.Outcome{Example: example, Group: example, Scenario: []loop.Code{0, 0, 0, loop.Absent}, Origin: loop.Real, Source: loop.SourceTarget, URI: uri}
	}
	post := loop.Post{ModelLine: "m", Version: "1"}
	now := outcomeColumns
	outcomeColumns = slices.DeleteFunc(slices.Clone(now), func(column string) bool { return column == "uri VARCHAR" })
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, post, row("before", "")))
	outcomeColumns = now
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, post, row("since", "/since.png"), row("without", "")))
	equalLines(t, "outcomes", w.run(t.TempDir()).latest(w).table(`SELECT example, uri FROM shapes.outcomes ORDER BY example`),
		[]string{"before|<nil>", "since|/since.png", "without|<nil>"})
}

// C11, I7: void rows never become visible, and a later void takes rows out. C20,
// V9: one object added twice is two references, each with its own void.
func TestVoid(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	var rows []loop.SampleRow
	for i := range uint64(5) {
		rows = append(rows, sample("c", loop.Name{Round: 1, Index: i}, 0, 0, 0, loop.Absent))
	}
	object := w.samples(s, rows...)
	first := w.addPart(loop.SampleParts, s.Name, object, 1, 3)
	second := w.addPart(loop.SampleParts, s.Name, object, 0, 2, 4)
	v := w.run(t.TempDir()).latest(w)
	count := `SELECT _reference, string_agg("index"::VARCHAR, ',' ORDER BY "index") FROM shapes.samples GROUP BY ALL ORDER BY ALL`
	equalLines(t, "void on adding", v.table(count), []string{"2|0,2,4", "3|1,3"})

	w.add(loop.Change{Void: &loop.Void{Reference: second, Rows: []uint32{3}}})
	w.add(loop.Change{Void: &loop.Void{Reference: first, Rows: []uint32{0, 1, 4}}})
	v.latest(w)
	equalLines(t, "void later", v.table(count), []string{"2|2", "3|1"})

	// Two posts of equal rows both count (C22).
	posts := w.outcomes(s, loop.Post{ModelLine: "m", Version: "1"}, loop.Outcome{Example: "x", Group: "x", Scenario: scenario(0, 0, 0, 0).Codes, Origin: loop.Real, Source: loop.SourceTarget})
	w.addPart(loop.OutcomeParts, s.Name, posts)
	w.addPart(loop.OutcomeParts, s.Name, posts)
	v.latest(w)
	equalLines(t, "equal posts", v.table(`SELECT count(*) FROM shapes.outcomes`), []string{"2"})
}

// C20: a view that stops anywhere goes on where it was, and repeats nothing.
func TestReopen(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	dir := t.TempDir()
	total := uint64(0)
	for step := range 4 {
		for range 3 {
			w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1, Index: total}, 0, 0, 0, loop.Absent),
				sample("c", loop.Name{Round: 1, Index: total + 1}, 1, 1, 1, 0)))
			total += 2
		}
		v := w.run(dir, func(o *Options) { o.Batch = 2 })
		// Stop in the middle of applying, not behind the last change.
		if err := v.Wait(t.Context(), uint64(2+3*step)); err != nil {
			t.Fatal(err)
		}
		v.stop()
	}
	v := w.run(dir).latest(w)
	equalLines(t, "rows", v.table(`SELECT count(*), count(DISTINCT "index") FROM shapes.samples`), []string{fmt.Sprintf("%d|%d", total, total)})
	for key, n := range w.asked {
		// A part may be read again only if its transaction was cut short.
		if n > 2 {
			t.Errorf("%s was read %d times", key, n)
		}
	}
}

// C20: an error half-way through a batch leaves neither rows nor sequence.
func TestBatchIsAtomic(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1}, 0, 0, 0, loop.Absent)))
	dir := t.TempDir()
	st, _, err := openStore(t.Context(), filepath.Join(dir, "x.duckdb"), "threads=1", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	if err := st.apply(t.Context(), w, w.changes[:1]); err != nil {
		t.Fatal(err)
	}
	bad := loop.Change{Sequence: 3, Void: &loop.Void{Reference: 99, Rows: []uint32{1}}}
	if err := st.apply(t.Context(), w, []loop.Change{w.changes[1], bad}); err == nil {
		t.Fatal("a void of nothing was applied")
	}
	var n, sequence int
	if err := st.db.QueryRow(`SELECT (SELECT count(*) FROM shapes.samples), sequence FROM _view`).Scan(&n, &sequence); err != nil || n != 0 || sequence != 1 || st.sequence != 1 {
		t.Errorf("%d rows at sequence %d and %d: %v", n, sequence, st.sequence, err)
	}
	if err := st.apply(t.Context(), w, w.changes[1:2]); err != nil {
		t.Fatal(err)
	}
}

// A view builds itself again when it has to, and ends with the same rows.
func TestRebuild(t *testing.T) {
	build := func(t *testing.T) (*world, string, []string) {
		w := newWorld(t)
		s := shapes()
		w.addSpace(s)
		for i := range uint64(6) {
			w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1, Index: i}, 0, 0, 0, loop.Absent)))
		}
		dir := t.TempDir()
		v := w.run(dir).latest(w)
		want := v.table(`SELECT * FROM shapes.samples ORDER BY "index"`)
		v.stop()
		return w, dir, want
	}
	file := func(dir string) string { return filepath.Join(dir, "_view.duckdb") }
	for name, harm := range map[string]func(t *testing.T, w *world, dir string) []func(*Options){
		"truncated": func(t *testing.T, _ *world, dir string) []func(*Options) {
			if err := os.Truncate(file(dir), 10_000); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"not a database": func(t *testing.T, _ *world, dir string) []func(*Options) {
			if err := os.WriteFile(file(dir), []byte(strings.Repeat("hello", 5000)), 0o600); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"died while opening": func(t *testing.T, _ *world, dir string) []func(*Options) {
			if err := os.WriteFile(file(dir)+".opening", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"another cluster": func(*testing.T, *world, string) []func(*Options) {
			return []func(*Options){func(o *Options) { o.Cluster = "another" }}
		},
		"behind": func(t *testing.T, w *world, dir string) []func(*Options) {
			// A view whose sequence the catalogue cannot continue: by a gap.
			return []func(*Options){func(o *Options) { o.Catalogue = &gap{world: w, at: 7} }}
		},
		"deleted": func(t *testing.T, _ *world, dir string) []func(*Options) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, dir, want := build(t)
			options := harm(t, w, dir)
			w.addPart(loop.VerdictParts, "shapes", w.verdicts(shapes(), loop.VerdictRow{Campaign: "c", Scenario: scenario(0, 0, 0, 0)}))
			before := 0
			for _, n := range w.asked {
				before += n
			}
			v := w.run(dir, options...).latest(w)
			equalLines(t, "rows", v.table(`SELECT * FROM shapes.samples ORDER BY "index"`), want)
			after := 0
			for _, n := range w.asked {
				after += n
			}
			if after-before != 7 {
				t.Errorf("%d parts were read, not all 7", after-before)
			}
		})
	}
}

// gap is a catalogue that once answers with a gap.
type gap struct {
	*world
	at   uint64
	done bool
}

func (g *gap) Changes(ctx context.Context, after uint64, limit int) ([]loop.Change, error) {
	if after == g.at && !g.done {
		g.done = true
		return []loop.Change{{Sequence: after + 5, Void: &loop.Void{}}}, nil
	}
	return g.world.Changes(ctx, after, limit)
}

// A part that is missing leads to building again, once; while it stays missing
// the view stands still just before it, serves nobody a lower sequence, and
// says why; when it is back the view goes on.
func TestMissingPart(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	kept := w.samples(s, sample("c", loop.Name{Round: 1}, 0, 0, 0, loop.Absent))
	w.addPart(loop.SampleParts, s.Name, kept)
	lost := w.samples(s, sample("c", loop.Name{Round: 1, Index: 1}, 0, 0, 0, loop.Absent))
	w.lose(lost.Key, true)
	w.addPart(loop.SampleParts, s.Name, lost)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1, Index: 2}, 0, 0, 0, loop.Absent)))
	v := w.run(t.TempDir())
	if err := v.Wait(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	w.until(lost.Key, 8)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := v.Wait(ctx, 3)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), lost.Key) {
		t.Errorf("waiting in vain: %v", err)
	}
	w.lose(lost.Key, false)
	v.latest(w)
	// In the batch that failed, by itself, and once in building again.
	w.mu.Lock()
	n := w.asked[kept.Key]
	w.mu.Unlock()
	if n != 3 {
		t.Errorf("the part before the lost one was read %d times", n)
	}
	equalLines(t, "rows", v.table(`SELECT count(*) FROM shapes.samples`), []string{"3"})
}

// A part that has not the rows that the catalogue promises is not taken.
func TestPartOfOtherLength(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	object := w.samples(s, sample("c", loop.Name{Round: 1}, 0, 0, 0, loop.Absent))
	object.Rows = 2
	w.addPart(loop.SampleParts, s.Name, object)
	v := w.run(t.TempDir())
	w.until(object.Key, 8)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := v.Wait(ctx, 2); !errors.Is(err, errPart) {
		t.Errorf("got %v", err)
	}
}

// A second process, or a second view, is refused the directory.
func TestDirectoryIsLocked(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.addSpace(shapes())
	w.run(dir).latest(w)
	v, err := New(Options{Dir: dir, Catalogue: w, Parts: w})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
}

// New refuses a directory that a DSN would garble, above all one that would
// drop the settings that lock analysts in.
func TestDirectoryNames(t *testing.T) {
	w := newWorld(t)
	for _, dir := range []string{"", "/tmp/a?b", "/tmp/a#b", "/tmp/100%"} {
		if _, err := New(Options{Dir: dir, Catalogue: w, Parts: w}); err == nil {
			t.Errorf("%q was taken", dir)
		}
	}
	s := shapes()
	w.addSpace(s)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1}, 0, 0, 0, loop.Absent)))
	dir := filepath.Join(t.TempDir(), "it's [a] *dir* 🙂 &x=1;")
	v := w.run(dir).latest(w)
	if a, err := v.Query(t.Context(), "SELECT count(*) FROM shapes.samples", 2, 0); err != nil || fmt.Sprint(a.Rows) != "[[1]]" {
		t.Errorf("%v %v", a, err)
	}
}

// Whoever waits is answered when the view closes, and so is whoever comes later.
func TestClose(t *testing.T) {
	w := newWorld(t)
	w.addSpace(shapes())
	v := w.run(t.TempDir()).latest(w)
	waits := make(chan error, 1)
	go func() { waits <- v.Wait(context.Background(), 100) }()
	slow := make(chan error, 1)
	go func() {
		_, err := v.Query(context.Background(), `SELECT count(*) FROM range(100000000000) a, range(1000) b`, 0, 0)
		slow <- err
	}()
	for len(v.analyst.slots) == 0 {
		runtime.Gosched()
	}
	v.stop()
	if err := <-waits; !errors.Is(err, ErrClosed) {
		t.Errorf("wait: %v", err)
	}
	if err := <-slow; !errors.Is(err, ErrClosed) {
		t.Errorf("query: %v", err)
	}
	if _, _, err := v.Evidence(t.Context(), loop.EvidenceQuery{Space: "shapes"}); !errors.Is(err, ErrClosed) {
		t.Errorf("evidence: %v", err)
	}
	if _, err := v.Query(t.Context(), "SELECT 1", 0, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("query: %v", err)
	}
}
