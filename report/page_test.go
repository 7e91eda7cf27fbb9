package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"hone/api"
	"hone/loop"
	"hone/report/reporttest"
)

const hostile = `<script>alert(1)</script>"' onload=x 🦊`

// hostileNumbers are of a campaign in which every text is hostile.
func hostileNumbers() *Numbers {
	points := []AccuracyPoint{
		{ModelVersion: hostile, Round: 1, Samples: 0, Rows: 9, Groups: 9, Accuracy: 0, Lower: 0, Upper: .3},
		{ModelVersion: hostile, Round: 2, Samples: 1 << 50, Rows: 1 << 50, Groups: 1, Accuracy: 1, Lower: .2, Upper: 1},
	}
	half := &loop.Interval{Lower: .4, Expected: .5, Upper: .6}
	forecast := api.SliceForecast{ModelLine: hostile, Name: hostile, More: 3, Outlook: loop.Unlearnable, Now: half, Then: half, Gain: half, Best: half, Sentence: hostile,
		Examples: []api.Failure{{EvalSet: hostile, Example: hostile, Sample: hostile, URI: hostile}, {Example: "a", URI: "javascript:alert(1)"},
			{Example: "b", URI: "https://host/a?b=" + hostile}, {Example: "c", URI: "s3://b/c.png"}}}
	n := &Numbers{
		Campaign: api.Campaign{Name: hostile, State: "done", Space: hostile, Policy: hostile, Generator: hostile, Owner: hostile},
		Control:  &api.Campaign{Name: hostile, Policy: hostile}, Exam: hostile,
		Accuracy: []SliceAccuracy{{Name: "everything", Campaign: points, Control: points}, {Name: hostile, Asked: true, Campaign: points, Control: points}, {Name: hostile}},
		Damped:   []api.Memory{{Name: hostile, Quarantined: true, Sentence: hostile}}, Notes: []string{hostile},
		Forecast: api.Forecast{Campaign: hostile, More: 1000, Slices: []api.SliceForecast{forecast}},
		Coverage: []PairCoverage{{Rows: hostile, Columns: hostile, Levels: [2][]string{{hostile}, {hostile, "b", "c"}},
			Cells: [][]CoverageCell{{{Samples: 3, Target: .1, Ratio: 3}, {Samples: 3}, {}}}}},
		Gates: []PassRate{{Name: hostile, Attempts: 3, Rejected: 1, Rate: .67}}, Workers: []PassRate{{Name: hostile}}, Slices: []PassRate{{Name: hostile}},
		Cost:     Cost{Seconds: 1e9, Price: 2, Money: 3, Currency: hostile, ByRound: []CostShare{{Name: "1", Seconds: 3}}, BySlice: []CostShare{{Name: hostile, Seconds: 2}}},
		Datasets: []api.Dataset{{Name: hostile, Version: 1, Advisory: hostile}}, Version: hostile,
		latest:   &api.Decision{},
		pictures: []shownSlice{{Name: hostile, Missing: hostile}, {Name: hostile, Pictures: []picture{{Source: pictureURI([]byte("png")), Title: hostile, Small: true}}}},
		failures: []shownSlice{{Name: hostile, Sentence: hostile, Examples: forecast.Examples}},
	}
	for round := 1; round <= maxRounds; round++ {
		b := RoundBudget{Round: round, Samples: 100, Parts: []BudgetShare{{Name: "everything", Samples: 60, Share: .6}}}
		for i := range 20 {
			b.Parts = append(b.Parts, BudgetShare{Name: fmt.Sprint(hostile, i), Samples: 2, Share: .02, Sentence: hostile})
		}
		n.Budget = append(n.Budget, b)
	}
	return n
}

func TestPage(t *testing.T) {
	for name, n := range map[string]*Numbers{
		"hostile": hostileNumbers(),
		"nothing": {Accuracy: []SliceAccuracy{{Name: "everything"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := n.WriteHTML(&out); err != nil {
				t.Fatal(err)
			}
			reporttest.CheckPage(t, out.Bytes())
			if bytes.Contains(out.Bytes(), []byte(hostile)) || name == "hostile" && !bytes.Contains(out.Bytes(), []byte("&lt;script&gt;alert(1)&lt;/script&gt;")) {
				t.Error("the hostile text is not there as text")
			}
			if err := json.NewEncoder(io.Discard).Encode(n); err != nil {
				t.Error(err) // --output json
			}
		})
	}
}

// A poster's uri is a link only to the web.
func TestLinks(t *testing.T) {
	var out bytes.Buffer
	if err := hostileNumbers().WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	if links := strings.Count(page, "<a "); links != 1 || !strings.Contains(page, `<a href="https://host/a?b=%3cscript%3e`) {
		t.Errorf("%d links, not the one to the web", links)
	}
	for _, text := range []string{" javascript:alert(1) ", " s3://b/c.png "} {
		if !strings.Contains(page, text) {
			t.Errorf("%q is not there to be read", text)
		}
	}
	for _, uri := range []string{"", "javascript:alert(1)", "JavaScript://host/%0aalert(1)", "//host/a", "/data/a.png", "s3://b/a", "file:///etc/passwd", "https:", "data:text/html,x", "http://[", "\x00https://host"} {
		if got := webLink(uri); got != "" {
			t.Errorf("%q is no link to the web, but %q", uri, got)
		}
	}
}
