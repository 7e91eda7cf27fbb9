package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
	"hone/loop"
	"hone/report"
	"hone/report/reporttest"
	"hone/spec"
)

// A report is written whole or not at all, and says what stands in its way.
func TestSaveReport(t *testing.T) {
	dir := t.TempDir()
	n := &report.Numbers{Accuracy: []report.SliceAccuracy{{Name: "everything"}}}
	path := filepath.Join(dir, "r.html")
	for range 2 { // the second replaces the first
		if err := saveReport(path, n); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() < 1000 || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "file"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(dir, "none", "r.html"), taken} {
		if err := saveReport(bad, n); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// inSlice is the condition of a slice's rows, of space shapes.
func inSlice(t *testing.T, slice map[string]string) string {
	t.Helper()
	space, err := spec.ParseSpace(shapes.SpaceDocument)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range space.Factors {
		if level, ok := slice[f.Name]; ok {
			column := f.Name
			if f.Kind == loop.Numeric {
				column += "__level"
			}
			out = append(out, fmt.Sprintf("%q = '%s'", column, level))
		}
	}
	if len(out) == 0 || len(out) != len(slice) {
		t.Fatalf("slice %v", slice)
	}
	return strings.Join(out, " AND ")
}

// A real server that has made nothing yet, of a space whose words are hostile to
// SQL and HTML; and of a campaign whose models were evaluated.
func TestReportOfAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a campaign to its end")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	c.worker("w", 2)
	c.start("server", "w")
	c.put([]byte(`name: odd
factors:
  - {name: select, kind: ordinal, levels: {"<b>'x'\"": 0.5, "🦊 ∧ ;--": 0.5}}
  - {name: depth, edges: [0, 1, 2]}
  - {name: where, when: {select: ["🦊 ∧ ;--"]}, levels: {a: 0.5, b: 0.5}}
`), nil, nil)
	c.put(shapes.SpaceDocument, []string{eagerPolicy}, []string{
		"name: none\nspace: odd\npolicy: eager\ngenerator: nobody\nseed: 1\nsamples: 10\nrounds: 1\n",
		fmt.Sprintf(threeRoundsDocument, 7) + "price: {gpu_hour: 3600, currency: EUR}\nmoney: 1e9\n",
	})
	c.trainer("job", "three", rounds, false)
	c.start("job")
	c.await("the last model of three", func() bool {
		models, err := c.client.Models(c.ctx)
		sealed := 0
		for _, m := range models {
			if m.ModelLine == "three" && m.Sealed {
				sealed++
			}
		}
		return err == nil && sealed == rounds
	})
	forecast, err := c.client.Forecast(c.ctx, "three", api.Ahead{})
	if err != nil || len(forecast.Slices) == 0 {
		t.Fatalf("%+v, %v", forecast, err)
	}
	for i, p := range forecast.Slices[0].Curve {
		if p.Samples != uint64(500*(i+1)) || p.Rows != 300 || p.Groups != 300 || p.Failures == 0 || p.Failures == 300 {
			t.Errorf("version %s of everything: %+v", p.ModelVersion, p)
		}
	}
	// Of every slice that was boosted, the samples are those that can be counted.
	for _, s := range forecast.Slices[1:] {
		table, err := c.client.SQL(c.ctx, "SELECT count(*) FROM shapes.samples WHERE campaign = 'three' AND split = 'train' AND "+inSlice(t, s.Slice), forecast.Sequence)
		if err != nil || fmt.Sprint(table.Rows[0][0]) != fmt.Sprint(s.Samples) {
			t.Errorf("%s: %d samples, counted %v, %v", s.Name, s.Samples, table.Rows, err)
		}
	}
	// At a euro a second, what was spent, what comes next and what is shown of it agree.
	spent := forecast.Spent
	if spent == nil || spent.Money == nil || math.Abs(*spent.Money-spent.GPUSeconds) > 1e-6 || spent.Samples != 500*rounds || spent.Evaluation != (perRound-500)*rounds || spent.Binds != "samples" {
		t.Fatalf("spent: %+v", spent)
	}
	if dear, err := c.client.Forecast(c.ctx, "three", api.Ahead{Money: *spent.Money}); err != nil || dear.More < 500*rounds-1 || dear.More > 500*rounds+1 || dear.Slices[0].More != dear.More {
		t.Errorf("for as much again there are %d samples, %v", dear.More, err)
	}
	for _, command := range []string{"show", "forecast"} {
		if code, text, stderr := hone(t, "", "campaign", command, "three", "--server", c.server); code != exitOK ||
			!strings.Contains(text, spent.Cost.Text()+" of 1000000000.00 EUR") || !strings.Contains(text, "about "+forecast.Cost.Text()) {
			t.Errorf("campaign %s: %s%s", command, text, stderr)
		}
	}
	path := filepath.Join(t.TempDir(), "r.html")
	for _, campaign := range []string{"none", "three"} {
		code, stdout, stderr := hone(t, "", "report", campaign, "--server", c.server, "-o", path, "--control", campaign, "--price-per-hour", "2")
		if code != exitOK || stdout != "" || !strings.Contains(stderr, "wrote "+path) {
			t.Fatalf("%s: code %d, %q, %q", campaign, code, stdout, stderr)
		}
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		reporttest.CheckPage(t, page)
		if pictures := bytes.Count(page, []byte("<img")); campaign == "none" && pictures > 0 {
			t.Errorf("%d pictures of nothing", pictures)
		}
	}
	code, stdout, stderr := hone(t, "", "report", "three", "--server", c.server, "--output", "json")
	var numbers struct {
		Campaign api.Campaign
		Coverage []report.PairCoverage
		Gates    []report.PassRate
		Cost     report.Cost
	}
	if err := json.Unmarshal([]byte(stdout), &numbers); code != exitOK || err != nil || strings.Count(stdout, "\n") != 1 || stderr != "" {
		t.Fatalf("code %d, %v: %.200s %s", code, err, stdout, stderr)
	}
	var samples int64
	for _, row := range numbers.Coverage[0].Cells {
		for _, cell := range row {
			samples += cell.Samples
		}
	}
	if samples != 500*rounds || len(numbers.Coverage) != 6 {
		t.Errorf("the first of %d maps, of 6, has %d samples, not all of the campaign's", len(numbers.Coverage), samples)
	}
	if k := numbers.Cost; k.Currency != "EUR" || k.Price != 3600 || math.Abs(k.Money-k.Seconds) > 1e-6 || k.Money <= 0 {
		t.Errorf("without a price of the reader's own it is the campaign's: %+v", k)
	}
	if len(numbers.Gates) != 2 || numbers.Gates[0].Attempts < rounds*perRound || len(numbers.Cost.ByRound) != rounds || numbers.Cost.ByRound[0].Samples != perRound {
		t.Errorf("gates %+v, cost %+v", numbers.Gates, numbers.Cost)
	}
	for _, bad := range []struct {
		want int
		args []string
	}{
		{exitNotFound, []string{"nothing"}},
		{exitNotFound, []string{"three", "--control", "nothing"}},
		{exitUsage, []string{"three", "--control", "none"}},
		{exitUsage, []string{"three", "--price-per-hour", "-1"}},
		{exitUsage, nil},
	} {
		if code, _, stderr := hone(t, "", append(append([]string{"report"}, bad.args...), "--server", c.server, "-o", path)...); code != bad.want {
			t.Errorf("%v: code %d, not %d: %s", bad.args, code, bad.want, stderr)
		}
	}
}
