package coordinator

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"hone/api"
	"hone/loop"
)

func TestDamped(t *testing.T) {
	slice := func(level int) loop.Slice { return loop.Slice{{Level: level}} }
	memory := []loop.Remembered{
		{Slice: slice(0), Damping: .5}, {Slice: slice(1), Damping: 1}, {Slice: slice(2), Damping: .25, Quarantined: true},
		{Slice: slice(3), Damping: .3}, {Slice: slice(4), Damping: 1, Quarantined: true}, {Slice: slice(5), Damping: .5},
	}
	var got []int
	for _, r := range damped(memory) {
		got = append(got, r.Slice[0].Level)
	}
	if want := []int{2, 4, 3, 0, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("levels %v, want %v: what is in quarantine, then what is damped most, then in their order", got, want)
	}
	if memory[0].Slice[0].Level != 0 || len(damped(nil)) != 0 {
		t.Error("the memory itself was sorted, or something came of nothing")
	}
}

// A failure has what was known of it, and nothing else.
func TestFailures(t *testing.T) {
	o := &outlook{campaign: &loop.Campaign{Name: "c", LearnFrom: []loop.LearnFrom{{ModelLine: "m"}}}, space: forecastSpace(),
		sealed: map[string][]string{"m": {"1", "it's 2"}}, sequence: 7}
	k := &curves{outlook: o, line: "m"}
	got, total, err := k.failures(t.Context(), tables{`model_version = 'it''s 2' AND NOT correct AND true AND "light" = 'it''s day'`: {Rows: [][]any{
		{"field@1", "a", "", "s3://a", json.Number("2.5"), "", json.Number("41")},
		{"", "sha256:1", "sha256:1", "", nil, "c/r1-e0-i3-a0", json.Number("41")},
	}}}, "s", loop.Slice{{Factor: 0, Level: 1}}, 2)
	loss := 2.5
	want := []api.Failure{{EvalSet: "field@1", Example: "a", URI: "s3://a", Loss: &loss}, {Example: "sha256:1", Sample: "sha256:1", Made: "c/r1-e0-i3-a0"}}
	if err != nil || total != 41 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v of %d, %v", got, total, err)
	}
	if _, _, err := k.failures(t.Context(), tables{"": {Rows: [][]any{{"a"}}}}, "s", nil, 2); err == nil || fmt.Sprint(err) != "a row of 1 columns" {
		t.Errorf("a strange answer: %v", err)
	}
}

// A slice whose failure rate stays where it was however much was made of it is a
// suspect before it is damped.
func TestUnlearnable(t *testing.T) {
	n := func(i int) json.Number { return json.Number(fmt.Sprint(i)) }
	day := loop.Slice{{Factor: 0, Level: 1}}
	o := &outlook{campaign: &loop.Campaign{Name: "c", LearnFrom: []loop.LearnFrom{{ModelLine: "m"}}}, space: forecastSpace(),
		sealed: map[string][]string{"m": {"1", "2", "3", "4", "5"}}, slices: []loop.Slice{nil, day, {{Factor: 0, Level: 0}}}, sequence: 7}
	var rows, samples [][]any
	for v := 1; v <= 5; v++ {
		version := fmt.Sprint(v)
		rows = append(rows, []any{n(0), version, n(4000), n(4000), n(3000 / v)}, []any{n(1), version, n(2000), n(2000), n(1200 + v%2)}, []any{n(2), version, n(2000), n(2000), n(1800 / v)})
		samples = append(samples, []any{n(0), version, n(1000), n(0)}, []any{n(1), version, n(500), n(0)}, []any{n(2), version, n(500), n(0)})
	}
	got, err := o.unlearnable(t.Context(), tables{"NOT correct": {Rows: rows}, "ASOF": {Rows: samples}}, "s")
	if err != nil || len(got) != 1 || got[0].Name != "light=it's day" || got[0].ModelVersion != "5" || got[0].Damping != 1 || got[0].Sentence == "" {
		t.Errorf("got %+v, %v", got, err)
	}
}
