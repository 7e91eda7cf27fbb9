package program

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"hone/loop"
)

func found(findings []Finding, check string) *Finding {
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.Check == check })
	if i < 0 {
		return nil
	}
	return &findings[i]
}

func listed(findings []Finding) string {
	s := ""
	for _, f := range findings {
		s += fmt.Sprintf("%v %s: expected %s, got %s (%s)\n", f.OK, f.Check, f.Expected, f.Got, f.Remedy)
	}
	return s
}

func TestCheckPassesWhatIsRight(t *testing.T) {
	p := newProgram(t, "right").always()
	findings, err := CheckGenerator(t.Context(), p.options, world())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"describes itself", "does its work", "answers in time", "stays alive", "writes the protocol alone", "answers each sample once",
		"has the outputs it describes", "leaves plain files in its directory", "takes absent factors", "same seed, same bytes",
		"another seed, other bytes", "speed", "ends with its input", "leaves no process behind"}
	var got []string
	for _, f := range findings {
		got = append(got, f.Check)
		if !f.OK || f.Warning || f.Expected == "" || f.Got == "" || f.Remedy != "" {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the checks are %q", got)
	}
	p.gone(t)
	findings, err = CheckGate(t.Context(), p.options, []Specimen{specimenOf("good"), {Space: world(), Index: 1, Scenario: specimenOf("").Scenario, Members: specimenOf("blank").Members}})
	if err != nil {
		t.Fatal(err)
	}
	// It says "size" and "z" without having declared them.
	if f := found(findings, "has the scores it describes"); f == nil || f.OK || len(findings) != 2 {
		t.Errorf("%s", listed(findings))
	}
	p.gone(t)
}

// Every breach is found by the check that it belongs to, and explained.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	for mode, check := range map[string]string{
		"exits at start":                  "describes itself",
		"never answers":                   "describes itself",
		"old protocol":                    "describes itself",
		"failed":                          "does its work",
		"hangs":                           "answers in time",
		"dies":                            "stays alive",
		"closes stdout":                   "stays alive",
		"leaves a child with the pipes":   "stays alive",
		"garbage":                         "writes the protocol alone",
		"ends after the unit":             "stays alive",
		"talks on":                        "writes the protocol alone",
		"wrong index":                     "answers each sample once",
		"too many":                        "answers each sample once",
		"too few":                         "answers each sample once",
		"no output":                       "has the outputs it describes",
		"above":                           "leaves plain files in its directory",
		"2 GiB":                           "leaves plain files in its directory",
		"a link":                          "leaves plain files in its directory",
		"not the same twice":              "same seed, same bytes",
		"not the same elsewhere":          "same seed, same bytes",
		"not the same in another order":   "same seed, same bytes",
		"no seed":                         "another seed, other bytes",
		"ignores the end":                 "ends with its input",
		"starts a child that outlives it": "leaves no process behind",
		"no absent factors":               "does its work",
	} {
		t.Run(mode, func(t *testing.T) {
			p := newProgram(t, mode).always()
			if check == "answers in time" || mode == "never answers" {
				p.options.StartTimeout, p.options.UnitTimeout = time.Second, time.Second
			}
			findings, err := CheckGenerator(t.Context(), p.options, world())
			if err != nil {
				t.Fatal(err)
			}
			f := found(findings, check)
			warns := mode == "no seed"
			switch {
			case f == nil || f.OK != warns || f.Warning != warns:
				t.Errorf("not found:\n%s", listed(findings))
			case f.Expected == "" || f.Got == "" || f.Remedy == "":
				t.Errorf("not explained: %+v", f)
			}
			for _, other := range findings {
				if !other.OK && other.Check != check {
					t.Errorf("also found: %+v", other)
				}
			}
			p.gone(t)
		})
	}
}

// A generator in Go is held to the same.
func TestCheckMaker(t *testing.T) {
	for _, c := range []struct {
		name, check string
		make        func(u Unit, emit func(uint64, []loop.Member) error) error
	}{
		{"right", "", makeRight},
		{"twice", "answers each sample once", func(u Unit, emit func(uint64, []loop.Member) error) error {
			return errors.Join(makeRight(u, emit), makeRight(u, emit))
		}},
		{"too few", "answers each sample once", func(u Unit, emit func(uint64, []loop.Member) error) error {
			u.Samples = u.Samples[1:]
			return makeRight(u, emit)
		}},
		{"fails", "does its work", func(Unit, func(uint64, []loop.Member) error) error { return errors.New("no GPU") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, err := CheckMaker(t.Context(), inGo(c.make), world())
			if err != nil {
				t.Fatal(err)
			}
			failed := slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.OK })
			if c.check == "" && len(failed) > 0 || c.check != "" && (len(failed) != 1 || failed[0].Check != c.check) {
				t.Errorf("%s", listed(findings))
			}
		})
	}
}

type inGo func(u Unit, emit func(uint64, []loop.Member) error) error

func (inGo) Describe() loop.Generator {
	return loop.Generator{Name: "go", Version: "1", Deterministic: true}
}

func (g inGo) Make(_ context.Context, u Unit, emit func(uint64, []loop.Member) error) error {
	return g(u, emit)
}

func makeRight(u Unit, emit func(uint64, []loop.Member) error) error {
	for _, s := range u.Samples {
		if err := emit(s.Index, []loop.Member{{Ext: "a.txt", Bytes: fmt.Append(nil, s.Seed, s.Scenario)}}); err != nil {
			return err
		}
	}
	return nil
}
