package shapes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"hone/api"
	"hone/loop"
)

// script is a server that answers what a training job asks, and judges what it
// posts: three rounds, each of which opens when the version of the one before
// is sealed (C8). The product's own server is tried with the demo.
type script struct {
	t  *testing.T
	mu sync.Mutex
	// datasets holds the manifest rows of NAME@VERSION, bundles the tar entries
	// of each sample.
	datasets map[string][]api.ManifestRow
	bundles  map[loop.Digest][]byte
	fetched  map[loop.Digest]int
	// posts holds the rows of each post by its key, sealed those of each version.
	posts  map[string]post
	sealed map[string]int64
	rounds int
}

type post struct {
	body    []byte
	query   string
	samples []string
	rows    int64
	model   string
}

func newScript(t *testing.T) *script {
	s := &script{t: t, rounds: 3, datasets: map[string][]api.ManifestRow{}, bundles: map[loop.Digest][]byte{},
		fetched: map[loop.Digest]int{}, posts: map[string]post{}, sealed: map[string]int64{}}
	space, r := newRenderer(t, World{})
	random := rand.New(rand.NewPCG(1, 9))
	fill := func(dataset string, round, component, n int, split string) {
		for i := range n {
			members, err := r.Members(drawCodes(space, r, random, ordinary, nil), random.Uint64())
			if err != nil {
				t.Fatal(err)
			}
			name := loop.Name{Round: round, Component: component, Index: uint64(i)}
			entries, digest, err := loop.AppendSample(nil, name.Key(), members)
			if err != nil {
				t.Fatal(err)
			}
			s.bundles[digest] = entries
			s.datasets[dataset] = append(s.datasets[dataset], api.ManifestRow{
				Round: round, Component: component, Index: uint64(i), Digest: digest, Weight: .5 + float64(i%3), Split: split,
			})
		}
	}
	for n := 1; n <= s.rounds; n++ {
		this, last := fmt.Sprintf("loop@%d", n), fmt.Sprintf("loop@%d", n-1)
		s.datasets[this] = append(s.datasets[this], s.datasets[last]...)
		fill(this, n, 0, 30, "train")
		fill(fmt.Sprintf("loop.eval@%d", n), n, 0, 20, "evaluation")
		fill(fmt.Sprintf("loop.eval@%d", n), n, 1, 10, "evaluation")
	}
	for component, count := range []int{40, 8, 8} {
		fill("exam.eval@1", 1, component, count, "evaluation")
	}
	return s
}

func (s *script) problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "detail": detail})
}

func (s *script) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.t.Error(err)
	}
}

func (s *script) serve() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/campaigns/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, api.Campaign{Name: r.PathValue("name"), State: api.CampaignRunning, Space: "shapes@1", Rounds: s.rounds, Round: s.rounds})
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		list := api.ModelList{Models: []api.Model{}}
		for version, rows := range s.sealed {
			list.Models = append(list.Models, api.Model{ModelLine: "net", Version: version, Rows: rows, Sealed: true})
		}
		s.answer(w, list)
	})
	mux.HandleFunc("GET /v1/campaigns/{name}/rounds/{n}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n, _ := strconv.Atoi(r.PathValue("n"))
		if _, done := s.sealed[strconv.Itoa(n-1)]; r.PathValue("name") == "loop" && n > 1 && !done {
			s.problem(w, http.StatusNotFound, "the round is not decided")
			return
		}
		round := api.Round{Campaign: r.PathValue("name"), Round: n, State: api.RoundPublished,
			EvalDataset: fmt.Sprintf("%s.eval@%d", r.PathValue("name"), n)}
		if r.PathValue("name") == "loop" {
			round.Dataset = fmt.Sprintf("loop@%d", n)
		}
		s.answer(w, round)
	})
	mux.HandleFunc("GET /v1/datasets/{name}/{version}/manifest", func(w http.ResponseWriter, r *http.Request) {
		rows, ok := s.datasets[r.PathValue("name")+"@"+r.PathValue("version")]
		if !ok {
			s.problem(w, http.StatusNotFound, "no such dataset")
			return
		}
		encoder := json.NewEncoder(w)
		_ = encoder.Encode(map[string]int{"version": 1})
		for _, row := range rows {
			_ = encoder.Encode(row)
		}
	})
	mux.HandleFunc("POST /v1/samples", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var wanted api.Wanted
		if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil || len(wanted.Digests) > api.MaxWanted {
			s.problem(w, http.StatusBadRequest, "bad digests")
			return
		}
		var body []byte
		for _, digest := range wanted.Digests {
			s.fetched[digest]++
			body = append(body, s.bundles[digest]...)
		}
		w.Header().Set("Content-Type", "application/x-tar")
		_, _ = w.Write(loop.AppendEnd(body))
	})
	mux.HandleFunc("POST /v1/outcomes", s.takeOutcomes)
	mux.HandleFunc("POST /v1/models/{line}/{version}/seal", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var seal api.Seal
		_ = json.NewDecoder(r.Body).Decode(&seal)
		counted := int64(0)
		for _, p := range s.posts {
			if p.model == r.PathValue("line")+"@"+r.PathValue("version") {
				counted += p.rows
			}
		}
		if _, again := s.sealed[r.PathValue("version")]; again || counted != seal.Rows {
			s.problem(w, http.StatusConflict, fmt.Sprintf("%d rows, not %d, or sealed already", counted, seal.Rows))
			return
		}
		s.sealed[r.PathValue("version")] = counted
		s.answer(w, api.Model{ModelLine: r.PathValue("line"), Version: r.PathValue("version"), Rows: counted, Sealed: true})
	})
	return mux
}

