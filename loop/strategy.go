package loop

import (
	"maps"
	"slices"
	"strings"
)

// A strategy turns evidence into the mixture that is wanted. Each has a file of
// its own, named after it, and an entry in strategies; Decide sees to everything
// else: protected slices, pins and bans, the trust region, quotas, explanations.
type strategy interface {
	// floor is how far the base leans from the target towards uniform, 0 to 1.
	floor(p *Policy) float64
	// want says what the round's training samples are to be drawn from. It is pure:
	// what it must remember stands in d.round.Memory.
	want(d *decision) (wanted, error)
}

// wanted is a mixture of training samples. The base has what curriculum and
// boosts leave, and never less than Policy.Shares.Base.
type wanted struct {
	// curriculum is the share of a component over the tilted base; tilt multiplies
	// the mass of each level, by factor and level, and nil is 1.
	curriculum float64
	tilt       [][]float64
	boosts     []boost
}

// The strategies. Uniform, target and stratified look at no evidence; failure,
// doremi and odm at levels, learnability at pairs of them; hone searches slices.
const (
	StrategyUniform      = "uniform"
	StrategyTarget       = "target"
	StrategyStratified   = "stratified"
	StrategyFailure      = "failure"
	StrategyLearnability = "learnability"
	StrategyDoReMi       = "doremi"
	StrategyODM          = "odm"
	StrategyHone         = "hone"
)

var strategies = map[string]strategy{
	StrategyUniform:      uniform{},
	StrategyTarget:       target{},
	StrategyStratified:   stratified{},
	StrategyFailure:      failure{},
	StrategyLearnability: learnability{},
	StrategyDoReMi:       doremi{},
	StrategyODM:          odm{},
	StrategyHone:         hone{},
}

// Strategies are the names that a policy may give, in order.
func Strategies() []string { return slices.Sorted(maps.Keys(strategies)) }

func strategyNames() string { return strings.Join(Strategies(), ", ") }
