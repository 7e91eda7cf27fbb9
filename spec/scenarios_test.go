package spec_test

import (
	"encoding/json"
	"strings"
	"testing"

	"hone/loop"
	"hone/spec"
)

// All forms of a list say the same.
func TestScenarios(t *testing.T) {
	s := smallSpace(t)
	const want = `[{"light":"low"},100],[{"colour":"red","glove":"yes","light":"day"},7],[{},1]`
	for form, doc := range map[string]string{
		"YAML":           "# mine\n- {light: low, count: 60}\n- {light: day, glove: \"yes\", colour: red, count: 7}\n- count: 1\n- {light: low, count: 40}\n",
		"campaign's":     "- where: {light: low}\n  count: 100\n- where: {colour: red, light: day, glove: \"yes\"}\n  count: 7\n- {where: {}}\n",
		"JSON":           `[{"light":"low","count":100},{"colour":"red","light":"day","glove":"yes","count":7.0},{}]`,
		"NDJSON":         "\n{\"light\":\"low\",\"count\":100}\n\n{\"colour\":\"red\",\"light\":\"day\",\"glove\":\"yes\",\"count\":7}\n{}",
		"CSV":            "light,glove,colour,count\r\nlow,,,100\r\nday,yes,red,7\r\n,,,1\r\n",
		"CSV with a BOM": "\ufeffcount, light ,colour,glove\n99,low,,\n7,day,red,yes\n,,,\n1,low,,\n",
	} {
		requests, err := spec.ParseScenarios([]byte(doc), s)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		var got []string
		for _, r := range requests {
			b, _ := json.Marshal([]any{s.Names(r.Slice), r.Count})
			got = append(got, string(b))
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s: %s", form, got)
		}
	}
}

func TestScenarioRefusals(t *testing.T) {
	s := smallSpace(t)
	for doc, want := range map[string]string{
		"":                                    "1:1: no scenario is listed",
		"[]":                                  "1:1: no scenario is listed",
		"light: low\n":                        "1:1: no scenario is listed", // a table with one odd column
		"{\n\"light\": \"low\"}":              "1:1: a list of scenarios is expected, not a mapping",
		"- light\n":                           "1:3: scenarios[0]: a mapping from factor to level",
		"- {light: lowe}\n":                   `1:11: scenarios[0].light: factor "light" has no level "lowe" (did you mean "low"?)`,
		"- {light: low}\n- {lihgt: low}\n":    `2:4: scenarios[1].lihgt: there is no factor "lihgt" (did you mean "light"?)`,
		"- {light: low, count: -1}\n":         "1:23: scenarios[0].count: -1 is negative",
		"- {light: low, count: 0}\n":          "1:3: scenarios[0].count: none are wanted",
		"- {where: {light: low}, light: low}": "1:25: scenarios[0].light: unknown key",
		"{\"light\":\"low\"}\n{\"light\":\"day\",\"glove\":\"on\"}\n": `2:24: scenarios[1].glove: factor "glove" has no level "on"`,
		"{\"light\":\"low\"}\n{\"light\":}\n":                         "2:",
		"light,glove\nlow,yes\nday\n":                                 "3:1: not a table: wrong number of fields",
		"light,light\nlow,low\n":                                      "1:7: light: the key is there already",
		"light,count\nlow,many\n":                                     `2:5: scenarios[0].count: a whole number is expected, not "many"`,
	} {
		if _, err := spec.ParseScenarios([]byte(doc), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", doc, err, want)
		}
	}
}

// Whatever comes, it is a list that a campaign could make, or Errors with a place.
func FuzzScenarios(f *testing.F) {
	for _, doc := range []string{"- {light: low, count: 3}", "light,count\nlow,3\n", "{\"light\":\"low\"}\n{}", "[{}]", "- where: {light: low}\n", "\"", "light\n\"low\n"} {
		f.Add([]byte(doc))
	}
	s := smallSpace(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		requests, err := spec.ParseScenarios(doc, s)
		if err != nil {
			mistakes, ok := err.(spec.Errors)
			if !ok || len(mistakes) == 0 || mistakes[0].Line < 1 || mistakes[0].Column < 1 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		seen := map[string]bool{}
		for _, r := range requests {
			name := s.Describe(r.Slice)
			if r.Count == 0 || seen[name] || len(r.Slice) > len(s.Factors) {
				t.Fatalf("%s: %d", name, r.Count)
			}
			seen[name] = true
			if back, err := spec.PredicatesOf(s, "where", s.Names(r.Slice)); err != nil || !back.Equal(r.Slice) {
				t.Fatalf("%s read back: %v, %v", name, back, err)
			}
		}
		_ = loop.Requested(requests)
	})
}