func (s *script) takeOutcomes(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.problem(w, http.StatusBadRequest, err.Error())
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if before, ok := s.posts[key]; ok {
		if !bytes.Equal(before.body, body) || before.query != r.URL.RawQuery {
			s.problem(w, http.StatusUnprocessableEntity, "the key came with another body")
			return
		}
		s.answer(w, api.Posted{DuplicateOf: 1})
		return
	}
	p := post{body: body, query: r.URL.RawQuery, model: r.URL.Query().Get("model")}
	reader, err := ipc.NewReader(bytes.NewReader(body))
	if err != nil {
		s.problem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	defer reader.Release()
	evalSet := r.URL.Query().Get("eval_set")
	for reader.Next() {
		batch := reader.RecordBatch()
		for row := range int(batch.NumRows()) {
			sample := batch.Column(0).(*array.String).Value(row)
			if want := s.datasets[evalSet][p.rows].Digest.String(); sample != want {
				s.t.Errorf("%s: row %d is of %s, want %s", evalSet, p.rows, sample, want)
			}
			if loss := batch.Column(4).(*array.Float64).Value(row); !(loss >= 0 && loss <= loop.MaxLoss) {
				s.t.Errorf("%s: loss %v", evalSet, loss)
			}
			p.samples = append(p.samples, sample)
			p.rows++
		}
	}
	if r.URL.Query().Get("space") != "shapes" || r.URL.Query().Get("task") != Task || r.Header.Get("Content-Type") != api.Arrow {
		s.t.Errorf("posted as %s, %s", r.URL.RawQuery, r.Header.Get("Content-Type"))
	}
	s.posts[key] = p
	s.answer(w, api.Posted{Accepted: p.rows, Sequence: uint64(len(s.posts))})
}

func (s *script) options(server *httptest.Server) TrainerOptions {
	client := api.New(server.URL)
	client.Patience = 0
	return TrainerOptions{Client: client, Campaign: "loop", ModelLine: "net", Exam: "exam", Seed: 1,
		Learner: LearnerOptions{Steps: 3, Batch: 16}}
}

func TestTrainer(t *testing.T) {
	s := newScript(t)
	server := httptest.NewServer(s.serve())
	defer server.Close()
	o := s.options(server)
	var done []Progress
	o.Progress = func(p Progress) {
		if p.Phase == PhaseDone {
			done = append(done, p)
		}
	}
	scores, err := RunTrainer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(scores) != 3 || len(done) != 3 {
		t.Fatalf("%d scores and %d rounds done, want 3 of each", len(scores), len(done))
	}
	for i, p := range done {
		if p.Round != i+1 || p.Samples != 30*(i+1) || p.Evaluated != 30 || p.Score.Samples != p.Samples || len(p.Score.Slices) != 2 {
			t.Errorf("progress %+v after round %d", p, i+1)
		}
	}
	for n := 1; n <= 3; n++ {
		if got := s.sealed[strconv.Itoa(n)]; got != 30+56 {
			t.Errorf("version %d sealed with %d rows, want 30 of its own and 56 of the exam", n, got)
		}
	}
	for digest, times := range s.fetched {
		if times != 1 {
			t.Errorf("sample %s was fetched %d times", digest, times)
		}
	}

	// The same job, run again over what it has sealed, posts nothing and comes to
	// the same scores; cut off before the last seal, it resends the same bytes
	// and seals (C22).
	delete(s.sealed, "3")
	again, err := RunTrainer(t.Context(), s.options(server))
	if err != nil {
		t.Fatal(err)
	}
	for i := range scores {
		if again[i].Mean != scores[i].Mean || again[i].Worst() != scores[i].Worst() {
			t.Errorf("round %d scores %+v, then %+v", i+1, scores[i], again[i])
		}
	}
	if len(s.posts) != 6 || s.sealed["3"] != 86 {
		t.Errorf("%d posts, version 3 sealed with %d rows, want 6 and 86", len(s.posts), s.sealed["3"])
	}
}

// TestTrainerEnds: a job whose campaign has ended, or whose context has, says so.
func TestTrainerEnds(t *testing.T) {
	s := newScript(t)
	server := httptest.NewServer(s.serve())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	o := s.options(server)
	o.Progress = func(p Progress) {
		if p.Round == 2 && p.Phase == PhaseTrain {
			cancel()
		}
	}
	scores, err := RunTrainer(ctx, o)
	if !errors.Is(err, context.Canceled) || len(scores) != 1 {
		t.Errorf("%d scores and %v, want the first round's and the context's error", len(scores), err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) { s.answer(w, api.ModelList{}) })
	mux.HandleFunc("GET /v1/campaigns/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, api.Campaign{State: api.CampaignClosed, Space: "shapes@1", Rounds: 2})
	})
	mux.HandleFunc("GET /v1/campaigns/{name}/rounds/{n}", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, api.Round{State: api.RoundOpen})
	})
	closed := httptest.NewServer(mux)
	defer closed.Close()
	o = s.options(closed)
	o.Wait = time.Millisecond
	if _, err := RunTrainer(t.Context(), o); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v, want an error that says the campaign is closed", err)
	}
}

