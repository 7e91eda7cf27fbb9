package spec_test

import (
	"encoding/json"
	"errors"
	"reflect"
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
		"":                            `"" is not factor=level`,
		"light":                       `"light" is not factor=level`,
		"light=low &":                 `"" is not factor=level`,
		"ligt=low":                    `there is no factor "ligt" (did you mean "light"?)`,
		"light=loww":                  `did you mean "low"?`,
		"light=low & light=day":       "the factor is there already",
		"glove=no & colour=red":       "cannot occur",
		"a=1 & b=2 & c=3 & light=low": "at most 3",
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
			slice = slice.With(loop.Predicate{Factor: f, Level: rapid.IntRange(0, len(s.Factors[f].Levels)-1).Draw(t, "level")})
		}
		if s.ValidateSlice("slice", slice) != nil {
			t.Skip("cannot occur")
		}
		if back, err := spec.SliceOf(s, spec.Names(s, slice)); err != nil || !back.Equal(slice) {
			t.Fatalf("%v became %v, %v", slice, back, err)
		}
		if back, err := spec.ParseSlice(s, s.Describe(slice)); err != nil || !back.Equal(slice) {
			t.Fatalf("%q became %v, %v", s.Describe(slice), back, err)
		}
	})
}

func TestRoundJSON(t *testing.T) {
	s := smallSpace(t)
	round := &loop.Round{Campaign: "c", Number: 3, Seed: 1<<64 - 1, Strategy: loop.StrategyHone,
		Components: []loop.Component{
			{Over: loop.OverBase, Share: 3 << 30, Quota: 75},
			{Number: 1, Over: loop.OverBase, Slice: loop.Slice{{Factor: 0, Level: 0}}, By: &loop.Predicate{Factor: 1, Level: 1}, Share: 1 << 30, Quota: 25,
				Reason: &loop.Reason{Rows: 40, Failures: 30, Sentence: "fails three times as often"}},
		},
		Memory: loop.Memory{Slices: []loop.Remembered{{Slice: loop.Slice{{Factor: 1, Level: 0}, {Factor: 2, Level: 1}}, Round: 2, Damping: .5, Sentence: "no better"}}},
		Notes:  []string{"a note"},
	}
	before := round.Digest()
	text, err := json.Marshal(spec.RoundJSON(s, round))
	if err != nil {
		t.Fatal(err)
	}
	if round.Digest() != before {
		t.Error("showing a round changed it")
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	boost := got["components"].([]any)[1].(map[string]any)
	if want := map[string]any{"light": "low"}; !reflect.DeepEqual(boost["slice"], want) {
		t.Errorf("slice: %v", boost["slice"])
	}
	if want := map[string]any{"glove": "no"}; !reflect.DeepEqual(boost["by"], want) {
		t.Errorf("by: %v", boost["by"])
	}
	if boost["text"] != "light=low ∧ glove=no" || boost["fraction"] != .25 || boost["domain"] != "train" {
		t.Errorf("component: %v", boost)
	}
	if s := boost["reason"].(map[string]any)["sentence"]; s != "fails three times as often" {
		t.Errorf("sentence: %v", s)
	}
	if base := got["components"].([]any)[0].(map[string]any); base["text"] != "everything" || base["slice"] != nil {
		t.Errorf("base: %v", base)
	}
	remembered := got["memory"].(map[string]any)["slices"].([]any)[0].(map[string]any)
	if want := map[string]any{"glove": "yes", "colour": "blue"}; !reflect.DeepEqual(remembered["slice"], want) || remembered["damping"] != .5 {
		t.Errorf("memory: %v", remembered)
	}
	// Whoever speaks the API decodes it into the same type.
	var back spec.Decision
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Seed != round.Seed || back.Number != 3 || len(back.Notes) != 1 || back.Components[1].Slice["light"] != "low" ||
		back.Components[1].Quota != 25 || back.Components[1].Reason.Rows != 40 || back.Memory.Slices[0].Damping != .5 {
		t.Errorf("decoded: %+v", back)
	}
}
