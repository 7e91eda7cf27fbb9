//go:build duckdb_arrow && cgo

package analytics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hone/loop"
)

// format numbers the tables' shape; a file of another format is built again.
const format = 7

// reservedSchemas are names that DuckDB knows already, as schemas or catalogues.
var reservedSchemas = []string{"main", "temp", "system", "information_schema", "pg_catalog"}

// schemaName names the schema of a new space: as the space is named, unless SQL,
// which does not tell Shapes from shapes, has that name already.
func schemaName(space string, taken map[string]*layout) string {
	free := func(name string) bool {
		for _, l := range taken {
			if strings.EqualFold(l.schema, name) {
				return false
			}
		}
		return !slices.Contains(reservedSchemas, strings.ToLower(name))
	}
	name := space
	for n := 2; !free(name); n++ {
		name = space + "_" + strconv.Itoa(n)
	}
	return name
}

// field is a column beside the factors: its type, and what it is made from,
// where p is the part. An empty source is a column of the part of that name.
type field struct {
	name, kind, source string
	// optional fields are NULL where a part does not have them.
	optional bool
}

// at stands for the time of the change in a field's source.
const at = "$at"

// The columns that say by which change, and when, a row came in: of a part that
// replaces others they are its own.
const (
	sequenceColumn = loop.SequenceColumn
	atColumn       = loop.AtColumn
)

// tables are the fields of the table of each kind of part.
var tables = map[loop.PartKind][]field{
	loop.OutcomeParts: {
		{name: "model_line", kind: "VARCHAR"}, {name: "model_version", kind: "VARCHAR"},
		{name: "task", kind: "VARCHAR", optional: true}, {name: "eval_set", kind: "VARCHAR", optional: true},
		{name: "run", kind: "VARCHAR", optional: true}, {name: "example", kind: "VARCHAR"},
		{name: "group", kind: "VARCHAR"}, {name: "sample", kind: "VARCHAR", source: "nullif(p.sample, '')", optional: true},
		{name: "origin", kind: "VARCHAR"}, {name: "source", kind: "VARCHAR", source: "nullif(p.source, '')"},
		{name: "correct", kind: "BOOLEAN"},
		// Parts hold losses in micro-units. Divided here and rounded back in
		// evidence they are the same integers, for no loss exceeds MaxLoss.
		{name: "loss", kind: "DOUBLE", source: "p.loss::DOUBLE / 1000000"},
		{name: "importance_weight", kind: "DOUBLE", optional: true}, {name: "uri", kind: "VARCHAR", optional: true},
		{name: "posted_at", kind: "TIMESTAMP", source: at},
	},
	loop.SampleParts: {
		{name: "digest", kind: "VARCHAR"}, {name: "campaign", kind: "VARCHAR"}, {name: "round", kind: "INTEGER"},
		{name: "component", kind: "INTEGER"}, {name: "index", kind: "UBIGINT"}, {name: "attempt", kind: "INTEGER"},
		{name: "seed", kind: "UBIGINT"}, {name: "importance_weight", kind: "DOUBLE"},
		{name: "split", kind: "VARCHAR", source: "p.domain"}, {name: "worker", kind: "VARCHAR"},
		{name: "generator", kind: "VARCHAR"}, {name: "committed_at", kind: "TIMESTAMP", source: at},
		{name: "pack", kind: "VARCHAR"}, {name: "offset", kind: "BIGINT"}, {name: "length", kind: "BIGINT"},
		{name: "millis", kind: "DOUBLE", optional: true},
		{name: "scores", kind: "JSON", source: "try_cast(p.scores AS JSON)", optional: true},
		{name: "example", kind: "VARCHAR", optional: true}, {name: "origin", kind: "VARCHAR", optional: true},
	},
	loop.VerdictParts: {
		{name: "campaign", kind: "VARCHAR"}, {name: "round", kind: "INTEGER"}, {name: "component", kind: "INTEGER"},
		{name: "index", kind: "UBIGINT"}, {name: "attempt", kind: "INTEGER"},
		{name: "split", kind: "VARCHAR", source: "p.domain"}, {name: "worker", kind: "VARCHAR"},
		{name: "generator", kind: "VARCHAR"}, {name: "gate", kind: "VARCHAR"}, {name: "reason", kind: "VARCHAR"},
		{name: "scores", kind: "JSON", source: "try_cast(p.scores AS JSON)", optional: true},
		{name: "judged_at", kind: "TIMESTAMP", source: at},
	},
}

