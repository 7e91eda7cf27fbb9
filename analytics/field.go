//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"slices"
	"strings"

	"hone/loop"
)

// Field reads a second file, whose rows show what deployment looks like. The
// levels that Code makes then suit the rows of both.
func (t *Table) Field(ctx context.Context, path string) error {
	columns, err := t.load(ctx, "field", path)
	if err != nil {
		return err
	}
	var shared []string
	for _, c := range columns {
		if slices.ContainsFunc(t.Columns, func(own Column) bool { return strings.EqualFold(own.Name, c.Name) }) {
			shared = append(shared, ident(c.Name))
			t.field = append(t.field, c.Name)
		}
	}
	if len(shared) == 0 {
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = c.Name
		}
		return &loop.Error{Field: "--field", Problem: path + " has no column of " + t.Path, Remedy: "its columns are " + list(names)}
	}
	if _, err := t.conn.ExecContext(ctx, "CREATE VIEW pooled AS SELECT * FROM evals UNION ALL BY NAME SELECT "+strings.Join(shared, ", ")+" FROM field"); err != nil {
		return plain(err)
	}
	t.pooled, err = t.describe(ctx, "pooled")
	return err
}

// CodeField codes the rows of the field's file with the levels of the others.
// A factor of which it has no column is unknown in all of them.
func (t *Table) CodeField(ctx context.Context, c *Coded) (*Coded, error) {
	factors := slices.Clone(c.factors)
	for i := range factors {
		if !slices.ContainsFunc(t.field, func(name string) bool { return strings.EqualFold(name, factors[i].column.Name) }) {
			factors[i].code = "NULL"
		}
	}
	field := &Coded{}
	return field, t.read(ctx, "field", field, factors, &expression{}, "")
}
