//go:build duckdb_arrow && cgo

package analytics

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hone/loop"
)

// measured is a space whose tasks have metrics of every kind: with and without a
// threshold, higher and lower being better.
func measured() *loop.Space {
	s := shapes()
	s.Name = "measured"
	half, two := .5, 2.
	s.Tasks = []loop.Task{
		{Name: "detect", Metrics: []loop.Metric{{Name: "iou", Better: loop.Higher, Fail: &half}, {Name: "score", Better: loop.Higher}}},
		{Name: "pose", Metrics: []loop.Metric{{Name: "error", Unit: "mm", Better: loop.Lower}, {Name: "angle", Better: loop.Lower, Fail: &two},
			{Name: "likelihood", Better: loop.Lower}, {Name: "constant", Better: loop.Lower}}},
	}
	return s
}

// naiveRow is an outcome that counts for an entry.
type naiveRow struct {
	loop.Outcome
	age   uint8
	value float64
}

// naive is Evidence by loops and maps.
func naive(s *loop.Space, q loop.EvidenceQuery, posts []loop.PostRows) loop.Evidence {
	learn := q.Learn
	if len(learn) == 0 {
		learn = []loop.LearnFrom{{}}
	}
	metrics := s.Metrics()
	var learned []loop.Learned
	var rows [][]naiveRow
	for from := range learn {
		l := loop.Learned{ModelLine: learn[from].ModelLine, EvalSet: learn[from].EvalSet, Task: learn[from].Task, Metric: learn[from].Metric, Importance: learn[from].Importance}
		at := slices.IndexFunc(metrics, func(m loop.Metric) bool { return m.Name == l.Metric })
		if at >= 0 {
			l.Unit, l.Better = metrics[at].Unit, metrics[at].Better
		} else if l.Metric != "" {
			l.Better = loop.Lower
		}
		var all []naiveRow
		for _, p := range posts {
			for _, r := range p.Rows {
				if r.Source != loop.SourceTarget && r.Source != loop.SourceMixture && r.Source != loop.SourceProbe {
					continue
				}
				value := math.NaN()
				if at >= 0 {
					value = r.Metrics[at]
				} else if r.HasLoss {
					value = float64(r.Loss) / loop.MicroUnits
				}
				if l.Metric != "" && math.IsNaN(value) {
					continue
				}
				value = max(-loop.MaxMeasured, min(loop.MaxMeasured, value))
				for _, m := range q.Models {
					set, _, _ := strings.Cut(p.Post.EvalSet, "@")
					if int(m.From) == from && m.ModelLine == p.Post.ModelLine && m.Version == p.Post.Version && (m.EvalSet == "" || m.EvalSet == set) && (m.Task == "" || m.Task == p.Post.Task) {
						all = append(all, naiveRow{r, m.Age, value})
						break
					}
				}
			}
		}
		if l.Metric != "" && (at < 0 || metrics[at].Fail == nil) && len(all) > 0 {
			newest := uint8(255)
			for _, r := range all {
				newest = min(newest, r.age)
			}
			var values, worse []float64
			for _, r := range all {
				if r.age == newest {
					values = append(values, r.value)
				}
			}
			slices.Sort(values)
			quantile := func(of []float64, q float64) float64 { return of[max(1, int(math.Ceil(q*float64(len(of)))))-1] }
			if l.Best = quantile(values, .99); l.Better == loop.Lower {
				l.Best = min(0, quantile(values, .01))
			}
			for _, v := range values {
				if l.Better == loop.Higher && v < l.Best || l.Better == loop.Lower && v > l.Best {
					worse = append(worse, v)
				}
			}
			if l.Cap = l.Best; len(worse) > 0 && l.Better == loop.Higher {
				l.Cap = quantile(worse, .01)
			} else if len(worse) > 0 {
				l.Cap = quantile(worse, .99)
			}
		}
		learned, rows = append(learned, l), append(rows, all)
	}
	e := loop.Evidence{}
	for i := range learned {
		if learned[i].Graded() {
			e.Severity, e.Squares = []int64{}, []int64{}
		}
	}
	for from, all := range rows {
		l := &learned[from]
		count, number := map[string]int{}, map[string]uint32{}
		for _, r := range all {
			count[r.Group]++
		}
		for _, name := range slices.Sorted(maps.Keys(count)) {
			if count[name] > 1 {
				number[name] = uint32(len(number) + 1)
			}
		}
		for _, r := range all {
			line := loop.Line{Codes: r.Scenario, From: uint8(from), Age: r.age, Source: r.Source, Origin: r.Origin, Group: number[r.Group], Rows: 1}
			if r.Source != loop.SourceTarget && r.Weight > 0 {
				line.Weight = int64(max(1, min(1e12, math.Round(r.Weight*loop.MicroUnits))))
			}
			failed := !r.Correct
			if at := slices.IndexFunc(metrics, func(m loop.Metric) bool { return m.Name == l.Metric }); at >= 0 && metrics[at].Fail != nil {
				failed = metrics[at].Fails(r.value)
			}
			if failed {
				line.Failures = 1
			}
			if !math.IsNaN(r.value) {
				line.Loss = int64(math.Round(r.value * loop.MicroUnits))
			}
			severity := float64(line.Failures)
			if l.Graded() {
				severity = l.Severity(r.value)
			}
			line.Severity = int64(math.Round(severity * loop.MicroUnits))
			line.Squares = int64(math.Round(float64(line.Severity*line.Severity) / loop.MicroUnits))
			e.Append(line)
		}
	}
	e.Sort()
	if len(q.Learn) > 0 {
		e.Learned = learned
	}
	return e
}

// randomPosts are outcomes of several models, eval sets, tasks, sources, origins
// and groups; the metrics of one that is posted by the other task are not known.
// The rows at the places of the second answer are void.
func randomPosts(s *loop.Space, r *rand.Rand) (posts []loop.PostRows, void [][]uint32) {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for p := range 24 {
		post := loop.PostRows{Post: loop.Post{ModelLine: pick("m", "other"), Version: pick("1", "2", "3"), Task: pick("pose", "detect"), EvalSet: pick("", "e@1", "e@2", "e2@1", "e")}}
		void = append(void, nil)
		for i := range 200 {
			o := loop.Outcome{Example: fmt.Sprint(p, i), Group: fmt.Sprint(p, i), Correct: r.IntN(3) > 0, HasLoss: r.IntN(5) > 0,
				Loss:   r.Int64N(2*loop.MaxLoss*loop.MicroUnits) - loop.MaxLoss*loop.MicroUnits,
				Origin: loop.Origin(pick("real", "synthetic")), Source: loop.Source(pick("", "target", "mixture", "pinned", "probe"))}
			if r.IntN(3) > 0 {
				o.Group = fmt.Sprint("clip ", r.IntN(400))
			}
			if r.IntN(4) > 0 {
				o.Weight = [...]float64{.5, 1.25, 3, 1e-9, 1e9, r.Float64()}[r.IntN(6)]
			}
			for f := range s.Factors {
				o.Scenario = append(o.Scenario, [...]loop.Code{0, 1, loop.Absent, loop.Unknown, loop.Code(r.IntN(len(s.Factors[f].Levels)))}[r.IntN(5)])
			}
			for _, m := range s.Metrics() {
				value := math.NaN()
				switch own := s.Task(post.Post.Task).Metrics; {
				case !slices.ContainsFunc(own, func(o loop.Metric) bool { return o.Name == m.Name }) || r.IntN(6) == 0:
				case m.Name == "error": // heavy-tailed, and 14 thousand kilometres once in a while
					if value = math.Exp(3 * r.NormFloat64()); r.IntN(300) == 0 {
						value = 1.4e10
					}
				case m.Name == "likelihood":
					value = -3 + 2*r.NormFloat64()
				case m.Name == "constant":
					value = 0
				default:
					value = 4*r.Float64() - 1
				}
				o.Metrics = append(o.Metrics, value)
			}
			post.Rows = append(post.Rows, o)
			if r.IntN(10) == 0 {
				void[p] = append(void[p], uint32(i))
			}
		}
		posts = append(posts, post)
	}
	return posts, void
}

// kept are the posts without their void rows.
func kept(posts []loop.PostRows, void [][]uint32) []loop.PostRows {
	out := make([]loop.PostRows, len(posts))
	for p := range posts {
		out[p].Post = posts[p].Post
		for i, row := range posts[p].Rows {
			if !slices.Contains(void[p], uint32(i)) {
				out[p].Rows = append(out[p].Rows, row)
			}
		}
	}
	return out
}

// Evidence equals its naive twin to the byte, on random outcomes of several
// models, eval sets, tasks, metrics, sources, origins and groups, some of them
// void, in whatever order they came, and after a restart (C11, I4).
func TestEvidenceIsExact(t *testing.T) {
	s := measured()
	posts, void := randomPosts(s, rand.New(rand.NewPCG(1, 2)))
	counted := kept(posts, void)
	w, mixed := newWorld(t), newWorld(t)
	w.addSpace(s)
	mixed.addSpace(s)
	for p := range posts {
		w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, posts[p].Post, posts[p].Rows...), void[p]...)
		q := len(posts) - 1 - p
		rows, gone := slices.Clone(posts[q].Rows), slices.Clone(void[q])
		slices.Reverse(rows)
		for i := range gone {
			gone[i] = uint32(len(rows)-1) - gone[i]
		}
		added := mixed.addPart(loop.OutcomeParts, s.Name, mixed.outcomes(s, posts[q].Post, rows...))
		mixed.add(loop.Change{Void: &loop.Void{Reference: added, Rows: gone}})
	}
	dir := t.TempDir()
	v, other := w.run(dir), mixed.run(t.TempDir())
	other.latest(mixed)
	first := []loop.EvidenceModel{{ModelLine: "m", Version: "3"}, {ModelLine: "m", Version: "2", Age: 1}, {ModelLine: "m", Version: "1", Age: 2}}
	learn := func(of ...loop.LearnFrom) (learn []loop.LearnFrom, models []loop.EvidenceModel) {
		for i, l := range of {
			for age, version := range []string{"3", "2", "1"} {
				models = append(models, loop.EvidenceModel{ModelLine: l.ModelLine, Version: version, Age: uint8(age), EvalSet: l.EvalSet, Task: l.Task, Metric: l.Metric, From: uint8(i)})
			}
		}
		return of, models
	}
	queries := map[string]loop.EvidenceQuery{
		"one":         {Models: first[:1]},
		"three":       {Models: first},
		"an eval set": {Models: []loop.EvidenceModel{{ModelLine: "m", Version: "3", EvalSet: "e"}, {ModelLine: "other", Version: "1", EvalSet: "e2"}}},
		"a task":      {Models: []loop.EvidenceModel{{ModelLine: "m", Version: "3", Task: "detect"}, {ModelLine: "m", Version: "1", Age: 1, Task: "detect", EvalSet: "e"}}},
		"overlapping": {Models: []loop.EvidenceModel{{ModelLine: "m", Version: "3", EvalSet: "e"}, {ModelLine: "m", Version: "3"}, {ModelLine: "m", Version: "3", Age: 7}}},
		"none":        {Models: []loop.EvidenceModel{{ModelLine: "m", Version: "4"}}},
		"no model":    {},
	}
	for name, of := range map[string][]loop.LearnFrom{
		"thresholds":     {{ModelLine: "m", Task: "detect", Metric: "iou", Importance: 2}, {ModelLine: "m", Task: "pose", Metric: "angle", Importance: 1}},
		"graded":         {{ModelLine: "m", Task: "pose", Metric: "error", Importance: 1}},
		"loss":           {{ModelLine: "other", Metric: loop.MetricLoss, Importance: 1}},
		"two tasks":      {{ModelLine: "m", Task: "detect", Metric: "score", Importance: 1}, {ModelLine: "m", Task: "pose", Importance: 3}},
		"two lines":      {{ModelLine: "m", Importance: 1}, {ModelLine: "other", EvalSet: "e", Metric: "likelihood", Importance: 1}, {ModelLine: "none", Metric: "error", Importance: 1}},
		"same outcomes":  {{ModelLine: "m", Importance: 1}, {ModelLine: "m", Metric: "error", Importance: 1}, {ModelLine: "m", EvalSet: "e", Metric: "iou", Importance: 1}},
		"without a loss": {{ModelLine: "m", Metric: "constant", Importance: 1}},
	} {
		l, models := learn(of...)
		queries[name] = loop.EvidenceQuery{Learn: l, Models: models, SpaceVersion: 1}
	}
	read := func(v *running, q loop.EvidenceQuery) loop.Evidence {
		t.Helper()
		got, sequence, err := v.Evidence(t.Context(), q)
		if err != nil || sequence < q.AtLeast {
			t.Fatalf("sequence %d: %v", sequence, err)
		}
		return got
	}
	check := func(name string, q loop.EvidenceQuery) {
		t.Helper()
		q.Space, q.AtLeast = s.Name, uint64(len(w.changes))
		got, want := read(v, q), naive(s, q, counted)
		if err := got.Validate(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(q.Models) == 0 {
			want = loop.Evidence{}
		}
		if got.Len() > 0 && !bytes.Equal(got.Encode(), want.Encode()) || got.Len() != want.Len() || !reflect.DeepEqual(got.Learned, want.Learned) {
			t.Errorf("%s: %d lines of %d rows, want %d of %d; learned %+v, want %+v", name, got.Len(), got.TotalRows(), want.Len(), want.TotalRows(), got.Learned, want.Learned)
			for i := range min(got.Len(), want.Len()) {
				if a, b := lineOf(&got, i), lineOf(&want, i); a != b {
					t.Fatalf("line %d is %s, want %s", i, a, b)
				}
			}
		}
		if name != "no model" && name != "none" && got.Len() < 10 {
			t.Errorf("%s: only %d lines: the test tests nothing", name, got.Len())
		}
		q.AtLeast = 0
		if reversed := read(other, q); !bytes.Equal(reversed.Encode(), got.Encode()) {
			t.Errorf("%s: the order of the rows changes the evidence", name)
		}
	}
	for name, q := range queries {
		check(name, q)
	}
	v.stop()
	v = w.run(dir)
	check("thresholds, after a restart", queries["thresholds"])
	check("graded, after a restart", queries["graded"])
	for what, q := range map[string]loop.EvidenceQuery{
		"no space":   {Space: "nowhere"},
		"no version": {Space: s.Name, SpaceVersion: 2},
		"no metric":  {Space: s.Name, Models: first, Learn: []loop.LearnFrom{{ModelLine: "m", Metric: "sharpness"}}},
	} {
		if _, _, err := v.Evidence(t.Context(), q); !errors.Is(err, loop.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func lineOf(e *loop.Evidence, i int) string {
	var codes []loop.Code
	for f := range e.Codes {
		codes = append(codes, e.Codes[f][i])
	}
	text := fmt.Sprint(e.From[i], e.Age[i], e.Source[i], e.Origin[i], e.Weight[i], " group ", e.Group[i], codes, e.Rows[i], e.Failures[i], e.Loss[i])
	if e.Graded() {
		text += fmt.Sprint(" severity ", e.Severity[i], e.Squares[i])
	}
	return text
}

// The codes of evidence are those of the newest version, whatever version a row
// was posted under; a level that is gone is unknown.
func TestEvidenceOfNewVersion(t *testing.T) {
	w := newWorld(t)
	one := shapes()
	w.addSpace(one)
	post := loop.Post{ModelLine: "m", Version: "1"}
	outcome := func(codes ...loop.Code) loop.Outcome {
		return loop.Outcome{Example: fmt.Sprint(codes), Group: "g", Scenario: codes, Origin: loop.Real, Source: loop.SourceTarget}
	}
	w.addPart(loop.OutcomeParts, one.Name, w.outcomes(one, post, outcome(0, 0, 0, loop.Absent), outcome(2, 0, 0, loop.Absent)))
	two := shapes()
	two.Version = 2
	two.Factors[0].Levels = []loop.Level{{Name: "🙂", Target: .5}, {Name: `it's "low"`, Target: .5}} // "null" is gone, the others change places
	two.Factors = append(two.Factors, loop.Factor{Name: "pose", Kind: loop.Categorical, Levels: []loop.Level{{Name: "p", Target: 1}}})
	w.addSpace(two)
	w.addPart(loop.OutcomeParts, two.Name, w.outcomes(two, post, outcome(1, 0, 0, loop.Absent, 0)))
	v := w.run(t.TempDir())
	e, _, err := v.Evidence(t.Context(), loop.EvidenceQuery{Space: "shapes", AtLeast: 4, Models: []loop.EvidenceModel{{ModelLine: "m", Version: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(two); err != nil {
		t.Error(err)
	}
	want := [][]loop.Code{{1, 1, loop.Unknown}, {0, 0, 0}, {0, 0, 0}, {loop.Absent, loop.Absent, loop.Absent}, {0, loop.Unknown, loop.Unknown}}
	if !slices.EqualFunc(e.Codes, want, slices.Equal[[]loop.Code]) {
		t.Errorf("codes %v, want %v", e.Codes, want)
	}
}
