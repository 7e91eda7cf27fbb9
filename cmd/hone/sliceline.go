package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/urfave/cli/v2"

	"hone/analytics"
	"hone/loop"
)

// What --objective may be.
const (
	objectiveExcess    = "excess"
	objectiveSliceLine = "sliceline"
)

func objectiveFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "objective", Usage: "rank slices by `WHAT`: excess, by how much more they fail than chance allows; sliceline, by the score of SliceLine", Value: objectiveExcess},
		&cli.Float64Flag{Name: "alpha", Usage: "with sliceline: weigh how bad a slice is by `A`, and how small it is by 1-A", Value: .95},
		&cli.IntFlag{Name: "support", Usage: "with sliceline: slices of at least `N` rows", DefaultText: "1% of them, and 32"},
	}
}

// checkObjective refuses flags that the objective does not know.
func checkObjective(c *cli.Context) error {
	refuse := func(flags []string, why string) error {
		for _, f := range flags {
			if c.IsSet(f) {
				return usage("--%s: %s", f, why)
			}
		}
		return nil
	}
	switch name := c.String("objective"); name {
	case objectiveExcess:
		return refuse([]string{"alpha", "support"}, "it is of SliceLine's score; add --objective sliceline")
	case objectiveSliceLine:
		if err := refuse([]string{"runs"}, "SliceLine's slices are of single bins; leave it out, or rank by --objective excess"); err != nil {
			return err
		}
		return refuse([]string{"group", "fdr"}, "SliceLine's score tests nothing, and takes every row for itself; leave it out, or rank by --objective excess")
	default:
		return usage("--objective is excess or sliceline, not %q", name)
	}
}

// objective is what the flags say of SliceLine's.
func objective(c *cli.Context, rows int) loop.Objective {
	o := loop.Objective{Alpha: c.Float64("alpha"), Support: max(32, rows/100), Top: c.Int("top")}
	if c.IsSet("support") {
		o.Support = c.Int("support")
	}
	if c.IsSet("order") {
		o.Depth = c.Int("order")
	}
	return o
}

// scored is a slice by SliceLine's score, as --output json has it.
type scored struct {
	Slice  map[string]string `json:"slice"`
	N      int               `json:"n"`
	Errors float64           `json:"errors"`
	Rate   float64           `json:"rate"`
	Lift   float64           `json:"lift"`
	Score  float64           `json:"score"`
}

// showScores prints the slices of the highest scores.
func showScores(c *cli.Context, coded *analytics.Coded, rows *loop.Rows) error {
	o := objective(c, len(rows.Error))
	if c.IsSet("order") && o.Depth < 1 {
		return usage("--order: %d conditions: 1 or more", o.Depth)
	}
	best, err := rows.Best(o)
	if err != nil {
		return flagged(err)
	}
	total := 0.0
	for _, e := range rows.Error {
		total += e
	}
	mean := total / float64(max(1, len(rows.Error)))
	list := make([]scored, len(best))
	for i, s := range best {
		rate := s.Errors / float64(s.Rows)
		list[i] = scored{rows.Space.Names(s.Slice), s.Rows, s.Errors, rate, rate / mean, s.Score}
	}
	err = show(c, list, func(w io.Writer) {
		if len(best) == 0 {
			fmt.Fprintf(w, "No slice of at least %d rows has a score above 0.\n", o.Support)
			return
		}
		cells := make([][]string, len(best))
		for i, s := range best {
			cells[i] = []string{decimals(s.Score), rows.Space.Describe(s.Slice), digits(s.Rows), strconv.FormatFloat(s.Errors, 'g', 6, 64), decimals(list[i].Rate), decimals(list[i].Lift)}
		}
		grid(w, []string{"SCORE", "SLICE", "ROWS", "ERRORS", "MEAN", "LIFT"}, cells)
	})
	if err != nil {
		return err
	}
	note := func(format string, args ...any) {
		fmt.Fprintln(c.App.ErrWriter, printable(fmt.Sprintf(format, args...)))
	}
	note("%s, mean error %.4g; %s: %s.", counted(len(rows.Error), "row"), mean, counted(len(rows.Codes), "factor"), factorNames(rows.Space))
	leftOutNotes(coded, note)
	note("SliceLine's score (alpha %v, support %d): how bad a slice is against how small. It tests nothing: some of these may be chance, and they overlap.", o.Alpha, o.Support)
	return nil
}

func decimals(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }
