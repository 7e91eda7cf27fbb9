//go:build duckdb_arrow && cgo

package analytics

import (
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hone/loop"
)

func outcome(example string, correct bool, metrics []float64, codes ...loop.Code) loop.Outcome {
	return loop.Outcome{Example: example, Group: example, Scenario: codes, Correct: correct, Metrics: metrics, Origin: loop.Real, Source: loop.SourceTarget}
}

// Metrics are columns of the outcomes, over all versions: rows from before a
// metric was declared have NULL, and a metric that was dropped keeps its values.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	one, nan := shapes(), math.NaN()
	w.addSpace(one)
	dir := t.TempDir()
	v := w.run(dir)
	post := loop.Post{ModelLine: "m", Version: "1", Task: "detect"}
	early := w.outcomes(one, post, outcome("a", true, nil, 0, 1, 1, 1))
	w.addPart(loop.OutcomeParts, one.Name, early)

	two := shapes()
	two.Version = 2
	two.Tasks = []loop.Task{
		{Name: "detect", Metrics: []loop.Metric{{Name: "iou", Better: loop.Higher}, {Name: "from", Better: loop.Lower}}},
		{Name: "pose", Metrics: []loop.Metric{{Name: "mm", Better: loop.Lower}}},
	}
	w.addSpace(two)
	w.addPart(loop.OutcomeParts, two.Name, w.outcomes(two, post, outcome("b", false, []float64{.1, nan, nan}, 0, 1, 0, loop.Absent), outcome("c", true, []float64{nan, -7e300, 0}, 1, 1, 0, loop.Absent)))
	w.addPart(loop.OutcomeParts, two.Name, early) // written under version 1, and added once more

	three := shapes()
	three.Version = 3
	three.Tasks = []loop.Task{{Name: "pose", Metrics: []loop.Metric{{Name: "from", Better: loop.Lower}, {Name: "new", Better: loop.Higher}}}}
	w.addSpace(three)
	w.addPart(loop.OutcomeParts, three.Name, w.outcomes(three, post, outcome("d", true, []float64{1, 2}, 0, 1, 0, loop.Absent)))
	query := `SELECT example, iou, "from", mm, new FROM shapes.outcomes ORDER BY _reference, example`
	want := []string{"a|<nil>|<nil>|<nil>|<nil>", "b|0.1|<nil>|<nil>|<nil>", "c|<nil>|-7e+300|0|<nil>", "a|<nil>|<nil>|<nil>|<nil>", "d|<nil>|1|<nil>|2"}
	equalLines(t, "followed", v.latest(w).table(query), want)
	v.stop()
	equalLines(t, "opened again", w.run(dir).latest(w).table(query), want)
	equalLines(t, "built again", w.run(t.TempDir()).latest(w).table(query), want)
}

