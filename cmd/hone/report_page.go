package main

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"hone/loop"
)

// reportPage is a report as its template wants it.
type reportPage struct {
	*reportNumbers
	Style    template.CSS
	Headline string
	Tiles    []reportTile
	Overall  *lineChart
	Charts   []lineChart
	Spent    budgetChart
	Judged   string
	Pictures []reportedSlice
	Failures []reportedSlice
	Ahead    []aheadRow
	Partial  bool
}

type reportTile struct{ Value, Name, Note string }

// aheadRow is one line of the forecast.
type aheadRow struct {
	Name, Line            string
	Samples, More         uint64
	Now, Then, Best, Gain string
	Interval              string
	Outlook               loop.Outlook
}

func newReportPage(n *reportNumbers) *reportPage {
	p := &reportPage{reportNumbers: n, Style: template.CSS(reportStyle), Spent: newBudgetChart(n.Budget), Pictures: n.pictures, Failures: n.failures}
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
func (p *reportPage) tiles(control string) {
	n := p.reportNumbers
	add := func(value, name, note string) { p.Tiles = append(p.Tiles, reportTile{value, name, note}) }
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
		add(moneyText(n.Cost.Money), "generation cost", durationText(n.Cost.Seconds)+" of generation")
	} else {
		add(durationText(n.Cost.Seconds), "of generation", "evaluation samples included")
	}
}

// judged are the slices that the headline may call the worst: those that the exam
// asks for, if it does, else all that can be learned.
func (n *reportNumbers) judged() []*sliceAccuracy {
	hopeless := map[string]bool{}
	for _, s := range n.Forecast.Slices {
		hopeless[s.Name] = hopeless[s.Name] || s.Outlook == loop.Unlearnable
	}
	asked := slices.ContainsFunc(n.Accuracy, func(s sliceAccuracy) bool { return s.Asked })
	var out []*sliceAccuracy
	for i := range n.Accuracy[1:] {
		if s := &n.Accuracy[i+1]; len(s.Campaign) > 0 && !hopeless[s.Name] && s.Asked == asked {
			out = append(out, s)
		}
	}
	return out
}

func (n *reportNumbers) worst() (*sliceAccuracy, bool) {
	list := n.judged()
	if len(list) == 0 {
		return nil, false
	}
	return slices.MinFunc(list, func(a, b *sliceAccuracy) int {
		x, _ := last(a.Campaign)
		y, _ := last(b.Campaign)
		return cmp.Compare(x.Accuracy, y.Accuracy)
	}), true
}

func (n *reportNumbers) worstControl() (accuracy float64, ok bool) {
	accuracy = math.Inf(1)
	for _, s := range n.judged() {
		if p, has := last(s.Control); has {
			accuracy, ok = min(accuracy, p.Accuracy), true
		}
	}
	return accuracy, ok
}

// sortLegend puts the base first, then what got most.
func sortLegend(list []budgetLegend) {
	slices.SortStableFunc(list, func(a, b budgetLegend) int {
		if (a.Sentence == "") != (b.Sentence == "") {
			return cmp.Compare(len(a.Sentence), len(b.Sentence))
		}
		return cmp.Compare(b.Samples, a.Samples)
	})
}

// ranges writes "1, 2, 3, 5" as "1-3, 5".
func ranges(list string) string {
	var out []string
	first, previous := 0, -1
	end := func() {
		if previous > first {
			out[len(out)-1] += "–" + strconv.Itoa(previous)
		}
	}
	for text := range strings.SplitSeq(list, ", ") {
		n, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		if n != previous+1 || len(out) == 0 {
			if len(out) > 0 {
				end()
			}
			first, out = n, append(out, text)
		}
		previous = n
	}
	if len(out) > 0 {
		end()
	}
	return strings.Join(out, ", ")
}

// heatClass is the colour of a cell: less than the target has, or more.
func heatClass(c coverageCell) string {
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

// timesText is the text of a cell.
func timesText(c coverageCell) string {
	switch {
	case c.Target == 0 && c.Samples == 0:
		return ""
	case c.Target == 0:
		return "∞"
	case c.Ratio >= 9.95:
		return strconv.FormatFloat(c.Ratio, 'f', 0, 64)
	}
	return strconv.FormatFloat(c.Ratio, 'f', 1, 64)
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

// durationText writes seconds as a person says them.
func durationText(seconds float64) string {
	switch {
	case seconds >= 2*3600:
		return strconv.FormatFloat(seconds/3600, 'f', 1, 64) + " h"
	case seconds >= 120:
		return strconv.FormatFloat(seconds/60, 'f', 1, 64) + " min"
	case seconds >= 10:
		return strconv.FormatFloat(seconds, 'f', 0, 64) + " s"
	}
	return strconv.FormatFloat(seconds, 'f', 2, 64) + " s"
}

// moneyText writes an amount; currencies are the reader's affair.
func moneyText(x float64) string {
	switch {
	case x == 0 || x >= 1:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < .0001:
		return "< 0.0001"
	}
	return strconv.FormatFloat(x, 'f', 4, 64)
}

// thousandsOf is thousands for any whole number, as templates hand it on.
func thousandsOf(n any) string {
	switch n := n.(type) {
	case int:
		return thousands(n)
	case int64:
		return thousands(n)
	case uint64:
		return thousands(n)
	}
	return fmt.Sprint(n)
}

func plurality(n any) string {
	if fmt.Sprint(n) == "1" {
		return ""
	}
	return "s"
}
