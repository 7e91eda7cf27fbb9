package state

import (
	"bytes"
	"fmt"
	"iter"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/fxamacker/cbor/v2"
)

// Indices is an immutable set of indices. The zero value is empty.
type Indices struct{ set set }

// IndicesOf is the set of the given indices, which are below loop.MaxQuota.
func IndicesOf(indices ...uint64) (s Indices) {
	for _, i := range indices {
		s.set.add(i)
	}
	return s
}

// Count is the number of indices.
func (s Indices) Count() uint64 { return s.set.count }

// Contains reports whether index is in the set.
func (s Indices) Contains(index uint64) bool { return s.set.contains(index) }

// All runs over the indices, ascending.
func (s Indices) All() iter.Seq[uint64] { return s.set.all() }

// Equal reports whether two sets hold the same indices.
func (s Indices) Equal(t Indices) bool { return s.set.equal(&t.set) }

// MarshalCBOR writes a byte string in the portable roaring format, which is the
// same for equal sets whatever their history (I6).
func (s Indices) MarshalCBOR() ([]byte, error) {
	raw, err := s.set.bitmap().ToBytes()
	if err != nil {
		return nil, fmt.Errorf("encode indices: %w", err)
	}
	return encoding.Marshal(raw)
}

// UnmarshalCBOR reads what MarshalCBOR writes and refuses a malformed set.
func (s *Indices) UnmarshalCBOR(data []byte) error {
	var raw []byte
	if err := decoding.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("decode indices: %w", err)
	}
	b, err := readBitmap(raw)
	if err != nil {
		return fmt.Errorf("decode indices: %w", err)
	}
	s.set = setOf(b)
	return nil
}

var _ cbor.Unmarshaler = (*Indices)(nil)

func readBitmap(raw []byte) (*roaring.Bitmap, error) {
	b := roaring.New()
	n, err := b.ReadFrom(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if n != int64(len(raw)) {
		return nil, fmt.Errorf("%d bytes after the bitmap", int64(len(raw))-n)
	}
	if b.IsEmpty() {
		return b, nil // an empty bitmap does not pass Validate
	}
	if err := b.Validate(); err != nil {
		return nil, err
	}
	return b, nil
}

// bitmap is the set in the fewest bytes that roaring has for it. Few indices far
// apart go one by one, so that they do not cost what is between them.
func (s *set) bitmap() *roaring.Bitmap {
	b := roaring.New()
	if words := len(s.leaves) * leafWords; s.count < uint64(words) {
		for index := range s.all() {
			b.Add(uint32(index))
		}
	} else {
		dense := make([]uint64, words)
		for i, l := range s.leaves {
			if l != nil {
				copy(dense[i*leafWords:], l.words[:])
			}
		}
		b.FromDense(dense, false)
	}
	b.RunOptimize()
	return b
}

func setOf(b *roaring.Bitmap) (s set) {
	if b.GetCardinality() < b.DenseSize() {
		for it := b.Iterator(); it.HasNext(); {
			s.add(uint64(it.Next()))
		}
		return s
	}
	for words := range slices.Chunk(b.ToDense(), leafWords) {
		l := &leaf{}
		copy(l.words[:], words)
		s.leaves = append(s.leaves, l)
		s.settle(uint64(len(s.leaves)-1), l.ones())
	}
	return s
}

// Offsets is a set of offsets in a unit, as a bitset: offset i is bit i%8 of
// byte i/8.
type Offsets []byte

// OffsetsOf is the set of the given offsets.
func OffsetsOf(offsets ...int) Offsets {
	var o Offsets
	for _, i := range offsets {
		o.Add(i)
	}
	return o
}

// FirstOffsets is the set 0..n-1.
func FirstOffsets(n int) Offsets {
	var o Offsets
	for i := range n {
		o.Add(i)
	}
	return o
}

// Add puts an offset into the set.
func (o *Offsets) Add(i int) {
	for len(*o) <= i/8 {
		*o = append(*o, 0)
	}
	(*o)[i/8] |= 1 << (i % 8)
}

// Has reports whether offset i is in the set.
func (o Offsets) Has(i int) bool { return i >= 0 && i/8 < len(o) && o[i/8]&(1<<(i%8)) != 0 }

// Count is the number of offsets.
func (o Offsets) Count() int {
	n := 0
	for _, b := range o {
		n += bits.OnesCount8(b)
	}
	return n
}

// All runs over the offsets, ascending.
func (o Offsets) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range len(o) * 8 {
			if o.Has(i) && !yield(i) {
				return
			}
		}
	}
}

// within reports whether every offset is below n.
func (o Offsets) within(n int) bool {
	for i := len(o)*8 - 1; i >= n; i-- {
		if o.Has(i) {
			return false
		}
	}
	return true
}
