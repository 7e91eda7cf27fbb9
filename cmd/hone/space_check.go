package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/loop"
	"hone/spec"
)

// checked is what `space check` says with --output json.
type checked struct {
	Name        string          `json:"name"`
	Factors     []checkedFactor `json:"factors"`
	Constraints int             `json:"constraints"`
	// Classes of a target that is a mixture; a joint table has one for each row.
	Classes    int              `json:"classes,omitempty"`
	Scenarios  float64          `json:"scenarios"`
	Acceptance acceptance       `json:"acceptance"`
	Warnings   []string         `json:"warnings"`
	Drawn      []map[string]any `json:"drawn"`
}

// acceptance is the share of draws that satisfy the constraints.
type acceptance struct {
	Target  float64 `json:"target"`
	Uniform float64 `json:"uniform"`
}

type checkedFactor struct {
	Name   string     `json:"name"`
	Kind   loop.Kind  `json:"kind"`
	Scale  loop.Scale `json:"scale,omitempty"`
	Pin    string     `json:"pin,omitempty"`
	Sticky int        `json:"sticky,omitempty"`
	// Given is the factor that its shares depend on, or "the class".
	Given  string         `json:"given,omitempty"`
	Levels []checkedLevel `json:"levels"`
	// Absent is the share of scenarios that do not have the factor.
	Absent float64 `json:"absent,omitempty"`
}

type checkedLevel struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}

func spaceCheckCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "say how large a space is, what its constraints leave, and draw scenarios from it; needs no server",
		ArgsUsage: "FILE|-",
		Description: "What is wrong with the document is said with line and column. Shares are those of deployment,\n" +
			"constraints included.\n\nExample:\n   hone space check examples/shapes/space.yaml",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "draw", Value: 10, Usage: "draw `N` scenarios, as deployment is"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "draw them with another `SEED`"},
			&cli.StringFlag{Name: "where", Usage: "draw them from a `SLICE`, e.g. 'light=low & shape=ring'"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "FILE")
			if err != nil {
				return err
			}
			if n := c.Int("draw"); n < 0 || n > 10_000 {
				return usage("--draw %d: 0 to 10000", n)
			}
			space, err := readSpace(c, args[0])
			if err != nil {
				return err
			}
			census, err := space.Census()
			if err != nil {
				return err
			}
			drawn, err := drawScenarios(c, &space, c.Int("draw"))
			if err != nil {
				return err
			}
			out := check(&space, &census)
			for _, scenario := range drawn {
				out.Drawn = append(out.Drawn, scenarioFields(&space, scenario))
			}
			return show(c, out, func(w io.Writer) { writeCheck(w, &space, &out, drawn) })
		},
	}
}

// readSpace reads the document of a space from a file, or stdin for "-".
func readSpace(c *cli.Context, path string) (loop.Space, error) {
	text, err := document(c, path)
	if err != nil {
		return loop.Space{}, err
	}
	space, err := spec.ParseSpace(text)
	if err != nil {
		return loop.Space{}, inFile(path, err)
	}
	return space, nil
}

// drawScenarios draws from the slice and by the seed that the flags name.
func drawScenarios(c *cli.Context, space *loop.Space, n int) ([]loop.Scenario, error) {
	var slice loop.Slice
	if where := c.String("where"); where != "" {
		var err error
		if slice, err = spec.ParseSlice(space, where); err != nil {
			return nil, fmt.Errorf("--where: %w", err)
		}
	}
	return space.Draw(slice, n, c.Uint64("seed"))
}

func check(s *loop.Space, census *loop.Census) checked {
	out := checked{Name: s.Name, Constraints: len(s.Constraints), Classes: len(s.Classes), Scenarios: census.Scenarios,
		Acceptance: acceptance{Target: census.Target, Uniform: census.Uniform}, Warnings: []string{}, Drawn: []map[string]any{}}
	for f := range s.Factors {
		factor := checkedFactor{Name: s.Factors[f].Name, Kind: s.Factors[f].Kind, Scale: s.Factors[f].Scale, Sticky: s.Factors[f].Sticky}
		if pin := s.Factors[f].Pin; pin != nil {
			factor.Pin = s.Factors[f].Levels[*pin].Name
		}
		if given := s.Factors[f].Given; given != nil {
			if factor.Given = "the class"; given.Factor != loop.Hidden {
				factor.Given = s.Factors[given.Factor].Name
			}
		}
		present, never := 0.0, []string{}
		for l, share := range census.Levels[f] {
			name := s.Factors[f].Levels[l].Name
			share = math.Round(share*1e8) / 1e8 // shares are held in 1/2^32
			factor.Levels = append(factor.Levels, checkedLevel{Name: name, Share: share})
			present += share
			if share == 0 && s.Factors[f].Pin == nil {
				never = append(never, name)
			}
		}
		if s.Factors[f].When != nil {
			factor.Absent = max(0, 1-present)
		}
		if len(never) > 0 {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s is never %s in deployment: give it a share if it should be found out about, or leave it out",
				factor.Name, few(never, " or ")))
		}
		out.Factors = append(out.Factors, factor)
	}
	for _, i := range census.Idle {
		out.Warnings = append(out.Warnings, fmt.Sprintf("constraints[%d] forbids nothing that deployment has", i))
	}
	if census.Target < .1 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the constraints leave %s of the draws: make what is forbidden rarer in the shares, or the factor conditional (when)",
			percent(census.Target)))
	}
	return out
}

