package ingest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"hone/api"
	"hone/loop"
)

func TestPostNDJSON(t *testing.T) {
	w := newWorld()
	server, _ := serve(t, w, Options{})
	body := `{"example":"a17","group":"clip3","scenario":{"light":"low","pose":null},"correct":false,"loss":1.2,"origin":"real","uri":"s3://field/3/é 17.png"}

{"sample":"` + sampleDigest.String() + `","correct":true}
{"example":"b","scenario":{"size":12.5,"glove":"no"},"correct":true,"loss":-0.0000005}
{"example":"c","scenario":{"glove":"yes","glove_colour":"blue","size":"small"},"correct":true,"origin":"synthetic"}
`
	got := post(t, server, api.NDJSON, strings.NewReader(body), "task", "detect", "eval_set", "field@3", "run", "r1")
	if got.status != 200 || got.posted != (api.Posted{Accepted: 4, Sequence: 1}) {
		t.Fatalf("got %+v", got)
	}
	p := w.counted[0]
	p.Post.Body = loop.Digest{}
	p.Post.Key = ""
	if want := (loop.Post{Space: "test", ModelLine: "line", Version: "1", Task: "detect", EvalSet: "field@3", Run: "r1"}); p.Post != want {
		t.Errorf("post is %+v, want %+v", p.Post, want)
	}
	const u, a = loop.Unknown, loop.Absent
	nan := math.NaN()
	want := []loop.Outcome{
		{Example: "a17", Group: "clip3", Scenario: []loop.Code{0, u, u, u, u, u}, Loss: 1_200_000, HasLoss: true, Origin: loop.Real, Source: loop.SourceTarget,
			URI: "s3://field/3/é 17.png"},
		{Example: sampleDigest.String(), Group: sampleDigest.String(), Sample: sampleDigest, Scenario: []loop.Code{0, 1, 1, 1, a, a},
			Values: []float64{nan, nan, 15, nan, nan, nan}, Correct: true, Origin: loop.Synthetic, Source: loop.SourceProbe, Weight: .75},
		{Example: "b", Group: "b", Scenario: []loop.Code{u, u, 1, 1, a, a}, Values: []float64{nan, nan, 12.5, nan, nan, nan},
			Correct: true, HasLoss: true, Origin: loop.Real, Source: loop.SourceTarget},
		// The colour is not red, so the tint is absent though nobody said so.
		{Example: "c", Group: "c", Scenario: []loop.Code{u, u, 0, 0, 1, a}, Correct: true, Origin: loop.Synthetic, Source: loop.SourceTarget},
	}
	for i, o := range p.Rows {
		if want[i].Values == nil {
			want[i].Values = []float64{nan, nan, nan, nan, nan, nan}
		}
		if !sameValues(o.Values, want[i].Values) {
			t.Errorf("row %d: values %v, want %v", i+1, o.Values, want[i].Values)
		}
		o.Values, want[i].Values = nil, nil
		if !reflect.DeepEqual(o, want[i]) {
			t.Errorf("row %d:\n got %+v\nwant %+v", i+1, o, want[i])
		}
	}
}

