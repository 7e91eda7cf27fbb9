package loop

import (
	"fmt"
	"slices"
)

// Simulation says what a candidate policy would make where another makes, or made,
// what it does: the same evidence, decided twice, round by round. It decides
// nothing itself; Add takes the rounds that Decide returned.
type Simulation struct {
	Rounds []SimulatedRound

	space    *Space
	profiler *profiler
	// candidate and current count the samples of all rounds by pairs of levels.
	candidate, current []float64
}

// SimulatedRound is one round decided twice.
type SimulatedRound struct {
	Number             int
	Candidate, Current Profile
	// KL is how far the candidate's mixture is from the current one, in nats, over
	// what the current one makes at all; Beyond is the part of the candidate's
	// samples of which it never makes one, by which the divergence is infinite.
	KL, Beyond float64
	// Step is how far the candidate went towards what it wants within its trust
	// region, 0 to 1.
	Step float64
	// Yields are by what is learned from.
	Yields []SimulatedYield
}

// SimulatedYield is how often the samples would fail the newest model, by what it
// did in the evidence.
type SimulatedYield struct {
	From int
	Rows YieldRows
	// Candidate is nil where Refused says why there is no estimate; Current likewise
	// where only the other mixture is known well enough. Above is the difference.
	Candidate, Current *Yield
	Above              *Interval
	Refused            error
}

// NewSimulation begins a simulation without rounds.
func NewSimulation(s *Space) *Simulation {
	p := newProfiler(s)
	return &Simulation{space: s, profiler: p, candidate: make([]float64, p.cells), current: make([]float64, p.cells)}
}

// Add compares what the two decided for a round from the same evidence; outcomes
// is that evidence, prepared, or nil where there is none, and made what samples
// have taken so far. The first of each are the rounds; the others, if there are any,
// were decided from the evidence's other views. It returns an *Error where a round
// is not of the simulation's space.
func (m *Simulation) Add(outcomes *OffPolicy, made []Made, candidate, current []*Round) error {
	mixtures, err := m.samplers(candidate)
	if err != nil {
		return err
	}
	others, err := m.samplers(current)
	if err != nil {
		return err
	}
	one, other := mixtures[0], others[0]
	mine, err := m.profiler.draw(one)
	if err != nil {
		return err
	}
	theirs, err := m.profiler.draw(other)
	if err != nil {
		return err
	}
	both := named(one, other)
	r := SimulatedRound{Number: candidate[0].Number, Step: candidate[0].Step,
		Candidate: m.profiler.profile(one, mine, both, made), Current: m.profiler.profile(other, theirs, both, made)}
	r.KL, r.Beyond = relativeEntropy(mine, one, other)
	m.profiler.count(mine, m.candidate)
	m.profiler.count(theirs, m.current)
	if outcomes != nil {
		for from := range outcomes.pools {
			y := SimulatedYield{From: from, Rows: outcomes.pools[from].rows}
			if y.Candidate, y.Refused = outcomes.Yield(from, one, mixtures[1:]...); y.Refused == nil {
				if y.Current, err = outcomes.Yield(from, other, others[1:]...); err == nil {
					above := y.Candidate.Above(y.Current)
					y.Above = &above
				}
			}
			r.Yields = append(r.Yields, y)
		}
	}
	m.Rounds = append(m.Rounds, r)
	return nil
}

