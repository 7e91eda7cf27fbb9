package loop

import "math"

// sieve finds the hits among cells of rows that are all worth the same, by little
// more than a comparison for each.
type sieve struct {
	t       *tally
	rate    float64
	support uint64
	// varies is the variance of the error of a row, and least the score squared, times
	// that, from which on a cell is a hit.
	varies, least float64
	// fewest is how many units of errors a hit of so many rows has at least, or one or
	// two fewer; for the many small cells.
	fewest []uint64
}

// sieved is the most rows that a sieve keeps the fewest errors of.
const sieved = 1 << 12

func (t *tally) sieve(rate float64) *sieve {
	s := &sieve{t: t, rate: rate, support: uint64(math.Ceil(max(1, t.settings.MinimumSupport))), varies: t.dispersion * rate * (1 - rate), fewest: make([]uint64, sieved)}
	// A score is the excess over the root of n times what varies, rounding aside.
	s.least = t.settings.MinimumZ * t.settings.MinimumZ * s.varies * (1 - 1e-9)
	for rows := range s.fewest {
		n := float64(rows)
		s.fewest[rows] = uint64(max(0, (n*rate+math.Sqrt(s.least*n))*t.unit-1))
	}
	return s
}

// even reports whether all rows are worth the same.
func (t *tally) even() bool {
	return t.lanes == 1 && t.strata[0].packed && t.strata[0].discount == 1 && !t.grouped
}

// hits of a table, and how many of its cells have the least support.
func (s *sieve) hits(table *table) (hits []hit, supported int) {
	sums, fewest, support, direct := table.sums, s.fewest, s.support, table.direct
	for i, key := range table.keys {
		at := i
		if direct {
			at = int(key)
		}
		rows, errors := sums[at]>>rowShift, sums[at]&(1<<rowShift-1)
		if rows < support {
			continue
		}
		supported++
		if rows < uint64(len(fewest)) && errors < fewest[rows] {
			continue
		}
		n := float64(rows)
		if excess := float64(errors)/s.t.unit - n*s.rate; excess >= 0 && excess*excess >= s.least*n {
			z := excess / math.Sqrt(n*s.varies)
			// Slud (1977) has the bound for a rate of 1/4 or less, and for so many failures.
			if s.rate > .25 && float64(errors) > n*(1-s.rate) {
				z = math.Inf(1)
			}
			hits = append(hits, hit{table, i, z})
		}
	}
	return hits, supported
}
