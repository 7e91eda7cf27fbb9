package loop

// maxAcceptanceWork bounds the exact computation of an acceptance, in
// judgements of a constraint: about a second. A space that needs more has
// constraints that entangle too many factors.
const maxAcceptanceWork = 1 << 24

// minAcceptance is the least acceptance of a component: below it, drawing by
// rejection would waste nearly all draws.
const minAcceptance = 1e-3

// feasibility computes how much of a distribution the constraints leave. It
// depends on the space alone, is immutable and safe for concurrent use.
type feasibility struct {
	space  *Space
	groups []entanglement
	mixed  *mixed
}

func (s *Space) feasibility() *feasibility {
	return &feasibility{space: s, groups: s.entangled(), mixed: s.mixed()}
}

// acceptance is the exact probability that a draw from the tree of
// marginals satisfies the constraints: the product over groups of constraints
// that share no factor, each summed over what is left of its joint once levels
// that nothing tells apart are one. It returns an *Error where that is too much.
//
// The groups are independent in each hidden class, so of a mixture it is the sum,
// over the classes, of such products.
func (x *feasibility) acceptance(marginals []Marginal) (float64, error) {
	product := 1.0
	work := 0
	var varying []*acceptor
	for i := range x.groups {
		a := newAcceptor(x.space, &x.groups[i], marginals, &work)
		if a.varies() {
			varying = append(varying, a)
			continue
		}
		p := a.sum(0)
		if work > maxAcceptanceWork {
			return 0, a.refuse()
		}
		product *= p
	}
	if len(varying) == 0 {
		return product, nil
	}
	total := 0.0
	for k := range x.space.Classes {
		p := marginals[x.space.hidden()].share(k)
		for _, a := range varying {
			if p == 0 {
				break
			}
			p *= a.in(k)
			if work > maxAcceptanceWork {
				return 0, a.refuse()
			}
		}
		total += float64(p) // unfused, so that importance weights are the same on any machine
	}
	return product * total, nil
}

// mass is the probability of a slice under the marginals, constraints included.
func (x *feasibility) mass(marginals []Marginal, slice Slice) (float64, error) {
	all, err := x.acceptance(marginals)
	if err != nil || all == 0 {
		return 0, err
	}
	inside, mass := x.space.condition(marginals, slice)
	if inside == nil {
		return 0, nil
	}
	accepted, err := x.acceptance(inside)
	if err != nil {
		return 0, err
	}
	return mass * accepted / all, nil
}

// drawable reports whether a component that fixes the slice can be drawn by
// rejection: it has mass, if only too little for a number, and the constraints leave
// enough of it.
func (x *feasibility) drawable(marginals []Marginal, slice Slice) (bool, error) {
	inside, _ := x.space.condition(marginals, slice)
	if inside == nil {
		return false, nil
	}
	accepted, err := x.acceptance(inside)
	return accepted >= minAcceptance, err
}

// leastMass is the least mass of a slice that a person may ask for: with less its
// samples have importance weights that say nothing.
const leastMass = 1e-100

// inTarget refuses a slice of which nothing can be drawn from the target; otherwise
// says what to do where levels have no share of it.
func (x *feasibility) inTarget(target []Marginal, field string, slice Slice, otherwise string) error {
	if pin := x.space.apart(slice); pin != nil {
		return refuse(field, "%s is never made: the space pins %s", x.space.Describe(slice), x.space.Describe(Slice{*pin})).
			remedy("remove the pin, or the slice")
	}
	drawable, err := x.drawable(target, slice)
	if _, mass := x.space.condition(target, slice); err == nil && (!drawable || mass < leastMass) {
		err = refuse(field, "%s hardly occurs in the target distribution, or the constraints all but forbid it", x.space.Describe(slice)).
			remedy("%s", otherwise)
	}
	return err
}

// acceptor sums over the joint distribution of one group's factors.
type acceptor struct {
	space *Space
	group *entanglement
	// masses[i][r][c] is the mass of class c of the group's i-th factor in its r-th
	// row.
	masses [][][]float64
	codes  []Code
	// known[i] remembers sums over the factors from i on, by all that they depend
	// on. Whichever path arrives first, the sum is the same to the bit.
	known []map[string]float64
	work  *int
	// class is the hidden class that holds, and variants the sums of the group's
	// variants so far, -1 where there is none yet.
	class    int
	variants []float64
}

func newAcceptor(s *Space, g *entanglement, marginals []Marginal, work *int) *acceptor {
	a := &acceptor{space: s, group: g, codes: make([]Code, len(s.Factors)), work: work,
		masses: make([][][]float64, len(g.factors)), known: make([]map[string]float64, len(g.factors)+1)}
	for i := range a.codes {
		a.codes[i] = Unknown
	}
	for i, f := range g.factors {
		levels := s.width(f)
		a.masses[i] = make([][]float64, len(marginals[f])/levels)
		for r := range a.masses[i] {
			row, sums := marginals[f].row(r, levels), make([]uint64, len(g.reps[i]))
			for l, c := range g.class[i] {
				sums[c] += row.mass(l)
			}
			a.masses[i][r] = make([]float64, len(sums))
			for c, sum := range sums {
				a.masses[i][r][c] = float64(sum) / whole
			}
		}
		a.known[i] = make(map[string]float64)
	}
	return a
}

