package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"
)

func TestYAML(t *testing.T) {
	for _, c := range []struct{ json, yaml string }{
		{`[]`, "[]\n"},
		{`{}`, "{}\n"},
		{`null`, "null\n"},
		{`"yes"`, "\"yes\"\n"},
		{`{"b":1,"a":{"d":[],"c":{"x":null}}}`, "b: 1\na:\n  d: []\n  c:\n    x: null\n"},
		{`[{"slice":{"light":"low"},"n":3},{"n":4}]`, "- slice:\n    light: low\n  n: 3\n- n: 4\n"},
		{`[[1,2],[[3]]]`, "- - 1\n  - 2\n- - - 3\n"},
		{`{"q":1e-9,"big":1E21,"seed":18446744073709551615}`, "q: 1.0e-9\nbig: 1.0e+21\nseed: 18446744073709551615\n"},
		{`{"a":"x: y","b":"# c","c":"12","d":"2026-01-01","e":"a\u001bb","f":"light=low ∧ glove=yes"}`,
			"a: \"x: y\"\nb: \"# c\"\nc: \"12\"\nd: \"2026-01-01\"\ne: \"a\\u001bb\"\nf: light=low ∧ glove=yes\n"},
	} {
		var b bytes.Buffer
		if err := writeYAML(&b, json.RawMessage(c.json)); err != nil || b.String() != c.yaml {
			t.Errorf("%s: %v, got\n%swant\n%s", c.json, err, &b, c.yaml)
		}
	}
}

// Whatever can be written as JSON reads back from YAML as it was.
func TestYAMLReadsBack(t *testing.T) {
	var value *rapid.Generator[any]
	value = rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return rapid.String().Draw(t, "text")
		case 1:
			return rapid.SampledFrom([]string{"yes", "~", "0x1f", "1_0", "- z", "a #b", "a: b", " x", "x ", "null", "\u0085", "\u2028", "'", `"`, "!t", "&a", "*a", "%", "@", "=", "<<", "1:30", "é"}).Draw(t, "word")
		case 2:
			return float64(rapid.Int32().Draw(t, "integer"))
		case 3:
			// Beyond 64 bits the reader makes text of an integer.
			return rapid.Float64Range(-1e15, 1e15).Draw(t, "float")
		case 4:
			return rapid.Bool().Draw(t, "bool")
		case 5:
			return map[string]any{"m": rapid.MapOfN(rapid.String(), rapid.Deferred(func() *rapid.Generator[any] { return value }), 0, 3).Draw(t, "map")}
		default:
			return rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return value }), 0, 3).Draw(t, "list")
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		in := value.Draw(t, "value")
		var b bytes.Buffer
		if err := writeYAML(&b, in); err != nil {
			t.Fatal(err)
		}
		var out any
		if err := yaml.Unmarshal(b.Bytes(), &out); err != nil {
			t.Fatalf("%v in\n%s", err, &b)
		}
		// Both by way of JSON, where all numbers are alike.
		if want, got := alike(t, in), alike(t, out); !reflect.DeepEqual(want, got) {
			t.Fatalf("%#v came back as %#v from\n%s", want, got, &b)
		}
	})
}

func alike(t *rapid.T, v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
