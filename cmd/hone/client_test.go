package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
)

var update = flag.Bool("update", false, "write the golden files anew")

// service is a server in so far as the commands can tell: it answers with fixed
// values of the API's types, and remembers what it was asked.
type service struct {
	*httptest.Server
	mux  *http.ServeMux
	last *http.Request
	body []byte
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{mux: http.NewServeMux()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.last = r
		s.body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(s.body))
		s.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) answer(pattern string, value any) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		if p, ok := value.(*api.Problem); ok {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(p.Status)
		}
		json.NewEncoder(w).Encode(value)
	})
}

// hone runs a command line and returns its exit code and outputs.
func hone(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"hone"}, args...), strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

var reason = loop.Reason{
	Rows: 70, Groups: 64, Failures: 31, Support: 120, Rate: .44, Lower: .33, Upper: .56, Lift: 3.6, Z: 6.2, P: 2e-8, Q: 3.1e-6,
	Prevalence: .0081, Risk: 5, Damping: .5, Value: .02,
	Sentence: "light=low ∧ glove=yes fails 3.6 times as often as all of the space: the hand is dark where the glove is.",
}

var decision = api.Decision{
	Strategy: "hone", SpaceVersion: 1, PolicyVersion: 2, EvidenceRows: 12345, FailureRate: .1234, Step: .8, KL: .1234567,
	Components: []api.Component{
		{Domain: "train", Number: 0, Name: "everything", Over: "base", Share: .92, Quota: 1380},
		{Domain: "train", Number: 1, Name: "light=low ∧ glove=yes", Over: "base", Slice: map[string]string{"light": "low", "glove": "yes"},
			Share: .08, Quota: 120, Reason: &reason},
		{Domain: "evaluation", Number: 0, Name: "everything", Over: "target", Share: .5, Quota: 1500, Source: "target"},
		{Domain: "evaluation", Number: 1, Name: "everything", Over: "base", Share: .5, Quota: 1500, Source: "mixture"},
	},
	Memory: []api.Memory{
		{Name: "pose=left", Since: 2, Samples: 450, Damping: .05, Quarantined: true, Sentence: "450 samples did not help: the labels may be wrong."},
		{Name: "light=low ∧ glove=yes", Since: 1, Samples: 300, Damping: 1},
	},
	Notes: []string{"size=large failed often, but no more than chance allows (q = 0.4)."},
}

var counts = api.Counts{Requested: 1500, Committed: 1400, Rejected: 9, Replaced: 8, Abandoned: 1, InFlight: 50, Pending: 49}

