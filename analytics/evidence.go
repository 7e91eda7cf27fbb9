//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// Evidence aggregates the outcomes of the query's models, in canonical order,
// and returns with it the sequence at which it was read, which is at least
// q.AtLeast (C15). Codes are those of the newest version of the space that the
// sequence has. Only sources target and mixture count. An outcome that several
// of the models match counts once, for the first of them.
func (v *View) Evidence(ctx context.Context, q loop.EvidenceQuery) (loop.Evidence, uint64, error) {
	var evidence loop.Evidence
	sequence, err := v.read(ctx, q.AtLeast, func(ctx context.Context, conn *sql.Conn, spaces map[string]*layout) error {
		l := spaces[q.Space]
		if l == nil {
			return loop.NotFound("space", "%q is not a space", q.Space)
		}
		evidence = loop.Evidence{}
		if len(q.Models) == 0 {
			return nil
		}
		statement, args := evidenceQuery(l, q.Models)
		r := newEvidenceReader(l)
		if err := readArrow(ctx, conn, statement, args, r.batch); err != nil {
			return err
		}
		r.evidence.Sort()
		evidence = r.evidence
		return nil
	})
	if err != nil {
		return loop.Evidence{}, 0, fmt.Errorf("evidence: %w", err)
	}
	return evidence, sequence, nil
}

// evidenceQuery groups by the ENUM columns as they are: DuckDB groups by their
// codes, and Arrow hands the codes out.
func evidenceQuery(l *layout, models []loop.EvidenceModel) (string, []any) {
	var keys, age strings.Builder
	var args []any
	for f := range l.current.Factors {
		fmt.Fprintf(&keys, "%s, ", ident(l.column(l.current.Factors[f].Name).labels()))
	}
	age.WriteString("CASE")
	for _, m := range models {
		age.WriteString(" WHEN model_line = ? AND model_version = ?")
		args = append(args, m.ModelLine, m.Version)
		if m.EvalSet != "" {
			age.WriteString(" AND (eval_set = ? OR starts_with(eval_set, ?))")
			args = append(args, m.EvalSet, m.EvalSet+"@")
		}
		if m.Task != "" {
			age.WriteString(" AND task = ?")
			args = append(args, m.Task)
		}
		fmt.Fprintf(&age, " THEN %d", m.Age)
	}
	age.WriteString(" END::UTINYINT")
	// Sums of BIGINT are HUGEINT, which Arrow knows only as decimals.
	return fmt.Sprintf(`SELECT %s_age, _source, _origin,
	count(*)::BIGINT, count(*) FILTER (WHERE NOT correct)::BIGINT,
	coalesce(sum(round(loss * %d)::BIGINT), 0)::BIGINT
FROM (
	SELECT *, %s AS _age, (source = 'mixture')::UTINYINT AS _source, (origin = 'synthetic')::UTINYINT AS _origin
	FROM %s WHERE source IN ('target', 'mixture')
) WHERE _age IS NOT NULL
GROUP BY %s_age, _source, _origin`, keys.String(), loop.MicroUnits, age.String(), l.table("outcomes"), keys.String()), args
}

// evidenceReader turns Arrow batches into evidence.
type evidenceReader struct {
	codes    [][]loop.Code // by factor, by code of the ENUM
	evidence loop.Evidence
}

func newEvidenceReader(l *layout) *evidenceReader {
	r := &evidenceReader{codes: make([][]loop.Code, len(l.current.Factors))}
	for f := range r.codes {
		r.codes[f] = l.codes(f)
	}
	r.evidence.Codes = make([][]loop.Code, len(r.codes))
	return r
}

func (r *evidenceReader) batch(b arrow.RecordBatch) error {
	n := len(r.codes)
	e := &r.evidence
	for f := range r.codes {
		var err error
		if e.Codes[f], err = appendCodes(e.Codes[f], b.Column(f), r.codes[f]); err != nil {
			return err
		}
	}
	for i := n; i < n+3; i++ {
		column, ok := b.Column(i).(*array.Uint8)
		if !ok {
			return fmt.Errorf("column %d is %s", i, b.Column(i).DataType())
		}
		for _, value := range column.Uint8Values() {
			switch i {
			case n:
				e.Age = append(e.Age, value)
			case n + 1:
				e.Source = append(e.Source, [...]loop.Source{loop.SourceTarget, loop.SourceMixture}[value])
			default:
				e.Origin = append(e.Origin, [...]loop.Origin{loop.Real, loop.Synthetic}[value])
			}
		}
	}
	for i, into := range []*[]int64{&e.Rows, &e.Failures, &e.Loss} {
		column, ok := b.Column(n + 3 + i).(*array.Int64)
		if !ok {
			return fmt.Errorf("column %d is %s", n+3+i, b.Column(n+3+i).DataType())
		}
		*into = append(*into, column.Int64Values()...)
	}
	for len(e.Group) < len(e.Rows) {
		e.From, e.Weight, e.Group = append(e.From, 0), append(e.Weight, loop.MicroUnits), append(e.Group, 0)
	}
	return nil
}

// appendCodes maps a column of ENUM codes to codes of the space.
func appendCodes(codes []loop.Code, column arrow.Array, of []loop.Code) ([]loop.Code, error) {
	dictionary, ok := column.(*array.Dictionary)
	if !ok {
		return nil, fmt.Errorf("a factor's column is %s", column.DataType())
	}
	for i := range dictionary.Len() {
		if dictionary.IsNull(i) {
			codes = append(codes, loop.Unknown)
			continue
		}
		at := dictionary.GetValueIndex(i)
		if at >= len(of) {
			return nil, fmt.Errorf("level %d of %d", at, len(of))
		}
		codes = append(codes, of[at])
	}
	return codes, nil
}

// readArrow runs a query on a connection and hands its batches out; a batch is
// valid only during the call.
func readArrow(ctx context.Context, conn *sql.Conn, statement string, args []any, each func(arrow.RecordBatch) error) error {
	return conn.Raw(func(raw any) (err error) {
		dc, ok := raw.(driver.Conn)
		if !ok {
			return errors.New("not a driver's connection")
		}
		handle, err := duckdb.NewArrowFromConn(dc)
		if err != nil {
			return err
		}
		reader, err := handle.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer reader.Release()
		for reader.Next() {
			if err := each(reader.RecordBatch()); err != nil {
				return err
			}
		}
		return reader.Err()
	})
}
