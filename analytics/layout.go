//go:build duckdb_arrow && cgo

package analytics

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"hone/loop"
)

// levelSuffix makes the column of a numeric factor's bin, valueSuffix that of the
// values which a factor had while it was numeric.
const (
	levelSuffix = "__level"
	valueSuffix = "__value"
)

// layout is how one space lies in tables. It is a value of the spaces table's
// rows: the same versions in the same order give the same layout.
type layout struct {
	space  string
	schema string
	// versions are all that were seen, by number; current is the newest.
	versions map[int]*loop.Space
	current  *loop.Space
	columns  []column
	metrics  []metric
	derived  []derived
}

// column is one factor over all versions of its space. A factor or level that
// a later version dropped stays, because there are rows with it.
type column struct {
	name string
	// base is the name in tables: another one where a thing of the current version
	// has taken it from a factor that was dropped.
	base    string
	numeric bool
	// valued factors are numeric or once were: their rows have values.
	valued bool
	levels []string
}

// metric is one metric over all versions, a column of the outcomes.
type metric struct{ name, base string }

// labels is the name of the column that holds the level.
func (c *column) labels() string {
	if c.numeric {
		return c.base + levelSuffix
	}
	return c.base
}

// values is the name of the column that holds the values of a valued factor.
func (c *column) values() string {
	if c.numeric {
		return c.base
	}
	return c.base + valueSuffix
}

// with is the layout after one more version: that version's factors and levels
// in its order, then those that only earlier ones had. Its derived labels are
// those of that version alone, since they hold nothing of their own.
func (l *layout) with(s *loop.Space) *layout {
	next := &layout{space: l.space, schema: l.schema, versions: maps.Clone(l.versions), current: s}
	if next.versions == nil {
		next.versions = map[int]*loop.Space{}
	}
	next.versions[s.Version] = s
	for _, c := range s.Columns() {
		merged := column{name: c.Name, numeric: c.Kind == loop.Numeric, valued: c.Kind == loop.Numeric, levels: slices.Clone(c.Levels)}
		if old := l.column(c.Name); old != nil {
			merged.valued = merged.valued || old.valued
			merged.levels = append(merged.levels, missing(c.Levels, old.levels)...)
		}
		next.columns = append(next.columns, merged)
	}
	for _, m := range s.Metrics() {
		next.metrics = append(next.metrics, metric{name: m.Name})
	}
	factors, metrics := len(next.columns), len(next.metrics)
	for _, c := range l.columns {
		if next.column(c.name) == nil {
			next.columns = append(next.columns, c)
		}
	}
	for _, m := range l.metrics {
		if next.metric(m.name) == nil {
			next.metrics = append(next.metrics, m)
		}
	}
	// What the current version has gets its name; what it dropped, one that is left.
	names := newNames()
	names.factors(next.columns[:factors])
	names.metrics(next.metrics[:metrics])
	next.derive(names)
	names.factors(next.columns[factors:])
	names.metrics(next.metrics[metrics:])
	return next
}

// missing are those of the names that are not among the others.
func missing(others, names []string) []string {
	among := make(map[string]bool, len(others))
	for _, name := range others {
		among[name] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return among[name] })
}

// names are those that the columns of a table have taken, in lower case.
type names map[string]bool

func newNames() names {
	n := names{"_reference": true, "_row": true, sequenceColumn: true}
	for _, fields := range tables {
		for _, f := range fields {
			n[f.name] = true
		}
	}
	return n
}

// take gives out a name, or, where one of those that are made from it is taken,
// that name and a number.
func (n names) take(name string, made func(base string) []string) string {
	base := name
	for i := 2; slices.ContainsFunc(made(base), func(s string) bool { return n[strings.ToLower(s)] }); i++ {
		base = name + "_" + strconv.Itoa(i)
	}
	for _, s := range made(base) {
		n[strings.ToLower(s)] = true
	}
	return base
}

func (n names) factors(columns []column) {
	for i := range columns {
		c := &columns[i]
		c.base = n.take(c.name, func(base string) []string {
			as := column{base: base, numeric: c.numeric}
			if c.valued {
				return []string{as.labels(), as.values()}
			}
			return []string{as.labels()}
		})
	}
}

func (n names) metrics(metrics []metric) {
	for i := range metrics {
		metrics[i].base = n.take(metrics[i].name, itself)
	}
}

func itself(base string) []string { return []string{base} }

// column finds a factor as SQL does, without regard to case.
func (l *layout) column(name string) *column {
	for i := range l.columns {
		if strings.EqualFold(l.columns[i].name, name) {
			return &l.columns[i]
		}
	}
	return nil
}

// metric finds a metric likewise.
func (l *layout) metric(name string) *metric {
	for i := range l.metrics {
		if strings.EqualFold(l.metrics[i].name, name) {
			return &l.metrics[i]
		}
	}
	return nil
}

// sameShape reports whether rows of one layout lie in tables of the other.
func (l *layout) sameShape(m *layout) bool {
	return slices.EqualFunc(l.columns, m.columns, func(a, b column) bool {
		return a.name == b.name && a.base == b.base && a.numeric == b.numeric && a.valued == b.valued && slices.Equal(a.levels, b.levels)
	}) && slices.Equal(l.metrics, m.metrics) && slices.Equal(l.derived, m.derived)
}

// codes maps the values of a factor's ENUM to the codes of a version of the
// space; a level that this does not have is unknown to it.
func (l *layout) codes(s *loop.Space, factor int) []loop.Code {
	f := &s.Factors[factor]
	c := l.column(f.Name)
	of := make(map[string]loop.Code, len(f.Levels))
	for i := range f.Levels {
		of[f.Levels[i].Name] = loop.Code(i)
	}
	codes := make([]loop.Code, len(c.levels)+1)
	for i, name := range c.levels {
		code, ok := of[name]
		if !ok {
			code = loop.Unknown
		}
		codes[i] = code
	}
	codes[len(c.levels)] = loop.Absent
	return codes
}
