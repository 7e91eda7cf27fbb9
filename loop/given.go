package loop

import "math"

// Limits of a target that is not a product. They bound a round's tables, and the
// cost of a density and of an acceptance.
const (
	MaxClasses = 10_000
	MaxTables  = 1 << 17 // shares in the rows of all factors together
)

// Given makes a factor's target depend on the level of a factor before it, or on
// the space's hidden class: in deployment its levels have the shares of one of
// Rows. So the target, and every base, is a tree of p(child given parent).
type Given struct {
	// Factor is the position of the factor that decides, or Hidden.
	Factor int `json:"factor"`
	// Rows are distributions over this factor's levels; each sums to 1.
	Rows [][]float64 `json:"rows"`
	// Of is the position in Rows for each level of the factor that decides, or for
	// each class; None where this factor is absent then.
	Of []int `json:"of"`
}

const (
	// Hidden stands for the space's hidden class, in the place of a factor.
	Hidden = -1
	// None is the row of a level that goes with the factor's absence.
	None = -1
)

// hidden is the hidden class's position among the marginals: after all factors.
func (s *Space) hidden() int { return len(s.Factors) }

// nodes is the number of marginals that a distribution over the space has: one
// for each factor, and one for the classes if there are any.
func (s *Space) nodes() int {
	if len(s.Classes) > 0 {
		return len(s.Factors) + 1
	}
	return len(s.Factors)
}

// width is the number of levels of a factor, or of classes.
func (s *Space) width(node int) int {
	if node == s.hidden() {
		return len(s.Classes)
	}
	return len(s.Factors[node].Levels)
}

// given is the node that a factor's target depends on, or -1.
func (s *Space) given(f int) int {
	switch g := s.Factors[f].Given; {
	case g == nil:
		return -1
	case g.Factor == Hidden:
		return s.hidden()
	default:
		return g.Factor
	}
}

// parents are the factors that a factor's presence or level depends on.
func (s *Space) parents(f int) []int {
	var parents []int
	if when := s.Factors[f].When; when != nil {
		parents = append(parents, when.Factor)
	}
	if g := s.Factors[f].Given; g != nil && g.Factor != Hidden && (len(parents) == 0 || parents[0] != g.Factor) {
		parents = append(parents, g.Factor)
	}
	return parents
}

// validateClasses checks the hidden classes.
func (s *Space) validateClasses() error {
	if len(s.Classes) == 0 {
		return nil
	}
	if len(s.Classes) > MaxClasses {
		return refuse("classes", "%d classes; at most %d are allowed", len(s.Classes), MaxClasses)
	}
	if err := validateShares("classes", "the classes", s.Classes); err != nil {
		return err
	}
	for f := range s.Factors {
		if g := s.Factors[f].Given; g != nil && g.Factor == Hidden {
			return nil
		}
	}
	return refuse("classes", "no factor depends on the class").remedy("say what differs between the classes, or leave them out")
}

// validateShares refuses shares that are no distribution.
func validateShares(field, of string, shares []float64) error {
	sum := 0.0
	for i, share := range shares {
		if !(share >= 0) || math.IsInf(share, 0) {
			return refuse(at(field, i), "%v is not a share", share).remedy("a finite number >= 0")
		}
		sum += share
	}
	if math.Abs(sum-1) > 1e-6 {
		return refuse(field, "the shares of %s sum to %v", of, sum).remedy("they must sum to 1")
	}
	return nil
}

