//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/loop"
)

// refused asks a query and expects a *loop.Error.
func refused(t *testing.T, v *running, query string) *loop.Error {
	t.Helper()
	answer, err := v.Query(t.Context(), query, 0, 0)
	refusal, ok := errors.AsType[*loop.Error](err)
	if !ok {
		t.Errorf("%s: answered %v, error %v", query, answer.Rows, err)
		return &loop.Error{}
	}
	return refusal
}

// Analysts can read the tables, and nothing else in the world.
func TestLockDown(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	object := w.samples(s, sample("c", loop.Name{Round: 1}, 0, 0, 0, loop.Absent))
	w.addPart(loop.SampleParts, s.Name, object)
	dir := t.TempDir()
	v := w.run(dir).latest(w)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	part := filepath.Join(w.dir, object.Key)
	for _, query := range []string{
		// Reading what is not a table.
		"SELECT * FROM read_csv('" + secret + "')", "SELECT * FROM '" + secret + "'", "FROM read_text('" + secret + "')", "SELECT * FROM glob('/*')",
		"SELECT * FROM read_parquet('" + part + "')", "SELECT * FROM read_blob('" + filepath.Join(dir, "_view.duckdb") + "')",
		"SELECT * FROM read_json('s3://bucket/key')", "SELECT * FROM read_csv('https://127.0.0.1:1/x')", "SELECT getenv('HOME')",
		"SELECT * FROM sniff_csv('" + secret + "')", "SELECT * FROM parquet_metadata('" + part + "')",
		"SELECT * FROM query('SELECT * FROM read_csv(''" + secret + "'')')", "SELECT * FROM query_table('" + secret + "')",
		// Writing.
		"COPY shapes.samples TO '" + out + "'", "COPY (SELECT 1) TO '" + out + "'", "EXPORT DATABASE '" + out + "'", "IMPORT DATABASE '" + out + "'",
		"INSERT INTO shapes.samples(digest) VALUES ('x')", "DELETE FROM shapes.samples", "UPDATE shapes.samples SET digest = 'x'", "CREATE TABLE x(i INT)",
		"CREATE TEMP TABLE x(i INT)", "DROP TABLE shapes.samples", "ALTER TABLE shapes.samples RENAME TO x", "TRUNCATE shapes.samples", "CREATE MACRO f() AS 1",
		"WITH x AS (SELECT 1) INSERT INTO shapes.samples(digest) SELECT 'x'", "EXPLAIN ANALYZE DELETE FROM shapes.samples",
		"EXPLAIN ANALYZE COPY (SELECT 1) TO '" + out + "'",
		// Leaving the instance.
		"ATTACH '" + filepath.Join(dir, "_view.duckdb") + "' AS v", "ATTACH ':memory:' AS m", "DETACH shapes", "USE shapes", "INSTALL httpfs", "LOAD httpfs", "LOAD '" + out + "'",
		"CREATE SECRET (TYPE s3)", "CALL pragma_version()", "CHECKPOINT", "VACUUM", "BEGIN", "COMMIT", "PREPARE p AS SELECT 1", "EXECUTE p", "ANALYZE",
		// Changing it.
		"SET memory_limit = '10GB'", "SET threads = 8", "SET enable_external_access = true", "SET lock_configuration = false", "RESET memory_limit",
		"SET VARIABLE x = 1", "SET search_path = 'shapes'", "SET GLOBAL allow_unsigned_extensions = true",
		"PRAGMA memory_limit = '10GB'", "PRAGMA database_list", "PRAGMA enable_profiling", "PRAGMA profiling_output = '" + out + "'",
		// Several statements, hidden in several ways.
		"SELECT 1; DROP TABLE shapes.samples", "SELECT 1; SELECT 2", "SELECT 1); DROP TABLE shapes.samples; SELECT (1", "SELECT 1 /* ; */ ; /* x */ DELETE FROM shapes.samples",
		"SELECT ';' ; SET threads = 2", "SELECT $$;$$; SET threads = 2", "SELECT $a$ $$ ; $a$; SET threads = 2", `SELECT E'\'; ' ; SET threads = 2`,
		"SELECT 1 -- ;\n; SET threads = 2", "SELECT 1 /* /* */ ; */; SET threads = 2", `SELECT 1 AS ";"; SET threads = 2`,
		// Not SQL at all.
		"", " ;; ", "-- only this", "hello", "SELECT", "\x00", "SELECT '\xff'", "(", ")", "SELECT 1) LIMIT 1 --",
	} {
		refused(t, v, query)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
	for _, setting := range []string{"enable_external_access|false", "lock_configuration|true", "autoload_known_extensions|false", "autoinstall_known_extensions|false", "threads|1", "access_mode|read_only"} {
		name, want, _ := strings.Cut(setting, "|")
		a, err := v.Query(t.Context(), "SELECT current_setting('"+name+"')::VARCHAR", 0, 0)
		if err != nil || a.Rows[0][0] != want {
			t.Errorf("%s is %v: %v", name, a.Rows, err)
		}
	}
	// And after all that it still answers.
	if a, err := v.Query(t.Context(), "SELECT count(*) FROM shapes.samples;", 0, 0); err != nil || fmt.Sprint(a.Rows) != "[[1]]" {
		t.Errorf("%v: %v", a.Rows, err)
	}
}

// Every form of a query is answered.
func TestForms(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1}, 1, 0, 0, loop.Absent)))
	v := w.run(t.TempDir()).latest(w)
	for query, want := range map[string]string{
		`SELECT "select", glove_colour FROM shapes.samples`:          "[[🙂 absent]]",
		"select 1 as a, 2 as a -- the same name":                     "[[1 2]]",
		" /* first */ WITH x AS (SELECT 1) FROM x;  ":                "[[1]]",
		"FROM shapes.samples SELECT split":                           "[[train]]",
		"VALUES (1), (2)":                                            "[[1] [2]]",
		"TABLE rounds":                                               "[]",
		"(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 DESC":            "[[2] [1]]",
		"SELECT i FROM range(5) t(i) ORDER BY i DESC LIMIT 3":        "[[4] [3] [2]]",
		"SELECT ';' || $$a;b$$ -- ; not the end":                     "[[;a;b]]",
		`SELECT E'it\'s;'`:                                           "[[it's;]]",
		"SELECT column_name FROM (DESCRIBE rounds) LIMIT 1":          "[[campaign]]",
		"SELECT list_transform([1, 2], lambda x: x + 1)":             "[[[2 3]]]",
		"SELECT version, schema FROM spaces":                         "[[1 shapes]]",
		"UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b":                    "[[a 1] [b 2]]",
		"PIVOT (SELECT 'x' AS k, 3 AS v) ON k IN ('x') USING sum(v)": "[[3]]",
		"SELECT 1 WHERE false":                                       "[]",
	} {
		a, err := v.Query(t.Context(), query, 0, 0)
		if err != nil || fmt.Sprint(a.Rows) != want {
			t.Errorf("%s: %v, want %s: %v", query, a.Rows, want, err)
		}
	}
	for _, query := range []string{"DESCRIBE shapes.samples", "SHOW TABLES", "SHOW ALL TABLES", "SUMMARIZE shapes.samples", "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1"} {
		a, err := v.Query(t.Context(), query, 0, 0)
		if err != nil || len(a.Rows) == 0 || len(a.Columns) != len(a.Rows[0]) {
			t.Errorf("%s: %d rows: %v", query, len(a.Rows), err)
		}
	}
}

