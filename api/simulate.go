package api

import (
	"cmp"
	"context"
	"math"
	"slices"

	"hone/loop"
)

// MaxSimulated bounds the rounds of one simulation, and SimulatedRounds is how many
// there are if nobody says.
const (
	MaxSimulated    = 20
	SimulatedRounds = 3
)

// Simulate asks what a policy would decide: POST /v1/campaigns/NAME/simulate.
// Nothing is stored, and nothing decided.
type Simulate struct {
	Policy string `json:"policy" example:"name: bolder\nshares: {boosted: 0.3}\n" doc:"The candidate policy: the text of a document, YAML or JSON"`
	Rounds int    `json:"rounds,omitempty" minimum:"0" maximum:"20" doc:"How many of the next rounds, 3 if it is left out; replayed: of the last rounds, all (at most 20) if it is left out"`
	Replay bool   `json:"replay,omitempty" doc:"Decide the rounds that there were, each from its own evidence, instead of the next ones"`
}

// Simulation answers it. From is what the campaign's own policy decides from the
// same evidence (replayed: what was decided then), and To what the candidate does.
type Simulation struct {
	Campaign  string      `json:"campaign"`
	Candidate string      `json:"candidate" example:"bolder" doc:"The policy that was simulated"`
	Current   string      `json:"current" example:"follow@2" doc:"The policy that it is compared with"`
	Replay    bool        `json:"replay" doc:"Whether these are rounds of the past"`
	Evidence  loop.Digest `json:"evidence" doc:"The digest of the evidence that all rounds are decided from; all zero for a replay, where each has its own"`
	Rows      int64       `json:"rows" doc:"How many rows of evidence that is; replayed: in the last round"`
	// Models are those that the rows are of, the newest first.
	Models   []string          `json:"models" doc:"The sealed model versions whose outcomes it is, the newest first"`
	Rounds   []SimulatedRound  `json:"rounds"`
	Total    SimulatedTotal    `json:"total"`
	Currency string            `json:"currency,omitempty" example:"EUR" doc:"What amounts of money are in, by the campaign's price"`
	Boosts   []SimulatedReason `json:"boosts" doc:"Why the candidate's last round boosts what it does"`
	Decision []string          `json:"decision,omitempty" doc:"What the candidate's last round leaves alone, and why"`
	// Unpredicted says what all this does not know.
	Unpredicted []string `json:"unpredicted" doc:"What a simulation cannot know, in sentences"`
}

// Move is a number as it is and as it would be.
type Move struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

// SimulatedRound is one round, decided by both policies.
type SimulatedRound struct {
	Round int `json:"round"`
	SimulatedTotal
	Step   float64          `json:"step" doc:"How far the candidate's mixture moved towards what it wants within its trust region, 0 to 1"`
	KL     *float64         `json:"kl,omitempty" doc:"How far the candidate's mixture is from the other, in nats; missing where it is infinite"`
	Beyond float64          `json:"beyond" doc:"The part of the candidate's samples that the other never makes"`
	Yields []SimulatedYield `json:"yields" doc:"How often the samples would fail the newest model, by what is learned from"`
}

// SimulatedTotal is what both make of a round, or of all rounds.
type SimulatedTotal struct {
	Samples   Move             `json:"samples"`
	Seconds   *Move            `json:"gpu_seconds,omitempty" doc:"What generators would spend, by what samples have taken so far; missing where that is not known"`
	Money     *Move            `json:"money,omitempty" doc:"What that costs, by the campaign's price; missing where it has none"`
	Base      Move             `json:"base" doc:"The share of what fixes no slice"`
	Effective Move             `json:"effective" doc:"The effective sample size of the training weights: how many samples of deployment say as much about it"`
	Slices    []SimulatedSlice `json:"slices" doc:"The slices that one of the two boosts, by how much they move"`
	Levels    []SimulatedLevel `json:"levels" doc:"Samples by factor and level, in order of the space"`
	Coverage  *SimulatedPairs  `json:"coverage,omitempty" doc:"Of all rounds together; missing where the space has too many pairs to count"`
}