// few joins at most five of many words.
func few(words []string, or string) string {
	if len(words) > 5 {
		words = append(slices.Clone(words[:4]), fmt.Sprintf("%d others", len(words)-4))
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + or + words[len(words)-1]
}

func writeCheck(w io.Writer, s *loop.Space, out *checked, drawn []loop.Scenario) {
	facts(w,
		"space", out.Name,
		"scenarios", approximate(out.Scenarios)+" combinations of levels",
		"constraints", fmt.Sprintf("%d; they leave %s of deployment and %s of what is drawn uniformly",
			out.Constraints, percent(out.Acceptance.Target), percent(out.Acceptance.Uniform)))
	fmt.Fprintln(w)
	rows := make([][]string, len(out.Factors))
	for i, f := range out.Factors {
		shares := make([]string, len(f.Levels))
		for l, level := range f.Levels {
			shares[l] = level.Name + " " + percent(level.Share)
		}
		if f.Absent > 0 {
			shares = append(shares, "absent "+percent(f.Absent))
		}
		if len(shares) > 8 {
			shares = append(slices.Clone(shares[:7]), fmt.Sprintf("and %d more", len(shares)-7))
		}
		rows[i] = []string{f.Name, f.about(), digits(len(f.Levels)), strings.Join(shares, ", ")}
	}
	grid(w, []string{"FACTOR", "KIND", "LEVELS", "IN DEPLOYMENT"}, rows)
	writeBesides(w, s)
	for _, warning := range out.Warnings {
		fmt.Fprintf(w, "\nwarning: %s\n", warning)
	}
	if len(drawn) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d scenarios, drawn as deployment is:\n\n", len(drawn))
	header := make([]string, len(s.Factors))
	for f := range header {
		header[f] = s.Factors[f].Name
	}
	rows = make([][]string, len(drawn))
	for i, scenario := range drawn {
		rows[i] = make([]string, len(header))
		for f := range header {
			rows[i][f] = scenarioText(s, scenario, f)
		}
	}
	grid(w, header, rows)
}

// about is the kind of a factor, and what is particular about it.
func (f *checkedFactor) about() string {
	words := string(f.Kind)
	if f.Scale != "" && f.Scale != loop.Linear {
		words += ", " + string(f.Scale)
	}
	if f.Given != "" {
		words += ", given " + f.Given
	}
	if f.Pin != "" {
		words += ", pinned"
	}
	if f.Sticky > 1 {
		words += ", sticky " + digits(f.Sticky)
	}
	return words
}

// writeBesides says what a space has beside its factors.
func writeBesides(w io.Writer, s *loop.Space) {
	var pairs []string
	if n := len(s.Classes); n > 0 {
		pairs = append(pairs, "target", fmt.Sprintf("a mixture; classes within which factors are independent: %d", n))
	}
	for _, d := range s.Derived {
		pairs = append(pairs, "derived "+d.Name, strings.Join(d.Levels, ", "))
	}
	for _, p := range s.Protected {
		pairs = append(pairs, "protected", s.Describe(p.Slice)+": at least "+percent(p.Share)+" of every training mixture")
	}
	for _, r := range s.Risks {
		pairs = append(pairs, "risk", fmt.Sprintf("%s: a failure counts %g times", s.Describe(r.Slice), r.Weight))
	}
	for _, t := range s.Tasks {
		metrics := make([]string, len(t.Metrics))
		for i, m := range t.Metrics {
			metrics[i] = m.Name
			if m.Unit != "" {
				metrics[i] += " in " + m.Unit
			}
			metrics[i] += ", " + string(m.Better) + " is better"
			if m.Fail != nil {
				metrics[i] += fmt.Sprintf(", fails beyond %g", *m.Fail)
			}
		}
		pairs = append(pairs, "task "+t.Name, strings.Join(metrics, "; "))
	}
	if len(pairs) > 0 {
		fmt.Fprintln(w)
		facts(w, pairs...)
	}
}

// approximate writes a number of scenarios: 460,800, or 2.1e+26.
func approximate(n float64) string {
	if n < 1e15 {
		return thousands(int(n))
	}
	return strconv.FormatFloat(n, 'g', 3, 64)
}

// scenarioText is the value of one factor of a scenario, for people.
func scenarioText(s *loop.Space, scenario loop.Scenario, factor int) string {
	if v, ok := s.Value(factor, scenario); ok {
		return strconv.FormatFloat(rounded(v), 'g', -1, 64)
	}
	return s.Text(factor, scenario.Codes[factor])
}

// rounded keeps four digits, which is enough to see.
func rounded(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	if math.IsInf(scale, 0) || scale == 0 {
		return v
	}
	return math.Round(v*scale) / scale
}

// scenarioFields is a scenario as programs see it: the level's name, or the
// value of a numeric factor; an absent factor is left out.
func scenarioFields(s *loop.Space, scenario loop.Scenario) map[string]any {
	fields := make(map[string]any, len(s.Factors))
	for f, code := range scenario.Codes {
		if v, ok := s.Value(f, scenario); ok {
			fields[s.Factors[f].Name] = v
		} else if code.IsLevel() {
			fields[s.Factors[f].Name] = s.Text(f, code)
		}
	}
	return fields
}