func (a *acceptor) refuse() error {
	return refuse("constraints", "the constraints entangle %d factors too tightly to compute how many scenarios they leave", len(a.group.factors)).
		remedy("use fewer or simpler constraints")
}

// varies reports whether the hidden class has a say in the group.
func (a *acceptor) varies() bool {
	for i, f := range a.group.factors {
		if given := a.space.Factors[f].Given; given != nil && given.Factor == Hidden && len(a.masses[i]) > 1 {
			return true
		}
	}
	return false
}

// in is the sum over the group in a hidden class.
func (a *acceptor) in(class int) float64 {
	if a.variants == nil {
		a.variants = make([]float64, len(a.group.sample))
		for v := range a.variants {
			a.variants[v] = -1
		}
	}
	v := a.group.variant[class]
	if a.variants[v] < 0 {
		a.class = a.group.sample[v]
		for _, known := range a.known {
			clear(known)
		}
		a.variants[v] = a.sum(0)
	}
	return a.variants[v]
}

// sum is the probability that the factors from depth on complete the codes to a
// feasible scenario.
func (a *acceptor) sum(depth int) float64 {
	if *a.work += 1 + len(a.group.live[depth]); *a.work > maxAcceptanceWork {
		return 0
	}
	state, judged := a.judge(depth)
	switch judged {
	case satisfied:
		return 1
	case violated:
		return 0
	case open:
	}
	if p, ok := a.known[depth][string(state)]; ok {
		return p
	}
	total := 0.0
	if masses := a.row(depth); masses == nil {
		total = a.next(depth, Absent)
	} else {
		for c, rep := range a.group.reps[depth] {
			if masses[c] > 0 {
				// Unfused, so that importance weights are the same on any machine.
				total += float64(masses[c] * a.next(depth, Code(rep)))
			}
		}
	}
	a.known[depth][string(state)] = total
	return total
}

// row has the masses of the factor at depth under the codes so far; nil where it
// is absent.
func (a *acceptor) row(depth int) []float64 {
	f, rows := a.group.factors[depth], a.masses[depth]
	if when := a.space.Factors[f].When; when != nil && (a.codes[when.Factor] == Absent || !when.Contains(int(a.codes[when.Factor]))) {
		return nil
	}
	if len(rows) == 1 {
		return rows[0]
	}
	given := a.space.Factors[f].Given
	if given.Factor == Hidden {
		return rows[given.Of[a.class]]
	}
	return rows[given.Of[a.codes[given.Factor]]]
}

// next is the sum over the factors after depth, where the one at depth has a
// code.
func (a *acceptor) next(depth int, code Code) float64 {
	f := a.group.factors[depth]
	a.codes[f] = code
	defer func() { a.codes[f] = Unknown }()
	for _, c := range a.group.ends[depth] {
		if a.space.Constraints[c].judge(a.codes) == violated {
			return 0
		}
	}
	return a.sum(depth + 1)
}

// judge looks at every live constraint under the codes so far. The state is all
// that the factors from depth on need to know of those before.
func (a *acceptor) judge(depth int) (state []byte, all judgement) {
	all = satisfied
	state = make([]byte, 0, 64)
	for _, i := range a.group.live[depth] {
		c := &a.space.Constraints[i]
		judged := c.judge(a.codes)
		switch judged {
		case violated:
			return nil, violated
		case open:
			// Its two sides may yet become satisfied or violated; only a side that
			// already is violated matters to what the other may become.
			all = open
			if c.then(a.codes) == violated {
				judged = violated
			}
		case satisfied:
		}
		state = append(state, byte(judged))
	}
	for _, f := range a.group.parents[depth] {
		state = append(state, byte(a.codes[f]), byte(a.codes[f]>>8))
	}
	return state, all
}

// validateFeasible refuses a space in which no scenario, or hardly any of the
// target, is left by the constraints; and says so where that is for a pin.
func (s *Space) validateFeasible() error {
	err := s.leavesEnough()
	pins := s.pins()
	if err == nil || len(pins) == 0 || s.unpinned().leavesEnough() != nil {
		return err
	}
	return refuse(at("factors", pins[0].Factor)+".pin", "with %s pinned, the constraints leave next to nothing", s.Describe(pins)).
		remedy("pin another level, or change the constraints")
}

func (s *Space) leavesEnough() error {
	x := s.feasibility()
	everywhere, err := x.acceptance(s.baseMarginals(1))
	if err != nil {
		return err
	}
	if everywhere == 0 {
		return refuse("constraints", "the constraints contradict each other: no scenario is feasible").
			remedy("remove one of them; each forbids, or demands, more than the others leave")
	}
	target, err := x.acceptance(s.targetMarginals())
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
	return s.feasibility().mass(s.targetMarginals(), slice)
}