// answers fills in every route with something.
func (s *service) answers() {
	s.answer("POST /v1/spaces", api.Put{Name: "shapes", Version: 1, Created: true})
	s.answer("POST /v1/policies", api.Put{Name: "plain", Version: 3})
	s.answer("POST /v1/campaigns", api.Put{Name: "loop", Version: 1, Created: true})
	s.answer("GET /v1/spaces", api.SpaceList{Spaces: []api.Defined{{Name: "shapes", Version: 1, Owner: "ann"}, {Name: "roads", Version: 12}}})
	s.answer("GET /v1/policies", api.PolicyList{})
	s.answer("GET /v1/spaces/shapes", api.Definition{Name: "shapes", Version: 1, Document: "name: shapes # ours\nfactors: []\n"})
	s.answer("GET /v1/policies/plain", api.Definition{Name: "plain", Version: 3, Document: "{\"name\":\"plain\"}"})
	summary := []api.CampaignSummary{{Name: "loop", State: "running", Space: "shapes@1", Requested: 18000, Committed: 4400, Round: 3, Rounds: 12},
		{Name: "exam", State: "done", Space: "shapes@1", Requested: 10, Committed: 10, Round: 1, Rounds: 1}}
	s.answer("GET /v1/campaigns", api.CampaignList{Campaigns: summary})
	s.answer("GET /v1/campaigns/loop", api.Campaign{Name: "loop", State: "running", Counts: counts, Round: 3, Rounds: 12, FirstSamples: 60, Space: "shapes@1",
		Policy: "plain@3", Generator: "shapes", Seed: 7, Waiting: "outcomes of learner@3", Evaluation: &api.Counts{Requested: 10, Committed: 10}})
	s.answer("GET /v1/campaigns/loop/rounds/3", api.Round{Campaign: "loop", Round: 3, State: "published", Dataset: "loop@3",
		EvalDataset: "loop.eval@3", Counts: counts, Sequence: 42, Decision: &decision})
	s.answer("GET /v1/campaigns/loop/rounds/1", api.Round{Campaign: "loop", Round: 1, State: "open", Counts: counts, Decision: &api.Decision{
		Strategy: "uniform", Components: []api.Component{{Domain: "train", Name: "everything", Over: "base", Share: 1, Quota: 1500}}}})
	s.answer("POST /v1/outcomes", api.Posted{Accepted: 2, Sequence: 5})
	s.answer("POST /v1/models/learner/3/seal", api.Model{ModelLine: "learner", Version: "3", Rows: 3000, Sealed: true, Sequence: 77})
	three := api.Dataset{Name: "loop", Version: 3, Samples: 4500, Manifest: loop.Digest{0xab}, Sequence: 99, Campaign: "loop", Split: "train"}
	s.answer("GET /v1/datasets", api.DatasetList{Datasets: []api.Dataset{three}})
	s.answer("GET /v1/datasets/loop", api.DatasetList{Datasets: []api.Dataset{{Name: "loop", Version: 2, Samples: 3000, Campaign: "loop", Split: "train"}, three}})
	s.answer("GET /v1/datasets/loop/3", three)
	s.answer("POST /v1/sql", api.Table{Columns: []string{"light", "n", "accuracy", "n"}, Sequence: 42, Rows: [][]any{
		{"low", json.Number("9007199254740993"), .25, 1}, {"dim\x1b[31m\nlight", 3, nil, 2}}})
	s.answer("GET /v1/status", api.Status{Version: "1", Node: "a", Role: "leader", UptimeSeconds: 3725.2, Sequence: 42, ViewSequence: 41, Campaigns: summary,
		Workers: []api.Worker{{Name: "w1", Type: "cpu", Slots: 2, Busy: 1, Generators: []string{"shapes@1"}, Committed: 100, Rejected: 1, Rate: 523.42}}})
}

// TestGolden: what people see of every command. Run with -update to write the
// files, and read the difference before committing it.
func TestGolden(t *testing.T) {
	s := newService(t)
	s.answers()
	for name, line := range map[string]string{
		"space-put":          "space put -",
		"space-list":         "space list",
		"space-list-json":    "space list -o json",
		"space-show":         "space show shapes@1",
		"space-check":        "space check ../../examples/shapes/space.yaml --draw 3",
		"space-check-parts":  "space check ../../examples/parts/space.yaml --draw 2",
		"space-check-yaml":   "space check ../../examples/shapes/space.yaml --draw 1 --seed 2 --output yaml",
		"policy-put":         "policy put - --output=json",
		"policy-list":        "policy list",
		"policy-list-json":   "policy list --output json",
		"policy-show":        "policy show plain",
		"campaign-create":    "campaign create -",
		"campaign-list":      "campaign list",
		"campaign-show":      "campaign show loop",
		"campaign-show-json": "campaign show loop --output json",
		"round-show":         "round show loop 3",
		"round-explain":      "round explain loop 3",
		"round-explain-1":    "round explain loop 1",
		"outcomes-push":      "outcomes push - --space shapes --model learner@3",
		"model-seal":         "model seal learner@3 --rows 3000",
		"dataset-list":       "dataset list",
		"dataset-versions":   "dataset list loop",
		"dataset-show":       "dataset show loop",
		"dataset-show-json":  "dataset show loop@3 --output json",
		"sql":                "sql select",
		"sql-json":           "sql select --output json",
		"status":             "status",
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := hone(t, "name: x\n", append(strings.Fields(line), "--server", s.URL)...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if stdout != string(want) {
				t.Errorf("got\n%s\nwant\n%s", stdout, want)
			}
		})
	}
}