// TestTrainerKnowsNothing: the training job and the learner use nothing that
// the renderer, its world or its generator declare, and of package loop only
// digests: they cannot peep.
func TestTrainerKnowsNothing(t *testing.T) {
	parse := func(name string) *ast.File {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	secret := map[string]string{}
	for _, name := range []string{"world.go", "render.go", "generator.go", "space.go"} {
		for _, d := range parse(name).Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					secret[d.Name.Name] = name
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						secret[spec.Name.Name] = name
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							secret[n.Name] = name
						}
					}
				}
			}
		}
	}
	delete(secret, "_")
	if secret["kappa"] == "" || secret["Renderer"] == "" {
		t.Fatal("the world has moved: name its files here")
	}
	for _, name := range []string{"trainer.go", "outcomes.go", "learner.go", "network.go", "exam.go", "picture.go"} {
		f := parse(name)
		local := map[*ast.Ident]bool{} // fields, methods and packages' names
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				local[n.Sel] = true
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "loop" && n.Sel.Name != "Digest" {
					t.Errorf("%s uses loop.%s", name, n.Sel.Name)
				}
			case *ast.Field:
				for _, id := range n.Names {
					local[id] = true
				}
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok {
					local[id] = true
				}
			case *ast.FuncDecl:
				local[n.Name] = true
			}
			return true
		})
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && !local[id] && secret[id.Name] != "" {
				t.Errorf("%s uses %s of %s", name, id.Name, secret[id.Name])
			}
			return true
		})
		for _, i := range f.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(path, "hone/") && path != "hone/api" && path != "hone/loop" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}
