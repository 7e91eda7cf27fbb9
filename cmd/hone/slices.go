package main

import (
	"errors"
	"fmt"
	"io"
	"math"
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
		Flags: append(tableFlags(),
			&cli.IntFlag{Name: "order", Usage: "search for conjunctions of up to `N` conditions", Value: search.Order},
			&cli.IntFlag{Name: "top", Usage: "show the `N` best", Value: search.Slices},
			&cli.Float64Flag{Name: "fdr", Usage: "hold the false discovery rate below `Q`", Value: search.FalseDiscovery}),
		Description: "FILE is Parquet, CSV, NDJSON, JSON or Arrow IPC, one row per evaluated example; columns become factors, numbers are binned,\n" +
			"NULL is unknown and counts nowhere. --error is an expression of DuckDB's SQL: a condition, 0 or 1, or a loss of 0 or more. A loss\n" +
			"is tested by its mean. Without it the column correct is taken, if there is one. Rows of one clip, image or patient are not independent: name\n" +
			"the column by --group, and a slice counts as many rows as it is worth. Each slice below the first is tested among the rows that those above it leave.\n\n" +
			"Example:\n   hone slices evals.parquet --error 'correct = false' --group clip",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "FILE")
			if err != nil {
				return err
			}
			search.Order, search.Slices, search.FalseDiscovery = c.Int("order"), c.Int("top"), c.Float64("fdr")
			if err := search.Validate(); err != nil {
				return flagged(err)
			}
			coded, err := readTable(c, args[0])
			if err != nil {
				return err
			}
			if c.String("error") == "" {
				return usage("%s needs --error (see %s --help)", c.Command.HelpName, c.Command.HelpName)
			}
			unfit := coded.Unfit()
			for f := range unfit {
				if asked(c, "factors", coded.Columns[f]) {
					delete(unfit, f)
				}
			}
			for f, column := range coded.Columns {
				if unfit[f] != "" {
					coded.Left = append(coded.Left, analytics.LeftOut{Column: column, Reason: unfit[f]})
				}
			}
			rows := coded.Without(unfit)
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
	t, err := analytics.OpenTable(c.Context, path, c.String("where"))
	if err != nil {
		return nil, flagged(err)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if t.Rows == 0 {
		return nil, errors.New(path + ": there are no rows" + map[bool]string{true: " for which --where holds"}[c.IsSet("where")])
	}
	if c.String("error") == "" && c.Command.Name == "slices" {
		for _, column := range t.Columns {
			if strings.EqualFold(column.Name, "correct") && column.Type == "BOOLEAN" {
				if err := c.Set("error", "correct = false"); err != nil {
					return nil, err
				}
			}
		}
		if c.String("error") == "" {
			return nil, usage("%s needs --error, an expression over the columns %s", c.Command.HelpName, columnNames(t.Columns))
		}
	}
	coded, err = t.Code(c.Context, analytics.Selection{Error: c.String("error"), Group: c.String("group"),
		Factors: split(c.String("factors")), Ignore: split(c.String("ignore"))})
	return coded, flagged(err)
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
	case "order", "top", "fdr":
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
	Failures   json64            `json:"failures"`
	Rate       float64           `json:"rate"`
	Lower      float64           `json:"lower"`
	Upper      float64           `json:"upper"`
	Lift       json64            `json:"lift"`
	Q          float64           `json:"q"`
	Sentence   string            `json:"sentence"`
}

// json64 is a number that may be infinite, which JSON cannot say: it is null.
type json64 float64

// MarshalJSON implements json.Marshaler.
func (x json64) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(x), 0) || math.IsNaN(float64(x)) {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, "%.10g", float64(x)), nil
}

func listed(space *loop.Space, s *loop.Survey) []slice {
	out := []slice{}
	for _, f := range s.Findings {
		out = append(out, slice{space.Names(f.Slice), f.Rows, f.Effective, json64(f.Failures), f.Rate, f.Lower, f.Upper, json64(f.Lift), f.Q, f.Sentence})
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
		rate += fmt.Sprintf(", in %d groups (correlation within a group %.2g)", s.Groups, s.Correlation)
	}
	add("%d rows, %s; %d factors: %s.", s.Rows, rate, len(rows.Codes), factorNames(rows.Space))
	if c.Unknown > 0 {
		add("%d more rows are left out: their error is unknown.", c.Unknown)
	}
	for _, l := range c.Left {
		add("Left out: %s: %s.", l.Column, l.Reason)
	}
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
	add("False alarms: at most %s of the slices shown are expected to be chance (Benjamini-Hochberg for each number of conditions, over the %d slices that could have shown at all, Tarone).",
		percent(search.FalseDiscovery), tests)
	for _, d := range s.Detectable {
		if d.Rows > s.Rows {
			add("Too small to show: with these rows no slice of %g times the rate is sure to be seen; one of %d rows would be.", d.Lift, d.Rows)
			continue
		}
		add("Too small to show: what fails %g times as often is seen (80 %% power) from %d rows, %s of these; smaller slices may be missed.", d.Lift, d.Rows, percent(d.Share))
	}
	if s.More > 0 && len(s.Detectable) > 0 {
		add("%d more rows would halve that.", s.More)
	}
	return notes
}

func factorNames(space *loop.Space) string {
	names := make([]string, len(space.Factors))
	for i := range space.Factors {
		names[i] = space.Factors[i].Name
	}
	return strings.Join(names, ", ")
}
