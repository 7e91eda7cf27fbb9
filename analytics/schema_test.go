//go:build duckdb_arrow && cgo

package analytics

import (
	"testing"

	"hone/loop"
)

// A new version moves the rows that are there: levels and factors are added, a
// kind changes, what was dropped stays, and parts of older versions still fit.
func TestNewVersion(t *testing.T) {
	w := newWorld(t)
	one := shapes()
	w.addSpace(one)
	dir := t.TempDir()
	v := w.run(dir)
	name := func(i uint64) loop.Name { return loop.Name{Round: 1, Index: i} }
	late := w.samples(one, sample("c", name(2), 2, 0, 1, 0))
	w.addPart(loop.SampleParts, one.Name, w.samples(one, sample("c", name(0), 0, 1, 1, 1), sample("c", name(1), loop.Unknown, loop.Unknown, 0, loop.Absent)))

	two := shapes()
	two.Version = 2
	two.Factors = []loop.Factor{
		// A level before the others, one dropped; glove_colour is dropped; size is
		// no number any more; pose is new, and a number.
		{Name: "select", Kind: loop.Categorical, Levels: []loop.Level{{Name: "new", Target: .5}, {Name: "🙂", Target: .25}, {Name: `it's "low"`, Target: .25}}},
		{Name: "pose", Kind: loop.Numeric, Levels: []loop.Level{{Name: "p0", Target: 1, Low: -1, High: 1}}},
		{Name: "size", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "small", Target: .5}, {Name: "large", Target: .25}, {Name: "huge", Target: .25}}},
		{Name: "glove", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "no", Target: .5}, {Name: "yes", Target: .5}}},
	}
	w.addSpace(two)
	w.addPart(loop.SampleParts, two.Name, late) // written under version 1
	w.addPart(loop.SampleParts, two.Name, w.samples(two, sample("c", name(3), 0, 0, 2, 1)))
	v.latest(w)
	query := `SELECT "index", "select", pose, pose__level, size, glove, glove_colour FROM shapes.samples ORDER BY "index"`
	want := []string{
		`0|it's "low"|<nil>|<nil>|large|yes|; DROP TABLE spaces; --`,
		`1|<nil>|<nil>|<nil>|<nil>|no|absent`,
		`2|null|<nil>|<nil>|small|yes|red`,
		`3|new|0|p0|huge|yes|<nil>`,
	}
	equalLines(t, "after version 2", v.table(query), want)

	// What was a number keeps its values beside the levels.
	equalLines(t, "values of version 1", v.table(`SELECT "index", size__value FROM shapes.samples ORDER BY "index"`), []string{"0|5.75", "1|<nil>", "2|0.75", "3|<nil>"})

	// Back to a number: bins and values are there again.
	three := shapes()
	three.Version = 3
	w.addSpace(three)
	w.addPart(loop.SampleParts, three.Name, w.samples(three, sample("c", name(4), 0, 1, 0, loop.Absent)))
	v.latest(w)
	query3 := `SELECT "index", size, size__level, "select", pose__level FROM shapes.samples ORDER BY "index"`
	want3 := []string{`0|5.75|large|it's "low"|<nil>`, `1|<nil>|<nil>|<nil>|<nil>`, `2|0.75|small|null|<nil>`, `3|<nil>|huge|new|p0`, `4|5.75|large|it's "low"|<nil>`}
	equalLines(t, "after version 3", v.table(query3), want3)

	// What the columns mean survives a restart: the layouts are read back.
	v.stop()
	v = w.run(dir).latest(w)
	equalLines(t, "after a restart", v.table(query3), want3)
	for f, factor := range three.Factors {
		codes := v.follower.store.spaces["shapes"].codes(v.follower.store.spaces["shapes"].current, f)
		if codes[len(codes)-1] != loop.Absent {
			t.Errorf("factor %q: the last code is not absent", factor.Name)
		}
		for l := range factor.Levels {
			if codes[l] != loop.Code(l) {
				t.Errorf("factor %q: level %d has code %d", factor.Name, l, codes[l])
			}
		}
	}
	equalLines(t, "built again", w.run(t.TempDir()).latest(w).table(query3), want3)
	w.addSpace(three) // equal shape: nothing moves
	equalLines(t, "lineage", v.latest(w).table(`SELECT count(*) FROM shapes.lineage`), []string{"0"})
}

// Names of spaces that SQL knows already, or does not tell apart, get schemas
// of their own.
func TestSchemaNames(t *testing.T) {
	w := newWorld(t)
	names := []string{"main", "Shapes", "shapes", "shapes_2", "temp", "pg_catalog", "a.b-c", "select", "information_schema"}
	for i, name := range names {
		s := shapes()
		s.Name = name
		w.addSpace(s)
		var rows []loop.SampleRow
		for n := range i + 1 {
			rows = append(rows, sample("c", loop.Name{Round: 1, Index: uint64(n)}, 0, 0, 0, loop.Absent))
		}
		w.addPart(loop.SampleParts, name, w.samples(s, rows...))
	}
	v := w.run(t.TempDir()).latest(w)
	equalLines(t, "schemas", v.table(`SELECT space, schema FROM spaces ORDER BY sequence`), []string{
		"main|main_2", "Shapes|Shapes", "shapes|shapes_2", "shapes_2|shapes_2_2", "temp|temp_2", "pg_catalog|pg_catalog_2", "a.b-c|a.b-c",
		"select|select", "information_schema|information_schema_2"})
	for i, name := range names {
		n := 0
		for range v.Committed(t.Context(), loop.Selection{Space: name, Campaign: "c", FirstRound: 1, LastRound: 1}) {
			n++
		}
		if n != i+1 {
			t.Errorf("space %q: %d samples, want %d", name, n, i+1)
		}
	}
}