// A later version may give a name to another thing: the new one gets the name, and
// the rows of what had it stay, under another.
func TestNamesTakenOver(t *testing.T) {
	w := newWorld(t)
	one := shapes()
	one.Tasks = []loop.Task{{Name: "t", Metrics: []loop.Metric{{Name: "iou", Better: loop.Higher}}}}
	w.addSpace(one)
	v := w.run(t.TempDir())
	post := loop.Post{ModelLine: "m", Version: "1"}
	late := w.outcomes(one, post, outcome("b", true, []float64{.5}, 1, 1, 1, 0))
	w.addPart(loop.OutcomeParts, one.Name, w.outcomes(one, post, outcome("a", true, []float64{.25}, 0, 0, 1, 1)))

	// size was a number and is a metric, iou was a metric and is a factor, the
	// colour is a derived label.
	two := shapes()
	two.Version = 2
	two.Factors[1] = loop.Factor{Name: "iou", Kind: loop.Categorical, Levels: []loop.Level{{Name: "good", Target: 1}}}
	two.Factors = two.Factors[:3]
	two.Tasks = []loop.Task{{Name: "t", Metrics: []loop.Metric{{Name: "Size", Better: loop.Lower}}}}
	two.Derived = []loop.Derived{{Name: "glove_colour", Levels: []string{"none", "some"}, Rules: []loop.DerivedRule{{When: []loop.LevelSet{{Factor: 2, Levels: []int{1}}}, Level: 1}}}}
	w.addSpace(two)
	w.addPart(loop.OutcomeParts, two.Name, late)
	w.addPart(loop.OutcomeParts, two.Name, w.outcomes(two, post, outcome("c", true, []float64{12}, 0, 0, 0)))
	query := `SELECT example, size, iou, glove_colour, size_2, size_2__level, iou_2, glove_colour_2 FROM shapes.outcomes ORDER BY example`
	want := []string{"a|<nil>|<nil>|some|0|small|0.25|; DROP TABLE spaces; --", "b|<nil>|<nil>|some|1.5|large|0.5|red", "c|12|good|none|<nil>|<nil>|<nil>|<nil>"}
	equalLines(t, "version 2", v.latest(w).table(query), want)
	equalLines(t, "built again", w.run(t.TempDir()).latest(w).table(query), want)

	three := shapes() // and back
	three.Version, three.Tasks = 3, one.Tasks
	w.addSpace(three)
	query = `SELECT example, size, size__level, iou, glove_colour, size_2, iou_2 FROM shapes.outcomes ORDER BY example`
	want = []string{"a|0|small|0.25|; DROP TABLE spaces; --|<nil>|<nil>", "b|1.5|large|0.5|red|<nil>|<nil>", "c|<nil>|<nil>|<nil>|<nil>|12|good"}
	equalLines(t, "version 3", v.latest(w).table(query), want)
	equalLines(t, "built again", w.run(t.TempDir()).latest(w).table(query), want)
}

