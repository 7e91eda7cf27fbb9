package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/api"
	"hone/examples/shapes"
)

// newMaker serves what `make` needs before it starts anything.
func newMaker(t *testing.T) *service {
	t.Helper()
	s := newService(t)
	s.answer("GET /v1/spaces/shapes", api.Definition{Name: "shapes", Version: 3, Versions: 3, Document: string(shapes.SpaceDocument)})
	s.answer("GET /v1/spaces/none", api.NewProblem(http.StatusNotFound, `there is no space "none"`))
	s.answer("GET /v1/campaigns/taken", api.Campaign{Name: "taken", Document: "name: taken\n"})
	s.answer("GET /v1/campaigns/", api.NewProblem(http.StatusNotFound, "there is no campaign"))
	s.answer("GET /v1/status", api.Status{Workers: []api.Worker{{Name: "a", Slots: 3, Generators: []string{"shapes@1"}}, {Name: "b", Slots: 9, Generators: []string{"shapes2@1"}}}})
	s.answer("POST /v1/sql", api.Table{Columns: []string{"n", "millis", "rejected"}, Rows: [][]any{{1000, 250., 250}}})
	s.answer("POST /v1/campaigns", api.NewProblem(http.StatusConflict, "enough of the test"))
	return s
}

// What would be started, as it is written: the name follows from what is asked
// for, and from nothing else.
func TestMakeRequest(t *testing.T) {
	s := newMaker(t)
	list := filepath.Join(t.TempDir(), "wanted.csv")
	if err := os.WriteFile(list, []byte("light,background,count\nlow,metal,7\nday,,3\nlow,metal,1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	posted := func(args ...string) (document string, stderr string) {
		t.Helper()
		code, _, stderr := hone(t, "", append([]string{"make", "--server", s.URL, "--space", "shapes", "--generator", "shapes"}, args...)...)
		if code != exitConflict || !strings.Contains(stderr, "enough of the test") {
			t.Fatalf("%q: exit code %d, %s", args, code, stderr)
		}
		return string(s.body), stderr
	}
	first, stderr := posted("--where", "light=low & background = metal", "-n", "5000", "--price-per-hour", "7.2")
	want := `,"space":"shapes","generator":"shapes","make":[{"where":{"background":"metal","light":"low"},"count":5000}]}`
	if !strings.HasSuffix(first, want) || !strings.HasPrefix(first, `{"name":"make-shapes-`) {
		t.Errorf("%s\nwant ...%s", first, want)
	}
	// 4 samples a second, of which 1 in 5 is sent back: 3.2 by slot.
	for _, says := range []string{"5,000 samples of background=metal ∧ light=low, from space shapes, by generator shapes, gates: none.",
		"It takes about 9 minutes on the 3 slots that are connected", "3.2 accepted samples per second and slot (1,000 measured, 20.0% sent back)", "It costs about 3.12: 0.434 slot hours at 7.2."} {
		if !strings.Contains(stderr, says) {
			t.Errorf("%s\nwant %s", stderr, says)
		}
	}
	if again, _ := posted("-n", "5000", "--where", "background=metal ∧ light=low", "--yes"); again != first {
		t.Errorf("the same again: %s", again)
	}
	names := map[string]bool{name(t, first): true}
	for _, other := range [][]string{{"-n", "5001", "--where", "light=low & background=metal"}, {"-n", "5000", "--where", "light=low"}, {"-n", "5000"},
		{"-n", "5000", "--where", "light=low & background=metal", "--seed", "0"}, {"-n", "5000", "--where", "light=low & background=metal", "--gates", "format, blank"},
		{"-n", "5000", "--where", "light=low & background=metal", "--quota-by", "shape"}, {"--scenarios", list}} {
		document, _ := posted(other...)
		if n := name(t, document); names[n] {
			t.Errorf("%q has the name %s, too", other, n)
		} else {
			names[n] = true
		}
	}
	table, _ := posted("--scenarios", list, "--name", "mine", "--gates", "format, blank", "--unit-size", "5", "--seed", "9")
	if want := `{"name":"mine","space":"shapes","generator":"shapes","seed":9,"make":[{"where":{"background":"metal","light":"low"},"count":8},{"where":{"light":"day"},"count":3}],"gates":["format","blank"],"unit_size":5}`; table != want {
		t.Errorf("%s\nwant %s", table, want)
	}
}

func name(t *testing.T, document string) string {
	t.Helper()
	var d makeDocument
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		t.Fatal(err)
	}
	return d.Name
}

func TestMakeRefusesOnTheCommandLine(t *testing.T) {
	s := newMaker(t)
	list := filepath.Join(t.TempDir(), "wanted.yaml")
	if err := os.WriteFile(list, []byte("- {light: low}\n- {light: lo}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-n", "5"}, exitUsage, "needs --space"},
		{[]string{"--space", "shapes", "-n", "5"}, exitUsage, "needs --generator"},
		{[]string{"--space", "shapes", "--generator", "g"}, exitUsage, "needs -n, a number of samples from 1"},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "0"}, exitUsage, "needs -n"},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "5", "--scenarios", list}, exitUsage, "leave out --where and --samples"},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "5", "--to", "x", "--format", "zip"}, exitUsage, "webdataset or parquet"},
		{[]string{"--space", "none", "--generator", "g", "-n", "5"}, exitNotFound, "there is no space"},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "5", "--where", "lihgt=low"}, exitFailure, `--where.lihgt: there is no factor "lihgt" (did you mean "light"?)`},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "5", "--where", "light=lo"}, exitFailure, `--where.light: factor "light" has no level "lo" (did you mean "low"?)`},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "5", "--where", "light"}, exitFailure, "is not factor=level"},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "5", "--where", "background=foliage & occlusion=light & occluder_side=bottom"}, exitFailure, "the constraints all but forbid it"},
		{[]string{"--space", "shapes", "--generator", "g", "--scenarios", list}, exitFailure, `wanted.yaml:2:11: scenarios[1].light: factor "light" has no level "lo"`},
		{[]string{"--space", "shapes", "--generator", "g", "-n", "5", "--name", "taken"}, exitConflict, `there is another campaign "taken"`},
	} {
		code, _, stderr := hone(t, "", append([]string{"make", "--server", s.URL}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit code %d, want %d and %s\n%s", c.args, code, c.code, c.says, stderr)
		}
	}
}

// What was never made has no rate.
func TestEstimateOfTheUnknown(t *testing.T) {
	var e estimate
	if got := e.time("g") + " " + e.price(2); got != "How long that takes is not known: nothing was made by g yet. What it costs is not known, either." {
		t.Error(got)
	}
	e = estimate{Unknown: "the view is being built"}
	if got := e.time("g"); got != "How long that takes is not known: the view is being built." {
		t.Error(got)
	}
	e = estimate{Measured: 1, Rate: 1, SlotHours: 20}
	if got := e.time("g"); !strings.HasPrefix(got, "It takes about 20.0 hours of one slot: ") {
		t.Error(got)
	}
}

func TestConfirmed(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES": true, "\n": false, "": false, "no\n": false} {
		var asked strings.Builder
		if got, err := confirmed(strings.NewReader(answer), &asked); got != want || err != nil || !strings.HasPrefix(asked.String(), "Make them? [y/N] ") {
			t.Errorf("%q: %v, %v, %q", answer, got, err, asked.String())
		}
	}
}
