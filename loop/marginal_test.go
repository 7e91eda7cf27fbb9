package loop

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// drawWeights draws weights over many orders of magnitude, with zeros, not all
// zero.
func drawWeights(t *rapid.T) []float64 {
	weights := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 {
		return rapid.SampledFrom([]float64{0, 1e-300, 1e-18, 1e-9, 1e-3, 1, 1}).Draw(t, "magnitude") * rapid.Float64Range(.1, 1).Draw(t, "w")
	}), 1, 200).Draw(t, "weights")
	weights[rapid.IntRange(0, len(weights)-1).Draw(t, "certain")] = 1
	return weights
}

// Thresholds are monotone and end at the whole; a positive weight has a positive
// mass, a zero weight none; and no mass is off by more than rounding and what
// the smallest masses took.
func checkQuantised(t rapid.TB, weights []float64) {
	m := quantise(weights)
	if !m.valid() {
		t.Fatalf("quantise(%v) = %v", weights, m)
	}
	total, positive := 0.0, 0
	for _, w := range weights {
		total += w
		if w > 0 {
			positive++
		}
	}
	sum := uint64(0)
	for l, w := range weights {
		sum += m.mass(l)
		if (m.mass(l) > 0) != (w > 0) {
			t.Fatalf("weight %v has mass %d", w, m.mass(l))
		}
		if off := math.Abs(float64(m.mass(l)) - w/total*whole); off > float64(positive)+1 {
			t.Fatalf("weight %v of %v has mass %d, off by %v", w, total, m.mass(l), off)
		}
	}
	if sum != whole {
		t.Fatalf("masses sum to %d", sum)
	}
}

func TestQuantise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkQuantised(t, drawWeights(t)) })
	many := make([]float64, MaxLevels)
	for l := range many {
		many[l] = 1 / float64(len(many))
	}
	checkQuantised(t, many)
	for l := range many {
		many[l] = 1e-200
	}
	many[0] = 1
	checkQuantised(t, many) // a run of minimal masses at the end
	many[0], many[MaxLevels-1] = 1e-200, 1
	checkQuantised(t, many) // and at the beginning
	many[MaxLevels-1], many[MaxLevels/2] = 0, 1
	checkQuantised(t, many)
	checkQuantised(t, []float64{5})
	checkQuantised(t, []float64{0, 0, .3, 0})
	checkQuantised(t, []float64{math.SmallestNonzeroFloat64, 1})
}

// at is the inverse of the thresholds: every level gets the points of its mass,
// and the fraction rises from 0 inside it.
func TestMarginalAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := quantise(drawWeights(t))
		l := rapid.IntRange(0, len(m)-1).Draw(t, "level")
		if m.mass(l) == 0 {
			return
		}
		low := m[l] - m.mass(l)
		for _, offset := range []uint64{0, m.mass(l) / 2, m.mass(l) - 1} {
			level, fraction := m.at(uint32(low + offset))
			want := new(big.Int).Lsh(new(big.Int).SetUint64(offset), 32)
			want.Div(want, new(big.Int).SetUint64(m.mass(l)))
			if level != l || uint64(fraction) != want.Uint64() {
				t.Fatalf("point %d: level %d fraction %d, want %d %v", low+offset, level, fraction, l, want)
			}
		}
	})
}

// restrict keeps the proportions of the levels in the set, and only them; what
// had mass keeps mass.
func TestRestrict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := quantise(drawWeights(t))
		set := LevelSet{}
		total := uint64(0)
		for l := range m {
			if rapid.Bool().Draw(t, "in") {
				set.Levels = append(set.Levels, l)
				total += m.mass(l)
			}
		}
		got := m.restrict(&set)
		if (got == nil) != (total == 0) {
			t.Fatalf("restrict gave %v of mass %d", got, total)
		}
		if got == nil {
			return
		}
		if !got.valid() {
			t.Fatalf("restrict gave %v", got)
		}
		for l := range m {
			in := set.Contains(l)
			if (got.mass(l) > 0) != (in && m.mass(l) > 0) {
				t.Fatalf("level %d: in the set %v, mass %d became %d", l, in, m.mass(l), got.mass(l))
			}
			if want := float64(m.mass(l)) / float64(total) * whole; in && math.Abs(float64(got.mass(l))-want) > 1 {
				t.Fatalf("level %d has mass %d, want %v", l, got.mass(l), want)
			}
		}
	})
}

func TestMarginalRefusals(t *testing.T) {
	for _, m := range []Marginal{nil, {}, {whole - 1}, {5, 4, whole}, {whole, whole + 1}, {whole + 1}} {
		if m.valid() {
			t.Errorf("%v is valid", m)
		}
	}
}

// condition fixes a slice and makes its factors present: its mass is that of an
// enumeration, and what it leaves is the conditional distribution.
func TestConditionEqualsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 5, 4)
		marginals := s.baseMarginals(rapid.SampledFrom([]float64{0, .3}).Draw(t, "floor"))
		slice := drawSlice(t, s, 3)
		want := 0.0
		all := enumerate(s, marginals)
		for _, x := range all {
			if slice.Matches(x.codes) {
				want += x.p
			}
		}
		out, mass := s.condition(marginals, slice)
		if (out == nil) != (want == 0) || out != nil && !near(mass, want) {
			t.Fatalf("mass of %s: %v, want %v", s.Describe(slice), mass, want)
		}
		if out == nil {
			return
		}
		inside := 0.0
		conditional := enumerate(s, out)
		for i, x := range all {
			want := 0.0
			if slice.Matches(x.codes) {
				want = x.p / mass
			}
			inside += conditional[i].p
			if math.Abs(conditional[i].p-want) > 1e-8 { // restrict rounds to 32 bits
				t.Fatalf("%v has probability %v in %s, want %v", x.codes, conditional[i].p, s.Describe(slice), want)
			}
		}
		if !near(inside, 1) {
			t.Fatalf("conditional probabilities sum to %v", inside)
		}
	})
}
