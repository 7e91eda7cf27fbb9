package program

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"hone/loop"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// conversation is one of the transcripts of PROTOCOL.md.
type conversation struct {
	schema *jsonschema.Schema
	lines  []string // as they stand on the page, with their arrow
}

func conversations(t *testing.T) map[string]*conversation {
	t.Helper()
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*conversation{}
	for name, raw := range map[string][]byte{"generator": GeneratorSchema(), "gate": GateSchema()} {
		_, section, ok := strings.Cut(string(page), "\n## A "+name+"\n")
		if !ok {
			t.Fatalf("PROTOCOL.md has no section on a %s", name)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		c := &conversation{}
		for l := range strings.Lines(section) {
			l = strings.TrimSpace(l)
			if strings.HasPrefix(l, "→ ") || strings.HasPrefix(l, "← ") {
				c.lines = append(c.lines, l)
			}
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(name, v); err != nil {
			t.Fatal(err)
		}
		if c.schema, err = compiler.Compile(name); err != nil {
			t.Fatal(err)
		}
		out[name] = c
	}
	return out
}

func valid(schema *jsonschema.Schema, line string) error {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// types are the Go types of the messages.
func types(gate bool) map[string]any {
	if gate {
		return map[string]any{"describe": &describe{}, "judge": &judge{}, "description": &description{}, "verdict": &verdict{}, "done": &done{}, "failed": &failed{}}
	}
	return map[string]any{"describe": &describe{}, "unit": &unit{}, "description": &description{}, "sample": &sample{}, "done": &done{}, "failed": &failed{}}
}

// The transcripts of the page keep to the schemas, and read as the Go types;
// what Hone writes there, it writes to the byte.
func TestTranscripts(t *testing.T) {
	for name, c := range conversations(t) {
		seen := map[string]bool{"failed": true} // which the page has in its text
		for _, l := range c.lines {
			arrow, text, _ := strings.Cut(l, " ")
			if err := valid(c.schema, text); err != nil {
				t.Errorf("%s: %s\n%v", name, text, err)
			}
			messages := types(name == "gate")
			kind, err := parse([]byte(text), messages)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			seen[kind] = true
			if arrow == "→" {
				back, err := line(messages[kind])
				if err != nil || string(back) != text+"\n" {
					t.Errorf("%s: Hone writes %s, the page has %s (%v)", name, back, text, err)
				}
			}
			if d, ok := messages[kind].(*description); ok {
				if err := d.check(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if v, ok := messages[kind].(*verdict); ok {
				if _, _, _, err := v.answer(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for kind := range types(name == "gate") {
			if !seen[kind] {
				t.Errorf("the transcript of a %s has no %s", name, kind)
			}
		}
	}
}

// What Hone writes keeps to the schemas, also beyond the page's examples.
func TestHoneKeepsToTheSchemas(t *testing.T) {
	c := conversations(t)
	u := someUnit(1<<32-1, 1)
	u.Samples[0].Seed = 1<<64 - 1
	message := unit{Type: "unit", ID: u.ID, Dir: "/tmp/\"a\"", Campaign: u.Campaign, CampaignSeed: seedText(0)}
	given, err := conditionsOf(u.Space, u.Samples[0].Scenario)
	if err != nil {
		t.Fatal(err)
	}
	message.Samples = []wanted{{u.Samples[0].Index, seedText(u.Samples[0].Seed), given}}
	l, err := line(message)
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(c["generator"].schema, string(l)); err != nil {
		t.Errorf("%s%v", l, err)
	}
	if l, err = line(judge{Type: "judge", ID: "1", Dir: "/tmp", Samples: []specimen{{0, given, map[string]string{"a.txt": "0.a.txt"}}}}); err != nil {
		t.Fatal(err)
	}
	if err := valid(c["gate"].schema, string(l)); err != nil {
		t.Errorf("%s%v", l, err)
	}
	want := conditions{Scenario: map[string]any{"light": "low", "distance": 7.5, "glove": "yes", "glove_colour": "blue"},
		Levels: map[string]string{"distance": "[5,10)"}, Labels: map[string]string{"visible": "no"}}
	if !reflect.DeepEqual(given, want) {
		t.Errorf("a scenario by names is %v, not %v", given, want)
	}
	if _, err := conditionsOf(u.Space, loop.Scenario{Codes: []loop.Code{9, 0, 0, loop.Absent}, Fractions: make([]uint32, 4)}); err == nil {
		t.Error("a level that is not there has a name")
	}
}

// Schema and program say the same of an answer's shape.
func TestSchemasAgreeWithTheTypes(t *testing.T) {
	all := conversations(t)
	for _, c := range []struct {
		schema, line string
		want         bool
	}{
		{"generator", `{"type":"description","protocol":1,"version":"1"}`, true},
		{"generator", `{"type":"description","protocol":2,"version":"1"}`, false},
		{"generator", `{"type":"description","protocol":1}`, false},
		{"generator", `{"type":"description","protocol":1,"version":""}`, false},
		{"generator", `{"type":"description","protocol":1,"version":"` + strings.Repeat("v", 129) + `"}`, false},
		{"generator", `{"type":"description","protocol":1,"version":"1","outputs":["Image.PNG"]}`, false},
		{"generator", `{"type":"description","protocol":1,"version":"1","outputs":["a..b"]}`, false},
		{"generator", `{"type":"description","protocol":1,"version":"1","outputs":["` + strings.Repeat("a", 33) + `"]}`, false},
		{"generator", `{"type":"description","protocol":1,"version":"1","deterministic":"yes"}`, false},
		{"generator", `{"type":"description","protocol":1,"version":"1","name":"x"}`, false},
		{"generator", `{"type":"sample","index":100,"files":{"a":"b"}}`, true},
		{"generator", `{"type":"sample","index":100,"files":{}}`, false},
		{"generator", `{"type":"sample","index":100,"files":{"A":"b"}}`, false},
		{"generator", `{"type":"sample","index":100,"files":{"a":""}}`, false},
		{"generator", `{"type":"sample","index":100,"files":{"a":1}}`, false},
		{"generator", `{"type":"sample","index":"100","files":{"a":"b"}}`, false},
		{"generator", `{"type":"sample","index":-1,"files":{"a":"b"}}`, false},
		{"generator", `{"type":"sample","files":{"a":"b"}}`, false},
		{"generator", `{"type":"sample","index":100}`, false},
		{"generator", `{"type":"done"}`, false},
		{"generator", `{"type":"done","samples":1.5}`, false},
		{"generator", `{"type":"failed","error":"why"}`, true},
		{"generator", `{"type":"failed"}`, true},
		{"generator", `{"type":"failed","error":1}`, false},
		{"generator", `{"type":"progress"}`, false},
		{"generator", `[]`, false},
		{"gate", `{"type":"description","protocol":1,"version":"1","scores":["sharpness"]}`, true},
		{"gate", `{"type":"description","protocol":1,"version":"1","scores":["0"]}`, false},
		{"gate", `{"type":"verdict","index":100,"accepted":true}`, true},
		{"gate", `{"type":"verdict","index":100,"accepted":true,"reason":"","scores":{"a":1e-3}}`, true},
		{"gate", `{"type":"verdict","index":100,"accepted":false}`, false},
		{"gate", `{"type":"verdict","index":100,"accepted":false,"reason":""}`, false},
		{"gate", `{"type":"verdict","index":100,"accepted":"no","reason":"x"}`, false},
		{"gate", `{"type":"verdict","index":100}`, false},
		{"gate", `{"type":"verdict","index":100,"accepted":true,"scores":{"a":"1"}}`, false},
		{"gate", `{"type":"verdict","index":100,"accepted":true,"scores":{"a b":1}}`, false},
		{"gate", `{"type":"verdict","index":100,"accepted":true,"score":{"a":1}}`, false},
	} {
		if err := valid(all[c.schema].schema, c.line); (err == nil) != c.want {
			t.Errorf("the schema of a %s says of %s: %v", c.schema, c.line, err)
		}
		if err := taken(t, c.line); (err == nil) != c.want {
			t.Errorf("Hone says of %s: %v", c.line, err)
		}
	}
}

// taken is what Hone makes of an answer, of whichever type.
func taken(t *testing.T, text string) error {
	t.Helper()
	var (
		d description
		s sample
		v verdict
		e done
		g failed
	)
	kind, err := parse([]byte(text), map[string]any{"description": &d, "sample": &s, "verdict": &v, "done": &e, "failed": &g})
	if err != nil {
		return err
	}
	switch kind {
	case "description":
		return d.check()
	case "verdict":
		if _, _, _, err := v.answer(); err != nil {
			return err
		}
		return expect(v.Index, 1, map[uint64]bool{100: true})
	case "sample":
		if err := expect(s.Index, 1, map[uint64]bool{100: true}); err != nil {
			return err
		}
		dir := t.TempDir()
		for _, path := range s.Files {
			if path != "" {
				if err := os.WriteFile(fmt.Sprintf("%s/%s", dir, path), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		files, err := newCollector(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer files.close()
		_, err = files.members(s.Files)
		return err
	case "done":
		return complete(e, 0, nil)
	}
	return nil
}
