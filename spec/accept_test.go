package spec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
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
	if p != want {
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
	p, err := spec.ParsePolicy(convert("../examples/policy.yaml"))
	if want, _ := spec.ParsePolicy(read(t, "../examples/policy.yaml")); err != nil || p != want {
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

// Line ends and byte-order mark of other systems change nothing but the bytes.
func TestForeignLineEnds(t *testing.T) {
	doc := read(t, "../examples/policy.yaml")
	want, _ := spec.ParsePolicy(doc)
	foreign := append([]byte("\xEF\xBB\xBF"), bytes.ReplaceAll(doc, []byte("\n"), []byte("\r\n"))...)
	if got, err := spec.ParsePolicy(foreign); err != nil || got != want {
		t.Errorf("%v: %+v", err, got)
	}
}
