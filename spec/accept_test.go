package spec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"hone/loop"
	"hone/spec"

	"github.com/goccy/go-yaml"
)

// goldenSeed was computed by another implementation of SHA-256.
const goldenSeed uint64 = 4276773348617948549

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exampleSpace(t testing.TB) *loop.Space {
	t.Helper()
	s, err := spec.ParseSpace(read(t, "../examples/shapes/space.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

func lookup(s *loop.Space) func(string) (*loop.Space, error) {
	return func(string) (*loop.Space, error) { return s, nil }
}

// The examples that users start from are read, and mean what their comments say.
func TestExamples(t *testing.T) {
	p, err := spec.ParsePolicy(read(t, "../examples/policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := loop.DefaultPolicy()
	want.Name, want.Owner = p.Name, p.Owner
	if !reflect.DeepEqual(p, want) {
		t.Errorf("the example policy differs from the defaults that it claims to show:\n%+v\n%+v", p, want)
	}
	c, err := spec.ParseCampaign(read(t, "../examples/campaign.yaml"), lookup(exampleSpace(t)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Samples != 18000 || c.Rounds != 12 || c.Evaluation.Target != 1500 || len(c.Gates) != 2 || c.Policy != p.Name ||
		len(c.Evaluation.Pinned) != 1 || len(c.Evaluation.Pinned[0].Slice) != 2 {
		t.Errorf("got %+v", c)
	}
}

// A document means the same in YAML and in JSON. The JSON is made by another
// reader of YAML, so this also compares that reader's understanding with ours.
func TestJSONMeansTheSame(t *testing.T) {
	convert := func(path string) []byte {
		var v yaml.MapSlice
		if err := yaml.UnmarshalWithOptions(read(t, path), &v, yaml.UseOrderedMap()); err != nil {
			t.Fatal(err)
		}
		out, err := yaml.MarshalWithOptions(v, yaml.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(out) {
			t.Fatalf("the conversion is not JSON: %s", out)
		}
		return out
	}
	s, err := spec.ParseSpace(convert("../examples/shapes/space.yaml"))
	if want := exampleSpace(t); err != nil || !reflect.DeepEqual(&s, want) {
		t.Errorf("space: %v\n%+v\n%+v", err, s, want)
	}
	parts, err := spec.ParseSpace(convert("../examples/parts/space.yaml"))
	if want, _ := spec.ParseSpace(read(t, "../examples/parts/space.yaml")); err != nil || !reflect.DeepEqual(parts, want) {
		t.Errorf("parts: %v\n%+v\n%+v", err, parts, want)
	}
	p, err := spec.ParsePolicy(convert("../examples/policy.yaml"))
	if want, _ := spec.ParsePolicy(read(t, "../examples/policy.yaml")); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("policy: %v\n%+v\n%+v", err, p, want)
	}
	c, err := spec.ParseCampaign(convert("../examples/campaign.yaml"), lookup(exampleSpace(t)))
	want, _ := spec.ParseCampaign(read(t, "../examples/campaign.yaml"), lookup(exampleSpace(t)))
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("campaign: %v\n%+v\n%+v", err, c, want)
	}
}

func TestSpaceForms(t *testing.T) {
	s, err := spec.ParseSpace([]byte(`
name: forms
description: >-
  every way to write a factor
owner: me
factors:
  - name: rotation            # numbers as names, spelt as they are
    levels: {0: .5, 045: 0.25, 9e1: 0.25}
  - {name: glove, kind: ordinal, levels: [yes, no, true]}
  - name: distance
    edges: [-0.5, 0, 10, 1000000]
    target: [0.5, 0.25, 0.25]
  - name: speed
    kind: numeric
    levels:
      - {name: slow, low: 0, high: 2, target: 0.75}
      - {name: fast, low: 2, high: 9, target: 0.25}
  - name: colour
    levels: [red, blue]
    when: {glove: [no, yes]}
constraints:
  - forbid: {glove: true, rotation: [9e1, 0]}
  - require: {speed: [fast, slow]}
  - when: {rotation: 045}
    require: {glove: no}
risks:
  - slice: {glove: no, rotation: 0}
    weight: 2
    reason: fingers
`))
	if err != nil {
		t.Fatal(err)
	}
	want := loop.Space{Name: "forms", Description: "every way to write a factor", Owner: "me",
		Factors: []loop.Factor{
			{Name: "rotation", Kind: loop.Categorical, Levels: []loop.Level{{Name: "0", Target: .5}, {Name: "045", Target: .25}, {Name: "9e1", Target: .25}}},
			{Name: "glove", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "yes", Target: 1. / 3}, {Name: "no", Target: 1. / 3}, {Name: "true", Target: 1. / 3}}},
			{Name: "distance", Kind: loop.Numeric, Levels: []loop.Level{{Name: "[-0.5,0)", Target: .5, Low: -.5}, {Name: "[0,10)", Target: .25, High: 10},
				{Name: "[10,1000000)", Target: .25, Low: 10, High: 1e6}}},
			{Name: "speed", Kind: loop.Numeric, Levels: []loop.Level{{Name: "slow", Target: .75, High: 2}, {Name: "fast", Target: .25, Low: 2, High: 9}}},
			{Name: "colour", Kind: loop.Categorical, Levels: []loop.Level{{Name: "red", Target: .5}, {Name: "blue", Target: .5}},
				When: &loop.LevelSet{Factor: 1, Levels: []int{0, 1}}},
		},
		Constraints: []loop.Constraint{
			{When: []loop.LevelSet{{Factor: 0, Levels: []int{0, 2}}, {Factor: 1, Levels: []int{2}}}},
			{Then: []loop.LevelSet{{Factor: 3, Levels: []int{0, 1}}}},
			{When: []loop.LevelSet{{Factor: 0, Levels: []int{1}}}, Then: []loop.LevelSet{{Factor: 1, Levels: []int{1}}}},
		},
		Risks: []loop.Risk{{Slice: loop.Slice{{Factor: 0, Level: 0}, {Factor: 1, Level: 1}}, Weight: 2, Reason: "fingers"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// A target that is no product: shares by the level of another factor, by hidden
// classes, and by a table; equal rows are kept once.
func TestTargetForms(t *testing.T) {
	s, err := spec.ParseSpace([]byte(light + `
- {name: weather, levels: {dry: 0.5, wet: 0.5}}
- {name: road, levels: [clear, puddles, ice], given: {weather: {wet: {puddles: 0.75, ice: 0.25}, dry: [1, 0, 0]}}}
- {name: wiper, levels: [slow, fast], when: {weather: wet}, given: {weather: {wet: [0.5, 0.5]}}}
- {name: speed, edges: [0, 1, 2]}
target:
  mixture:
  - {share: 0.5, levels: {light: {low: 1}, speed: [0.25, 0.75]}}
  - {share: 0.25, levels: {speed: {"[0,1)": 1}, light: [1, 0]}}
  - {share: 0.25, levels: {light: {day: 1}, speed: [1, 0]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range []*loop.Given{
		{Factor: loop.Hidden, Rows: [][]float64{{1, 0}, {0, 1}}, Of: []int{0, 0, 1}}, nil,
		{Factor: 1, Rows: [][]float64{{0, .75, .25}, {1, 0, 0}}, Of: []int{1, 0}},
		{Factor: 1, Rows: [][]float64{{.5, .5}}, Of: []int{loop.None, 0}},
		{Factor: loop.Hidden, Rows: [][]float64{{.25, .75}, {1, 0}}, Of: []int{0, 1, 1}},
	} {
		if got := s.Factors[f].Given; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is given %+v, want %+v", s.Factors[f].Name, got, want)
		}
	}
	if want := []float64{.5, .25, .25}; !reflect.DeepEqual(s.Classes, want) {
		t.Errorf("classes %v, want %v", s.Classes, want)
	}
	s, err = spec.ParseSpace([]byte(light + "- {name: glove, levels: [none, 3]}\n" +
		"target: {joint: {factors: [glove, light], rows: [[none, day, .5], [3, day, .25], [3, low, .25]]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range []*loop.Given{
		{Factor: loop.Hidden, Rows: [][]float64{{0, 1}, {1, 0}}, Of: []int{0, 0, 1}},
		{Factor: loop.Hidden, Rows: [][]float64{{1, 0}, {0, 1}}, Of: []int{0, 1, 1}},
	} {
		if got := s.Factors[f].Given; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is given %+v, want %+v", s.Factors[f].Name, got, want)
		}
	}
	for text, want := range map[string]float64{"glove=none & light=day": .5, "glove=none & light=low": 0, "glove=3": .5, "glove=3 & light=low": .25} {
		slice, err := spec.ParseSlice(&s, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Mass(slice); err != nil || got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s has %v (%v), want %v", text, got, err, want)
		}
	}
}

// The showcase says everything that a space can say, and means what its comments
// say.
func TestShowcase(t *testing.T) {
	s, err := spec.ParseSpace(read(t, "../examples/parts/space.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	second, half, five := 1, .5, 5.
	want := loop.Space{Name: "parts", Description: "A machine part on a bench, seen by a colour camera", Owner: "vision",
		Factors: []loop.Factor{
			{Name: "scene", Kind: loop.Categorical, Levels: []loop.Level{{Name: "bench", Target: .5}, {Name: "conveyor", Target: .3}, {Name: "tray", Target: .2}}, Sticky: 50},
			{Name: "part", Kind: loop.Categorical, Levels: []loop.Level{{Name: "bolt", Target: .3}, {Name: "washer", Target: .25}, {Name: "bracket", Target: .25},
				{Name: "gear", Target: .15}, {Name: "spring", Target: .05}}},
			{Name: "light", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "low"}, {Name: "day"}, {Name: "glare"}},
				Given: &loop.Given{Rows: [][]float64{{.1, .7, .2}, {.4, .5, .1}, {0, .4, .6}}, Of: []int{0, 1, 2}}},
			{Name: "distance", Kind: loop.Numeric, Scale: loop.Log, Levels: []loop.Level{{Name: "near", Target: .5, Low: .1, High: 1},
				{Name: "middle", Target: .4, Low: 1, High: 3}, {Name: "far", Target: .1, Low: 3, High: 10}}},
			{Name: "heading", Kind: loop.Numeric, Scale: loop.Circular, Levels: []loop.Level{{Name: "[-45,45)", Target: .4, Low: -45, High: 45},
				{Name: "[45,135)", Target: .2, Low: 45, High: 135}, {Name: "[135,225)", Target: .2, Low: 135, High: 225}, {Name: "[225,315)", Target: .2, Low: 225, High: 315}}},
			{Name: "glove", Kind: loop.Categorical, Levels: []loop.Level{{Name: "bare", Target: .1}, {Name: "gloved", Target: .2}, {Name: "no hand", Target: .7}}},
			{Name: "glove_colour", Kind: loop.Categorical, Levels: []loop.Level{{Name: "blue", Target: .7}, {Name: "black", Target: .2}, {Name: "orange", Target: .1}},
				When: &loop.LevelSet{Factor: 5, Levels: []int{1}}},
			{Name: "camera", Kind: loop.Categorical, Levels: []loop.Level{{Name: "old", Target: .4}, {Name: "new", Target: .6}}, Pin: &second},
		},
		Constraints: []loop.Constraint{
			{When: []loop.LevelSet{{Factor: 0, Levels: []int{1}}, {Factor: 5, Levels: []int{0}}}},
			{When: []loop.LevelSet{{Factor: 1, Levels: []int{4}}}, Then: []loop.LevelSet{{Factor: 3, Levels: []int{0, 1}}}},
		},
		Risks:     []loop.Risk{{Slice: loop.Slice{{Factor: 1, Level: 0}, {Factor: 2, Level: 0}}, Weight: 2, Reason: "a bolt that is missed stops the line"}},
		Protected: []loop.Protected{{Slice: loop.Slice{{Factor: 5, Level: 0}}, Share: .15, Reason: "a bare hand must be seen before the press closes"}},
		Derived: []loop.Derived{{Name: "visible", Levels: []string{"barely", "partly", "clearly"}, Rules: []loop.DerivedRule{
			{When: []loop.LevelSet{{Factor: 2, Levels: []int{0}}, {Factor: 6, Levels: []int{1}}}},
			{When: []loop.LevelSet{{Factor: 2, Levels: []int{0, 2}}}, Level: 1}}, Otherwise: 2}},
		Tasks: []loop.Task{
			{Name: "segment", Description: "Outline the part", Metrics: []loop.Metric{{Name: "iou", Better: loop.Higher, Fail: &half}, {Name: "boundary_error", Unit: "px", Better: loop.Lower}}},
			{Name: "pose", Description: "Place the part's keypoints", Metrics: []loop.Metric{{Name: "keypoint_error", Unit: "mm", Better: loop.Lower, Fail: &five}}},
		},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	near, _ := s.Value(3, loop.Scenario{Codes: []loop.Code{0, 0, 0, 0}, Fractions: []uint32{0, 0, 0, 1 << 31}})
	if near < .316 || near > .317 {
		t.Errorf("the middle of what is near is %v", near)
	}
	if code, ok := s.Factors[4].Code(350); code != 0 || !ok {
		t.Errorf("a heading of 350 is in bin %d (%v)", code, ok)
	}
}

// What was added to spaces has defaults that change nothing.
func TestSpaceDefaults(t *testing.T) {
	s, err := spec.ParseSpace([]byte(light + "- {name: angle, edges: [0, 90, 180]}\ntasks: [{name: detect}]\nprotected: []\nderived: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Factors {
		if f.Scale != "" || f.Pin != nil || f.Sticky != 0 {
			t.Errorf("%+v", f)
		}
	}
	if len(s.Protected)+len(s.Derived)+len(s.Metrics()) > 0 || s.Task("detect") == nil {
		t.Errorf("%+v", s)
	}
	// Levels that a label lists may be in another order than its rules, and more.
	s, err = spec.ParseSpace([]byte(light + "derived: [{name: seen, levels: [well, badly, 3], rules: [{when: {light: low}, level: badly}], otherwise: well}]\n"))
	if want := []loop.Derived{{Name: "seen", Levels: []string{"well", "badly", "3"}, Rules: []loop.DerivedRule{{When: []loop.LevelSet{{Levels: []int{0}}}, Level: 1}}}}; err != nil || !reflect.DeepEqual(s.Derived, want) {
		t.Errorf("%v: %+v", err, s.Derived)
	}
}

func TestCampaignDefaults(t *testing.T) {
	c, err := spec.ParseCampaign([]byte(campaignHead), lookup(smallSpace(t)))
	want := loop.Campaign{Name: "c", Space: "s", Policy: "p", Generator: "g", Seed: spec.DefaultSeed("c"), Samples: 10, Rounds: 1,
		UnitSize: loop.DefaultUnitSize, MaxAttempts: loop.DefaultMaxAttempts, Advance: loop.AdvanceSealed, Decide: loop.DecideAuto}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, c, want)
	}
	// C5, I4: a document without a seed makes the same samples for ever.
	if got := spec.DefaultSeed("shapes-first"); got != goldenSeed {
		t.Errorf("the default seed of shapes-first is %d, was %d", got, goldenSeed)
	}
	// A seed of zero is a seed; the largest is kept to the bit; a whole number
	// may be spelt as a float.
	for text, seed := range map[string]uint64{"0": 0, "18446744073709551615": 1<<64 - 1, "1e3": 1000, "12.0": 12, "+7": 7} {
		c, err := spec.ParseCampaign([]byte(campaignHead+"seed: "+text+"\n"), lookup(smallSpace(t)))
		if err != nil || c.Seed != seed {
			t.Errorf("seed %s: %d, %v", text, c.Seed, err)
		}
	}
}

// Whose samples follow from money may begin with more than a pilot's: what is planned
// follows the first round, and no number is refused that nobody wrote.
func TestCampaignByMoney(t *testing.T) {
	doc := strings.Replace(campaignHead, "samples: 10\n", "money: 5\nprice: {gpu_hour: 1}\nrounds: 3\nlearn_from: [{model_line: m}]\n", 1)
	for text, samples := range map[string]uint64{"": 3 * loop.PilotSamples, "first_samples: 40\n": 3 * loop.PilotSamples, "first_samples: 4000\n": 12_000} {
		c, err := spec.ParseCampaign([]byte(doc+text), lookup(smallSpace(t)))
		if err != nil || c.Samples != samples || !c.ByMoney {
			t.Errorf("%q: %d samples, %v", text, c.Samples, err)
		}
	}
	for _, text := range []string{"4294967296", "18446744073709551615", "9223372036854775807"} {
		if c, err := spec.ParseCampaign([]byte(doc+"first_samples: "+text+"\n"), lookup(smallSpace(t))); err == nil {
			t.Errorf("%s: %d samples", text, c.Samples)
		}
	}
}

// Line ends and byte-order mark of other systems change nothing but the bytes.
func TestForeignLineEnds(t *testing.T) {
	doc := read(t, "../examples/policy.yaml")
	want, _ := spec.ParsePolicy(doc)
	foreign := append([]byte("\xEF\xBB\xBF"), bytes.ReplaceAll(doc, []byte("\n"), []byte("\r\n"))...)
	if got, err := spec.ParsePolicy(foreign); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
}
