package schedule

import (
	"math"
	"time"
)

// rates are the learned times per sample of (hardware type, generator).
type rates struct {
	learning float64
	millis   map[string]map[string]float64 // by generator, then type
}

// slow bounds how much slower than known one observation may say that a pair
// is: a straggler moves the rate, but does not make it.
const slow = 2.5

// observe takes in a unit of count samples that took millis.
func (r *rates) observe(kind, generator string, count int, millis int64) {
	if millis <= 0 || count <= 0 {
		return
	}
	seen := math.Min(float64(millis), float64((24*time.Hour).Milliseconds())) / float64(count)
	by := r.millis[generator]
	if by == nil {
		if r.millis == nil {
			r.millis = make(map[string]map[string]float64)
		}
		by = make(map[string]float64)
		r.millis[generator] = by
	}
	known, ok := by[kind]
	if !ok {
		by[kind] = seen
		return
	}
	by[kind] = known + r.learning*(math.Min(seen, slow*known)-known)
}

// perSample is the expected milliseconds per sample.
func (r *rates) perSample(kind, generator string) (float64, bool) {
	m, ok := r.millis[generator][kind]
	return m, ok
}

// slowest is the expected milliseconds per sample of the slowest type.
func (r *rates) slowest(generator string) (most float64, ok bool) {
	for _, m := range r.millis[generator] { // a maximum does not depend on the order
		most, ok = math.Max(most, m), true
	}
	return most, ok
}

// handicap is how many times slower the type is at a generator than the fastest
// type; 1 where nothing is known.
func (r *rates) handicap(kind, generator string) float64 {
	by := r.millis[generator]
	mine, ok := by[kind]
	if !ok {
		return 1
	}
	best := mine
	for _, m := range by { // a minimum does not depend on the order
		best = math.Min(best, m)
	}
	return mine / best
}
