package loop

import (
	"math"
	"slices"
)

// trustPoints is how many scenarios stand for each part of a mixture when the
// divergence between two mixtures is estimated: it is then within .01 nats and 2 %
// of the exact one, mostly far nearer. I9's trust region is held to that.
//
// Where constraints reject draws, the points are no longer of low discrepancy: those
// that are drawn again are independent, and an estimate may be off by more. So there
// every scenario is counted with its exact probability, if they are no more than would
// be drawn.
const trustPoints = 4096

// comparison computes KL(m || from) of mixtures of some parts, from the same points
// for any of them: every scenario, or low-discrepancy points of every part.
type comparison struct {
	decision *decision
	parts    []boost
	points   []trustPoint
	codes    [][]Code // of each of the points
	// known finds a point by its key, which is made anew for each scenario.
	known map[string]int
	key   []byte
}

// trustPoint is points at which mixtures are compared that all parts are as dense
// at, relative to the base.
type trustPoint struct {
	// drawn is the density of all that was drawn, over that of the base, at the codes;
	// mass what the points stand for of the base.
	drawn, mass float64
	base        density
	// within are the parts that have the point, and relative their densities over the
	// base's. That of the part over the curriculum, which blends, is set aside in from.
	within   []int
	relative []float64
	// from is the density over the base's of the mixture that is compared with.
	from float64
}

// compare finds the points of every part; of both curricula, where the two
// mixtures have one. Where they are drawn, every part that can show a point has shown
// it in proportion to its density there: the balance heuristic (Veach 1997).
func (d *decision) compare(parts []boost, from, to mixture) (*comparison, error) {
	k := &comparison{decision: d, parts: parts}
	// The curricula stand for the part that is over one; without a curriculum it is
	// enough to know which slices a point lies in.
	var drawn []part
	add := func(over Over, slice Slice, curriculum []Marginal) error {
		p, err := d.trial(len(drawn), over, slice, curriculum)
		drawn = append(drawn, p)
		return err
	}
	for i := range parts {
		if parts[i].over == OverCurriculum {
			continue
		}
		if err := add(parts[i].over, parts[i].cell.slice, nil); err != nil {
			return nil, err
		}
	}
	plain := len(drawn)
	for _, m := range []mixture{from, to} {
		if m.curriculum != nil {
			if err := add(OverCurriculum, nil, m.curriculum); err != nil {
				return nil, err
			}
		}
	}
	k.known = make(map[string]int)
	if k.count(drawn, plain) {
		k.fill(drawn[:plain], drawn[plain:], from)
		return k, nil
	}
	if err := k.draw(drawn, plain); err != nil {
		return nil, err
	}
	k.fill(drawn[:plain], drawn[plain:], from)
	for i := range k.points {
		k.points[i].mass /= k.points[i].drawn * trustPoints
	}
	return k, nil
}

// count makes points of every scenario of the base, which has all that any part has,
// and reports whether it did: only where constraints reject draws, and scenarios are no
// more than draws.
func (k *comparison) count(drawn []part, plain int) bool {
	if !slices.ContainsFunc(drawn, func(p part) bool { return p.acceptance < 1-rounding }) {
		return false
	}
	all := drawn[0].list(len(drawn) * trustPoints)
	for x, base := range drawn[0].densities(all) {
		if base.of > 0 {
			k.point(drawn, plain, all[x]).mass += base.float64()
		}
	}
	return all != nil
}

// rounding is how far from 1 the acceptance may be of a part that rejects nothing.
const rounding = 1e-9

// draw makes points of what is drawn of each part; their masses are yet to be divided by
// how densely all was drawn.
func (k *comparison) draw(drawn []part, plain int) error {
	sampler := &Sampler{space: k.decision.space}
	for i := range drawn {
		for x := range uint32(trustPoints) {
			scenario, err := sampler.draw(&drawn[i], x)
			if err != nil {
				return err
			}
			k.point(drawn, plain, scenario.Codes).mass++
		}
	}
	return nil
}

