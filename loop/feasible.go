package loop

// maxAcceptanceSteps bounds the exact computation of acceptance. A space that
// needs more has constraints that entangle too many factors.
const maxAcceptanceSteps = 1 << 21

// minAcceptance is the least acceptance of a component: below it, drawing by
// rejection would waste nearly all draws.
const minAcceptance = 1e-3

// feasible reports whether a complete scenario satisfies every constraint.
func (s *Space) feasible(codes []Code) bool {
	for i := range s.Constraints {
		if !s.Constraints[i].holds(codes) {
			return false
		}
	}
	return true
}

func (c *Constraint) holds(codes []Code) bool {
	for i := range c.When {
		if set := &c.When[i]; !codes[set.Factor].IsLevel() || !set.Contains(int(codes[set.Factor])) {
			return true
		}
	}
	if len(c.Then) == 0 {
		return false
	}
	for i := range c.Then {
		if set := &c.Then[i]; !codes[set.Factor].IsLevel() || !set.Contains(int(codes[set.Factor])) {
			return false
		}
	}
	return true
}

// acceptance is the exact probability that a draw from the product of
// marginals satisfies the constraints. It groups the levels that no constraint
// and no condition tells apart, splits the constraints into connected groups,
// and sums over what is left of the joint. It returns an *Error where that is
// too much.
func (s *Space) acceptance(marginals []Marginal) (float64, error) {
	product := 1.0
	steps := 0
	for _, group := range s.entangled() {
		a := acceptor{space: s, marginals: marginals, group: group, codes: make([]Code, len(s.Factors)), steps: &steps}
		for i := range a.codes {
			a.codes[i] = Unknown
		}
		p := a.sum(0)
		if steps > maxAcceptanceSteps {
			return 0, refuse("constraints", "the constraints entangle %d factors too tightly to compute how many scenarios they leave", len(group.factors)).
				remedy("use fewer or simpler constraints")
		}
		product *= p
	}
	return product, nil
}

// entanglement is a set of constraints that share factors, directly or through
// conditions, and those factors in order.
type entanglement struct {
	factors     []int
	constraints []int
	// classes[i] lists, for factors[i], a representative of each class of levels
	// that nothing in the group tells apart, and class[i][l] is l's class.
	class [][]int
	reps  [][]int
}

func (s *Space) entangled() []entanglement {
	root := make([]int, len(s.Factors))
	for f := range root {
		root[f] = f
	}
	var find func(int) int
	find = func(f int) int {
		if root[f] != f {
			root[f] = find(root[f])
		}
		return root[f]
	}
	join := func(a, b int) { root[find(max(a, b))] = find(min(a, b)) }
	involved := make([]bool, len(s.Factors))
	for _, c := range s.Constraints {
		sets := append(append([]LevelSet(nil), c.When...), c.Then...)
		for _, set := range sets {
			join(sets[0].Factor, set.Factor)
			// The ancestors decide whether the factor is present at all.
			for f := set.Factor; ; f = s.Factors[f].When.Factor {
				involved[f] = true
				join(f, set.Factor)
				if s.Factors[f].When == nil {
					break
				}
			}
		}
	}
	var groups []entanglement
	position := make(map[int]int)
	for f := range s.Factors {
		if !involved[f] {
			continue
		}
		r := find(f)
		g, ok := position[r]
		if !ok {
			g = len(groups)
			position[r] = g
			groups = append(groups, entanglement{})
		}
		groups[g].factors = append(groups[g].factors, f)
	}
	for i, c := range s.Constraints {
		f := -1
		if len(c.When) > 0 {
			f = c.When[0].Factor
		} else {
			f = c.Then[0].Factor
		}
		g := position[find(f)]
		groups[g].constraints = append(groups[g].constraints, i)
	}
	for g := range groups {
		groups[g].classify(s)
	}
	return groups
}

