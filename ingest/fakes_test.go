package ingest

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"hone/api"
	"hone/loop"
)

// testSpace has one factor of each kind and a chain of conditions.
func testSpace() *loop.Space {
	return &loop.Space{Name: "test", Version: 1, Factors: []loop.Factor{
		{Name: "light", Kind: loop.Categorical, Levels: []loop.Level{{Name: "low", Target: .5}, {Name: "high", Target: .5}}},
		{Name: "pose", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "left", Target: .5}, {Name: "right", Target: .5}}},
		{Name: "size", Kind: loop.Numeric, Levels: []loop.Level{
			{Name: "small", Low: 0, High: 10, Target: .5}, {Name: "large", Low: 10, High: 20, Target: .5}}},
		{Name: "glove", Kind: loop.Categorical, Levels: []loop.Level{{Name: "yes", Target: .5}, {Name: "no", Target: .5}}},
		{Name: "glove_colour", Kind: loop.Categorical, Levels: []loop.Level{{Name: "red", Target: .5}, {Name: "blue", Target: .5}},
			When: &loop.LevelSet{Factor: 3, Levels: []int{0}}},
		{Name: "glove_tint", Kind: loop.Categorical, Levels: []loop.Level{{Name: "pale", Target: .5}, {Name: "dark", Target: .5}},
			When: &loop.LevelSet{Factor: 4, Levels: []int{0}}},
	}}
}

// sampleDigest is the one committed sample: light=low, size=large at 15, no glove.
var sampleDigest = loop.Digest{1, 2, 3}

var known = map[loop.Digest]loop.Resolved{sampleDigest: {SpaceVersion: 1,
	Scenario: loop.Scenario{Codes: []loop.Code{0, 1, 1, 1, loop.Absent, loop.Absent}, Fractions: []uint32{0, 0, 1 << 31, 0, 0, 0}},
	Domain:   loop.Evaluation, Source: loop.SourceProbe, Weight: .75,
}}

// world is the spaces, samples, parts and log that an Ingest sees: a log that
// keeps C22 as the replicated state does, on parts that are slices in memory.
type world struct {
	mu       sync.Mutex
	space    *loop.Space
	parts    [][]loop.PostRows
	keys     map[string]entry
	sealed   map[string]bool
	sequence uint64
	counted  []loop.PostRows
	appends  int
	// before and after are called around an append, outside of the lock, with its
	// number from 1; an error of before keeps it from happening, one of after
	// hides that it has.
	before, after func(int) error
	partFails     func(int) error
	resolved      [][]loop.Digest
	// respaced is a version of the space that is put just before the next Resolve.
	respaced *loop.Space
}

type entry struct {
	body     loop.Digest
	sequence uint64
}

// importedSet is an eval set that was imported, imported what it holds: light=low,
// size=large at 12.1, and the rest not known.
const importedSet = "photos@1"

var imported = map[string]loop.Resolved{"img/1": {SpaceVersion: 1,
	Scenario: loop.Scenario{Codes: []loop.Code{0, loop.Unknown, 1, loop.Unknown, loop.Unknown, loop.Unknown}, Fractions: make([]uint32, 6)},
	Values:   []float64{math.NaN(), math.NaN(), 12.1, math.NaN(), math.NaN(), math.NaN()},
	Domain:   loop.Evaluation, Source: loop.SourceTarget, Digest: loop.Digest{7, 7}, Example: "img/1", Origin: loop.Real,
}}

func newWorld() *world {
	return &world{space: testSpace(), keys: map[string]entry{}, sealed: map[string]bool{}}
}

func (w *world) Space(_ context.Context, name string) (*loop.Space, error) {
	if name != w.space.Name {
		return nil, loop.NotFound("space", "there is no space %q", name)
	}
	return w.space, nil
}

func (w *world) Resolve(_ context.Context, _, _ string, digests []loop.Digest) (map[loop.Digest]loop.Resolved, error) {
	w.resolved = append(w.resolved, digests)
	if w.respaced != nil {
		w.space, w.respaced = w.respaced, nil
	}
	both := maps.Clone(known)
	for _, r := range imported {
		both[r.Digest] = r
	}
	for d, r := range both {
		r.SpaceVersion = w.space.Version
		both[d] = r
	}
	return both, nil
}

func (w *world) Examples(_ context.Context, _, evalSet string, examples []string) (map[string]loop.Resolved, bool, error) {
	if evalSet != importedSet {
		return nil, false, nil
	}
	found := map[string]loop.Resolved{}
	for _, e := range examples {
		if r, ok := imported[e]; ok {
			found[e] = r
		}
	}
	return found, true, nil
}

