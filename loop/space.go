package loop

import "slices"

// Limits of a space. They bound memory and the cost of a decision, and keep a
// hostile document from naming a space that nothing could hold.
const (
	MaxFactors     = 256
	MaxLevels      = 10_000
	MaxConstraints = 1_000
	MaxSets        = 64 // of a constraint, both sides together
	MaxRisks       = 1_000
	MaxProtected   = 64
	MaxDerived     = 64
	MaxRules       = 1_000 // of a derived label
	MaxTasks       = 32
	MaxMetrics     = 64 // of all tasks together
	MaxSticky      = 1 << 16
)

// Kind is what sort of thing a factor is.
type Kind string

// The kinds of factor. Ordinal levels have an order; numeric levels are bins
// with edges, and the concrete value is drawn inside the bin and kept.
const (
	Categorical Kind = "categorical"
	Ordinal     Kind = "ordinal"
	Numeric     Kind = "numeric"
)

// Space is a versioned description of what may vary. Factors are referred to by
// position; a factor stands after the factor that it is conditional on.
type Space struct {
	Name        string   `json:"name"`
	Version     int      `json:"version"`
	Owner       string   `json:"owner,omitempty"`
	Description string   `json:"description,omitempty"`
	Factors     []Factor `json:"factors"`
	// Classes makes the target a mixture: the shares of hidden classes, within each
	// of which the factors that are given the class are independent. They sum to 1,
	// and no scenario shows its class.
	Classes     []float64    `json:"classes,omitempty"`
	Constraints []Constraint `json:"constraints,omitempty"`
	Risks       []Risk       `json:"risks,omitempty"`
	Protected   []Protected  `json:"protected,omitempty"`
	Derived     []Derived    `json:"derived,omitempty"`
	Tasks       []Task       `json:"tasks,omitempty"`
}

// Factor is one thing that varies.
type Factor struct {
	Name   string  `json:"name"`
	Kind   Kind    `json:"kind"`
	Levels []Level `json:"levels"`
	// When makes the factor conditional: it is present only where When holds,
	// and absent (which is not unknown) elsewhere. Nil means always present.
	When *LevelSet `json:"when,omitempty"`
	// Given makes the target of the levels depend on another factor, or on the
	// hidden class. Nil means that it does not.
	Given *Given `json:"given,omitempty"`
	// Scale is how a numeric factor's concrete value is drawn inside its bin, and
	// what its ends mean. Empty is Linear.
	Scale Scale `json:"scale,omitempty"`
	// Pin holds the factor constant in all that is made: the position of the one
	// level that is drawn. The other levels stay, for outcomes observed elsewhere.
	Pin *int `json:"pin,omitempty"`
	// Sticky is for a factor that is expensive to change: so many consecutive
	// indices of a component share its value. 0 and 1 mean that none do.
	Sticky int `json:"sticky,omitempty"`
}

// Level is one value or bin of a factor.
type Level struct {
	Name string `json:"name"`
	// Target is the level's share in deployment, among the scenarios in which
	// the factor is present: >= 0, and the levels of a factor sum to 1. It is 0
	// where the factor's Given has the shares.
	Target float64 `json:"target"`
	// Low and High are the edges of a numeric bin: Low <= value < High. Both are
	// 0 for other kinds.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
}

// LevelSet is the statement that a factor takes one of some levels. It does not
// hold where the factor is absent.
type LevelSet struct {
	Factor int   `json:"factor"`
	Levels []int `json:"levels"` // ascending, distinct
}

// Constraint forbids or requires a slice over level sets: wherever all of When
// hold, all of Then must hold. An empty Then forbids When; an empty When makes
// Then hold everywhere.
type Constraint struct {
	When []LevelSet `json:"when,omitempty"`
	Then []LevelSet `json:"then,omitempty"`
}

// Risk says that failures inside a slice matter Weight times as much as others.
type Risk struct {
	Slice  Slice   `json:"slice"`
	Weight float64 `json:"weight"`
	Reason string  `json:"reason,omitempty"`
}

// Factor returns the position of the named factor, or -1.
func (s *Space) Factor(name string) int {
	for i := range s.Factors {
		if s.Factors[i].Name == name {
			return i
		}
	}
	return -1
}

// Level returns the position of the named level, or -1.
func (f *Factor) Level(name string) int {
	for i := range f.Levels {
		if f.Levels[i].Name == name {
			return i
		}
	}
	return -1
}

// Contains reports whether level is one of the set's.
func (s *LevelSet) Contains(level int) bool {
	if len(s.Levels) > 8 { // a set may have thousands of levels
		_, ok := slices.BinarySearch(s.Levels, level)
		return ok
	}
	for _, l := range s.Levels {
		if l == level {
			return true
		}
	}
	return false
}

// Size is the number of combinations of levels, constraints aside, in which an
// absent factor counts once and a pinned one has one level. It is a float because 1e26 is an ordinary size.
func (s *Space) Size() float64 {
	// Walk the factors from the last to the first: a factor multiplies what
	// stands below its parent's levels. counts[f][l] is the number of
	// combinations of f's descendants when f takes level l.
	below := make([][]float64, len(s.Factors))
	for f := range s.Factors {
		below[f] = make([]float64, len(s.Factors[f].Levels))
		for l := range below[f] {
			below[f][l] = 1
		}
	}
	size := 1.0
	for f := len(s.Factors) - 1; f >= 0; f-- {
		total := 0.0
		for l, n := range below[f] {
			if pin := s.Factors[f].Pin; pin == nil || *pin == l {
				total += n
			}
		}
		when := s.Factors[f].When
		if when == nil {
			size *= total
			continue
		}
		for _, l := range when.Levels {
			below[when.Factor][l] *= total
		}
	}
	return size
}
