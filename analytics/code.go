//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"hone/loop"
	"hone/spec"
)

// Selection says which columns of a table become factors, and what an error is.
type Selection struct {
	// Error is an expression: a truth value, 0 or 1, or a loss of 0 or more. Empty:
	// no row has one.
	Error string
	// Group names the column whose value rows that are not independent share.
	Group string
	// Factors are the columns to take, Ignore those not to; empty Factors: all that
	// can be.
	Factors, Ignore []string
}

// Coded are the rows of a table, with levels for values.
type Coded struct {
	loop.Rows
	// Columns are those of the table that the factors are.
	Columns []Column
	// Left are the columns that are no factors, in the table's order, and why.
	Left []LeftOut
	// Unknown is how many rows there are besides, of which the error is not known.
	Unknown int

	factors []coded
}

// Code makes factors of columns and codes the rows. It refuses an expression or
// a name that the table does not bear out, naming the flag.
func (t *Table) Code(ctx context.Context, s Selection) (*Coded, error) {
	c := &Coded{}
	var e expression
	var err error
	if s.Error != "" {
		if e, err = t.expression(ctx, "error", s.Error); err != nil {
			return nil, err
		}
		if err := t.checkError(ctx, &e); err != nil {
			return nil, err
		}
	}
	if s.Group, err = t.column("group", s.Group); err != nil {
		return nil, err
	}
	for _, flag := range []struct {
		name  string
		names []string
	}{{"factors", s.Factors}, {"ignore", s.Ignore}} {
		for i, name := range flag.names {
			if flag.names[i], err = t.column(flag.name, name); err != nil {
				return nil, err
			}
		}
	}
	var columns []Column
	relation, all := "evals", t.Columns
	if t.pooled != nil {
		relation, all = "pooled", t.pooled
	}
	for _, column := range all {
		asked := slices.Contains(s.Factors, column.Name)
		switch {
		case len(s.Factors) > 0 && !asked, slices.Contains(s.Ignore, column.Name):
		case slices.Contains(e.columns, column.Name):
			c.Left = append(c.Left, LeftOut{column.Name, "--error uses it"})
		case column.Name == s.Group:
			c.Left = append(c.Left, LeftOut{column.Name, "--group uses it"})
		default:
			columns = append(columns, column)
		}
	}
	factors, left, err := t.factors(ctx, relation, columns, s.Factors)
	if err != nil {
		return nil, err
	}
	c.Left, c.factors = append(c.Left, left...), factors
	if err := t.read(ctx, "evals", c, factors, &e, s.Group); err != nil {
		return nil, err
	}
	return c, nil
}

// column finds a column by the name that a flag gives; SQL does not tell upper
// from lower case.
func (t *Table) column(flag, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	known := t.names()
	if slices.Contains(known, name) {
		return name, nil
	}
	if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) }); i >= 0 {
		return known[i], nil
	}
	e := expression{flag: flag, known: known}
	refusal := e.refuse(fmt.Sprintf("there is no column %q", name))
	if near := spec.Suggest(name, known); strings.HasPrefix(near, "did you mean") {
		refusal.Remedy = near + " T" + refusal.Remedy[1:]
	}
	return "", refusal
}

// maxLoss is the greatest loss of a row: the squares of any number of them have a
// sum.
const maxLoss = 1e100

// checkError refuses an error that is neither a truth value nor a number of 0 or
// more, and makes its text a number.
func (t *Table) checkError(ctx context.Context, e *expression) error {
	switch s := sortOf(e.kind); {
	case e.kind == "BOOLEAN":
		e.text = "(" + e.text + "\n)::BOOLEAN::INT::DOUBLE"
		return nil
	case s == integral || s == real:
		e.text = "(" + e.text + "\n)::DOUBLE"
	default:
		return e.refuse(fmt.Sprintf("it gives %s; a condition such as 'correct = false', 0 or 1, or a loss is expected", strings.ToLower(e.kind)))
	}
	var low, high *float64
	if err := t.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT min(%s), max(%[1]s) FILTER (isfinite(%[1]s)) FROM evals", e.text)).Scan(&low, &high); err != nil {
		return e.failed(ctx, err)
	}
	switch {
	case low != nil && *low < 0:
		return e.refuse(fmt.Sprintf("it gives %v; a loss is 0 or more", *low))
	case high != nil && *high > maxLoss:
		return e.refuse(fmt.Sprintf("it gives %v; a loss is at most %v", *high, maxLoss))
	}
	return nil
}

