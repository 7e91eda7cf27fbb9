package gpuworker

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"hone/loop"
)

// layout is where the rows lie in a stream of encodeRows, all of which are alike for
// one number of rows.
type layout struct {
	stream []byte
	count  int
	// Where each column begins, and the last one ends.
	index, digest, offset, length, end int
}

// layouts are those that were needed so far, by the number of rows.
var layouts [loop.MaxUnit + 1]atomic.Pointer[layout]

// layoutOf is that of so many rows; nil where there is none.
func layoutOf(count int) *layout {
	if count < 1 || count >= len(layouts) {
		return nil
	}
	l := layouts[count].Load()
	if l == nil {
		l = findLayout(count)
		layouts[count].Store(l)
	}
	return l
}

// findLayout encodes rows of values that stand nowhere else in a stream.
func findLayout(count int) *layout {
	mark := func(column uint64) uint64 { return 0xB5E2_9D46_1FC8_73A0 + column }
	row := loop.Staged{Index: mark(0), Offset: int64(mark(2)), Length: int64(mark(3))}
	binary.LittleEndian.PutUint64(row.Digest[:], mark(1))
	samples := make([]loop.Staged, count)
	for i := range samples {
		samples[i] = row
	}
	stream, err := encodeRows(samples)
	if err != nil {
		return nil
	}
	l := &layout{stream: stream, count: count}
	for column, at := range []*int{&l.index, &l.digest, &l.offset, &l.length} {
		if *at = bytes.Index(stream, binary.LittleEndian.AppendUint64(nil, mark(uint64(column)))); *at < 0 {
			return nil
		}
	}
	l.end = l.length + 8*count
	return l
}

// read reads a stream; ok is false where it is not of this layout. What lies between
// the columns is padding.
func (l *layout) read(b []byte) (samples []loop.Staged, ok bool) {
	if len(b) != len(l.stream) || !bytes.Equal(b[:l.index], l.stream[:l.index]) || !bytes.Equal(b[l.end:], l.stream[l.end:]) {
		return nil, false
	}
	word := func(at, i int) uint64 { return binary.LittleEndian.Uint64(b[at+8*i:]) }
	samples = make([]loop.Staged, l.count)
	for i := range samples {
		samples[i] = loop.Staged{Index: word(l.index, i), Digest: loop.Digest(b[l.digest+len(loop.Digest{})*i:][:len(loop.Digest{})]),
			Offset: int64(word(l.offset, i)), Length: int64(word(l.length, i))}
	}
	return samples, true
}