// TestCampaignShowWords: scripts read these names.
func TestCampaignShowWords(t *testing.T) {
	s := newService(t)
	s.answers()
	_, stdout, _ := hone(t, "", "campaign", "show", "loop", "--output", "json", "--server", s.URL)
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"name", "state", "requested", "committed", "rejected", "replaced", "abandoned", "in_flight", "pending", "round"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%q is missing in %s", name, stdout)
		}
	}
}

// TestExitCodes: a script tells by the code what went wrong; stdout stays empty.
func TestExitCodes(t *testing.T) {
	s := newService(t)
	s.answers()
	s.answer("GET /v1/spaces/none", api.NewProblem(404, `there is no space "none"`))
	s.answer("POST /v1/models/learner/4/seal", api.NewProblem(409, "3000 rows were posted, not 1"))
	s.answer("GET /v1/spaces/bad", api.NewProblem(422, "it cannot be", api.Mistake{Location: "factors[0]", Message: "no levels"}))
	s.answer("GET /v1/spaces/broken", api.NewProblem(500, "the server failed"))
	file := filepath.Join(t.TempDir(), "x")
	for _, c := range []struct {
		line   string
		code   int
		stderr string
	}{
		{"space show none", 3, `hone: there is no space "none"`},
		{"model seal learner@4 --rows 1", 4, "3000 rows were posted, not 1"},
		{"space show bad", 1, "factors[0]: no levels"},
		{"space show broken", 1, "the server failed"},
		{"space put " + file, 1, "no such file"},
		{"status --server http://127.0.0.1:1", 6, "no server answers at http://127.0.0.1:1"},
		{"status --server http://127.0.0.1:1", 6, "(hone serve starts one; --server or HONE_SERVER names another)"},
		{"spcae list", 2, `there is no command "spcae". Did you mean "space"?`},
		{"space lst", 2, `there is no command "space lst". Did you mean "list"?`},
		{"model view", 2, `there is no command "model view" (known are seal)`},
		{"slices x --order four", 2, `--order: "four" is not a whole number`},
		{"space", 2, "needs one of the commands init, put, show, list"},
		{"space put", 2, "hone space put needs FILE"},
		{"space show a b", 2, `"b" is too much`},
		{"space show a@0", 2, "NAME or NAME@VERSION"},
		{"status extra", 2, "takes no argument"},
		{"status --outptu json", 2, "there is no flag --outptu. Did you mean --output?"},
		{"status --output xml", 2, `not "xml"`},
		{"round show loop x", 2, "N is a number from 1"},
		{"round show loop -- -3", 2, "N is a number from 1"},
		{"outcomes push - --space s", 2, `needs --model`},
		{"outcomes push - --space s --model m", 2, "is not LINE@VERSION"},
		{"model seal learner@3", 2, `needs --rows`},
		{"model seal learner@3 --rows many", 2, "many"},
	} {
		t.Run(c.line, func(t *testing.T) {
			// The server stands first: a flag of a command before the command.
			code, stdout, stderr := hone(t, "", append([]string{"--server", s.URL}, strings.Fields(c.line)...)...)
			if code != c.code || !strings.Contains(stderr, c.stderr) || stdout != "" {
				t.Errorf("exit code %d, want %d\nstderr %q\nwant   %q\nstdout %q", code, c.code, stderr, c.stderr, stdout)
			}
		})
	}
}