// factors makes factors of columns, and names those that make none.
func (t *Table) factors(ctx context.Context, relation string, columns []Column, asked []string) ([]coded, []LeftOut, error) {
	if len(columns) == 0 {
		return nil, nil, nil
	}
	profiles, err := t.profiles(ctx, relation, columns)
	if err != nil {
		return nil, nil, err
	}
	var factors []coded
	var left []LeftOut
	for i := range profiles {
		p := &profiles[i]
		c, reason, err := t.factor(ctx, relation, p, slices.Contains(asked, p.Name))
		if err != nil {
			return nil, nil, err
		}
		if reason == "" && len(factors) == loop.MaxFactors {
			reason = fmt.Sprintf("there are %d factors already", loop.MaxFactors)
		}
		if reason != "" {
			left = append(left, LeftOut{p.Name, reason})
			continue
		}
		if c.enum != "" {
			name := fmt.Sprintf("_levels%d", len(factors))
			if _, err := t.conn.ExecContext(ctx, "DROP TYPE IF EXISTS "+name); err != nil {
				return nil, nil, err
			}
			if _, err := t.conn.ExecContext(ctx, "CREATE TYPE "+name+" AS "+c.enum); err != nil {
				return nil, nil, fmt.Errorf("levels of %s: %w", p.Name, err)
			}
			c.code = strings.Replace(c.code, "%s", name, 1)
		}
		factors = append(factors, c)
	}
	return factors, left, nil
}

// read fills in the rows. Rows whose error is not known are counted and left.
func (t *Table) read(ctx context.Context, relation string, c *Coded, factors []coded, e *expression, group string) error {
	c.Space = &loop.Space{Name: "rows"}
	c.Codes = make([][]loop.Code, len(factors))
	var query strings.Builder
	query.WriteString("SELECT ")
	if e.text == "" {
		query.WriteString("0::DOUBLE")
	} else {
		query.WriteString(e.text)
	}
	if group == "" {
		query.WriteString(", NULL::VARCHAR")
	} else {
		query.WriteString(", " + ident(group) + "::VARCHAR")
		c.Group = []uint32{}
	}
	for _, f := range factors {
		c.Columns = append(c.Columns, f.column)
		c.Space.Factors = append(c.Space.Factors, f.factor)
		query.WriteString(", (" + f.code + ")::USMALLINT")
	}
	query.WriteString(" FROM " + relation)
	groups := make(map[string]uint32)
	alone := uint32(0)
	err := readArrow(ctx, t.conn, query.String(), nil, func(b arrow.RecordBatch) error {
		errors, ok := b.Column(0).(*array.Float64)
		names, ok2 := b.Column(1).(*array.String)
		if !ok || !ok2 {
			return fmt.Errorf("columns of %s and %s", b.Column(0).DataType(), b.Column(1).DataType())
		}
		var kept []int
		for i := range errors.Len() {
			v := errors.Value(i)
			if errors.IsNull(i) || math.IsNaN(v) || math.IsInf(v, 0) {
				c.Unknown++
				continue
			}
			kept = append(kept, i)
			c.Error = append(c.Error, v)
			if group == "" {
				continue
			}
			// A row without a group stands for itself.
			key := "\x00" + fmt.Sprint(alone)
			if names.IsNull(i) {
				alone++
			} else {
				key = names.Value(i)
			}
			n, known := groups[key]
			if !known {
				n = uint32(len(groups))
				groups[strings.Clone(key)] = n
			}
			c.Group = append(c.Group, n)
		}
		for f := range factors {
			codes, ok := b.Column(2 + f).(*array.Uint16)
			if !ok {
				return fmt.Errorf("codes of %s", b.Column(2+f).DataType())
			}
			column := c.Codes[f]
			for _, i := range kept {
				if codes.IsNull(i) {
					column = append(column, loop.Unknown)
				} else {
					column = append(column, loop.Code(codes.Value(i)))
				}
			}
			c.Codes[f] = column
		}
		return nil
	})
	if err != nil {
		if e.text != "" {
			return e.failed(ctx, err)
		}
		return fmt.Errorf("read: %w", err)
	}
	return nil
}
