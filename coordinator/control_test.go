package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hone/api"
	"hone/loop"
)

// Every route's happy path, and its main errors, each of which is a problem
// document with the status that it promises.
func TestRoutes(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound + "gates: [blank]\n")
		w.work(w.join("ann"), "ann")
		digest := sampleDigest("c", loop.Name{Round: 1, Index: 17})
		other := sampleDigest("c", loop.Name{Round: 1, Index: 3})
		unknown := loop.Digest{1}
		unit := loop.Unit{Campaign: "c", Round: 1, First: 0, Count: 10}.ID()
		wanted := func(digests ...loop.Digest) string {
			b, _ := json.Marshal(api.Wanted{Digests: digests})
			return string(b)
		}
		campaign := func(line string) string {
			return "space: lab\npolicy: plain\ngenerator: shapes\nsamples: 10\nname: d\n" + line
		}
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string // a part of the body
		}{
			{"POST", "/v1/spaces", spaceDocument, 200, `{"name":"lab","version":1,"created":false}`},
			{"POST", "/v1/spaces", strings.Replace(spaceDocument, "0.25", "0.26", 1), 422, `"location":"4:`},
			{"POST", "/v1/spaces", "name: lab\nfactors: [", 422, `"location":"2:`},
			{"POST", "/v1/spaces", "", 400, "body"},
			{"POST", "/v1/spaces", strings.Replace(spaceDocument, "lab", "LAB", 1), 409, "upper and lower case"},
			{"POST", "/v1/spaces", strings.Repeat("#", maxDocument+1), 413, ""},
			{"GET", "/v1/spaces", "", 200, `{"spaces":[{"name":"lab","version":1}]}`},
			{"GET", "/v1/spaces/lab", "", 200, `"document":"\nname: lab\n`},
			{"GET", "/v1/spaces/lab?version=1", "", 200, `"versions":1`},
			{"GET", "/v1/spaces/lab?version=2", "", 404, `there is no version 2 of space \"lab\"`},
			{"GET", "/v1/spaces/lab?version=-1", "", 422, "query.version"},
			{"GET", "/v1/spaces/lab?version=x", "", 422, "query.version"},
			{"GET", "/v1/spaces/none", "", 404, `there is no space \"none\"`},
			{"POST", "/v1/policies", policyDocument, 200, `{"name":"plain","version":1,"created":false}`},
			{"POST", "/v1/policies", policyDocument + "floor: 2\n", 422, `"location":"3:8 floor"`},
			{"POST", "/v1/policies", policyDocument + "flor: 0.5\n", 422, `"location":"3:1 flor"`},
			{"POST", "/v1/policies", policyDocument + "floor: .nan\n", 422, `"location":"3:`},
			{"GET", "/v1/policies", "", 200, `{"policies":[{"name":"plain","version":1}]}`},
			{"GET", "/v1/policies/plain", "", 200, `"document":"name: plain`},
			{"GET", "/v1/policies/none", "", 404, `there is no policy \"none\"`},
			{"POST", "/v1/campaigns", campaign("samples: 1\n"), 422, `"location":"6:1`},
			{"POST", "/v1/campaigns", campaign("gates: [sharp]\n"), 422, `"location":"6:9 gates[0]","message":"there is no gate \"sharp\"`},
			{"POST", "/v1/campaigns", strings.Replace(campaign(""), "lab", "none", 1), 422, `"location":"1:8 space"`},
			{"POST", "/v1/campaigns", strings.Replace(campaign(""), "plain", "plian", 1), 422, `"location":"2:9 policy","message":"there is no policy \"plian\" (put it first, or did you mean \"plain\"?)"`},
			{"POST", "/v1/campaigns", campaign("rounds: 3\n"), 422, "no model line to learn from"},
			{"POST", "/v1/campaigns", strings.Replace(campaign(""), "name: d", "name: c", 1), 409, `there is another campaign \"c\"`},
			{"GET", "/v1/campaigns", "", 200, `"state":"done","space":"lab","requested":100,"committed":100`},
			{"GET", "/v1/campaigns/c", "", 200, `"name":"c","state":"done","requested":100,"committed":100,"rejected":0,"replaced":0,"abandoned":0,"in_flight":0,"pending":0,"round":1`},
			{"GET", "/v1/campaigns/none", "", 404, `there is no campaign \"none\"`},
			{"GET", "/v1/campaigns/c/forecast", "", 200, `"more":1000,"cost":{"gpu_seconds":1},"sequence":`},
			{"GET", "/v1/campaigns/none/forecast", "", 404, `there is no campaign \"none\"`},
			{"GET", "/v1/campaigns/c/rounds/1/suspects", "", 200, `"slices":[],"sequence":`},
			{"GET", "/v1/campaigns/c/rounds/2/suspects", "", 404, `has no round 2`},
			{"GET", "/v1/campaigns/none/rounds/1/suspects", "", 404, `there is no campaign \"none\"`},
			{"GET", "/v1/campaigns/c/rounds/1/suspects?where=light", "", 422, `is not factor=level`},
			{"GET", "/v1/campaigns/c/rounds/1/suspects?top=1001", "", 422, `query.top`},
			{"GET", "/v1/campaigns/c/rounds", "", 200, `"rounds":[{"campaign":"c","round":1,"state":"published"`},
			{"GET", "/v1/campaigns/none/rounds", "", 404, "campaign"},
			{"GET", "/v1/campaigns/c/rounds/1", "", 200, `"name":"everything"`},
			{"GET", "/v1/campaigns/c/rounds/1?wait=30s", "", 200, `"dataset":"c@1"`},
			{"GET", "/v1/campaigns/c/rounds/1?wait=soon", "", 422, `\"soon\" is not a duration`},
			{"GET", "/v1/campaigns/c/rounds/1?wait=-1s", "", 422, "duration"},
			{"GET", "/v1/campaigns/c/rounds/2?wait=30s", "", 404, "has only 1 rounds"},
			{"GET", "/v1/campaigns/c/rounds/0", "", 422, "path.number"},
			{"GET", "/v1/campaigns/c/rounds/x", "", 422, "path.number"},
			{"GET", "/v1/campaigns/none/rounds/1?wait=30s", "", 404, "campaign"},
			{"GET", "/v1/campaigns/c/rounds/1/canonical", "", 200, `{"campaign":"c","number":1`},
			{"GET", "/v1/campaigns/c/rounds/7/canonical", "", 404, "has no round 7"},
			{"POST", "/v1/models/net/1/seal", `{"rows":0}`, 200, `{"model_line":"net","version":"1","rows":0,"sealed":true`},
			{"POST", "/v1/models/net/2/seal", `{"rows":7}`, 409, "7 rows, but 0 were posted"},
			{"POST", "/v1/models/net/2/seal", `{"rows":-7}`, 422, "body.rows"},
			{"POST", "/v1/models/net/2/seal", `{"rows":`, 400, "unexpected end"},
			{"POST", "/v1/models/net/2/seal", `{}`, 422, "rows"},
			{"POST", "/v1/models/-/2/seal", `{"rows":0}`, 422, "is not a name"},
			{"GET", "/v1/models", "", 200, `{"models":[{"model_line":"net","version":"1","rows":0,"sealed":true`},
			{"GET", "/v1/datasets", "", 200, `{"datasets":[{"name":"c","version":1,"samples":100`},
			{"GET", "/v1/datasets/c", "", 200, `"split":"train"`},
			{"GET", "/v1/datasets/none", "", 404, "dataset"},
			{"GET", "/v1/datasets/c/1", "", 200, `"campaign":"c"`},
			{"GET", "/v1/datasets/c/2", "", 404, "there is no dataset c@2"},
			{"GET", "/v1/datasets/c/0", "", 422, "path.version"},
			{"GET", "/v1/datasets/c/1/manifest", "", 200, `"index":99,"attempt":0`},
			{"GET", "/v1/datasets/c/2/manifest", "", 404, "c@2"},
			{"POST", "/v1/datasets", `{"name":"d","from":"c@1","where":{"light":"low"}}`, 200, `"name":"d","version":1,"samples":50`},
			{"POST", "/v1/datasets", `{"name":"d","from":"c@2"}`, 404, "c@2"},
			{"GET", "/v1/datasets/c/1/rows", "", 200, `{"hone":"rows/1","dataset":"c@1"`},
			{"GET", "/v1/datasets/c/1/rows?from=99", "", 200, `"key":"r1-t0-i99-a0","seed":`},
			{"GET", "/v1/datasets/c/1/rows?from=100", "", 200, `"samples":100`},
			{"GET", "/v1/datasets/c/1/rows?from=101", "", 422, "c@1 has only 100 rows"},
			{"GET", "/v1/datasets/c/1/rows?from=-1", "", 422, "query.from"},
			{"GET", "/v1/datasets/c/2/rows", "", 404, "c@2"},
			{"GET", "/v1/samples/" + digest.String(), "", 200, "c/r1-t0-i17-a0" + strings.Repeat("\x00", 1024)},
			{"GET", "/v1/samples/" + unknown.String(), "", 404, "no committed sample"},
			{"GET", "/v1/samples/17", "", 422, "is not a digest"},
			{"POST", "/v1/samples", wanted(digest, other, digest), 200, "c/r1-t0-i17-a0c/r1-t0-i3-a0c/r1-t0-i17-a0\x00"},
			{"POST", "/v1/samples", wanted(digest, unknown), 404, unknown.String()},
			{"POST", "/v1/samples", `{"digests":[]}`, 422, "body.digests"},
			{"POST", "/v1/samples", `{"digests":null}`, 422, "no sample is asked for"},
			{"POST", "/v1/samples", wanted(make([]loop.Digest, 513)...), 422, "body.digests"},
			{"POST", "/v1/samples", `{"digests":["sha256:17"]}`, 422, "digest"},
			{"GET", "/v1/status", "", 200, `"role":"leader"`},
			{"POST", "/v1/sql", `{"query":"select 1"}`, 200, `{"columns":["1"],"rows":[[1]]`},
			{"POST", "/v1/sql", `{"query":"selec"}`, 422, "syntax error"},
			{"POST", "/v1/sql", `{"query":""}`, 422, "body.query"},
			{"POST", "/v1/sql", `{"query":"select fire"}`, 500, "its log says why"},
			{"PUT", "/v1/staging/ann/" + unit + "/samples.tar", "bytes", 200, `{"bytes":5}`},
			{"PUT", "/v1/staging/ann/" + unit + "/samples.tar", strings.Repeat("x", 1<<20), 200, `{"bytes":1048576}`},
			{"PUT", "/v1/staging/ann/" + unit + "/samples.tar", strings.Repeat("x", 1<<20+1), 422, "more than 1 MiB"},
			{"PUT", "/v1/staging/ann/unit/samples.tar", "bytes", 422, "is not a unit"},
		} {
			name := c.method + " " + c.path + " " + c.body[:min(len(c.body), 60)]
			answer := w.request(c.method, c.path, c.body)
			if answer.Code != c.status || !strings.Contains(answer.Body.String(), c.want) {
				t.Errorf("%s: %d %.400s\nwant %d with %s", name, answer.Code, answer.Body, c.status, c.want)
				continue
			}
			kind := answer.Header().Get("Content-Type")
			if c.status == 200 {
				if strings.HasPrefix(kind, api.ProblemType) {
					t.Errorf("%s: 200 as %s", name, kind)
				}
				continue
			}
			var p api.Problem
			if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil || kind != api.ProblemType || p.Status != c.status || p.Detail == "" {
				t.Errorf("%s: %s %s", name, kind, answer.Body)
			}
		}
		if !strings.Contains(w.log.String(), "on fire") {
			t.Error("the cause of a 500 is not in the log")
		}
	})
}

