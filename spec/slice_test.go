package spec_test

import (
	"errors"
	"strings"
	"testing"

	"hone/loop"
	"hone/spec"

	"pgregory.net/rapid"
)

func TestParseSlice(t *testing.T) {
	s := smallSpace(t)
	for text, want := range map[string]loop.Slice{
		"light=low":                           {{Factor: 0, Level: 0}},
		" glove = yes &light=day":             {{Factor: 0, Level: 1}, {Factor: 1, Level: 0}},
		"light=low ∧ glove=yes ∧ colour=blue": {{Factor: 0, Level: 0}, {Factor: 1, Level: 0}, {Factor: 2, Level: 1}},
		"colour=blue & glove=yes & light=low": {{Factor: 0, Level: 0}, {Factor: 1, Level: 0}, {Factor: 2, Level: 1}},
	} {
		got, err := spec.ParseSlice(s, text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                      `"" is not factor=level`,
		"light":                 `"light" is not factor=level`,
		"light=low &":           `"" is not factor=level`,
		"ligt=low":              `there is no factor "ligt" (did you mean "light"?)`,
		"light=loww":            `did you mean "low"?`,
		"light=low & light=day": "the factor is there already",
		"glove=no & colour=red": "cannot occur",
		"a=1 & b=2 & c=3 & d=4 & e=5 & f=6 & light=low": "at most 6",
	} {
		_, err := spec.ParseSlice(s, text)
		if _, ok := errors.AsType[*loop.Error](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// Names and SliceOf are inverse, and what loop writes ParseSlice reads.
func TestSlicesRoundTrip(t *testing.T) {
	s := exampleSpace(t)
	rapid.Check(t, func(t *rapid.T) {
		slice := loop.Slice{}
		for _, f := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7, 8}).Draw(t, "factors")[:rapid.IntRange(1, loop.MaxOrder).Draw(t, "order")] {
			levels := len(s.Factors[f].Levels)
			p := loop.Predicate{Factor: f, Level: rapid.IntRange(0, levels-1).Draw(t, "level")}
			if s.Factors[f].Kind != loop.Categorical {
				p.Run = rapid.IntRange(0, levels-1-p.Level).Draw(t, "run")
			}
			slice = slice.With(p)
		}
		if s.ValidateSlice("slice", slice) != nil {
			t.Skip("cannot occur")
		}
		if back, err := spec.SliceOf(s, s.Names(slice)); err != nil || !back.Equal(slice) {
			t.Fatalf("%v became %v, %v", slice, back, err)
		}
		if back, err := spec.ParseSlice(s, s.Describe(slice)); err != nil || !back.Equal(slice) {
			t.Fatalf("%q became %v, %v", s.Describe(slice), back, err)
		}
	})
}

// A run of levels may stand wherever a slice does: in a space, a campaign and a
// policy, in a list of scenarios and in what people type.
func TestRunsOfLevels(t *testing.T) {
	const doc = `
name: s
factors:
  - {name: light, levels: [low, day]}
  - {name: rain, kind: ordinal, levels: [none, some, much, flood]}
  - {name: speed, edges: [0, 20, 40.5, 60]}
risks: [{slice: {rain: much..flood}, weight: 2}]
protected: [{slice: {speed: 20..60, light: low}, share: 0.1}]
`
	space, err := spec.ParseSpace([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	wet, fast := loop.Predicate{Factor: 1, Level: 2, Run: 1}, loop.Predicate{Factor: 2, Level: 1, Run: 1}
	if !space.Risks[0].Slice.Equal(loop.Slice{wet}) || !space.Protected[0].Slice.Equal(loop.Slice{{Factor: 0, Level: 0}, fast}) {
		t.Errorf("%+v, %+v", space.Risks, space.Protected)
	}
	campaign, err := spec.ParseCampaign([]byte(`
name: c
space: s
policy: p
generator: g
samples: 100
learn_from: [{model_line: m}]
evaluation: {pinned: [{slice: {rain: much..flood}, count: 5}]}
until: [{failure: {slice: {speed: "20..60"}, at_most: 0.1}}]
`), func(string) (*loop.Space, error) { return &space, nil })
	if err != nil {
		t.Fatal(err)
	}
	if !campaign.Evaluation.Pinned[0].Slice.Equal(loop.Slice{wet}) || !campaign.Until[0].Failure.Slice.Equal(loop.Slice{fast}) {
		t.Errorf("%+v, %+v", campaign.Evaluation, campaign.Until)
	}
	requests, err := spec.ParseScenarios([]byte("speed,rain,count\n20..60,much..flood,7\n"), &space)
	if err != nil || len(requests) != 1 || !requests[0].Slice.Equal(loop.Slice{wet, fast}) || requests[0].Count != 7 {
		t.Errorf("%+v, %v", requests, err)
	}
	policy, err := spec.ParsePolicy([]byte("name: p\npins: [{slice: {speed: 20..60}, share: 0.2}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if slice, err := policy.Pins[0].Resolve(&space, ""); err != nil || !slice.Equal(loop.Slice{fast}) {
		t.Errorf("%v, %v", slice, err)
	}
	if slice, err := spec.ParseSlice(&space, "rain=much..flood & speed=20..60"); err != nil || !slice.Equal(loop.Slice{wet, fast}) {
		t.Errorf("%v, %v", slice, err)
	}
	for typed, want := range map[string]string{
		"rain=much..some":   `7:24: risks[0].slice.rain: "much" is not below "some" in factor "rain"`,
		"rain=much..deluge": `factor "rain" has no level "deluge"`,
		"light=low..day":    `the levels of factor "light" have no order`,
		"rain=none..flood":  "is every level of factor \"rain\"",
		"speed=20..40":      `factor "speed" has no level "40"`,
	} {
		factor, run, _ := strings.Cut(typed, "=")
		_, err := spec.ParseSpace([]byte(strings.Replace(doc, "rain: much..flood", factor+": "+run, 1)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", typed, err, want)
		}
	}
}
