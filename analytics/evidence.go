//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// Evidence aggregates the outcomes of the query's models, in canonical order,
// and returns with it the sequence at which it was read, which is at least
// q.AtLeast (C15). Codes are those of the version of the space that the query
// names. Of no model there is no outcome, but for what the samples took. Only sources target, mixture and probe count. An outcome that several of
// the query's entries match counts for each of them, and where several models of
// one entry match it, for the first of these.
//
// Groups are numbered by their names, per entry, those of them that have more
// than one row in it; a row that is alone has none.
func (v *View) Evidence(ctx context.Context, q loop.EvidenceQuery) (loop.Evidence, uint64, error) {
	var evidence loop.Evidence
	sequence, err := v.read(ctx, q.AtLeast, func(ctx context.Context, conn *sql.Conn, spaces map[string]*layout) error {
		l := spaces[q.Space]
		if l == nil {
			return loop.NotFound("space", "%q is not a space", q.Space)
		}
		space := l.current
		if q.SpaceVersion != 0 {
			if space = l.versions[q.SpaceVersion]; space == nil {
				return loop.NotFound("space", "there is no version %d of space %q", q.SpaceVersion, q.Space)
			}
		}
		r := evidenceReader{conn: conn, layout: l, space: space}
		read := r.read
		if len(q.Models) == 0 {
			read = r.made
		}
		err := read(ctx, &q)
		evidence = r.evidence
		return err
	})
	if err != nil {
		return loop.Evidence{}, 0, fmt.Errorf("evidence: %w", err)
	}
	return evidence, sequence, nil
}

// evidenceReader reads one entry of a query after another.
type evidenceReader struct {
	conn     *sql.Conn
	layout   *layout
	space    *loop.Space
	codes    [][]loop.Code // by factor, by code of the ENUM
	evidence loop.Evidence
}

func (r *evidenceReader) read(ctx context.Context, q *loop.EvidenceQuery) error {
	learn := q.Learn
	if len(learn) == 0 {
		learn = make([]loop.LearnFrom, 1)
	}
	entries := make([]entry, len(learn))
	for i := range learn {
		var err error
		if entries[i], err = r.entry(&learn[i]); err != nil {
			return err
		}
	}
	for _, m := range q.Models {
		if int(m.From) >= len(entries) {
			return fmt.Errorf("model %s@%s is of entry %d of %d", m.ModelLine, m.Version, m.From, len(entries))
		}
		entries[m.From].models = append(entries[m.From].models, m)
	}
	e := &r.evidence
	for i := range entries {
		if err := entries[i].grade(ctx, r); err != nil {
			return err
		}
		if entries[i].learned.Graded() {
			e.Severity, e.Squares = []int64{}, []int64{}
		}
		if len(q.Learn) > 0 {
			e.Learned = append(e.Learned, entries[i].learned)
		}
	}
	e.Codes = make([][]loop.Code, len(r.space.Factors))
	for f := range r.space.Factors {
		r.codes = append(r.codes, r.layout.codes(r.space, f))
	}
	for i := range entries {
		if len(entries[i].models) == 0 {
			continue
		}
		s := entries[i].lines(r)
		if err := readArrow(ctx, r.conn, s.String(), s.args, func(b arrow.RecordBatch) error { return r.batch(uint8(i), b) }); err != nil {
			return err
		}
	}
	e.Sort()
	return r.made(ctx, q)
}

// batch appends lines of an entry.
func (r *evidenceReader) batch(from uint8, b arrow.RecordBatch) error {
	e, n := &r.evidence, len(r.codes)
	for f := range r.codes {
		var err error
		if e.Codes[f], err = appendCodes(e.Codes[f], b.Column(f), r.codes[f]); err != nil {
			return err
		}
	}
	age, ok0 := b.Column(n).(*array.Uint8)
	source, ok1 := b.Column(n + 1).(*array.Uint8)
	origin, ok2 := b.Column(n + 2).(*array.Uint8)
	group, ok3 := b.Column(n + 3).(*array.Uint32)
	if !(ok0 && ok1 && ok2 && ok3) {
		return fmt.Errorf("columns of unexpected types: %s", b.Schema())
	}
	for i := range int(b.NumRows()) {
		e.From = append(e.From, from)
		e.Source = append(e.Source, evidenceSources[source.Value(i)])
		e.Origin = append(e.Origin, [...]loop.Origin{loop.Real, loop.Synthetic}[origin.Value(i)])
	}
	e.Age = append(e.Age, age.Uint8Values()...)
	e.Group = append(e.Group, group.Uint32Values()...)
	into := []*[]int64{&e.Weight, &e.Rows, &e.Failures, &e.Loss}
	if e.Graded() {
		into = append(into, &e.Severity, &e.Squares)
	}
	for i, to := range into {
		column, ok := b.Column(n + 4 + i).(*array.Int64)
		if !ok {
			return fmt.Errorf("column %d is %s", n+4+i, b.Column(n+4+i).DataType())
		}
		*to = append(*to, column.Int64Values()...)
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