// validateGiven checks what a factor's target depends on. The factors before it
// have been checked.
func (s *Space) validateGiven(i int, field string) error {
	f := &s.Factors[i]
	g := f.Given
	if g == nil {
		return nil
	}
	field += ".given"
	decides := "the class"
	switch {
	case g.Factor == Hidden && len(s.Classes) == 0:
		return refuse(field, "factor %q depends on the class, but the space has no classes", f.Name)
	case g.Factor != Hidden && (g.Factor < 0 || g.Factor >= i):
		return refuse(field, "factor %q is given a factor that does not stand before it", f.Name).remedy("move the other factor up")
	case g.Factor != Hidden:
		decides = "factor " + quoted(s.Factors[g.Factor].Name)
		if !s.presentWith(g.Factor, f) {
			return refuse(field, "factor %q may be absent where factor %q is present", s.Factors[g.Factor].Name, f.Name).
				remedy("give factor %q the same condition, or let it depend on a factor that is always present", f.Name)
		}
	}
	if len(g.Of) != s.width(s.given(i)) {
		return refuse(field, "%d rows are assigned, but %s has %d levels", len(g.Of), decides, s.width(s.given(i)))
	}
	size := 0
	for _, other := range s.Factors[:i+1] {
		if other.Given != nil {
			size += len(other.Given.Rows) * len(other.Levels)
		}
	}
	if size > MaxTables {
		return refuse(field, "the rows of this factor and those before it have %d shares; at most %d are allowed", size, MaxTables).
			remedy("fewer levels or classes, or factors that do not depend on others")
	}
	for r, row := range g.Rows {
		here := at(field+".rows", r)
		if len(row) != len(f.Levels) {
			return refuse(here, "%d shares for the %d levels of factor %q", len(row), len(f.Levels), f.Name)
		}
		if err := validateShares(here, "factor "+quoted(f.Name), row); err != nil {
			return err
		}
	}
	for l, r := range g.Of {
		absent := f.When != nil && f.When.Factor == g.Factor && !f.When.Contains(l)
		if r < None || r >= len(g.Rows) || r == None && !absent {
			return refuse(at(field+".of", l), "factor %q has no row for level %d of %s", f.Name, l, decides)
		}
	}
	for _, level := range f.Levels {
		if level.Target != 0 {
			return refuse(field, "level %q of factor %q has a target share of its own", level.Name, f.Name).
				remedy("give shares once: by level, or by what they depend on")
		}
	}
	return s.validateSteady(i, field)
}

// presentWith reports whether a factor is present wherever another one is, as
// far as their conditions say.
func (s *Space) presentWith(g int, f *Factor) bool {
	need := s.Factors[g].When
	if need == nil {
		return true
	}
	for when := f.When; when != nil; when = s.Factors[when.Factor].When {
		if when.Factor == g {
			return true
		}
		if when.Factor != need.Factor {
			continue
		}
		for _, l := range when.Levels {
			if !need.Contains(l) {
				return false
			}
		}
		return true
	}
	return false
}

// validateSteady refuses a sticky factor whose value would change with what it is
// given, within a block that is to share it.
func (s *Space) validateSteady(i int, field string) error {
	f := &s.Factors[i]
	if f.Sticky <= 1 || f.Pin != nil {
		return nil
	}
	g := s.given(i)
	if g != s.hidden() && s.Factors[g].Pin != nil || s.every(g)%f.Sticky == 0 {
		return nil
	}
	if g == s.hidden() {
		return refuse(field, "sticky factors that depend on the class share their values among %d and among %d samples", f.Sticky, s.every(g)).
			remedy("the greatest must be a multiple of each")
	}
	return refuse(field, "%d samples share a value of factor %q, but not one of factor %q, which decides about it", f.Sticky, f.Name, s.Factors[g].Name).
		remedy("make %q sticky as well, by %d or a multiple", s.Factors[g].Name, f.Sticky)
}

// every is how many consecutive indices share a node's value: of the class, as
// many as of any factor that depends on it.
func (s *Space) every(node int) int {
	if node < s.hidden() {
		return max(1, s.Factors[node].Sticky)
	}
	most := 1
	for f := range s.Factors {
		if s.given(f) == node && s.Factors[f].Pin == nil {
			most = max(most, s.Factors[f].Sticky)
		}
	}
	return most
}

func quoted(name string) string { return `"` + name + `"` }
