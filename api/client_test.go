package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hone/loop"
)

func quick(server string) *Client {
	c := New(server)
	c.Pause = time.Millisecond
	return c
}

// TestRetry is C10 on the client's side: a 503 and a lost connection are sent
// again, with the same body and key; nothing else is.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		name   string
		body   func() io.Reader
		status int // of the first two answers; 0: the connection is cut
		tries  int64
		want   error
	}{
		{"503, bytes", func() io.Reader { return strings.NewReader("rows") }, 503, 3, nil},
		{"503, pipe", func() io.Reader { return io.MultiReader(strings.NewReader("rows")) }, 503, 3, nil},
		{"503, seeked", func() io.Reader {
			r := strings.NewReader("skip rows")
			r.Seek(5, io.SeekStart)
			return r
		}, 503, 3, nil},
		{"cut", func() io.Reader { return strings.NewReader("rows") }, 0, 3, nil},
		{"409", func() io.Reader { return strings.NewReader("rows") }, 409, 1, loop.ErrConflict},
		{"404", func() io.Reader { return strings.NewReader("rows") }, 404, 1, loop.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tries atomic.Int64
			keys := make(chan string, 9)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if string(body) != "rows" {
					t.Errorf("body is %q", body)
				}
				keys <- r.Header.Get("Idempotency-Key")
				switch n := tries.Add(1); {
				case n > 2:
					io.WriteString(w, `{"accepted":4,"sequence":2}`)
				case c.status == 0:
					panic(http.ErrAbortHandler)
				default:
					w.WriteHeader(c.status)
				}
			}))
			defer server.Close()
			posted, err := quick(server.URL).PostOutcomes(t.Context(), OutcomesOptions{Space: "s", Model: "m@1"}, c.body())
			if !errors.Is(err, c.want) || c.want == nil && posted != (Posted{Accepted: 4, Sequence: 2}) {
				t.Errorf("got %+v, %v", posted, err)
			}
			if tries.Load() != c.tries {
				t.Errorf("%d tries, want %d", tries.Load(), c.tries)
			}
			first := <-keys
			if first == "" {
				t.Error("the post had no key")
			}
			for range tries.Load() - 1 {
				if again := <-keys; again != first {
					t.Errorf("sent again with key %q, not %q", again, first)
				}
			}
		})
	}
}

