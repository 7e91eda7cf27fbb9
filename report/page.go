package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"

	"hone/api"
	"hone/loop"
)

var (
	//go:embed page.html.tmpl
	pageTemplate string
	//go:embed page.css
	pageStyle string
)

// pageLayout is parsed here, so that a mistake in it fails every test. All that
// comes from users is escaped by html/template, each where it stands.
var pageLayout = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent":   percent,
	"accuracy":  accuracyText,
	"thousands": func(n any) string { return thousandsOf(n) },
	"plural":    func(n any, one string) string { return thousandsOf(n) + " " + one + plurality(n) },
	"duration":  durationText,
	"money":     moneyText,
	"heat":      heatClass,
	"times":     timesText,
	"outlook":   outlookClass,
	"link":      webLink,
	"rates": func(caption, head string, rows []PassRate) any {
		return struct {
			Caption, Head string
			Rows          []PassRate
		}{caption, head, rows[:min(len(rows), maxRows)]}
	},
	"costs": func(caption, head string, rows []CostShare, cost Cost) any {
		return struct {
			Caption, Head string
			Rows          []CostShare
			Cost          Cost
		}{caption, head, rows, cost}
	},
}).Parse(pageTemplate))

// WriteHTML writes the page: one file that needs nothing else. What comes from
// people and servers is text in it, whatever it holds. An error is the writer's.
func (n *Numbers) WriteHTML(w io.Writer) error {
	var out bytes.Buffer
	if err := pageLayout.Execute(&out, newPage(n)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := out.WriteTo(w)
	return err
}

// page is a report as its template wants it.
type page struct {
	*Numbers
	Style    template.CSS
	Headline string
	Tiles    []tile
	Overall  *lineChart
	Charts   []lineChart
	Spent    budgetChart
	Judged   string
	Pictures []shownSlice
	Failures []shownSlice
	Ahead    []aheadRow
	Latest   *api.Decision
}

type tile struct{ Value, Name, Note string }

// aheadRow is one line of the forecast.
type aheadRow struct {
	Name, Line            string
	Samples, More         uint64
	Now, Then, Best, Gain string
	Interval              string
	Outlook               loop.Outlook
}

func newPage(n *Numbers) *page {
	p := &page{Numbers: n, Style: template.CSS(pageStyle), Spent: newBudgetChart(n.Budget), Pictures: n.pictures, Failures: n.failures, Latest: n.latest}
	control := ""
	if n.Control != nil {
		control = n.Control.Name
	}
	p.Judged = "Each campaign is judged by the evaluation samples that it learns from."
	if n.Exam != "" {
		p.Judged = "All are judged on the same exam, " + n.Exam + "."
	}
	for i := range n.Accuracy {
		s := &n.Accuracy[i]
		if i == 0 {
			low, high := span(s)
			c := newLineChart(s, 900, 260, low, high, control)
			p.Overall = &c
			continue
		}
		p.Charts = append(p.Charts, newLineChart(s, 300, 150, 0, 1, control))
	}
	p.tiles(control)
	for _, s := range n.Forecast.Slices {
		row := aheadRow{Name: s.Name, Line: s.ModelLine, Samples: s.Samples, More: s.More, Outlook: s.Outlook}
		if s.Now != nil && s.Then != nil && s.Best != nil && s.Gain != nil {
			row.Now, row.Then, row.Best = percent(s.Now.Expected), percent(s.Then.Expected), percent(s.Best.Expected)
			row.Interval = percent(s.Best.Lower) + " to " + percent(s.Best.Upper)
			row.Gain = fmt.Sprintf("%.2f (%.2f to %.2f)", 100*s.Gain.Expected, 100*s.Gain.Lower, 100*s.Gain.Upper)
		}
		p.Ahead = append(p.Ahead, row)
	}
	return p
}

// tiles are the headline: what was made, and what came of it.
func (p *page) tiles(control string) {
	n := p.Numbers
	add := func(value, name, note string) { p.Tiles = append(p.Tiles, tile{value, name, note}) }
	note := "every quota exact"
	switch {
	case n.Campaign.Abandoned > 0:
		note = thousands(n.Campaign.Abandoned) + " abandoned"
	case n.Campaign.Committed < n.Campaign.Requested:
		note = "of " + thousands(n.Campaign.Requested) + " requested"
	}
	if now, ok := last(n.Accuracy[0].Campaign); ok {
		start := n.Accuracy[0].Campaign[0]
		compare := "from " + accuracyText(start.Accuracy)
		p.Headline = fmt.Sprintf("Accuracy went from %s to %s over %s", accuracyText(start.Accuracy), accuracyText(now.Accuracy), plural(len(n.Accuracy[0].Campaign), "model version"))
		if other, ok := last(n.Accuracy[0].Control); ok {
			compare += ", " + control + " " + accuracyText(other.Accuracy)
			p.Headline += fmt.Sprintf("; the control, %s, came to %s", control, accuracyText(other.Accuracy))
		}
		p.Headline += "."
		add(accuracyText(now.Accuracy), "accuracy now", compare)
	} else {
		p.Headline = "No model version has been evaluated yet."
	}
	if worst, ok := n.worst(); ok {
		now, _ := last(worst.Campaign)
		compare := "from " + accuracyText(worst.Campaign[0].Accuracy)
		which := "its boosted slices"
		if worst.Asked {
			which = "the slices that the exam asks for"
		}
		sentence := fmt.Sprintf(" The worst of %s, %s, went from %s to %s", which, worst.Name, accuracyText(worst.Campaign[0].Accuracy), accuracyText(now.Accuracy))
		if other, ok := n.worstControl(); ok {
			compare += ", " + control + "'s worst " + accuracyText(other)
			sentence += fmt.Sprintf("; the worst of the control is at %s", accuracyText(other))
		}
		p.Headline += sentence + "."
		add(accuracyText(now.Accuracy), "worst slice now", compare)
	}
	add(thousands(n.Campaign.Committed), "training samples", note)
	if n.Cost.Price > 0 {
		add(moneyText(n.Cost.Money, n.Cost), "generation cost", durationText(n.Cost.Seconds)+" of generation")
	} else {
		add(durationText(n.Cost.Seconds), "of generation", "evaluation samples included")
	}
}

// judged are the slices that the headline may call the worst: those that the exam
// asks for, if it does, else all that can be learned.
func (n *Numbers) judged() []*SliceAccuracy {
	hopeless := map[string]bool{}
	for _, s := range n.Forecast.Slices {
		hopeless[s.Name] = hopeless[s.Name] || s.Outlook == loop.Unlearnable
	}
	asked := slices.ContainsFunc(n.Accuracy, func(s SliceAccuracy) bool { return s.Asked })
	var out []*SliceAccuracy
	for i := range n.Accuracy[1:] {
		if s := &n.Accuracy[i+1]; len(s.Campaign) > 0 && !hopeless[s.Name] && s.Asked == asked {
			out = append(out, s)
		}
	}
	return out
}

func (n *Numbers) worst() (*SliceAccuracy, bool) {
	list := n.judged()
	if len(list) == 0 {
		return nil, false
	}
	return slices.MinFunc(list, func(a, b *SliceAccuracy) int {
		x, _ := last(a.Campaign)
		y, _ := last(b.Campaign)
		return cmp.Compare(x.Accuracy, y.Accuracy)
	}), true
}

func (n *Numbers) worstControl() (accuracy float64, ok bool) {
	accuracy = math.Inf(1)
	for _, s := range n.judged() {
		if p, has := last(s.Control); has {
			accuracy, ok = min(accuracy, p.Accuracy), true
		}
	}
	return accuracy, ok
}

// heatClass is the colour of a cell: less than the target has, or more.
func heatClass(c CoverageCell) string {
	switch {
	case c.Target == 0 && c.Samples == 0:
		return "none"
	case c.Samples == 0:
		return "l3"
	case c.Ratio == 0: // too rare for the estimate
		return "m0"
	}
	switch step := math.Log2(c.Ratio); {
	case step < -2:
		return "l3"
	case step < -1:
		return "l2"
	case step < -.4:
		return "l1"
	case step <= .4:
		return "m0"
	case step <= 1:
		return "h1"
	case step <= 2:
		return "h2"
	default:
		return "h3"
	}
}

func outlookClass(o loop.Outlook) string {
	switch o {
	case loop.Pays:
		return "good"
	case loop.Unlearnable:
		return "bad"
	case loop.NoLongerPays:
		return "done"
	default:
		return "open"
	}
}
