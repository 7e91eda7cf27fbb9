package loop

import (
	"regexp"
	"strings"
)

// Column is one factor as a column of a table.
type Column struct {
	Name   string
	Factor int
	// Kind is Categorical, Ordinal or Numeric: text for the first two, for a
	// numeric factor the concrete value.
	Kind Kind
	// Levels are the names that the column may take, in order.
	Levels []string
}

// Columns names one column per factor, in factor order. It is the one source of
// factor column names, for parts, tables, and files that users post.
func (s *Space) Columns() []Column {
	columns := make([]Column, len(s.Factors))
	for i, f := range s.Factors {
		names := make([]string, len(f.Levels))
		for l, level := range f.Levels {
			names[l] = level.Name
		}
		columns[i] = Column{Name: f.Name, Factor: i, Kind: f.Kind, Levels: names}
	}
	return columns
}

// reserved are the column names that tables already use beside the factors.
var reserved = map[string]bool{
	"digest": true, "campaign": true, "round": true, "component": true, "domain": true, "index": true,
	"attempt": true, "seed": true, "importance_weight": true, "split": true, "worker": true,
	"generator": true, "committed_at": true, "example": true, "group": true, "sample": true,
	"model_line": true, "model_version": true, "task": true, "metric": true, "eval_set": true,
	"origin": true, "run": true, "correct": true, "loss": true, "source": true, "sequence": true,
	"pack": true, "offset": true, "length": true, "posted_at": true, "uri": true, "millis": true, "scores": true,
	"gate": true, "reason": true, "judged_at": true,
}

// levelSuffix makes the name of the column that holds a numeric factor's level
// beside the column of its value.
const levelSuffix = "__level"

var columnPattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)

// columns are the names that the columns of a space's tables have so far, in
// lower case, each with the field that gave it. Factors, derived labels and
// metrics share them.
type columns map[string]string

// add refuses a name that cannot be, or already is, that of a column.
func (c columns) add(field, what, name string) error {
	// SQL does not tell Light from light, so two such columns could not stand in
	// one table.
	lower := strings.ToLower(name)
	switch {
	case !columnPattern.MatchString(name):
		return refuse(field+".name", "%q cannot be the name of a %s", name, what).
			remedy("a letter, then up to 62 letters, digits or '_': it becomes a column")
	case strings.HasSuffix(lower, levelSuffix):
		return refuse(field+".name", "%q ends as the level columns of numeric factors do", name).remedy("choose another name")
	case reserved[lower]:
		return refuse(field+".name", "%q is the name of a column that every table has", name).remedy("choose another name")
	case c[lower] != "":
		return refuse(field+".name", "%q is already the name of %s", name, c[lower]).remedy("upper and lower case are not told apart")
	}
	c[lower] = field
	return nil
}