// TestRefusedNDJSON: every kind of bad input gets one clear answer, by row and
// column, and nothing is counted.
func TestRefusedNDJSON(t *testing.T) {
	row := func(scenario string) string { return `{"example":"e","correct":true,"scenario":` + scenario + `}` }
	other := loop.Digest{9}.String()
	for _, c := range []struct {
		name, body string
		status     int
		want       []string // of the mistakes, in order
	}{
		{"empty", "", 422, []string{"body: no row"}},
		{"blank", "\n \n\r\n", 422, []string{"body: no row"}},
		{"unknown factor", row(`{"ligth":"low"}`), 422, []string{`row 1, column ligth: "ligth" is not a factor of space "test" (did you mean "light"?)`}},
		{"unknown level", "\n" + row(`{"light":"lo"}`), 422, []string{`row 2, column light: "lo" is not a level of "light" (did you mean "low"?)`}},
		{"far from any level", row(`{"light":"infrared"}`), 422, []string{`known are low, high`}},
		{"out of every bin", row(`{"size":20}`), 422, []string{`row 1, column size: 20 lies in no bin of "size" (allowed: 0 <= value < 20`}},
		{"number too large", row(`{"size":1e999}`), 422, []string{`+Inf lies in no bin`}},
		{"number for a category", row(`{"light":3}`), 422, []string{`3 is a number, but "light" is categorical`}},
		{"boolean level", row(`{"glove":true}`), 422, []string{`row 1, column glove: true is not a level's name`}},
		{"factor outside of scenario", `{"example":"e","correct":true,"light":"low"}`, 422, []string{`row 1, column light: factors stand in "scenario"`}},
		{"unknown member", `{"example":"e","corect":true}`, 422, []string{`"corect" is not a member of a row (did you mean "correct"?)`, `column correct: missing`}},
		{"importance weight", `{"example":"e","correct":true,"importance_weight":-1}`, 422, []string{`"importance_weight" is not a member of a row`}},
		{"correct missing", `{"example":"e"}`, 422, []string{"row 1, column correct: missing"}},
		{"correct null", `{"example":"e","correct":null}`, 422, []string{"row 1, column correct: missing"}},
		{"correct a number", `{"example":"e","correct":1}`, 422, []string{"row 1, column correct: 1 is not true or false"}},
		{"nothing named", `{"correct":true}`, 422, []string{"row 1, column example: the row names neither an example nor a sample"}},
		{"loss too large", `{"example":"e","correct":true,"loss":1e4}`, 422, []string{"row 1, column loss: 10000 is not a loss"}},
		{"loss infinite", `{"example":"e","correct":true,"loss":1e999}`, 422, []string{"row 1, column loss: +Inf is not a loss"}},
		{"loss a string", `{"example":"e","correct":true,"loss":"1"}`, 422, []string{`row 1, column loss: "1" is not a number`}},
		{"loss NaN", `{"example":"e","correct":true,"loss":NaN}`, 400, []string{"row 1: NaN and Infinity are not JSON"}},
		{"loss -Infinity", `{"example":"e","correct":true,"loss":-Infinity}`, 400, []string{"row 1: NaN and Infinity are not JSON"}},
		{"origin", `{"example":"e","correct":true,"origin":"made"}`, 422, []string{`"made" is not an origin (real or synthetic)`}},
		{"absent where always present", row(`{"light":"absent"}`), 422, []string{`row 1, column light: "light" is always present`}},
		{"absent where present", row(`{"glove":"yes","glove_colour":"absent"}`), 422, []string{`"glove_colour" is present where glove=yes`}},
		{"present where absent", row(`{"glove":"no","glove_colour":"red"}`), 422, []string{`"glove_colour" is absent where glove=no`}},
		{"present where absent, two steps", row(`{"glove":"no","glove_tint":"pale"}`), 422, []string{`"glove_tint" is absent where glove_colour=absent`}},
		{"unknown sample", "\n" + `{"sample":"` + other + `","correct":true}`, 422, []string{"row 2, column sample: no committed sample"}},
		{"no digest", `{"sample":"abc","correct":true}`, 422, []string{`row 1, column sample: "abc" is not a digest`}},
		{"a real sample", `{"sample":"` + sampleDigest.String() + `","correct":true,"origin":"real"}`, 422, []string{"column origin: the sample is synthetic"}},
		{"sample contradicted", `{"sample":"` + sampleDigest.String() + `","correct":true,"scenario":{"light":"high"}}`, 422, []string{"row 1, column light: the sample was made with light=low"}},
		{"control character", `{"example":"a\u0000b","correct":true}`, 422, []string{"holds a control character"}},
		{"long example", `{"example":"` + strings.Repeat("x", 1025) + `","correct":true}`, 422, []string{"row 1, column example: 1025 bytes; at most 1024 are allowed"}},
		{"long uri", "\n" + `{"example":"e","correct":true,"uri":"` + strings.Repeat("x", 2049) + `"}`, 422, []string{"row 2, column uri: 2049 bytes; at most 2048 are allowed"}},
		{"uri of two lines", `{"example":"e","correct":true,"uri":"s3://a\nb"}`, 422, []string{"row 1, column uri: \"s3://a\\nb\" holds a control character"}},
		{"empty uri", `{"example":"e","correct":true,"uri":""}`, 422, []string{"row 1, column uri: empty"}},
		{"uri a number", `{"example":"e","correct":true,"uri":7}`, 422, []string{"row 1, column uri: 7 is not a string"}},
		{"uri twice", `{"example":"e","correct":true,"uri":"a","uri":"b"}`, 400, []string{`row 1: the member "uri" stands twice`}},
		{"not an object", `[1,2]`, 422, []string{"row 1: a row is an object"}},
		{"scenario not an object", `{"example":"e","correct":true,"scenario":["low"]}`, 422, []string{"column scenario: [\"low\"] is not an object"}},
		{"two mistakes in two rows", row(`{"light":"x"}`) + "\n" + row(`{"pose":"up"}`), 422, []string{"row 1, column light", "row 2, column pose"}},
		{"truncated", `{"example":"e","correct":tr`, 400, []string{"row 1: not JSON: expected true but got 't'"}},
		{"two rows on a line", `{"example":"e","correct":true}{"example":"f","correct":true}`, 400, []string{"row 1: not JSON: expected the end of the line"}},
		{"duplicate member", `{"example":"e","correct":true,"correct":false}`, 400, []string{`row 1: the member "correct" stands twice`}},
		{"duplicate factor", row(`{"light":"low","light":"high"}`), 400, []string{`row 1: the factor "light" stands twice`}},
		{"invalid UTF-8", "{\"example\":\"\xff\",\"correct\":true}", 400, []string{"row 1: not valid UTF-8"}},
		{"half a surrogate pair", `{"example":"\ud800x","correct":true}`, 400, []string{"half a surrogate pair"}},
		{"nested deeply", row(strings.Repeat(`{"x":`, 5000) + `1` + strings.Repeat(`}`, 5000)), 400, []string{`"x" is not a factor`, "row 1: nested more than 16 deep"}},
		{"mistake, then malformed", row(`{"light":"x"}`) + "\nnonsense", 400, []string{"row 1, column light", "row 2: not JSON"}},
		{"long line", `{"example":"` + strings.Repeat("x", maxLine) + `"}`, 400, []string{"row 1: the line has more than 1048576 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			server, _ := serve(t, w, Options{})
			// A good row before and after does not help: all or nothing.
			got := post(t, server, api.NDJSON, strings.NewReader(c.body))
			if got.status != c.status || got.Status != c.status {
				t.Fatalf("status %d, want %d: %+v", got.status, c.status, got.Problem)
			}
			lines := strings.Split(strings.TrimSuffix(got.where(), "\n"), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("mistakes:\n%s\nwant %d", got.where(), len(c.want))
			}
			for i := range lines {
				if !strings.Contains(lines[i], c.want[i]) {
					t.Errorf("mistake %d is\n  %s\nwant\n  %s", i+1, lines[i], c.want[i])
				}
			}
			if len(w.parts)+w.appends > 0 {
				t.Error("something was written")
			}
		})
	}
}