// Whatever SQL is made from is quoted: names that are its words, levels with
// quotes and pictures, and as many as a factor may have.
func TestHostileSpace(t *testing.T) {
	many := make([]loop.Level, loop.MaxLevels)
	set := make([]int, 0, len(many))
	for l := range many {
		many[l] = loop.Level{Name: fmt.Sprintf(`l'%d"; 🙂`, l), Target: 1 / float64(len(many))}
		if l%3 == 0 {
			set = append(set, l)
		}
	}
	half := .5
	space := &loop.Space{Name: "select", Version: 1,
		Factors: []loop.Factor{
			{Name: "select", Kind: loop.Categorical, Levels: many},
			{Name: "from", Kind: loop.Numeric, Levels: []loop.Level{{Name: `$1 ?'--`, Target: 1, High: 1}}},
			{Name: "where", Kind: loop.Categorical, When: &loop.LevelSet{Factor: 0, Levels: set}, Levels: []loop.Level{{Name: `\' OR 1=1 /*`, Target: 1}}},
		},
		Tasks: []loop.Task{{Name: "table", Metrics: []loop.Metric{{Name: "order", Better: loop.Higher, Fail: &half}, {Name: "by", Better: loop.Lower}}}},
		Derived: []loop.Derived{{Name: "group_by", Levels: []string{`it's "yes"`, "🙂; --"}, Otherwise: 1, Rules: []loop.DerivedRule{
			{When: []loop.LevelSet{{Factor: 0, Levels: set}, {Factor: 1, Levels: []int{0}}}}}}},
	}
	w := newWorld(t)
	w.addSpace(space)
	v := w.run(t.TempDir())
	var rows []loop.Outcome
	for l := range loop.Code(len(many)) {
		where := loop.Absent
		if l%3 == 0 {
			where = 0
		}
		rows = append(rows, outcome(fmt.Sprint(l), l%2 == 0, []float64{float64(l), math.NaN()}, l, 0, where))
	}
	w.addPart(loop.OutcomeParts, space.Name, w.outcomes(space, loop.Post{ModelLine: "m", Version: "1"}, rows...))
	w.addPart(loop.SampleParts, space.Name, w.samples(space, sample("c", loop.Name{Round: 1}, 9999, 0, 0)))
	next := *space
	next.Version = 2
	next.Factors = slices.Clone(space.Factors)
	next.Factors[0].Levels = slices.Clone(many)
	slices.Reverse(next.Factors[0].Levels) // every level means another code
	w.addSpace(&next)
	v.latest(w)
	equalLines(t, "labels", v.table(`SELECT group_by, count(*), sum("order"), count("by") FROM "select".outcomes GROUP BY ALL ORDER BY group_by`),
		[]string{`it's "yes"|3334|1.6668333e+07|0`, `🙂; --|6666|3.3326667e+07|0`})
	evidence, _, err := v.Evidence(t.Context(), loop.EvidenceQuery{Space: "select", Models: []loop.EvidenceModel{{ModelLine: "m", Version: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if evidence.Len() != len(rows) || evidence.Validate(&next) != nil {
		t.Fatalf("%d lines of evidence for %d rows (%v)", evidence.Len(), len(rows), evidence.Validate(&next))
	}
	for i := range evidence.Len() {
		if want := (len(rows) - 1 - int(evidence.Codes[0][i])) % 2; evidence.Failures[i] != int64(want) {
			t.Fatalf("level %d has %d failures", evidence.Codes[0][i], evidence.Failures[i])
		}
	}
	resolved, err := v.Resolve(t.Context(), "select", "", []loop.Digest{digestOf(1 << 48)})
	if err != nil || len(resolved) != 1 || resolved[digestOf(1<<48)].Scenario.Codes[0] != 0 {
		t.Errorf("resolved %+v (%v)", resolved, err)
	}
	answer, err := v.Query(t.Context(), `SELECT "select", "from__level", "where", "group_by", "order" FROM "select".outcomes WHERE example = '9999'`, 0, 0)
	if got := fmt.Sprint(answer.Rows); err != nil || got != `[[l'9999"; 🙂 $1 ?'-- \' OR 1=1 /* it's "yes" 9999]]` {
		t.Errorf("an analyst reads %s (%v)", got, err)
	}
	equalLines(t, "lineage", v.table(`SELECT count(*) FROM "select".lineage`), []string{"0"})
}

// A label that would make too much SQL is NULL, and the view opens all the same.
func TestLabelTooLong(t *testing.T) {
	space := shapes()
	space.Factors[0].Levels = nil
	for l := range loop.MaxLevels {
		space.Factors[0].Levels = append(space.Factors[0].Levels, loop.Level{Name: fmt.Sprint(l), Target: 1. / loop.MaxLevels})
	}
	long := loop.Derived{Name: "long", Levels: []string{"a", "b"}}
	for range loop.MaxRules {
		long.Rules = append(long.Rules, loop.DerivedRule{When: []loop.LevelSet{{Factor: 0, Levels: []int{7}}}})
	}
	short := space.Derived[0]
	space.Derived = []loop.Derived{short, long}
	w := newWorld(t)
	w.addSpace(space)
	w.addPart(loop.SampleParts, space.Name, w.samples(space, sample("c", loop.Name{Round: 1}, 7, 0, 1, 1)))
	equalLines(t, "labels", w.run(t.TempDir()).latest(w).table(`SELECT long, visible FROM shapes.samples`), []string{"<nil>|yes"})
}

// Derived labels are what loop.Space.Derive says of the codes that the newest
// version has, for whatever definition, rows and versions.
func TestDerivedProperty(t *testing.T) {
	db := newWorld(t).db
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, low, high int) int { return rapid.IntRange(low, high).Draw(rt, name) }
		version := func(number int) *loop.Space {
			s := &loop.Space{Name: "s", Version: number}
			for f := range draw("factors", 1, 4) {
				factor := loop.Factor{Name: fmt.Sprint("f", f), Kind: rapid.SampledFrom([]loop.Kind{loop.Categorical, loop.Numeric}).Draw(rt, "kind")}
				first, n := draw("first level", 0, 2), draw("levels", 1, 4)
				for l := range n {
					level := loop.Level{Name: fmt.Sprintf("l'%d", first+l), Target: 1 / float64(n)}
					if factor.Kind == loop.Numeric {
						level.Low, level.High = float64(first+l), float64(first+l+1)
					}
					factor.Levels = append(factor.Levels, level)
				}
				if f > 0 && rapid.Bool().Draw(rt, "conditional") {
					factor.When = &loop.LevelSet{Factor: f - 1, Levels: []int{0}}
				}
				s.Factors = append(s.Factors, factor)
			}
			for d := range draw("derived", 1, 3) {
				label := loop.Derived{Name: fmt.Sprint("d", d), Levels: []string{"a'", "🙂", "c"}, Otherwise: draw("otherwise", 0, 2)}
				for range draw("rules", 1, 4) {
					rule := loop.DerivedRule{Level: draw("level", 0, 2)}
					for _, f := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(s.Factors)-1), 1, len(s.Factors), rapid.ID[int]).Draw(rt, "sets") {
						levels := rapid.SliceOfNDistinct(rapid.IntRange(0, len(s.Factors[f].Levels)-1), 1, -1, rapid.ID[int]).Draw(rt, "set")
						slices.Sort(levels)
						rule.When = append(rule.When, loop.LevelSet{Factor: f, Levels: levels})
					}
					label.Rules = append(label.Rules, rule)
				}
				s.Derived = append(s.Derived, label)
			}
			return s
		}
		l := (&layout{space: "s", schema: "s"}).with(version(1))
		if rapid.Bool().Draw(rt, "a new version") {
			l = l.with(version(2))
		}
		current := l.current
		var rows []string
		for range draw("rows", 1, 20) {
			var values []string
			for i := range l.columns {
				level := "NULL"
				if levels := l.columns[i].levels; rapid.Bool().Draw(rt, "known") {
					level = literal(rapid.SampledFrom(append(slices.Clone(levels), loop.AbsentName)).Draw(rt, "level"))
				}
				values = append(values, level)
			}
			rows = append(rows, "("+strings.Join(values, ", ")+")")
		}
		var filled mapping
		for i := range l.columns {
			filled.add(l.columns[i].labels(), "")
		}
		for _, statement := range []string{"DROP SCHEMA IF EXISTS s CASCADE", "CREATE SCHEMA s", l.create(loop.SampleParts, "samples"),
			"INSERT INTO s.samples(" + filled.columns() + ") VALUES " + strings.Join(rows, ", ")} {
			if _, err := db.Exec(statement); err != nil {
				rt.Fatalf("%s: %v", statement, err)
			}
		}
		query := "SELECT "
		for f := range current.Factors {
			query += ident(l.column(current.Factors[f].Name).labels()) + "::VARCHAR, "
		}
		for d := range current.Derived {
			query += ident(current.Derived[d].Name) + "::VARCHAR, "
		}
		read, err := db.Query(strings.TrimSuffix(query, ", ") + " FROM s.samples")
		if err != nil {
			rt.Fatal(err)
		}
		defer read.Close()
		n := 0
		for ; read.Next(); n++ {
			cells := make([]string, len(current.Factors)+len(current.Derived))
			into := make([]any, len(cells))
			for i := range cells {
				into[i] = &sql.NullString{}
			}
			if err := read.Scan(into...); err != nil {
				rt.Fatal(err)
			}
			for i := range cells {
				if cells[i] = "NULL"; into[i].(*sql.NullString).Valid {
					cells[i] = into[i].(*sql.NullString).String
				}
			}
			codes := make([]loop.Code, len(current.Factors))
			for f := range codes {
				codes[f] = loop.Unknown
				if at := current.Factors[f].Level(cells[f]); at >= 0 {
					codes[f] = loop.Code(at)
				} else if cells[f] == loop.AbsentName {
					codes[f] = loop.Absent
				}
			}
			for d, code := range current.Derive(codes) {
				want := "NULL"
				if code != loop.Unknown {
					want = current.Derived[d].Levels[code]
				}
				if got := cells[len(codes)+d]; got != want {
					rt.Fatalf("%q: %s is %s, want %s by\n%s", cells, current.Derived[d].Name, got, want, l.derived[d].definition)
				}
			}
		}
		if n != len(rows) || read.Err() != nil {
			rt.Fatalf("%d of %d rows (%v)", n, len(rows), read.Err())
		}
	})
}