// SimulatedSlice is a slice that is boosted.
type SimulatedSlice struct {
	Name    string            `json:"name"`
	Slice   map[string]string `json:"slice"`
	Share   Move              `json:"share" doc:"Of the mixture, of the slice's own component"`
	Quota   Move              `json:"quota" doc:"Samples of its own component"`
	Seconds *Move             `json:"gpu_seconds,omitempty" doc:"What generators would spend on these; missing where that is not known"`
	Money   *Move             `json:"money,omitempty" doc:"What that costs"`
	Samples Move              `json:"samples" doc:"All samples of the slice, whatever component they are of"`
}

// SimulatedLevel is a level of a factor.
type SimulatedLevel struct {
	Factor  string `json:"factor"`
	Level   string `json:"level"`
	Samples Move   `json:"samples"`
	Seconds *Move  `json:"gpu_seconds,omitempty"`
	Money   *Move  `json:"money,omitempty"`
}

// SimulatedPairs counts pairs of levels of two factors that can occur.
type SimulatedPairs struct {
	Possible int  `json:"possible"`
	Covered  Move `json:"covered" doc:"Pairs with at least 5 samples"`
	Never    Move `json:"never" doc:"Pairs without a sample"`
}

// SimulatedYield is an off-policy estimate of how often samples would fail.
type SimulatedYield struct {
	ModelLine string         `json:"model_line"`
	Task      string         `json:"task,omitempty"`
	Metric    string         `json:"metric,omitempty"`
	Rows      loop.YieldRows `json:"rows" doc:"The newest model's rows: those used, and those left out, by the reason why"`
	To        *Yield         `json:"to,omitempty" doc:"Of the candidate's samples; missing where refused says why"`
	From      *Yield         `json:"from,omitempty"`
	// Difference is To less From; as both are from the same rows, it is known better
	// than they are.
	Difference *loop.Interval `json:"difference,omitempty" doc:"By how much the candidate's samples fail more often, with its 95 % interval"`
	Refused    string         `json:"refused,omitempty" doc:"Why there is no estimate, and what to do"`
}

// Yield is a failure rate with its 95 % interval.
type Yield struct {
	loop.Interval
	Effective float64      `json:"effective" doc:"The effective number of rows behind it; at least 100"`
	Largest   float64      `json:"largest" doc:"The part of the weight that the heaviest row or group has; at most 0.05"`
	Optimism  float64      `json:"optimism" doc:"What was taken off, as the rows that judge the mixture also chose its slices"`
	Slices    []SliceYield `json:"slices" doc:"Of each component of the mixture"`
}

// SliceYield is a Yield of one slice.
type SliceYield struct {
	Name      string         `json:"name"`
	Share     float64        `json:"share"`
	Rate      *loop.Interval `json:"rate,omitempty" doc:"As counted; missing where fewer than 30 rows effectively say something of it"`
	Effective float64        `json:"effective"`
}

// SimulatedReason is why a slice is boosted.
type SimulatedReason struct {
	Name     string `json:"name"`
	Sentence string `json:"sentence"`
}

// Simulate says what a policy would decide for a campaign. It changes nothing.
func (c *Client) Simulate(ctx context.Context, campaign string, what Simulate) (Simulation, error) {
	return postJSON[Simulation](ctx, c, segments("v1", "campaigns", campaign, "simulate"), what)
}

// NewSimulation says a simulation in the words of its space. price is the campaign's,
// learned what the evidence is of, and last the candidate's last round.
func NewSimulation(space *loop.Space, price loop.Price, m *loop.Simulation, learned []loop.Learned, last *loop.Round) (Simulation, error) {
	out := Simulation{Currency: price.Currency, Rounds: []SimulatedRound{}, Boosts: []SimulatedReason{}, Decision: last.Notes}
	for i := range m.Rounds {
		out.Rounds = append(out.Rounds, newSimulatedRound(space, price, &m.Rounds[i], learned))
	}
	out.Total = newSimulatedTotal(space, price,
		m.Total(func(r *loop.SimulatedRound) *loop.Profile { return &r.Current }),
		m.Total(func(r *loop.SimulatedRound) *loop.Profile { return &r.Candidate }))
	to, from, ok, err := m.Pairs()
	if err != nil {
		return Simulation{}, err
	}
	if ok {
		out.Total.Coverage = &SimulatedPairs{Possible: to.Possible, Covered: moved(from.Covered, to.Covered), Never: moved(from.Never, to.Never)}
	}
	for i := range last.Components {
		if k := &last.Components[i]; k.Domain == loop.Train && k.Reason != nil && k.Reason.Sentence != "" {
			out.Boosts = append(out.Boosts, SimulatedReason{Name: space.Describe(k.Slice), Sentence: k.Reason.Sentence})
		}
	}
	return out, nil
}

