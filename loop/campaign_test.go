package loop

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func goodCampaign() *Campaign {
	return &Campaign{Name: "c", Space: "shapes", Policy: "p", Generator: "g", Samples: 18_000, Rounds: 12,
		Evaluation: EvaluationPlan{Target: 1500, Mixture: 1500, Pinned: []Pinned{{Slice{{Factor: 1, Level: 4}, {Factor: 3, Level: 0}}, 100}}},
		LearnFrom:  []LearnFrom{{ModelLine: "m"}}, Gates: []string{"format", "blank"},
		UnitSize: DefaultUnitSize, MaxAttempts: DefaultMaxAttempts, Advance: AdvanceSealed, Decide: DecideAuto, QuotaBy: "shape"}
}

// Every refusal of a campaign names the field that the user wrote.
func TestCampaignRefusals(t *testing.T) {
	s := shapes()
	if err := goodCampaign().Validate(s); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		spoil func(c *Campaign)
		field string
	}{
		"no name":            {func(c *Campaign) { c.Name = "" }, "name"},
		"name with a slash":  {func(c *Campaign) { c.Name = "a/b" }, "name"},
		"another space":      {func(c *Campaign) { c.Space = "rig" }, "space"},
		"no policy":          {func(c *Campaign) { c.Policy = "" }, "policy"},
		"no generator":       {func(c *Campaign) { c.Generator = "1x" }, "generator"},
		"no rounds":          {func(c *Campaign) { c.Rounds = 0 }, "rounds"},
		"too many rounds":    {func(c *Campaign) { c.Rounds = MaxRounds + 1 }, "rounds"},
		"2^32 samples":       {func(c *Campaign) { c.Samples = MaxQuota }, "samples"},
		"fewer than rounds":  {func(c *Campaign) { c.Samples = 11 }, "samples"},
		"nothing":            {func(c *Campaign) { c.Samples, c.Evaluation = 0, EvaluationPlan{} }, "samples"},
		"unit of 0":          {func(c *Campaign) { c.UnitSize = 0 }, "unit_size"},
		"unit of 513":        {func(c *Campaign) { c.UnitSize = 513 }, "unit_size"},
		"no attempt":         {func(c *Campaign) { c.MaxAttempts = 0 }, "max_attempts"},
		"advance":            {func(c *Campaign) { c.Advance = "continuous" }, "advance"},
		"decide":             {func(c *Campaign) { c.Decide = "ask" }, "decide"},
		"canaries":           {func(c *Campaign) { c.Canaries = "some" }, "canaries"},
		"unknown quota_by":   {func(c *Campaign) { c.QuotaBy = "colour" }, "quota_by"},
		"absent quota_by":    {func(c *Campaign) { c.QuotaBy = "occluder_side" }, "quota_by"},
		"mixture of nothing": {func(c *Campaign) { c.Samples, c.Rounds = 0, 1 }, "evaluation.mixture"},
		"target too large":   {func(c *Campaign) { c.Evaluation.Target = math.MaxUint64 }, "evaluation.target"},
		"mixture too large":  {func(c *Campaign) { c.Evaluation.Mixture = MaxQuota }, "evaluation.mixture"},
		"pinned of 0":        {func(c *Campaign) { c.Evaluation.Pinned[0].Count = 0 }, "evaluation.pinned[0].count"},
		"pinned too large":   {func(c *Campaign) { c.Evaluation.Pinned[0].Count = MaxQuota }, "evaluation.pinned[0].count"},
		"pinned nowhere":     {func(c *Campaign) { c.Evaluation.Pinned[0].Slice = nil }, "evaluation.pinned[0].slice"},
		"pinned impossible":  {func(c *Campaign) { c.Evaluation.Pinned[0].Slice = Slice{{Factor: 5, Level: 0}, {Factor: 6, Level: 0}} }, "evaluation.pinned[0].slice"},
		"pinned forbidden":   {func(c *Campaign) { c.Evaluation.Pinned[0].Slice = Slice{{Factor: 1, Level: 5}, {Factor: 6, Level: 3}} }, "evaluation.pinned[0].slice"},
		"pinned too often": {func(c *Campaign) {
			c.Evaluation.Pinned[0].Slice = Slice{{Factor: 0, Level: 0}, {Factor: 1, Level: 0}, {Factor: 2, Level: 0}, {Factor: 3, Level: 0}, {Factor: 4, Level: 0}, {Factor: 5, Level: 0}, {Factor: 6, Level: 0}}
		}, "evaluation.pinned[0].slice"},
		"nobody to learn of": {func(c *Campaign) { c.LearnFrom = nil }, "learn_from"},
		"line without name":  {func(c *Campaign) { c.LearnFrom[0].ModelLine = "" }, "learn_from[0].model_line"},
		"probe too large":    {func(c *Campaign) { c.Evaluation.Probe = MaxQuota }, "evaluation.probe"},
		"probe and target":   {func(c *Campaign) { c.Evaluation.Target, c.Evaluation.Probe = MaxQuota-1, 1 }, "evaluation.probe"},
		"probe of nothing":   {func(c *Campaign) { c.Evaluation.Probe, c.Rounds, c.LearnFrom = 5, 1, nil }, "evaluation.probe"},
		"same twice":         {func(c *Campaign) { c.LearnFrom = append(c.LearnFrom, c.LearnFrom[0]) }, "learn_from[1]"},
		"65 to learn from":   {func(c *Campaign) { c.LearnFrom = make([]LearnFrom, 65) }, "learn_from"},
		"no such metric":     {func(c *Campaign) { c.LearnFrom[0].Metric = "margin" }, "learn_from[0].metric"},
		"importance below 0": {func(c *Campaign) { c.LearnFrom[0].Importance = -1 }, "learn_from[0].importance"},
		"no importance":      {func(c *Campaign) { c.LearnFrom[0].Importance = math.NaN() }, "learn_from[0].importance"},
		"gate without name":  {func(c *Campaign) { c.Gates[1] = "no blanks" }, "gates[1]"},
	} {
		c := goodCampaign()
		test.spoil(c)
		var refused *Error
		if err := c.Validate(s); !errors.As(err, &refused) || refused.Field != test.field {
			t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
		}
	}
	exam := &Campaign{Name: "exam", Space: "shapes", Policy: "p", Generator: "g", Rounds: 1, UnitSize: 1, MaxAttempts: 1,
		Advance: AdvanceSealed, Decide: DecideAuto, Evaluation: EvaluationPlan{Pinned: []Pinned{{Slice{{Factor: 1, Level: 4}, {Factor: 3, Level: 0}}, 400}}}}
	if err := exam.Validate(s); err != nil {
		t.Errorf("a campaign of evaluation alone: %v", err)
	}

	// A space that declares its tasks knows which there can be outcomes of.
	tasks := *s
	tasks.Tasks = []Task{{Name: "classify", Metrics: []Metric{{Name: "margin", Better: Higher}}}}
	for task, ok := range map[string]bool{"": true, "classify": true, "detect": false} {
		c := goodCampaign()
		c.LearnFrom[0].Task = task
		err := c.Validate(&tasks)
		if refused, is := errors.AsType[*Error](err); (err == nil) != ok || is && refused.Field != "learn_from[0].task" {
			t.Errorf("task %q: %v", task, err)
		}
	}
	tasks.Tasks = append(slices.Clone(tasks.Tasks), Task{Name: "pose", Metrics: []Metric{{Name: "angle", Better: Lower}}})
	for _, x := range []struct {
		task, metric, remedy string
	}{
		{"classify", "margin", ""}, {"", "margin", ""}, {"", "angle", ""}, {"pose", "loss", ""}, {"", "", ""},
		{"pose", "margin", "one of angle, loss; leave it out to go by correct"},
		{"", "iou", "one of margin, angle, loss; leave it out to go by correct"},
	} {
		c := goodCampaign()
		c.LearnFrom[0].Task, c.LearnFrom[0].Metric = x.task, x.metric
		remedy := ""
		if refused, is := errors.AsType[*Error](c.Validate(&tasks)); is {
			remedy = refused.Remedy
		}
		if remedy != x.remedy {
			t.Errorf("task %q, metric %q: %q, want %q", x.task, x.metric, remedy, x.remedy)
		}
	}
}