// The types that bodies are sent as.
func TestContentTypes(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		w.work(w.join("ann"), "ann")
		for path, want := range map[string]string{
			"/v1/datasets/c/1/manifest":             api.NDJSON,
			"/v1/campaigns/c/rounds/1/canonical":    "application/json",
			"/v1/samples/" + digestOfFirst():        tarType,
			"/v1/status":                            "application/json",
			"/v1/datasets/none":                     api.ProblemType,
			"/v1/campaigns/c/rounds/2/canonical":    api.ProblemType,
			"/v1/samples/" + loop.Digest{}.String(): api.ProblemType,
		} {
			if got := w.request("GET", path, "").Header().Get("Content-Type"); got != want {
				t.Errorf("%s is sent as %q, want %q", path, got, want)
			}
		}
		// JSON is YAML; what else it is called does not matter.
		for _, kind := range []string{"application/yaml", "application/json", "text/plain", ""} {
			if answer := w.request("POST", "/v1/policies", `{"name":"plain","strategy":"uniform"}`, "Content-Type", kind); answer.Code != 200 {
				t.Errorf("a policy as %q: %d %s", kind, answer.Code, answer.Body)
			}
		}
		if answer := w.request("POST", "/v1/sql", `query: select 1`, "Content-Type", "application/yaml"); answer.Code != 415 {
			t.Errorf("SQL as YAML: %d %s", answer.Code, answer.Body)
		}
	})
}

