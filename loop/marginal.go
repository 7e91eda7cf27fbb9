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

// targetMarginals quantises the space's target.
func (s *Space) targetMarginals() []Marginal { return s.baseMarginals(0) }

// baseMarginals leans the target towards uniform: (1-floor)·target + floor/L. A
// pinned factor has all its mass on one level, whatever target and floor say.
func (s *Space) baseMarginals(floor float64) []Marginal {
	marginals := make([]Marginal, len(s.Factors))
	for f := range s.Factors {
		levels := s.Factors[f].Levels
		if pin := s.Factors[f].Pin; pin != nil {
			marginals[f] = fixed(len(levels), *pin)
			continue
		}
		weights := make([]float64, len(levels))
		for l := range levels {
			// The conversion forbids a fused multiply-add, which some architectures
			// would make of this: rounds of a base alone are the same on all.
			weights[l] = float64((1-floor)*levels[l].Target) + floor/float64(len(levels))
		}
		marginals[f] = quantise(weights)
	}
	return marginals
}

// condition fixes the slice's predicates in a copy of the marginals, and
// restricts the factors that they depend on to the levels where they are
// present. mass is the unconstrained probability of all that. It returns nil
// where the slice has no mass.
func (s *Space) condition(marginals []Marginal, slice Slice) (out []Marginal, mass float64) {
	out = append([]Marginal(nil), marginals...)
	mass = 1
	for i := len(slice) - 1; i >= 0; i-- {
		p := slice[i]
		mass *= out[p.Factor].share(p.Level)
		if out[p.Factor].mass(p.Level) == 0 {
			return nil, 0
		}
		out[p.Factor] = fixed(len(out[p.Factor]), p.Level)
	}
	// A factor comes after the one that it depends on, so one pass downwards
	// settles whole chains.
	needed := make([]bool, len(s.Factors))
	for _, p := range slice {
		needed[p.Factor] = true
	}
	for f := len(s.Factors) - 1; f >= 0; f-- {
		when := s.Factors[f].When
		if !needed[f] || when == nil {
			continue
		}
		parent := when.Factor
		needed[parent] = true
		total := uint64(0)
		for _, l := range when.Levels {
			total += out[parent].mass(l)
		}
		mass *= float64(total) / whole
		if out[parent] = out[parent].restrict(when); out[parent] == nil {
			return nil, 0
		}
	}
	return out, mass
}
