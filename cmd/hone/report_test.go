package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"hone/api"
	"hone/examples/shapes"
	"hone/loop"
	"hone/spec"
)

const hostile = `<script>alert(1)</script>"' onload=x 🦊`

// hostileNumbers are of a campaign in which every text is hostile.
func hostileNumbers() *reportNumbers {
	points := []accuracyPoint{
		{ModelVersion: hostile, Round: 1, Samples: 0, Rows: 9, Groups: 9, Accuracy: 0, Lower: 0, Upper: .3},
		{ModelVersion: hostile, Round: 2, Samples: 1 << 50, Rows: 1 << 50, Groups: 1, Accuracy: 1, Lower: .2, Upper: 1},
	}
	half := &loop.Interval{Lower: .4, Expected: .5, Upper: .6}
	forecast := api.SliceForecast{ModelLine: hostile, Name: hostile, More: 3, Outlook: loop.Unlearnable, Now: half, Then: half, Gain: half, Best: half, Sentence: hostile,
		Examples: []api.ForecastExample{{EvalSet: hostile, Example: hostile, Sample: hostile}}}
	n := &reportNumbers{
		Campaign: api.Campaign{Name: hostile, State: "done", Space: hostile, Policy: hostile, Generator: hostile, Owner: hostile},
		Control:  &api.Campaign{Name: hostile, Policy: hostile}, Exam: hostile,
		Accuracy: []sliceAccuracy{{Name: "everything", Campaign: points, Control: points}, {Name: hostile, Asked: true, Campaign: points, Control: points}, {Name: hostile}},
		Damped:   []api.Memory{{Name: hostile, Quarantined: true, Sentence: hostile}}, Notes: []string{hostile},
		Forecast: api.Forecast{Campaign: hostile, More: 1000, Slices: []api.SliceForecast{forecast}},
		Coverage: []pairCoverage{{Rows: hostile, Columns: hostile, Levels: [2][]string{{hostile}, {hostile, "b", "c"}},
			Cells: [][]coverageCell{{{Samples: 3, Target: .1, Ratio: 3}, {Samples: 3}, {}}}}},
		Gates: []passRate{{Name: hostile, Attempts: 3, Rejected: 1, Rate: .67}}, Workers: []passRate{{Name: hostile}}, Slices: []passRate{{Name: hostile}},
		Cost:     reportCost{Seconds: 1e9, Price: 2, Money: 3, ByRound: []costShare{{Name: "1", Seconds: 3}}, BySlice: []costShare{{Name: hostile, Seconds: 2}}},
		Datasets: []api.Dataset{{Name: hostile, Version: 1, Advisory: hostile}}, Version: hostile,
		Latest:   &api.Decision{},
		pictures: []reportedSlice{{Name: hostile, Missing: hostile}, {Name: hostile, Pictures: []picture{{Source: pictureURI([]byte("png")), Title: hostile, Small: true}}}},
		failures: []reportedSlice{{Name: hostile, Sentence: hostile, Examples: forecast.Examples}},
	}
	for round := 1; round <= reportRounds; round++ {
		b := roundBudget{Round: round, Samples: 100, Parts: []budgetShare{{Name: "everything", Samples: 60, Share: .6}}}
		for i := range 20 {
			b.Parts = append(b.Parts, budgetShare{Name: fmt.Sprint(hostile, i), Samples: 2, Share: .02, Sentence: hostile})
		}
		n.Budget = append(n.Budget, b)
	}
	return n
}