func moved[T int | uint64 | float64](from, to T) Move { return Move{float64(from), float64(to)} }

func newSimulatedRound(space *loop.Space, price loop.Price, r *loop.SimulatedRound, learned []loop.Learned) SimulatedRound {
	out := SimulatedRound{Round: r.Number, Step: r.Step, Beyond: r.Beyond, Yields: []SimulatedYield{},
		SimulatedTotal: newSimulatedTotal(space, price, r.Current, r.Candidate)}
	if r.Beyond == 0 {
		out.KL = &r.KL
	}
	for _, y := range r.Yields {
		yield := SimulatedYield{Rows: y.Rows, To: newYield(space, y.Candidate), From: newYield(space, y.Current), Difference: y.Above}
		if y.From < len(learned) {
			l := &learned[y.From]
			yield.ModelLine, yield.Task, yield.Metric = l.ModelLine, l.Task, l.Metric
		}
		if y.Refused != nil {
			yield.Refused = y.Refused.Error()
		}
		out.Yields = append(out.Yields, yield)
	}
	return out
}

func newYield(space *loop.Space, y *loop.Yield) *Yield {
	if y == nil {
		return nil
	}
	out := &Yield{Interval: y.Rate, Effective: y.Effective, Largest: y.Largest, Optimism: y.Optimism, Slices: []SliceYield{}}
	for _, s := range y.Slices {
		name := space.Describe(s.Slice)
		switch {
		case s.Cover:
			name = "coverage"
		case s.Over == loop.OverCurriculum:
			name += " (curriculum)"
		}
		out.Slices = append(out.Slices, SliceYield{Name: name, Share: s.Share, Rate: s.Rate, Effective: s.Effective})
	}
	return out
}

func newSimulatedTotal(space *loop.Space, price loop.Price, from, to loop.Profile) SimulatedTotal {
	out := SimulatedTotal{Samples: moved(from.Samples, to.Samples), Base: moved(from.Base, to.Base),
		Effective: moved(from.Effective, to.Effective), Slices: []SimulatedSlice{}, Levels: []SimulatedLevel{}}
	// What things take is known of all of them or of none.
	known := from.Seconds > 0 || to.Seconds > 0
	spent := func(from, to float64) (seconds, money *Move) {
		if !known {
			return nil, nil
		}
		seconds = &Move{from, to}
		if price.Known() {
			money = &Move{price.Of(1000 * from), price.Of(1000 * to)}
		}
		return seconds, money
	}
	out.Seconds, out.Money = spent(from.Seconds, to.Seconds)
	// Both list the same slices in the same order.
	for i, s := range to.Slices {
		f := from.Slices[i]
		slice := SimulatedSlice{Name: space.Describe(s.Slice), Slice: space.Names(s.Slice),
			Share: moved(f.Share, s.Share), Quota: moved(f.Quota, s.Quota), Samples: moved(f.Samples, s.Samples)}
		slice.Seconds, slice.Money = spent(f.Seconds, s.Seconds)
		out.Slices = append(out.Slices, slice)
	}
	slices.SortStableFunc(out.Slices, func(a, b SimulatedSlice) int {
		return cmp.Compare(math.Abs(b.Quota.To-b.Quota.From), math.Abs(a.Quota.To-a.Quota.From))
	})
	for f := range min(len(to.Levels), len(space.Factors)) {
		for l, n := range to.Levels[f] {
			level := SimulatedLevel{Factor: space.Factors[f].Name, Level: space.Factors[f].Levels[l].Name, Samples: moved(from.Levels[f][l], n)}
			level.Seconds, level.Money = spent(from.Spent[f][l], to.Spent[f][l])
			out.Levels = append(out.Levels, level)
		}
	}
	return out
}
