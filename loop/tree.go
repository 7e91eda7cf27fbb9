package loop

// A distribution over a space's scenarios, constraints aside, is a tree of
// marginals: p(level given the level of what the factor depends on), and p(class).

// row is a marginal's r-th row, of so many levels.
func (m Marginal) row(r, levels int) Marginal {
	if len(m) == levels {
		return m
	}
	return m[r*levels : (r+1)*levels]
}

// each is the marginal with another row in the place of each of its rows.
func (m Marginal) each(levels int, other func(r int, row Marginal) Marginal) Marginal {
	out := make(Marginal, 0, len(m))
	for r := range len(m) / levels {
		out = append(out, other(r, m.row(r, levels))...)
	}
	return out
}

// row is what a factor is drawn from where the factors before it have these
// codes and the class is that one; nil where the factor cannot be present so.
func (s *Space) row(marginals []Marginal, f int, codes []Code, class int) Marginal {
	levels := len(s.Factors[f].Levels)
	if len(marginals[f]) == levels {
		return marginals[f]
	}
	g := s.Factors[f].Given
	if g.Factor != Hidden {
		if class = int(codes[g.Factor]); class >= len(g.Of) {
			return nil
		}
	}
	if g.Of[class] == None {
		return nil
	}
	return marginals[f].row(g.Of[class], levels)
}

// checkMarginals refuses what is no tree over the space.
func (s *Space) checkMarginals(marginals []Marginal) error {
	if len(marginals) != s.nodes() {
		return refuse("round", "%d marginals for a space of %d factors", len(marginals), len(s.Factors))
	}
	for f, m := range marginals {
		levels := s.width(f)
		valid := len(m) == levels
		if f < s.hidden() && s.Factors[f].Given != nil {
			valid = valid || len(m) == levels*len(s.Factors[f].Given.Rows)
		}
		for r := 0; valid && r < len(m); r += levels {
			valid = m[r : r+levels].valid()
		}
		if !valid && f == s.hidden() {
			return refuse("round", "the marginal of the classes is not one of so many")
		}
		if !valid {
			return refuse("round", "the marginals of factor %q are not those of its levels", s.Factors[f].Name)
		}
	}
	return nil
}

// targetMarginals quantises the space's target.
func (s *Space) targetMarginals() []Marginal { return s.baseMarginals(0) }

// baseMarginals leans the target towards uniform, every row of it and the classes:
// (1-floor)·target + floor/L. A pinned factor has all its mass on one level,
// whatever target and floor say.
func (s *Space) baseMarginals(floor float64) []Marginal {
	marginals := make([]Marginal, s.nodes())
	for f := range s.Factors {
		factor := &s.Factors[f]
		switch {
		case factor.Pin != nil:
			marginals[f] = fixed(len(factor.Levels), *factor.Pin)
		case factor.Given == nil:
			marginals[f] = lean(len(factor.Levels), floor, func(l int) float64 { return factor.Levels[l].Target })
		case floor == 1:
			marginals[f] = lean(len(factor.Levels), floor, func(int) float64 { return 0 })
		default:
			marginals[f] = make(Marginal, 0, len(factor.Given.Rows)*len(factor.Levels))
			for _, row := range factor.Given.Rows {
				marginals[f] = append(marginals[f], lean(len(row), floor, func(l int) float64 { return row[l] })...)
			}
		}
	}
	if len(s.Classes) > 0 {
		marginals[s.hidden()] = lean(len(s.Classes), floor, func(k int) float64 { return s.Classes[k] })
	}
	return marginals
}

// lean quantises shares leant towards uniform.
func lean(levels int, floor float64, share func(l int) float64) Marginal {
	weights := make([]float64, levels)
	for l := range weights {
		// The conversion forbids a fused multiply-add, which some architectures
		// would make of this: rounds of a base alone are the same on all.
		weights[l] = float64((1-floor)*share(l)) + floor/float64(levels)
	}
	return quantise(weights)
}

// condition fixes the slice's predicates in a copy of the marginals, and
// restricts the factors that they depend on to the levels where they are
// present; what decides about a fixed factor becomes as likely as that makes it,
// by Bayes' rule. mass is the unconstrained probability of all that. It returns
// nil where the slice has no mass.
func (s *Space) condition(marginals []Marginal, slice Slice) (out []Marginal, mass float64) {
	c := conditioning{space: s, out: append([]Marginal(nil), marginals...), mass: 1,
		needed: make([]bool, s.nodes()), likely: make([][]float64, s.nodes())}
	for i := len(slice) - 1; i >= 0; i-- {
		if !c.fix(slice[i]) {
			return nil, 0
		}
	}
	if !c.rise() {
		return nil, 0
	}
	return c.out, c.mass
}

// conditioning is one run of condition: what is known of a factor's level rises
// as a likelihood to what it depends on. As a factor is present wherever what is
// given it is, what rises to the one that it is conditional on (that it is
// present) and to the one that it is given (how likely that makes its levels) are
// two functions, of one of them each; so the outcome is a tree of the same form,
// and exact, also where a factor depends on two.
type conditioning struct {
	space *Space
	out   []Marginal
	mass  float64
	// needed says that a factor must be present.
	needed []bool
	// likely is how likely each level of a node makes what is known of those that
	// depend on it, and of itself; nil where all are alike.
	likely [][]float64
}

