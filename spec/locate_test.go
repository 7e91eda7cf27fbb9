package spec

import (
	"errors"
	"testing"

	"hone/loop"
)

func TestLocate(t *testing.T) {
	const doc = "name: c\npolicy: plain\ngates: [blank,\n  sharp]\nevaluation:\n  pinned:\n    - {count: 3}\n"
	for field, want := range map[string]string{
		"policy":                     "2:9: policy: wrong",
		"gates[1]":                   "4:3: gates[1]: wrong",
		"gates[7]":                   "3:8: gates[7]: wrong",
		"evaluation.pinned[0].count": "7:15: evaluation.pinned[0].count: wrong",
		"nothing.of[3].it":           "1:1: nothing.of[3].it: wrong",
		"":                           "1:1: wrong",
	} {
		err := Locate([]byte(doc), &loop.Error{Field: field, Problem: "wrong"})
		if _, ok := errors.AsType[Errors](err); !ok || err.Error() != want {
			t.Errorf("%s: %v, want %s", field, err, want)
		}
	}
	if got := Locate([]byte(`{"gates":["a"]}`), &loop.Error{Field: "gates[0]", Problem: "wrong"}).Error(); got != "1:11: gates[0]: wrong" {
		t.Error(got)
	}
	other := errors.New("another")
	if Locate([]byte(doc), other) != other || Locate([]byte("a: ["), other) != other || Locate([]byte(doc), nil) != nil {
		t.Error("what is no refusal is not left alone")
	}
}
