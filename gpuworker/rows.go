package gpuworker

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"hone/loop"
)

// rowSchema is that of a delivery's rows: one per sample, in the unit's order,
// no nulls.
var rowSchema = arrow.NewSchema([]arrow.Field{
	{Name: "index", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "digest", Type: &arrow.FixedSizeBinaryType{ByteWidth: len(loop.Digest{})}},
	{Name: "offset", Type: arrow.PrimitiveTypes.Int64},
	{Name: "length", Type: arrow.PrimitiveTypes.Int64},
}, nil)

// Bounds of a stream of rows: 512 of them are 28 KB.
const (
	maxRowBytes  = 256 << 10
	maxRowMemory = 1 << 20
)

func encodeRows(samples []loop.Staged) ([]byte, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, rowSchema)
	defer b.Release()
	for _, s := range samples {
		b.Field(0).(*array.Uint64Builder).Append(s.Index)
		b.Field(1).(*array.FixedSizeBinaryBuilder).Append(s.Digest[:])
		b.Field(2).(*array.Int64Builder).Append(s.Offset)
		b.Field(3).(*array.Int64Builder).Append(s.Length)
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(rowSchema))
	if err := w.Write(batch); err != nil {
		return nil, fmt.Errorf("gpuworker: rows: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("gpuworker: rows: %w", err)
	}
	return out.Bytes(), nil
}

// decodeRows reads exactly count rows. A stream that differs from one of encodeRows
// in nothing but the rows is read at their places, which is ten times as fast.
func decodeRows(b []byte, count int) ([]loop.Staged, error) {
	if l := layoutOf(count); l != nil {
		if samples, ok := l.read(b); ok {
			return samples, nil
		}
	}
	return readRows(b, count)
}

// readRows reads any stream. Arrow's reader trusts the lengths that it reads and
// panics on much that is malformed: so the structure is inspected first, what it may
// allocate is bounded, and a panic is a refusal.
func readRows(b []byte, count int) (samples []loop.Staged, err error) {
	bad := func(format string, args ...any) error {
		return &loop.Error{Field: "rows", Problem: fmt.Sprintf(format, args...),
			Remedy: "an uncompressed Arrow IPC stream of index uint64, digest fixed_size_binary[32], offset int64, length int64"}
	}
	if len(b) > maxRowBytes {
		return nil, bad("%d bytes; at most %d are allowed", len(b), maxRowBytes)
	}
	defer func() {
		if p := recover(); p != nil {
			samples, err = nil, bad("not readable: %v", p)
		}
	}()
	if problem := inspect(b); problem != "" {
		return nil, bad("%s", problem)
	}
	r, err := ipc.NewReader(bytes.NewReader(b), ipc.WithAllocator(&bounded{left: maxRowMemory}),
		ipc.WithMetadataSizeLimit(maxRowBytes), ipc.WithBodySizeLimit(maxRowBytes))
	if err != nil {
		return nil, bad("not readable: %v", err)
	}
	defer r.Release()
	if !r.Schema().Equal(rowSchema) {
		return nil, bad("the columns are %v", r.Schema())
	}
	for r.Next() {
		batch := r.RecordBatch()
		if int64(len(samples))+batch.NumRows() > int64(count) {
			return nil, bad("more than %d rows", count)
		}
		for i := range batch.NumCols() {
			if batch.Column(int(i)).NullN() != 0 {
				return nil, bad("column %q has nulls", batch.ColumnName(int(i)))
			}
		}
		index, digest := batch.Column(0).(*array.Uint64), batch.Column(1).(*array.FixedSizeBinary)
		offset, length := batch.Column(2).(*array.Int64), batch.Column(3).(*array.Int64)
		for i := range int(batch.NumRows()) {
			samples = append(samples, loop.Staged{Index: index.Value(i), Digest: loop.Digest(digest.Value(i)),
				Offset: offset.Value(i), Length: length.Value(i)})
		}
	}
	if err := r.Err(); err != nil {
		return nil, bad("not readable: %v", err)
	}
	if len(samples) != count {
		return nil, bad("%d rows for %d samples", len(samples), count)
	}
	return samples, nil
}

// bounded is an allocator that panics once so many bytes have been asked for.
type bounded struct{ left int }

func (a *bounded) take(n int) {
	if a.left -= n; n < 0 || a.left < 0 {
		panic("more memory than rows need")
	}
}

func (a *bounded) Allocate(size int) []byte {
	a.take(size)
	return memory.DefaultAllocator.Allocate(size)
}

func (a *bounded) Reallocate(size int, b []byte) []byte {
	a.take(size)
	return memory.DefaultAllocator.Reallocate(size, b)
}

func (a *bounded) Free(b []byte) { memory.DefaultAllocator.Free(b) }