// Mistakes are told in DuckDB's words about the text as it was written.
func TestMistakes(t *testing.T) {
	w := newWorld(t)
	w.addSpace(shapes())
	v := w.run(t.TempDir()).latest(w)
	for query, want := range map[string]string{
		"SELECT * FROM shapes.sampels":                "samples",
		"SELECT\n 1 +\n FROM":                         "LINE 3",
		"SELECT nothing FROM rounds":                  "LINE 1: SELECT nothing FROM rounds",
		"SELECT 'x'::INTEGER":                         "Conversion Error",
		"SELECT error('mine')":                        "mine",
		"DELETE FROM rounds":                          "only queries are answered",
		"SELECT 1; SELECT 2":                          "several statements",
		"SELECT repeat('x', 1000000000000)":           "",
		"SELECT list(i) FROM range(10000000000) t(i)": "",
	} {
		if got := refused(t, v, query); got.Field != "query" || !strings.Contains(got.Problem, want) || strings.Contains(got.Problem, "LIMIT 10001") {
			t.Errorf("%s: %+v", query, got)
		}
	}
	if _, err := v.Query(t.Context(), "SELECT 1", 0, 0); err != nil {
		t.Errorf("after all mistakes: %v", err)
	}
}

// A query that runs away is stopped, by its time or by its caller, and so is
// one that wants too much memory or disk; others go on.
func TestRunaway(t *testing.T) {
	w := newWorld(t)
	w.addSpace(shapes())
	v := w.run(t.TempDir(), func(o *Options) {
		o.Queries.Time, o.Queries.Memory, o.Queries.Disk = 400*time.Millisecond, 64<<20, 16<<20
	}).latest(w)
	endless := "SELECT count(*) FROM range(1000000000000) a, range(1000) b"
	for _, query := range []string{
		endless,
		"WITH RECURSIVE t AS (SELECT 1 x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
		// What DuckDB would not interrupt, for it is one expression.
		"SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
	} {
		begin := time.Now()
		if got := refused(t, v, query); !strings.Contains(got.Problem, "longer than 400ms") {
			t.Errorf("%s: %+v", query, got)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s was stopped after %v", query, took)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := v.Query(ctx, endless, 0, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	// What its settings would not bound: 8 GB in one value.
	refused(t, v, "SELECT list_sum(range(1000000000))")
	refused(t, v, "SELECT DISTINCT hash(a.i, b.i) FROM range(100000) a(i), range(100000) b(i) ORDER BY ALL")
	v.o.Queries.Time = time.Minute // a busy machine must not fail the last one
	if a, err := v.Query(t.Context(), "SELECT 42", 0, 0); err != nil || fmt.Sprint(a.Rows) != "[[42]]" {
		t.Errorf("%v: %v", a, err)
	}
}

// A query's process does not outlive whoever asked.
func TestOrphan(t *testing.T) {
	w := newWorld(t)
	w.addSpace(shapes())
	v := w.run(t.TempDir()).latest(w)
	if _, err := v.Query(t.Context(), "SELECT 1", 1, 0); err != nil {
		t.Fatal(err)
	}
	program, err := self()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program)
	child.Env = []string{childEnv + "=1"}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	endless := request{Path: v.analyst.followers[0].path, Text: "SELECT count(*) FROM range(1000000000000) a, range(1000) b", First: "select", Limit: 1, Limits: v.o.Queries}
	if err := json.NewEncoder(stdin).Encode(endless); err != nil {
		t.Fatal(err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); child.ProcessState.ExitCode() != 3 {
		t.Errorf("%v", err)
	}
}

// An answer has no more bytes than allowed.
func TestBytes(t *testing.T) {
	w := newWorld(t)
	w.addSpace(shapes())
	v := w.run(t.TempDir(), func(o *Options) { o.Queries.Bytes = 100_000 }).latest(w)
	if got := refused(t, v, "SELECT repeat('x', 1000) FROM range(200)"); !strings.Contains(got.Problem, "100000 bytes") {
		t.Errorf("%+v", got)
	}
	if a, err := v.Query(t.Context(), "SELECT repeat('x', 900) FROM range(100)", 0, 0); err != nil || len(a.Rows) != 100 {
		t.Errorf("%d rows: %v", len(a.Rows), err)
	}
}

// The copies follow the view: an answer has seen what was asked for, a query
// that runs keeps its copy, and queries at once never mix up.
func TestCopiesFollow(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	v := w.run(t.TempDir(), func(o *Options) { o.Queries.AtOnce = 4; o.Queries.Lag = time.Hour })
	for i := range uint64(6) {
		at := w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1, Index: i}, 0, 0, 0, loop.Absent)))
		a, err := v.Query(t.Context(), "SELECT count(*) FROM shapes.samples", at, 0)
		if err != nil || a.Sequence < at || fmt.Sprint(a.Rows) != fmt.Sprintf("[[%d]]", i+1) {
			t.Fatalf("at %d: %+v: %v", at, a, err)
		}
	}
	// Without a sequence a copy within the lag will do.
	w.add(loop.Change{Void: &loop.Void{Reference: 2, Rows: []uint32{0}}})
	v.latest(w)
	if a, err := v.Query(t.Context(), "SELECT count(*) FROM shapes.samples", 0, 0); err != nil || a.Sequence != 7 || fmt.Sprint(a.Rows) != "[[6]]" {
		t.Errorf("%+v: %v", a, err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				at := w.add(loop.Change{Space: s})
				a, err := v.Query(t.Context(), "SELECT count(*), (SELECT count(*) FROM spaces) FROM shapes.samples, range(30000)", at, 0)
				if err != nil || a.Sequence < at || fmt.Sprint(a.Rows) != fmt.Sprintf("[[%d %d]]", 5*30000, a.Sequence-7) {
					t.Errorf("at %d: %+v: %v", at, a, err)
				}
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := v.Query(ctx, "SELECT 1", 1_000_000, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of the future: %v", err)
	}
}

// A damaged copy is built again; one that failed from within is left.
func TestCopiesAreRebuilt(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: 1}, 0, 0, 0, loop.Absent)))
	dir := t.TempDir()
	ask := func(v *running, at uint64) {
		t.Helper()
		if a, err := v.Query(t.Context(), "SELECT count(*) FROM shapes.samples", at, 0); err != nil || fmt.Sprint(a.Rows) != "[[1]]" {
			t.Errorf("%+v: %v", a, err)
		}
	}
	v := w.run(dir).latest(w)
	ask(v, 2)
	v.stop()
	for _, name := range []string{"_copy0.duckdb", "_copy1.duckdb"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v = w.run(dir).latest(w)
	ask(v, 2)
	ask(v, w.add(loop.Change{Space: s}))
	v.analyst.mu.Lock()
	r := v.analyst.current
	r.users++
	v.analyst.mu.Unlock()
	v.analyst.distrust(r)
	ask(v, 3) // on the other file, while the first is still in use
	v.analyst.release(r)
	ask(v, w.add(loop.Change{Space: s}))
	ask(v, w.add(loop.Change{Space: s}))
}

