package loop

import (
	"fmt"
	"slices"
	"sort"

	"pgregory.net/rapid"
)

// drawSpace makes a small random space: conditions, constraints of every form,
// levels without target mass, numeric bins, pins, sticky factors. It may be
// infeasible.
func drawSpace(t *rapid.T, maxFactors, maxLevels int) *Space {
	s := &Space{Name: "random", Version: 1}
	factors := rapid.IntRange(1, maxFactors).Draw(t, "factors")
	for f := range factors {
		levels := rapid.IntRange(1, maxLevels).Draw(t, "levels")
		weights := rapid.SliceOfN(rapid.IntRange(0, 6), levels, levels).Draw(t, "weights")
		weights[rapid.IntRange(0, levels-1).Draw(t, "certain")]++
		sum := 0
		for _, w := range weights {
			sum += w
		}
		factor := Factor{Name: fmt.Sprintf("f%d", f), Kind: Ordinal}
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			factor.Kind = Numeric
		}
		for l, w := range weights {
			level := Level{Name: fmt.Sprintf("l%d", l), Target: float64(w) / float64(sum)}
			if factor.Kind == Numeric {
				level.Low, level.High = float64(l+1), float64(l+2)
			}
			factor.Levels = append(factor.Levels, level)
		}
		if factor.Kind == Numeric {
			factor.Scale = rapid.SampledFrom([]Scale{"", Linear, Log, Circular}).Draw(t, "scale")
		}
		if rapid.IntRange(0, 7).Draw(t, "pinned") == 0 {
			pin := rapid.IntRange(0, levels-1).Draw(t, "pin")
			factor.Pin = &pin
		}
		if rapid.IntRange(0, 5).Draw(t, "shared") == 0 {
			factor.Sticky = rapid.SampledFrom([]int{1, 2, 3, 7, MaxSticky}).Draw(t, "sticky")
		}
		if f > 0 && rapid.IntRange(0, 2).Draw(t, "conditional") == 0 {
			set := drawSet(t, s, rapid.IntRange(0, f-1).Draw(t, "parent"))
			factor.When = &set
		}
		s.Factors = append(s.Factors, factor)
	}
	for range rapid.IntRange(0, 4).Draw(t, "constraints") {
		var c Constraint
		c.When = drawSets(t, s, rapid.IntRange(0, 2).Draw(t, "when"))
		c.Then = drawSets(t, s, rapid.IntRange(0, 2).Draw(t, "then"))
		if len(c.When)+len(c.Then) > 0 {
			s.Constraints = append(s.Constraints, c)
		}
	}
	return s
}

func drawSets(t *rapid.T, s *Space, n int) []LevelSet {
	var sets []LevelSet
	for range n {
		sets = append(sets, drawSet(t, s, rapid.IntRange(0, len(s.Factors)-1).Draw(t, "factor")))
	}
	return sets
}

func drawSet(t *rapid.T, s *Space, factor int) LevelSet {
	set := LevelSet{Factor: factor}
	for l := range s.Factors[factor].Levels {
		if rapid.Bool().Draw(t, "in") {
			set.Levels = append(set.Levels, l)
		}
	}
	if len(set.Levels) == 0 {
		set.Levels = []int{rapid.IntRange(0, len(s.Factors[factor].Levels)-1).Draw(t, "level")}
	}
	return set
}

// drawValid draws spaces until one is valid.
func drawValid(t *rapid.T, maxFactors, maxLevels int) *Space {
	for {
		if s := drawSpace(t, maxFactors, maxLevels); s.Validate() == nil {
			return s
		}
	}
}

// drawSlice draws any slice of the space, possible or not.
func drawSlice(t *rapid.T, s *Space, maxOrder int) Slice {
	var out Slice
	order := rapid.IntRange(1, min(maxOrder, len(s.Factors))).Draw(t, "order")
	factors := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
		for f := range s.Factors {
			if !yield(f) {
				return
			}
		}
	})).Draw(t, "slice factors")[:order]
	sort.Ints(factors)
	for _, f := range factors {
		out = append(out, Predicate{f, rapid.IntRange(0, len(s.Factors[f].Levels)-1).Draw(t, "slice level")})
	}
	return out
}

// weighted is a scenario's codes and its probability before the constraints.
type weighted struct {
	codes []Code
	p     float64
}

// enumerate lists every scenario of a space, feasible or not, with its
// probability under a product of marginals: the stupid twin of acceptance,
// masses and densities.
func enumerate(s *Space, marginals []Marginal) []weighted {
	all := []weighted{{p: 1}}
	for f := range s.Factors {
		var next []weighted
		for _, x := range all {
			if when := s.Factors[f].When; when != nil && !slices.Contains(when.Levels, int(x.codes[when.Factor])) {
				next = append(next, weighted{append(slices.Clone(x.codes), Absent), x.p})
				continue
			}
			for l := range s.Factors[f].Levels {
				next = append(next, weighted{append(slices.Clone(x.codes), Code(l)), x.p * marginals[f].share(l)})
			}
		}
		all = next
	}
	return all
}

// allowed is feasible in the words of Constraint: wherever all of When hold, all
// of Then must hold; an empty Then forbids.
func allowed(s *Space, codes []Code) bool {
	holds := func(sets []LevelSet) bool {
		for _, set := range sets {
			if !slices.Contains(set.Levels, int(codes[set.Factor])) {
				return false
			}
		}
		return true
	}
	for _, c := range s.Constraints {
		if holds(c.When) && (len(c.Then) == 0 || !holds(c.Then)) {
			return false
		}
	}
	return true
}