// kinds are the keys of tables, in a fixed order.
var kinds = []loop.PartKind{loop.OutcomeParts, loop.SampleParts, loop.VerdictParts}

// common are the tables that belong to no space.
var common = []string{
	`CREATE TABLE _view(format INTEGER, cluster VARCHAR, sequence UBIGINT, whole UBIGINT)`,
	`CREATE TABLE spaces(space VARCHAR, version INTEGER, schema VARCHAR, document JSON, sequence UBIGINT)`,
	`CREATE TABLE parts(reference UBIGINT, kind VARCHAR, space VARCHAR, key VARCHAR, digest VARCHAR, rows BIGINT, added_at TIMESTAMP, _first UBIGINT)`,
	`CREATE TABLE rounds(campaign VARCHAR, round INTEGER, space VARCHAR, space_version INTEGER, policy VARCHAR, policy_version INTEGER,
		strategy VARCHAR, evidence VARCHAR, evidence_key VARCHAR, evidence_sequence UBIGINT, evidence_rows BIGINT, seed UBIGINT,
		step DOUBLE, kl DOUBLE, failure_rate DOUBLE, decided_at TIMESTAMP)`,
	`CREATE TABLE components(campaign VARCHAR, round INTEGER, split VARCHAR, component INTEGER, slice VARCHAR, share DOUBLE,
		quota UBIGINT, source VARCHAR, rows BIGINT, failures BIGINT, rate DOUBLE, lift DOUBLE, q DOUBLE, sentence VARCHAR,
		fixed MAP(VARCHAR, VARCHAR), levels MAP(VARCHAR, VARCHAR[]))`,
	`CREATE TABLE evidence_models(campaign VARCHAR, round INTEGER, model_line VARCHAR, model_version VARCHAR, age UTINYINT,
		eval_set VARCHAR, task VARCHAR, metric VARCHAR)`,
}

// create is the statement that makes the table of one kind of part.
func (l *layout) create(kind loop.PartKind, table string) string {
	var columns []string
	for i := range l.columns {
		c := &l.columns[i]
		if c.numeric {
			columns = append(columns, ident(c.values())+" DOUBLE")
		}
		columns = append(columns, ident(c.labels())+" "+enum(append(slices.Clone(c.levels), loop.AbsentName)))
		if c.valued && !c.numeric {
			columns = append(columns, ident(c.values())+" DOUBLE")
		}
	}
	for i := range l.derived {
		columns = append(columns, l.derived[i].definition)
	}
	if kind == loop.OutcomeParts {
		for _, m := range l.metrics {
			columns = append(columns, ident(m.base)+" DOUBLE")
		}
	}
	for _, f := range tables[kind] {
		columns = append(columns, ident(f.name)+" "+f.kind)
	}
	columns = append(columns, "_reference UBIGINT", "_row UINTEGER", sequenceColumn+" UBIGINT")
	return fmt.Sprintf("CREATE TABLE %s(%s)", l.table(table), strings.Join(columns, ", "))
}

func enum(levels []string) string { return "ENUM(" + literals(levels) + ")" }

func literals(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = literal(text)
	}
	return strings.Join(all, ", ")
}