func TestAllOrNothing(t *testing.T) {
	w := newWorld()
	server, _ := serve(t, w, Options{MaxMistakes: 3})
	var body strings.Builder
	for i := range 50 {
		light := "low"
		if i%10 == 5 {
			light = "dim"
		}
		fmt.Fprintf(&body, `{"example":"e%d","correct":true,"scenario":{"light":%q}}`+"\n", i, light)
	}
	got := post(t, server, api.NDJSON, strings.NewReader(body.String()))
	if got.status != 422 || len(got.Errors) != 3 || !strings.Contains(got.Detail, "5 mistakes, of which the first 3") {
		t.Errorf("got %+v", got.Problem)
	}
	if got.Errors[2].Location != "row 26, column light" || got.Errors[2].Value != "dim" {
		t.Errorf("third mistake is %+v", got.Errors[2])
	}
	if len(w.counted) != 0 {
		t.Error("something was counted")
	}
}

func TestRefusedRequest(t *testing.T) {
	good := `{"example":"e","correct":true}`
	for _, c := range []struct {
		name      string
		overrides []string
		body      string
		status    int
		want      string
	}{
		{"no such space", []string{"space", "nowhere"}, good, 404, `there is no space "nowhere"`},
		{"no space", []string{"space", ""}, good, 422, "query.space"},
		{"no version", []string{"model", "line"}, good, 422, "query.model"},
		{"eval set", []string{"eval_set", "a b"}, good, 422, "query.eval_set"},
		{"task", []string{"task", "1/2"}, good, 422, "query.task"},
		{"parameter", []string{"modle", "x"}, good, 422, `query.modle: there is no such parameter (did you mean "model"?)`},
		{"our own key", []string{"Idempotency-Key", "hone:post:1"}, good, 422, "header.Idempotency-Key"},
		{"long key", []string{"Idempotency-Key", strings.Repeat("k", 256)}, good, 422, "at most 255 bytes"},
		{"type", []string{"Content-Type", "text/csv"}, good, 415, "not as \"text/csv\""},
		{"no type", []string{"Content-Type", ""}, good, 415, "outcomes are posted as"},
		{"encoding", []string{"Content-Encoding", "gzip"}, good, 415, "send it as it is"},
		{"too large", nil, strings.Repeat("\n", 2000), 413, "at most 1000 bytes"},
		{"too many rows", nil, strings.Repeat(good+"\n", 11), 413, "at most 10 rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			server, _ := serve(t, w, Options{MaxBody: 1000, MaxRows: 10})
			for _, chunked := range []bool{false, true} {
				var body io.Reader = strings.NewReader(c.body)
				if chunked { // the length is not announced
					body = io.MultiReader(body)
				}
				got := post(t, server, api.NDJSON, body, c.overrides...)
				if got.status != c.status || !strings.Contains(got.Detail+"\n"+got.where(), c.want) {
					t.Errorf("chunked %v: got %d %+v, want %d %s", chunked, got.status, got.Problem, c.status, c.want)
				}
			}
			if len(w.parts) > 0 {
				t.Error("something was written")
			}
		})
	}
}

