package state

import (
	"iter"
	"math/bits"
	"slices"

	"hone/fault"
)

// set is a set of indices of which a frozen copy costs a pointer per leaf, and
// what changes afterwards a leaf: Apply must not wait until millions of bits are
// copied because somebody takes a snapshot (C23). Roaring's own copy on write
// marks the original whenever it is copied, which a reader must not do. The zero
// value is empty.
type set struct {
	// generation is the owner's: leaves of another may be shared.
	generation uint64
	// leaves hold leafBits indices each: nil is none of them, full is all.
	leaves []*leaf
	count  uint64
}

type leaf struct {
	generation uint64
	count      int
	words      [leafWords]uint64
}

const (
	leafBits  = 2048
	leafWords = leafBits / 64
)

// full is the leaf of every run. No set is of its generation, so that none changes it.
var full = func() *leaf {
	l := &leaf{generation: ^uint64(0), count: leafBits}
	for w := range l.words {
		l.words[w] = ^uint64(0)
	}
	return l
}()

// share is a copy for an owner of another generation. This one must not change any
// more, for as long as there is the copy.
func (s *set) share(generation uint64) set {
	return set{generation, slices.Clone(s.leaves), s.count}
}

// clone is a copy that shares nothing that changes.
func (s *set) clone() set {
	c := s.share(s.generation)
	for i, l := range c.leaves {
		if l != nil && l != full {
			own := *l
			c.leaves[i] = &own
		}
	}
	return c
}

func (s *set) contains(index uint64) bool {
	i := index / leafBits
	return i < uint64(len(s.leaves)) && s.leaves[i] != nil && s.leaves[i].words[index%leafBits/64]>>(index%64)&1 != 0
}

// add reports whether the index was not there before.
func (s *set) add(index uint64) bool {
	if s.contains(index) {
		return false
	}
	l := s.own(index / leafBits)
	l.words[index%leafBits/64] |= 1 << (index % 64)
	s.settle(index/leafBits, l.count+1)
	return true
}

// remove reports whether the index was there.
func (s *set) remove(index uint64) bool {
	if !s.contains(index) {
		return false
	}
	l := s.own(index / leafBits)
	l.words[index%leafBits/64] &^= 1 << (index % 64)
	s.settle(index/leafBits, l.count-1)
	return true
}

// addRange adds from..to-1.
func (s *set) addRange(from, to uint64) {
	for from < to {
		i := from / leafBits
		end := min(to, (i+1)*leafBits)
		if end-from == leafBits {
			s.grow(i)
			if old := s.leaves[i]; old != nil {
				s.count -= uint64(old.count)
			}
			s.leaves[i] = full
			s.count += leafBits
			from = end
			continue
		}
		l := s.own(i)
		for from < end {
			n := min(end, (from/64+1)*64) - from // they share a word
			l.words[from%leafBits/64] |= ^uint64(0) >> (64 - n) << (from % 64)
			from += n
		}
		s.settle(i, l.ones())
	}
}

// merge adds what is in t.
func (s *set) merge(t *set) {
	for i, l := range t.leaves {
		if l != nil {
			s.change(uint64(i), l, func(a, b uint64) uint64 { return a | b })
		}
	}
}

// subtract removes what is in t.
func (s *set) subtract(t *set) {
	for i, l := range t.leaves {
		if l != nil && i < len(s.leaves) && s.leaves[i] != nil {
			s.change(uint64(i), l, func(a, b uint64) uint64 { return a &^ b })
		}
	}
}

func (s *set) change(i uint64, with *leaf, word func(a, b uint64) uint64) {
	l := s.own(i)
	for w := range l.words {
		l.words[w] = word(l.words[w], with.words[w])
	}
	s.settle(i, l.ones())
}

// common counts what is in both.
func (s *set) common(t *set) (n uint64) {
	for i := range min(len(s.leaves), len(t.leaves)) {
		switch a, b := s.leaves[i], t.leaves[i]; {
		case a == nil || b == nil:
		case a == full:
			n += uint64(b.count)
		case b == full:
			n += uint64(a.count)
		default:
			for w := range a.words {
				n += uint64(bits.OnesCount64(a.words[w] & b.words[w]))
			}
		}
	}
	return n
}

// next is the least index that is not below from.
func (s *set) next(from uint64) (index uint64, ok bool) {
	for i := from / leafBits; i < uint64(len(s.leaves)); i++ {
		if l := s.leaves[i]; l != nil {
			for w := from % leafBits / 64; w < leafWords; w++ {
				if rest := l.words[w] >> (from % 64); rest != 0 {
					return from + uint64(bits.TrailingZeros64(rest)), true
				}
				from = (from/64 + 1) * 64
			}
		}
		from = (i + 1) * leafBits
	}
	return 0, false
}

// all runs over the indices, ascending.
func (s *set) all() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for index, ok := s.next(0); ok && yield(index); index, ok = s.next(index + 1) {
		}
	}
}

// end is one more than the greatest index; 0 of the empty set.
func (s *set) end() uint64 {
	for i := len(s.leaves) - 1; i >= 0; i-- {
		if l := s.leaves[i]; l != nil {
			for w := leafWords - 1; w >= 0; w-- {
				if l.words[w] != 0 {
					return uint64(i)*leafBits + uint64(w)*64 + uint64(bits.Len64(l.words[w]))
				}
			}
		}
	}
	return 0
}

func (s *set) equal(t *set) bool {
	return s.count == t.count && s.common(t) == s.count
}

// own is leaf i to change; settle must follow.
func (s *set) own(i uint64) *leaf {
	s.grow(i)
	l := s.leaves[i]
	switch {
	case l == nil:
		l = &leaf{generation: s.generation}
	case l.generation != s.generation && (l == full || !fault.Planted("change what a snapshot shares")):
		copied := *l
		l = &copied
		l.generation = s.generation
	default:
		return l
	}
	s.leaves[i] = l
	return l
}

func (s *set) grow(i uint64) {
	if missing := int(i) + 1 - len(s.leaves); missing > 0 {
		s.leaves = append(s.leaves, make([]*leaf, missing)...)
	}
}

// settle counts leaf i anew, which is owned.
func (s *set) settle(i uint64, count int) {
	l := s.leaves[i]
	s.count += uint64(count) - uint64(l.count)
	l.count = count
	switch count {
	case 0:
		s.leaves[i] = nil
	case leafBits:
		s.leaves[i] = full
	}
}

func (l *leaf) ones() (n int) {
	for _, w := range l.words {
		n += bits.OnesCount64(w)
	}
	return n
}