// TestFlagsAnywhere: before the command, between and behind the arguments, and
// from the environment.
func TestFlagsAnywhere(t *testing.T) {
	s := newService(t)
	s.answers()
	for _, line := range []string{
		"--server URL --output json round show loop 3",
		"round --server URL show --output json loop 3",
		"round show --output json loop --server URL 3",
		"round show loop 3 --server=URL -o json",
		"round show --server URL --output json -- loop 3",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "URL", s.URL))
		code, stdout, stderr := hone(t, "", args...)
		if code != 0 || !strings.HasPrefix(stdout, `{"campaign":"loop","round":3`) {
			t.Errorf("%s: exit code %d, %s%s", line, code, stderr, stdout)
		}
	}
	t.Setenv("HONE_SERVER", s.URL)
	if code, _, stderr := hone(t, "", "status"); code != 0 {
		t.Errorf("HONE_SERVER: exit code %d, %s", code, stderr)
	}
}

// TestPush: what is pushed arrives with all that was said of it.
func TestPush(t *testing.T) {
	s := newService(t)
	s.answers()
	arrow := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(arrow, []byte("\xff\xff\xff\xffrest"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := hone(t, "", "outcomes", "push", arrow, "--server", s.URL, "--space", "shapes", "--model", "learner@3",
		"--task", "detect", "--eval-set", "field@3", "--run", "r", "--key", "k")
	if code != 0 {
		t.Fatal(stderr)
	}
	if got, want := s.last.URL.RawQuery, "eval_set=field%403&model=learner%403&run=r&space=shapes&task=detect"; got != want {
		t.Errorf("query is %s, want %s", got, want)
	}
	if got := s.last.Header.Get("Content-Type") + " " + s.last.Header.Get("Idempotency-Key"); got != api.Arrow+" k" {
		t.Errorf("type and key are %q", got)
	}
	if string(s.body) != "\xff\xff\xff\xffrest" {
		t.Errorf("body is %q", s.body)
	}
	code, _, _ = hone(t, "{}\n{}", "outcomes", "push", "-", "--server", s.URL, "--space", "shapes", "--model", "learner@3")
	if code != 0 || s.last.Header.Get("Content-Type") != api.NDJSON || string(s.body) != "{}\n{}" || s.last.Header.Get("Idempotency-Key") == "" {
		t.Errorf("from stdin: code %d, %v, %q", code, s.last.Header, s.body)
	}
}

// TestInterrupted: Ctrl-C is 130, and says nothing.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked, leave := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-leave
	}))
	defer server.Close()
	defer close(leave)
	go func() { <-asked; cancel() }()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"hone", "status", "--server", server.URL}, nil, &out, &errs); code != 130 || out.Len()+errs.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out.String(), errs.String())
	}
}

// TestHelp: every command explains itself, with an example that names it.
func TestHelp(t *testing.T) {
	var visit func(path []string, c *cli.Command)
	visit = func(path []string, c *cli.Command) {
		path = append(path[:len(path):len(path)], c.Name)
		line := strings.Join(path, " ")
		code, stdout, _ := hone(t, "", append(path[1:], "--help")...)
		if code != 0 || !strings.Contains(stdout, line) {
			t.Errorf("%s --help: exit code %d, %s", line, code, stdout)
		}
		for _, sub := range c.Subcommands {
			visit(path, sub)
		}
		if len(c.Subcommands) > 0 {
			return
		}
		for _, want := range []string{"Example", "\n      " + line, "--output"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s --help lacks %q:\n%s", line, want, stdout)
			}
		}
	}
	for _, c := range newApp(nil, io.Discard, io.Discard).Commands {
		visit([]string{"hone"}, c)
	}
	if code, stdout, _ := hone(t, "", "--help"); code != 0 || !strings.Contains(stdout, "COMMANDS") {
		t.Errorf("--help: exit code %d, %s", code, stdout)
	}
}

// published is a dataset version with two samples behind a server.
type published struct {
	rows    []api.ManifestRow
	samples map[loop.Digest][]byte
	dataset api.Dataset
}

