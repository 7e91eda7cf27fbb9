package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

func forecastSpace() *loop.Space {
	return &loop.Space{Name: "s", Factors: []loop.Factor{
		{Name: "light", Levels: []loop.Level{{Name: "low"}, {Name: "it's day"}}},
		{Name: "angle", Kind: loop.Numeric, Levels: []loop.Level{{Name: "0..10", High: 10}}},
	}}
}

func TestBoostedSlices(t *testing.T) {
	low, day, angle := loop.Slice{{Factor: 0, Level: 0}}, loop.Slice{{Factor: 0, Level: 1}}, loop.Slice{{Factor: 1, Level: 0}}
	component := func(slice loop.Slice, quota uint64) loop.Component { return loop.Component{Slice: slice, Quota: quota} }
	rounds := []state.Round{
		{Decided: &loop.DecidedRound{Round: loop.Round{Components: []loop.Component{component(nil, 50), component(low, 40), component(angle, 10)}}}},
		{Decided: &loop.DecidedRound{Round: loop.Round{
			Components: []loop.Component{component(nil, 80), component(day, 20), {Domain: loop.Evaluation, Slice: loop.Slice{{Factor: 0, Level: 0}, {Factor: 1, Level: 0}}, Quota: 99}},
			Memory:     loop.Memory{Slices: []loop.Remembered{{Slice: low}, {Slice: angle, Quarantined: true}}},
		}}},
	}
	if got := fmt.Sprint(boosted(rounds)); got != fmt.Sprint([]loop.Slice{day, angle, low}) {
		t.Errorf("got %v: first what the latest round boosts or quarantines, then by what was spent", got)
	}
	if got := boosted(nil); len(got) != 0 {
		t.Errorf("of no round: %v", got)
	}
}

// tables answers queries from what a test says, by a part of their text.
type tables map[string]api.Table

func (t tables) Sequence() uint64 { return 0 }

func (t tables) Query(_ context.Context, query string, atLeast uint64) (api.Table, error) {
	if atLeast != 7 {
		return api.Table{}, fmt.Errorf("at least %d, not the state's sequence", atLeast)
	}
	for part, table := range t {
		if strings.Contains(query, part) {
			return table, nil
		}
	}
	return api.Table{}, fmt.Errorf("unexpected: %s", query)
}

// Samples add up over versions, everything is judged by the target's rows or, if
// there are none, by all, and a version that nobody asked for is left out.
func TestCurves(t *testing.T) {
	n := func(i int) json.Number { return json.Number(fmt.Sprint(i)) }
	o := &outlook{campaign: &loop.Campaign{Name: "c", LearnFrom: []loop.LearnFrom{{ModelLine: "m", EvalSet: "e"}}}, space: forecastSpace(),
		sealed: map[string][]string{"m": {"1", "2", "3"}}, slices: []loop.Slice{nil, {{Factor: 0, Level: 1}, {Factor: 1, Level: 0}}}, sequence: 7, more: forecastSamples}
	k := newCurves(o, "m")
	err := k.ask(t.Context(), tables{
		"NOT correct": {Rows: [][]any{
			{n(1), "1", n(40), n(40), n(20)}, {n(1), "3", n(40), n(40), n(8)}, {n(1), "9", n(40), n(40), n(8)},
			{n(2), "1", n(500), n(500), n(50)}, {n(2), "2", n(500), n(500), n(40)}, {n(2), "3", n(500), n(400), n(30)}}},
		"ASOF": {Rows: [][]any{
			{n(0), "1", n(1000), n(0)}, {n(0), "2", n(1000), n(0)}, {n(0), "3", n(1000), n(0)}, {n(0), nil, n(500), n(500)},
			{n(1), "1", n(10), n(0)}, {n(1), "3", n(30), n(0)}, {n(1), nil, n(50), n(50)}}},
	}, "s")
	if err != nil {
		t.Fatal(err)
	}
	all, slice := k.forecast(0), k.forecast(1)
	if got := fmt.Sprint(all.Curve); got != "[{1 1000 500 500 50} {2 2000 500 500 40} {3 3000 500 400 30}]" || all.More != 1000 || all.Now == nil {
		t.Errorf("everything: %+v", all)
	}
	if got := fmt.Sprint(slice.Curve); got != "[{1 10 40 40 20} {2 10 0 0 0} {3 40 40 40 8}]" || slice.More != 100 || slice.Samples != 40 {
		t.Errorf("the slice: %+v", slice)
	}
	if slice.Outlook != loop.Unclear || slice.Now != nil {
		t.Errorf("two versions with rows are no curve: %+v", slice)
	}
	if got := k.condition(o.slices[1]); got != `true AND "light" = 'it''s day' AND "angle__level" = '0..10'` {
		t.Errorf("condition: %s", got)
	}
}
