//go:build duckdb_arrow && cgo

package analytics

import (
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
	for i := range l.current.Derived {
		d := &l.current.Derived[i]
		base := n.take(d.Name, itself)
		l.derived = append(l.derived, derived{name: d.Name, base: base,
			definition: fmt.Sprintf("%s %s GENERATED ALWAYS AS (%s) VIRTUAL", ident(base), enum(d.Levels), l.label(d))})
	}
}

// label is loop.Space.Derive as an expression of SQL, whose NULL says of a set
// what Unknown says of a code: the first rule that holds gives the level, and
// one of which it is not known whether it holds leaves the label unknown.
func (l *layout) label(d *loop.Derived) string {
	var b strings.Builder
	b.WriteString("CASE")
	for _, r := range d.Rules {
		holds := make([]string, len(r.When))
		for i, set := range r.When {
			holds[i] = l.holds(set)
		}
		all := strings.Join(append(holds, "true"), " AND ")
		fmt.Fprintf(&b, " WHEN %s THEN %s WHEN (%s) IS NULL THEN NULL", all, literal(d.Levels[r.Level]), all)
	}
	fmt.Fprintf(&b, " WHEN true THEN %s END", literal(d.Levels[d.Otherwise]))
	return b.String()
}

// holds says whether a factor takes one of a set's levels: NULL where that is
// unknown, or a level that the current version does not have.
func (l *layout) holds(set loop.LevelSet) string {
	f := &l.current.Factors[set.Factor]
	c := l.column(f.Name)
	levels := make([]string, len(set.Levels))
	for i, level := range set.Levels {
		levels[i] = f.Levels[level].Name
	}
	column := ident(c.labels())
	in := column + " IN (" + literals(levels) + ")"
	if dropped := c.levels[len(f.Levels):]; len(dropped) > 0 {
		return fmt.Sprintf("CASE WHEN %s NOT IN (%s) THEN %s END", column, literals(dropped), in)
	}
	return "(" + in + ")"
}