// classify groups the levels of each factor by which sets contain them.
func (g *entanglement) classify(s *Space) {
	for _, f := range g.factors {
		levels := len(s.Factors[f].Levels)
		signature := make([][]byte, levels)
		mark := func(set *LevelSet) {
			if set == nil || set.Factor != f {
				return
			}
			for l := range signature {
				b := byte('0')
				if set.Contains(l) {
					b = '1'
				}
				signature[l] = append(signature[l], b)
			}
		}
		for _, c := range g.constraints {
			for i := range s.Constraints[c].When {
				mark(&s.Constraints[c].When[i])
			}
			for i := range s.Constraints[c].Then {
				mark(&s.Constraints[c].Then[i])
			}
		}
		for _, child := range g.factors {
			mark(s.Factors[child].When)
		}
		class, reps, known := make([]int, levels), []int(nil), make(map[string]int)
		for l := range levels {
			c, ok := known[string(signature[l])]
			if !ok {
				c = len(reps)
				known[string(signature[l])] = c
				reps = append(reps, l)
			}
			class[l] = c
		}
		g.class, g.reps = append(g.class, class), append(g.reps, reps)
	}
}

type acceptor struct {
	space     *Space
	marginals []Marginal
	group     entanglement
	codes     []Code
	steps     *int
}

// sum is the probability that the factors from depth on complete the codes to a
// feasible scenario.
func (a *acceptor) sum(depth int) float64 {
	if *a.steps++; *a.steps > maxAcceptanceSteps {
		return 0
	}
	switch a.judge() {
	case satisfied:
		return 1
	case violated:
		return 0
	}
	f := a.group.factors[depth]
	defer func() { a.codes[f] = Unknown }()
	if when := a.space.Factors[f].When; when != nil {
		parent := a.codes[when.Factor]
		if !parent.IsLevel() || !when.Contains(int(parent)) {
			a.codes[f] = Absent
			return a.sum(depth + 1)
		}
	}
	masses := make([]uint64, len(a.group.reps[depth]))
	for l, c := range a.group.class[depth] {
		masses[c] += a.marginals[f].mass(l)
	}
	total := 0.0
	for c, rep := range a.group.reps[depth] {
		if masses[c] == 0 {
			continue
		}
		a.codes[f] = Code(rep)
		total += float64(masses[c]) / whole * a.sum(depth+1)
	}
	return total
}

type judgement int

const (
	open judgement = iota
	satisfied
	violated
)

// judge looks at every constraint of the group under the codes so far.
func (a *acceptor) judge() judgement {
	all := satisfied
	for _, c := range a.group.constraints {
		switch a.space.Constraints[c].judge(a.codes) {
		case violated:
			return violated
		case open:
			all = open
		}
	}
	return all
}

func (c *Constraint) judge(codes []Code) judgement {
	when := conjunction(c.When, codes)
	if when == violated {
		return satisfied
	}
	then := violated
	if len(c.Then) > 0 {
		then = conjunction(c.Then, codes)
	}
	switch {
	case then == satisfied:
		return satisfied
	case when == satisfied:
		return then
	default:
		return open
	}
}

// conjunction judges whether all sets hold under partial codes.
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

// validateFeasible refuses a space in which no scenario, or hardly any of the
// target, is left by the constraints.
func (s *Space) validateFeasible() error {
	everywhere, err := s.acceptance(s.baseMarginals(1))
	if err != nil {
		return err
	}
	if everywhere == 0 {
		return refuse("constraints", "the constraints contradict each other: no scenario is feasible").
			remedy("remove one of them; each forbids, or demands, more than the others leave")
	}
	target, err := s.acceptance(s.targetMarginals())
	if err != nil {
		return err
	}
	if target < minAcceptance {
		return refuse("constraints", "the constraints leave %.2g of the target distribution; at least %g is needed", target, minAcceptance).
			remedy("give forbidden levels a smaller target share")
	}
	return nil
}

// Mass is the probability of a slice under the space's target distribution,
// constraints included.
func (s *Space) Mass(slice Slice) (float64, error) {
	return s.mass(s.targetMarginals(), slice)
}

func (s *Space) mass(marginals []Marginal, slice Slice) (float64, error) {
	all, err := s.acceptance(marginals)
	if err != nil || all == 0 {
		return 0, err
	}
	inside, mass := s.condition(marginals, slice)
	if inside == nil {
		return 0, nil
	}
	accepted, err := s.acceptance(inside)
	if err != nil {
		return 0, err
	}
	return mass * accepted / all, nil
}
