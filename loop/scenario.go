package loop

// Code is a factor's value in a coded row: a level's position, or Absent, or
// Unknown.
type Code uint16

// Absent marks a conditional factor where its condition does not hold; Unknown a
// value that nobody recorded. They are not the same, and neither is ever imputed.
const (
	Absent  Code = 0xFFFE
	Unknown Code = 0xFFFF
)

// IsLevel reports whether the code is a level's position.
func (c Code) IsLevel() bool { return c < Absent }

// Scenario is one value for every present factor: a level and, inside the
// level, a 32-bit fraction. Both slices have one entry per factor.
type Scenario struct {
	Codes     []Code   `json:"codes"`
	Fractions []uint32 `json:"fractions"`
}

// Value is the concrete value of a numeric factor in a scenario, by Factor.Value.
func (s *Space) Value(factor int, scenario Scenario) (float64, bool) {
	return s.Factors[factor].Value(scenario.Codes[factor], scenario.Fractions[factor])
}

// Text is a factor's value as tables and JSON show it: a level's name, "absent"
// or "unknown".
func (s *Space) Text(factor int, code Code) string {
	switch {
	case code == Absent:
		return AbsentName
	case int(code) < len(s.Factors[factor].Levels):
		return s.Factors[factor].Levels[code].Name
	default:
		return UnknownName
	}
}
