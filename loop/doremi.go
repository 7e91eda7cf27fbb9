package loop

import "math"

// doremi raises the levels of every factor by exponentiated gradient on their
// excess failure: a(l) ← a(l)·exp(η·max(0, p(l) - p)), normalised, then mixed with
// a uniform share c (Xie et al. 2023, "DoReMi", algorithm 1, after the group DRO
// of Sagawa et al. 2020). Levels are its domains, factor by factor. There is no
// reference model to exceed, so the excess is over the failure rate of
// deployment; and a campaign cannot wait for the average of all steps, which
// DoReMi draws from in the end: each round draws from its own step.
type doremi struct{}

const (
	doremiRate   = 1.0  // η
	doremiSmooth = 1e-3 // c
	// doremiMost bounds the sum of a level's steps, so that nothing overflows.
	doremiMost = 50
)

func (doremi) floor(p *Policy) float64 { return p.Floor }

func (doremi) want(d *decision) (wanted, error) {
	sums := make([][]float64, len(d.space.Factors))
	for f := range sums {
		sums[f] = make([]float64, len(d.space.Factors[f].Levels))
	}
	for _, s := range d.scores() {
		if len(s.Slice) == 1 {
			sums[s.Slice[0].Factor][s.Slice[0].Level] = s.Value
		}
	}
	// Where there is no new evidence there is no step, but what was learned holds.
	if e := d.deployed(); e != nil {
		for f, levels := range e.levels(d.space) {
			for l := range levels {
				excess := max(0, levels[l].drawn(e.rate, levelSmoothing)-e.rate)
				sums[f][l] = min(doremiMost, sums[f][l]+doremiRate*excess)
			}
		}
	}
	tilt, base := d.space.untilted(), d.space.Shares(d.round.Base)
	moved := false
	for f := range sums {
		for l, sum := range sums[f] {
			if sum > 0 {
				moved = true
				d.round.Memory.Scores = append(d.round.Memory.Scores, Scored{Slice: Slice{{Factor: f, Level: l}}, Value: sum, Round: d.budget.Number})
			}
		}
		levels := len(sums[f])
		total := 0.0
		for l, sum := range sums[f] {
			total += float64(base[f][l] * math.Exp(sum))
		}
		for l, sum := range sums[f] {
			// (1-c)·a + c/L, over the base's share.
			tilt[f][l] = (1 - doremiSmooth) * math.Exp(sum) / total
			if share := base[f][l]; share > 0 {
				tilt[f][l] += doremiSmooth / (float64(levels) * share)
			}
		}
	}
	if !moved {
		return wanted{}, nil
	}
	d.note("Levels that fail more than the rest are drawn more often from round to round (exponentiated gradient): %s.", d.mostTilted(tilt))
	return wanted{curriculum: 1, tilt: tilt}, nil
}
