package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// measure is one figure of the benchmark: one line of --output json.
type measure struct {
	// Name says what was measured, from the general to the particular:
	// samples/shapes/hone/worst.
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Baseline is the same figure of what Value is compared with, and Ratio how
	// many times that is: of paired seeds, the mean of their ratios.
	Baseline *float64 `json:"baseline,omitempty"`
	Ratio    *float64 `json:"ratio,omitempty"`
	// Lower and Upper are the 95 % interval of Ratio, or of Value where there is
	// no baseline; nil where one run is no sample.
	Lower *float64 `json:"lower,omitempty"`
	Upper *float64 `json:"upper,omitempty"`
	// Bound says that Ratio is "at least" or "at most" what it would be, or
	// "unbounded", as what was waited for did not always come.
	Bound string   `json:"bound,omitempty"`
	Seeds []uint64 `json:"seeds,omitempty"`
	// Goal is what the figure has to be, and Met whether it is; empty where it is
	// only reported.
	Goal string `json:"goal,omitempty"`
	Met  *bool  `json:"met,omitempty"`
	// Note is what a reader of the figure has to know.
	Note string `json:"note,omitempty"`
}

// against compares the value with a baseline, by their quotient.
func (m measure) against(baseline float64) measure {
	m.Baseline = &baseline
	if ratio := m.Value / baseline; !math.IsNaN(ratio) && !math.IsInf(ratio, 0) {
		m.Ratio = &ratio
	}
	return m
}

// within sets the interval, where there is one.
func (m measure) within(lower, upper float64) measure {
	if !math.IsNaN(lower) && !math.IsNaN(upper) {
		m.Lower, m.Upper = &lower, &upper
	}
	return m
}

// share is within for what cannot be below 0 or above 1.
func (m measure) share(lower, upper float64) measure {
	return m.within(max(0, lower), min(1, upper))
}

// goal says what the figure has to be, and whether it is.
func (m measure) goal(met bool, format string, args ...any) measure {
	m.Goal, m.Met = fmt.Sprintf(format, args...), &met
	return m
}

// interval is the mean of values and its 95 % interval by Student's t; of fewer
// than two values the bounds are NaN.
func interval(values []float64) (mean, lower, upper float64) {
	mean = stat.Mean(values, nil)
	n := float64(len(values))
	if n < 2 {
		return mean, math.NaN(), math.NaN()
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(.975)
	half := t * stat.StdDev(values, nil) / math.Sqrt(n)
	return mean, mean - half, mean + half
}

// writeLines prints a measure a line.
func writeLines(w io.Writer, measures []measure) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for i := range measures {
		if err := encoder.Encode(&measures[i]); err != nil {
			return err
		}
	}
	return nil
}

var header = []string{"measure", "value", "unit", "baseline", "ratio", "95 % interval", "goal", ""}

// row is the measure as people read it, a cell for each of header.
func (m *measure) row() []string {
	optional := func(x *float64) string {
		if x == nil {
			return ""
		}
		return figure(*x)
	}
	between := ""
	if m.Lower != nil && m.Upper != nil {
		between = figure(*m.Lower) + " to " + figure(*m.Upper)
	}
	verdict := ""
	if m.Met != nil {
		verdict = "MISSED"
		if *m.Met {
			verdict = "met"
		}
	}
	return []string{m.Name, figure(m.Value), m.Unit, optional(m.Baseline), m.sign() + optional(m.Ratio), between, m.Goal, verdict}
}

// sign stands before a ratio that is a bound.
func (m *measure) sign() string {
	return map[string]string{atLeast: "≥ ", atMost: "≤ ", unbounded: "~ "}[m.Bound]
}

// What a bound may be.
const (
	atLeast   = "at least"
	atMost    = "at most"
	unbounded = "unbounded"
)

// figure writes a number with about three digits that count.
func figure(x float64) string {
	switch size := math.Abs(x); {
	case size == math.Trunc(size) && size < 1e15:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case size >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case size >= 1:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case size >= .1:
		return strconv.FormatFloat(x, 'f', 3, 64)
	default:
		return strconv.FormatFloat(x, 'g', 2, 64)
	}
}

func writeTable(w io.Writer, measures []measure) {
	t := pretty.NewWriter()
	style := pretty.StyleDefault
	style.Options = pretty.OptionsNoBordersAndSeparators
	style.Format = pretty.FormatOptions{}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.SetColumnConfigs([]pretty.ColumnConfig{
		{Number: 2, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: 4, Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Number: 5, Align: text.AlignRight, AlignHeader: text.AlignRight},
	})
	cells := func(row []string) pretty.Row {
		out := make(pretty.Row, len(row))
		for i := range row {
			out[i] = row[i]
		}
		return out
	}
	t.AppendHeader(cells(header))
	for i := range measures {
		t.AppendRow(cells(measures[i].row()))
	}
	fmt.Fprintln(w, t.Render())
	for _, note := range notes(measures) {
		fmt.Fprintln(w, note)
	}
}

// notes are the measures' notes, each once, with the first measure that has it.
func notes(measures []measure) []string {
	var out []string
	said := map[string]bool{}
	for i := range measures {
		if m := &measures[i]; m.Note != "" && !said[m.Note] {
			said[m.Note] = true
			out = append(out, m.Name+": "+m.Note)
		}
	}
	return out
}
