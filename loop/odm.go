package loop

import "math"

// odm plays a bandit for each factor, whose arms are its levels: EXP3 with
// π(l) = (1-Kε)·exp(ε'·R(l))/Σ + ε, ε = min(1/K, √(ln K/(K·t))), ε' that of the
// turn before, and the reward R(l) ← ξ·R(l) + (1-ξ)·p(l)/π(l) (Albalak et al.
// 2023, "Efficient Online Data Mixing", arXiv 2312.02406). p(l) is the level's
// failure rate on the newest evidence and ξ the policy's memory. A turn is a batch
// of 256 training samples, and rewards are known once a round. By the published
// schedule a factor of K levels is drawn evenly for the first K·ln K turns.
type odm struct{}

const odmBatch = 256

func (odm) floor(p *Policy) float64 { return p.Floor }

func (odm) want(d *decision) (wanted, error) {
	rewards := make([][]float64, len(d.space.Factors))
	for f := range rewards {
		rewards[f] = make([]float64, len(d.space.Factors[f].Levels))
	}
	turns := 0.0
	for _, s := range d.scores() {
		switch len(s.Slice) {
		case 0: // the empty slice counts the turns
			turns = s.Value
		case 1:
			rewards[s.Slice[0].Factor][s.Slice[0].Level] = s.Value
		}
	}
	// What was drawn so far earned the rewards; this round comes on top.
	was := odmArms(rewards, turns)
	if e := d.deployed(); e != nil {
		for f, levels := range e.levels(d.space) {
			for l := range levels {
				rate := levels[l].drawn(e.rate, levelSmoothing)
				rewards[f][l] = d.policy.Memory*rewards[f][l] + (1-d.policy.Memory)*rate/was[f][l]
			}
		}
	}
	turns += float64(d.budget.Train) / odmBatch
	d.round.Memory.Scores = append(d.round.Memory.Scores, Scored{Value: turns, Round: d.budget.Number})
	moved := false
	for f := range rewards {
		for l, reward := range rewards[f] {
			if reward > 0 {
				moved = true
				d.round.Memory.Scores = append(d.round.Memory.Scores, Scored{Slice: Slice{{Factor: f, Level: l}}, Value: reward, Round: d.budget.Number})
			}
		}
	}
	if !moved {
		return wanted{}, nil
	}
	tilt, base := odmArms(rewards, turns), d.space.Shares(d.round.Base)
	for f := range tilt {
		for l := range tilt[f] {
			if share := base[f][l]; share > 0 {
				tilt[f][l] /= share
			}
		}
	}
	d.note("Levels are drawn as a bandit plays them that is paid for failures: %s.", d.mostTilted(tilt))
	return wanted{curriculum: 1, tilt: tilt}, nil
}

// odmArms is the probability of every level after so many turns.
func odmArms(rewards [][]float64, turns float64) [][]float64 {
	arms := make([][]float64, len(rewards))
	for f := range rewards {
		k := float64(len(rewards[f]))
		explore := func(turn float64) float64 {
			return min(1/k, math.Sqrt(math.Log(k)/(k*max(1, turn))))
		}
		now, before := explore(turns), explore(turns-1)
		most := 0.0
		for _, r := range rewards[f] {
			most = max(most, r)
		}
		arms[f] = make([]float64, len(rewards[f]))
		total := 0.0
		for l, r := range rewards[f] {
			arms[f][l] = math.Exp(before * (r - most))
			total += arms[f][l]
		}
		for l := range arms[f] {
			arms[f][l] = (1-k*now)*arms[f][l]/total + now
		}
	}
	return arms
}
