package loop

import (
	"math"
	"math/bits"
	"sort"
)

// quantise turns non-negative weights, not all zero, into cumulative 32-bit
// thresholds. A positive weight gets a positive mass.
func quantise(weights []float64) Marginal {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	m := make(Marginal, len(weights))
	sum, last := 0.0, uint64(0)
	for l, w := range weights {
		sum += w
		m[l] = uint64(math.Round(min(1, sum/total) * whole))
		if w > 0 && m[l] <= last {
			m[l] = last + 1
		}
		m[l] = max(m[l], last)
		last = m[l]
	}
	// Rounding may leave the last positive level short of, and a run of minimal
	// masses may push it beyond, the whole.
	for l := len(m) - 1; l >= 0; l-- {
		m[l] = whole
		if weights[l] > 0 {
			break
		}
	}
	for l := len(m) - 2; l >= 0; l-- {
		limit := m[l+1]
		if weights[l+1] > 0 {
			limit--
		}
		m[l] = min(m[l], limit)
	}
	return m
}

// mass is the weight of a level, in 1/2^32.
func (m Marginal) mass(level int) uint64 {
	if level == 0 {
		return m[0]
	}
	return m[level] - m[level-1]
}

// share is the mass of a level as a fraction.
func (m Marginal) share(level int) float64 { return float64(m.mass(level)) / whole }

// at finds the level that a point falls into, and its place inside the level as
// a 32-bit fraction.
func (m Marginal) at(u uint32) (level int, fraction uint32) {
	level = sort.Search(len(m), func(l int) bool { return uint64(u) < m[l] })
	low := m[level] - m.mass(level)
	return level, uint32((uint64(u) - low) << 32 / m.mass(level))
}

// fixed is the marginal that always takes one level.
func fixed(levels, level int) Marginal {
	m := make(Marginal, levels)
	for l := level; l < levels; l++ {
		m[l] = whole
	}
	return m
}

// restrict conditions a marginal on a set of levels, by integer arithmetic. It
// returns nil if the set has no mass.
func (m Marginal) restrict(set *LevelSet) Marginal {
	total := uint64(0)
	for _, l := range set.Levels {
		total += m.mass(l)
	}
	if total == 0 {
		return nil
	}
	out := make(Marginal, len(m))
	sum, next := uint64(0), 0
	for l := range m {
		if next < len(set.Levels) && set.Levels[next] == l {
			sum += m.mass(l)
			next++
		}
		high, low := bits.Mul64(sum, whole)
		out[l], _ = bits.Div64(high, low, total)
	}
	return out
}

func (m Marginal) valid() bool {
	last := uint64(0)
	for _, t := range m {
		if t < last {
			return false
		}
		last = t
	}
	return len(m) > 0 && last == whole
}
