package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hone/loop"
)

// Error is one thing that is wrong in a document, and where.
type Error struct {
	// Line and Column count from 1; a column is a character, not a byte.
	Line, Column int
	// Refusal says which field, what is wrong and what to do about it.
	Refusal *loop.Error
}

// Error writes "line:column: field: problem (remedy)".
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Refusal.Error()) }

// Unwrap returns the refusal, so that errors.As finds a *loop.Error.
func (e *Error) Unwrap() error { return e.Refusal }

// Errors is everything that is wrong in a document, in its order. It has at
// least one entry and at most maxErrors.
type Errors []*Error

// maxErrors is where reporting stops: who makes more mistakes than this has
// posted the wrong file.
const maxErrors = 20

// Error writes one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// refusals collects what is wrong while a document is read.
type refusals struct{ list Errors }

func (r *refusals) add(n *node, refusal *loop.Error) {
	if !r.full() {
		r.list = append(r.list, located(n, refusal))
	}
}

// full reports that nothing more will be reported, so that nobody looks for the
// nearest word to each of a million wrong ones.
func (r *refusals) full() bool { return len(r.list) >= maxErrors }

// located is the error at a node. What it quotes is cut: a word of the document
// may be megabytes long.
func located(n *node, refusal *loop.Error) *Error {
	cut := *refusal
	cut.Field, cut.Problem = clip(cut.Field, 200), clip(cut.Problem, 400)
	return &Error{Line: n.line, Column: n.column, Refusal: &cut}
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

func (r *refusals) refuse(n *node, field, remedy, format string, args ...any) {
	r.add(n, &loop.Error{Field: field, Problem: fmt.Sprintf(format, args...), Remedy: remedy})
}

// err returns the errors in the order of the document, or nil.
func (r *refusals) err() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortStableFunc(r.list, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return r.list
}

// placed gives a refusal of package loop its place in the document.
func placed(err error, places map[string]*node, root *node) error {
	if err == nil {
		return nil
	}
	refusal, ok := errors.AsType[*loop.Error](err)
	if !ok {
		return err
	}
	n := place(places, refusal.Field, root)
	return Errors{located(n, refusal)}
}

// place finds the node of a field path, or of the nearest thing around it that
// the document holds: a field that is missing is reported where it should stand.
func place(places map[string]*node, field string, root *node) *node {
	for field != "" {
		if n := places[field]; n != nil {
			return n
		}
		cut := strings.LastIndexAny(field, ".[")
		if cut < 0 {
			break
		}
		field = field[:cut]
	}
	return root
}

// Suggest is a remedy that names the known word nearest to what was written, or
// else the words that are known: `did you mean "low"?`.
func Suggest(got string, known []string) string {
	best, distance := "", len(got)/3+2
	for _, k := range known {
		if d := edits(got, k); d < distance {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %q?", best)
	case len(known) == 0:
		return ""
	case len(known) > 16:
		return "known are " + strings.Join(known[:16], ", ") + ", ..."
	default:
		return "known are " + strings.Join(known, ", ")
	}
}

// edits is the number of letters to insert, delete or replace between two words.
func edits(a, b string) int {
	if len(a) > 128 || len(b) > 128 {
		return 128
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
