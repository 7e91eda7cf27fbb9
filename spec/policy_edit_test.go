package spec_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hone/loop"
	"hone/spec"
)

func override(share float64, pairs ...string) loop.Override {
	o := loop.Override{Slice: map[string]string{}, Share: share, Author: "ann", Reason: "why not"}
	for i := 0; i < len(pairs); i += 2 {
		o.Slice[pairs[i]] = pairs[i+1]
	}
	return o
}

// Whatever the style of a document, an edit changes its own lines alone.
func TestEditKeepsTheRest(t *testing.T) {
	dated := override(.25, "light", "low", "glove", "yes")
	dated.Reason, dated.Expires = "it: \"breaks\" # often", "2030-01-31"
	set := func(o loop.Override) func([]byte) ([]byte, error) {
		list := spec.Pins
		if o.Share == 0 {
			list = spec.Bans
		}
		return func(doc []byte) ([]byte, error) { return spec.SetOverride(doc, list, o) }
	}
	remove := func(list string, pairs ...string) func([]byte) ([]byte, error) {
		return func(doc []byte) ([]byte, error) {
			return spec.RemoveOverride(doc, list, override(0, pairs...).Slice)
		}
	}
	const entry = "{slice: {light: low}, share: 0.1, author: ann, reason: why not}"
	for name, c := range map[string]struct {
		doc  string
		edit func([]byte) ([]byte, error)
		want string
	}{
		"no list yet": {"# mine\nname: p # short\n\n\n", set(override(.1, "light", "low")), "# mine\nname: p # short\n\npins:\n  - " + entry + "\n"},
		"what needs quotes": {"name: p", set(dated),
			"name: p\n\npins:\n  - {slice: {glove: yes, light: low}, share: 0.25, author: ann, reason: \"it: \\\"breaks\\\" # often\", expires: 2030-01-31}\n"},
		"after the last": {"pins:\n- {slice: {light: day}, share: 0.2} # first\n# about the name\nname: p\n", set(override(.1, "light", "low")),
			"pins:\n- {slice: {light: day}, share: 0.2} # first\n- " + entry + "\n# about the name\nname: p\n"},
		"after one of several lines": {"name: p\npins:\n    # a\n    - slice:\n        light: day\n      share: 0.2\n      # b\n\nfloor: 0.1\n", set(override(.1, "light", "low")),
			"name: p\npins:\n    # a\n    - slice:\n        light: day\n      share: 0.2\n      # b\n    - " + entry + "\n\nfloor: 0.1\n"},
		"no line break at the end": {"name: p\npins:\n- {slice: {light: day}, share: 0.2}", set(override(.1, "light", "low")),
			"name: p\npins:\n- {slice: {light: day}, share: 0.2}\n- " + entry + "\n"},
		"in the place of another": {"name: p\npins:\n- {slice: {light: day}, share: 0.2}\n- {slice: {light: low}, share: 0.2} # so\n", set(override(.1, "light", "low")),
			"name: p\npins:\n- {slice: {light: day}, share: 0.2}\n- " + entry + " # so\n"},
		"in the place of several lines": {"name: p\npins:\n- slice: {light: low}\n  share: 0.2\n- {slice: {light: day}, share: 0.2}\n", set(override(.1, "light", "low")),
			"name: p\npins:\n- " + entry + "\n- {slice: {light: day}, share: 0.2}\n"},
		"in brackets":   {"name: p\npins: [{slice: {light: day}, share: 0.2}] # so\n", set(override(.1, "light", "low")), "name: p\npins: [{slice: {light: day}, share: 0.2}, " + entry + "] # so\n"},
		"into an empty": {"name: p\npins: [] # none yet\nfloor: 0.1\n", set(override(.1, "light", "low")), "name: p\npins: # none yet\n  - " + entry + "\nfloor: 0.1\n"},
		"a ban":         {"name: p\r\nfloor: 0.1\r\n", set(override(0, "light", "low")), "name: p\r\nfloor: 0.1\r\n\r\nbans:\r\n  - {slice: {light: low}, author: ann, reason: why not}\r\n"},
		"JSON": {`{"name": "p"}`, set(override(.1, "light", "low")),
			`{"name": "p", "pins": [{"slice": {"light": "low"}, "share": 0.1, "author": "ann", "reason": "why not"}]}`},
		"JSON in lines": {"{\n  \"name\": \"p\"\n}\n", set(override(.1, "light", "low")),
			"{\n  \"name\": \"p\",\n  \"pins\": [{\"slice\": {\"light\": \"low\"}, \"share\": 0.1, \"author\": \"ann\", \"reason\": \"why not\"}]\n}\n"},
		"JSON, one more": {"{\"pins\": [\n  {\"slice\": {\"light\": \"d]y\"}, \"share\": 0.2}\n],\n\"name\": \"p\"}", set(override(.1, "light", "low")),
			"{\"pins\": [\n  {\"slice\": {\"light\": \"d]y\"}, \"share\": 0.2},\n  {\"slice\": {\"light\": \"low\"}, \"share\": 0.1, \"author\": \"ann\", \"reason\": \"why not\"}\n],\n\"name\": \"p\"}"},

		"taken out":        {"name: p\npins:\n  # a\n  - {slice: {light: low}, share: 0.1}\n  # b\n  - {slice: {light: day}, share: 0.2}\n", remove(spec.Pins, "light", "low"), "name: p\npins:\n  # a\n  # b\n  - {slice: {light: day}, share: 0.2}\n"},
		"the last of all":  {"name: p\npins: # of the night\n  # a\n  - slice: {light: low}\n    share: 0.1\nfloor: 0.1\n", remove(spec.Pins, "light", "low"), "name: p\npins: [] # of the night\n  # a\nfloor: 0.1\n"},
		"out of brackets":  {"name: p\nbans: [{slice: {light: low}}, {slice: {light: day}}]\n", remove(spec.Bans, "light", "low"), "name: p\nbans: [{slice: {light: day}}]\n"},
		"the last of some": {"name: p\nbans: [{slice: {light: low}}, {slice: {light: day}}]\n", remove(spec.Bans, "light", "day"), "name: p\nbans: [{slice: {light: low}}]\n"},
		"out of JSON":      {`{"bans": [{"slice": {"light": "low"}}], "name": "p"}`, remove(spec.Bans, "light", "low"), `{"bans": [], "name": "p"}`},
	} {
		got, err := c.edit([]byte(c.doc))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", name, err, got, c.want)
		}
	}
}

