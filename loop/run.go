package loop

import (
	"strconv"
	"strings"
)

// runMark stands between the ends of a run of levels: "10..30".
const runMark = ".."

// Spell writes what a predicate says of the factor: the name of a level; of a run
// "low..high", its first and its last level, or of a numeric factor the edges
// between which they lie.
func (f *Factor) Spell(p Predicate) string {
	first, last := &f.Levels[p.Level], &f.Levels[p.Last()]
	switch {
	case p.Run == 0:
		return first.Name
	case f.Kind == Numeric:
		low, _ := first.edges()
		_, high := last.edges()
		return low + runMark + high
	}
	return first.Name + runMark + last.Name
}

// edges are those of a bin as its name, "[low,high)", spells them.
func (l *Level) edges() (low, high string) {
	bin, isBin := strings.CutPrefix(l.Name, "[")
	low, high, both := strings.Cut(strings.TrimSuffix(bin, ")"), ",")
	if is := func(text string, edge float64) bool {
		v, err := strconv.ParseFloat(text, 64)
		return err == nil && v == edge
	}; isBin && both && is(low, l.Low) && is(high, l.High) {
		return low, high
	}
	return strconv.FormatFloat(l.Low, 'g', -1, 64), strconv.FormatFloat(l.High, 'g', -1, 64)
}

// Predicate reads what Spell writes of a factor; the ends of a run may be levels of
// a numeric factor, too. It returns an *Error of the field.
func (s *Space) Predicate(field string, factor int, text string) (Predicate, error) {
	f := &s.Factors[factor]
	p := Predicate{Factor: factor, Level: f.Level(text)}
	if p.Level >= 0 {
		return p, nil
	}
	unknown := func(name string) error {
		return refuse(field, "factor %q has no level %q", f.Name, name).remedy("its levels are %s", listed(len(f.Levels), func(i int) string { return f.Levels[i].Name }))
	}
	missing := text
	for at := range text {
		if !strings.HasPrefix(text[at:], runMark) {
			continue
		}
		// Names may have the mark in them, so every one of them may be it.
		first, last := strings.TrimSpace(text[:at]), strings.TrimSpace(text[at+len(runMark):])
		low, high := f.end(first, func(l *Level) float64 { return l.Low }), f.end(last, func(l *Level) float64 { return l.High })
		switch {
		case low >= 0 && high >= 0 && f.Kind == Categorical:
			return p, refuse(field, "the levels of factor %q have no order, so that none lie between %q and %q", f.Name, first, last).
				remedy("name one level; or make the factor ordinal, if its levels are in order")
		case low > high && high >= 0:
			return p, refuse(field, "%q is not below %q in factor %q", first, last, f.Name).remedy("write the lower end first")
		case low >= 0 && high >= 0:
			return Predicate{Factor: factor, Level: low, Run: high - low}, nil
		case missing == text && low >= 0:
			missing = last
		case missing == text && high >= 0:
			missing = first
		}
	}
	return p, unknown(missing)
}

// end is the level that an end of a run names, by itself or by an edge, or -1.
func (f *Factor) end(text string, edge func(*Level) float64) int {
	if l := f.Level(text); l >= 0 || f.Kind != Numeric {
		return l
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return -1
	}
	for l := range f.Levels {
		if edge(&f.Levels[l]) == v {
			return l
		}
	}
	return -1
}

// ordered reports whether the levels of the factor have an order, and are enough
// for a run that is neither one of them nor all.
func (f *Factor) ordered() bool { return f.Kind != Categorical && len(f.Levels) > 2 }

// validateRun refuses a run that the factor cannot have. Its first level has been
// checked.
func (f *Factor) validateRun(field string, p Predicate) error {
	switch {
	case p.Run < 0 || p.Run >= len(f.Levels)-p.Level:
		return refuse(field, "factor %q has no %d levels from level %d on", f.Name, p.Run+1, p.Level)
	case f.Kind == Categorical:
		return refuse(field, "the levels of factor %q have no order, and so no runs", f.Name).
			remedy("name one level; or make the factor ordinal, if its levels are in order")
	case p.Run == len(f.Levels)-1:
		return refuse(field, "%s is every level of factor %q", f.Spell(p), f.Name).remedy("leave the factor out")
	}
	// A level may bear the name of a run of others.
	alone := Space{Factors: []Factor{*f}}
	if q, err := alone.Predicate(field, 0, f.Spell(p)); err != nil || q.Level != p.Level || q.Run != p.Run {
		return refuse(field, "%q is not the only run of factor %q that reads so", f.Spell(p), f.Name).
			remedy("give its levels names without %q", runMark)
	}
	return nil
}

// meets reports whether one of the predicate's levels is in the set.
func (s *LevelSet) meets(p Predicate) bool {
	for l := p.Level; l <= p.Last(); l++ {
		if s.Contains(l) {
			return true
		}
	}
	return false
}

// set is the levels of the predicate.
func (p Predicate) set() *LevelSet {
	set := &LevelSet{Factor: p.Factor}
	for l := p.Level; l <= p.Last(); l++ {
		set.Levels = append(set.Levels, l)
	}
	return set
}
