package loop

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

// Derive gives the level of every derived label, by position, for the codes of
// a scenario. A set does not hold where its factor is absent. Where a factor's
// value is unknown the label is Unknown, too, unless every rule that may yet
// hold, and whatever follows, say the same.
func (s *Space) Derive(codes []Code) []Code {
	levels := make([]Code, len(s.Derived))
	for i := range s.Derived {
		levels[i] = s.Derived[i].level(codes)
	}
	return levels
}

func (d *Derived) level(codes []Code) Code {
	// maybe is what the rules so far say that may hold.
	maybe := Absent
	settle := func(level int) Code {
		if maybe == Absent || maybe == Code(level) {
			return Code(level)
		}
		return Unknown
	}
	for i := range d.Rules {
		rule := &d.Rules[i]
		switch conjunction(rule.When, codes) {
		case satisfied:
			return settle(rule.Level)
		case open:
			if maybe = settle(rule.Level); maybe == Unknown {
				return Unknown
			}
		case violated:
		}
	}
	return settle(d.Otherwise)
}

func (s *Space) validateDerived(i int, columns columns) error {
	d, field := &s.Derived[i], at("derived", i)
	if err := columns.add(field, "derived label", d.Name); err != nil {
		return err
	}
	if len(d.Levels) == 0 || len(d.Levels) > MaxLevels {
		return refuse(field+".levels", "derived label %q has %d levels; 1 to %d are allowed", d.Name, len(d.Levels), MaxLevels)
	}
	names := make(map[string]bool, len(d.Levels))
	for l, name := range d.Levels {
		if err := validateLevelName(at(field+".levels", l), name); err != nil {
			return err
		}
		if names[name] {
			return refuse(at(field+".levels", l), "derived label %q has level %q twice", d.Name, name)
		}
		names[name] = true
	}
	if len(d.Rules) == 0 || len(d.Rules) > MaxRules {
		return refuse(field+".rules", "derived label %q has %d rules; 1 to %d are allowed", d.Name, len(d.Rules), MaxRules)
	}
	for r := range d.Rules {
		rule, here := &d.Rules[r], at(field+".rules", r)
		if len(rule.When) == 0 {
			return refuse(here+".when", "the rule holds everywhere").remedy("say so by otherwise")
		}
		if len(rule.When) > MaxSets {
			return refuse(here+".when", "%d level sets; at most %d are allowed", len(rule.When), MaxSets)
		}
		for _, set := range rule.When {
			if err := s.validateSet(here+".when", set); err != nil {
				return err
			}
		}
		if rule.Level < 0 || rule.Level >= len(d.Levels) {
			return refuse(here+".level", "derived label %q has no level %d", d.Name, rule.Level)
		}
	}
	if d.Otherwise < 0 || d.Otherwise >= len(d.Levels) {
		return refuse(field+".otherwise", "derived label %q has no level %d", d.Name, d.Otherwise)
	}
	return nil
}
