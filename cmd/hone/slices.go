package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/analytics"
	"hone/loop"
)

func slicesCommand() *cli.Command {
	search := loop.DefaultSearch()
	return &cli.Command{
		Name:      "slices",
		Usage:     "find the conditions under which a model fails, in a table of its evaluations; needs no server",
		ArgsUsage: "FILE",
		Flags: append(append(tableFlags(),
			&cli.IntFlag{Name: "order", Usage: "search for conjunctions of up to `N` conditions", Value: search.Order, DefaultText: fmt.Sprintf("%d; with sliceline, of any number", search.Order)},
			&cli.IntFlag{Name: "runs", Usage: "let a condition span up to `N` adjacent bins of a number; not with sliceline", Value: search.Runs},
			&cli.IntFlag{Name: "top", Usage: "show the `N` best", Value: search.Slices},
			&cli.Float64Flag{Name: "fdr", Usage: "hold the false discovery rate below `Q`", Value: search.FalseDiscovery}), objectiveFlags()...),
		Description: "FILE is Parquet, CSV, NDJSON, JSON or Arrow IPC, one row per evaluated example; columns become factors, numbers are binned (a condition may span adjacent bins: speed=40..60),\n" +
			"NULL is unknown and counts nowhere. --error is an expression of DuckDB's SQL: a condition, 0 or 1, or a loss of 0 or more. A loss\n" +
			"is tested by its mean. Without it the column correct is taken, if there is one. Rows of one clip, image or patient are not independent: name\n" +
			"the column by --group, and a slice counts as many rows as it is worth. Each slice below the first is tested among the rows that those above it leave.\n\n" +
			"--objective sliceline ranks by the score of SliceLine (Sagadeeva and Boehm, SIGMOD 2021) in place of a test, exactly, for comparison with what others compute.\n\n" +
			"Examples:\n   hone slices evals.parquet --error 'correct = false' --group clip\n" +
			"   hone slices evals.parquet --error 'correct = false' --objective sliceline --alpha 0.95 --support 100 --top 10",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "FILE")
			if err != nil {
				return err
			}
			if err := checkObjective(c); err != nil {
				return err
			}
			search.Order, search.Slices, search.FalseDiscovery = c.Int("order"), c.Int("top"), c.Float64("fdr")
			search.Runs = c.Int("runs")
			scored := c.String("objective") == objectiveSliceLine
			if err := search.Validate(); err != nil && !scored {
				return flagged(err)
			}
			coded, err := readTable(c, args[0])
			if err != nil {
				return err
			}
			unfit := coded.Unfit()
			for f := range unfit {
				if asked(c, "factors", coded.Columns[f].Name) {
					delete(unfit, f)
				}
			}
			for f, column := range coded.Columns {
				if unfit[f] != "" {
					coded.Left = append(coded.Left, analytics.LeftOut{Column: column.Name, Reason: unfit[f]})
				}
			}
			rows := coded.Without(unfit)
			if len(rows.Codes) == 0 {
				return fmt.Errorf("%s: no column makes a factor: %s", args[0], leftOut(coded.Left))
			}
			if scored {
				return showScores(c, coded, rows)
			}
			survey, err := rows.Survey(search)
			if err != nil {
				return flagged(err)
			}
			if err := show(c, listed(rows.Space, &survey), func(w io.Writer) { writeSurvey(w, rows.Space, &survey) }); err != nil {
				return err
			}
			for _, note := range notes(coded, rows, &survey, search) {
				fmt.Fprintln(c.App.ErrWriter, printable(note))
			}
			return nil
		},
	}
}

// tableFlags are those of commands that read a table of evaluations.
func tableFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "error", Usage: "what a failure is, as an `EXPRESSION` over the columns"},
		&cli.StringFlag{Name: "group", Usage: "the `COLUMN` that names what rows belong to"},
		&cli.StringFlag{Name: "where", Usage: "take only the rows for which this `EXPRESSION` holds"},
		&cli.StringFlag{Name: "factors", Usage: "take only these `COLUMNS`, divided by commas"},
		&cli.StringFlag{Name: "ignore", Usage: "leave these `COLUMNS` out"},
	}
}

