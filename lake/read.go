package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/loop"
)

// ReadSamples reads a part of samples whole, in its order; a row's place is
// what voids name. The space must be the version that the part was written
// with, or one with the same factors and levels. Of the fractions of a scenario
// those of numeric factors come back such that their values are the stored ones;
// the others, which say nothing about the sample, are 0.
func (l *Lake) ReadSamples(ctx context.Context, key string, space *loop.Space) ([]loop.SampleRow, error) {
	made, err := sampleFields(space, false)
	if err != nil {
		return nil, fmt.Errorf("lake: read samples: %w", err)
	}
	imported, err := sampleFields(space, true)
	if err != nil {
		return nil, fmt.Errorf("lake: read samples: %w", err)
	}
	var rows []loop.SampleRow
	levels := levelsOf(space)
	err = l.readPart(ctx, key, [][]field{made, imported}, func(v *values) {
		r := loop.SampleRow{Digest: v.digest(), Campaign: v.text(), Name: v.name(), Seed: v.uint64(), Weight: v.double(),
			Worker: v.text(), Generator: v.text(), Millis: v.double(),
			Address: loop.Address{Key: v.text(), Offset: v.int64(), Length: v.int64()}, Scores: v.scores()}
		if v.batch.NumCols() == int64(len(imported)) {
			r.Example, r.Origin = v.text(), loop.Origin(v.text())
		}
		r.Scenario = v.scenario(space, levels)
		rows = append(rows, r)
	})
	if err != nil {
		return nil, fmt.Errorf("lake: read samples %s: %w", key, err)
	}
	return rows, nil
}

// ReadVerdicts reads a part of verdicts whole, as ReadSamples does samples.
func (l *Lake) ReadVerdicts(ctx context.Context, key string, space *loop.Space) ([]loop.VerdictRow, error) {
	fields, err := verdictFields(space)
	if err != nil {
		return nil, fmt.Errorf("lake: read verdicts: %w", err)
	}
	var rows []loop.VerdictRow
	levels := levelsOf(space)
	err = l.readPart(ctx, key, [][]field{fields}, func(v *values) {
		r := loop.VerdictRow{Campaign: v.text(), Name: v.name(), Worker: v.text(), Generator: v.text(),
			Gate: v.text(), Reason: v.text(), Scores: v.scores()}
		r.Scenario = v.scenario(space, levels)
		rows = append(rows, r)
	})
	if err != nil {
		return nil, fmt.Errorf("lake: read verdicts %s: %w", key, err)
	}
	return rows, nil
}

// openPart reads a part whole and compares its digest; the caller closes the reader's
// ParquetReader.
func (l *Lake) openPart(ctx context.Context, key string) (*pqarrow.FileReader, error) {
	b, err := l.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	file, err := parquetfile.NewParquetReader(bytes.NewReader(b), parquetfile.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	if err != nil {
		return nil, err
	}
	reader, err := pqarrow.NewFileReader(file, pqarrow.ArrowReadProperties{BatchSize: rowGroup}, memory.DefaultAllocator)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return reader, nil
}

// readPart hands every row of a part, of one of the kinds, to row. The object's digest has been
// compared by then, so the decoder only ever sees what writePart wrote.
func (l *Lake) readPart(ctx context.Context, key string, kinds [][]field, row func(*values)) error {
	if k, err := ParseKey(key); err != nil {
		return err
	} else if k.Kind != Part {
		return &loop.Error{Field: "key", Problem: fmt.Sprintf("%q is not the key of a part", key)}
	}
	reader, err := l.openPart(ctx, key)
	if err != nil {
		return err
	}
	defer reader.ParquetReader().Close()
	schema, err := reader.Schema()
	if err != nil {
		return err
	}
	for i, fields := range kinds {
		if err = sameColumns(schema, fields); err == nil {
			break
		} else if i == len(kinds)-1 {
			return err
		}
	}
	batches, err := reader.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer batches.Release()
	n := 0
	for {
		batch, err := batches.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range int(batch.NumRows()) {
			v := &values{batch: batch, row: i}
			row(v)
			if v.err != nil {
				return fmt.Errorf("row %d: %w", n, v.err)
			}
			n++
		}
	}
}

// sameColumns refuses a part of another kind or of another version of a space.
func sameColumns(schema *arrow.Schema, fields []field) error {
	if schema.NumFields() != len(fields) {
		return &loop.Error{Field: "part", Problem: fmt.Sprintf("%d columns, not %d", schema.NumFields(), len(fields)), Remedy: "name the space that the part was written for"}
	}
	for i, f := range fields {
		if got := schema.Field(i); got.Name != f.name || !arrow.TypeEqual(got.Type, f.kind) {
			return &loop.Error{Field: "part", Problem: fmt.Sprintf("column %d is %s %s, not %s %s", i, got.Name, got.Type, f.name, f.kind),
				Remedy: "name the space that the part was written for"}
		}
	}
	return nil
}

// values takes one row of a batch apart, column after column, as columns put it
// together. The first failure is kept.
type values struct {
	batch arrow.RecordBatch
	row   int
	next  int
	err   error
}

func (v *values) take() arrow.Array {
	c := v.batch.Column(v.next)
	v.next++
	return c
}

func (v *values) fail(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf("%s: %w", v.batch.ColumnName(v.next-1), fmt.Errorf(format, args...))
	}
}

