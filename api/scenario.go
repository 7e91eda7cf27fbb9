package api

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"hone/loop"
)

// ReadScenario reads a scenario in the words of its space, as Describe says one:
// a level by factor, a number for a numeric one; null, or left out, where it is not
// known. A factor that another one's level rules out is absent. Numbers are float64
// or json.Number. Each refusal names its factor as the field.
func ReadScenario(space *loop.Space, described map[string]any) (s loop.Scenario, refusals []*loop.Error) {
	s = loop.Scenario{Codes: make([]loop.Code, len(space.Factors)), Fractions: make([]uint32, len(space.Factors))}
	refuse := func(f int, remedy, problem string, args ...any) {
		refusals = append(refusals, &loop.Error{Field: space.Factors[f].Name, Problem: fmt.Sprintf(problem, args...), Remedy: remedy})
	}
	known := 0
	for f := range space.Factors {
		s.Codes[f] = loop.Unknown
		factor := &space.Factors[f]
		value, there := described[factor.Name]
		if there {
			known++
		}
		if value == nil {
			continue
		}
		if code, fraction, ok := ReadLevel(factor, value); ok {
			s.Codes[f], s.Fractions[f] = code, fraction
		} else if factor.Kind == loop.Numeric {
			refuse(f, fmt.Sprintf("a number from %v on and below %v, or null", factor.Levels[0].Low, factor.Levels[len(factor.Levels)-1].High), "%v lies in no bin", value)
		} else {
			refuse(f, "a level's name, or null", "%v is not a level", quoted(value))
		}
	}
	if known < len(described) {
		for name := range described {
			if space.Factor(name) < 0 {
				refusals = append(refusals, &loop.Error{Field: name, Problem: fmt.Sprintf("%q is not a factor of space %q", name, space.Name)})
			}
		}
		slices.SortFunc(refusals, func(a, b *loop.Error) int { return strings.Compare(a.Field, b.Field) })
	}
	// A parent stands before its children.
	for f, code := range s.Codes {
		when := space.Factors[f].When
		if when == nil {
			if code == loop.Absent {
				refuse(f, "null where it is not known", "it is always present")
			}
			continue
		}
		parent := s.Codes[when.Factor]
		if parent == loop.Unknown {
			continue
		}
		present := parent.IsLevel() && when.Contains(int(parent))
		where := space.Factors[when.Factor].Name + "=" + space.Text(when.Factor, parent)
		switch {
		case present && code == loop.Absent:
			refuse(f, "null where it is not known", "it is present where %s", where)
		case !present && code.IsLevel():
			refuse(f, "leave it out", "it is absent where %s, but is said to be %s", where, space.Text(f, code))
		case !present:
			s.Codes[f], s.Fractions[f] = loop.Absent, 0
		}
	}
	return s, refusals
}

// ReadLevel reads one value of a factor: a level's name, a numeric one's number,
// or "absent" or "unknown".
func ReadLevel(factor *loop.Factor, value any) (code loop.Code, fraction uint32, ok bool) {
	switch v := value.(type) {
	case string:
		switch v {
		case loop.AbsentName:
			return loop.Absent, 0, true
		case loop.UnknownName:
			return loop.Unknown, 0, true
		}
		if l := factor.Level(v); l >= 0 && factor.Kind != loop.Numeric {
			return loop.Code(l), 0, true
		}
	case json.Number:
		x, err := v.Float64()
		if err != nil {
			return 0, 0, false
		}
		return ReadLevel(factor, x)
	case float64:
		if code, ok := factor.Code(v); ok && !math.IsNaN(v) {
			return code, factor.Fraction(code, factor.Wrap(v)), true
		}
	}
	return loop.Unknown, 0, false
}

func quoted(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}