func TestUnreached(t *testing.T) {
	c := quick("127.0.0.1:1")
	c.Patience = 0
	_, err := c.Status(t.Context())
	p, ok := errors.AsType[*Problem](err)
	if !ok || !p.Unreached || !errors.Is(err, loop.ErrUnavailable) || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
	c.Patience = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// TestKeyChosen: with a run the body is the key, so the client chooses none.
func TestKeyChosen(t *testing.T) {
	var key string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key = r.Header.Get("Idempotency-Key")
		io.WriteString(w, `{"accepted":1}`)
	}))
	defer server.Close()
	seen := map[string]bool{}
	for _, o := range []OutcomesOptions{{}, {}, {Run: "r"}, {Key: "k"}} {
		if _, err := quick(server.URL).PostOutcomes(t.Context(), o, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		if o.Run != "" && key != "" || o.Key != "" && key != o.Key || o.Run == "" && seen[key] {
			t.Errorf("%+v was sent with key %q", o, key)
		}
		seen[key] = true
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		want                    string
	}{
		{"problem", ProblemType, `{"status":422,"detail":"no","errors":[{"location":"row 2","message":"bad"}]}`, 422, "no\n  row 2: bad"},
		{"proxy", "text/html", "<h1>gone</h1>", 502, "<h1>gone</h1>"},
		{"nothing", "", "", 500, "500 Internal Server Error"},
		{"other JSON", "application/json", `{"error":"x"}`, 400, `{"error":"x"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer server.Close()
			_, err := quick(server.URL).Status(t.Context())
			p, ok := errors.AsType[*Problem](err)
			if !ok || p.Status != c.status || p.Error() != c.want {
				t.Errorf("got %+v, want %d %q", err, c.status, c.want)
			}
		})
	}
}

func TestProblemFrom(t *testing.T) {
	refused := &loop.Error{Field: "light", Problem: "it is dark", Remedy: "switch it on"}
	for _, c := range []struct {
		err    error
		status int
		detail string
	}{
		{refused, 422, "light: it is dark (switch it on)"},
		{fmt.Errorf("op: %w", refused), 422, "light: it is dark (switch it on)"},
		{loop.NotFound("space", "there is no space %q", "x"), 404, `space: there is no space "x"`},
		{loop.Conflict("model", "sealed"), 409, "model: sealed"},
		{loop.ErrNotFound, 404, "not found"},
		{fmt.Errorf("op: %w", loop.ErrUnavailable), 503, "send it again"},
		{errors.New("disk /dev/sda1 is gone"), 500, "the server failed"},
		{fmt.Errorf("op: %w", NewProblem(413, "large")), 413, "large"},
	} {
		p := ProblemFrom(c.err)
		if p.Status != c.status || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%v: got %d %q, want %d %q", c.err, p.Status, p.Detail, c.status, c.detail)
		}
	}
}

// TestRoundWaits: a long wait is made of short ones, and ends when the round is
// published.
func TestRoundWaits(t *testing.T) {
	var waits []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waits = append(waits, r.URL.Query().Get("wait"))
		switch len(waits) {
		case 1:
			w.WriteHeader(404)
		case 2:
			io.WriteString(w, `{"state":"open"}`)
		default:
			io.WriteString(w, `{"state":"published","round":3}`)
		}
	}))
	defer server.Close()
	r, err := quick(server.URL).Round(t.Context(), "c", 3, 5*time.Minute)
	if err != nil || r.Round != 3 || strings.Join(waits, " ") != "1m0s 1m0s 1m0s" {
		t.Errorf("got %+v, %v after waits %v", r, err, waits)
	}
}

// manifest is a header and n rows.
func manifest(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"name":"d","version":1}` + "\n")
	for i := range n {
		fmt.Fprintf(&b, `{"round":1,"component":0,"index":%d,"attempt":0,"digest":%q,"importance_weight":1.5,"split":"train"}`+"\n", i, loop.Digest{1})
	}
	return b.Bytes()
}

// torn serves content, but breaks off in the middle the first times.
func torn(w http.ResponseWriter, content []byte, sent int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	w.Write(content[:sent])
	if sent < len(content) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestManifestGoesOn: a download that breaks goes on at its row, each row once.
func TestManifestGoesOn(t *testing.T) {
	content := manifest(100)
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries++
		torn(w, content, min(len(content), tries*len(content)/3))
	}))
	defer server.Close()
	next := uint64(0)
	for row, err := range quick(server.URL).Manifest(t.Context(), "d", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Index != next || row.Weight != 1.5 || row.Digest != (loop.Digest{1}) {
			t.Fatalf("row %d is %+v", next, row)
		}
		next++
	}
	if next != 100 || tries != 3 {
		t.Errorf("%d rows in %d tries", next, tries)
	}
}

// TestManifestEnds: one that breaks without any progress, or says nonsense, is
// an error and not tried for ever.
func TestManifestEnds(t *testing.T) {
	content := manifest(3)
	for name, broken := range map[string]func(w http.ResponseWriter){
		"no progress": func(w http.ResponseWriter) { torn(w, content, 10) },
		"nonsense":    func(w http.ResponseWriter) { w.Write(append(content, "nonsense"...)) },
		"empty":       func(http.ResponseWriter) {},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { broken(w) }))
			defer server.Close()
			var last error
			for _, err := range quick(server.URL).Manifest(t.Context(), "d", 1) {
				last = err
			}
			if last == nil {
				t.Error("no error")
			}
		})
	}
}

func TestDatasetLatest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/datasets/d":
			io.WriteString(w, `{"datasets":[{"version":1},{"version":2}]}`)
		case "/v1/datasets/d/1":
			io.WriteString(w, `{"version":1,"samples":7}`)
		default:
			io.WriteString(w, `{"datasets":[]}`)
		}
	}))
	defer server.Close()
	c := quick(server.URL)
	if d, err := c.Dataset(t.Context(), "d", 0); err != nil || d.Version != 2 {
		t.Errorf("latest: %+v, %v", d, err)
	}
	if d, err := c.Dataset(t.Context(), "d", 1); err != nil || d.Samples != 7 {
		t.Errorf("first: %+v, %v", d, err)
	}
	if _, err := c.Dataset(t.Context(), "none", 0); !errors.Is(err, loop.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}

// TestSQLDigits: a number that no float holds arrives whole.
func TestSQLDigits(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"columns":["seed"],"rows":[[18446744073709551615]]}`)
	}))
	defer server.Close()
	table, err := quick(server.URL).SQL(t.Context(), "select seed", 0)
	if err != nil || fmt.Sprint(table.Rows[0][0]) != "18446744073709551615" {
		t.Errorf("got %+v, %v", table, err)
	}
}
