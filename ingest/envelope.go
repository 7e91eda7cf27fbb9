package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// maxMetadata bounds the metadata of one Arrow message, in bytes.
const maxMetadata = 1 << 20

// envelope reads the messages of an Arrow IPC stream for the Arrow library. The
// library believes what metadata says: it allocates a claimed length before a
// byte of it has come, descends into any nesting, and inflates. So every message
// is walked first, and what rows of outcomes never need is refused: nesting,
// compression, delta dictionaries, big-endian numbers, claims beyond the bytes
// that are there. The walk may panic on metadata that points outside of itself;
// its caller recovers.
type envelope struct {
	r       io.Reader
	maxRows int64
	// columns is how many a stream may have.
	columns int
	// schema is what a record batch of the stream must bring.
	schema needs
	// count is how many messages have come, and ended says that the end-of-stream
	// marker has.
	count int
	ended bool
	last  *ipc.Message
}

// Retain and Release are for the library's counting of references, which Go's
// own memory does not need.
func (e *envelope) Retain() {}

// Release does nothing; see Retain.
func (e *envelope) Release() {}

func (e *envelope) malformed(format string, args ...any) error {
	return malformedf(fmt.Sprintf("message %d", e.count), "%s", fmt.Sprintf(format, args...))
}

// Message reads the next message. It is io.EOF after the end-of-stream marker.
func (e *envelope) Message() (*ipc.Message, error) {
	e.count++
	var prefix [8]byte
	if n, err := io.ReadFull(e.r, prefix[:]); err != nil {
		if n == 0 && e.count == 1 {
			return nil, e.malformed("the body is empty")
		}
		return nil, e.cut(err, "the stream has no end marker (close the writer)")
	}
	if binary.LittleEndian.Uint32(prefix[:4]) != 0xFFFFFFFF {
		return nil, e.malformed("not an Arrow IPC stream (an Arrow or Feather file is not one: write it with a stream writer)")
	}
	length := binary.LittleEndian.Uint32(prefix[4:])
	if length == 0 {
		e.ended = true
		return nil, io.EOF
	}
	if length > maxMetadata {
		return nil, e.malformed("%d bytes of metadata; at most %d are allowed", length, maxMetadata)
	}
	meta := make([]byte, length)
	if _, err := io.ReadFull(e.r, meta); err != nil {
		return nil, e.cut(err, "the stream breaks off")
	}
	size, err := e.walk(meta)
	if err != nil {
		return nil, err
	}
	// The body grows with what comes, not with what was claimed.
	content, err := io.ReadAll(io.LimitReader(e.r, size))
	if err != nil {
		return nil, e.cut(err, "the stream breaks off")
	}
	if int64(len(content)) < size {
		return nil, e.malformed("the stream breaks off: %d of %d bytes", len(content), size)
	}
	e.last = ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(content))
	return e.last, nil
}

func (e *envelope) cut(err error, message string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return e.malformed("%s", message)
	}
	return err
}

// needs are what the library reads of a batch without asking whether it is
// there: so many nodes, so many buffers, and for each column of views a count of
// further buffers.
type needs struct{ nodes, buffers, views int }

// The types of a column, as Schema.fbs numbers them, by the buffers that they
// have; views have as many more as their count says.
var (
	noBuffers    = []byte{1}
	twoBuffers   = []byte{2, 3, 6}
	threeBuffers = []byte{utf8Type, largeUTF8Type}
)

const (
	utf8Type      = 5
	largeUTF8Type = 20
	utf8ViewType  = 24
)

// add counts a column. Of types that no outcome has nothing is known: they are
// refused by name before a batch is read.
func (n *needs) add(kind byte, dictionary bool) {
	n.nodes++
	switch {
	case dictionary || slices.Contains(twoBuffers, kind):
		n.buffers += 2
	case slices.Contains(threeBuffers, kind):
		n.buffers += 3
	case kind == utf8ViewType:
		n.buffers += 2
		n.views++
	case slices.Contains(noBuffers, kind):
	}
}

// The kinds of message header, as Message.fbs numbers them.
const (
	schemaHeader = iota + 1
	dictionaryHeader
	recordHeader
)

// walk checks a message's metadata and returns the length of its body.
func (e *envelope) walk(meta []byte) (int64, error) {
	message := root(meta)
	size := int64(0)
	if at, ok := message.field(3); ok {
		size = int64(binary.LittleEndian.Uint64(meta[at:]))
	}
	if size < 0 || size > 1<<40 {
		return 0, e.malformed("a body of %d bytes", size)
	}
	kind := byte(0)
	if at, ok := message.field(1); ok {
		kind = meta[at]
	}
	at, ok := message.field(2)
	if !ok {
		return 0, e.malformed("no header")
	}
	header := table{meta, indirect(meta, at)}
	spare := len(meta)
	if err := e.walkMetadata(message, 4, &spare); err != nil {
		return 0, err
	}
	switch {
	case kind == schemaHeader && e.count == 1:
		if size != 0 {
			return 0, e.malformed("a schema with a body")
		}
		return 0, e.walkSchema(header, &spare)
	case e.count == 1:
		return 0, e.malformed("the first message is not a schema")
	case kind == recordHeader:
		return size, e.walkBatch(header, size, e.maxRows, e.schema)
	case kind == dictionaryHeader:
		if at, ok := header.field(2); ok && meta[at] != 0 {
			return 0, e.malformed("delta dictionaries are not accepted (send whole dictionaries, or plain text)")
		}
		at, ok := header.field(1)
		if !ok {
			return 0, e.malformed("a dictionary without values")
		}
		// A dictionary has bytes for every value, so its body bounds it.
		return size, e.walkBatch(table{meta, indirect(meta, at)}, size, size, needs{nodes: 1, buffers: 3})
	}
	return 0, e.malformed("messages of kind %d are not accepted", kind)
}

