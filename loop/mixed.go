package loop

import (
	"cmp"
	"slices"
)

// mixed is how a space's factors depend on its hidden class. It depends on the
// space alone.
type mixed struct {
	// factors are those that do, ascending; in says so of every factor.
	factors []int
	in      []bool
	// classes are all classes, in the order of their rows: rows has the row of
	// each of the factors, class after class in that order, and same the number of
	// rows at the start that a class shares with the one before it. beyond has the
	// place of the first class after it that does not share the row of a factor and
	// of those before, for each of the factors as rows does.
	classes []int
	rows    []uint16
	same    []int
	beyond  []uint16
}

// mixed is nil for a space without classes.
func (s *Space) mixed() *mixed {
	if len(s.Classes) == 0 {
		return nil
	}
	x := &mixed{in: make([]bool, len(s.Factors)), classes: make([]int, len(s.Classes)), same: make([]int, len(s.Classes))}
	for f := range s.Factors {
		if x.in[f] = s.given(f) == s.hidden(); x.in[f] {
			x.factors = append(x.factors, f)
		}
	}
	for k := range x.classes {
		x.classes[k] = k
	}
	row := func(f, k int) int { return s.Factors[f].Given.Of[k] }
	slices.SortStableFunc(x.classes, func(a, b int) int {
		for _, f := range x.factors {
			if c := cmp.Compare(row(f, a), row(f, b)); c != 0 {
				return c
			}
		}
		return 0
	})
	for i, k := range x.classes {
		for _, f := range x.factors {
			x.rows = append(x.rows, uint16(row(f, k)))
		}
		for i > 0 && x.same[i] < len(x.factors) && row(x.factors[x.same[i]], k) == row(x.factors[x.same[i]], x.classes[i-1]) {
			x.same[i]++
		}
	}
	width := len(x.factors)
	x.beyond = make([]uint16, len(x.rows))
	for i := len(x.classes) - 1; i >= 0; i-- {
		for j := range width {
			at := i*width + j
			if x.beyond[at] = uint16(i + 1); i+1 < len(x.classes) && x.same[i+1] > j {
				x.beyond[at] = x.beyond[at+width]
			}
		}
	}
	return x
}

// shares are the classes' in a tree over the space, in the order of classes; nil
// where nothing in the tree depends on the class.
func (x *mixed) shares(s *Space, marginals []Marginal) []float64 {
	if x == nil || !slices.ContainsFunc(x.factors, func(f int) bool { return len(marginals[f]) > s.width(f) }) {
		return nil
	}
	shares := make([]float64, len(x.classes))
	for i, k := range x.classes {
		shares[i] = marginals[s.hidden()].share(k)
	}
	return shares
}