// TestKeys is C22, end to end.
func TestKeys(t *testing.T) {
	w := newWorld()
	server, _ := serve(t, w, Options{})
	const a, b = `{"example":"a","correct":true}`, `{"example":"b","correct":true}`
	w.sealed["done@1"] = true
	for i, c := range []struct {
		body      string
		overrides []string
		status    int
		want      api.Posted
	}{
		{a, []string{"Idempotency-Key", "k"}, 200, api.Posted{Accepted: 1, Sequence: 1}},
		{a, []string{"Idempotency-Key", "k"}, 200, api.Posted{DuplicateOf: 1}},
		{b, []string{"Idempotency-Key", "k"}, 422, api.Posted{}},
		{a, []string{"Idempotency-Key", "k", "run", "r"}, 200, api.Posted{Accepted: 1, Sequence: 4}},
		// Without a key and a run, equal posts of two jobs both count.
		{a, nil, 200, api.Posted{Accepted: 1, Sequence: 5}},
		{a, nil, 200, api.Posted{Accepted: 1, Sequence: 6}},
		// With a run, the body is the key, for one task and eval set.
		{a, []string{"run", "r2"}, 200, api.Posted{Accepted: 1, Sequence: 7}},
		{a, []string{"run", "r2"}, 200, api.Posted{DuplicateOf: 7}},
		{b, []string{"run", "r2"}, 200, api.Posted{Accepted: 1, Sequence: 9}},
		{a, []string{"run", "r2", "task", "segment"}, 200, api.Posted{Accepted: 1, Sequence: 10}},
		{a, []string{"run", "r3"}, 200, api.Posted{Accepted: 1, Sequence: 11}},
		{a, []string{"model", "done@1"}, 409, api.Posted{}},
	} {
		got := post(t, server, api.NDJSON, strings.NewReader(c.body), c.overrides...)
		if got.status != c.status || got.posted != c.want {
			t.Errorf("post %d: got %d %+v %+v, want %d %+v", i+1, got.status, got.posted, got.Problem, c.status, c.want)
		}
	}
}

