//go:build duckdb_arrow && cgo

package analytics

import (
	"bytes"
	"fmt"
	"strings"

	"hone/loop"
)

// derived is a derived label of the current version. Tables hold nothing of it:
// its column is computed whenever it is read, so that old rows have it, too, and
// a definition that changes leaves none behind.
type derived struct{ name, base, definition string }

// derive adds the derived labels of the current version.
func (l *layout) derive(n names) {
	left := maxLabels
	for i := range l.current.Derived {
		d := &l.current.Derived[i]
		label := "NULL" // unknown is never wrong
		if left -= l.weight(d); left >= 0 {
			label = l.label(d)
		}
		base := n.take(d.Name, itself)
		l.derived = append(l.derived, derived{name: d.Name, base: base,
			definition: fmt.Sprintf("%s %s GENERATED ALWAYS AS (TRY_CAST(%s AS %s)) VIRTUAL", ident(base), enum(d.Levels), label, enum(d.Levels))})
	}
}

// maxLabels bounds the SQL of a space's labels, in bytes. A document of an
// ordinary space makes some kilobytes; one that was made to do harm must not keep
// the view from opening.
const maxLabels = 16 << 20

// weight is about how long a label's expression is, in bytes.
func (l *layout) weight(d *loop.Derived) int {
	bytes := 0
	for _, r := range d.Rules {
		for _, set := range r.When {
			bytes += copies * (128 + len(l.column(l.current.Factors[set.Factor].Name).levels))
		}
	}
	return bytes
}

// copies is how often label writes each condition.
const copies = 5

// label is loop.Space.Derive as an expression of SQL, whose NULL says of a set
// what Unknown says of a code.
//
// As a rule everything is known, and the first rule that holds gives the level.
// Where it is not known of some rule before that one whether it holds, the label
// is what all rules say which may hold, up to the first that does. If they say
// several things these are joined into a text that is no level, and so NULL.
func (l *layout) label(d *loop.Derived) string {
	var first strings.Builder
	var levels, may, must []string
	for _, r := range d.Rules {
		sets := make([]string, len(r.When))
		for i, set := range r.When {
			sets[i] = "(" + l.holds(set) + ")"
		}
		holds, level := strings.Join(sets, " AND "), literal(d.Levels[r.Level])
		fmt.Fprintf(&first, " WHEN %s THEN %s WHEN (%s) IS NULL THEN NULL", holds, level, holds)
		levels, may, must = append(levels, level), append(may, "("+holds+") IS DISTINCT FROM false"), append(must, "("+holds+") IS NOT DISTINCT FROM true")
	}
	otherwise := literal(d.Levels[d.Otherwise])
	all := func(of []string, last string) string { return "[" + strings.Join(append(of, last), ", ") + "]" }
	upTo := "[:list_position(" + all(must, "true") + ", true)]"
	return fmt.Sprintf("coalesce(CASE%s ELSE %s END, array_to_string(list_distinct(list_where(%s%s, %s%s)), chr(10)))",
		first.String(), otherwise, all(levels, otherwise), upTo, all(may, "true"), upTo)
}

// holds says whether a factor takes one of a set's levels: NULL where that is
// unknown, or a level that the current version does not have. It looks the level
// up among bits, since to compare it with thousands of names takes as long.
func (l *layout) holds(set loop.LevelSet) string {
	f := &l.current.Factors[set.Factor]
	c := l.column(f.Name)
	bits := bytes.Repeat([]byte{'0'}, len(c.levels)+1) // and absent
	for _, level := range set.Levels {
		bits[level] = '1' // the current version's levels are the column's first
	}
	code := "enum_code(" + ident(c.labels()) + ")"
	holds := fmt.Sprintf("get_bit('%s'::BIT, %s) = 1", bits, code)
	if n := len(f.Levels); n < len(c.levels) {
		return fmt.Sprintf("CASE WHEN %s NOT BETWEEN %d AND %d THEN %s END", code, n, len(c.levels)-1, holds)
	}
	return holds
}
