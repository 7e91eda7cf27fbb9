package loop

import (
	"math"
	"testing"
)

func TestFails(t *testing.T) {
	half := .5
	for _, test := range []struct {
		metric Metric
		value  float64
		want   bool
	}{
		{Metric{Better: Higher, Fail: &half}, .4, true}, {Metric{Better: Higher, Fail: &half}, .5, false}, {Metric{Better: Higher, Fail: &half}, .6, false},
		{Metric{Better: Lower, Fail: &half}, .4, false}, {Metric{Better: Lower, Fail: &half}, .5, false}, {Metric{Better: Lower, Fail: &half}, .6, true},
		{Metric{Better: Lower}, 9, false}, {Metric{Better: Lower, Fail: &half}, math.NaN(), false}, {Metric{Better: Higher, Fail: &half}, math.NaN(), false},
		{Metric{Better: Higher, Fail: &half}, math.Inf(-1), true},
	} {
		if got := test.metric.Fails(test.value); got != test.want {
			t.Errorf("%+v of %v: %v", test.metric, test.value, got)
		}
	}
}

func TestTasks(t *testing.T) {
	s := &Space{Tasks: []Task{{Name: "detect"}, {Name: "pose", Metrics: []Metric{{Name: "error"}, {Name: "pck"}}}, {Name: "segment", Metrics: []Metric{{Name: "iou"}}}}}
	var names string
	for _, m := range s.Metrics() {
		names += m.Name + " "
	}
	if names != "error pck iou " {
		t.Errorf("metrics are %s", names)
	}
	if s.Task("pose") != &s.Tasks[1] || s.Task("pos") != nil {
		t.Error("tasks by name")
	}
}
