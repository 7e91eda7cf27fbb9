package loop

// pins is every pinned factor at its level.
func (s *Space) pins() Slice {
	var pins Slice
	for f := range s.Factors {
		if pin := s.Factors[f].Pin; pin != nil {
			pins = append(pins, Predicate{Factor: f, Level: *pin})
		}
	}
	return pins
}

// apart is the pin that a slice contradicts: nothing is ever made of such a
// slice. Nil if there is none.
func (s *Space) apart(slice Slice) *Predicate {
	for _, p := range slice {
		if pin := s.Factors[p.Factor].Pin; pin != nil && !p.Holds(Code(*pin)) {
			return &Predicate{Factor: p.Factor, Level: *pin}
		}
	}
	return nil
}

// unpinned is the space without its pins.
func (s *Space) unpinned() *Space {
	free := *s
	free.Factors = append([]Factor(nil), s.Factors...)
	for f := range free.Factors {
		free.Factors[f].Pin = nil
	}
	return &free
}

// made is the evidence on what the space can make: without the lines at other
// levels of a pinned factor. They stay in the evidence object; but what fails
// there says nothing about what is worth making, as nothing can be made there.
func (e *Evidence) reachable(s *Space) *Evidence {
	pins := s.pins()
	if len(pins) == 0 || e.Len() == 0 {
		return e
	}
	out := &Evidence{Learned: e.Learned, Made: e.Made}
	if e.Graded() {
		out.Severity, out.Squares = []int64{}, []int64{}
	}
	for i := range e.Len() {
		outside := false
		for _, p := range pins {
			code := e.Codes[p.Factor][i]
			outside = outside || code.IsLevel() && int(code) != p.Level
		}
		if !outside {
			out.Append(e.line(i))
		}
	}
	return out
}
