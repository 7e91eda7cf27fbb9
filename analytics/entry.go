//go:build duckdb_arrow && cgo

package analytics

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"hone/loop"
)

// entry is one thing to learn from: whose outcomes, and what they are judged by.
type entry struct {
	learned loop.Learned
	models  []loop.EvidenceModel
	// value is the column of what was measured, and metric what the space says of it:
	// nil where outcomes are judged by what was posted as correct.
	value  string
	metric *loop.Metric
}

// evidenceSources are the sources that count, by the number that they have in
// queries.
var evidenceSources = []loop.Source{loop.SourceTarget, loop.SourceMixture, loop.SourceProbe}

func (r *evidenceReader) entry(from *loop.LearnFrom) (entry, error) {
	x := entry{value: "loss", learned: loop.Learned{ModelLine: from.ModelLine, EvalSet: from.EvalSet, Task: from.Task, Metric: from.Metric,
		Importance: cmp.Or(from.Importance, 1)}}
	switch from.Metric {
	case "":
		return x, nil
	case loop.MetricLoss:
		x.metric = &loop.Metric{Name: loop.MetricLoss, Better: loop.Lower}
	default:
		metrics := r.space.Metrics()
		at := slices.IndexFunc(metrics, func(m loop.Metric) bool { return m.Name == from.Metric })
		if at < 0 {
			return x, loop.NotFound("metric", "version %d of space %q has no metric %q", r.space.Version, r.space.Name, from.Metric)
		}
		x.metric, x.value = &metrics[at], ident(r.layout.metric(from.Metric).base)
	}
	x.learned.Unit, x.learned.Better = x.metric.Unit, x.metric.Better
	return x, nil
}

// question is SQL on its way, with its arguments in the order of their question
// marks.
type question struct {
	strings.Builder
	args []any
}

func (s *question) add(text string, args ...any) {
	s.WriteString(text)
	s.args = append(s.args, args...)
}

// outcomes begins a statement with the table o of the entry's outcomes: those
// columns, _age, and _value where there is a metric.
func (x *entry) outcomes(r *evidenceReader, columns string) *question {
	s := &question{}
	s.add("WITH o AS (SELECT * FROM (SELECT " + columns)
	if x.metric != nil {
		// Bounded, so that sums are.
		s.add(", greatest(least("+x.value+", ?), ?) AS _value", loop.MaxMeasured, -loop.MaxMeasured)
	}
	s.add(", CASE")
	for _, m := range x.models {
		s.add(" WHEN model_line = ? AND model_version = ?", m.ModelLine, m.Version)
		if m.EvalSet != "" {
			s.add(" AND (eval_set = ? OR starts_with(eval_set, ?))", m.EvalSet, m.EvalSet+"@")
		}
		if m.Task != "" {
			s.add(" AND task = ?", m.Task)
		}
		s.add(fmt.Sprintf(" THEN %d", m.Age))
	}
	s.add(" END::UTINYINT AS _age FROM " + r.layout.table("outcomes") + " WHERE source IN ('target', 'mixture', 'probe')")
	if x.metric != nil {
		s.add(" AND " + x.value + " IS NOT NULL")
	}
	s.add(") WHERE _age IS NOT NULL)\n")
	return s
}

// grade finds, for a metric without a threshold, which values are the best and
// which as bad as can be: see loop.Learned.
func (x *entry) grade(ctx context.Context, r *evidenceReader) error {
	if x.metric == nil || x.metric.Fail != nil || len(x.models) == 0 {
		return nil
	}
	best, worse, quantile := "least(0, quantile_disc(_value, 0.01))", ">", "0.99"
	if x.metric.Better == loop.Higher {
		best, worse, quantile = "quantile_disc(_value, 0.99)", "<", "0.01"
	}
	s := x.outcomes(r, "1")
	s.add(`, n AS (SELECT _value FROM o WHERE _age = (SELECT min(_age) FROM o)),
	b AS (SELECT ` + best + ` AS _best FROM n)
SELECT any_value(_best), quantile_disc(_value, ` + quantile + `) FILTER (_value ` + worse + ` _best) FROM n, b`)
	var lowest, highest sql.NullFloat64
	if err := r.conn.QueryRowContext(ctx, s.String(), s.args...).Scan(&lowest, &highest); err != nil {
		return err
	}
	if lowest.Valid {
		x.learned.Best, x.learned.Cap = lowest.Float64, lowest.Float64
	}
	if highest.Valid {
		x.learned.Cap = highest.Float64
	}
	return nil
}