// readTable opens the table, codes it, and closes it again.
func readTable(c *cli.Context, path string) (coded *analytics.Coded, err error) {
	t, err := openTable(c.Context, path, c.String("where"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if c.String("error") == "" {
		correct := slices.IndexFunc(t.Columns, func(column analytics.Column) bool {
			return strings.EqualFold(column.Name, "correct") && column.Type == "BOOLEAN"
		})
		if correct < 0 {
			return nil, usage("%s needs --error, an expression over the columns %s", c.Command.HelpName, columnNames(t.Columns))
		}
		if err := c.Set("error", t.Columns[correct].Name+" = false"); err != nil {
			return nil, err
		}
	}
	coded, err = t.Code(c.Context, selection(c))
	return coded, flagged(err)
}

// selection is what the flags say of a table.
func selection(c *cli.Context) analytics.Selection {
	return analytics.Selection{Error: c.String("error"), Group: c.String("group"), Factors: split(c.String("factors")), Ignore: split(c.String("ignore"))}
}

func columnNames(columns []analytics.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

func split(names string) []string {
	var out []string
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func asked(c *cli.Context, flag, column string) bool {
	for _, name := range split(c.String(flag)) {
		if strings.EqualFold(name, column) {
			return true
		}
	}
	return false
}

// flagged makes a refusal of what a flag says one of the command line.
func flagged(err error) error {
	refusal, ok := errors.AsType[*loop.Error](err)
	if !ok {
		return err
	}
	switch refusal.Field {
	case "order", "runs", "top", "fdr", "alpha", "support":
		refusal.Field = "--" + refusal.Field
	}
	if strings.HasPrefix(refusal.Field, "--") {
		return usage("%s", refusal.Error())
	}
	return err
}

// slice is a finding as --output json has it.
type slice struct {
	Slice      map[string]string `json:"slice"`
	N          int               `json:"n"`
	EffectiveN float64           `json:"effective_n"`
	Failures   float64           `json:"failures"`
	Rate       float64           `json:"rate"`
	Lower      float64           `json:"lower"`
	Upper      float64           `json:"upper"`
	Lift       float64           `json:"lift"`
	Q          float64           `json:"q"`
	Sentence   string            `json:"sentence"`
}

func listed(space *loop.Space, s *loop.Survey) []slice {
	out := []slice{}
	for _, f := range s.Findings {
		out = append(out, slice{space.Names(f.Slice), f.Rows, f.Effective, f.Failures, f.Rate, f.Lower, f.Upper, f.Lift, f.Q, f.Sentence})
	}
	return out
}

func writeSurvey(w io.Writer, space *loop.Space, s *loop.Survey) {
	for i, f := range s.Findings {
		fmt.Fprintf(w, "%2d. %s\n", i+1, printable(f.Sentence))
	}
	if len(s.Findings) == 0 {
		fmt.Fprintln(w, "No slice fails more than chance allows.")
	}
}

// notes say what was looked at and left, how false alarms are held, and what
// could not have been seen.
func notes(c *analytics.Coded, rows *loop.Rows, s *loop.Survey, search loop.Search) []string {
	var notes []string
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	rate := fmt.Sprintf("%s of them failures", percent(s.Rate))
	if s.Loss {
		rate = fmt.Sprintf("mean loss %.3g", s.Rate)
	}
	if s.Groups > 0 {
		rate += fmt.Sprintf(", in %s (correlation within a group %.2g)", counted(s.Groups, "group"), s.Correlation)
	}
	add("%s, %s; %s: %s.", counted(s.Rows, "row"), rate, counted(len(rows.Codes), "factor"), factorNames(rows.Space))
	leftOutNotes(c, add)
	if s.Order < search.Order {
		add("Searched up to %d conditions only: %d factors make too many triples for %d rows. Name the ones that matter by --factors.", s.Order, len(rows.Codes), s.Rows)
	}
	if s.Loss {
		add("The loss is tested by its mean, with its measured variance; for the test alone a loss above %.3g (1 in 100) counts as that.", s.Cap)
	}
	tests := 0
	for _, n := range s.Tested {
		tests += n
	}
	add("False alarms: of the slices shown at most %s%% are expected to be chance (Benjamini-Hochberg, over the %d slices that could show at all by Tarone's minimum).",
		strings.TrimSuffix(strconv.FormatFloat(100*search.FalseDiscovery, 'f', 2, 64), ".00"), tests)
	for _, d := range s.Detectable {
		if d.Rows > s.Rows {
			add("Too small to show: a slice that fails %g times as often would be seen with 80%% power from %d rows, more than there are.", d.Lift, d.Rows)
		} else {
			add("Too small to show: a slice that fails %g times as often is seen with 80%% power from %d rows (%s); smaller ones are likelier missed.", d.Lift, d.Rows, percent(d.Share))
		}
	}
	if len(s.Detectable) > 0 {
		add("About %s like these would halve those sizes.", counted(s.More, "more row"))
	}
	return notes
}

// leftOutNotes say which rows and columns were not looked at, and why.
func leftOutNotes(c *analytics.Coded, add func(format string, args ...any)) {
	if c.Unknown > 0 {
		add("%d more rows are left out: their error is unknown.", c.Unknown)
	}
	for _, l := range c.Left {
		add("Left out: %s: %s.", l.Column, l.Reason)
	}
}

func factorNames(space *loop.Space) string {
	names := make([]string, len(space.Factors))
	for i := range space.Factors {
		names[i] = space.Factors[i].Name
	}
	return strings.Join(names, ", ")
}