// The texts are cloned: an arrow string is a window into its column's buffer,
// which one small row would keep alive.
func (v *values) text() string    { return strings.Clone(v.take().(*array.String).Value(v.row)) }
func (v *values) int32() int      { return int(v.take().(*array.Int32).Value(v.row)) }
func (v *values) int64() int64    { return v.take().(*array.Int64).Value(v.row) }
func (v *values) uint64() uint64  { return v.take().(*array.Uint64).Value(v.row) }
func (v *values) double() float64 { return v.take().(*array.Float64).Value(v.row) }

func (v *values) digest() loop.Digest {
	d, err := loop.ParseDigest(v.text())
	if err != nil {
		v.fail("%w", err)
	}
	return d
}

func (v *values) name() loop.Name {
	n := loop.Name{Round: v.int32(), Component: v.int32()}
	domain, ok := loop.ParseDomain(v.text())
	if !ok {
		v.fail("not a domain")
	}
	n.Domain, n.Index, n.Attempt = domain, uint64(v.int64()), v.int32()
	return n
}

func (v *values) scores() []loop.Score {
	column := v.take().(*array.String)
	if column.IsNull(v.row) {
		return nil
	}
	// Token by token, since a map would forget the order.
	tokens := json.NewDecoder(strings.NewReader(column.Value(v.row)))
	if _, err := tokens.Token(); err != nil {
		v.fail("%w", err)
		return nil
	}
	var scores []loop.Score
	for tokens.More() {
		name, err := tokens.Token()
		if err != nil {
			v.fail("%w", err)
			return nil
		}
		s := loop.Score{}
		s.Name, _ = name.(string)
		if err := tokens.Decode(&s.Value); err != nil {
			v.fail("%w", err)
			return nil
		}
		scores = append(scores, s)
	}
	return scores
}

// levelsOf finds a factor's level by its name.
func levelsOf(space *loop.Space) []map[string]loop.Code {
	levels := make([]map[string]loop.Code, len(space.Factors))
	for f := range levels {
		levels[f] = make(map[string]loop.Code, len(space.Factors[f].Levels))
		for l := range space.Factors[f].Levels {
			levels[f][space.Factors[f].Levels[l].Name] = loop.Code(l)
		}
	}
	return levels
}

func (v *values) scenario(space *loop.Space, levels []map[string]loop.Code) loop.Scenario {
	s := loop.Scenario{Codes: make([]loop.Code, len(space.Factors)), Fractions: make([]uint32, len(space.Factors))}
	for f := range space.Factors {
		factor := &space.Factors[f]
		var value *array.Float64
		if factor.Kind == loop.Numeric {
			value = v.take().(*array.Float64)
		}
		level := v.take().(*array.String)
		switch {
		case level.IsNull(v.row):
			s.Codes[f] = loop.Unknown
		case level.Value(v.row) == loop.AbsentName:
			s.Codes[f] = loop.Absent
		default:
			l, ok := levels[f][level.Value(v.row)]
			if !ok {
				v.fail("%q is not a level", level.Value(v.row))
				return s
			}
			s.Codes[f] = l
			if value != nil && value.IsValid(v.row) {
				s.Fractions[f] = factor.Fraction(l, value.Value(v.row))
			}
		}
	}
	return s
}
