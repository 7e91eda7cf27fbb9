package loop

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var namePattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,62}$`)

// ValidName reports whether name may name a space, policy, campaign, model
// line or generator: a letter, then up to 62 letters, digits, '_', '.' or '-'.
func ValidName(name string) bool { return namePattern.MatchString(name) }

const nameRemedy = "a letter, then up to 62 letters, digits, '_', '.' or '-'"

// AbsentName and UnknownName stand for an absent factor and an unknown value in
// text; no level may bear them.
const (
	AbsentName  = "absent"
	UnknownName = "unknown"
)

// Validate checks the space as a whole: names, shares, conditions, constraints
// and that some scenario is feasible. It returns an *Error naming the field.
func (s *Space) Validate() error {
	if !ValidName(s.Name) {
		return refuse("name", "%q is not a name", s.Name).remedy(nameRemedy)
	}
	if len(s.Factors) == 0 {
		return refuse("factors", "a space needs at least one factor")
	}
	for _, c := range []struct {
		field       string
		what        string
		count, most int
	}{
		{"factors", "factors", len(s.Factors), MaxFactors}, {"constraints", "constraints", len(s.Constraints), MaxConstraints},
		{"risks", "risk weights", len(s.Risks), MaxRisks}, {"protected", "protected slices", len(s.Protected), MaxProtected},
		{"derived", "derived labels", len(s.Derived), MaxDerived}, {"tasks", "tasks", len(s.Tasks), MaxTasks},
	} {
		if c.count > c.most {
			return refuse(c.field, "%d %s; at most %d are allowed", c.count, c.what, c.most)
		}
	}
	if err := s.validateClasses(); err != nil {
		return err
	}
	columns := make(columns, len(s.Factors))
	for i := range s.Factors {
		if err := s.validateFactor(i, columns); err != nil {
			return err
		}
	}
	for i, c := range s.Constraints {
		if len(c.When)+len(c.Then) == 0 {
			return refuse(at("constraints", i), "an empty constraint says nothing")
		}
		if len(c.When)+len(c.Then) > MaxSets {
			return refuse(at("constraints", i), "%d level sets; at most %d are allowed", len(c.When)+len(c.Then), MaxSets)
		}
		for _, sets := range [][]LevelSet{c.When, c.Then} {
			for _, set := range sets {
				if err := s.validateSet(at("constraints", i), set); err != nil {
					return err
				}
			}
		}
	}
	for i, r := range s.Risks {
		if err := s.ValidateSlice(at("risks", i)+".slice", r.Slice); err != nil {
			return err
		}
		if !(r.Weight > 0 && r.Weight <= 1e6) {
			return refuse(at("risks", i)+".weight", "%v is not a risk weight", r.Weight).remedy("greater than 0, at most 1e6")
		}
	}
	for i := range s.Derived {
		if err := s.validateDerived(i, columns); err != nil {
			return err
		}
	}
	if err := s.validateTasks(columns); err != nil {
		return err
	}
	if err := s.validateFeasible(); err != nil {
		return err
	}
	return s.validateProtected()
}

func (s *Space) validateFactor(i int, columns columns) error {
	f, field := &s.Factors[i], at("factors", i)
	if err := columns.add(field, "factor", f.Name); err != nil {
		return err
	}
	switch f.Kind {
	case Categorical, Ordinal, Numeric:
	default:
		return refuse(field+".kind", "%q is not a kind", f.Kind).remedy("categorical, ordinal or numeric")
	}
	if len(f.Levels) == 0 {
		return refuse(field+".levels", "factor %q has no levels", f.Name)
	}
	if len(f.Levels) > MaxLevels {
		return refuse(field+".levels", "factor %q has %d levels; at most %d are allowed", f.Name, len(f.Levels), MaxLevels).
			remedy("bin a numeric factor, or group rare values")
	}
	names := make(map[string]bool, len(f.Levels))
	sum := 0.0
	for l, level := range f.Levels {
		here := at(field+".levels", l)
		if err := validateLevelName(here+".name", level.Name); err != nil {
			return err
		}
		switch {
		case names[level.Name]:
			return refuse(here+".name", "factor %q has level %q twice", f.Name, level.Name)
		case !(level.Target >= 0) || math.IsInf(level.Target, 0):
			return refuse(here+".target", "%v is not a share", level.Target).remedy("a finite number >= 0")
		case f.Kind != Numeric && (level.Low != 0 || level.High != 0):
			return refuse(here, "only a numeric factor has edges").remedy("set kind: numeric")
		}
		names[level.Name] = true
		sum += level.Target
	}
	if f.Given == nil && math.Abs(sum-1) > 1e-6 {
		return refuse(field+".levels", "the target shares of factor %q sum to %v", f.Name, sum).remedy("they must sum to 1")
	}
	if err := f.validateScale(field); err != nil {
		return err
	}
	if f.Pin != nil && (*f.Pin < 0 || *f.Pin >= len(f.Levels)) {
		return refuse(field+".pin", "factor %q has no level %d", f.Name, *f.Pin).remedy("pin it to one of its levels")
	}
	if f.Sticky < 0 || f.Sticky > MaxSticky {
		return refuse(field+".sticky", "%d is not a number of consecutive samples", f.Sticky).remedy("0 to %d; 0 and 1 mean that none share a value", MaxSticky)
	}
	if f.When != nil {
		if f.When.Factor < 0 || f.When.Factor >= i {
			return refuse(field+".when", "factor %q is conditional on a factor that does not stand before it", f.Name).
				remedy("move the other factor up")
		}
		if err := s.validateSet(field+".when", *f.When); err != nil {
			return err
		}
	}
	return s.validateGiven(i, field)
}

// validateLevelName refuses a name that no level, of a factor or of a derived
// label, can bear.
func validateLevelName(field, name string) error {
	switch {
	case name == "" || len(name) > 128:
		return refuse(field, "a level's name has 1 to 128 bytes, got %d", len(name))
	case !line(name):
		return refuse(field, "%q is not a line of text", name).remedy("UTF-8 without control characters")
	case name == AbsentName || name == UnknownName:
		return refuse(field, "%q is reserved", name).remedy("it marks a missing value in every table; choose another name")
	}
	return nil
}

// line reports whether text is one line of valid UTF-8.
func line(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// validateScale checks the edges of a numeric factor, and that they fit its
// scale.
func (f *Factor) validateScale(field string) error {
	switch f.Scale {
	case "", Linear, Log, Circular:
	default:
		return refuse(field+".scale", "%q is not a scale", f.Scale).remedy("linear, log or circular")
	}
	if f.Kind != Numeric {
		if f.Scale != "" {
			return refuse(field+".scale", "factor %q is %s; only a numeric factor has a scale", f.Name, f.Kind).
				remedy("give it edges, or remove the scale")
		}
		return nil
	}
	for l := range f.Levels {
		level, here := &f.Levels[l], at(field+".levels", l)
		if !(level.Low < level.High) || math.IsInf(level.High-level.Low, 0) {
			return refuse(here, "the edges %v and %v do not make a bin", level.Low, level.High).remedy("low < high, both finite")
		}
		if f.Scale == Log && !(level.Low >= minLog && level.High <= maxLog) {
			return refuse(here, "the bin from %v to %v has no place on a log scale", level.Low, level.High).
				remedy("edges greater than 0 (%g to %g), or scale: linear", minLog, maxLog)
		}
		if l == 0 {
			continue
		}
		switch previous := f.Levels[l-1].High; {
		case level.Low < previous:
			return refuse(here, "the bin starts at %v, before the one above it ends at %v", level.Low, previous).
				remedy("bins ascend, and do not overlap")
		case level.Low > previous && f.Scale == Circular:
			return refuse(here, "there is a gap from %v to %v in a circular factor", previous, level.Low).
				remedy("every bin starts where the one before it ends")
		}
	}
	if width := f.Levels[len(f.Levels)-1].High - f.Levels[0].Low; f.Scale == Circular && math.IsInf(width, 0) {
		return refuse(field+".levels", "the range of factor %q is too wide to go round", f.Name)
	}
	return nil
}

// Edges on a log scale, such that no ratio of two overflows.
const (
	minLog = 1e-150
	maxLog = 1e150
)

func (s *Space) validateSet(field string, set LevelSet) error {
	if set.Factor < 0 || set.Factor >= len(s.Factors) {
		return refuse(field, "there is no factor %d", set.Factor)
	}
	if len(set.Levels) == 0 {
		return refuse(field, "no level of factor %q is named", s.Factors[set.Factor].Name)
	}
	previous := -1
	for _, l := range set.Levels {
		if l < 0 || l >= len(s.Factors[set.Factor].Levels) {
			return refuse(field, "factor %q has no level %d", s.Factors[set.Factor].Name, l)
		}
		if l <= previous {
			return refuse(field, "the levels of a set are ascending and distinct")
		}
		previous = l
	}
	return nil
}