func (e *envelope) walkSchema(schema table, spare *int) error {
	if at, ok := schema.field(0); ok && binary.LittleEndian.Uint16(schema.b[at:]) != 0 {
		return e.malformed("big-endian numbers are not accepted")
	}
	if err := e.walkMetadata(schema, 2, spare); err != nil {
		return err
	}
	at, n := schema.vector(1)
	if n > e.columns {
		return e.malformed("%d columns; at most %d are allowed", n, e.columns)
	}
	for i := range n {
		field := table{schema.b, indirect(schema.b, at+4*i)}
		name := field.text(0)
		if *spare -= len(name); *spare < 0 {
			return e.malformed("the metadata repeats itself")
		}
		if _, children := field.vector(5); children > 0 {
			return e.malformed("column %s is nested (only text, numbers, booleans and dictionaries of text are accepted)", quote(name))
		}
		if err := e.walkMetadata(field, 6, spare); err != nil {
			return err
		}
		kind := byte(0)
		if at, ok := field.field(2); ok {
			kind = field.b[at]
		}
		_, dictionary := field.field(4)
		if dictionary && kind != utf8Type && kind != largeUTF8Type {
			return e.malformed("column %s is a dictionary of something other than text", quote(name))
		}
		e.schema.add(kind, dictionary)
	}
	return nil
}

// walkMetadata refuses key-value pairs that share their bytes, so that copies of
// them are no longer than the message.
func (e *envelope) walkMetadata(t table, slot int, spare *int) error {
	at, n := t.vector(slot)
	for i := range n {
		pair := table{t.b, indirect(t.b, at+4*i)}
		if *spare -= 8 + len(pair.text(0)) + len(pair.text(1)); *spare < 0 {
			return e.malformed("the metadata repeats itself")
		}
	}
	return nil
}

// walkBatch checks the lengths that a record batch claims against its body, and
// that everything which the library will look for is there.
func (e *envelope) walkBatch(batch table, size, maxRows int64, need needs) error {
	if _, ok := batch.field(3); ok {
		return e.malformed("compressed batches are not accepted (write the stream without compression)")
	}
	rows := int64(0)
	if at, ok := batch.field(0); ok {
		rows = int64(binary.LittleEndian.Uint64(batch.b[at:]))
	}
	if rows < 0 {
		return e.malformed("%d rows", rows)
	}
	if rows > maxRows {
		return errTooManyRows
	}
	nodes, n := batch.vector(1)
	if n != need.nodes {
		return e.malformed("a batch of %d columns where %d belong", n, need.nodes)
	}
	for i := range n {
		node := batch.b[nodes+16*i:]
		length, nulls := int64(binary.LittleEndian.Uint64(node)), int64(binary.LittleEndian.Uint64(node[8:]))
		if length != rows || nulls < 0 || nulls > length {
			return e.malformed("column %d has %d values and %d nulls in a batch of %d rows", i+1, length, nulls, rows)
		}
	}
	buffers, n := batch.vector(2)
	for i := range n {
		buffer := batch.b[buffers+16*i:]
		offset, length := int64(binary.LittleEndian.Uint64(buffer)), int64(binary.LittleEndian.Uint64(buffer[8:]))
		if offset < 0 || length < 0 || offset > size || length > size-offset {
			return e.malformed("buffer %d lies outside of its body", i+1)
		}
		if offset%8 != 0 {
			return e.malformed("buffer %d is not aligned to 8 bytes", i+1)
		}
	}
	variadic, count := batch.vector(4)
	if count != need.views {
		return e.malformed("%d counts of buffers for %d columns of views", count, need.views)
	}
	buffersNeeded := int64(need.buffers)
	for i := range count {
		more := int64(binary.LittleEndian.Uint64(batch.b[variadic+8*i:]))
		if more < 0 || more > int64(n) {
			return e.malformed("a column with %d buffers, of %d", more, n)
		}
		buffersNeeded += more
	}
	if int64(n) < buffersNeeded {
		return e.malformed("%d buffers where %d belong", n, buffersNeeded)
	}
	return nil
}

// table is a table of a flatbuffer. Its methods panic, as slices do, on one that
// points outside of itself.
type table struct {
	b  []byte
	at int
}

func root(b []byte) table { return table{b, indirect(b, 0)} }

// indirect follows the offset at that place.
func indirect(b []byte, at int) int { return at + int(binary.LittleEndian.Uint32(b[at:])) }

// field is the place of a field, if the table has it. A table whose size cuts a
// field in half has it: the library thinks so too, and this must see all that
// the library sees.
func (t table) field(slot int) (int, bool) {
	vtable := t.at - int(int32(binary.LittleEndian.Uint32(t.b[t.at:])))
	entry := 4 + 2*slot
	if entry >= int(binary.LittleEndian.Uint16(t.b[vtable:])) {
		return 0, false
	}
	offset := int(binary.LittleEndian.Uint16(t.b[vtable+entry:]))
	return t.at + offset, offset != 0
}

// vector is the place of a vector's first element, and how many there are.
func (t table) vector(slot int) (int, int) {
	at, ok := t.field(slot)
	if !ok {
		return 0, 0
	}
	at = indirect(t.b, at)
	n := int(binary.LittleEndian.Uint32(t.b[at:]))
	_ = t.b[:at+4+n] // every element has a byte at least
	return at + 4, n
}

// text is a string field.
func (t table) text(slot int) string {
	at, n := t.vector(slot)
	return string(t.b[at : at+n])
}
