package coordinator

import (
	"reflect"
	"testing"

	"hone/loop"
)

// What a round is to be decided from is asked for entry by entry, by the versions
// of the space and the window of the policy, with what the rounds of that window
// took: with the time of it only where the policy wants that.
func TestEvidenceQuery(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		w.must("POST", "/v1/policies", "name: timed\nstrategy: uniform\nwindow: 2\nvalue: {time: true}\n")
		w.must("POST", "/v1/campaigns", `name: c
space: lab
policy: timed
generator: shapes
unit_size: 10
samples: 40
rounds: 4
evaluation: {target: 3, probe: 4, pinned: [{slice: {light: low}, count: 5}]}
learn_from:
  - {model_line: net, task: detect}
  - {model_line: net, task: detect, metric: loss, importance: 2}
`)
		s := w.join("ann")
		for _, version := range []string{"v1", "v2", "v3"} {
			w.work(s, "ann")
			w.train(version)
		}
		r := w.round("c", 4)
		if r.Round != 4 || len(w.view.asked) != 3 {
			t.Fatalf("evidence was asked for %d times; round 4: %+v", len(w.view.asked), r)
		}
		if made := w.show("c").Evaluation; made.Requested != 4*12 || made.Committed != 3*12 {
			t.Errorf("evaluation: %+v", made)
		}
		q := w.view.asked[2]
		low := loop.Slice{{Factor: 0, Level: 0}}
		want := loop.EvidenceQuery{Space: "lab", SpaceVersion: 1, AtLeast: q.AtLeast, Campaign: "c", FirstRound: 2, LastRound: 3, Timed: true,
			Learn: []loop.LearnFrom{{ModelLine: "net", Task: "detect"}, {ModelLine: "net", Task: "detect", Metric: "loss", Importance: 2}},
			Models: []loop.EvidenceModel{
				{ModelLine: "net", Version: "v3", Task: "detect"}, {ModelLine: "net", Version: "v2", Task: "detect", Age: 1},
				{ModelLine: "net", Version: "v3", Task: "detect", Metric: "loss", From: 1}, {ModelLine: "net", Version: "v2", Task: "detect", Metric: "loss", From: 1, Age: 1}},
			Sliced: []loop.Sliced{{Round: 2, Domain: loop.Evaluation, Component: 1, Slice: low}, {Round: 3, Domain: loop.Evaluation, Component: 1, Slice: low}}}
		if !reflect.DeepEqual(q, want) {
			t.Errorf("asked for\n%+v, want\n%+v", q, want)
		}
	})
}