func publish(t *testing.T) *published {
	t.Helper()
	p := &published{samples: map[loop.Digest][]byte{}}
	for i := range 3 {
		name := loop.Name{Round: 1, Index: uint64(i)}
		entries, digest, err := loop.AppendSample(nil, name.Key(), []loop.Member{{Ext: "png", Bytes: []byte{byte(i), 9}}, {Ext: "json", Bytes: []byte("{}")}})
		if err != nil {
			t.Fatal(err)
		}
		p.samples[digest] = entries
		p.rows = append(p.rows, api.ManifestRow{Round: 1, Index: uint64(i), Digest: digest, Weight: 1, Split: "train"})
	}
	return p
}

func (p *published) manifest() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, `{"name":"loop","version":1}`)
	for _, r := range p.rows {
		json.NewEncoder(&b).Encode(r)
	}
	return b.Bytes()
}

// serve publishes p as it is, under the digest of the manifest it has now.
func (p *published) serve(t *testing.T) *service {
	s := newService(t)
	p.dataset = api.Dataset{Name: "loop", Version: 1, Samples: int64(len(p.rows)), Manifest: sha256.Sum256(p.manifest()), Split: "train"}
	s.answer("GET /v1/datasets/loop", api.DatasetList{Datasets: []api.Dataset{p.dataset}})
	s.mux.HandleFunc("GET /v1/datasets/loop/1/manifest", func(w http.ResponseWriter, _ *http.Request) { w.Write(p.manifest()) })
	s.mux.HandleFunc("POST /v1/samples", func(w http.ResponseWriter, r *http.Request) {
		var wanted api.Wanted
		json.NewDecoder(r.Body).Decode(&wanted)
		for _, d := range wanted.Digests {
			w.Write(p.samples[d])
		}
		w.Write(make([]byte, 1024))
	})
	return s
}

// TestVerify is I8 as a user can check it.
func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*published)
		after func(*published) // once the version is published
		code  int
		want  string
	}{
		{"good", nil, nil, 0, `"duplicate_indices":0,"duplicate_digests":0,"faults":[]`},
		{"equal bytes of two indices", func(p *published) { p.rows[2].Digest = p.rows[0].Digest }, nil, 0, `"duplicate_digests":1,"faults":[]`},
		{"an index twice", func(p *published) { p.rows[2] = p.rows[0] }, nil, 1, `"duplicate_indices":1`},
		{"another manifest", nil, func(p *published) { p.rows[1].Weight = 2 }, 1, "the manifest hashes to"},
		{"a row less", nil, func(p *published) { p.rows = p.rows[:2] }, 1, "the manifest has 2 rows, but should have 3"},
		{"of another split", func(p *published) { p.rows[1].Split = "evaluation" }, nil, 1, "is of split evaluation, not train"},
		{"another sample", nil, func(p *published) { p.samples[p.rows[1].Digest] = p.samples[p.rows[0].Digest] }, 1, "but the bytes that came are"},
		{"a sample less", nil, func(p *published) { delete(p.samples, p.rows[2].Digest) }, 1, "sent 0 of the 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := publish(t)
			if c.spoil != nil {
				c.spoil(p)
			}
			s := p.serve(t)
			if c.after != nil {
				c.after(p)
			}
			code, stdout, stderr := hone(t, "", "dataset", "verify", "loop", "--server", s.URL, "--output", "json")
			if code != c.code || !strings.Contains(stdout, c.want) {
				t.Errorf("exit code %d, want %d\n%s%s\nwant %s", code, c.code, stdout, stderr, c.want)
			}
		})
	}
	p := publish(t)
	code, stdout, _ := hone(t, "", "dataset", "verify", "loop", "--server", p.serve(t).URL)
	if code != 0 || !strings.Contains(stdout, "3 of 3 hashed again, 12 bytes") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}