// TestUnknown is C10: an error of the log is not a failure, and ingest's own
// resends are recognised.
func TestUnknown(t *testing.T) {
	lost := errors.New("the answer got lost")
	const a = `{"example":"a","correct":true}`
	for _, c := range []struct {
		name      string
		world     func(*world)
		overrides []string
		want      api.Posted
	}{
		{"append fails twice", func(w *world) {
			w.before = func(n int) error {
				if n < 3 {
					return lost
				}
				return nil
			}
		}, nil, api.Posted{Accepted: 1, Sequence: 1}},
		{"answer lost, key assigned", func(w *world) {
			w.after = func(n int) error {
				if n == 1 {
					return lost
				}
				return nil
			}
		}, nil, api.Posted{Accepted: 1, Sequence: 1}},
		// The poster may have sent this key before: that it counted is all one knows.
		{"answer lost, poster's key", func(w *world) {
			w.after = func(n int) error {
				if n == 1 {
					return lost
				}
				return nil
			}
		}, []string{"Idempotency-Key", "k"}, api.Posted{DuplicateOf: 1}},
		{"lake fails twice", func(w *world) {
			w.partFails = func(n int) error {
				if n < 3 {
					return lost
				}
				return nil
			}
		}, nil, api.Posted{Accepted: 1, Sequence: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			c.world(w)
			server, _ := serve(t, w, Options{})
			got := post(t, server, api.NDJSON, strings.NewReader(a), c.overrides...)
			if got.status != 200 || got.posted != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if len(w.counted) != 1 {
				t.Errorf("counted %d times", len(w.counted))
			}
		})
	}
	t.Run("for good", func(t *testing.T) {
		w := newWorld()
		w.before = func(int) error { return lost }
		server, _ := serve(t, w, Options{Patience: 1})
		for key, want := range map[string]string{"k": "with the same Idempotency-Key", "": "bore no Idempotency-Key"} {
			overrides := []string{}
			if key != "" {
				overrides = []string{"Idempotency-Key", key}
			}
			if got := post(t, server, api.NDJSON, strings.NewReader(a), overrides...); got.status != 503 || !strings.Contains(got.Detail, want) {
				t.Errorf("got %+v, want 503 and %q", got, want)
			}
		}
	})
}

// TestSpaceMovesOn: what a view knows of a sample is coded by a version of the
// space that was put while the post was being read. It is not mixed up with the
// post's own, but asked for again.
func TestSpaceMovesOn(t *testing.T) {
	w := newWorld()
	server, _ := serve(t, w, Options{})
	w.respaced = testSpace()
	w.respaced.Version = 2
	w.respaced.Factors[0], w.respaced.Factors[1] = w.respaced.Factors[1], w.respaced.Factors[0]
	row := func() io.Reader {
		return strings.NewReader(`{"sample":"` + sampleDigest.String() + `","correct":true}`)
	}
	if got := post(t, server, api.NDJSON, row()); got.status != http.StatusServiceUnavailable || !strings.Contains(got.Detail, "became version 2") || len(w.counted) != 0 {
		t.Errorf("%d %s, %d posts counted", got.status, got.Detail, len(w.counted))
	}
}
