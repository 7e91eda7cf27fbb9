package loop

import (
	"math"
	"slices"
)

// Profile is what the training samples of a round are.
type Profile struct {
	Samples uint64
	// Seconds is what generators would spend on them, by what samples have taken so
	// far; 0 where that is not known.
	Seconds float64
	// Base is the share of what fixes no slice.
	Base float64
	// Slices are those that one of the mixtures compared has a component for.
	Slices []ProfileSlice
	// Levels counts samples by factor and level; Spent is the part of Seconds that goes
	// into those of a level, all 0 where it is not known.
	Levels, Spent [][]float64
	// Effective is the effective sample size of all of them under their importance
	// weights: how many drawn from deployment would say as much about it.
	Effective float64
}

// ProfileSlice is a slice and what a round has of it.
type ProfileSlice struct {
	Slice Slice
	Share float64
	// Quota is what is made because of the slice, in so many Seconds of generators, 0
	// where that is not known; Samples also counts what the other components bring of it.
	Quota   uint64
	Seconds float64
	Samples float64
}

// profiler draws the samples of rounds of one space.
type profiler struct {
	space *Space
	x     *feasibility
	// draws is the most samples of a round that are drawn; what is more is scaled.
	draws uint64
	// pairs has the place of the first pair of levels of two factors among all, by
	// factor and factor; nil where there are too many pairs to count.
	pairs [][]int
	cells int
}

const (
	mostDraws = 1 << 15
	// mostPairs bounds the pairs of levels that are counted, mostPairDraws how many
	// are looked at for one round, and mostChecks how many are checked whether the
	// constraints allow them.
	mostPairs     = 1 << 22
	mostPairDraws = 1 << 24
	mostChecks    = 1 << 14
)

func newProfiler(s *Space) *profiler {
	n := len(s.Factors)
	p := &profiler{space: s, x: s.feasibility(), draws: uint64(min(mostDraws, max(1024, mostPairDraws/(n*n))))}
	p.pairs = make([][]int, n)
	for f := range n {
		p.pairs[f] = make([]int, n)
		for g := range f {
			p.pairs[f][g] = p.cells
			if p.cells += len(s.Factors[f].Levels) * len(s.Factors[g].Levels); p.cells > mostPairs {
				p.pairs, p.cells = nil, 0
				return p
			}
		}
	}
	return p
}

// drawn is one scenario that stands for so many samples of a round, of a part of the
// sampler's.
type drawn struct {
	codes []Code
	of    float64
	part  int
}

// draw draws a round's training samples, or so many of them as stand for the rest.
func (p *profiler) draw(sampler *Sampler) ([]drawn, error) {
	total := sampler.round.Quota(Train)
	var out []drawn
	for _, i := range sampler.train {
		c := sampler.parts[i].component
		n := c.Quota
		if total > p.draws {
			n = min(n, max(64, uint64(float64(p.draws)*float64(c.Quota)/float64(total))))
		}
		for index := range n {
			x, err := sampler.Scenario(Train, c.Number, index)
			if err != nil {
				return nil, err
			}
			out = append(out, drawn{x.Codes, float64(c.Quota) / float64(n), i})
		}
	}
	return out, nil
}

// profile describes what was drawn of a round, by the slices that are named.
func (p *profiler) profile(sampler *Sampler, samples []drawn, named []Slice, made []Made) Profile {
	out := Profile{Samples: sampler.round.Quota(Train), Levels: make([][]float64, len(p.space.Factors)), Spent: make([][]float64, len(p.space.Factors))}
	for _, slice := range named {
		out.Slices = append(out.Slices, ProfileSlice{Slice: slice})
	}
	for f := range out.Levels {
		out.Levels[f] = make([]float64, len(p.space.Factors[f].Levels))
		out.Spent[f] = make([]float64, len(p.space.Factors[f].Levels))
	}
	price, priced := prices(made)
	seconds := make([]float64, len(sampler.parts)) // of one sample
	for _, i := range sampler.train {
		c := sampler.parts[i].component
		if priced {
			seconds[i] = price(c.Slice) / 1000
			out.Seconds += float64(c.Quota) * seconds[i]
		}
		if len(c.Slice) == 0 {
			out.Base += float64(c.Share) / whole
			continue
		}
		at := slices.IndexFunc(named, c.Slice.Equal)
		out.Slices[at].Share += float64(c.Share) / whole
		out.Slices[at].Quota += c.Quota
		out.Slices[at].Seconds += float64(c.Quota) * seconds[i]
	}
	weights, squares := 0.0, 0.0
	for _, d := range samples {
		w := sampler.target.density(d.codes).over(sampler.density(d.codes))
		weights += d.of * w
		squares += d.of * w * w
		for f, code := range d.codes {
			if code.IsLevel() {
				out.Levels[f][code] += d.of
				out.Spent[f][code] += d.of * seconds[d.part]
			}
		}
		for i := range out.Slices {
			if out.Slices[i].Slice.Matches(d.codes) {
				out.Slices[i].Samples += d.of
			}
		}
	}
	out.Effective = over(weights*weights, squares)
	return out
}

