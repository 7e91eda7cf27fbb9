//go:build duckdb_arrow && cgo

package analytics

import (
	"bytes"
	"compress/gzip"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/loop"
)

// translate writes a file's rows and returns them, or the error.
func translate(t *testing.T, tr Translation) (lines []string, rows int64, err error) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "rows.ndjson")
	tr.Space = shapes()
	tr.Metrics = []loop.Metric{{Name: "iou", Better: loop.Higher}}
	rows, err = tr.Write(t.Context(), to)
	if err != nil {
		return nil, rows, err
	}
	text, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), rows, nil
}

func csvFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every value of a CSV file is taken as it stands, but for numbers, truth and null.
// What is no number where one belongs stays as it is, for the server to name.
func TestTranslateCSV(t *testing.T) {
	text := "example,select,size,glove,correct,loss,iou,notes\n" +
		"007,\"it's \"\"low\"\"\",1.25,yes,true,0.5,1,x\n" +
		"\"a\nb, c\",🙂,,no,0,,,\n" +
		"c,,small,,maybe,NaN,1e999,y\n" +
		"d,null,1e1,absent,FALSE,-2,inf,z\n"
	want := []string{
		`{"example":"007","correct":true,"loss":0.5,"iou":1.0,"scenario":{"select":"it's \"low\"","size":1.25,"glove":"yes"}}`,
		`{"example":"a\nb, c","correct":false,"loss":null,"iou":null,"scenario":{"select":"🙂","size":null,"glove":"no"}}`,
		`{"example":"c","correct":"maybe","loss":"NaN","iou":"1e999","scenario":{"select":null,"size":"small","glove":null}}`,
		`{"example":"d","correct":false,"loss":-2.0,"iou":"inf","scenario":{"select":"null","size":10.0,"glove":"absent"}}`,
	}
	// What looks like a pattern, or like settings, is a name like any other.
	for _, name := range []string{"rows.csv", "a [b]*?c.csv", "it's#1.csv"} {
		got, rows, err := translate(t, Translation{Path: csvFile(t, name, text), Ignore: []string{"notes"}})
		if err != nil || rows != 4 {
			t.Fatalf("%s: %d rows, %v", name, rows, err)
		}
		equalLines(t, name, got, want)
	}
	windows, _, err := translate(t, Translation{Path: csvFile(t, "windows.csv", "\xef\xbb\xbf"+strings.ReplaceAll(text, "\n", "\r\n")), Ignore: []string{"notes"}})
	if err != nil {
		t.Fatal(err)
	}
	want[1] = strings.Replace(want[1], `a\n`, `a\r\n`, 1)
	equalLines(t, "as Windows writes it", windows, want)
	got, _, err := translate(t, Translation{Path: csvFile(t, "rows.tsv", "sample\tgroup\torigin\turi\tcorrect\nsha256:1\tg\tsynthetic\t/a.png\t1\n")})
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte("sample;group;origin;uri;correct\r\nsha256:1;g;synthetic;/a.png;1"))
	z.Close()
	again, _, err := translate(t, Translation{Path: csvFile(t, "rows.csv.gz", zipped.String())})
	if err != nil {
		t.Fatal(err)
	}
	equalLines(t, "semicolons, compressed", again, got)
	equalLines(t, "tabs", got, []string{`{"sample":"sha256:1","group":"g","origin":"synthetic","uri":"/a.png","correct":true}`})
}

func TestTranslateParquet(t *testing.T) {
	w := newWorld(t)
	object := w.parquet([]string{"example BIGINT", `"select" VARCHAR`, "size FLOAT", "glove DOUBLE", "correct BOOLEAN", "loss DECIMAL(9,3)", "iou DOUBLE", "day DATE"},
		[][]driver.Value{
			{int64(7), `it's "low"`, float32(.5), 2.0, true, nil, .25, nil},
			{int64(8), nil, nil, nil, nil, nil, nil, nil},
			{int64(9), "🙂", float32(3), 2.5, false, nil, -1e-300, nil},
		})
	got, rows, err := translate(t, Translation{Path: filepath.Join(w.dir, object.Key), Parquet: true, Ignore: []string{"day"}})
	if err != nil || rows != 3 {
		t.Fatal(rows, err)
	}
	equalLines(t, "parquet", got, []string{
		`{"example":"7","correct":true,"loss":null,"iou":0.25,"scenario":{"select":"it's \"low\"","size":0.5,"glove":"2"}}`,
		`{"example":"8","correct":null,"loss":null,"iou":null,"scenario":{"select":null,"size":null,"glove":null}}`,
		`{"example":"9","correct":false,"loss":null,"iou":-1e-300,"scenario":{"select":"🙂","size":3.0,"glove":"2.5"}}`,
	})
}

// Rows keep their order over many of DuckDB's batches: mistakes are named by it.
func TestTranslateOrder(t *testing.T) {
	var text strings.Builder
	text.WriteString("example,correct\n")
	const n = 400_000
	for i := range n {
		fmt.Fprintf(&text, "e%d,1\n", i)
	}
	got, rows, err := translate(t, Translation{Path: csvFile(t, "rows.csv", text.String())})
	if err != nil || rows != n || len(got) != n {
		t.Fatal(rows, len(got), err)
	}
	for i, line := range got {
		if line != fmt.Sprintf(`{"example":"e%d","correct":true}`, i) {
			t.Fatalf("row %d is %s", i, line)
		}
	}
}

func TestTranslateRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		parquet          bool
	}{
		{"near.csv", "example,correct,gloves,iuo,path\na,1,2,3,4\n", `called "gloves" (did you mean "glove"?), "iuo" (did you mean "iou"?), "path" (leave them out with --ignore gloves,iuo,path)`, false},
		{"nothing.csv", "", "the file is empty", false},
		{"ragged.csv", "example,correct\na,1\nb,1,2,3\n", "line: 3", false},
		{"short.csv", "example,correct,loss\na,1,2\nb\nc,1,2\n", "line: 3", false},
		{"comment.csv", "# made by hand\nexample,correct,loss\na,1,2\n", "", false},
		{"quote.csv", "example,correct\n\"a,1\nb,1\n", "", false},
		{"not.parquet", "PAR2 and no more", "parquet", true},
		{"latin.csv", "example,correct\n\xe9t\xe9,1\n", "", false},
	} {
		path := csvFile(t, c.name, c.text)
		lines, _, err := translate(t, Translation{Path: path, Parquet: c.parquet})
		refusal, ok := errors.AsType[*loop.Error](err)
		if !ok || refusal.Field != path || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) || strings.Contains(err.Error(), "hone-rows-") || strings.Contains(err.Error(), "SELECT") {
			t.Errorf("%s: %v (%v)", c.name, err, lines)
		}
		t.Log(err)
	}
	if _, _, err := translate(t, Translation{Path: filepath.Join(t.TempDir(), "none.csv")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
