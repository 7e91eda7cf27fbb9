package ingest

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"hone/api"
	"hone/loop"
)

// taskSpace is the test space with two tasks, of which one has a threshold either
// way and a metric that only reports.
func taskSpace() *loop.Space {
	s, half, five, tenth := testSpace(), .5, 5., .1
	s.Tasks = []loop.Task{
		{Name: "segment", Metrics: []loop.Metric{{Name: "dice", Better: loop.Higher, Fail: &tenth}}},
		{Name: "detect", Metrics: []loop.Metric{
			{Name: "iou", Better: loop.Higher, Fail: &half}, {Name: "error_mm", Unit: "mm", Better: loop.Lower, Fail: &five}, {Name: "millis", Better: loop.Lower}}},
	}
	return s
}

func sameMetrics(t *testing.T, o loop.Outcome, correct bool, want ...float64) {
	t.Helper()
	if o.Correct != correct || !sameValues(o.Metrics, want) {
		t.Errorf("%s: correct %v, metrics %v; want %v, %v", o.Example, o.Correct, o.Metrics, correct, want)
	}
}

// TestMetrics: a row may have its task's metrics, in either encoding, and what is
// correct follows from those with a threshold, unless none was measured.
func TestMetrics(t *testing.T) {
	rows := []string{
		`{"example":"a","iou":0.6,"error_mm":5}`, // a threshold itself does not fail
		`{"example":"b","iou":0.4,"error_mm":1}`,
		`{"example":"c","iou":0.5,"error_mm":5.1,"millis":-3}`,
		`{"example":"d","correct":false,"millis":3}`,
		`{"example":"e","correct":true,"iou":1,"error_mm":null}`,
		`{"example":"f","correct":true}`,
		`{"example":"g","error_mm":1e300,"iou":null,"correct":null}`,
	}
	f64 := arrow.PrimitiveTypes.Float64
	fields := append(common[:2:2], field("iou", arrow.PrimitiveTypes.Float64), field("error_mm", f64), field("millis", arrow.PrimitiveTypes.Int32))
	for kind, body := range map[string][]byte{
		api.NDJSON: []byte(strings.Join(rows, "\n")),
		api.Arrow:  stream(t, fields, []string{"[" + strings.Join(rows, ",") + "]"}),
	} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld()
			w.space = taskSpace()
			server, _ := serve(t, w, Options{})
			if got := post(t, server, kind, bytes.NewReader(body), "task", "detect"); got.posted.Accepted != int64(len(rows)) {
				t.Fatalf("got %+v", got)
			}
			if task := w.counted[0].Post.Task; task != "detect" {
				t.Errorf("the task is %q", task)
			}
			n, o := math.NaN(), w.counted[0].Rows
			sameMetrics(t, o[0], true, n, .6, 5, n)
			sameMetrics(t, o[1], false, n, .4, 1, n)
			sameMetrics(t, o[2], false, n, .5, 5.1, -3)
			sameMetrics(t, o[3], false, n, n, n, 3)
			sameMetrics(t, o[4], true, n, 1, n, n)
			sameMetrics(t, o[5], true, n, n, n, n)
			sameMetrics(t, o[6], false, n, n, 1e300, n)
		})
	}
}

// TestTaskNamed: which task a post is of, and which need not say it.
func TestTaskNamed(t *testing.T) {
	const row = `{"example":"a","correct":true}`
	two := taskSpace()
	one := taskSpace()
	one.Tasks = one.Tasks[1:]
	for _, c := range []struct {
		space      *loop.Space
		task, want string
		status     int
	}{
		{two, "detect", "detect", 200},
		{two, "", "query.task: missing: space \"test\" has several tasks (segment, detect)", 422},
		{two, "detekt", `query.task: "detekt" is not a task of space "test" (did you mean "detect"?)`, 422},
		{one, "", "detect", 200},
		{one, "detect", "detect", 200},
		{one, "segment", `query.task: "segment" is not a task of space "test" (known are detect)`, 422},
		{testSpace(), "", "", 200},
		{testSpace(), "anything", "anything", 200},
	} {
		w := newWorld()
		w.space = c.space
		server, _ := serve(t, w, Options{})
		got := post(t, server, api.NDJSON, strings.NewReader(row), "task", c.task)
		said := got.where()
		if got.status == 200 {
			said = w.counted[0].Post.Task
		}
		if got.status != c.status || !strings.HasPrefix(said, c.want) {
			t.Errorf("task %q: %d %q, want %d %q", c.task, got.status, said, c.status, c.want)
		}
		if got.status == 200 && len(c.space.Tasks) == 0 && w.counted[0].Rows[0].Metrics != nil {
			t.Error("metrics in a space without any")
		}
	}
}

