package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"

	"hone/loop"
)

// determinism measures I4: chains of rounds are decided anew under conditions
// that must not matter, and the rounds that differ by a byte are counted.
type determinism struct{}

func (determinism) name() string { return "determinism" }

const (
	chainRounds = 4
	chainRows   = 6000 // of evidence per round
	chainSeeds  = 2    // at most: what differs does so at once
)

// conditions are what must not matter.
var conditions = []struct {
	name string
	run  func(c chain) ([][]byte, error)
}{
	{"row-order", func(c chain) ([][]byte, error) {
		c.shuffle = true
		return c.decide()
	}},
	{"one-processor", func(c chain) ([][]byte, error) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		return c.decide()
	}},
	{"two-processors", func(c chain) ([][]byte, error) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
		return c.decide()
	}},
	{"evidence-object", func(c chain) ([][]byte, error) {
		c.encode = true
		return c.decide()
	}},
	{"restored", func(c chain) ([][]byte, error) {
		c.restore = true
		return c.decide()
	}},
}

func (determinism) run(ctx context.Context, o *options) ([]measure, error) {
	differ, rounds := make([]int, len(conditions)), 0
	seeds := o.seedList()[:min(o.seeds, chainSeeds)]
	for i, seed := range seeds {
		for _, name := range o.worlds {
			w, err := newWorld(name, false)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(o.log, "determinism: seed %d of %d, world %s\n", i+1, len(seeds), name)
			for _, strategy := range o.strategies {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				c := chain{world: w, strategy: strategy, seed: seed}
				first, err := c.decide()
				if err != nil {
					return nil, fmt.Errorf("%s by %s, seed %d: %w", name, strategy, seed, err)
				}
				rounds += len(first)
				for j := range conditions {
					again, err := conditions[j].run(c)
					if err != nil {
						return nil, fmt.Errorf("%s by %s, seed %d, %s: %w", name, strategy, seed, conditions[j].name, err)
					}
					for k := range first {
						if !bytes.Equal(first[k], again[k]) {
							differ[j]++
						}
					}
				}
			}
		}
	}
	var out []measure
	for j := range conditions {
		out = append(out, measure{Name: "determinism/" + conditions[j].name, Value: float64(differ[j]), Unit: "rounds differ", Seeds: seeds,
			Note: fmt.Sprintf("of %d rounds, by %d strategies in %d worlds", rounds, len(o.strategies), len(o.worlds))}.
			goal(differ[j] == 0, "0"))
	}
	return out, nil
}

// chain is a campaign without a learner: its evidence is drawn, and what is
// planted fails more than the rest.
type chain struct {
	world    *world
	strategy string
	seed     uint64

	flat    bool // nothing fails more than the rest
	shuffle bool // evidence arrives in another order
	encode  bool // evidence comes from its object
	restore bool // space, policy and previous round come from JSON
}

// decide is the canonical bytes of the chain's rounds.
func (c chain) decide() ([][]byte, error) {
	rounds, err := c.rounds(chainRounds)
	var out [][]byte
	for _, r := range rounds {
		out = append(out, r.Canonical())
	}
	return out, err
}

func (c chain) rounds(n int) ([]*loop.Round, error) {
	policy := loop.DefaultPolicy()
	policy.Name, policy.Version, policy.Strategy = "chain", 1, c.strategy
	space := c.world.space
	var previous *loop.Round
	var e *loop.Evidence
	var out []*loop.Round
	for number := 1; number <= n; number++ {
		if c.restore {
			s, p := loop.Space{}, loop.Policy{}
			if err := restored(space, &s); err != nil {
				return nil, err
			}
			if err := restored(&policy, &p); err != nil {
				return nil, err
			}
			if previous != nil {
				r := loop.Round{}
				if err := restored(previous, &r); err != nil {
					return nil, err
				}
				previous = &r
			}
			space, policy = &s, p
		}
		budget := loop.Budget{Campaign: "chain", Number: number, Train: 1500, Evaluation: loop.EvaluationPlan{Target: 100, Mixture: 100}}
		round, err := loop.Decide(space, &policy, previous, e, budget, c.seed)
		if err != nil {
			return nil, err
		}
		out = append(out, &round)
		previous = &round
		if e, err = c.evidence(number); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func restored(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// evidence is that which the round's model version gave, and the one before.
func (c chain) evidence(number int) (*loop.Evidence, error) {
	var lines []loop.Line
	for age := range min(number, 2) {
		random := rand.New(rand.NewPCG(c.seed, uint64(number-age)))
		policy := loop.DefaultPolicy()
		policy.Name, policy.Version, policy.Strategy = "exam", 1, loop.StrategyHone
		round, err := loop.Decide(c.world.space, &policy, nil, nil, loop.Budget{Campaign: "exam", Number: number - age, Train: chainRows}, c.seed)
		if err != nil {
			return nil, err
		}
		sampler, err := loop.NewSampler(c.world.space, &round)
		if err != nil {
			return nil, err
		}
		for index := range uint64(chainRows) {
			x, err := sampler.Scenario(loop.Train, 0, index)
			if err != nil {
				return nil, err
			}
			rate := .06
			for _, slice := range slices.Concat(c.world.learnable, []loop.Slice{c.world.unlearnable}) {
				if !c.flat && slice.Matches(x.Codes) {
					rate = .7
				}
			}
			l := loop.Line{Codes: x.Codes, Age: uint8(age), Source: loop.SourceMixture, Origin: loop.Synthetic, Rows: 1,
				Weight: int64(sampler.Weight(loop.Train, 0, x.Codes) * loop.MicroUnits), Loss: int64(random.Uint64N(loop.MicroUnits))}
			if random.Float64() < rate {
				l.Failures = 1
			}
			lines = append(lines, l)
		}
	}
	if c.shuffle {
		random := rand.New(rand.NewPCG(c.seed, uint64(1000+number)))
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
	e := &loop.Evidence{}
	for _, l := range lines {
		e.Append(l)
	}
	e.Sort()
	if c.encode {
		decoded, err := loop.DecodeEvidence(e.Encode())
		return &decoded, err
	}
	return e, nil
}