func digestOfFirst() string { return sampleDigest("c", loop.Name{Round: 1}).String() }

// A long poll returns when the round is published, or when its wait ends, with
// what there is (C8).
func TestRoundWait(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds)
		poll := func(n int, wait string) (answer chan *httptest.ResponseRecorder, began time.Time) {
			answer = make(chan *httptest.ResponseRecorder, 1)
			began = time.Now()
			go func() {
				answer <- w.request("GET", fmt.Sprintf("/v1/campaigns/c/rounds/%d?wait=%s", n, wait), "")
			}()
			return answer, began
		}
		answer, began := poll(1, "30s")
		if r := <-answer; r.Code != 200 || !strings.Contains(r.Body.String(), `"state":"open"`) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %d %s", time.Since(began), r.Code, r.Body)
		}
		answer, began = poll(1, "1h")
		if r := <-answer; r.Code != 200 || time.Since(began) != maxWait {
			t.Errorf("after %v: %d %s", time.Since(began), r.Code, r.Body)
		}
		answer, began = poll(2, "10s")
		if r := <-answer; r.Code != 404 || !strings.Contains(r.Body.String(), "no round 2 yet") || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %d %s", time.Since(began), r.Code, r.Body)
		}
		answer, began = poll(1, "30s")
		w.settle()
		w.work(w.join("ann"), "ann")
		if r := <-answer; r.Code != 200 || !strings.Contains(r.Body.String(), `"eval_dataset":"c.eval@1"`) || time.Since(began) > time.Second {
			t.Errorf("after %v: %d %s", time.Since(began), r.Code, r.Body)
		}
		// A server that stops does not wait for its pollers.
		answer, _ = poll(2, "1m")
		w.settle()
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		<-answer
	})
}

