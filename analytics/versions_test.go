//go:build duckdb_arrow && cgo

package analytics

import (
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hone/loop"
)

// posted is what was posted of one outcome, by name in lower case.
type posted struct {
	labels map[string]string
	values map[string]float64
	scores map[string]float64
}

// Whatever versions a space goes through, and whenever parts of older ones are
// added, each row has what was posted of it and is unknown elsewhere, and the
// layout that is read back from the file is the one that the changes made.
func TestVersionsProperty(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, low, high int) int { return rapid.IntRange(low, high).Draw(rt, name) }
		version := func(number int) *loop.Space {
			s := &loop.Space{Name: "s", Version: number, Tasks: []loop.Task{{Name: "t"}}}
			for _, name := range rapid.Permutation([]string{"a", "B", "c", "d"}).Draw(rt, "names") {
				if rapid.Bool().Draw(rt, "upper") {
					name = strings.ToUpper(name)
				}
				what := draw("what", 0, 4)
				if len(s.Factors) == 0 {
					what = draw("kind", 0, 1)
				}
				switch what {
				case 0, 1: // a factor, categorical or numeric
					f := loop.Factor{Name: name, Kind: []loop.Kind{loop.Categorical, loop.Numeric}[what]}
					first := draw("first", 0, 2)
					for l := first; l < first+2; l++ {
						level := loop.Level{Name: fmt.Sprint("l", l), Target: .5}
						if f.Kind == loop.Numeric {
							level.Low, level.High = float64(l), float64(l+1)
						}
						f.Levels = append(f.Levels, level)
					}
					s.Factors = append(s.Factors, f)
				case 2:
					s.Tasks[0].Metrics = append(s.Tasks[0].Metrics, loop.Metric{Name: name, Better: loop.Higher})
				case 3:
					s.Derived = append(s.Derived, loop.Derived{Name: name, Levels: []string{"x", "y"}, Otherwise: 1,
						Rules: []loop.DerivedRule{{When: []loop.LevelSet{{Factor: 0, Levels: []int{1}}}}}})
				}
			}
			return s
		}
		first := len(w.changes)
		rows := map[string]posted{}
		write := func(s *loop.Space) loop.Object {
			example := fmt.Sprint("e", len(rows))
			one := posted{map[string]string{}, map[string]float64{}, map[string]float64{}}
			o := outcome(example, true, nil)
			for f := range s.Factors {
				code := loop.Code(draw("code", -2, 1))
				o.Scenario = append(o.Scenario, code)
				name := strings.ToLower(s.Factors[f].Name)
				if code != loop.Unknown {
					one.labels[name] = s.Text(f, code)
				}
				if v, ok := s.Factors[f].Value(code, 0); ok {
					one.values[name] = v
				}
			}
			for _, m := range s.Metrics() {
				v := math.NaN()
				if rapid.Bool().Draw(rt, "measured") {
					v = float64(draw("metric", -5, 5))
					one.scores[strings.ToLower(m.Name)] = v
				}
				o.Metrics = append(o.Metrics, v)
			}
			rows[example] = one
			return w.outcomes(s, loop.Post{ModelLine: "m", Version: "1"}, o)
		}
		var late []loop.Object
		for number := range draw("versions", 1, 4) {
			s := version(number + 1)
			w.add(loop.Change{Space: s})
			for _, object := range append(late, write(s)) {
				w.addPart(loop.OutcomeParts, "s", object)
			}
			late = nil
			if rapid.Bool().Draw(rt, "late") {
				late = append(late, write(s))
			}
		}
		for _, object := range late {
			w.addPart(loop.OutcomeParts, "s", object)
		}

		s, err := tryOpen(t.Context(), "", "threads=1", "test") // in memory
		if err != nil {
			rt.Fatal(err)
		}
		defer s.db.Close()
		for i := first; i < len(w.changes); i++ {
			if err := s.apply(t.Context(), w, w.changes[i:i+1]); err != nil {
				rt.Fatal(err)
			}
		}
		l := s.spaces["s"]
		for example, want := range rows {
			if got := read(rt, s.db, l, example); !reflect.DeepEqual(got, want) {
				rt.Fatalf("%s: got %v, want %v, in columns %+v and metrics %+v", example, got, want, l.columns, l.metrics)
			}
		}
		again := &store{db: s.db, spaces: map[string]*layout{}}
		if err := again.load(t.Context(), "test"); err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(again.spaces["s"], l) {
			rt.Fatalf("read back: %+v, want %+v", again.spaces["s"], l)
		}
	})
}

// read is what the table has of an outcome.
func read(t *rapid.T, db *sql.DB, l *layout, example string) posted {
	var columns []string
	var take []func(cell sql.NullString)
	got := posted{map[string]string{}, map[string]float64{}, map[string]float64{}}
	number := func(into map[string]float64, name string) func(sql.NullString) {
		return func(cell sql.NullString) {
			var v float64
			if cell.Valid {
				if _, err := fmt.Sscan(cell.String, &v); err != nil {
					t.Fatal(err)
				}
				into[strings.ToLower(name)] = v
			}
		}
	}
	for i := range l.columns {
		c := &l.columns[i]
		columns = append(columns, ident(c.labels())+"::VARCHAR")
		take = append(take, func(cell sql.NullString) {
			if cell.Valid {
				got.labels[strings.ToLower(c.name)] = cell.String
			}
		})
		if c.valued {
			columns, take = append(columns, ident(c.values())+"::VARCHAR"), append(take, number(got.values, c.name))
		}
	}
	for _, m := range l.metrics {
		columns, take = append(columns, ident(m.base)+"::VARCHAR"), append(take, number(got.scores, m.name))
	}
	cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	// Derived labels are read, too: none may fail.
	for _, d := range l.derived {
		columns, into = append(columns, ident(d.base)), append(into, new(any))
	}
	if err := db.QueryRow("SELECT "+strings.Join(columns, ", ")+" FROM s.outcomes WHERE example = ?", example).Scan(into...); err != nil {
		t.Fatal(err)
	}
	for i := range take {
		take[i](cells[i])
	}
	return got
}
