package gpuworker

import "encoding/binary"

// maxTags bounds the key-value pairs that a writer may attach anywhere.
const maxTags = 64

// inspect walks the messages of an Arrow stream before Arrow's own reader sees
// them and says what is wrong with their structure; it reads the few fields that
// it needs from the flatbuffers by hand, and panics where they lead nowhere.
//
// What it guards against are lengths that the reader would make slices of,
// unchecked: a few hundred bytes of schema can ask for 30 GB of custom metadata,
// which ends the process rather than the call. And a compressed body may unpack
// to anything.
func inspect(b []byte) string {
	for len(b) >= 8 {
		size, head := binary.LittleEndian.Uint32(b), 4
		if size == 0xFFFFFFFF {
			size, head = binary.LittleEndian.Uint32(b[4:]), 8
		}
		if size == 0 {
			return "" // the end of the stream
		}
		meta := b[head : head+int(size)]
		message := flatTable{meta, int(binary.LittleEndian.Uint32(meta))}
		if problem := inspectMessage(message); problem != "" {
			return problem
		}
		b = b[head+int(size):]
		b = b[message.int64(10):] // the body
	}
	return ""
}

func inspectMessage(message flatTable) string {
	if message.length(12) > maxTags {
		return "too much custom metadata"
	}
	header, ok := message.table(8)
	if !ok {
		return "a message without a header"
	}
	const schema, recordBatch = 1, 3
	switch message.byte(6) {
	case schema:
		return inspectSchema(header)
	case recordBatch:
		if header.field(10) != 0 {
			return "a compressed body"
		}
		return ""
	default:
		return "neither a schema nor a record batch"
	}
}

func inspectSchema(schema flatTable) string {
	if schema.length(8) > maxTags {
		return "too much custom metadata"
	}
	n := schema.length(6)
	if n != rowSchema.NumFields() {
		return "another number of columns"
	}
	for i := range n {
		field := schema.element(6, i)
		const integer, fixedSizeBinary = 2, 15
		if kind := field.byte(8); kind != integer && kind != fixedSizeBinary {
			return "a column of another type"
		}
		switch {
		case field.field(12) != 0:
			return "a column with a dictionary"
		case field.length(14) != 0:
			return "a nested column"
		case field.length(16) > maxTags:
			return "too much custom metadata"
		}
	}
	return ""
}

// flatTable is a table in a flatbuffer. Fields are named by their slot in the
// table's vtable, which is 4 + 2 x the number of the field in Arrow's schema.
type flatTable struct {
	b  []byte
	at int
}

// field is where a field lies; 0 if it is not set.
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

func (t flatTable) byte(slot int) byte {
	if at := t.field(slot); at != 0 {
		return t.b[at]
	}
	return 0
}

func (t flatTable) int64(slot int) int64 {
	if at := t.field(slot); at != 0 {
		return int64(binary.LittleEndian.Uint64(t.b[at:]))
	}
	return 0
}

// follow is where the offset that lies at a place leads.
func (t flatTable) follow(at int) int { return at + int(binary.LittleEndian.Uint32(t.b[at:])) }

func (t flatTable) table(slot int) (flatTable, bool) {
	at := t.field(slot)
	if at == 0 {
		return flatTable{}, false
	}
	return flatTable{t.b, t.follow(at)}, true
}

// length is how many elements a vector says that it has.
func (t flatTable) length(slot int) int {
	at := t.field(slot)
	if at == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(t.b[t.follow(at):]))
}

// element is the i-th table of a vector of tables.
func (t flatTable) element(slot, i int) flatTable {
	return flatTable{t.b, t.follow(t.follow(t.field(slot)) + 4 + 4*i)}
}