// Every type of value comes out as JSON that says what it is.
func TestValues(t *testing.T) {
	w := newWorld(t)
	w.addSpace(shapes())
	v := w.run(t.TempDir()).latest(w)
	for _, c := range []struct{ sql, kind, want string }{
		{"NULL", "", `null`},
		{"true", "BOOLEAN", `true`},
		{"(-128)::TINYINT", "TINYINT", `-128`},
		{"9223372036854775807", "BIGINT", `9223372036854775807`},
		{"18446744073709551615::UBIGINT", "UBIGINT", `18446744073709551615`},
		{"sum(1)", "HUGEINT", `1`},
		{"18446744073709551615::HUGEINT", "HUGEINT", `18446744073709551615`},
		{"170141183460469231731687303715884105727::HUGEINT", "HUGEINT", `"170141183460469231731687303715884105727"`},
		{"0.1::FLOAT", "FLOAT", `0.1`},
		{"0.1::DOUBLE", "DOUBLE", `0.1`},
		{"1e300::DOUBLE", "DOUBLE", `1e+300`},
		{"'nan'::DOUBLE", "DOUBLE", `"NaN"`},
		{"'-inf'::DOUBLE", "DOUBLE", `"-Infinity"`},
		{"'inf'::FLOAT", "FLOAT", `"Infinity"`},
		{"12345.6700::DECIMAL(18,4)", "DECIMAL(18,4)", `12345.67`},
		{"-0.05::DECIMAL(4,2)", "DECIMAL(4,2)", `-0.05`},
		{"'it''s 🙂 \"x\"'", "VARCHAR", `"it's 🙂 \"x\""`},
		{"'a'::ENUM('a', 'b')", "ENUM", `"a"`},
		{"'2024-02-29'::DATE", "DATE", `"2024-02-29"`},
		{"'2024-02-29 12:34:56.789'::TIMESTAMP", "TIMESTAMP", `"2024-02-29T12:34:56.789Z"`},
		{"'2024-02-29 12:34:56+02'::TIMESTAMPTZ", "TIMESTAMPTZ", `"2024-02-29T10:34:56Z"`},
		{"'12:34:56.5'::TIME", "TIME", `"12:34:56.5"`},
		{"INTERVAL '14 months 3 days 1.5 seconds'", "INTERVAL", `"P14M3DT1.5S"`},
		{"INTERVAL '10 seconds'", "INTERVAL", `"PT10S"`},
		{"INTERVAL '0 days'", "INTERVAL", `"PT0S"`},
		{"'123e4567-e89b-12d3-a456-426614174000'::UUID", "UUID", `"123e4567-e89b-12d3-a456-426614174000"`},
		{"'\\xff\\x00'::BLOB", "BLOB", `"/wA="`},
		{"'0101'::BIT", "BIT", `"0101"`},
		{"[1, NULL, 3]", "INTEGER[]", `[1,null,3]`},
		{"[[1.5::DOUBLE], ['nan'::DOUBLE]]", "DOUBLE[][]", `[[1.5],["NaN"]]`},
		{"['2024-02-29'::DATE]", "DATE[]", `["2024-02-29"]`},
		{"[1, 2]::INTEGER[2]", "INTEGER[2]", `[1,2]`},
		{"{'a': 1, 'b': {'c': 'x'}}", "", `{"a":1,"b":{"c":"x"}}`},
		{"MAP {'k': 1, 'l': 2}", "MAP(VARCHAR, INTEGER)", `{"k":1,"l":2}`},
		{"MAP {1: 'x'}", "MAP(INTEGER, VARCHAR)", `[{"key":1,"value":"x"}]`},
		{"MAP {}", "", `{}`},
		{"'{\"a\": [1, 2.5, null]}'::JSON", "JSON", `{"a":[1,2.5,null]}`},
		{"union_value(n := 5)", "", `5`},
	} {
		a, err := v.Query(t.Context(), "SELECT "+c.sql+" AS x", 0, 0)
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		got, err := json.Marshal(a.Rows[0][0])
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s (%T), want %s: %v", c.sql, got, a.Rows[0][0], c.want, err)
		}
		if a.Columns[0].Name != "x" || c.kind != "" && a.Columns[0].Type != c.kind {
			t.Errorf("%s: column %+v, want %s", c.sql, a.Columns[0], c.kind)
		}
	}
}

