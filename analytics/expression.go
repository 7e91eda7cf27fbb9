//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hone/loop"
	"hone/spec"
)

// expression is one that a user gave over the columns of a table.
type expression struct {
	flag string // the field that refusals name
	text string
	kind string // DuckDB's name of its type
	// columns that it reads, as the table spells them.
	columns []string
	known   []string
}

// expression refuses what is not one expression over the table's columns. It is
// the user's own process, so nothing else is forbidden.
func (t *Table) expression(ctx context.Context, flag, text string) (expression, error) {
	e := expression{flag: flag, text: text, known: t.names()}
	if err := e.single(); err != nil {
		return e, err
	}
	refs, err := t.references(ctx, text)
	if err != nil {
		return e, e.failed(ctx, err)
	}
	for _, ref := range refs {
		if i := slices.IndexFunc(e.known, func(name string) bool { return strings.EqualFold(name, ref) }); i >= 0 && !slices.Contains(e.columns, e.known[i]) {
			e.columns = append(e.columns, e.known[i])
		}
	}
	var name, null, key, def, extra any
	err = t.conn.QueryRowContext(ctx, "DESCRIBE SELECT ("+text+"\n) AS e FROM evals").Scan(&name, &e.kind, &null, &key, &def, &extra)
	if err == nil {
		return e, nil
	}
	for _, ref := range refs {
		if !slices.ContainsFunc(e.known, func(name string) bool { return strings.EqualFold(name, ref) }) {
			refusal := e.refuse(fmt.Sprintf("there is no column %q", ref))
			if near := spec.Suggest(ref, e.known); strings.HasPrefix(near, "did you mean") {
				refusal.Remedy = near + " T" + refusal.Remedy[1:]
			}
			return e, refusal
		}
	}
	return e, e.failed(ctx, err)
}

// single refuses several statements, and what would end the parentheses around
// the expression.
func (e *expression) single() error {
	depth, empty := 0, true
	for i := 0; i < len(e.text); {
		n, blank := token(e.text[i:])
		if !blank {
			empty = false
			switch e.text[i] {
			case ';':
				return e.refuse("several statements; one expression is expected, without a semicolon")
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth < 0 {
				return e.refuse("a parenthesis closes that was not opened")
			}
		}
		i += n
	}
	switch {
	case strings.ContainsRune(e.text, 0):
		return e.refuse("it is not text")
	case empty:
		return e.refuse("it is empty")
	case depth > 0:
		return e.refuse("a parenthesis is not closed")
	}
	return nil
}

// failed is the error of an expression that DuckDB does not compute. That somebody
// ended it is no fault of the expression.
func (e *expression) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.refuse(plain(err).Error())
}

func (e *expression) refuse(problem string) *loop.Error {
	return &loop.Error{Field: "--" + e.flag, Problem: problem, Remedy: "the columns are " + list(e.known)}
}

// list names some things, not all of very many.
func list(names []string) string {
	const most = 40
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// references are the names of columns in an expression, as it spells them.
func (t *Table) references(ctx context.Context, text string) ([]string, error) {
	var tree string
	if err := t.conn.QueryRowContext(ctx, "SELECT json_serialize_sql("+literal("SELECT ("+text+"\n)")+"::VARCHAR)::VARCHAR").Scan(&tree); err != nil {
		return nil, err
	}
	var root any
	if err := json.Unmarshal([]byte(tree), &root); err != nil {
		return nil, err
	}
	if m, ok := root.(map[string]any); ok && m["error"] == true {
		return nil, fmt.Errorf("%v", m["error_message"])
	}
	var names []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			if path, ok := v["column_names"].([]any); ok && len(path) > 0 {
				// Of evals.correct the column stands last, of scenario.light first.
				for _, name := range []any{path[0], path[len(path)-1]} {
					if s, ok := name.(string); ok && !slices.Contains(names, s) {
						names = append(names, s)
					}
				}
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(v[key])
			}
		}
	}
	walk(root)
	return names, nil
}

func (t *Table) names() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}