// move is the statement that copies the rows of a table from one layout into
// that of the next, where it is made under another name. What the next has and
// the old one had not is unknown of them.
func (l *layout) move(kind loop.PartKind, next *layout, table string) string {
	var m mapping
	for i := range next.columns {
		c := &next.columns[i]
		old := l.column(c.name)
		if old == nil {
			continue
		}
		m.add(c.labels(), ident(old.labels())+"::VARCHAR")
		if c.valued && old.valued {
			m.add(c.values(), ident(old.values()))
		}
	}
	if kind == loop.OutcomeParts {
		for _, n := range next.metrics {
			if old := l.metric(n.name); old != nil {
				m.add(n.base, ident(old.base))
			}
		}
	}
	for _, f := range tables[kind] {
		m.add(f.name, ident(f.name))
	}
	m.add("_reference", "_reference")
	m.add("_row", "_row")
	m.add(sequenceColumn, sequenceColumn)
	return fmt.Sprintf("INSERT INTO %s(%s) SELECT %s FROM %s", next.table(table), m.columns(), m.expressions(), l.table(string(kind)))
}

// mapping is which columns of a table are filled, and from which expressions.
type mapping struct{ into, from []string }

func (m *mapping) add(column, expression string) {
	m.into, m.from = append(m.into, ident(column)), append(m.from, expression)
}

func (m *mapping) columns() string     { return strings.Join(m.into, ", ") }
func (m *mapping) expressions() string { return strings.Join(m.from, ", ") }

// lineage is the statement that makes the view of that name (I10).
func (l *layout) lineage() string {
	var inSlice strings.Builder
	for _, c := range l.columns {
		fmt.Fprintf(&inSlice, "\n\tAND (c.levels[%s] IS NULL OR list_contains(c.levels[%s], o.%s::VARCHAR))", literal(c.name), literal(c.name), ident(c.labels()))
	}
	scored := "w.m = '' OR w.m = " + literal(loop.MetricLoss) + " AND o.loss IS NOT NULL"
	for _, m := range l.metrics {
		scored += " OR w.m = " + literal(m.name) + " AND o." + ident(m.base) + " IS NOT NULL"
	}
	return fmt.Sprintf(`CREATE VIEW %s AS SELECT
	s.digest, s.campaign, s.round, s.split, s.component, s."index", s.attempt, s.committed_at,
	r.space_version, r.policy, r.policy_version, r.strategy, r.evidence, r.evidence_key, r.evidence_sequence, r.decided_at,
	c.slice, c.share, c.sentence,
	o.model_line, o.model_version, o.age, o.task, o.eval_set, o.run, o.example, o."group", o.origin, o.source, o.correct, o.loss, o.posted_at
FROM %s s
JOIN main.rounds r ON r.campaign = s.campaign AND r.round = s.round AND r.space = %s
JOIN main.components c ON c.campaign = s.campaign AND c.round = s.round AND c.split = s.split AND c.component = s.component
LEFT JOIN (
	SELECT m.campaign AS _campaign, m.round AS _round, m.age, o.*
	FROM (
		SELECT campaign, round, model_line, model_version, min(age) AS age, list({e: eval_set, t: task, m: metric}) AS wanted
		FROM main.evidence_models GROUP BY ALL
	) m
	JOIN %s o ON o.model_line = m.model_line AND o.model_version = m.model_version
	WHERE o.source IN ('target', 'mixture', 'probe') AND len(list_filter(m.wanted, lambda w:
		(w.e = '' OR o.eval_set = w.e OR starts_with(o.eval_set, w.e || '@')) AND (w.t = '' OR o.task = w.t) AND (%s))) > 0
) o ON o._campaign = r.campaign AND o._round = r.round AND o._sequence <= r.evidence_sequence%s`,
		l.table("lineage"), l.table("samples"), literal(l.space), l.table("outcomes"), scored, inSlice.String())
}

// table is the qualified name of a table of the space.
func (l *layout) table(name string) string { return ident(l.schema) + "." + ident(name) }

// ident quotes an identifier, literal a string.
func ident(name string) string   { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func literal(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }
