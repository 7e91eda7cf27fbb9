package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"
)

// What --output may be.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of what is printed: table, json or yaml", Value: outputTable}
}

// show prints value as JSON or YAML where that was asked for, or else what plain
// prints.
func show(c *cli.Context, value any, plain func(w io.Writer)) error {
	switch c.String("output") {
	case outputJSON:
		return writeJSON(c.App.Writer, value)
	case outputYAML:
		return writeYAML(c.App.Writer, value)
	}
	plain(c.App.Writer)
	return nil
}

// writeJSON writes value on one line, so that the last line of an output is one
// whole answer.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// grid prints rows under a header, in columns without lines, so that people
// read them and cut and awk do, too. Columns of numbers are aligned right.
func grid(w io.Writer, header []string, rows [][]string) {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format = table.FormatOptions{}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	var columns []table.ColumnConfig
	for i := range header {
		if numeric(rows, i) {
			columns = append(columns, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(columns)
	t.AppendHeader(cells(header))
	for _, r := range rows {
		t.AppendRow(cells(r))
	}
	fmt.Fprintln(w, t.Render())
}

func cells(row []string) table.Row {
	out := make(table.Row, len(row))
	for i, s := range row {
		// A line break or a control sequence in a cell must not pass for ours.
		out[i] = printable(s)
	}
	return out
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return -1
		}
		return r
	}, s)
}

func numeric(rows [][]string, column int) bool {
	some := false
	for _, r := range rows {
		if r[column] == "" || r[column] == "NULL" {
			continue
		}
		if _, err := strconv.ParseFloat(strings.TrimSuffix(r[column], "%"), 64); err != nil {
			return false
		}
		some = true
	}
	return some
}

// facts prints names and values, one a line; those without a value are left out.
func facts(w io.Writer, pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%-*s  %s\n", width, pairs[i], printable(pairs[i+1]))
		}
	}
}

// utc is a time of the server as people read it, to the second, in UTC as are the
// days of documents and all that the server says: the Z says so.
func utc(at string) string {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return at
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// clock is the layout of a time of day, in UTC too.
const clock = "15:04:05Z"

// counted is a number and what it counts, whose plural takes an s.
func counted[T int | int64 | uint64](n T, one string) string {
	if n != 1 {
		one += "s"
	}
	return digits(n) + " " + one
}

func digits[T int | int64 | uint64](n T) string { return fmt.Sprint(n) }

// percent writes a fraction with the digits that matter.
func percent(x float64) string {
	switch p := 100 * x; {
	case p == 0 || p >= 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	case p >= 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + "%"
	default:
		return strconv.FormatFloat(p, 'g', 2, 64) + "%"
	}
}
