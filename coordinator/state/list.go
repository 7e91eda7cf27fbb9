package state

import "iter"

// list is append-only, and never moves what is in it: to freeze it is to copy the
// struct, and no append pays for all before it (C23).
type list[T any] struct {
	chunks []*[chunkLength]T
	n      int
}

const chunkLength = 1024

func (l *list[T]) len() int { return l.n }

// at is the element at i, to read.
func (l *list[T]) at(i int) *T { return &l.chunks[i/chunkLength][i%chunkLength] }

func (l *list[T]) append(x T) {
	if l.n%chunkLength == 0 {
		l.chunks = append(l.chunks, new([chunkLength]T))
	}
	l.chunks[l.n/chunkLength][l.n%chunkLength] = x
	l.n++
}

// pieces runs over the elements from one on, in order, in slices of one chunk at most.
func (l *list[T]) pieces(from int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for from < l.n {
			first := from % chunkLength
			piece := l.chunks[from/chunkLength][first:min(chunkLength, first+l.n-from)]
			if !yield(piece) {
				return
			}
			from += len(piece)
		}
	}
}
