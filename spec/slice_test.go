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
			slice = slice.With(loop.Predicate{Factor: f, Level: rapid.IntRange(0, len(s.Factors[f].Levels)-1).Draw(t, "level")})
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