func TestEditIsRefused(t *testing.T) {
	pin := override(.1, "light", "low")
	for name, c := range map[string]struct {
		doc  string
		pin  loop.Override
		want string
	}{
		"too much":           {"name: p\nshares: {base: 0.5}\n", override(.6, "light", "low"), "pins[0].share: with shares.base 0.5 the pins claim 1.1"},
		"banned":             {"name: p\nbans: [{slice: {light: low}}]\n", pin, "it lies inside what bans[0] bans"},
		"no policy":          {"name: p\nfloor: high\n", pin, "2:8: floor"},
		"an odd form":        {"name: p\npins:\n- ? slice\n  : {light: day}\n  share: 0.2\n", pin, ""},
		"a document's end":   {"name: p\n...\n", pin, ""},
		"seven predicates":   {"name: p\n", override(.1, "a", "x", "b", "x", "c", "x", "d", "x", "e", "x", "f", "x", "g", "x"), "pins[0].slice: 7 predicates"},
		"no share":           {"name: p\n", override(0, "light", "low"), "pins[0].share: 0 is not the share"},
		"no day of the year": {"name: p\n", loop.Override{Slice: pin.Slice, Share: .1, Expires: "2030-02-30"}, `pins[0].expires: "2030-02-30" is not a day`},
	} {
		got, err := spec.SetOverride([]byte(c.doc), spec.Pins, c.pin)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
	_, err := spec.RemoveOverride([]byte("name: p\npins: [{slice: {light: day}, share: 0.1}]\n"), spec.Pins, pin.Slice)
	if !errors.Is(err, loop.ErrNotFound) || !strings.Contains(err.Error(), "light=low is not pinned (there is light=day)") {
		t.Errorf("what is not pinned: %v", err)
	}
}

// Any chain of edits leaves the policy that was meant, and every comment.
func TestEditsChain(t *testing.T) {
	docs := []string{"# one\nname: p # two\n# three\n", "{\"name\": \"p\"}", "name: p\n# one\npins: [] # two\nbans:\n# three\n- {slice: {a: x}}\n",
		"name: p\npins:\n  - slice: # one\n      a: x\n    share: 0.01 # two\n\n# three\nfloor: 0.3\n"}
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(rapid.SampledFrom(docs).Draw(t, "doc"))
		comment := strings.Contains(string(doc), "# three")
		want, err := spec.ParsePolicy(doc)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 8).Draw(t, "edits") {
			o := override(0, rapid.SampledFrom([]string{"a", "b", "true", "ü"}).Draw(t, "factor"), rapid.SampledFrom([]string{"x", "1", "no", "a]b", "it's", "null", "- y"}).Draw(t, "level"))
			o.Reason = rapid.StringMatching(`[ -~äß"']{0,12}`).Draw(t, "reason")
			list, all := spec.Bans, &want.Bans
			if rapid.Bool().Draw(t, "pin") {
				list, all, o.Share = spec.Pins, &want.Pins, rapid.SampledFrom([]float64{1e-6, .01, 1. / 30}).Draw(t, "share")
			}
			at := slices.IndexFunc(*all, func(other loop.Override) bool { return maps.Equal(o.Slice, other.Slice) })
			var next []byte
			if rapid.Bool().Draw(t, "remove") {
				next, err = spec.RemoveOverride(doc, list, o.Slice)
				if (err == nil) != (at >= 0) {
					t.Fatalf("%s\nremove %v: %v", doc, o, err)
				}
				if err != nil {
					continue
				}
				*all = slices.Delete(slices.Clone(*all), at, at+1)
			} else {
				before := slices.Clone(*all)
				if at >= 0 {
					*all = slices.Clone(*all)
					(*all)[at] = o
				} else {
					*all = append(slices.Clone(*all), o)
				}
				refused := want.Validate()
				next, err = spec.SetOverride(doc, list, o)
				if (err == nil) != (refused == nil) {
					t.Fatalf("%s\nset %+v: %v, but %v", doc, o, err, refused)
				}
				if err != nil {
					*all = before
					continue
				}
			}
			doc = next
			got, err := spec.ParsePolicy(doc)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := want.Changes(&got), len(got.Pins)+len(got.Bans); len(a) > 0 || b != len(want.Pins)+len(want.Bans) {
				t.Fatalf("%s\nis not what was meant: %v", doc, a)
			}
		}
		if strings.Contains(string(doc), "# three") != comment {
			t.Fatalf("%s\nhas lost a comment", doc)
		}
	})
}