func (m *Simulation) samplers(rounds []*Round) (out []*Sampler, err error) {
	for _, r := range rounds {
		s, err := NewSampler(m.space, r)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Chain is the rounds that a policy decides one after another, each from all views
// of the evidence.
type Chain struct {
	Space  *Space
	Policy *Policy
	Seed   uint64
	// Last are the rounds before, one per view; the first stands for what is missing.
	Last []*Round
}

// Decide decides the next round from each of the views, of which the first is all
// the evidence. Its error is that of Decide.
func (c *Chain) Decide(views []*Evidence, b Budget) ([]*Round, error) {
	rounds := make([]*Round, len(views))
	for i, e := range views {
		policy := *c.Policy
		if i > 0 {
			// As far from the minimum as all the evidence is.
			policy.MinimumRows = max(1, policy.MinimumRows*(len(views)-2)/(len(views)-1))
		}
		var last *Round
		if len(c.Last) > 0 {
			if last = c.Last[0]; i < len(c.Last) {
				last = c.Last[i]
			}
			last = last.before(views[0]).before(e)
		}
		r, err := Decide(c.Space, &policy, last, e, b, c.Seed)
		if err != nil {
			return nil, err
		}
		rounds[i] = &r
	}
	c.Last = rounds
	return rounds, nil
}

// Pairs are those of all rounds together, the candidate's and the other's; ok is
// false where the space has too many pairs to count.
func (m *Simulation) Pairs() (candidate, current Pairs, ok bool, err error) {
	if m.profiler.pairs == nil {
		return candidate, current, false, nil
	}
	possible, err := m.profiler.possible(m.candidate, m.current)
	if err != nil {
		return candidate, current, false, err
	}
	return countPairs(possible, m.candidate), countPairs(possible, m.current), true, nil
}

// Total sums the rounds: samples, seconds and effective sizes, and the slices by
// what they get in all. Shares are of all samples.
func (m *Simulation) Total(of func(*SimulatedRound) *Profile) Profile {
	var out Profile
	for i := range m.Rounds {
		p := of(&m.Rounds[i])
		out.Samples += p.Samples
		out.Seconds += p.Seconds
		out.Base += p.Base * float64(p.Samples)
		out.Effective += p.Effective
		out.Levels, out.Spent = sums(out.Levels, p.Levels), sums(out.Spent, p.Spent)
		for _, s := range p.Slices {
			at := slices.IndexFunc(out.Slices, func(t ProfileSlice) bool { return t.Slice.Equal(s.Slice) })
			if at < 0 {
				at = len(out.Slices)
				out.Slices = append(out.Slices, ProfileSlice{Slice: s.Slice})
			}
			out.Slices[at].Quota += s.Quota
			out.Slices[at].Seconds += s.Seconds
			out.Slices[at].Samples += s.Samples
		}
	}
	out.Base = over(out.Base, float64(out.Samples))
	for i := range out.Slices {
		out.Slices[i].Share = over(float64(out.Slices[i].Quota), float64(out.Samples))
	}
	return out
}

// sums adds numbers by factor and level; what they are added to may be nil.
func sums(to, of [][]float64) [][]float64 {
	if to == nil {
		to = make([][]float64, len(of))
	}
	for f := range of {
		if to[f] == nil {
			to[f] = make([]float64, len(of[f]))
		}
		for l, n := range of[f] {
			to[f][l] += n
		}
	}
	return to
}

// before is the round as the one before another that is decided from e. Where it
// was itself decided from e nothing was learned in between, and damping judges no
// slice again.
func (r *Round) before(e *Evidence) *Round {
	if e == nil || e.Len() == 0 || r.Evidence != e.Digest() {
		return r
	}
	held := *r
	held.Memory = r.Memory.clone()
	for i := range held.Memory.Slices {
		held.Memory.Slices[i].Judged = held.Memory.Slices[i].Samples
	}
	return &held
}

// Unpredicted says to a person what a simulation does not know, of rounds to come
// or, replayed, of rounds that are past.
func (m *Simulation) Unpredicted(replay bool) []string {
	notes := []string{
		"What training on the samples would gain is not predicted: a yield is how often the newest model, as it is, would fail on them.",
		"Failures that no evaluated row has shown are not in it, however many there are.",
	}
	if replay {
		return append(notes, "The evidence of every round is of models that were trained on what was really made, not on what this policy would have made.")
	}
	if len(m.Rounds) > 1 {
		notes = append(notes, fmt.Sprintf("All %d rounds are decided from today's evidence: from the second on they show where the policy is heading, not what it will do once the model has learned.", len(m.Rounds)))
	}
	return notes
}
