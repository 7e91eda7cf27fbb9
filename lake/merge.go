package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/loop"
)

// Merge puts the rows of parts of one kind, but for the void ones, into one part, in
// their order, each with the sequence and time of the change that it came in by
// (loop.SequenceColumn, loop.AtColumn). It takes as many of the parts, from the first,
// as have columns that go together, and says how many: parts of two versions of a space
// do, where a column that one of them lacks may be null, and none has another type.
// Where it takes one of several, or these have no row left, it puts nothing.
func (l *Lake) Merge(ctx context.Context, epoch uint64, parts []loop.Added) (object loop.Object, taken int, err error) {
	object, taken, err = l.merge(ctx, epoch, parts)
	if err != nil {
		return loop.Object{}, 0, fmt.Errorf("lake: merge: %w", err)
	}
	return object, taken, nil
}

func (l *Lake) merge(ctx context.Context, epoch uint64, parts []loop.Added) (object loop.Object, taken int, err error) {
	var fields []field
	rows := int64(0)
	for i := range parts {
		own, err := l.fieldsOf(parts[i].Part.Object.Key)
		if err != nil {
			return object, 0, err
		}
		both, ok := united(fields, own)
		if !ok {
			break
		}
		fields, taken = both, taken+1
		rows += parts[i].Part.Object.Rows - int64(len(parts[i].Part.Void))
	}
	if taken < min(2, len(parts)) || rows == 0 {
		return object, taken, nil
	}
	fields = append(fields, field{name: loop.SequenceColumn, kind: arrow.PrimitiveTypes.Uint64}, int64s(loop.AtColumn))
	m := &merging{schema: schemaOf(fields)}
	object, err = l.Put(ctx, Part, epoch, rows, func(w io.Writer) error {
		if m.out, err = newPartWriter(w, m.schema, fields); err != nil {
			return err
		}
		for i := range parts[:taken] {
			if err := m.add(ctx, l, &parts[i]); err != nil {
				return fmt.Errorf("%s: %w", parts[i].Part.Object.Key, err)
			}
		}
		if m.rows != rows {
			return fmt.Errorf("%d rows, where %d were promised", m.rows, rows)
		}
		return m.out.Close()
	})
	return object, taken, err
}

// fieldsOf are the columns of a part, but for those that only a merged one has.
func (l *Lake) fieldsOf(key string) ([]field, error) {
	f, _, err := l.object(key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := parquetfile.NewParquetReader(f)
	if err != nil {
		return nil, err
	}
	schema, err := pqarrow.FromParquet(file.MetaData().Schema, nil, nil)
	if err != nil {
		return nil, err
	}
	var fields []field
	for i, f := range schema.Fields() {
		if f.Name == loop.SequenceColumn || f.Name == loop.AtColumn {
			continue
		}
		column, err := file.MetaData().RowGroup(0).ColumnChunk(i)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field{name: f.Name, kind: f.Type, nullable: f.Nullable, plain: !column.HasDictionaryPage()})
	}
	return fields, nil
}

// united are the columns of two parts together; ok is false where a row of the one
// could not stand beside a row of the other.
func united(a, b []field) (both []field, ok bool) {
	if a == nil {
		return b, true
	}
	both = slices.Clone(a)
	for _, f := range b {
		i := slices.IndexFunc(a, func(g field) bool { return g.name == f.name })
		switch {
		case i < 0 && !f.nullable, i >= 0 && !arrow.TypeEqual(a[i].kind, f.kind):
			return nil, false
		case i < 0:
			both = append(both, f)
		default:
			both[i].nullable = a[i].nullable || f.nullable
		}
	}
	for _, f := range a {
		if !f.nullable && !slices.ContainsFunc(b, func(g field) bool { return g.name == f.name }) {
			return nil, false
		}
	}
	return both, true
}

// merging is a part that is being put together.
type merging struct {
	schema *arrow.Schema
	out    *pqarrow.FileWriter
	rows   int64
}

// add adds the rows of a part that count. It is read whole, and its digest compared.
func (m *merging) add(ctx context.Context, l *Lake, part *loop.Added) error {
	reader, err := l.openPart(ctx, part.Part.Object.Key)
	if err != nil {
		return err
	}
	defer reader.ParquetReader().Close()
	batches, err := reader.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer batches.Release()
	first, void := int64(0), part.Part.Void // ascending
	for {
		batch, err := batches.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// Runs of rows that count, between those that are void.
		from, n := int64(0), batch.NumRows()
		for from < n {
			to := n
			if len(void) > 0 && int64(void[0]) < first+n {
				to, void = int64(void[0])-first, void[1:]
			}
			if err := m.write(batch, from, to, part); err != nil {
				return err
			}
			from = to + 1
		}
		first += n
	}
}

// write writes a run of a batch's rows.
func (m *merging) write(batch arrow.RecordBatch, from, to int64, part *loop.Added) error {
	if from == to {
		return nil
	}
	run := batch.NewSlice(from, to)
	defer run.Release()
	n := int(to - from)
	columns := make([]arrow.Array, m.schema.NumFields())
	for i, f := range m.schema.Fields() {
		at := run.Schema().FieldIndices(f.Name)
		switch {
		case len(at) > 0:
			columns[i] = run.Column(at[0])
			columns[i].Retain()
		case f.Name == loop.SequenceColumn:
			columns[i] = repeated(array.NewUint64Builder(memory.DefaultAllocator), part.Reference, n)
		case f.Name == loop.AtColumn:
			columns[i] = repeated(array.NewInt64Builder(memory.DefaultAllocator), part.At, n)
		default:
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, n)
		}
		defer columns[i].Release()
	}
	record := array.NewRecordBatch(m.schema, columns, to-from)
	defer record.Release()
	m.rows += to - from
	return m.out.WriteBuffered(record)
}

// repeated is a column of one value.
func repeated[T any](b interface {
	array.Builder
	Append(T)
}, value T, n int) arrow.Array {
	defer b.Release()
	b.Reserve(n)
	for range n {
		b.Append(value)
	}
	return b.NewArray()
}
