package loop

import "math"

// maxDraws bounds the draws for one scenario. With an acceptance of at least
// minAcceptance, all of them fail with odds of e^-65.
const maxDraws = 1 << 16

// Sampler expands the indices of a round into scenarios, and knows the exact
// density of its mixture. It is immutable and safe for concurrent use.
type Sampler struct {
	space *Space
	round *Round
	parts []part
	// places finds a part by its name.
	places map[place]int
	// train indexes the parts of the training mixture.
	train  []int
	target part
}

type place struct {
	domain Domain
	number int
}

// part is a component made ready to draw from.
type part struct {
	space     *Space
	component *Component
	marginals []Marginal
	fixed     Slice
	// classes are the shares of the hidden classes, in the order of mixed; nil where
	// nothing depends on the class.
	mixed   *mixed
	classes []float64
	// keys seed the sequence of each factor, and of the class; redraw that of
	// rejected draws.
	keys   []uint64
	redraw uint64
	// sticky says how each factor's value is shared; nil where none is.
	sticky []stickiness
	// acceptance is the mass that the constraints leave.
	acceptance float64
	// rows are the parts of a coverage, which is nothing else.
	rows []part
}

// NewSampler prepares the round's components. It returns an *Error if the round
// does not fit the space, or leaves a component with next to no feasible
// scenario.
func NewSampler(s *Space, r *Round) (*Sampler, error) {
	for _, marginals := range r.marginals() {
		if err := s.checkMarginals(marginals); err != nil {
			return nil, err
		}
	}
	x := s.feasibility()
	sampler := &Sampler{space: s, round: r, parts: make([]part, len(r.Components)), places: make(map[place]int, len(r.Components))}
	for i := range r.Components {
		c := &r.Components[i]
		p, err := newPart(x, r, c)
		if err != nil {
			return nil, err
		}
		sampler.parts[i] = p
		if _, twice := sampler.places[place{c.Domain, c.Number}]; twice {
			return nil, refuse("round", "two %s components have the number %d", c.Domain, c.Number)
		}
		sampler.places[place{c.Domain, c.Number}] = i
		if c.Domain == Train {
			sampler.train = append(sampler.train, i)
		}
	}
	target, err := newPart(x, r, &Component{Domain: Evaluation, Over: OverTarget})
	if err != nil {
		return nil, err
	}
	sampler.target = target
	return sampler, nil
}

func newPart(x *feasibility, r *Round, c *Component) (part, error) {
	if len(c.Cover) > 0 {
		p := part{space: x.space, component: c, rows: make([]part, len(c.Cover))}
		for i, slice := range c.Cover {
			row := *c
			row.Slice, row.Cover = slice, nil
			var err error
			if p.rows[i], err = newPart(x, r, &row); err != nil {
				return part{}, err
			}
		}
		return p, nil
	}
	if c.Canary && r.Canary == nil {
		return part{}, refuse("round", "a component is of a canary, which the round has not")
	}
	s, over := x.space, r.over(c)
	if over == nil {
		return part{}, refuse("round", "a component is over the %s, which the round has not", c.Over)
	}
	fixed := c.Fixed()
	for _, p := range fixed {
		if p.Factor < 0 || p.Factor >= len(s.Factors) || p.Level < 0 || p.Run < 0 || p.Run >= len(s.Factors[p.Factor].Levels)-p.Level {
			return part{}, refuse("round", "a component fixes levels %d to %d of factor %d, which the space does not have", p.Level, p.Last(), p.Factor)
		}
	}
	marginals, _ := s.condition(over, fixed)
	if marginals == nil {
		return part{}, refuse("round", "component %s has no mass", s.Describe(fixed))
	}
	acceptance, err := x.acceptance(marginals)
	if err != nil {
		return part{}, err
	}
	if acceptance < minAcceptance {
		return part{}, refuse("round", "the constraints leave %.2g of component %s", acceptance, s.Describe(fixed)).
			remedy("at least %g is needed", minAcceptance)
	}
	base := hashInts("hone/sequence/1", r.Seed, uint64(c.Domain), uint64(r.Number), uint64(c.Number))
	p := part{space: s, component: c, marginals: marginals, fixed: fixed, acceptance: acceptance, redraw: mix(base)}
	p.mixed, p.classes = x.mixed, x.mixed.shares(s, marginals)
	p.keys = make([]uint64, s.nodes())
	for f := range p.keys {
		p.keys[f] = mix(base + uint64(f) + 1)
	}
	p.sticky = x.sticky()
	return p, nil
}

// Scenario is the scenario of an index of a component: the same on any machine,
// whatever the attempt. Among any run of indices every factor is balanced, a
// sticky one among the blocks that share its value; one that is given another is
// as far as it does not depend on it. The index may be any below
// MaxQuota. It returns an *Error for a component that the round does not have.
func (s *Sampler) Scenario(domain Domain, component int, index uint64) (Scenario, error) {
	p := s.part(domain, component)
	if p == nil {
		return Scenario{}, refuse("component", "round %d has no %s component %d", s.round.Number, domain, component)
	}
	if index >= MaxQuota {
		return Scenario{}, refuse("index", "%d is beyond any quota", index)
	}
	return s.draw(p, uint32(index))
}

