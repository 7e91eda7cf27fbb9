package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

// An experiment's arms have the same budget and the same evaluation, train on what
// is their own, and are compared by how their models do.
func TestExperiment(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and a worker")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	c.worker("w", 2)
	c.start("server", "w")
	c.put(shapes.SpaceDocument, []string{"name: flat\nstrategy: uniform\n"}, nil)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	base := write("base.yaml", "name: trial\nspace: shapes\npolicy: flat\ngenerator: shapes\nsamples: 200\nrounds: 2\n"+
		"evaluation: {target: 40}\nlearn_from: [{model_line: net, eval_set: trial.eval}]\n")
	bold := write("bold.yaml", "name: bold\nshares: {boosted: 0.4}\n")

	for name, x := range map[string]struct {
		args []string
		code int
	}{
		"no arm":              {[]string{base}, exitUsage},
		"an arm called eval":  {[]string{base, "--arm", "eval=flat"}, exitUsage},
		"two controls":        {[]string{base, "--arm", "control=flat"}, exitUsage},
		"a policy not put":    {[]string{base, "--arm", "a=none"}, exitNotFound},
		"a document, refused": {[]string{bold, "--arm", "a=flat"}, exitFailure},
	} {
		if code, _ := c.hone(append([]string{"experiment", "create"}, x.args...)...); code != x.code {
			t.Errorf("%s: exit code %d, want %d", name, code, x.code)
		}
	}
	if code, _ := c.hone("experiment", "show", "trial"); code != exitNotFound {
		t.Errorf("an experiment that there is not: exit code %d", code)
	}

	for try := range 2 {
		code, text := c.hone("experiment", "create", base, "--arm", "bold="+bold, "--output", "json")
		var made []api.Put
		if err := json.Unmarshal([]byte(text), &made); code != exitOK || err != nil || len(made) != 2 || made[0].Name != "trial.control" || made[1].Name != "trial.bold" || made[0].Created != (try == 0) {
			t.Fatalf("try %d: exit code %d, %v: %s", try, code, err, text)
		}
	}
	scenarios := map[string]bool{}
	for i, arm := range []string{"control", "bold"} {
		r, err := c.client.Round(c.ctx, "trial."+arm, 1, time.Minute)
		if err != nil || r.Dataset != "trial."+arm+"@1" {
			t.Fatalf("%+v, %v", r, err)
		}
		for row, err := range c.client.Manifest(c.ctx, "trial."+arm+".eval", 1) {
			if err != nil {
				t.Fatal(err)
			}
			scenarios[row.Digest.String()] = true
			body := fmt.Sprintf(`{"sample":%q,"correct":%v}`+"\n", row.Digest, row.Index%10 >= uint64(4-3*i))
			if _, err := c.client.PostOutcomes(c.ctx, api.OutcomesOptions{Space: "shapes", Model: "net." + arm + "@1", EvalSet: "trial." + arm + ".eval@1"}, strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.client.SealModel(c.ctx, "net."+arm, "1", 40); err != nil {
			t.Fatal(err)
		}
	}
	// The same 40 pictures judge both.
	if len(scenarios) != 40 {
		t.Errorf("the arms are evaluated on %d pictures", len(scenarios))
	}
	code, text := c.hone("experiment", "show", "trial", "--output", "json")
	var e experiment
	if err := json.Unmarshal([]byte(text), &e); code != exitOK || err != nil || len(e.Arms) != 2 {
		t.Fatalf("exit code %d, %v: %s", code, err, text)
	}
	control, other := e.Arms[0], e.Arms[1]
	if control.Arm != "control" || other.Policy != "bold@1" || control.Requested != 200 || other.Requested != 200 || len(other.Models) != 1 {
		t.Fatalf("%s", text)
	}
	if m := control.Models[0]; m.Rows != 40 || m.Fails.Expected != .4 || m.Fails.Lower > .27 || m.Fails.Upper < .54 || m.Difference != nil {
		t.Errorf("the control: %+v of %+v", m, m.Fails)
	}
	if m := other.Models[0]; m.Model != "net.bold@1" || m.Difference == nil || m.Difference.Upper >= 0 || m.Fails.Expected != .1 {
		t.Errorf("the other: %+v, %+v", m, m.Difference)
	}
	if code, text := c.hone("experiment", "show", "trial"); code != exitOK || !strings.Contains(text, "-30.0 points") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	c.check()
}
