package spec_test

import (
	"bytes"
	"errors"
	"testing"

	"hone/loop"
	"hone/spec"
)

// seeds are the examples and small documents of every form, right and wrong.
func seeds(f *testing.F, paths ...string) {
	f.Helper()
	for _, p := range paths {
		f.Add(read(f, p))
	}
	for _, doc := range []string{
		light, campaignHead, "name: p\nfloor: .nan\n", `{"name":"p","shares":{"cap":1e-3}}`, "a: &a [*a]\n", "- - - x\n", "? a\n: b\n", "a: |\n  b\n c",
		"{a: [b, {c: d}]}", "name: s\nfactors:\n- {name: a, edges: [0, 1, 2], target: [1, 0]}\n- {name: b, levels: {x: 1}, when: {a: '[0,1)'}}\n",
		light + "constraints: [{when: {light: low}, require: {light: [day, low]}}]\nrisks: [{slice: {light: day}, weight: 3}]\n", "a: !!str b\n",
		light + "- {name: b, levels: [x, y], when: {light: low}, given: {light: {low: {x: 1}}}}\n", light + "target: {joint: {factors: [light], rows: [[low, 1]]}}\n",
		light + "target: {mixture: [{share: 1, levels: {light: [0.5, 0.5]}}]}\n", "%YAML 1.2\n---\n", "\"\\", "'",
	} {
		f.Add([]byte(doc))
	}
}

// sound checks what holds of every refusal.
func sound(t *testing.T, doc []byte, err error) {
	t.Helper()
	list, ok := errors.AsType[spec.Errors](err)
	if !ok || len(list) == 0 {
		t.Fatalf("%q: refused by %T, %v", doc, err, err)
	}
	lines := bytes.Count(doc, []byte("\n")) + bytes.Count(doc, []byte("\r")) + 1
	for _, e := range list {
		if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Refusal.Problem == "" {
			t.Fatalf("%q: %d:%d of %d lines: %v", doc, e.Line, e.Column, lines, e)
		}
	}
}

func FuzzParseSpace(f *testing.F) {
	seeds(f, "../examples/shapes/space.yaml", "../examples/parts/space.yaml")
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, err := spec.ParseSpace(doc)
		if err != nil {
			sound(t, doc, err)
		} else if err := s.Validate(); err != nil {
			t.Fatalf("%q: accepted, but %v", doc, err)
		}
	})
}

// An edit of any document is refused, or leaves a policy that has it.
func FuzzSetOverride(f *testing.F) {
	seeds(f, "../examples/policy.yaml")
	for _, doc := range []string{"\xEF\xBB\xBFname: p\npins: []", "name: p\r\rbans: \r - slice: {a: b}", "name: p\npins:\n- - {}", "{name: p, bans: [slice: {a: b}]}",
		"name: p\nbans:\n- slice: {light: low} # a\n- {slice: {ü: \"]\"}}\n", "{\"name\":\"p\",\"pins\":[{\"slice\":{\"light\":\"low\"},\"share\":0.1}]}"} {
		f.Add([]byte(doc))
	}
	o := loop.Override{Slice: map[string]string{"light": "low"}, Share: .1, Reason: "why: \"not\""}
	f.Fuzz(func(t *testing.T, doc []byte) {
		edited, err := spec.SetOverride(doc, spec.Pins, o)
		if err != nil {
			return
		}
		p, err := spec.ParsePolicy(edited)
		if err != nil || len(p.Pins) == 0 {
			t.Fatalf("%q became %q: %v", doc, edited, err)
		}
		// Lines that end in a carriage return alone are beyond it.
		back, err := spec.RemoveOverride(edited, spec.Pins, o.Slice)
		if err != nil && !bytes.Contains(edited, []byte("\r")) {
			t.Fatalf("%q is not taken back: %v, %q", edited, err, back)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	seeds(f, "../examples/policy.yaml")
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := spec.ParsePolicy(doc)
		if err != nil {
			sound(t, doc, err)
		} else if err := p.Validate(); err != nil {
			t.Fatalf("%q: accepted, but %v", doc, err)
		}
	})
}

func FuzzParseCampaign(f *testing.F) {
	seeds(f, "../examples/campaign.yaml")
	s := exampleSpace(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := spec.ParseCampaign(doc, func(name string) (*loop.Space, error) {
			if name != s.Name {
				return nil, nil
			}
			return s, nil
		})
		if err != nil {
			sound(t, doc, err)
		} else if err := c.Validate(s); err != nil {
			t.Fatalf("%q: accepted, but %v", doc, err)
		}
	})
}

func FuzzParseSlice(f *testing.F) {
	s := exampleSpace(f)
	for _, text := range []string{"light=low", "light=low & shape=bar ∧ blur=none", "light==", "& &", "=", "occlusion=none & occluder_side=top"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		slice, err := spec.ParseSlice(s, text)
		if err != nil {
			if _, ok := errors.AsType[*loop.Error](err); !ok {
				t.Fatalf("%q: refused by %T", text, err)
			}
			return
		}
		if back, err := spec.SliceOf(s, s.Names(slice)); err != nil || !back.Equal(slice) {
			t.Fatalf("%q: %v became %v, %v", text, slice, back, err)
		}
	})
}
