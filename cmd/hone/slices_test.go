package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/loop"
	"hone/spec"
)

// evaluations is a small table such as people have: a failing conjunction, a
// conditional column, missing values, clips, and columns that are no factors.
func evaluations(t *testing.T) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString("image,clip,light,glove,glove_colour,distance,people,camera model,correct\n")
	for i := range 3000 {
		light := []string{"day", "day", "dusk", "low"}[rng.IntN(4)]
		glove, colour := "no", ""
		if rng.IntN(3) == 0 {
			glove, colour = "yes", []string{"blue", "red"}[rng.IntN(2)]
		}
		distance := fmt.Sprintf("%.2f", 10*rng.Float64()*rng.Float64())
		if rng.IntN(8) == 0 {
			distance = ""
		}
		rate := .06
		if light == "low" && glove == "yes" {
			rate = .35
		}
		fmt.Fprintf(&b, "%05d.png,clip-%d,%s,%s,%s,%s,%d,%s,%t\n", i, i/20, light, glove, colour, distance, rng.IntN(4),
			[]string{"A 1", "B"}[rng.IntN(2)], rng.Float64() > rate)
	}
	// The test runs in a folder of its own, so that what is printed names no path.
	t.Chdir(t.TempDir())
	if err := os.WriteFile("evals.csv", []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return "evals.csv"
}

