//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"hone/loop"
)

// evalRows is SQL for rows of every kind of column.
const evalRows = `SELECT i || '.png' AS image, 'clip ' || i // 20 AS clip, ['low', 'day', 'glare'][1 + i % 3] AS light,
	CASE WHEN i % 7 > 0 THEN ['no', 'yes'][1 + i % 2] END AS glove, (i % 5)::INTEGER AS people,
	CASE WHEN i % 11 > 0 THEN (i * 37 % 1000) / 10.0 END::DOUBLE AS distance, i * 7919 % 100003 AS weight, 1 AS version,
	NULL::VARCHAR AS nothing, i % 4 = 0 AS wet, TIMESTAMP '2026-03-01' + INTERVAL (i) HOUR AS taken,
	'It was seen from the side, number ' || i || ', by somebody' AS remark, i % 13 <> 0 AS correct, (i % 10) / 4.0 AS loss
	FROM range(600) t(i)`

// write makes a file of rows with DuckDB, in the format of its name.
func write(t *testing.T, query, path string) string {
	t.Helper()
	db, err := openDB("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if strings.Contains(path, ".arrow") || strings.HasSuffix(path, ".feather") {
		writeIPC(t, db, query, path)
		return path
	}
	options := ""
	if strings.HasSuffix(path, ".json") {
		options = " (FORMAT json, ARRAY true)"
	} else if strings.HasSuffix(path, ".ndjson") {
		options = " (FORMAT json)"
	}
	if _, err := db.Exec("COPY (" + query + ") TO " + literal(path) + options); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeIPC(t *testing.T, db *sql.DB, query, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var w interface {
		Write(arrow.RecordBatch) error
		Close() error
	}
	err = readArrow(t.Context(), conn, query, nil, func(b arrow.RecordBatch) (err error) {
		if w == nil {
			if strings.HasSuffix(path, ".arrows") {
				w = ipc.NewWriter(f, ipc.WithSchema(b.Schema()), ipc.WithZstd())
			} else if w, err = ipc.NewFileWriter(f, ipc.WithSchema(b.Schema()), ipc.WithLZ4()); err != nil {
				return err
			}
		}
		return w.Write(b)
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openTable(t *testing.T, path, where string) *Table {
	t.Helper()
	table, err := OpenTable(t.Context(), path, where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

// The same rows say the same in whatever format they come.
func TestFormatsAgree(t *testing.T) {
	dir := t.TempDir()
	var first *Coded
	for _, name := range []string{"a.parquet", "a.csv", "a.ndjson", "a.json", "a.arrow", "a.feather", "a.arrows", "a.csv.gz"} {
		table := openTable(t, write(t, evalRows, filepath.Join(dir, name)), "")
		c, err := table.Code(t.Context(), Selection{Error: "correct = false", Group: "clip", Ignore: []string{"loss"}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if first == nil {
			first = c
			continue
		}
		if !reflect.DeepEqual(c.Rows, first.Rows) {
			t.Errorf("%s: %+v\nwant %+v", name, c.Space, first.Space)
		}
		if len(c.Left) != len(first.Left) {
			t.Errorf("%s: left out %v, want %v", name, c.Left, first.Left)
		}
	}
	names, reasons := "", ""
	for _, f := range first.Space.Factors {
		names += f.Name + " "
	}
	for _, l := range first.Left {
		reasons += l.Column + ": " + l.Reason + "\n"
	}
	if names != "light glove people distance weight wet taken " {
		t.Errorf("factors %s", names)
	}
	for _, want := range []string{"clip: --group uses it", "correct: --error uses it", "image: nearly all of its values differ", "version: it is always \"1\"",
		"nothing: no value of it is known", "remark: nearly all"} {
		if !strings.Contains(reasons, want) {
			t.Errorf("no %q in\n%s", want, reasons)
		}
	}
	if len(first.Error) != 600 || first.Error[13] != 1 || first.Error[14] != 0 || first.Group[19] != 0 || first.Group[20] != 1 {
		t.Errorf("errors %v, groups %v", first.Error[:15], first.Group[:21])
	}
	// Every code is that of the value: bins have edges around it, unknown is unknown.
	for i := range 600 {
		if unknown := first.Codes[1][i] == loop.Unknown; unknown != (i%7 == 0) {
			t.Fatalf("row %d: glove %v", i, first.Codes[1][i])
		}
		code := first.Codes[3][i]
		if i%11 == 0 {
			if code != loop.Unknown {
				t.Fatalf("row %d: distance %v", i, code)
			}
			continue
		}
		if level := first.Space.Factors[3].Levels[code]; !(level.Low <= float64(i*37%1000)/10 && float64(i*37%1000)/10 < level.High) {
			t.Fatalf("row %d: %v in %s", i, float64(i*37%1000)/10, level.Name)
		}
	}
	if l := first.Space.Factors[2].Levels; len(l) != 5 || l[4].Name != "4" {
		t.Errorf("few integers are %v", l)
	}
}

// A value that most rows share has a bin of its own, and edges are round.
func TestBins(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		value string
		want  string
	}{
		"even":      {"i / 10.0", "0 10 25 40 50 60 75 90 100"},
		"integers":  {"i // 2 * 5", "0 300 600 1000 1200 1500 1800 2200 2500"},
		"mostly 0":  {"CASE WHEN i % 10 = 0 THEN i + 5 ELSE 0 END", "0 5 1000"},
		"negative":  {"-i / 10.0", "-100 -90 -75 -60 -50 -40 -25 -10 10"},
		"two lots":  {"CASE WHEN i % 2 = 0 THEN 1e9 + i ELSE i END", "0 200 500 800"},
		"in a tail": {"exp(i / 100.0)", "1 4 10 40"},
		"infinite":  {"CASE WHEN i = 1 THEN 'inf'::DOUBLE WHEN i = 2 THEN 'nan'::DOUBLE ELSE i / 10.0 END", "0 10 25 40 50 60 75 90 100"},
	} {
		path := write(t, "SELECT i % 3 = 0 AS bad, "+test.value+" AS x FROM range(1000) t(i)", filepath.Join(dir, strings.ReplaceAll(name, " ", "")+".parquet"))
		c, err := openTable(t, path, "").Code(t.Context(), Selection{Error: "bad"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(c.Space.Factors) != 1 {
			t.Errorf("%s: %v", name, c.Left)
			continue
		}
		levels := c.Space.Factors[0].Levels
		edges := fmt.Sprint(levels[0].Low)
		for i, l := range levels {
			edges += " " + fmt.Sprint(l.High)
			if i > 0 && l.Low != levels[i-1].High || !(l.Low < l.High) {
				t.Errorf("%s: %v", name, levels)
			}
		}
		if !strings.HasPrefix(edges, test.want) {
			t.Errorf("%s: edges %s, want %s", name, edges, test.want)
		}
	}
}

func TestEdgesAreRound(t *testing.T) {
	for _, test := range []struct{ got, want float64 }{
		{roundNear(1234.5, 50), 1200}, {roundNear(0.0371, .004), .04}, {roundNear(-7.3, .5), -7}, {roundNear(5, 0), 5},
		{roundDown(17.2, 3), 15}, {roundDown(-3, 1), -4}, {roundDown(3, 0), 3}, {roundAbove(90, 7.3), 95}, {roundAbove(99999, 9999), 100000},
		{roundBetween(0, 114), 100}, {roundBetween(1, 1.5), 1.5}, {roundBetween(-.5, .2), 0},
	} {
		if test.got != test.want {
			t.Errorf("%v, want %v", test.got, test.want)
		}
	}
	if x := roundAbove(5, 0); !(x > 5) || math.Signbit(multiple(math.Copysign(0, -1), 5)) {
		t.Errorf("%v", x)
	}
}

// What an expression gives decides what an error is; what it cannot be is refused
// by the flag, with the columns there are.
func TestErrorExpressions(t *testing.T) {
	table := openTable(t, write(t, evalRows, filepath.Join(t.TempDir(), "a.parquet")), "")
	for text, want := range map[string]float64{
		"correct = false": 47, "not correct": 47, "correct::int": 553, "loss": 675, "LOSS > 1": 300, "loss -- in metres": 675, "light in ('low', ';')": 200,
		"(select true)": 600, "glove = 'yes'": 257, "people": 1200, "loss::decimal(9,3)": 675,
	} {
		c, err := table.Code(t.Context(), Selection{Error: text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		sum := 0.0
		for _, e := range c.Error {
			sum += e
		}
		if sum != want || len(c.Error)+c.Unknown != 600 {
			t.Errorf("%s: sum %v of %d and %d unknown, want %v", text, sum, len(c.Error), c.Unknown, want)
		}
	}
	for text, want := range map[string]string{
		"corect = false":            `there is no column "corect" (did you mean "correct"? The columns are image, clip`,
		"correct; drop table evals": "several statements", "correct) from evals; --": "a parenthesis closes", "(correct": "a parenthesis is not closed",
		"": "needs", "  -- nothing": "it is empty", "correct =": "syntax error", "light": "it gives varchar", "people - 3": "it gives -3", "loss * 1e101": "a loss is at most 1e+100", "sum(loss)": "nested", "max(loss)": "",
		"correct, loss": "", "* from evals": "", "nonsense(correct)": "nonsense",
	} {
		if text == "" {
			continue
		}
		_, err := table.Code(t.Context(), Selection{Error: text})
		refusal, ok := errors.AsType[*loop.Error](err)
		if !ok || refusal.Field != "--error" || !strings.Contains(refusal.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for flag, s := range map[string]Selection{"--group": {Group: "clips"}, "--factors": {Factors: []string{"lihgt"}}, "--ignore": {Ignore: []string{"x"}}} {
		_, err := table.Code(t.Context(), s)
		if refusal, ok := errors.AsType[*loop.Error](err); !ok || refusal.Field != flag {
			t.Errorf("%s: %v", flag, err)
		}
	}
	// Whoever breaks off is not told that the expression was wrong.
	ended, end := context.WithCancel(t.Context())
	end()
	for _, text := range []string{"not correct", "loss"} {
		if _, err := table.Code(ended, Selection{Error: text}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, broken off: %v", text, err)
		}
	}
	if where := openTable(t, table.Path, "light = 'low' and distance < 50"); where.Rows < 50 || where.Rows > 150 {
		t.Errorf("--where leaves %d rows", where.Rows)
	}
}

// The field's file shares levels with the evaluations; what it lacks is unknown
// there.
func TestFieldRows(t *testing.T) {
	dir := t.TempDir()
	table := openTable(t, write(t, evalRows, filepath.Join(dir, "a.parquet")), "")
	field := write(t, "SELECT ['low', 'fog'][1 + i % 2] AS light, 1000 + i AS Distance FROM range(100) t(i)", filepath.Join(dir, "f.csv"))
	if err := table.Field(t.Context(), field); err != nil {
		t.Fatal(err)
	}
	c, err := table.Code(t.Context(), Selection{Factors: []string{"light", "distance", "glove"}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := table.CodeField(t.Context(), c)
	if err != nil || len(f.Error) != 100 || len(c.Error) != 600 {
		t.Fatalf("%v: %d and %d rows", err, len(f.Error), len(c.Error))
	}
	light := c.Space.Factors[0].Level("fog")
	if light < 0 || f.Codes[0][1] != loop.Code(light) || slices.Contains(c.Codes[0], loop.Code(light)) || f.Codes[1][0] != loop.Unknown {
		t.Errorf("%+v: %v", c.Space.Factors, f.Codes)
	}
	if bins := c.Space.Factors[2].Levels; bins[len(bins)-1].High <= 1099 || int(f.Codes[2][99]) != len(bins)-1 {
		t.Errorf("bins %v, code %v", bins, f.Codes[2][99])
	}
}

// Whatever is given for an expression, it runs no second statement.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{"correct = false", "1); DROP TABLE evals; --", "'", "$$;$$", "/* ) */ 1", "e'\\''; drop table evals", "correct)::int, (correct", ") AS e FROM evals; DELETE FROM evals; SELECT (1", "\xff", "x -> x"} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte("correct,light\ntrue,low\nfalse,day\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	table, err := OpenTable(context.Background(), path, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { table.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 {
			return
		}
		_, _ = table.Code(t.Context(), Selection{Error: text})
		var rows int
		if err := table.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM evals").Scan(&rows); err != nil || rows != 2 {
			t.Fatalf("%q: %v, %d rows", text, err, rows)
		}
	})
}
