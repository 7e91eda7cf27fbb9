package main

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
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

// From nothing to files, with real processes: asked for before there is a
// worker, killed while it waits and in the middle of its export, the same
// command ends with what was asked for, once.
func TestMakeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	c := newCrew(t, patient(t, 4*time.Minute))
	c.worker("w1", 2)
	c.start("server")
	c.put(shapes.SpaceDocument, nil, nil)
	const n = 2000
	to := c.data("out")
	command := func() *exec.Cmd {
		return exec.Command(honeBinary(t), "make", "--server", c.server, "--space", "shapes", "--where", "light=low & background=metal & scale=near & blur=none",
			"-n", "2000", "--quota-by", "shape", "--generator", "shapes", "--gates", "format", "--to", to, "--shard-samples", "50", "--price-per-hour", "3", "--output", "json")
	}
	var waits atomic.Bool
	p := launch(t, c.dir, "make-1", command(), func(line string) {
		if strings.HasPrefix(line, "No worker that is connected has generator shapes") {
			waits.Store(true)
		}
	})
	c.await("that it waits for a worker", waits.Load)
	p.kill()
	c.start("w1")

	shards := func() int {
		there, _ := filepath.Glob(filepath.Join(to, "*.tar"))
		return len(there)
	}
	p = launch(t, c.dir, "make-2", command(), nil)
	c.await("a few shards", func() bool { return shards() >= 5 || !p.alive() })
	p.kill()
	killedAt := shards()
	if killedAt == n/50 {
		t.Log("the export was killed too late to be killed in the middle")
	}
	if _, err := os.Stat(filepath.Join(to, "dataset.json")); err == nil && killedAt < n/50 {
		t.Error("an export that is not whole has a description")
	}

	p = launch(t, c.dir, "make-3", command(), nil)
	if code := p.wait(c.ctx, t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	out := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	var result made
	if err := json.Unmarshal([]byte(out[len(out)-1]), &result); err != nil {
		t.Fatalf("%v: %s", err, p.stdout.String())
	}
	if result.State != api.CampaignDone || result.Requested != n || result.Committed != n || result.Shards != n/50 || result.Dir != to {
		t.Errorf("%+v", result)
	}
	campaigns, err := c.client.Campaigns(c.ctx)
	if err != nil || len(campaigns) != 1 {
		t.Errorf("%d campaigns, %v", len(campaigns), err)
	}

	// Another export of the same is the same to the byte.
	twin := c.data("twin")
	run := func(args ...string) string {
		t.Helper()
		p := launch(t, c.dir, "hone-"+args[1], exec.Command(honeBinary(t), append(args, "--server", c.server)...), nil)
		if code := p.wait(c.ctx, t); code != 0 {
			t.Fatalf("hone %s: exit code %d", strings.Join(args, " "), code)
		}
		return p.stdout.String()
	}
	run("dataset", "export", result.Dataset, "--to", twin, "--shard-samples", "50")
	if killed, whole := files(t, to), files(t, twin); !maps.Equal(killed, whole) {
		t.Errorf("the killed export has %d files, %d are expected, or other bytes", len(killed), len(whole))
	}

	// Every sample is what was asked for, as the table that DuckDB reads says.
	run("dataset", "publish", "bars", "--from", result.Dataset, "--where", "shape=bar")
	run("dataset", "verify", "bars@1")
	bars, err := c.client.Dataset(c.ctx, "bars", 0)
	if err != nil {
		t.Fatal(err)
	}
	counted, err := c.client.SQL(c.ctx, `SELECT count(*), count(*) FILTER (light = 'low' AND background = 'metal' AND scale = 'near' AND blur = 'none'),
		count(*) FILTER (shape = 'bar') FROM shapes.samples`, bars.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	row := counted.Rows[0]
	if float(row[0]) != n || float(row[1]) != n || float(row[2]) != float64(bars.Samples) {
		t.Errorf("%v samples, %d bars published", row, bars.Samples)
	}
	// quota_by: 0.14 of deployment are bars.
	if bars.Samples < 279 || bars.Samples > 281 {
		t.Errorf("%d bars of %d", bars.Samples, n)
	}
	c.check()
}

// files are the digests of an export's files, of all but its lock.
func files(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][sha256.Size]byte{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != ".export.lock" {
			out[e.Name()] = sha256.Sum256(content)
		}
	}
	return out
}