// draw takes every factor's value from a sequence of its own, again and again
// until the constraints are met.
func (s *Sampler) draw(p *part, index uint32) (Scenario, error) {
	if len(p.rows) > 0 {
		return s.draw(p.row(index), index)
	}
	out := Scenario{Codes: make([]Code, len(s.space.Factors)), Fractions: make([]uint32, len(s.space.Factors))}
	for try := range uint64(maxDraws) {
		class := 0
		if len(s.space.Classes) > 0 {
			class, _ = p.marginals[s.space.hidden()].at(p.point(s.space.hidden(), index, try))
		}
		for f := range s.space.Factors {
			out.Codes[f], out.Fractions[f] = Absent, 0
			if when := s.space.Factors[f].When; when != nil {
				if parent := out.Codes[when.Factor]; !parent.IsLevel() || !when.Contains(int(parent)) {
					continue
				}
			}
			level, fraction := s.space.row(p.marginals, f, out.Codes, class).at(p.point(f, index, try))
			out.Codes[f], out.Fractions[f] = Code(level), fraction
		}
		if s.space.feasible(out.Codes) {
			return out, nil
		}
	}
	return Scenario{}, refuse("component", "no feasible scenario among %d draws of %s", maxDraws, s.space.Describe(p.fixed))
}

// row is the part of a coverage that an index is of: each in turn where samples
// are made to complete it, and by lot where it is evaluated as part of a mixture.
func (p *part) row(index uint32) *part {
	n := uint64(len(p.rows))
	if p.component.Domain == Train {
		return &p.rows[uint64(index)%n]
	}
	return &p.rows[uint64(point(mix(p.rows[0].redraw+1), index))*n>>32]
}

// point is where a try at an index stands in the sequence of a node.
func (p *part) point(node int, index uint32, try uint64) uint32 {
	if p.sticky != nil {
		index, try = p.sticky[node].of(index, try)
	}
	if try == 0 {
		return point(p.keys[node], index)
	}
	return uint32(mix(mix(p.redraw^uint64(index)<<16^try)^p.keys[node]) >> 32)
}

// Accepted is which part of a component's draws the constraints leave, computed
// exactly; 0 for a coverage, whose rows each have their own.
func (s *Sampler) Accepted(domain Domain, component int) float64 {
	if p := s.part(domain, component); p != nil {
		return p.acceptance
	}
	return 0
}

func (s *Sampler) part(domain Domain, component int) *part {
	if i, ok := s.places[place{domain, component}]; ok {
		return &s.parts[i]
	}
	return nil
}

// density is the exact probability of a complete, feasible scenario under the
// part.
func (p *part) density(codes []Code) density {
	if len(p.rows) > 0 {
		sum := density{}
		for i := range p.rows {
			sum = sum.plus(p.rows[i].density(codes))
		}
		sum.of /= float64(len(p.rows))
		return sum
	}
	d := p.apart(codes)
	if p.classes != nil && d.of > 0 {
		d = d.by(p.mixedDensity(codes))
	}
	return d
}

// apart is the density but for what depends on the hidden class.
func (p *part) apart(codes []Code) density {
	if !p.fixed.Matches(codes) {
		return density{}
	}
	d := density{of: 1 / p.acceptance}
	for f, code := range codes {
		if !code.IsLevel() || p.classes != nil && p.mixed.in[f] {
			continue
		}
		row := p.space.row(p.marginals, f, codes, 0)
		if row == nil {
			return density{}
		}
		d = d.times(row.share(int(code)))
	}
	return d
}

// Target is the exact probability π(x) of a complete, feasible scenario in
// deployment; 0 where that is less than the least number there is.
func (s *Sampler) Target(codes []Code) float64 { return s.target.density(codes).float64() }

// Density is the exact probability q(x) of a complete, feasible scenario under
// the training mixture, as Target is of deployment.
func (s *Sampler) Density(codes []Code) float64 { return s.density(codes).float64() }

func (s *Sampler) density(codes []Code) density {
	q := density{}
	for _, i := range s.train {
		q = q.plus(s.parts[i].density(codes).times(float64(s.parts[i].component.Share) / whole))
	}
	return q
}

// Weight is the importance weight w = π(x)/q(x) of a sample of a component, positive
// and finite also where π and q are too small for a number; 0 for a scenario that
// either does not have. q is
// what the sample's set was drawn from: the training mixture for training
// samples and evaluation sets of source mixture, the target (so w = 1) for
// source target, the slice itself for a probe or a pinned set.
func (s *Sampler) Weight(domain Domain, component int, codes []Code) float64 {
	p := s.part(domain, component)
	if p == nil {
		return 0
	}
	var q density
	switch {
	case p.component.Source == SourceTarget:
		return 1
	case p.component.Source == SourcePinned || p.component.Source == SourceProbe || domain == Probe:
		q = p.density(codes)
	default:
		q = s.density(codes)
	}
	pi := s.target.density(codes)
	if pi.of == 0 || q.of == 0 {
		return 0
	}
	return max(math.SmallestNonzeroFloat64, pi.over(q))
}
