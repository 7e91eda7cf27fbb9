package gpuworker

import (
	"bytes"
	"encoding/binary"
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

// decodeRows reads exactly count rows. Arrow's reader trusts lengths and panics
// on much that is malformed: so what it may read and allocate is bounded, a
// compressed body is refused before it is seen (it may unpack to anything), and
// a panic is a refusal.
func decodeRows(b []byte, count int) (samples []loop.Staged, err error) {
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
	if compressed(b) {
		return nil, bad("a compressed body")
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

// compressed walks the stream's messages and reports whether a record batch
// names a compression. It reads the few fields of the metadata that it needs by
// hand, and panics on what is out of bounds.
func compressed(b []byte) bool {
	for len(b) >= 8 {
		size := binary.LittleEndian.Uint32(b)
		head := 4
		if size == 0xFFFFFFFF {
			size, head = binary.LittleEndian.Uint32(b[4:]), 8
		}
		if size == 0 {
			return false
		}
		meta := b[head : head+int(size)]
		message := flatTable{meta, int(binary.LittleEndian.Uint32(meta))}
		const headerType, header, bodyLength, compression, recordBatch = 6, 8, 10, 10, 3
		if at := message.field(headerType); at != 0 && meta[at] == recordBatch {
			if at := message.field(header); at != 0 {
				batch := flatTable{meta, at + int(binary.LittleEndian.Uint32(meta[at:]))}
				if batch.field(compression) != 0 {
					return true
				}
			}
		}
		body := 0
		if at := message.field(bodyLength); at != 0 {
			body = int(binary.LittleEndian.Uint64(meta[at:]))
		}
		b = b[head+int(size):]
		b = b[body:]
	}
	return false
}

// flatTable is a table in a flatbuffer.
type flatTable struct {
	b  []byte
	at int
}

// field is where the field in a slot of the vtable lies; 0 if it is not set.
func (t flatTable) field(slot int) int {
	vtable := t.at - int(int32(binary.LittleEndian.Uint32(t.b[t.at:])))
	if int(binary.LittleEndian.Uint16(t.b[vtable:])) <= slot {
		return 0
	}
	if o := int(binary.LittleEndian.Uint16(t.b[vtable+slot:])); o != 0 {
		return t.at + o
	}
	return 0
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