// TestSameKeyWithTaskLeftOut: where the task need not be named, naming it makes no
// other post of it (C22).
func TestSameKeyWithTaskLeftOut(t *testing.T) {
	w := newWorld()
	w.space = taskSpace()
	w.space.Tasks = w.space.Tasks[1:]
	server, _ := serve(t, w, Options{})
	for i, task := range []string{"", "detect"} {
		got := post(t, server, api.NDJSON, strings.NewReader(`{"example":"a","iou":1}`), "task", task, "run", "r")
		if want := (api.Posted{Accepted: int64(1 - i), Sequence: uint64(1 - i), DuplicateOf: uint64(i)}); got.posted != want {
			t.Errorf("post %d: %+v, want %+v", i, got.posted, want)
		}
	}
}

func TestRefusedMetrics(t *testing.T) {
	for _, c := range []struct {
		row    string
		status int
		want   string // of the mistakes, in order
	}{
		{`{"example":"e","iuo":1,"iou":1}`, 422, `row 1, column iuo: "iuo" is neither a member of a row nor a metric of task "detect" (did you mean "iou"?)`},
		{`{"example":"e","iou":1,"dice":1}`, 422, `row 1, column dice: "dice" is a metric of task "segment", and the rows are of task "detect"`},
		{`{"example":"e","iou":1,"light":"low"}`, 422, `row 1, column light: factors stand in "scenario"`},
		{`{"example":"e","iou":"1"}`, 422, `row 1, column iou: "1" is not a number`},
		{`{"example":"e","iou":{"a":[1]}}`, 422, `row 1, column iou: {"a":[1]} is not a number`},
		{`{"example":"e","iou":1e999}`, 422, `row 1, column iou: +Inf is not a finite number`},
		{`{"example":"e","iou":-1e999,"error_mm":6}`, 422, `row 1, column iou: -Inf is not a finite number`},
		{`{"example":"e","iou":NaN}`, 400, `row 1: NaN and Infinity are not JSON`},
		{`{"example":"e","iou":1,"iou":null}`, 400, `row 1: the metric "iou" stands twice`},
		{`{"example":"e"}`, 422, `row 1, column correct: missing (true or false, or else a number for iou or error_mm)`},
		{`{"example":"e","millis":1}`, 422, `row 1, column correct: missing`},
		{`{"example":"e","correct":true,"iou":0.3}`, 422, `row 1, column correct: true, but iou=0.3 fails, being below 0.5`},
		{`{"example":"e","correct":true,"iou":0.7,"error_mm":9}`, 422, `row 1, column correct: true, but error_mm=9 fails, being above 5`},
		{`{"example":"e","correct":false,"iou":0.7,"error_mm":2,"millis":9}`, 422, `row 1, column correct: false, but iou=0.7, error_mm=2 fails by no threshold`},
		{`{"example":"ok","iou":1}` + "\n" + `{"example":"e","correct":false,"iou":0.7}`, 422, `row 2, column correct: false, but iou=0.7`},
	} {
		w := newWorld()
		w.space = taskSpace()
		server, _ := serve(t, w, Options{})
		got := post(t, server, api.NDJSON, strings.NewReader(c.row), "task", "detect")
		if got.status != c.status || len(got.Errors) != 1 || !strings.HasPrefix(got.where(), c.want) || len(w.parts) > 0 {
			t.Errorf("%s\n got %d %s\nwant %d %s", c.row, got.status, got.where(), c.status, c.want)
		}
	}
	f64, text := arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String
	for _, c := range []struct {
		name   string
		fields []arrow.Field
		rows   string
		want   string
	}{
		{"unknown", []arrow.Field{field("iuo", f64)}, `[{"example":"a","correct":true,"iuo":1}]`,
			`column iuo: "iuo" is neither a member of a row nor a factor of space "test" nor a metric of task "detect" (did you mean "iou"?)`},
		{"of another task", []arrow.Field{field("dice", f64)}, `[{"example":"a","correct":true,"dice":1}]`, `column dice: "dice" is a metric of task "segment"`},
		{"text", []arrow.Field{field("iou", text)}, `[{"example":"a","correct":true,"iou":"1"}]`, "column iou: the column has type utf8; it must hold numbers"},
		{"contradicts", []arrow.Field{field("iou", f64)}, `[{"example":"a","correct":true,"iou":1},{"example":"b","correct":true,"iou":0.1}]`, "row 2, column correct: true, but iou=0.1"},
	} {
		w := newWorld()
		w.space = taskSpace()
		server, _ := serve(t, w, Options{})
		got := post(t, server, api.Arrow, bytes.NewReader(stream(t, append(common[:2:2], c.fields...), []string{c.rows})), "task", "detect")
		if got.status != 422 || len(got.Errors) != 1 || !strings.HasPrefix(got.where(), c.want) {
			t.Errorf("%s: got %d %s, want %s", c.name, got.status, got.where(), c.want)
		}
	}
	for _, fields := range [][]arrow.Field{{common[0]}, {common[0], field("millis", f64)}} {
		w := newWorld()
		w.space = taskSpace()
		server, _ := serve(t, w, Options{})
		got := post(t, server, api.Arrow, bytes.NewReader(stream(t, fields, []string{`[{"example":"a"}]`})), "task", "detect")
		if want := "column correct: missing (a column of booleans, or else one of numbers for iou or error_mm)"; !strings.HasPrefix(got.where(), want) {
			t.Errorf("got %s, want %s", got.where(), want)
		}
	}
}