func (w *world) WriteOutcomes(_ context.Context, _ *loop.Space, posts []loop.PostRows) (loop.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts = append(w.parts, posts)
	if w.partFails != nil {
		if err := w.partFails(len(w.parts)); err != nil {
			return loop.Object{}, err
		}
	}
	rows := int64(0)
	for _, p := range posts {
		rows += int64(len(p.Rows))
	}
	return loop.Object{Key: "part", Rows: rows, Digest: loop.Digest{byte(len(w.parts))}}, nil
}

func (w *world) Append(ctx context.Context, posts []loop.PostRows, _ loop.Object) ([]loop.Receipt, error) {
	w.mu.Lock()
	w.appends++
	n := w.appends
	w.mu.Unlock()
	if w.before != nil {
		if err := w.before(n); err != nil {
			return nil, err
		}
	}
	receipts := w.apply(posts)
	if w.after != nil {
		if err := w.after(n); err != nil {
			return nil, err
		}
	}
	return receipts, ctx.Err()
}

func (w *world) apply(posts []loop.PostRows) []loop.Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sequence++
	receipts := make([]loop.Receipt, len(posts))
	for i, p := range posts {
		model := p.Post.ModelLine + "@" + p.Post.Version
		key := strings.Join([]string{p.Post.Space, model, p.Post.Run, p.Post.Key}, "\x00")
		before, seen := w.keys[key]
		switch {
		case seen && before.body != p.Post.Body:
			receipts[i].Err = &loop.Error{Field: "Idempotency-Key", Problem: "the key was used for another body"}
		case seen:
			receipts[i].DuplicateOf = before.sequence
		case w.sealed[model]:
			receipts[i].Err = loop.Conflict("model", "%s is sealed", model)
		default:
			w.keys[key] = entry{p.Post.Body, w.sequence}
			w.counted = append(w.counted, p)
			receipts[i] = loop.Receipt{Sequence: w.sequence, Accepted: int64(len(p.Rows))}
		}
	}
	return receipts
}

// serve runs an Ingest on a world behind real HTTP.
func serve(t *testing.T, w *world, o Options) (*httptest.Server, *Ingest) {
	t.Helper()
	o.Spaces, o.Samples, o.Parts, o.Log = w, w, w, w
	in := New(o)
	mux := http.NewServeMux()
	in.Register(humago.New(mux, huma.DefaultConfig("test", "1")))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- in.Run(ctx) }()
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error("Run:", err)
		}
	})
	in.waitOpen()
	return server, in
}

// waitOpen waits until Run has opened the committer.
func (in *Ingest) waitOpen() {
	for {
		in.committer.mu.Lock()
		open := in.committer.open
		in.committer.mu.Unlock()
		if open {
			return
		}
	}
}

// reply is a server's answer, whatever it is.
type reply struct {
	status int
	posted api.Posted
	api.Problem
}

// post sends a body with everything else as it should be, but for the overrides.
func post(t *testing.T, server *httptest.Server, contentType string, body io.Reader, overrides ...string) reply {
	t.Helper()
	query := url.Values{"space": {"test"}, "model": {"line@1"}}
	header := http.Header{"Content-Type": {contentType}}
	for i := 0; i < len(overrides); i += 2 {
		name, value := overrides[i], overrides[i+1]
		if name[0] >= 'A' && name[0] <= 'Z' {
			header.Set(name, value)
		} else {
			query.Set(name, value)
		}
	}
	r, err := http.NewRequest(http.MethodPost, server.URL+Path+"?"+query.Encode(), body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := reply{status: answer.StatusCode}
	into := any(&out.Problem)
	want := api.ProblemType
	if out.status == http.StatusOK {
		into, want = &out.posted, "application/json"
	}
	if got := answer.Header.Get("Content-Type"); got != want {
		t.Fatalf("status %d has content type %q, want %q: %s", out.status, got, want, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("answer %q: %v", text, err)
	}
	return out
}

// where lists "location: message" of the mistakes.
func (r *reply) where() string {
	var b strings.Builder
	for _, m := range r.Errors {
		b.WriteString(m.Location + ": " + m.Message + "\n")
	}
	return b.String()
}

func sameValues(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !(math.IsNaN(a[i]) && math.IsNaN(b[i])) {
			return false
		}
	}
	return true
}
