package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"hone/api"
)

// Rows come in order, each once, however often the connection breaks; one that
// breaks without a row, or says nonsense, ends them.
func TestRows(t *testing.T) {
	const n = 25
	row := func(i int) string { return fmt.Sprintf(`{"index":%d,"scenario":{"light":"low","x":%d.5}}`, i, i) }
	for name, c := range map[string]struct {
		// serve is what stands where row i should, and whether the download ends there.
		serve func(i, request int) (line string, end bool)
		from  int64
		want  int
		err   string
	}{
		"whole":               {func(i, _ int) (string, bool) { return row(i) + "\n", false }, 0, n, ""},
		"from the middle":     {func(i, _ int) (string, bool) { return row(i) + "\n", false }, 20, 5, ""},
		"from the end":        {func(i, _ int) (string, bool) { return row(i) + "\n", false }, n, 0, ""},
		"broken at every 4th": {func(i, _ int) (string, bool) { return row(i) + "\n", i%4 == 3 }, 0, n, ""},
		"broken within a row": {func(i, r int) (string, bool) {
			if r == 1 && i == 6 {
				return row(i)[:12], true
			}
			return row(i) + "\n", false
		}, 0, n, ""},
		"broken without a row": {func(i, _ int) (string, bool) {
			if i == 7 {
				return "", true
			}
			return row(i) + "\n", false
		}, 0, 7, "unexpected EOF"},
		"nonsense": {func(i, _ int) (string, bool) {
			return strings.Replace(row(i), `"index":9`, `"index":nine`, 1) + "\n", false
		}, 0, 9, "invalid character"},
		"endless": {func(i, _ int) (string, bool) {
			return row(i)[:1] + strings.Repeat(" ", 2<<20) + row(i)[1:] + "\n", false
		}, 0, 0, "more than"},
	} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			from, _ := strconv.Atoi(r.URL.Query().Get("from"))
			_ = json.NewEncoder(w).Encode(api.RowsHeader{Hone: api.RowsFormat, Samples: n, Space: "lab@1"})
			for i := from; i < n; i++ {
				line, end := c.serve(i, requests)
				fmt.Fprint(w, line)
				if end {
					return
				}
			}
		}))
		client := api.New(server.URL)
		client.Patience = 0
		header, rows, err := client.Rows(t.Context(), "d", 1, c.from)
		if err != nil || header.Space != "lab@1" {
			t.Fatalf("%s: %v, %+v", name, err, header)
		}
		got := 0
		var last error
		for r, err := range rows {
			if last = err; err != nil {
				break
			}
			if i := int(c.from) + got; r.Index != uint64(i) || r.Scenario["x"] != float64(i)+.5 {
				t.Errorf("%s: row %d is %+v", name, i, r)
			}
			got++
		}
		if got != c.want || (last == nil) != (c.err == "") || last != nil && !strings.Contains(last.Error(), c.err) {
			t.Errorf("%s: %d rows and %v, want %d and %q", name, got, last, c.want, c.err)
		}
		server.Close()
	}
}

func TestRowsOfAnotherFormat(t *testing.T) {
	for _, line := range []string{`{"hone":"rows/9"}`, "[]", "", "{"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, line) }))
		client := api.New(server.URL)
		client.Patience = 0
		if _, _, err := client.Rows(t.Context(), "d", 1, 0); err == nil || !strings.HasPrefix(err.Error(), "rows of d@1: ") {
			t.Errorf("%q: %v", line, err)
		}
		server.Close()
	}
}