// TestCorrectProperty: for any metrics and thresholds, what is correct is what
// loop.Metric.Fails says of each, and a row that says otherwise is refused.
func TestCorrectProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := testSpace()
		task := loop.Task{Name: "t"}
		row, want, judged := `{"example":"e"`, true, false
		for i := range rapid.IntRange(1, 5).Draw(t, "metrics") {
			m := loop.Metric{Name: fmt.Sprint("m", i), Better: rapid.SampledFrom([]loop.Direction{loop.Higher, loop.Lower}).Draw(t, "better")}
			if rapid.Bool().Draw(t, "threshold") {
				m.Fail = new(float64(rapid.IntRange(-2, 2).Draw(t, "fail")))
			}
			if rapid.Bool().Draw(t, "measured") {
				v := float64(rapid.IntRange(-3, 3).Draw(t, "value"))
				row += fmt.Sprintf(`,"m%d":%v`, i, v)
				judged = judged || m.Fail != nil
				want = want && !m.Fails(v)
			}
			task.Metrics = append(task.Metrics, m)
		}
		space.Tasks = []loop.Task{task}
		given := rapid.SampledFrom([]string{"", `,"correct":true`, `,"correct":false`}).Draw(t, "correct")
		wrong := &mistakes{limit: 20}
		b := newBuilder(space, &space.Tasks[0], wrong, 10)
		if err := decodeNDJSON(strings.NewReader(row+given+"}"), b); err != nil {
			t.Fatal(err)
		}
		said := given == `,"correct":true`
		switch refuse := !judged && given == "" || judged && given != "" && said != want; {
		case refuse != (len(wrong.list) > 0):
			t.Fatalf("%s%s}: mistakes %v, want %v", row, given, wrong.list, refuse)
		case refuse:
		case judged && b.outcomes[0].Correct != want || !judged && b.outcomes[0].Correct != said:
			t.Fatalf("%s%s}: correct is %v", row, given, b.outcomes[0].Correct)
		}
	})
}

// TestCircular: an angle may be posted as it was measured; it counts, and is kept,
// modulo the range.
func TestCircular(t *testing.T) {
	space := testSpace()
	space.Factors[2] = loop.Factor{Name: "size", Kind: loop.Numeric, Scale: loop.Circular, Levels: []loop.Level{
		{Name: "east", Low: -45, High: 45, Target: .25}, {Name: "rest", Low: 45, High: 315, Target: .75}}}
	for posted, want := range map[string]struct {
		code  loop.Code
		value float64
	}{"-45": {0, -45}, "315": {0, -45}, "405": {1, 45}, "-90": {1, 270}, "720": {0, 0}, "null": {loop.Unknown, math.NaN()}} {
		wrong := &mistakes{limit: 20}
		b := newBuilder(space, nil, wrong, 10)
		if err := decodeNDJSON(strings.NewReader(`{"example":"e","correct":true,"scenario":{"size":`+posted+`}}`), b); err != nil || len(wrong.list) > 0 {
			t.Fatal(posted, err, wrong.list)
		}
		if got := b.outcomes[0]; got.Scenario[2] != want.code || !sameValues(got.Values[2:3], []float64{want.value}) {
			t.Errorf("%s became %d, %v; want %d, %v", posted, got.Scenario[2], got.Values[2], want.code, want.value)
		}
	}
}

func FuzzMetrics(f *testing.F) {
	for _, s := range []string{
		`{"example":"a","iou":0.6,"error_mm":5}`, `{"example":"a","correct":true,"iou":1e999}`, `{"iou":null,"iou":1}`,
		`{"example":"a","dice":[1],"correct":false}`, `{"example":"a","millis":"x","correct":true}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		space, wrong := taskSpace(), &mistakes{limit: 20}
		b := newBuilder(space, &space.Tasks[1], wrong, 10_000)
		err := decodeNDJSON(bytes.NewReader(text), b)
		checkDecoded(t, b, wrong, err)
		for _, o := range b.outcomes {
			correct := true
			for i, m := range space.Metrics() {
				v := o.Metrics[i]
				if i == 0 && v == v || math.IsInf(v, 0) {
					t.Fatalf("%+v has %s", o, m.Name)
				}
				correct = correct && !m.Fails(v)
			}
			if o.Correct && !correct {
				t.Fatalf("%+v is correct, and fails", o)
			}
		}
	})
}
