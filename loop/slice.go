package loop

import (
	"slices"
	"strconv"
	"strings"
)

// MaxOrder is the largest number of predicates in a slice.
const MaxOrder = 6

// Predicate is one condition of a slice: factor = level, both by position.
type Predicate struct {
	Factor int `json:"factor"`
	Level  int `json:"level"`
}

// Slice is a conjunction of predicates over distinct factors, ascending by
// factor. The empty slice is everything.
type Slice []Predicate

// Matches reports whether a coded scenario lies in the slice. A row whose value
// is unknown or absent in one of the slice's factors does not.
func (s Slice) Matches(codes []Code) bool {
	for _, p := range s {
		if codes[p.Factor] != Code(p.Level) {
			return false
		}
	}
	return true
}

// Equal reports whether two slices have the same predicates.
func (s Slice) Equal(t Slice) bool { return slices.Equal(s, t) }

// Level returns the level that the slice fixes for a factor, or -1.
func (s Slice) Level(factor int) int {
	for _, p := range s {
		if p.Factor == factor {
			return p.Level
		}
	}
	return -1
}

// With returns the slice and one more predicate, in order.
func (s Slice) With(p Predicate) Slice {
	out := append(slices.Clone(s), p)
	slices.SortFunc(out, func(a, b Predicate) int { return a.Factor - b.Factor })
	return out
}

// compare orders slices by (order, factors, levels), the order in which ties
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
	return 0
}

// Describe writes the slice in the user's words: "light=low ∧ glove=yes". The
// empty slice is "everything".
func (s *Space) Describe(slice Slice) string {
	if len(slice) == 0 {
		return "everything"
	}
	parts := make([]string, len(slice))
	for i, p := range slice {
		f := &s.Factors[p.Factor]
		parts[i] = f.Name + "=" + f.Levels[p.Level].Name
	}
	return strings.Join(parts, " ∧ ")
}

// Names writes the slice as a mapping from factor to level.
func (s *Space) Names(slice Slice) map[string]string {
	names := make(map[string]string, len(slice))
	for _, p := range slice {
		f := &s.Factors[p.Factor]
		names[f.Name] = f.Levels[p.Level].Name
	}
	return names
}

// ValidateSlice refuses a slice that names no factor or level of the space,
// repeats a factor, has more than MaxOrder predicates, or cannot occur because
// a factor is absent wherever another of its predicates holds.
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
	}
	for _, p := range slice {
		when := s.Factors[p.Factor].When
		if when == nil {
			continue
		}
		if l := slice.Level(when.Factor); l >= 0 && !when.Contains(l) {
			return refuse(field, "%s cannot occur: %q is absent there", s.Describe(slice), s.Factors[p.Factor].Name)
		}
	}
	return nil
}

func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
