package loop

// Census is what can be said of a space before anything is drawn from it.
type Census struct {
	// Scenarios is the number of combinations of levels, constraints aside.
	Scenarios float64
	// Target and Uniform are the shares of draws from the target distribution, and
	// from one in which all levels of a factor are equally likely, that satisfy
	// the constraints.
	Target, Uniform float64
	// Levels has, for each factor and level, the level's share of deployment among
	// all scenarios, constraints included: where a factor may be absent its levels
	// sum to less than 1.
	Levels [][]float64
	// Idle are the constraints, by position, that nothing in the target violates.
	Idle []int
}

// Census counts a space that is valid. It returns an *Error where the
// constraints entangle too many factors.
func (s *Space) Census() (Census, error) {
	x, target := s.feasibility(), s.targetMarginals()
	c := Census{Scenarios: s.Size(), Levels: make([][]float64, len(s.Factors))}
	var err error
	if c.Target, err = x.acceptance(target); err != nil {
		return Census{}, err
	}
	if c.Uniform, err = x.acceptance(s.baseMarginals(1)); err != nil {
		return Census{}, err
	}
	entangled := make([]bool, s.nodes())
	for i := range x.groups {
		for _, f := range x.groups[i].factors {
			entangled[f] = true
		}
		if x.groups[i].variant != nil {
			entangled[s.hidden()] = true
		}
	}
	shares := s.Shares(target)
	for f := range s.Factors {
		// A factor that no constraint touches, nor what it depends on, has the shares
		// that it was given.
		if s.untouched(f, entangled) {
			c.Levels[f] = shares[f]
			continue
		}
		c.Levels[f] = make([]float64, len(s.Factors[f].Levels))
		for l := range c.Levels[f] {
			slice := Slice{{Factor: f, Level: l}}
			if c.Levels[f][l], err = x.mass(target, slice); err != nil {
				return Census{}, err
			}
		}
	}
	for i := range s.Constraints {
		without := *s
		without.Constraints = s.Constraints[i : i+1]
		alone, err := without.feasibility().acceptance(target)
		if err != nil {
			return Census{}, err
		}
		if alone == 1 {
			c.Idle = append(c.Idle, i)
		}
	}
	return c, nil
}

// untouched reports whether a node is always present and free of entanglement,
// as is all that it is given.
func (s *Space) untouched(node int, entangled []bool) bool {
	if entangled[node] {
		return false
	}
	if node == s.hidden() {
		return true
	}
	given := s.given(node)
	return s.Factors[node].When == nil && (given < 0 || s.untouched(given, entangled))
}

// Draw draws n scenarios of a slice, which may be everything, as deployment is,
// by their indices, from a seed.
func (s *Space) Draw(slice Slice, n int, seed uint64) ([]Scenario, error) {
	r := Round{Campaign: s.Name, Number: 1, Seed: seed, Base: s.targetMarginals(), Target: s.targetMarginals(),
		Components: []Component{{Domain: Evaluation, Over: OverTarget, Slice: slice, Share: whole, Quota: uint64(n), Source: SourcePinned}}}
	sampler, err := NewSampler(s, &r)
	if err != nil {
		return nil, err
	}
	scenarios := make([]Scenario, n)
	for i := range scenarios {
		if scenarios[i], err = sampler.Scenario(Evaluation, 0, uint64(i)); err != nil {
			return nil, err
		}
	}
	return scenarios, nil
}
