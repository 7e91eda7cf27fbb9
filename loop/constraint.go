package loop

// feasible reports whether a complete scenario satisfies every constraint.
func (s *Space) feasible(codes []Code) bool {
	for i := range s.Constraints {
		if s.Constraints[i].judge(codes) == violated {
			return false
		}
	}
	return true
}

// judgement is what can be said of a constraint when the codes that are not
// known yet are Unknown.
type judgement byte

const (
	open judgement = iota
	satisfied
	violated
)

// judge judges a constraint. Of a complete scenario it says satisfied or
// violated.
func (c *Constraint) judge(codes []Code) judgement {
	when := conjunction(c.When, codes)
	if when == violated {
		return satisfied
	}
	then := c.then(codes)
	switch {
	case then == satisfied:
		return satisfied
	case when == satisfied:
		return then
	default:
		return open
	}
}

// then judges what the constraint demands; a constraint that forbids demands
// what cannot be.
func (c *Constraint) then(codes []Code) judgement {
	if len(c.Then) == 0 {
		return violated
	}
	return conjunction(c.Then, codes)
}

// conjunction judges whether all sets hold. None does where its factor is
// absent.
func conjunction(sets []LevelSet, codes []Code) judgement {
	all := satisfied
	for i := range sets {
		switch code := codes[sets[i].Factor]; {
		case code == Unknown:
			all = open
		case code == Absent || !sets[i].Contains(int(code)):
			return violated
		}
	}
	return all
}

// sets lists the level sets of both sides.
func (c *Constraint) sets() []LevelSet {
	return append(append([]LevelSet(nil), c.When...), c.Then...)
}