// prices says what an accepted sample of a component has taken so far, in
// milliseconds, with the attempts that were sent back: those of its own slice where
// there are any, of the base, or of all.
func prices(made []Made) (price func(Slice) float64, known bool) {
	total, accepted, base := Spent(made), 0.0, 0.0
	each := func(i int) float64 { return over(Spent(made[i:i+1]), float64(made[i].Accepted)) }
	for i := range made {
		accepted += float64(made[i].Accepted)
		if len(made[i].Slice) == 0 {
			base = each(i)
		}
	}
	if base == 0 {
		base = over(total, accepted)
	}
	return func(slice Slice) float64 {
		for i := range made {
			if made[i].Accepted > 0 && made[i].Slice.Equal(slice) {
				return each(i)
			}
		}
		return base
	}, total > 0
}

// relativeEntropy is KL(one || other) in nats over what was drawn of one. What the other
// never makes is beyond it: its part is returned apart, as the divergence is
// infinite with it.
func relativeEntropy(samples []drawn, one, other *Sampler) (kl, beyond float64) {
	n := 0.0
	for _, d := range samples {
		p, q := one.density(d.codes), other.density(d.codes)
		if n += d.of; q.of == 0 {
			beyond += d.of
			continue
		}
		kl += d.of * math.Log(max(math.SmallestNonzeroFloat64, p.over(q)))
	}
	return max(0, over(kl, n)), over(beyond, n)
}

// named are the slices that one of the samplers has a component for, in order.
func named(samplers ...*Sampler) []Slice {
	var out []Slice
	for _, s := range samplers {
		for _, i := range s.train {
			if slice := s.parts[i].component.Slice; len(slice) > 0 && !slices.ContainsFunc(out, slice.Equal) {
				out = append(out, slice)
			}
		}
	}
	return out
}

// Pairs counts pairs of levels of two factors.
type Pairs struct {
	// Possible pairs are those that the space's constraints and pins allow; Covered
	// have at least 5 samples, and Never none.
	Possible, Covered, Never int
}

// coveredBy is how many samples cover a pair: enough to see that something is
// wrong with it.
const coveredBy = 5

// count adds the samples to those of their pairs.
func (p *profiler) count(samples []drawn, pairs []float64) {
	if p.pairs == nil {
		return
	}
	for _, d := range samples {
		for f, one := range d.codes {
			if !one.IsLevel() {
				continue
			}
			for g, other := range d.codes[:f] {
				if other.IsLevel() {
					pairs[p.pairs[f][g]+int(one)*len(p.space.Factors[g].Levels)+int(other)] += d.of
				}
			}
		}
	}
}

// possible marks the pairs that can occur at all: those that were seen, and else
// what the constraints leave of a uniform base.
func (p *profiler) possible(seen ...[]float64) ([]bool, error) {
	possible := make([]bool, p.cells)
	uniform, checks := p.space.baseMarginals(1), 0
	occurs := func(slice Slice) (bool, error) {
		together := p.space.validatePredicates("", slice) == nil
		if checks++; !together || checks > mostChecks {
			return together, nil
		}
		mass, err := p.x.mass(uniform, slice)
		return mass > 0, err
	}
	for f := range p.pairs {
		for g := range f {
			for one := range p.space.Factors[f].Levels {
				for other := range p.space.Factors[g].Levels {
					at := p.pairs[f][g] + one*len(p.space.Factors[g].Levels) + other
					for _, pairs := range seen {
						possible[at] = possible[at] || pairs[at] > 0
					}
					if possible[at] {
						continue
					}
					var err error
					if possible[at], err = occurs(Slice{{Factor: g, Level: other}, {Factor: f, Level: one}}); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	return possible, nil
}

func countPairs(possible []bool, pairs []float64) Pairs {
	var out Pairs
	for at, can := range possible {
		if !can {
			continue
		}
		out.Possible++
		switch {
		case pairs[at] >= coveredBy:
			out.Covered++
		case pairs[at] == 0:
			out.Never++
		}
	}
	return out
}
