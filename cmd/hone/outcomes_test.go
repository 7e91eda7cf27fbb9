package main

import (
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hone/api"
)

const partsSpace = `
name: parts
factors:
  - name: select
    kind: categorical
    levels: {"it's \"low\"": 0.5, "🙂": 0.5}
  - name: distance
    kind: numeric
    edges: [0, 5, 10]
tasks:
  - name: detect
    metrics:
      - {name: iou, better: higher, fail: 0.5}
      - {name: error_mm, unit: mm, better: lower, fail: 5}
derived:
  - name: visible
    levels: ["no", "yes"]
    rules:
      - {when: {distance: "[5,10)"}, level: "no"}
    otherwise: "yes"
`

// TestOutcomesOfTables: CSV and Parquet files go through a real server, and are
// found there as they were written; what cannot be is named by row and column.
func TestOutcomesOfTables(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	c.start("server")
	c.put([]byte(partsSpace), nil, nil)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) (int, string, string) {
		return hone(t, "", append(args, "--server", c.server, "--output", "json")...)
	}
	push := func(path string, more ...string) (api.Posted, string) {
		code, stdout, stderr := run(append([]string{"outcomes", "push", path, "--space", "parts", "--model", "detector@7"}, more...)...)
		var posted api.Posted
		if code == 0 {
			if err := json.Unmarshal([]byte(stdout), &posted); err != nil {
				t.Fatal(err, stdout)
			}
		}
		return posted, stderr
	}
	table := "example,select,distance,iou,error_mm,path\n" +
		"001,\"it's \"\"low\"\"\",2.5,0.75,,a.png\n" +
		"002,🙂,,0.25,1,b.png\n" +
		"003,,7,,6,c.png\n" +
		"004,🙂,9.5,0.5,5,d.png\n"
	csv := write("evals.csv", table)
	if posted, stderr := push(csv, "--ignore", "path", "--key", "k"); posted.Accepted != 4 {
		t.Fatalf("got %+v: %s", posted, stderr)
	}
	if posted, stderr := push(csv, "--ignore", "path", "--key", "k"); posted.Accepted != 0 || posted.DuplicateOf == 0 {
		t.Errorf("once more: %+v: %s", posted, stderr)
	}
	for _, wrong := range []struct{ text, want string }{
		{table, `"path" (leave them out with --ignore path)`},
		{strings.ReplaceAll(strings.ReplaceAll(table, ",path", ",correct"), "b.png", "true"), `row 1, column correct: "a.png" is not true or false`},
		{strings.ReplaceAll(table, "🙂,,", "🙁,,"), "row 2, column select"},
		{"example,iou,correct\na,0.1,true\n", "row 1, column correct: true, but iou=0.1 fails, being below 0.5"},
		{"example,iou,error_mm\na,NaN,1\n", `row 1, column iou: "NaN" is not a number`},
	} {
		ignore := "path"
		if wrong.want == `"path" (leave them out with --ignore path)` {
			ignore = "nothing"
		}
		if _, stderr := push(write("wrong.csv", wrong.text), "--ignore", ignore); !strings.Contains(stderr, wrong.want) {
			t.Errorf("%q:\n%s\nwant %s", wrong.text, stderr, wrong.want)
		}
	}
	if _, stderr := push(csv, "--ignore", "path", "--task", "detekt"); !strings.Contains(stderr, `did you mean "detect"?`) {
		t.Errorf("another task: %s", stderr)
	}

	// What the server made of it comes back as a table, and is pushed again.
	code, stdout, stderr := run("sql", `select example, "select"::varchar s, distance, visible::varchar v, correct, iou, error_mm, task from parts.outcomes order by example`)
	want := `{"example":"001","s":"it's \"low\"","distance":2.5,"v":"yes","correct":true,"iou":0.75,"error_mm":null,"task":"detect"},` +
		`{"example":"002","s":"🙂","distance":null,"v":null,"correct":false,"iou":0.25,"error_mm":1,"task":"detect"},` +
		`{"example":"003","s":null,"distance":7,"v":"no","correct":false,"iou":null,"error_mm":6,"task":"detect"},` +
		`{"example":"004","s":"🙂","distance":9.5,"v":"no","correct":true,"iou":0.5,"error_mm":5,"task":"detect"}`
	if got := strings.NewReplacer("\n", "", "  {", "{", "[", "", "]", "").Replace(stdout); code != 0 || got != want {
		t.Errorf("got\n%s\nwant\n%s\n%s", got, want, stderr)
	}
	parquet := filepath.Join(dir, "evals.parquet")
	copyTable(t, "select * exclude (path), path as uri from read_csv('"+csv+"', types = {'example': 'VARCHAR'})", parquet)
	if posted, stderr := push(parquet, "--task", "detect", "--eval-set", "field@3", "--run", "r"); posted.Accepted != 4 {
		t.Errorf("parquet: %+v: %s", posted, stderr)
	}
	zipped := filepath.Join(dir, "evals.csv.gz")
	f, err := os.Create(zipped)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	io.WriteString(z, table)
	z.Close()
	f.Close()
	if posted, stderr := push(zipped, "--ignore", "path"); posted.Accepted != 4 {
		t.Errorf("compressed: %+v: %s", posted, stderr)
	}
	if code, _, stderr := hone(t, table, "outcomes", "push", "-", "--format", "csv", "--ignore", "path", "--space", "parts", "--model", "detector@8", "--server", c.server); code != 0 {
		t.Errorf("stdin: %s", stderr)
	}

	code, stdout, stderr = run("outcomes", "show", "detector@7", "--space", "parts", "--eval-set", "field")
	shown := `{"model":"detector@7","rows":4,"failures":2,"rate":0.5,"uris":4,"factors":[` +
		`{"factor":"select","known":3,"absent":0,"unknown":1,"known_rate":0.3333333333333333,"unknown_rate":1},` +
		`{"factor":"distance","known":3,"absent":0,"unknown":1,"known_rate":0.3333333333333333,"unknown_rate":1}],"metrics":[` +
		`{"metric":"iou","measured":3,"mean":0.5,"failures":1},{"metric":"error_mm","unit":"mm","measured":3,"mean":4,"failures":1}],"sequence":`
	if code != 0 || !strings.HasPrefix(stdout, shown) {
		t.Errorf("show: %d\n%s\nwant\n%s\n%s", code, stdout, shown, stderr)
	}
	if code, _, stderr := run("outcomes", "show", "detector@9", "--space", "parts"); code != exitNotFound || !strings.Contains(stderr, "no such outcome of detector@9") {
		t.Errorf("show of nothing: %d %s", code, stderr)
	}
	code, stdout, _ = hone(t, "", "outcomes", "show", "detector@7", "--space", "parts", "--server", c.server)
	if code != 0 || !strings.HasPrefix(stdout, "detector@7: 12 outcomes, 6 failed (50.0%); 4 with a uri\n\nfactor") {
		t.Errorf("show: %d %s", code, stdout)
	}

	// A second version takes a name over, and adds a metric: old rows do not know it.
	second := strings.NewReplacer("distance", "range", "name: iou", "name: distance").Replace(partsSpace)
	c.put([]byte(second), nil, nil)
	posted, stderr := push(write("second.csv", "example,range,distance\na,7,0.25\n"))
	if posted.Accepted != 1 {
		t.Fatal(stderr)
	}
	code, stdout, stderr = run("sql", "--at-least", fmt.Sprint(posted.Sequence), "select range, distance, distance_2, iou, visible::varchar v, count(*) n from parts.outcomes group by all order by all limit 3")
	want = `{"range":7,"distance":0.25,"distance_2":null,"iou":null,"v":"no","n":1},` +
		`{"range":null,"distance":null,"distance_2":2.5,"iou":0.75,"v":null,"n":4},{"range":null,"distance":null,"distance_2":7,"iou":null,"v":null,"n":4}`
	if got := strings.NewReplacer("\n", "", "  {", "{", "[", "", "]", "").Replace(stdout); code != 0 || got != want {
		t.Errorf("version 2: got\n%s\nwant\n%s\n%s", got, want, stderr)
	}
	c.check()
}

