package gpuworker

// roundKey names a round.
type roundKey struct {
	campaign string
	round    int
}

// maxRecent is how many definitions both ends of a connection remember.
const maxRecent = 64

// recent holds what is known of the last maxRecent rounds that were put, and
// forgets the oldest first. Hub and agent put the same rounds in the same order,
// so they forget the same ones, and neither has to tell the other.
type recent[T any] struct {
	order []roundKey
	known map[roundKey]T
}

func (r *recent[T]) get(k roundKey) (T, bool) {
	v, ok := r.known[k]
	return v, ok
}

func (r *recent[T]) put(k roundKey, v T) {
	if r.known == nil {
		r.known = make(map[roundKey]T)
	}
	if _, ok := r.known[k]; !ok {
		if len(r.order) == maxRecent {
			delete(r.known, r.order[0])
			r.order = append(r.order[:0], r.order[1:]...)
		}
		r.order = append(r.order, k)
	}
	r.known[k] = v
}
