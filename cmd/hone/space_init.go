package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/analytics"
	"hone/loop"
	"hone/spec"
)

func spaceInitCommand() *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "write a commented space from a table of evaluations; needs no server",
		Flags: append(tableFlags(),
			&cli.StringFlag{Name: "from", Usage: "the `FILE` of evaluations: Parquet, CSV, NDJSON, JSON or Arrow IPC"},
			&cli.StringFlag{Name: "field", Usage: "a `FILE` of what deployment looks like, with columns of the same names; targets are its shares"},
			&cli.BoolFlag{Name: "dependence", Usage: "fit what goes together as well: shares that depend on another factor's level"},
			&cli.StringFlag{Name: "name", Usage: "the `NAME` of the space", DefaultText: "that of the file"},
			&cli.StringFlag{Name: "to", Usage: "write to this new `FILE`", DefaultText: "standard output"}),
		Description: "Columns become factors with levels or edges and their shares; a column that has values only under a condition becomes\n" +
			"conditional. What is left out, what is missing, what goes together and what never occurs stands in comments: read them, edit, then\n" +
			"hone space check FILE.\n\n" +
			"With --dependence the target is a tree that is fitted to the rows of --field, or else of --from: each factor may be given one other,\n" +
			"with its shares for each level of that one, such that the tree says most of the rows (Chow and Liu). Only what is significant\n" +
			"counts (a likelihood ratio test at 1%, corrected for all pairs; rows of a --group count as one), and weighs .002 nats; so\n" +
			"independent factors stay independent. Levels of few rows lean towards the shares of all. Unknown values say nothing.\n\n" +
			"Example:\n   hone space init --from evals.parquet --field real.parquet --error 'correct = false' > space.yaml",
		Action: func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			if err := required(c, "from"); err != nil {
				return err
			}
			d, err := readDraft(c)
			if err != nil {
				return err
			}
			text, err := d.document()
			if err != nil {
				return err
			}
			if to := c.String("to"); to != "" {
				if err := writeNew(to, text); err != nil {
					return err
				}
				fmt.Fprintf(c.App.ErrWriter, "wrote %s; read it, edit it, then: hone space check %s\n", to, to)
				return nil
			}
			_, err = io.WriteString(c.App.Writer, text)
			return err
		},
	}
}

// writeNew writes a file that was not there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return loop.Conflict("--to", "%s is there already; choose another, or remove it", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// spaceDraft is what the document is written from.
type spaceDraft struct {
	name        string
	from, field string // files; field may be empty
	rows        *loop.Rows
	fieldRows   *loop.Rows // coded alike; nil without a field's file
	columns     []string   // the files' names of the factors
	left        []analytics.LeftOut
	dependence  bool
}