// point is the one that a scenario belongs to. The first parts, which are plain, are
// over slices, and as dense wherever they have a scenario; those after them are
// curricula, which tell all scenarios apart.
func (k *comparison) point(drawn []part, plain int, codes []Code) *trustPoint {
	k.key = k.key[:0]
	for j := range drawn[:plain] {
		match := byte(0)
		if drawn[j].fixed.Matches(codes) {
			match = 1
		}
		k.key = append(k.key, match)
	}
	if len(drawn) > plain {
		for _, code := range codes {
			k.key = append(k.key, byte(code), byte(code>>8))
		}
	}
	at, ok := k.known[string(k.key)]
	if !ok {
		at = len(k.points)
		k.known[string(k.key)] = at
		k.points, k.codes = append(k.points, trustPoint{}), append(k.codes, codes)
	}
	return &k.points[at]
}

// trial is a part to draw points from. Points that share a value would stand for
// fewer, so nothing is sticky.
func (d *decision) trial(number int, over Over, slice Slice, curriculum []Marginal) (part, error) {
	r := Round{Number: d.budget.Number, Seed: d.round.Seed, Base: d.round.Base, Target: d.round.Target, Curriculum: curriculum}
	p, err := newPart(d.feasibility, &r, &Component{Domain: Train, Number: number, Over: over, Slice: slice})
	p.sticky = nil
	return p, err
}

// fill says what the parts are at the points: all but a curriculum, of which the
// first is that of the mixture that is compared with, if it has one.
func (k *comparison) fill(plain, curricula []part, from mixture) {
	for x, base := range plain[0].densities(k.codes) {
		k.points[x].base = base
	}
	tilted := make([][]density, len(curricula))
	for j := range curricula {
		tilted[j] = curricula[j].densities(k.codes)
	}
	for i := range k.parts {
		if k.parts[i].over == OverCurriculum {
			for x := range k.points {
				if p := &k.points[x]; from.curriculum != nil {
					p.from += tilted[0][x].times(from.shares[i]).over(p.base)
				}
			}
			continue
		}
		for x, d := range plain[0].densities(k.codes) {
			if d.of == 0 {
				continue
			}
			p, relative := &k.points[x], d.over(k.points[x].base)
			p.within, p.relative = append(p.within, i), append(p.relative, relative)
			p.drawn += relative
			p.from += from.shares[i] * relative
		}
		plain = plain[1:]
	}
	for j := range tilted {
		for x := range k.points {
			k.points[x].drawn += tilted[j][x].over(k.points[x].base)
		}
	}
}

// of is KL(m || from) in nats; infinite for a curriculum that cannot be drawn.
func (k *comparison) of(m mixture) (float64, error) {
	var curriculum part
	share := 0.0
	for i := range k.parts {
		if k.parts[i].over != OverCurriculum || m.shares[i] == 0 {
			continue
		}
		accepted, err := k.decision.feasibility.acceptance(m.curriculum)
		if err != nil {
			return 0, err
		}
		if accepted < minAcceptance {
			return math.Inf(1), nil
		}
		if curriculum, err = k.decision.trial(0, OverCurriculum, nil, m.curriculum); err != nil {
			return 0, err
		}
		share = m.shares[i]
	}
	var tilted []density
	if share > 0 {
		tilted = curriculum.densities(k.codes)
	}
	kl := 0.0
	for x := range k.points {
		p := &k.points[x]
		q := 0.0
		for at, i := range p.within {
			q += m.shares[i] * p.relative[at]
		}
		if share > 0 {
			q += tilted[x].times(share).over(p.base)
		}
		// Both mixtures have the mass 1, so that what is added here sums to 0; it makes
		// every term positive, and small where the two are near.
		term := p.from - q
		if q > 0 {
			term += q * math.Log(q/p.from)
		}
		kl += p.mass * max(0, term)
	}
	return kl, nil
}

// effectivePoints is how many points of the target stand for it: weights are bounded
// by what the base has of it, so that few do.
const effectivePoints = 1024

// Effective is the effective sample size of one training sample: with w = π/q it is
// (E w)²/E w² = 1/∫π²/q, the mean of w over points of the target. It is 0 where
// deployment has what is never made.
func (s *Sampler) Effective() (float64, error) {
	target := s.target
	target.sticky = nil
	total := 0.0
	for x := range uint32(effectivePoints) {
		scenario, err := s.draw(&target, x)
		if err != nil {
			return 0, err
		}
		q := s.density(scenario.Codes)
		if q.of == 0 {
			return 0, nil // deployment has what is never made
		}
		total += s.target.density(scenario.Codes).over(q)
	}
	return min(1, effectivePoints/total), nil
}
