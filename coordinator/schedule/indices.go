package schedule

import "math/bits"

// indices is a set of indices below 2^32 that costs memory only where it has
// members: pages of 4096 bits. The zero value is empty.
type indices struct {
	pages map[uint64]*page
	n     uint64
}

type page struct {
	words [64]uint64
	n     int
}

// word is the membership of the 64 indices from 64*i.
func (s *indices) word(i uint64) uint64 {
	p := s.pages[i>>6]
	if p == nil {
		return 0
	}
	return p.words[i&63]
}

func (s *indices) set(i, word uint64) {
	p := s.pages[i>>6]
	if p == nil {
		if word == 0 {
			return
		}
		if s.pages == nil {
			s.pages = make(map[uint64]*page)
		}
		p = new(page)
		s.pages[i>>6] = p
	}
	d := bits.OnesCount64(word) - bits.OnesCount64(p.words[i&63])
	p.words[i&63] = word
	p.n += d
	s.n += uint64(d) // wraps to a subtraction
	if p.n == 0 {
		delete(s.pages, i>>6)
	}
}

// add and remove put in and take out the range [first, end).
func (s *indices) add(first, end uint64) {
	eachWord(first, end, func(i, mask uint64) { s.set(i, s.word(i)|mask) })
}

func (s *indices) remove(first, end uint64) {
	if s.n == 0 {
		return
	}
	eachWord(first, end, func(i, mask uint64) {
		if w := s.word(i); w&mask != 0 {
			s.set(i, w&^mask)
		}
	})
}

// next finds the first run of members within [first, end), of at most limit
// indices; ok is false if there is no member.
func (s *indices) next(first, end, limit uint64) (from, to uint64, ok bool) {
	for i := first; i < end; {
		p := s.pages[i>>12]
		if p == nil {
			i = (i>>12 + 1) << 12
			continue
		}
		w := p.words[i>>6&63] >> (i & 63)
		if w == 0 {
			i = (i>>6 + 1) << 6
			continue
		}
		from = i + uint64(bits.TrailingZeros64(w))
		if from >= end {
			return 0, 0, false
		}
		end = min(end, from+limit)
		for to = from; to < end; {
			ones := uint64(bits.TrailingZeros64(^(s.word(to>>6) >> (to & 63))))
			if ones == 0 {
				break
			}
			to += min(ones, 64-to&63)
		}
		return from, min(to, end), true
	}
	return 0, 0, false
}

// eachWord calls f with every word that [first, end) touches and the mask of
// the range in it.
func eachWord(first, end uint64, f func(i, mask uint64)) {
	for i := first >> 6; i<<6 < end; i++ {
		mask := ^uint64(0)
		if i<<6 < first {
			mask &= ^uint64(0) << (first & 63)
		}
		if end-i<<6 < 64 {
			mask &= 1<<(end&63) - 1
		}
		f(i, mask)
	}
}

// eachRun calls f with every maximal run of indices in [first, end) for which
// of, asked word by word, has a bit. f may change the sets that of reads, within
// the run that it is given.
func eachRun(first, end uint64, of func(i uint64) uint64, f func(from, to uint64)) {
	from, open := uint64(0), false
	eachWord(first, end, func(i, mask uint64) {
		w := of(i) & mask
		for b := uint64(0); b < 64; {
			if open {
				ones := uint64(bits.TrailingZeros64(^(w >> b)))
				if b += ones; b >= 64 {
					return
				}
				f(from, i<<6+b)
				open = false
			}
			if w>>b == 0 {
				return
			}
			b += uint64(bits.TrailingZeros64(w >> b))
			from, open = i<<6+b, true
		}
	})
	if open {
		f(from, end)
	}
}

// owners keep one number per index of the pages that they were set in. They are
// only asked about indices that are in some set, so nothing is ever unset. The
// low 32 bits of a lease's number are enough to tell it from its neighbours.
type owners map[uint64]*[1 << 12]uint32

func (o *owners) set(first, end, lease uint64) {
	for first < end {
		p := (*o)[first>>12]
		if p == nil {
			if *o == nil {
				*o = make(owners)
			}
			p = new([1 << 12]uint32)
			(*o)[first>>12] = p
		}
		for stop := min(end, (first>>12+1)<<12); first < stop; first++ {
			p[first&(1<<12-1)] = uint32(lease)
		}
	}
}

func (o owners) is(i, lease uint64) bool {
	p := o[i>>12]
	return p != nil && p[i&(1<<12-1)] == uint32(lease)
}
