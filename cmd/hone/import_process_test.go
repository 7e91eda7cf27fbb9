package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

// Labelled data goes in whole and once, though the command and then the server are
// killed in the middle; it comes out as it was, and what is posted of it by example
// is what the next round learns from.
func TestImportKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	c := newCrew(t, patient(t, 4*time.Minute))
	c.worker("w1", 2)
	c.start("server")
	c.put(shapes.SpaceDocument, []string{"name: flat\nstrategy: uniform\n"}, nil)
	const n = 1300 // three units
	photos := c.data("photos")
	if err := os.MkdirAll(filepath.Join(photos, "day"), 0o755); err != nil {
		t.Fatal(err)
	}
	light := func(i int) string { return []string{"low", "day", "candle"}[i%3] }
	for i := range n {
		stem := filepath.Join(photos, "day", fmt.Sprintf("%04d", i))
		err := os.WriteFile(stem+".bin", []byte(strings.Repeat(fmt.Sprint(i, "\n"), 500)), 0o644)
		if err == nil {
			err = os.WriteFile(stem+".json", fmt.Appendf(nil, `{"light":%q,"seen":%d}`, light(i), i), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	importing := func(name string) (*process, *atomic.Bool) {
		var sent atomic.Bool
		p := launch(t, c.dir, name, exec.Command(honeBinary(t), "import", photos, "--server", c.server, "--space", "shapes", "--name", "real-eval", "--output", "json"),
			func(line string) {
				if strings.HasPrefix(line, "Hashing and packing") {
					sent.Store(true)
				}
			})
		return p, &sent
	}
	p, sent := importing("import-1")
	c.await("that all is sent", func() bool { return sent.Load() || !p.alive() })
	p.kill()
	p, sent = importing("import-2")
	c.await("that all is sent again", func() bool { return sent.Load() || !p.alive() })
	c.kill("server")
	c.start("server")
	if code := p.wait(c.ctx, t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	result := func(p *process) (out imported) {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &out); err != nil {
			t.Fatalf("%v: %s", err, p.stdout.String())
		}
		return out
	}
	if out := result(p); out.Version != 1 || out.Samples != n || out.Origin != "real" || out.Factors[0].Name == "" {
		t.Errorf("%+v", out)
	}
	p, _ = importing("import-3")
	if code := p.wait(c.ctx, t); code != 0 || result(p).Created || result(p).Version != 1 {
		t.Errorf("imported again: %d %s", code, p.stdout.String())
	}

	run := func(code int, args ...string) *process {
		t.Helper()
		p := launch(t, c.dir, "hone-"+args[0]+args[1], exec.Command(honeBinary(t), append(args, "--server", c.server)...), nil)
		if got := p.wait(c.ctx, t); got != code {
			t.Fatalf("hone %s: exit code %d, want %d", strings.Join(args, " "), got, code)
		}
		return p
	}
	run(0, "dataset", "verify", "real-eval@1")
	run(0, "dataset", "export", "real-eval", "--format", "parquet", "--to", c.data("out"))
	if got := queried(t, `SELECT count(*), count(light), count(example), count(DISTINCT example), bool_and(occluder_side IS NULL) FROM read_parquet('`+c.data("out")+`/*.parquet')`); got != fmt.Sprintf("[%d %d %d %d true]", n, n-n/3, n, n) {
		t.Errorf("the Parquet export has %s", got)
	}
	d, err := c.client.Dataset(c.ctx, "real-eval", 0)
	if err != nil {
		t.Fatal(err)
	}
	counted, err := c.client.SQL(c.ctx, `SELECT count(*), count(DISTINCT digest), count(DISTINCT "index"), count(light), count(*) FILTER (example = 'day/0003' AND light = 'low')
		FROM shapes.samples WHERE campaign = 'real-eval'`, d.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(counted.Rows[0]); got != fmt.Sprintf("[%d %d %d %d 1]", n, n, n, n-n/3) {
		t.Errorf("the table has %s", got)
	}
	n0 := 0
	_, rows, err := c.client.Rows(c.ctx, "real-eval", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		want := light(n0)
		if want == "candle" {
			want = "<nil>"
		}
		if got := fmt.Sprint(row.Scenario["light"]); got != want || row.Example != fmt.Sprintf("day/%04d", n0) {
			t.Fatalf("row %d is %s with light=%s, want %s", n0, row.Example, got, want)
		}
		n0++
	}
	// No publish, and no campaign of its name.
	run(1, "dataset", "publish", "more", "--from", "real-eval@1", "--where", "light=low")
	if _, err := c.client.CreateCampaign(c.ctx, []byte("name: real-eval\nspace: shapes\npolicy: flat\ngenerator: shapes\nsamples: 10\n")); err == nil || !strings.Contains(err.Error(), "there is a dataset") {
		t.Errorf("a campaign took its name: %v", err)
	}

	// The loop learns from it.
	c.start("w1")
	c.put(shapes.SpaceDocument, nil, []string{"name: c\nspace: shapes\npolicy: flat\ngenerator: shapes\nseed: 7\nsamples: 20\nrounds: 2\nlearn_from: [{model_line: net, eval_set: real-eval}]\n"})
	if _, err := c.client.Round(c.ctx, "c", 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	for i := range n {
		fmt.Fprintf(&body, "{\"example\":\"day/%04d\",\"correct\":%t}\n", i, i%3 != 0)
	}
	posted, err := c.client.PostOutcomes(c.ctx, api.OutcomesOptions{Space: "shapes", Model: "net@1", EvalSet: "real-eval@1"}, strings.NewReader(body.String()))
	if err != nil || posted.Accepted != n {
		t.Fatalf("%+v, %v", posted, err)
	}
	stranger := strings.NewReader(`{"example":"day/9999","correct":true}`)
	if _, err := c.client.PostOutcomes(c.ctx, api.OutcomesOptions{Space: "shapes", Model: "net@1", EvalSet: "real-eval@1"}, stranger); err == nil ||
		!strings.Contains(err.Error(), `eval set real-eval@1 has no example "day/9999"`) {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := c.client.SealModel(c.ctx, "net", "1", n); err != nil {
		t.Fatal(err)
	}
	round, err := c.client.Round(c.ctx, "c", 2, time.Minute)
	if err != nil || round.Decision.EvidenceRows != n {
		t.Errorf("round 2 has evidence of %d rows, %v", round.Decision.EvidenceRows, err)
	}
	counted, err = c.client.SQL(c.ctx, `SELECT count(*), count(light), count(*) FILTER (light = 'low' AND NOT correct), count(DISTINCT sample)
		FROM shapes.outcomes WHERE origin = 'real' AND source = 'target' AND eval_set = 'real-eval@1'`, posted.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(counted.Rows[0]); got != fmt.Sprintf("[%d %d %d %d]", n, n-n/3, (n+2)/3, n) {
		t.Errorf("outcomes: %s", got)
	}
	if unit, _ := os.ReadDir(filepath.Join(c.data("server"), "lake", "staging", api.ImportWorker)); len(unit) != 0 {
		t.Errorf("staging holds %s still", unit[0].Name())
	}
	c.check()
}

// queried is the one row that a query of files answers.
func queried(t *testing.T, query string) string {
	t.Helper()
	db, err := sql.Open("duckdb", "") // the driver comes with analytics
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	row := make([]any, 5)
	into := make([]any, len(row))
	for i := range row {
		into[i] = &row[i]
	}
	if err := db.QueryRowContext(t.Context(), query).Scan(into...); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(row)
}
