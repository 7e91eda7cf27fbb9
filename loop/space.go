package loop

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a space. They bound memory and the cost of a decision, and keep a
// hostile document from naming a space that nothing could hold.
const (
	MaxFactors     = 256
	MaxLevels      = 10_000
	MaxConstraints = 1_000
	MaxSets        = 64 // of a constraint, both sides together
	MaxRisks       = 1_000
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
	Name        string       `json:"name"`
	Version     int          `json:"version"`
	Owner       string       `json:"owner,omitempty"`
	Description string       `json:"description,omitempty"`
	Factors     []Factor     `json:"factors"`
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

// Scale is the scale of a numeric factor.
type Scale string

// The scales. On a circular one, such as an angle, the last bin borders on the
// first, and observed values are taken modulo the range.
const (
	Linear   Scale = "linear"
	Log      Scale = "log"
	Circular Scale = "circular"
)

// Level is one value or bin of a factor.
type Level struct {
	Name string `json:"name"`
	// Target is the level's share in deployment, among the scenarios in which
	// the factor is present: >= 0, and the levels of a factor sum to 1.
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

// Protected is a slice that never gets less than Share of a training mixture,
// whatever the evidence says.
type Protected struct {
	Slice  Slice   `json:"slice"`
	Share  float64 `json:"share"`
	Reason string  `json:"reason,omitempty"`
}

// Derived is a label that follows from the factors and is never drawn itself:
// the level of the first rule whose sets all hold, or else Otherwise.
type Derived struct {
	Name      string        `json:"name"`
	Levels    []string      `json:"levels"`
	Rules     []DerivedRule `json:"rules"`
	Otherwise int           `json:"otherwise"`
}

// DerivedRule gives a derived label the level, by position, where When holds.
type DerivedRule struct {
	When  []LevelSet `json:"when"`
	Level int        `json:"level"`
}

// Column is one factor as a column of a table.
type Column struct {
	Name   string
	Factor int
	// Kind is Categorical, Ordinal or Numeric: text for the first two, for a
	// numeric factor the concrete value.
	Kind Kind
	// Levels are the names that the column may take, in order.
	Levels []string
}

// Columns names one column per factor, in factor order. It is the one source of
// factor column names, for parts, tables, and files that users post.
func (s *Space) Columns() []Column {
	columns := make([]Column, len(s.Factors))
	for i, f := range s.Factors {
		names := make([]string, len(f.Levels))
		for l, level := range f.Levels {
			names[l] = level.Name
		}
		columns[i] = Column{Name: f.Name, Factor: i, Kind: f.Kind, Levels: names}
	}
	return columns
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
// absent factor counts once. It is a float because 1e26 is an ordinary size.
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
		for _, n := range below[f] {
			total += n
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

var namePattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,62}$`)

// ValidName reports whether name may name a space, policy, campaign, model
// line or generator: a letter, then up to 62 letters, digits, '_', '.' or '-'.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// reserved are the column names that tables already use beside the factors.
var reserved = map[string]bool{
	"digest": true, "campaign": true, "round": true, "component": true, "domain": true, "index": true,
	"attempt": true, "seed": true, "importance_weight": true, "split": true, "worker": true,
	"generator": true, "committed_at": true, "example": true, "group": true, "sample": true,
	"model_line": true, "model_version": true, "task": true, "metric": true, "eval_set": true,
	"origin": true, "run": true, "correct": true, "loss": true, "source": true, "sequence": true,
	"pack": true, "offset": true, "length": true, "posted_at": true, "millis": true, "scores": true,
	"gate": true, "reason": true, "judged_at": true,
}

// levelSuffix makes the name of the column that holds a numeric factor's level
// beside the column of its value.
const levelSuffix = "__level"

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
		return refuse("name", "%q is not a name", s.Name).remedy("a letter, then up to 62 letters, digits, '_', '.' or '-'")
	}
	if len(s.Factors) == 0 {
		return refuse("factors", "a space needs at least one factor")
	}
	if len(s.Factors) > MaxFactors {
		return refuse("factors", "%d factors; at most %d are allowed", len(s.Factors), MaxFactors)
	}
	seen := make(map[string]int, len(s.Factors))
	for i := range s.Factors {
		if err := s.validateFactor(i, seen); err != nil {
			return err
		}
	}
	if len(s.Constraints) > MaxConstraints {
		return refuse("constraints", "%d constraints; at most %d are allowed", len(s.Constraints), MaxConstraints)
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
	if len(s.Risks) > MaxRisks {
		return refuse("risks", "%d risk weights; at most %d are allowed", len(s.Risks), MaxRisks)
	}
	for i, r := range s.Risks {
		if err := s.ValidateSlice(at("risks", i)+".slice", r.Slice); err != nil {
			return err
		}
		if !(r.Weight > 0 && r.Weight <= 1e6) {
			return refuse(at("risks", i)+".weight", "%v is not a risk weight", r.Weight).remedy("greater than 0, at most 1e6")
		}
	}
	return s.validateFeasible()
}

func (s *Space) validateFactor(i int, seen map[string]int) error {
	f, field := &s.Factors[i], at("factors", i)
	switch {
	case !columnPattern.MatchString(f.Name):
		return refuse(field+".name", "%q is not a factor name", f.Name).
			remedy("a letter, then up to 62 letters, digits or '_': it becomes a column")
	case strings.HasSuffix(strings.ToLower(f.Name), levelSuffix):
		return refuse(field+".name", "%q ends as the level columns of numeric factors do", f.Name).remedy("choose another name")
	// SQL does not tell Light from light, so two such columns could not stand in
	// one table.
	case reserved[strings.ToLower(f.Name)]:
		return refuse(field+".name", "%q is the name of a column that every table has", f.Name).remedy("choose another name")
	}
	if j, ok := seen[strings.ToLower(f.Name)]; ok {
		return refuse(field+".name", "%q is already the name of factors[%d]", f.Name, j).remedy("upper and lower case are not told apart")
	}
	seen[strings.ToLower(f.Name)] = i
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
		switch {
		case level.Name == "" || len(level.Name) > 128:
			return refuse(here+".name", "a level's name has 1 to 128 bytes, got %d", len(level.Name))
		case !utf8.ValidString(level.Name) || strings.ContainsFunc(level.Name, unicode.IsControl):
			return refuse(here+".name", "%q is not a line of text", level.Name).remedy("UTF-8 without control characters")
		case level.Name == AbsentName || level.Name == UnknownName:
			return refuse(here+".name", "%q is reserved", level.Name).remedy("it marks a missing value in every table; choose another name")
		case names[level.Name]:
			return refuse(here+".name", "factor %q has level %q twice", f.Name, level.Name)
		case !(level.Target >= 0) || math.IsInf(level.Target, 0):
			return refuse(here+".target", "%v is not a share", level.Target).remedy("a finite number >= 0")
		case f.Kind == Numeric && !(level.Low < level.High && !math.IsInf(level.Low, 0) && !math.IsInf(level.High, 0)):
			return refuse(here, "the edges %v and %v do not make a bin", level.Low, level.High).remedy("low < high, both finite")
		case f.Kind != Numeric && (level.Low != 0 || level.High != 0):
			return refuse(here, "only a numeric factor has edges").remedy("set kind: numeric")
		}
		names[level.Name] = true
		sum += level.Target
	}
	if math.Abs(sum-1) > 1e-6 {
		return refuse(field+".levels", "the target shares of factor %q sum to %v", f.Name, sum).remedy("they must sum to 1")
	}
	if f.When != nil {
		if f.When.Factor < 0 || f.When.Factor >= i {
			return refuse(field+".when", "factor %q is conditional on a factor that does not stand before it", f.Name).
				remedy("move the other factor up")
		}
		return s.validateSet(field+".when", *f.When)
	}
	return nil
}

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

var columnPattern = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)
