package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func sqlCommand() *cli.Command {
	return &cli.Command{
		Name:      "sql",
		Usage:     "ask a question about outcomes and samples, in SQL",
		ArgsUsage: "QUERY|-",
		Flags:     []cli.Flag{&cli.Uint64Flag{Name: "at-least", Usage: "wait until the answer has seen this `SEQUENCE`, as posts and commits return it"}},
		Description: "Each space is a schema with tables such as outcomes and samples, one column per factor. Queries read, and change nothing.\n\n" +
			"Example:\n   hone sql \"select light, count(*) n, avg(correct::int) accuracy from shapes.outcomes group by light order by accuracy\"",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "QUERY")
			if err != nil {
				return err
			}
			query := args[0]
			if query == "-" {
				text, err := document(c, "-")
				if err != nil {
					return err
				}
				query = string(text)
			}
			answer, err := client(c).SQL(c.Context, query, c.Uint64("at-least"))
			if err != nil {
				return err
			}
			if answer.Truncated {
				fmt.Fprintf(c.App.ErrWriter, "hone: there are more rows than these %d: aggregate, or page with limit and offset\n", len(answer.Rows))
			}
			switch c.String("output") {
			case outputJSON:
				return writeObjects(c.App.Writer, &answer)
			case outputYAML:
				var objects bytes.Buffer
				if err := writeObjects(&objects, &answer); err != nil {
					return err
				}
				return writeYAML(c.App.Writer, json.RawMessage(objects.Bytes()))
			}
			writeAnswer(c.App.Writer, &answer)
			fmt.Fprintf(c.App.ErrWriter, "%d rows, as of sequence %d\n", len(answer.Rows), answer.Sequence)
			return nil
		},
	}
}

func writeAnswer(w io.Writer, t *api.Table) {
	rows := make([][]string, len(t.Rows))
	for i, r := range t.Rows {
		rows[i] = make([]string, len(t.Columns))
		for j := range rows[i] {
			if j < len(r) {
				rows[i][j] = plain(r[j])
			}
		}
	}
	grid(w, t.Columns, rows)
}

func plain(value any) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case string:
		return v
	case json.Number:
		return v.String()
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// writeObjects writes an array of objects, with the columns in their order; of
// columns with one name, the later ones get a number.
func writeObjects(w io.Writer, t *api.Table) error {
	keys := make([][]byte, len(t.Columns))
	seen := map[string]int{}
	for i, name := range t.Columns {
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s_%d", name, seen[name])
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		keys[i] = key
	}
	var out bytes.Buffer
	out.WriteByte('[')
	for i, r := range t.Rows {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n  {")
		for j := range keys {
			if j > 0 {
				out.WriteByte(',')
			}
			var cell any
			if j < len(r) {
				cell = r[j]
			}
			value, err := json.Marshal(cell)
			if err != nil {
				return err
			}
			out.Write(keys[j])
			out.WriteByte(':')
			out.Write(value)
		}
		out.WriteByte('}')
	}
	if len(t.Rows) > 0 {
		out.WriteByte('\n')
	}
	out.WriteString("]\n")
	_, err := w.Write(out.Bytes())
	return err
}