// Every route is described, with every error that it may answer.
func TestOpenAPI(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		var document struct {
			OpenAPI string `json:"openapi"`
			Paths   map[string]map[string]struct {
				OperationID string                     `json:"operationId"`
				Summary     string                     `json:"summary"`
				Responses   map[string]json.RawMessage `json:"responses"`
				RequestBody *struct {
					Content map[string]any `json:"content"`
				} `json:"requestBody"`
			} `json:"paths"`
		}
		if err := json.Unmarshal([]byte(w.must("GET", "/openapi.json", "")), &document); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(document.OpenAPI, "3.1") {
			t.Errorf("OpenAPI %s", document.OpenAPI)
		}
		want := map[string][]string{
			"/v1/spaces": {"get", "post"}, "/v1/spaces/{name}": {"get"}, "/v1/policies": {"get", "post"}, "/v1/policies/{name}": {"get"},
			"/v1/policies/{name}/history": {"get"}, "/v1/policies/{name}/diff": {"get"}, "/v1/policies/{name}/rollback": {"post"}, "/v1/policies/{name}/canary": {"get"}, "/v1/policies/{name}/promote": {"post"}, "/v1/policies/{name}/withdraw": {"post"}, "/v1/policies/{name}/pin": {"post"},
			"/v1/policies/{name}/unpin": {"post"}, "/v1/policies/{name}/ban": {"post"}, "/v1/policies/{name}/unban": {"post"}, "/v1/campaigns/{name}/policy": {"post"},
			"/v1/campaigns": {"get", "post"}, "/v1/campaigns/{name}": {"get"},
			"/v1/campaigns/{name}/pause": {"post"}, "/v1/campaigns/{name}/resume": {"post"}, "/v1/campaigns/{name}/close": {"post"},
			"/v1/campaigns/{name}/extend": {"post"}, "/v1/campaigns/{name}/watch": {"get"}, "/v1/campaigns/{name}/forecast": {"get"}, "/v1/campaigns/{name}/simulate": {"post"}, "/v1/campaigns/{name}/rounds": {"get"},
			"/v1/campaigns/{name}/rounds/{number}": {"get"}, "/v1/campaigns/{name}/rounds/{number}/canonical": {"get"},
			"/v1/campaigns/{name}/rounds/{number}/replay": {"post"}, "/v1/campaigns/{name}/rounds/{number}/preview": {"get"},
			"/v1/campaigns/{name}/rounds/{number}/suspects": {"get"},
			"/v1/campaigns/{name}/proposals":                {"get"}, "/v1/campaigns/{name}/propose": {"post"},
			"/v1/campaigns/{name}/rounds/{number}/approve": {"post"}, "/v1/campaigns/{name}/rounds/{number}/reject": {"post"},
			"/v1/campaigns/{name}/rounds/{number}/amend": {"post"},
			"/v1/models": {"get"}, "/v1/models/{line}/{version}/seal": {"post"}, "/v1/datasets": {"get", "post"}, "/v1/datasets/{name}": {"get"},
			"/v1/datasets/{name}/import":    {"post"},
			"/v1/datasets/{name}/{version}": {"get"}, "/v1/datasets/{name}/{version}/manifest": {"get"}, "/v1/datasets/{name}/{version}/rows": {"get"}, "/v1/samples": {"post"},
			"/v1/samples/{digest}": {"get"}, "/v1/status": {"get"}, "/v1/node": {"get"}, "/v1/cluster": {"get"}, "/v1/cluster/members": {"post"}, "/v1/cluster/members/{name}": {"delete"},
			"/v1/cluster/members/{name}/vote": {"post"}, "/v1/cluster/transfer": {"post"}, "/v1/cluster/verify": {"post"}, "/v1/cluster/clock": {"post"}, "/v1/cluster/snapshot": {"get"}, "/v1/sql": {"post"}, "/v1/lake/collect": {"post"}, "/v1/staging/{worker}/{unit}/{name}": {"put"},
		}
		ids := map[string]bool{}
		for path, methods := range want {
			for _, method := range methods {
				o, ok := document.Paths[path][method]
				if !ok || o.Summary == "" || o.OperationID == "" || ids[o.OperationID] {
					t.Errorf("%s %s is described as %+v", method, path, o)
				}
				ids[o.OperationID] = true
				if _, ok := o.Responses["200"]; !ok {
					t.Errorf("%s %s: no 200", method, path)
				}
				statuses := []string{"500"}
				if strings.Contains(path, "{") {
					statuses = append(statuses, "404", "422")
				}
				if method != "get" {
					statuses = append(statuses, "400", "409", "413", "422", "503")
				}
				for _, status := range statuses {
					if !strings.Contains(string(o.Responses[status]), api.ProblemType) {
						t.Errorf("%s %s: %s is described as %s", method, path, status, o.Responses[status])
					}
				}
				takesNothing := method == "get" || method == "delete" || strings.HasSuffix(path, "/replay") || strings.HasSuffix(path, "/vote") || strings.HasSuffix(path, "/verify") || strings.HasSuffix(path, "/clock")
				if takesNothing != (o.RequestBody == nil) {
					t.Errorf("%s %s: request body %+v", method, path, o.RequestBody)
				}
			}
		}
		for path, methods := range document.Paths {
			for method := range methods {
				if !slices.Contains(want[path], method) {
					t.Errorf("%s %s is described, but not tested", method, path)
				}
			}
		}
	})
}