func readDraft(c *cli.Context) (d *spaceDraft, err error) {
	d = &spaceDraft{from: c.String("from"), field: c.String("field"), name: c.String("name"), dependence: c.Bool("dependence")}
	if d.name == "" {
		d.name = spaceName(d.from)
	}
	if !loop.ValidName(d.name) {
		return nil, usage("--name: %q is not a name: a letter, then up to 62 letters, digits, '_', '.' or '-'", d.name)
	}
	t, err := openTable(c.Context, d.from, c.String("where"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if d.field != "" {
		if err := t.Field(c.Context, d.field); err != nil {
			return nil, flagged(err)
		}
	}
	coded, err := t.Code(c.Context, selection(c))
	if err != nil {
		return nil, flagged(err)
	}
	drop := coded.Unfit()
	for f := range coded.Space.Factors {
		if reason := unsuitable(coded.Columns[f], &coded.Space.Factors[f]); reason != "" {
			drop[f] = reason
		}
	}
	d.left = coded.Left
	for f, column := range coded.Columns {
		if drop[f] != "" {
			d.left = append(d.left, analytics.LeftOut{Column: column.Name, Reason: drop[f]})
		} else {
			d.columns = append(d.columns, column.Name)
		}
	}
	d.rows = coded.Without(drop)
	if d.field != "" {
		field, err := t.CodeField(c.Context, coded)
		if err != nil {
			return nil, flagged(err)
		}
		d.fieldRows = field.Without(drop)
	}
	if len(d.columns) == 0 {
		return nil, fmt.Errorf("%s: no column makes a factor: %s", d.from, leftOut(d.left))
	}
	return d, nil
}

// openTable opens a file that has rows.
func openTable(ctx context.Context, path, where string) (*analytics.Table, error) {
	t, err := analytics.OpenTable(ctx, path, where)
	if err != nil {
		return nil, flagged(err)
	}
	if t.Rows == 0 {
		problem := "there are no rows"
		if where != "" {
			problem += " for which --where holds"
		}
		return nil, errors.Join(fmt.Errorf("%s: %s", path, problem), t.Close())
	}
	return t, nil
}

func leftOut(left []analytics.LeftOut) string {
	reasons := make([]string, len(left))
	for i, l := range left {
		reasons[i] = l.Column + ": " + l.Reason
	}
	return strings.Join(reasons, "; ")
}

// maxDraftLevels is how many levels a person would read in a document.
const maxDraftLevels = 500

// unsuitable says why a factor of a table is none of a space.
func unsuitable(c analytics.Column, f *loop.Factor) string {
	if len(f.Levels) > maxDraftLevels {
		return fmt.Sprintf("%d levels; group them first", len(f.Levels))
	}
	if strings.HasPrefix(c.Type, "TIMESTAMP") || c.Type == "DATE" {
		return "when something was recorded is nothing that can be varied"
	}
	if loop.Reserved(f.Name) {
		return "every table of outcomes has a column of that name; rename it if it is a condition"
	}
	return ""
}

// probe is a space of one factor of a name, to ask loop what it thinks of it.
func probe(factor string, level loop.Level) error {
	level.Target = 1
	s := loop.Space{Name: "probe", Factors: []loop.Factor{{Name: factor, Kind: loop.Categorical, Levels: []loop.Level{level}}}}
	return s.Validate()
}

// spaceName makes a name of a file's.
func spaceName(path string) string {
	base, _, _ := strings.Cut(filepath.Base(path), ".")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r < 0x80 && loop.ValidName("a"+string(r)) {
			return r
		}
		return '-'
	}, base), "-_")
	if len(name) > 63 {
		name = name[:63]
	}
	if !loop.ValidName(name) {
		return "space"
	}
	return name
}

// factorName makes a valid name of a column's that no other factor has.
func factorName(column string, taken map[string]bool) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && loop.ValidName("a"+string(r)) && r != '.' && r != '-' {
			return r
		}
		return '_'
	}, column)
	name = strings.Trim(name, "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = strings.TrimSuffix("factor_"+name, "_")
	}
	name = name[:min(len(name), 50)]
	if probe(name, loop.Level{Name: "a"}) != nil {
		name += "_value"
	}
	free := name
	for n := 2; taken[strings.ToLower(free)]; n++ {
		free = fmt.Sprintf("%s_%d", name, n)
	}
	taken[strings.ToLower(free)] = true
	return free
}

// levelNames makes valid, distinct names of values.
func levelNames(f *loop.Factor) []string {
	names, taken := make([]string, len(f.Levels)), make(map[string]bool)
	for l, level := range f.Levels {
		name := strings.TrimSpace(printable(strings.ToValidUTF8(level.Name, "?")))
		if len(name) > 120 {
			name = strings.ToValidUTF8(name[:120], "")
		}
		if name == "" {
			name = "blank"
		}
		if probe("a", loop.Level{Name: name}) != nil {
			name += " value"
		}
		free := name
		for n := 2; taken[free]; n++ {
			free = fmt.Sprintf("%s %d", name, n)
		}
		taken[free] = true
		names[l] = free
	}
	return names
}

// document writes the space, and makes sure that it is one.
func (d *spaceDraft) document() (string, error) {
	w := &draftWriter{spaceDraft: d, draft: d.rows.Draft(), names: make([]string, len(d.columns)), levels: make([][]string, len(d.columns))}
	taken := make(map[string]bool)
	for f, column := range d.columns {
		w.names[f], w.levels[f] = factorName(column, taken), levelNames(&d.rows.Space.Factors[f])
	}
	w.order, w.tree = w.draft.Order, make([]*loop.Dependence, len(d.columns))
	if d.dependence {
		rows := d.rows
		if d.fieldRows != nil {
			rows = d.fieldRows
		}
		w.tree, w.order = rows.Tree(&w.draft)
	}
	w.write()
	text := w.String()
	if _, err := spec.ParseSpace([]byte(text)); err != nil {
		return "", fmt.Errorf("the space that was written does not read: %w", err)
	}
	return text, nil
}