// copyTable writes a table as Parquet.
func copyTable(t *testing.T, query, path string) {
	t.Helper()
	db, err := sql.Open("duckdb", "") // the driver comes with analytics
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("COPY (" + query + ") TO '" + path + "' (FORMAT parquet)"); err != nil {
		t.Fatal(err)
	}
}

// TestPieces: a long file is posted in pieces under keys of their own, always the
// same, and what has failed says what counts.
func TestPieces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.ndjson")
	var text strings.Builder
	for i := range 10 {
		fmt.Fprintf(&text, `{"example":"e%d"}`+"\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	type seen struct{ key, body string }
	push := func(t *testing.T, o api.OutcomesOptions, rows, bytes int64, fails int) ([]seen, api.Posted, error) {
		s := newService(t)
		var got []seen
		s.mux.HandleFunc("POST /v1/outcomes", func(w http.ResponseWriter, r *http.Request) {
			got = append(got, seen{r.Header.Get("Idempotency-Key"), string(s.body)})
			if len(got) == fails {
				w.Header().Set("Content-Type", api.ProblemType)
				w.WriteHeader(422)
				json.NewEncoder(w).Encode(api.NewProblem(422, "nothing of the post was counted: 1 mistake", api.Mistake{Location: "row 2", Message: "wrong"}))
				return
			}
			json.NewEncoder(w).Encode(api.Posted{Accepted: int64(strings.Count(string(s.body), "\n")), Sequence: uint64(len(got))})
		})
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o.Space, o.Model, o.ContentType = "s", "m@1", api.NDJSON
		p := pieces{client: api.New(s.URL), options: o, file: f, name: "evals.csv", total: 10, rows: rows, bytes: bytes, stderr: io.Discard}
		posted, err := p.post(t.Context())
		return got, posted, err
	}
	for name, c := range map[string]struct {
		options     api.OutcomesOptions
		rows, bytes int64
		keys        []string
	}{
		"one":          {api.OutcomesOptions{Key: "k"}, 10, 1 << 20, []string{"k"}},
		"by rows":      {api.OutcomesOptions{Key: "k"}, 4, 1 << 20, []string{"k", "k/2", "k/3"}},
		"even":         {api.OutcomesOptions{Key: "k"}, 5, 1 << 20, []string{"k", "k/2"}},
		"by bytes":     {api.OutcomesOptions{Key: "k"}, 10, 17*4 + 1, []string{"k", "k/2"}},
		"a row each":   {api.OutcomesOptions{Run: "r"}, 10, 1, []string{"", "", "", "", "", "", "", "", "", ""}},
		"run, not key": {api.OutcomesOptions{Run: "r"}, 6, 1 << 20, []string{"", ""}},
	} {
		got, posted, err := push(t, c.options, c.rows, c.bytes, 0)
		all := ""
		for i, s := range got {
			all += s.body
			if i < len(c.keys) && s.key != c.keys[i] {
				t.Errorf("%s: piece %d has key %q, want %q", name, i+1, s.key, c.keys[i])
			}
		}
		if err != nil || len(got) != len(c.keys) || all != text.String() || posted != (api.Posted{Accepted: 10, Sequence: uint64(len(c.keys))}) {
			t.Errorf("%s: %d pieces, want %d; %+v, %v", name, len(got), len(c.keys), posted, err)
		}
	}
	if got, _, err := push(t, api.OutcomesOptions{}, 4, 1<<20, 0); err == nil || len(got) > 0 || !strings.Contains(err.Error(), "--run or a --key") {
		t.Errorf("without run and key: %d pieces, %v", len(got), err)
	}
	_, posted, err := push(t, api.OutcomesOptions{Key: "k"}, 4, 1<<20, 3)
	if err == nil || posted.Accepted != 8 || !strings.Contains(err.Error(), "the piece whose row 1 is row 9 of evals.csv") || !strings.Contains(err.Error(), "row 2: wrong") {
		t.Errorf("the third fails: %+v, %v", posted, err)
	}
}

func TestRowFormat(t *testing.T) {
	for _, c := range []struct{ named, path, start, want string }{
		{"", "a.ndjson", "{", formatNDJSON}, {"", "-", "{", formatNDJSON}, {"", "a", "", formatNDJSON},
		{"", "a.csv", "exam", formatCSV}, {"", "A.CSV.gz", "\x1f\x8b", formatCSV}, {"", "a.tsv", "", formatCSV},
		{"", "a.parquet", "PAR1", formatParquet}, {"", "a", "PAR1", formatParquet}, {"", "a.pq", "", formatParquet},
		{"", "a", "\xFF\xFF\xFF\xFF", formatArrow}, {"", "a.feather", "ARRO", formatArrow},
		{"csv", "a.parquet", "PAR1", formatCSV}, {"ndjson", "a.csv", "", formatNDJSON},
	} {
		if got, err := rowFormat(c.named, c.path, []byte(c.start)); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
	if _, err := rowFormat("xml", "", nil); err == nil {
		t.Error("xml is a format")
	}
}