// Over a real connection: bodies are streamed, and one that cannot be sent whole
// is seen to be broken rather than taken for the whole.
func TestStreaming(t *testing.T) {
	var handler http.Handler
	dir := t.TempDir()
	store := newStore()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir, store: store}
		w.gates = &court{store: store}
		w.start()
		w.campaign(oneRound)
		w.work(w.join("ann"), "ann")
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
	})
	// The same directory again, in real time.
	node, err := NewNode(NodeOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	view := &reading{node: node, store: store}
	coord := New(Options{Node: node, Gates: &court{store: store}, Parts: store, Staging: store, View: view})
	mux := http.NewServeMux()
	Register(NewAPI(mux, "test"), ControlOptions{Coordinator: coord, Objects: store, Queries: view, Version: "test", Started: time.Now()})
	handler = mux
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- coord.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-coord.Ready()
	server := httptest.NewServer(handler)
	defer server.Close()
	client := api.New(server.URL)
	client.Patience = 0

	rows := 0
	for row, err := range client.Manifest(t.Context(), "c", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Index != uint64(rows) || row.Digest != sampleDigest("c", loop.Name{Round: 1, Index: row.Index}) {
			t.Fatalf("row %d is %+v", rows, row)
		}
		rows++
	}
	if rows != 100 {
		t.Errorf("%d rows", rows)
	}
	digest := digestOfFirst()
	get := func() (string, error) {
		answer, err := http.Get(server.URL + "/v1/samples/" + digest)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		return string(b), err
	}
	if body, err := get(); err != nil || !strings.HasPrefix(body, "c/r1-t0-i0-a0\x00") {
		t.Errorf("%q, %v", body, err)
	}
	// The pack is gone from the lake after the header was sent.
	store.mu.Lock()
	for key := range store.objects {
		if strings.HasPrefix(key, "packs/") {
			delete(store.objects, key)
		}
	}
	store.mu.Unlock()
	if body, err := get(); err == nil {
		t.Errorf("a sample that cannot be read was sent as %q", body)
	}
	// A body that breaks off is not staged.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/v1/staging/ann/"+loop.Unit{Campaign: "c", Round: 1, Count: 3}.ID()+"/samples.tar",
		io.MultiReader(strings.NewReader("half"), brokenReader{}))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := http.DefaultClient.Do(request); err == nil {
		answer.Body.Close()
		t.Errorf("a broken body was answered %s", answer.Status)
	}
	if store.isStaged("ann", loop.Unit{Campaign: "c", Round: 1, Count: 3}) {
		t.Error("half a body was staged")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }
