//go:build duckdb_arrow && cgo

package analytics

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hone/loop"
)

// naive is Evidence by loops and maps.
func naive(s *loop.Space, q loop.EvidenceQuery, posts []loop.PostRows) loop.Evidence {
	type key struct {
		codes  string
		age    uint8
		source loop.Source
		origin loop.Origin
	}
	lines := map[key]*loop.Line{}
	for _, p := range posts {
		for _, r := range p.Rows {
			if r.Source != loop.SourceTarget && r.Source != loop.SourceMixture {
				continue
			}
			for _, m := range q.Models {
				set, _, _ := strings.Cut(p.Post.EvalSet, "@")
				if m.ModelLine != p.Post.ModelLine || m.Version != p.Post.Version || m.EvalSet != "" && m.EvalSet != set || m.Task != "" && m.Task != p.Post.Task {
					continue
				}
				k := key{fmt.Sprint(r.Scenario), m.Age, r.Source, r.Origin}
				if lines[k] == nil {
					lines[k] = &loop.Line{Codes: r.Scenario, Age: m.Age, Source: r.Source, Origin: r.Origin}
				}
				lines[k].Rows++
				if !r.Correct {
					lines[k].Failures++
				}
				if r.HasLoss {
					lines[k].Loss += r.Loss
				}
				break
			}
		}
	}
	var e loop.Evidence
	for _, l := range lines {
		e.Append(*l)
	}
	e.Sort()
	return e
}

// Evidence equals its naive twin to the byte, on random outcomes of several
// models, eval sets, tasks, sources and origins, some of them void (C11, I4).
func TestEvidenceIsExact(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var posts []loop.PostRows
	for p := range 24 {
		post := loop.Post{ModelLine: pick("m", "other"), Version: pick("1", "2", "3"), Task: pick("", "detect"), EvalSet: pick("", "e@1", "e@2", "e2@1", "e")}
		var rows, kept []loop.Outcome
		var void []uint32
		for i := range 200 {
			o := loop.Outcome{Example: fmt.Sprint(p, i), Group: fmt.Sprint(r.IntN(60)), Correct: r.IntN(3) > 0, HasLoss: r.IntN(5) > 0,
				Loss:   r.Int64N(2*loop.MaxLoss*loop.MicroUnits) - loop.MaxLoss*loop.MicroUnits,
				Origin: loop.Origin(pick("real", "synthetic")), Source: loop.Source(pick("", "target", "mixture", "pinned"))}
			for f := range s.Factors {
				o.Scenario = append(o.Scenario, [...]loop.Code{0, 1, loop.Absent, loop.Unknown, loop.Code(r.IntN(len(s.Factors[f].Levels)))}[r.IntN(5)])
			}
			rows = append(rows, o)
			if r.IntN(10) == 0 {
				void = append(void, uint32(i))
			} else {
				kept = append(kept, o)
			}
		}
		posts = append(posts, loop.PostRows{Post: post, Rows: kept})
		w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, post, rows...), void...)
	}
	v := w.run(t.TempDir())
	for name, models := range map[string][]loop.EvidenceModel{
		"one":         {{ModelLine: "m", Version: "3"}},
		"three":       {{ModelLine: "m", Version: "3"}, {ModelLine: "m", Version: "2", Age: 1}, {ModelLine: "m", Version: "1", Age: 2}},
		"an eval set": {{ModelLine: "m", Version: "3", EvalSet: "e"}, {ModelLine: "other", Version: "1", EvalSet: "e2"}},
		"a task":      {{ModelLine: "m", Version: "3", Task: "detect"}, {ModelLine: "m", Version: "1", Age: 1, Task: "detect", EvalSet: "e"}},
		"overlapping": {{ModelLine: "m", Version: "3", EvalSet: "e"}, {ModelLine: "m", Version: "3"}, {ModelLine: "m", Version: "3", Age: 7}},
		"none":        {{ModelLine: "m", Version: "4"}},
		"no model":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			q := loop.EvidenceQuery{Space: s.Name, AtLeast: uint64(len(w.changes)), Models: models}
			got, sequence, err := v.Evidence(t.Context(), q)
			if err != nil || sequence != q.AtLeast {
				t.Fatalf("sequence %d: %v", sequence, err)
			}
			want := naive(s, q, posts)
			if err := got.Validate(s); err != nil {
				t.Error(err)
			}
			if got.Len() != want.Len() || got.Len() > 0 && !bytes.Equal(got.Encode(), want.Encode()) {
				t.Errorf("%d lines of %d rows, want %d of %d", got.Len(), got.TotalRows(), want.Len(), want.TotalRows())
			}
			if len(models) > 0 && name != "none" && got.Len() < 10 {
				t.Errorf("only %d lines: the test tests nothing", got.Len())
			}
		})
	}
	if _, _, err := v.Evidence(t.Context(), loop.EvidenceQuery{Space: "nowhere"}); !errors.Is(err, loop.ErrNotFound) {
		t.Errorf("of no space: %v", err)
	}
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