// TestGoldenSlices: what people see of a table, notes and all.
func TestGoldenSlices(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	file := evaluations(t)
	if err := os.WriteFile("field.csv", []byte("light,distance\n"+strings.Repeat("day,3\nlow,9.9\nfog,1\nday,0.5\n", 25)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("night.csv", []byte("people,glove,light\n"+strings.Repeat("1,no,day\n2,no,day\n0,yes,low\n2,yes,dusk\n3,no,dusk\n1,yes,low\n1,,day\n", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"space-init-dependence": {"space", "init", "--from", file, "--field", "night.csv", "--error", "correct = false", "--dependence"},

		"slices":           {"slices", file, "--error", "correct = false", "--group", "clip"},
		"slices-default":   {"slices", file, "--order", "1", "--ignore", "light,glove", "--where", "people > 0"},
		"slices-json":      {"slices", file, "--error", "not correct", "--output", "json", "--top", "1"},
		"space-init":       {"space", "init", "--from", file, "--error", "correct = false"},
		"space-init-field": {"space", "init", "--from", file, "--field", "field.csv", "--error", "correct = false", "--name", "parts"},
	} {
		code, stdout, stderr := hone(t, "", args...)
		if code != 0 {
			t.Fatalf("%s: exit code %d: %s", name, code, stderr)
		}
		got := stdout
		if stderr != "" {
			got += "--- notes\n" + stderr
		}
		path := filepath.Join(testdata, name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestSlicesWords: scripts read these names, and [] where nothing fails more.
func TestSlicesWords(t *testing.T) {
	file := evaluations(t)
	_, stdout, _ := hone(t, "", "slices", file, "--output", "json")
	var got []map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got) == 0 {
		t.Fatalf("%v: %s", err, stdout)
	}
	names := fmt.Sprint(got[0]["slice"])
	if len(got[0]) != 10 || names != "map[glove:yes light:low]" {
		t.Errorf("%v", got[0])
	}
	for _, key := range []string{"n", "effective_n", "failures", "rate", "lower", "upper", "lift", "q"} {
		if _, ok := got[0][key].(float64); !ok {
			t.Errorf("%s is %v", key, got[0][key])
		}
	}
	if code, stdout, _ := hone(t, "", "slices", file, "--error", "people = 9", "--output", "json"); code != 0 || stdout != "[]\n" {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

// What is not a table, or not what it is said to be, is refused in words, by the
// documented exit codes, and nothing is printed as if it were an answer.
func TestHostileTables(t *testing.T) {
	file := evaluations(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(string(whole), "\n")
	var distinct, wide strings.Builder
	distinct.WriteString("label,correct\n")
	for i := range 20_000 {
		fmt.Fprintf(&distinct, "name %d,%t\n", i%10_000, i%3 > 0)
	}
	wide.WriteString("correct")
	for i := range 600 {
		fmt.Fprintf(&wide, ",c%d", i)
	}
	for range 40 {
		wide.WriteString("\ntrue" + strings.Repeat(",1", 600))
	}
	for name, content := range map[string]string{
		"empty.csv": "", "header.csv": header + "\n", "ragged.csv": string(whole) + "a,b\n", "cut.parquet": "PAR1\x00\x00 cut off", "cut.arrow": "ARROW1\x00\x00 cut off",
		"cut.arrows": "\xff\xff\xff\xff\xff\xff\xff\x7f", "cut.ndjson": `{"correct": true}` + "\n" + `{"correct": fal`, "binary": "\x00\x01\x02", "one.csv": "correct\ntrue\nfalse\n",
		"null.csv": "correct,a,b\n" + strings.Repeat("true,,\n", 50), "distinct.csv": distinct.String(), "wide.csv": wide.String(),
		"never.csv": "correct,a\n" + strings.Repeat(",x\n,y\n", 50),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]struct {
		code  int
		words string
	}{
		"slices":                                                {exitUsage, "needs FILE"},
		"slices missing.csv --error 1":                          {exitFailure, "no such file"},
		"slices dir --error 1":                                  {exitFailure, "it is a directory"},
		"slices empty.csv --error 1":                            {exitFailure, "the file is empty"},
		"slices header.csv --error 1":                           {exitFailure, "there are no rows"},
		"slices ragged.csv --error 1":                           {exitFailure, "3002"},
		"slices cut.parquet --error 1":                          {exitFailure, "as Parquet"},
		"slices cut.arrow --error 1":                            {exitFailure, "not an Arrow IPC file"},
		"slices cut.arrows --error 1":                           {exitFailure, "not an Arrow IPC file"},
		"slices cut.ndjson --error 1":                           {exitFailure, "as JSON"},
		"slices binary --error 1":                               {exitFailure, "its name does not say"},
		"slices one.csv":                                        {exitFailure, "correct: --error uses it"},
		"slices null.csv --error correct=false":                 {exitFailure, "no value of it is known"},
		"slices never.csv --error correct=false":                {exitOK, "their error is unknown"},
		"slices distinct.csv":                                   {exitFailure, "an identifier"},
		"slices wide.csv --error correct=false":                 {exitFailure, "it is always"},
		"slices evals.csv --error corect=false":                 {exitUsage, `did you mean "correct"?`},
		"slices evals.csv --error correct=":                     {exitUsage, "--error"},
		"slices evals.csv --error correct;correct":              {exitUsage, "several statements"},
		"slices evals.csv --error light":                        {exitUsage, "it gives varchar"},
		"slices evals.csv --group klip":                         {exitUsage, `did you mean "clip"?`},
		"slices evals.csv --order 7":                            {exitUsage, "--order"},
		"slices evals.csv --fdr 0":                              {exitUsage, "--fdr"},
		"slices evals.csv --top 0":                              {exitUsage, "--top"},
		"slices evals.csv --where people>9":                     {exitFailure, "no rows for which --where holds"},
		"space init":                                            {exitUsage, "--from"},
		"space init --from one.csv --name 1":                    {exitUsage, "--name"},
		"space init --from one.csv --error correct":             {exitFailure, "no column makes a factor"},
		"space init --from evals.csv --field one.csv --error 1": {exitOK, ""},
		"space init --from evals.csv --field distinct.csv --factors light --error 1": {exitOK, "says nothing of it"},
		"space init --from one.csv --field null.csv --factors correct":               {exitFailure, "no column makes a factor"},
		"space init --from evals.csv --to one.csv":                                   {exitConflict, "there already"},
	} {
		code, stdout, stderr := hone(t, "", strings.Fields(line)...)
		if code != want.code || !strings.Contains(stdout+stderr, want.words) {
			t.Errorf("%s: exit code %d, %q, want %d with %q", line, code, stdout+stderr, want.code, want.words)
		}
		if code != exitOK && (stdout != "" || strings.Contains(stderr, "LINE 1") || strings.Contains(stderr, "panic")) {
			t.Errorf("%s: %q %q", line, stdout, stderr)
		}
	}
}

// Whatever columns and values are called, the space that is written reads, and
// holds each column once: as a factor or in a comment with the reason.
func TestSpaceInitWritesSpaces(t *testing.T) {
	t.Chdir(t.TempDir())
	names := []string{"select", "light level", "Größe", "🦊", "a: b", "#", "x__level", "digest", "2nd", "", "-", "a\tb", "A", "a", strings.Repeat("long", 40), `"quoted"`, "null", "loss", "absent", "{", "true"}
	values := []string{"yes", "no", "null", "~", "1", "1.0", "-.5", "0x1F", "absent", "unknown", "a: b", "- c", "# d", "{e}", "[f", "'g", `"h`, "🦊", "ß ", "*i", "&j", "!k", "%l", "@m", "a,b", "tr\nue", "\x07", "x\u2028y", strings.Repeat("z", 200), "2026-01-01", "on"}
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 4))
		columns := make([]string, 2+rng.IntN(8))
		levels := make([][]any, len(columns))
		for i := range columns {
			columns[i] = names[rng.IntN(len(names))]
			for range 1 + rng.IntN(12) {
				switch rng.IntN(4) {
				case 0:
					levels[i] = append(levels[i], nil)
				case 1:
					levels[i] = append(levels[i], fmt.Sprint(values[rng.IntN(len(values))]))
				default:
					levels[i] = append(levels[i], values[rng.IntN(len(values))])
				}
			}
			if rng.IntN(3) == 0 { // numbers of any size
				scale := []float64{1e-9, 1, 1e12, 1e300}[rng.IntN(4)]
				for l := range levels[i] {
					levels[i][l] = scale * rng.NormFloat64()
				}
			}
		}
		var b strings.Builder
		for range 60 + rng.IntN(200) {
			row := make(map[string]any)
			for i, name := range columns {
				row[name] = levels[i][rng.IntN(len(levels[i]))]
				if n, ok := row[name].(float64); ok {
					row[name] = n * (1 + rng.Float64())
				}
			}
			line, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(line, '\n'))
		}
		file := fmt.Sprintf("t%d.ndjson", seed)
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := hone(t, "", "space", "init", "--from", file)
		if code != 0 {
			if !strings.Contains(stderr, "no column makes a factor") {
				t.Errorf("seed %d: exit code %d: %s", seed, code, stderr)
			}
			continue
		}
		space, err := spec.ParseSpace([]byte(stdout))
		if err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, stdout)
			continue
		}
		if !strings.HasPrefix(stdout, "# yaml-language-server: $schema=") {
			t.Errorf("seed %d: no schema:\n%s", seed, stdout)
		}
		// What is suggested in comments reads as well, whether or not it can be met.
		suggested := strings.ReplaceAll(strings.ReplaceAll(stdout, "\n#constraints:", "\nconstraints:"), "\n#  - forbid", "\n  - forbid")
		if _, err := spec.ParseSpace([]byte(suggested)); err != nil && !strings.Contains(err.Error(), "feasible") {
			t.Errorf("seed %d: with its suggestions: %v\n%s", seed, err, suggested)
		}
		_ = space
	}
}

// A column that has values only under a condition becomes conditional, with the
// shares that it has there.
func TestSpaceInitFindsConditions(t *testing.T) {
	file := evaluations(t)
	_, stdout, stderr := hone(t, "", "space", "init", "--from", file, "--to", "space.yaml")
	text, err := os.ReadFile("space.yaml")
	if err != nil || stdout != "" {
		t.Fatal(err, stdout, stderr)
	}
	space, err := spec.ParseSpace(text)
	if err != nil {
		t.Fatal(err)
	}
	f := &space.Factors[space.Factor("glove_colour")]
	if f.When == nil || space.Factors[f.When.Factor].Name != "glove" || len(f.When.Levels) != 1 ||
		space.Factors[f.When.Factor].Levels[f.When.Levels[0]].Name != "yes" {
		t.Errorf("%+v", f)
	}
	if d := &space.Factors[space.Factor("distance")]; d.Kind != loop.Numeric || d.When != nil || d.Levels[0].Low != 0 {
		t.Errorf("%+v", d)
	}
	if space.Factor("camera_model") < 0 || !strings.Contains(string(text), `column "camera model"`) {
		t.Errorf("%s", text)
	}
}
