package loop

import (
	"fmt"
	"slices"
	"sort"

	"pgregory.net/rapid"
)

// drawSpace makes a small random space: conditions, constraints of every form,
// levels without target mass, numeric bins, pins, sticky factors, targets that
// depend on another factor or on a hidden class. It may be infeasible.
func drawSpace(t *rapid.T, maxFactors, maxLevels int) *Space {
	s := &Space{Name: "random", Version: 1}
	factors := rapid.IntRange(1, maxFactors).Draw(t, "factors")
	if rapid.IntRange(0, 3).Draw(t, "mixed") == 0 {
		s.Classes = drawShares(t, rapid.IntRange(1, 4).Draw(t, "classes"))
	}
	for f := range factors {
		levels := rapid.IntRange(1, maxLevels).Draw(t, "levels")
		factor := Factor{Name: fmt.Sprintf("f%d", f), Kind: Ordinal}
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			factor.Kind = Numeric
		}
		for l, share := range drawShares(t, levels) {
			level := Level{Name: fmt.Sprintf("l%d", l), Target: share}
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
		if rapid.IntRange(0, 2).Draw(t, "dependent") == 0 {
			drawGiven(t, s, &factor)
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

// drawShares makes shares that sum to one, some of them 0.
func drawShares(t *rapid.T, levels int) []float64 {
	weights := rapid.SliceOfN(rapid.IntRange(0, 6), levels, levels).Draw(t, "weights")
	weights[rapid.IntRange(0, levels-1).Draw(t, "certain")]++
	sum := 0
	for _, w := range weights {
		sum += w
	}
	shares := make([]float64, levels)
	for l, w := range weights {
		shares[l] = float64(w) / float64(sum)
	}
	return shares
}

// drawGiven lets a factor depend on one before it, or on the class, where that
// may be: where the former is present wherever it is, and as sticky.
func drawGiven(t *rapid.T, s *Space, f *Factor) {
	parent := rapid.IntRange(-1, len(s.Factors)-1).Draw(t, "given")
	g := &Given{Factor: parent}
	levels := len(s.Classes)
	if parent != Hidden {
		levels = len(s.Factors[parent].Levels)
		if !s.presentWith(parent, f) || f.Sticky > 1 && s.Factors[parent].Sticky%f.Sticky != 0 {
			return
		}
	}
	if levels == 0 || parent == Hidden && f.Sticky > 1 {
		return
	}
	for range rapid.IntRange(1, levels).Draw(t, "rows") {
		g.Rows = append(g.Rows, drawShares(t, len(f.Levels)))
	}
	for l := range levels {
		row := rapid.IntRange(0, len(g.Rows)-1).Draw(t, "row")
		if f.When != nil && f.When.Factor == parent && !f.When.Contains(l) {
			row = None
		}
		g.Of = append(g.Of, row)
	}
	f.Given = g
	for l := range f.Levels {
		f.Levels[l].Target = 0
	}
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
		out = append(out, drawPredicate(t, s, f))
	}
	return out
}

// drawPredicate draws a level of a factor or, now and then, a run of levels.
func drawPredicate(t *rapid.T, s *Space, factor int) Predicate {
	levels := len(s.Factors[factor].Levels)
	p := Predicate{Factor: factor, Level: rapid.IntRange(0, levels-1).Draw(t, "slice level")}
	if s.Factors[factor].ordered() && rapid.IntRange(0, 2).Draw(t, "a run") == 0 {
		if p.Run = rapid.IntRange(0, levels-1-p.Level).Draw(t, "run"); p.Run == levels-1 {
			p.Run--
		}
	}
	return p
}

// lies says whether codes lie in a slice, level by level.
func lies(slice Slice, codes []Code) bool {
	for _, p := range slice {
		some := false
		for l := p.Level; l <= p.Level+p.Run; l++ {
			some = some || codes[p.Factor] == Code(l)
		}
		if !some {
			return false
		}
	}
	return true
}

// weighted is a scenario's codes and its probability before the constraints.
type weighted struct {
	codes []Code
	p     float64
}

// enumerate lists every scenario of a space, feasible or not, with its
// probability under a tree of marginals: the stupid twin of acceptance, masses
// and densities.
func enumerate(s *Space, marginals []Marginal) []weighted {
	if len(s.Classes) == 0 {
		return enumerateClass(s, marginals, 0)
	}
	var all []weighted
	known := map[string]int{}
	for k := range s.Classes {
		for _, x := range enumerateClass(s, marginals, k) {
			x.p *= marginals[len(s.Factors)].share(k)
			if i, ok := known[key(x.codes)]; ok {
				all[i].p += x.p
				continue
			}
			known[key(x.codes)] = len(all)
			all = append(all, x)
		}
	}
	return all
}

func enumerateClass(s *Space, marginals []Marginal, class int) []weighted {
	all := []weighted{{p: 1}}
	for f := range s.Factors {
		levels := len(s.Factors[f].Levels)
		var next []weighted
		for _, x := range all {
			if when := s.Factors[f].When; when != nil && !slices.Contains(when.Levels, int(x.codes[when.Factor])) {
				next = append(next, weighted{append(slices.Clone(x.codes), Absent), x.p})
				continue
			}
			row := marginals[f]
			if len(row) > levels {
				g, at := s.Factors[f].Given, class
				if g.Factor != Hidden {
					at = int(x.codes[g.Factor])
				}
				row = row[g.Of[at]*levels:][:levels]
			}
			for l := range levels {
				next = append(next, weighted{append(slices.Clone(x.codes), Code(l)), x.p * row.share(l)})
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