// No more rows are returned than asked for, or allowed, and it is said.
func TestLimit(t *testing.T) {
	w := newWorld(t)
	w.addSpace(shapes())
	v := w.run(t.TempDir(), func(o *Options) { o.Queries.Rows = 100 }).latest(w)
	for _, c := range []struct {
		query       string
		limit, rows int
		truncated   bool
	}{
		{"FROM range(1000)", 0, 100, true}, {"FROM range(100)", 0, 100, false}, {"FROM range(1000)", 7, 7, true}, {"FROM range(7)", 7, 7, false},
		{"FROM range(1000)", 1_000_000, 100, true}, {"FROM range(1000) LIMIT 5", 7, 5, false}, {"FROM range(10000000000)", 0, 100, true},
		{"DESCRIBE shapes.samples", 3, 3, true},
	} {
		a, err := v.Query(t.Context(), c.query, 0, c.limit)
		if err != nil || len(a.Rows) != c.rows || a.Truncated != c.truncated {
			t.Errorf("%s, limit %d: %d rows, truncated %v: %v", c.query, c.limit, len(a.Rows), a.Truncated, err)
		}
	}
}

// FuzzStatement holds what counts as one statement against DuckDB's own count:
// where we say one, wrapping it is one, too, and nothing crashes.
func FuzzStatement(f *testing.F) {
	for _, seed := range []string{"SELECT 1", "SELECT 1;", "SELECT ';'; ", "select $$;$$", "select $a$;$b$;$a$", `select e'\';'`, "/* /* ; */ */ select 1 -- ;", `select "a;b"`,
		"from x", "SELECT 1); SELECT (1", "select 'a''b;c'", "(select 1)", "select 1 /*", "select $1", "select a$b$c;d$b$", "U&'\\0041'", "select 'a' 'b;'", "\u00a0select 1", "select x'41;'", "{}", "select $é$;$é$"} {
		f.Add(seed)
	}
	db, err := openDB("", "enable_external_access=false&lock_configuration=true&memory_limit=100MiB&threads=1")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseStatement(text)
		if err != nil {
			return
		}
		for _, sql := range []string{s.text, s.limited(1)} {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = conn.Raw(func(raw any) error {
				// Prepare refuses several statements without running any.
				prepared, err := raw.(interface {
					Prepare(string) (driver.Stmt, error)
				}).Prepare(sql)
				if err == nil {
					err = prepared.Close()
				}
				return err
			})
			if err != nil && strings.Contains(err.Error(), "missing context for multi-statement") {
				t.Errorf("%q became several statements", sql)
			}
			_ = conn.Close()
		}
	})
}
