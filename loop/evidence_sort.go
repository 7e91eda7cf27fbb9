package loop

import (
	"cmp"
	"math/bits"
	"slices"
)

// Sort puts the lines into canonical order and merges lines that differ in
// nothing but what they count, so that equal outcomes give equal bytes in
// whatever order they arrived.
func (e *Evidence) Sort() {
	n := e.Len()
	keys := e.keys()
	sorted := true
	for i := 1; i < n && sorted; i++ {
		sorted = keys.compare(i-1, i) < 0
	}
	if sorted {
		return
	}
	// Most lines differ in the first word of their keys.
	type place struct {
		word uint64
		line uint32
	}
	places := make([]place, n)
	for i := range places {
		places[i] = place{keys.words[0][i], uint32(i)}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.word, b.word), keys.compare(int(a.line), int(b.line)))
	})
	// first are the lines that stay, in order, and into says where each line goes.
	first, into := make([]uint32, 0, n), make([]uint32, n)
	for i, p := range places {
		if i == 0 || keys.compare(int(first[len(first)-1]), int(p.line)) != 0 {
			first = append(first, p.line)
		}
		into[p.line] = uint32(len(first) - 1)
	}
	for f := range e.Codes {
		e.Codes[f] = pick(e.Codes[f], first)
	}
	e.From, e.Age, e.Source, e.Origin = pick(e.From, first), pick(e.Age, first), pick(e.Source, first), pick(e.Origin, first)
	e.Weight, e.Group = pick(e.Weight, first), pick(e.Group, first)
	e.Rows, e.Failures, e.Loss = sum(e.Rows, into, len(first)), sum(e.Failures, into, len(first)), sum(e.Loss, into, len(first))
	if e.Graded() {
		e.Severity, e.Squares = sum(e.Severity, into, len(first)), sum(e.Squares, into, len(first))
	}
}

func pick[T any](column []T, lines []uint32) []T {
	out := make([]T, len(lines))
	for i, line := range lines {
		out[i] = column[line]
	}
	return out
}

func sum(column []int64, into []uint32, n int) []int64 {
	out := make([]int64, n)
	for i, v := range column {
		out[into[i]] += v
	}
	return out
}

// evidenceKeys are what lines are ordered by: all that compare compares, packed
// into words of a line that compare likewise, one after another.
type evidenceKeys struct {
	words [][]uint64
	free  int // bits of the last word
}

func (k *evidenceKeys) compare(i, j int) int {
	for _, word := range k.words {
		if word[i] != word[j] {
			return cmp.Compare(word[i], word[j])
		}
	}
	return 0
}

func (e *Evidence) keys() evidenceKeys {
	k := evidenceKeys{words: [][]uint64{make([]uint64, e.Len())}, free: 64}
	sources, origins := distinct(e.Source), distinct(e.Origin)
	pack(&k, e.From, func(from uint8) uint64 { return uint64(from) })
	pack(&k, e.Age, func(age uint8) uint64 { return uint64(age) })
	pack(&k, e.Source, func(s Source) uint64 { return uint64(slices.Index(sources, s)) })
	pack(&k, e.Origin, func(o Origin) uint64 { return uint64(slices.Index(origins, o)) })
	pack(&k, e.Weight, func(weight int64) uint64 { return uint64(weight) })
	pack(&k, e.Group, func(group uint32) uint64 { return uint64(group) })
	for _, codes := range e.Codes {
		// Absent and Unknown, the greatest codes, come next to the last level.
		levels := uint64(0)
		for _, code := range codes {
			if code.IsLevel() {
				levels = max(levels, uint64(code)+1)
			}
		}
		pack(&k, codes, func(code Code) uint64 {
			if code.IsLevel() {
				return uint64(code)
			}
			return levels + uint64(code-Absent)
		})
	}
	return k
}

// pack appends a column, whose values compare as their numbers do, in as few bits
// as its greatest number has.
func pack[T any](k *evidenceKeys, column []T, number func(T) uint64) {
	greatest := uint64(0)
	for _, v := range column {
		greatest = max(greatest, number(v))
	}
	n := bits.Len64(greatest)
	if n > k.free {
		k.words, k.free = append(k.words, make([]uint64, len(column))), 64
	}
	k.free -= n
	word := k.words[len(k.words)-1]
	for i, v := range column {
		word[i] |= number(v) << k.free
	}
}

// distinct lists the values of a column that has few, in order.
func distinct[T cmp.Ordered](column []T) (values []T) {
	for _, v := range column {
		if at, found := slices.BinarySearch(values, v); !found {
			values = slices.Insert(values, at, v)
		}
	}
	return values
}