// lines asks for the evidence of the entry. It groups by the ENUM columns as they
// are: DuckDB groups by their codes, and Arrow hands the codes out.
func (x *entry) lines(r *evidenceReader) *question {
	var keys strings.Builder
	for f := range r.space.Factors {
		keys.WriteString(ident(r.layout.column(r.space.Factors[f].Name).labels()) + ", ")
	}
	s := x.outcomes(r, keys.String()+fmt.Sprintf(`"group" AS _name, loss, NOT correct AS _wrong,
	CASE source WHEN 'target' THEN 0 WHEN 'mixture' THEN 1 ELSE 2 END::UTINYINT AS _source, (origin = 'synthetic')::UTINYINT AS _origin,
	CASE WHEN source = 'target' OR importance_weight IS NULL THEN %[1]d
		ELSE greatest(least(round(importance_weight * %[1]d), 1e12), 1)::BIGINT END AS _weight`, loop.MicroUnits))
	// The names of groups are long, and most of them stand for one row: only those
	// are looked at of which the hash is there twice.
	s.add(`, g AS (SELECT _name, row_number() OVER (ORDER BY _name) AS _number FROM o
	WHERE hash(_name) IN (SELECT hash(_name) FROM o GROUP BY ALL HAVING count(*) > 1) GROUP BY _name HAVING count(*) > 1)`)
	failed, loss := "_wrong", "loss"
	var args []any
	if x.metric != nil {
		if loss = "_value"; x.metric.Fail != nil {
			failed, args = "_value < ?", []any{*x.metric.Fail}
			if x.metric.Better == loop.Lower {
				failed = "_value > ?"
			}
		}
	}
	s.add(", l AS (SELECT *, ("+failed+") AS _failed", args...)
	sums := ""
	if r.evidence.Graded() {
		s.add(", ")
		x.severity(s)
		sums = fmt.Sprintf(", sum(_severity)::BIGINT, sum(round(_severity * _severity / %d)::BIGINT)::BIGINT", loop.MicroUnits)
	}
	// Sums of BIGINT are HUGEINT, which Arrow knows only as decimals. A loss that does
	// not fit even so says that it is enormous.
	s.add(fmt.Sprintf(` FROM o)
SELECT %[1]s_age, _source, _origin, coalesce(_number, 0)::UINTEGER AS _group, _weight,
	count(*)::BIGINT, count(*) FILTER (_failed)::BIGINT,
	greatest(least(coalesce(sum(round(%[2]s * %[3]d)::BIGINT), 0), 9e18::HUGEINT), -9e18::HUGEINT)::BIGINT%[4]s
FROM l LEFT JOIN g USING (_name) GROUP BY %[1]s_age, _source, _origin, _group, _weight`, keys.String(), loss, loop.MicroUnits, sums))
	return s
}

// severity adds the column of how badly a row has failed, in micro-units: see
// loop.Learned.
func (x *entry) severity(s *question) {
	switch l := &x.learned; {
	case !l.Graded():
		s.add("(CASE WHEN _failed THEN ? ELSE 0 END)", loop.MicroUnits)
	case l.Best == l.Cap && l.Better == loop.Higher:
		s.add("(CASE WHEN _value < ? THEN ? ELSE 0 END)", l.Best, loop.MicroUnits)
	case l.Best == l.Cap:
		s.add("(CASE WHEN _value > ? THEN ? ELSE 0 END)", l.Best, loop.MicroUnits)
	default:
		s.add("round(greatest(least((_value - ?) / ?, 1), 0) * ?)", l.Best, l.Cap-l.Best, loop.MicroUnits)
	}
	s.add("::BIGINT AS _severity")
}