// checkPage reads a page as a browser does: nothing in it runs, nothing is
// fetched, every tag is closed, and every number of a drawing is one.
func checkPage(t *testing.T, page []byte) {
	t.Helper()
	for _, leak := range []string{"ZgotmplZ", "NaN", "Inf", "%!", "<nil>", "<no value>"} {
		if bytes.Contains(page, []byte(leak)) {
			t.Errorf("the page has %q", leak)
		}
	}
	if bytes.Contains(bytes.ToLower(page), []byte("@import")) || regexp.MustCompile(`url\s*\(`).Match(page) {
		t.Error("the style fetches something")
	}
	void := []string{"meta", "img", "br"}
	var open []string
	tokens := html.NewTokenizer(bytes.NewReader(page))
	for {
		kind := tokens.Next()
		token := tokens.Token()
		switch kind {
		case html.ErrorToken:
			if tokens.Err() != io.EOF {
				t.Fatal(tokens.Err())
			}
			if len(open) > 0 {
				t.Errorf("still open at the end: %v", open)
			}
			return
		case html.StartTagToken:
			if !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
			checkAttributes(t, token)
		case html.SelfClosingTagToken:
			checkAttributes(t, token)
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func checkAttributes(t *testing.T, token html.Token) {
	t.Helper()
	if slices.Contains([]string{"script", "iframe", "object", "embed", "link", "base", "form", "a"}, token.Data) {
		t.Errorf("a <%s>", token.Data)
	}
	for _, a := range token.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on"):
			t.Errorf("<%s %s>", token.Data, a.Key)
		case slices.Contains([]string{"src", "href", "srcset", "poster", "action", "xlink:href"}, a.Key) && !strings.HasPrefix(a.Val, "data:image/png;base64,"):
			t.Errorf("<%s %s=%.60q>", token.Data, a.Key, a.Val)
		case slices.Contains([]string{"x", "y", "width", "height", "x1", "x2", "y1", "y2", "cx", "cy"}, a.Key):
			if x, err := strconv.ParseFloat(a.Val, 64); err != nil || math.IsNaN(x) || x < -1 || x > 2000 {
				t.Errorf("<%s %s=%q>", token.Data, a.Key, a.Val)
			}
		}
	}
	if token.Data == "svg" && !slices.ContainsFunc(token.Attr, func(a html.Attribute) bool { return a.Key == "aria-label" && a.Val != "" }) {
		t.Error("a drawing without a label")
	}
	if token.Data == "img" && !slices.ContainsFunc(token.Attr, func(a html.Attribute) bool { return a.Key == "alt" && a.Val != "" }) {
		t.Error("a picture without a text")
	}
}

func TestReportPage(t *testing.T) {
	for name, n := range map[string]*reportNumbers{
		"hostile": hostileNumbers(),
		"nothing": {Accuracy: []sliceAccuracy{{Name: "everything"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var page bytes.Buffer
			if err := writeReport(&page, n); err != nil {
				t.Fatal(err)
			}
			checkPage(t, page.Bytes())
			if bytes.Contains(page.Bytes(), []byte(hostile)) || name == "hostile" && !bytes.Contains(page.Bytes(), []byte("&lt;script&gt;alert(1)&lt;/script&gt;")) {
				t.Error("the hostile text is not there as text")
			}
			if err := json.NewEncoder(io.Discard).Encode(n); err != nil {
				t.Error(err) // --output json
			}
		})
	}
}

// Whatever the points are, nothing is drawn outside a chart.
func TestChartsStayInside(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pair := regexp.MustCompile(`^(-?[0-9.]+),(-?[0-9.]+)$`)
	for range 300 {
		s := sliceAccuracy{Name: "s"}
		for range random.IntN(6) {
			p := accuracyPoint{Samples: random.Int64N(1 << random.IntN(50)), Rows: 1 + random.Int64N(100), Accuracy: random.Float64()}
			p.Lower, p.Upper = wilson(p.Accuracy, float64(p.Rows))
			s.Campaign = append(s.Campaign, p)
		}
		if random.IntN(2) == 0 {
			s.Control = slices.Clone(s.Campaign)
		}
		low, high := span(&s)
		c := newLineChart(&s, 300, 150, low, high, "control")
		if len(c.YTicks) < 2 || len(c.YTicks) > 8 {
			t.Fatalf("%d ticks from %v to %v", len(c.YTicks), low, high)
		}
		for _, line := range []string{c.Line, c.Band, c.ControlLine, c.ControlBand} {
			for point := range strings.FieldsSeq(line) {
				m := pair.FindStringSubmatch(point)
				if m == nil {
					t.Fatalf("point %q", point)
				}
				x, _ := strconv.ParseFloat(m[1], 64)
				y, _ := strconv.ParseFloat(m[2], 64)
				if x < c.Left-.1 || x > c.Right+.1 || y < c.Top-.1 || y > c.Bottom+.1 {
					t.Fatalf("%s lies outside of the chart %+v", point, c)
				}
			}
		}
	}
}

// A space of many factors with many levels gets few maps of few rows, among them
// the levels that a slice is about, and every level has its place.
func TestCoverageStaysSmall(t *testing.T) {
	space := &loop.Space{Name: "s"}
	for f := range 20 {
		factor := loop.Factor{Name: fmt.Sprintf("f%d", f), Kind: loop.Categorical}
		levels := 20
		if f == 3 {
			levels = loop.MaxLevels
		}
		for l := range levels {
			factor.Levels = append(factor.Levels, loop.Level{Name: fmt.Sprintf("%s %d", hostile, l), Target: 1 / float64(levels)})
		}
		space.Factors = append(space.Factors, factor)
	}
	space.Factors[5].When = &loop.LevelSet{Factor: 3, Levels: []int{0}}
	n := &reportNumbers{Accuracy: []sliceAccuracy{{}, {in: loop.Slice{{Factor: 3, Level: 9_876}, {Factor: 5, Level: 19}, {Factor: 7}}}}}
	pairs := choosePairs(space, n)
	if len(pairs) != reportPairs || pairs[0] != [2]int{3, 5} {
		t.Fatalf("pairs %v", pairs)
	}
	drawn, err := space.Draw(nil, 2000, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		c := pairCoverage{}
		for side, f := range p {
			c.Levels[side] = shownLevels(space, f, n)
			if len(c.Levels[side]) > reportLevels+2 {
				t.Errorf("factor %d has %d rows", f, len(c.Levels[side]))
			}
			for _, slice := range n.Accuracy {
				if l := slice.in.Level(f); l >= 0 && !slices.Contains(c.Levels[side], space.Factors[f].Levels[l].Name) {
					t.Errorf("level %d of factor %d has no row", l, f)
				}
			}
		}
		c.target(space, p, drawn)
		sum := 0.0
		for _, row := range c.Cells {
			for _, cell := range row {
				sum += cell.Target
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("pair %v: the target sums to %v", p, sum)
		}
	}
}

func TestRanges(t *testing.T) {
	for in, want := range map[string]string{"": "", "3": "3", "1, 2": "1–2", "1, 2, 3, 7, 9, 10": "1–3, 7, 9–10"} {
		if got := ranges(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

// A report is written whole or not at all, and says what stands in its way.
func TestSaveReport(t *testing.T) {
	dir := t.TempDir()
	n := &reportNumbers{Accuracy: []sliceAccuracy{{Name: "everything"}}}
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

func shapesSpace(t *testing.T) *loop.Space {
	t.Helper()
	space, err := spec.ParseSpace(shapes.SpaceDocument)
	if err != nil {
		t.Fatal(err)
	}
	return &space
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
		fmt.Sprintf(threeRoundsDocument, 7),
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
	forecast, err := c.client.Forecast(c.ctx, "three")
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
		in, ok := sliceOf(shapesSpace(t), s.Slice)
		if !ok {
			t.Fatalf("slice %v", s.Slice)
		}
		table, err := c.client.SQL(c.ctx, "SELECT count(*) FROM shapes.samples WHERE campaign = 'three' AND split = 'train' AND "+inSlice(shapesSpace(t), in), forecast.Sequence)
		if err != nil || fmt.Sprint(table.Rows[0][0]) != fmt.Sprint(s.Samples) {
			t.Errorf("%s: %d samples, counted %v, %v", s.Name, s.Samples, table.Rows, err)
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
		checkPage(t, page)
		if pictures := bytes.Count(page, []byte("<img")); campaign == "none" && pictures > 0 {
			t.Errorf("%d pictures of nothing", pictures)
		}
	}
	code, stdout, stderr := hone(t, "", "report", "three", "--server", c.server, "--output", "json")
	var numbers struct {
		Campaign api.Campaign
		Coverage []pairCoverage
		Gates    []passRate
		Cost     reportCost
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
	if samples != 500*rounds || len(numbers.Coverage) != reportPairs {
		t.Errorf("the first of %d maps has %d samples, not all of the campaign's", len(numbers.Coverage), samples)
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
