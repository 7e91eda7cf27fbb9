package loop

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// MaxOrder is the largest number of predicates in a slice.
const MaxOrder = 6

// Predicate is one condition of a slice: factor = level, both by position; or, where
// the levels have an order, one of a run of adjacent levels.
type Predicate struct {
	Factor int `json:"factor"`
	Level  int `json:"level"`
	// Run is how many levels after Level hold as well; 0: Level alone. A run of all
	// levels is no predicate.
	Run int `json:"run,omitempty"`
}

// Last is the last level for which the predicate holds.
func (p Predicate) Last() int { return p.Level + p.Run }

// Holds reports whether a code is one of the predicate's levels.
func (p Predicate) Holds(code Code) bool { return int(code) >= p.Level && int(code) <= p.Level+p.Run }

// within reports whether every level of the predicate is one of another's.
func (p Predicate) within(q Predicate) bool {
	return p.Factor == q.Factor && p.Level >= q.Level && p.Last() <= q.Last()
}

// Slice is a conjunction of predicates over distinct factors, ascending by
// factor. The empty slice is everything.
type Slice []Predicate

// Matches reports whether a coded scenario lies in the slice. A row whose value
// is unknown or absent in one of the slice's factors does not.
func (s Slice) Matches(codes []Code) bool {
	for _, p := range s {
		if !p.Holds(codes[p.Factor]) {
			return false
		}
	}
	return true
}

// Equal reports whether two slices have the same predicates.
func (s Slice) Equal(t Slice) bool { return slices.Equal(s, t) }

// Within reports whether the slice lies inside another, or is the other: whatever
// the other says of a factor the slice says as well, or more.
func (s Slice) Within(t Slice) bool {
	for _, q := range t {
		if p := s.Of(q.Factor); p == nil || !p.within(q) {
			return false
		}
	}
	return true
}

// Of is what the slice says of a factor, or nil.
func (s Slice) Of(factor int) *Predicate {
	for i := range s {
		if s[i].Factor == factor {
			return &s[i]
		}
	}
	return nil
}

// Level returns the one level that the slice fixes for a factor, or -1.
func (s Slice) Level(factor int) int {
	if p := s.Of(factor); p != nil && p.Run == 0 {
		return p.Level
	}
	return -1
}

// With returns the slice and one more predicate, in order; it takes the place of
// one of the same factor.
func (s Slice) With(p Predicate) Slice {
	out := append(slices.DeleteFunc(slices.Clone(s), func(q Predicate) bool { return q.Factor == p.Factor }), p)
	slices.SortFunc(out, func(a, b Predicate) int { return a.Factor - b.Factor })
	return out
}

// wider orders slices such that one that lies within another comes before it.
func (s Slice) wider(t Slice) int {
	runs := func(s Slice) (n int) {
		for _, p := range s {
			n += p.Run
		}
		return n
	}
	return cmp.Or(len(t)-len(s), runs(s)-runs(t))
}

// compare orders slices by (order, factors, levels, runs), the order in which ties
// are broken.
func (s Slice) compare(t Slice) int {
	if d := len(s) - len(t); d != 0 {
		return d
	}
	for i := range s {
		if d := s[i].Factor - t[i].Factor; d != 0 {
			return d
		}
	}
	for i := range s {
		if d := s[i].Level - t[i].Level; d != 0 {
			return d
		}
	}
	for i := range s {
		if d := s[i].Run - t[i].Run; d != 0 {
			return d
		}
	}
	return 0
}

// Describe writes the slice in the user's words: "light=low ∧ speed=40..60". The
// empty slice is "everything".
func (s *Space) Describe(slice Slice) string {
	if len(slice) == 0 {
		return "everything"
	}
	parts := make([]string, len(slice))
	for i, p := range slice {
		parts[i] = s.Factors[p.Factor].Name + "=" + s.Factors[p.Factor].Spell(p)
	}
	return strings.Join(parts, " ∧ ")
}

// Names writes the slice as a mapping from factor to level, or run of levels.
func (s *Space) Names(slice Slice) map[string]string {
	names := make(map[string]string, len(slice))
	for _, p := range slice {
		names[s.Factors[p.Factor].Name] = s.Factors[p.Factor].Spell(p)
	}
	return names
}

// ValidateSlice refuses a slice that names no factor or level of the space,
// repeats a factor, has more than MaxOrder predicates, a run of levels that have no
// order or of all there are, or cannot occur because a factor is absent wherever
// another of its predicates holds.
func (s *Space) ValidateSlice(field string, slice Slice) error {
	if len(slice) == 0 {
		return refuse(field, "the slice has no predicate")
	}
	if len(slice) > MaxOrder {
		return refuse(field, "the slice has %d predicates; at most %d are allowed", len(slice), MaxOrder)
	}
	return s.validatePredicates(field, slice)
}

// validatePredicates is ValidateSlice for a slice of any length.
func (s *Space) validatePredicates(field string, slice Slice) error {
	previous := -1
	for _, p := range slice {
		if p.Factor <= previous || p.Factor >= len(s.Factors) {
			return refuse(field, "the predicates of a slice name distinct factors of the space, in order")
		}
		previous = p.Factor
		if p.Level < 0 || p.Level >= len(s.Factors[p.Factor].Levels) {
			return refuse(field, "factor %q has no level %d", s.Factors[p.Factor].Name, p.Level)
		}
		if p.Run != 0 {
			if err := s.Factors[p.Factor].validateRun(field, p); err != nil {
				return err
			}
		}
	}
	for _, p := range slice {
		when := s.Factors[p.Factor].When
		if when == nil {
			continue
		}
		if parent := slice.Of(when.Factor); parent != nil && !when.meets(*parent) {
			return refuse(field, "%s cannot occur: %q is absent there", s.Describe(slice), s.Factors[p.Factor].Name)
		}
	}
	return nil
}

func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
