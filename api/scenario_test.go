package api

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"hone/loop"
)

// readSpace has a factor of each kind, and one that another rules out.
func readSpace(t testing.TB) *loop.Space {
	t.Helper()
	s := &loop.Space{Name: "s", Version: 1, Factors: []loop.Factor{
		{Name: "light", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "low", Target: .25}, {Name: "3", Target: .75}}},
		{Name: "glove", Kind: loop.Categorical, Levels: []loop.Level{{Name: "yes", Target: .5}, {Name: "no", Target: .5}}},
		{Name: "colour", Kind: loop.Categorical, Levels: []loop.Level{{Name: "red", Target: .5}, {Name: "blue", Target: .5}}, When: &loop.LevelSet{Factor: 1, Levels: []int{0}}},
		{Name: "pose", Kind: loop.Numeric, Scale: loop.Circular, Levels: []loop.Level{{Name: "front", Target: .5, High: 180}, {Name: "back", Target: .5, Low: 180, High: 360}}},
	}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadScenario(t *testing.T) {
	const u, a = loop.Unknown, loop.Absent
	s := readSpace(t)
	for text, want := range map[string]any{
		`{}`:                                []loop.Code{u, u, u, u},
		`null`:                              []loop.Code{u, u, u, u},
		`{"light":"low","pose":90}`:         []loop.Code{0, u, u, 0},
		`{"light":"3","pose":-90}`:          []loop.Code{1, u, u, 1},
		`{"light":null,"pose":null}`:        []loop.Code{u, u, u, u},
		`{"light":"unknown"}`:               []loop.Code{u, u, u, u},
		`{"glove":"no"}`:                    []loop.Code{u, 1, a, u},
		`{"glove":"no","colour":null}`:      []loop.Code{u, 1, a, u},
		`{"glove":"yes"}`:                   []loop.Code{u, 0, u, u},
		`{"colour":"red"}`:                  []loop.Code{u, u, 0, u},
		`{"colour":"absent"}`:               []loop.Code{u, u, a, u},
		`{"glove":"no","colour":"red"}`:     "colour: it is absent where glove=no, but is said to be red",
		`{"glove":"yes","colour":"absent"}`: "colour: it is present where glove=yes",
		`{"light":"absent"}`:                "light: it is always present",
		`{"light":"dim"}`:                   `light: "dim" is not a level`,
		`{"light":3}`:                       `light: 3 is not a level`,
		`{"light":["low"]}`:                 `light: ["low"] is not a level`,
		`{"pose":"front"}`:                  `pose: front lies in no bin`,
		`{"lihgt":"low","aa":1}`:            `aa: "aa" is not a factor of space "s"; lihgt: "lihgt" is not a factor`,
	} {
		var described map[string]any
		if err := json.Unmarshal([]byte(text), &described); err != nil {
			t.Fatal(err)
		}
		got, refusals := ReadScenario(s, described)
		problems := make([]string, len(refusals))
		for i, r := range refusals {
			problems[i] = r.Field + ": " + r.Problem
		}
		switch want := want.(type) {
		case string:
			if !strings.HasPrefix(strings.Join(problems, "; "), want) {
				t.Errorf("%s: %q, want %q", text, problems, want)
			}
		case []loop.Code:
			if len(problems) > 0 || !slices.Equal(got.Codes, want) {
				t.Errorf("%s: %v %q, want %v", text, got.Codes, problems, want)
			}
		}
	}
}

// What Describe says, ReadScenario reads: the same levels, and the same values.
func TestDescribedIsRead(t *testing.T) {
	s := readSpace(t)
	drawn, err := s.Draw(nil, 300, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, scenario := range drawn {
		text, err := json.Marshal(Describe(s, scenario).Scenario)
		if err != nil {
			t.Fatal(err)
		}
		var described map[string]any
		if err := json.Unmarshal(text, &described); err != nil {
			t.Fatal(err)
		}
		got, refusals := ReadScenario(s, described)
		if len(refusals) > 0 || !slices.Equal(got.Codes, scenario.Codes) || fmt.Sprint(Describe(s, got)) != fmt.Sprint(Describe(s, scenario)) {
			t.Fatalf("%s is read as %v %v, but was %v", text, got, refusals, scenario)
		}
	}
}

func TestDescribeImported(t *testing.T) {
	s := readSpace(t)
	nan := math.NaN()
	got := DescribeImported(s, &loop.ImportedSample{Values: []float64{nan, nan, nan, 0.1},
		Scenario: loop.Scenario{Codes: []loop.Code{loop.Unknown, 1, loop.Absent, 0}, Fractions: make([]uint32, 4)}})
	if text := fmt.Sprint(got.Scenario); text != "map[glove:no light:<nil> pose:0.1]" {
		t.Error(text)
	}
}

// Whatever JSON comes, each code is a level, absent or unknown, and what is not
// refused holds together.
func FuzzReadScenario(f *testing.F) {
	for _, seed := range []string{`{}`, `{"light":"low","glove":"no","pose":1e300}`, `{"glove":"yes","colour":"absent"}`, `{"pose":[{}],"x":null}`, `[]`, `{"pose":-1e-320}`} {
		f.Add(seed)
	}
	s := readSpace(f)
	f.Fuzz(func(t *testing.T, text string) {
		var described map[string]any
		if json.Unmarshal([]byte(text), &described) != nil {
			return
		}
		got, refusals := ReadScenario(s, described)
		for i, code := range got.Codes {
			if code.IsLevel() && int(code) >= len(s.Factors[i].Levels) {
				t.Fatalf("%s: factor %d has code %d", text, i, code)
			}
			if when := s.Factors[i].When; len(refusals) == 0 && (when == nil && code == loop.Absent ||
				when != nil && got.Codes[when.Factor].IsLevel() && (code == loop.Absent) == when.Contains(int(got.Codes[when.Factor]))) {
				t.Fatalf("%s: factor %d has code %d, which cannot be", text, i, code)
			}
		}
	})
}