// fix takes a predicate up.
func (c *conditioning) fix(p Predicate) bool {
	levels := c.space.width(p.Factor)
	c.needed[p.Factor] = true
	if m := c.out[p.Factor]; len(m) > levels {
		c.only(p.Factor, func(l int) bool { return p.Holds(Code(l)) })
		return true
	}
	if p.Run > 0 {
		return c.restrict(p.Factor, p.set())
	}
	c.mass *= c.out[p.Factor].share(p.Level)
	if c.out[p.Factor].mass(p.Level) == 0 {
		return false
	}
	c.out[p.Factor] = fixed(levels, p.Level)
	return true
}

// rise settles one node after another. A factor comes after what it depends on,
// so one pass settles whole chains.
func (c *conditioning) rise() bool {
	s := c.space
	for f := s.hidden() - 1; f >= 0; f-- {
		if !c.needed[f] {
			continue
		}
		if c.likely[f] != nil && !c.settle(f) {
			return false
		}
		when := s.Factors[f].When
		if when == nil {
			continue
		}
		parent := when.Factor
		c.needed[parent] = true
		if len(c.out[parent]) > len(s.Factors[parent].Levels) {
			c.only(parent, when.Contains)
			continue
		}
		if !c.restrict(parent, when) {
			return false
		}
	}
	return len(s.Classes) == 0 || c.likely[s.hidden()] == nil || c.settle(s.hidden())
}

// restrict rules all but the levels of a set out, of a node of one row.
func (c *conditioning) restrict(node int, set *LevelSet) bool {
	total := uint64(0)
	for _, l := range set.Levels {
		total += c.out[node].mass(l)
	}
	c.mass *= float64(total) / whole
	c.out[node] = c.out[node].restrict(set)
	return c.out[node] != nil
}

// only rules all but some levels of a node out.
func (c *conditioning) only(node int, some func(l int) bool) {
	if c.likely[node] == nil {
		c.likely[node] = ones(c.space.width(node))
	}
	for l := range c.likely[node] {
		if !some(l) {
			c.likely[node][l] = 0
		}
	}
}

// settle weighs a node's rows with the likelihood of its levels. What its rows
// have in common is part of the mass; what they differ in rises.
func (c *conditioning) settle(node int) bool {
	s, levels, likely := c.space, c.space.width(node), c.likely[node]
	rows := len(c.out[node]) / levels
	possible := make([]float64, rows) // the probability of what is known, by row
	weighed := make(Marginal, 0, len(c.out[node]))
	weights := make([]float64, levels)
	for r := range rows {
		row := c.out[node].row(r, levels)
		for l := range weights {
			weights[l] = float64(row.share(l) * likely[l]) // unfused, as above
			possible[r] += weights[l]
		}
		if possible[r] == 0 { // whatever leads here has become impossible
			weighed = append(weighed, row...)
			continue
		}
		weighed = append(weighed, quantise(weights)...)
	}
	c.out[node] = weighed
	if rows == 1 {
		c.mass *= possible[0]
		return possible[0] > 0
	}
	parent := s.given(node)
	if parent < s.hidden() {
		c.needed[parent] = true
	}
	if c.likely[parent] == nil {
		c.likely[parent] = ones(s.width(parent))
	}
	for l, r := range s.Factors[node].Given.Of {
		if r == None {
			c.likely[parent][l] = 0
		} else {
			c.likely[parent][l] *= possible[r]
		}
	}
	return true
}

func ones(n int) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = 1
	}
	return all
}

// Shares are the shares that a tree over the space gives to each factor's levels,
// among the scenarios in which the factor is present, constraints aside. They are
// nil for what is no tree over the space.
func (s *Space) Shares(marginals []Marginal) [][]float64 {
	if s.checkMarginals(marginals) != nil {
		return nil
	}
	shares := make([][]float64, s.nodes())
	for f := range shares {
		shares[f] = s.shares(marginals, f)
	}
	return shares[:len(s.Factors)]
}

// shares are those of one node.
func (s *Space) shares(marginals []Marginal, node int) []float64 {
	levels := s.width(node)
	shares := make([]float64, levels)
	if len(marginals[node]) == levels {
		for l := range shares {
			shares[l] = marginals[node].share(l)
		}
		return shares
	}
	// Among the scenarios in which this factor is present the one that decides may
	// have other shares than elsewhere.
	c := conditioning{space: s, out: append([]Marginal(nil), marginals...), mass: 1,
		needed: make([]bool, s.nodes()), likely: make([][]float64, s.nodes())}
	c.needed[node] = true
	if !c.rise() {
		return shares
	}
	for l, p := range s.shares(c.out, s.given(node)) {
		r := s.Factors[node].Given.Of[l]
		if p == 0 || r == None {
			continue
		}
		row := c.out[node].row(r, levels)
		for l := range shares {
			shares[l] += float64(p * row.share(l))
		}
	}
	return shares
}
