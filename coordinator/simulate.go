package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
	"hone/spec"
)

// A simulation decides rounds that nobody opens. It is bounded in memory by one at
// a time, and in time.
const (
	simulateFor = 90 * time.Second
	// simulatePast is how many of a campaign's latest rounds rows of evidence may be
	// of.
	simulatePast = 32
)

type simulateIn struct {
	Name string `path:"name" doc:"The campaign" example:"loop"`
	Body api.Simulate
}

func (c *Control) simulations(to huma.API) {
	c.simulating = make(chan struct{}, 1)
	o := operation(http.MethodPost, "/v1/campaigns/{name}/simulate", "simulate-policy", "Say what another policy would decide", "Campaigns")
	o.Description = "Decides the next rounds, or those that there were, by a policy that need not have been put, beside the campaign's own. " +
		"Nothing is stored and nothing is opened. One simulation runs at a time."
	huma.Register(to, o, answering(c, c.simulate))
}

// simulated is what a simulation starts from.
type simulated struct {
	campaign  state.Campaign
	space     *loop.Space
	candidate *loop.Policy
	current   *loop.Policy
	rounds    []state.Round
	query     loop.EvidenceQuery
	past      []*loop.Sampler
}

func (c *Control) simulate(ctx context.Context, in *simulateIn) (api.Simulation, error) {
	g, err := c.gather(in)
	if err != nil {
		return api.Simulation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, simulateFor)
	defer cancel()
	select {
	case c.simulating <- struct{}{}:
		defer func() { <-c.simulating }()
	case <-ctx.Done():
		return api.Simulation{}, tooLong(ctx)
	}
	run := c.next
	if in.Body.Replay {
		run = c.replay
	}
	out, err := run(ctx, g, in.Body.Rounds)
	if errors.Is(err, context.DeadlineExceeded) {
		err = tooLong(ctx)
	}
	return out, err
}

func tooLong(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return loop.Conflict("rounds", "the simulation took more than %s, or another did: ask for fewer rounds, or later", simulateFor)
}

// gather reads the state, and parses the candidate.
func (c *Control) gather(in *simulateIn) (g *simulated, err error) {
	candidate, err := spec.ParsePolicy([]byte(in.Body.Policy))
	if err != nil {
		return nil, err
	}
	g = &simulated{candidate: &candidate}
	c.c.node.View(func(s *state.State) {
		var ok bool
		if g.campaign, ok = s.Campaign(in.Name); !ok {
			err = loop.NotFound("campaign", "there is no campaign %q", in.Name)
			return
		}
		if len(g.campaign.Campaign.Make) > 0 || g.campaign.Campaign.Samples == 0 {
			err = loop.Conflict("campaign", "%q makes what it lists: no policy decides for it", in.Name)
			return
		}
		space, _ := s.Space(g.campaign.Campaign.Space, g.campaign.SpaceVersion)
		policy, _ := s.Policy(g.campaign.Campaign.Policy, g.campaign.PolicyVersion)
		g.space, g.current, g.rounds = space.Space, policy.Policy, s.Rounds(in.Name)
		g.query = evidenceQuery(s, &g.campaign, widest(policy.Policy, &candidate))
	})
	if err != nil {
		return nil, err
	}
	for i := max(0, len(g.rounds)-simulatePast); i < len(g.rounds); i++ {
		// A round of another space than the campaign's has other densities; rows that
		// were drawn from it are counted as such.
		if sampler, err := loop.NewSampler(g.space, &g.rounds[i].Decided.Round); err == nil && g.rounds[i].Decided.Round.SpaceVersion == g.space.Version {
			g.past = append(g.past, sampler)
		}
	}
	return g, nil
}

// next simulates the next rounds from today's evidence, which stays as it is.
func (c *Control) next(ctx context.Context, g *simulated, rounds int) (api.Simulation, error) {
	if rounds == 0 {
		rounds = api.SimulatedRounds
	}
	name := g.campaign.Campaign.Name
	if len(g.query.Models) == 0 {
		return api.Simulation{}, loop.Conflict("campaign", "campaign %q has no evidence: no version of what it learns from is sealed, so that every policy makes the base alone; post outcomes and seal the version", name)
	}
	evidence, made, err := c.today(ctx, g.query)
	if err != nil {
		return api.Simulation{}, err
	}
	if evidence.Len() == 0 {
		return api.Simulation{}, loop.Conflict("campaign", "campaign %q has no evidence: the sealed versions of what it learns from have no outcome that counts; post outcomes of an evaluation set drawn from the target or the mixture", name)
	}
	outcomes, err := loop.NewOffPolicy(g.space, &evidence, g.past)
	if err != nil {
		return api.Simulation{}, err
	}
	candidate, current := g.chain(g.candidate), g.chain(g.current)
	if n := len(g.rounds); n > 0 {
		last := []*loop.Round{&g.rounds[n-1].Decided.Round}
		candidate.Last, current.Last = last, last
	}
	m, views := loop.NewSimulation(g.space), evidence.Views()
	quota := g.campaign.Domains[loop.Train].Quota
	for i := range rounds {
		if err := ctx.Err(); err != nil {
			return api.Simulation{}, err
		}
		budget := g.budget(g.campaign.Round+1+i, quota)
		quota += budget.Train
		to, err := candidate.Decide(views, budget)
		if err != nil {
			return api.Simulation{}, fmt.Errorf("the candidate's round %d: %w", budget.Number, err)
		}
		from, err := current.Decide(views, budget)
		if err != nil {
			return api.Simulation{}, fmt.Errorf("round %d: %w", budget.Number, err)
		}
		if err := m.Add(outcomes, made, to, from); err != nil {
			return api.Simulation{}, err
		}
	}
	out, err := api.NewSimulation(g.space, g.campaign.Campaign.Price, m, learned(g, &evidence), candidate.Last[0])
	out.Evidence, out.Rows = evidence.Digest(), evidence.TotalRows()
	out.Unpredicted = m.Unpredicted(false)
	if g.campaign.Canary > 0 {
		out.Unpredicted = append(out.Unpredicted, fmt.Sprintf("The campaign tries %s@%d as a canary: what stands here as the current policy is %[1]s@%[3]d alone.", g.current.Name, g.campaign.Canary, g.current.Version))
	}
	if g.campaign.Round >= g.campaign.Campaign.Rounds || g.campaign.State != state.Running {
		out.Unpredicted = append(out.Unpredicted, fmt.Sprintf("The campaign is %s after %d rounds: this is what further rounds of as many samples would be, if it were extended.", g.campaign.State, g.campaign.Round))
	}
	return g.named(out, g.query.Models), err
}

// chain is what a policy decides for the campaign.
func (g *simulated) chain(p *loop.Policy) *loop.Chain {
	return &loop.Chain{Space: g.space, Policy: p, Seed: g.campaign.Campaign.Seed}
}

// budget is that of a round to come; beyond the campaign's last one it is as if
// the campaign went on.
func (g *simulated) budget(number int, decided uint64) loop.Budget {
	c := g.campaign.Campaign
	more := *c
	more.Rounds = max(number, c.Rounds)
	out := budget(&more, number, decided)
	out.Day = today()
	if number > c.Rounds {
		out.Train = c.RoundSamples(c.Rounds)
	}
	return out
}

// replay decides the rounds that there were, each from its own evidence, after the
// candidate's round before it.
func (c *Control) replay(ctx context.Context, g *simulated, rounds int) (api.Simulation, error) {
	if rounds == 0 {
		rounds = api.MaxSimulated
	}
	if len(g.rounds) == 0 {
		return api.Simulation{}, loop.Conflict("campaign", "campaign %q has decided no round yet: there is nothing to replay", g.campaign.Campaign.Name)
	}
	_, made, err := c.today(ctx, g.query)
	if err != nil {
		return api.Simulation{}, err
	}
	m, candidate := loop.NewSimulation(g.space), g.chain(g.candidate)
	var evidence *loop.Evidence
	var beside []int // rounds with a canary
	for i := range g.rounds {
		if err := ctx.Err(); err != nil {
			return api.Simulation{}, err
		}
		var then arguments
		c.c.node.View(func(s *state.State) { then, err = argumentsOf(s, g.rounds[i].Decided) })
		if err != nil {
			return api.Simulation{}, err
		}
		number := then.budget.Number
		if then.space.Version != g.space.Version {
			return api.Simulation{}, loop.Conflict("campaign", "round %d was decided for version %d of space %s, and the campaign has version %d now", number, then.space.Version, g.space.Name, g.space.Version)
		}
		if evidence, err = c.evidence(ctx, then.decided); err != nil {
			return api.Simulation{}, fmt.Errorf("evidence of round %d: %w", number, err)
		}
		views := []*loop.Evidence{nil}
		var outcomes *loop.OffPolicy
		if evidence != nil {
			if views = evidence.Views(); i < len(g.rounds)-rounds {
				views = views[:1] // it leads to those that are shown
			}
			if outcomes, err = loop.NewOffPolicy(g.space, evidence, g.past); err != nil {
				return api.Simulation{}, err
			}
		}
		to, err := candidate.Decide(views, then.budget)
		if err != nil {
			return api.Simulation{}, fmt.Errorf("the candidate's round %d: %w", number, err)
		}
		// What came before was decided from other rows.
		candidate.Last = to[:1]
		if i < len(g.rounds)-rounds {
			continue
		}
		actual := loop.Chain{Space: then.space, Policy: then.arms.Stable, Seed: then.seed}
		if then.previous != nil {
			actual.Last = []*loop.Round{then.previous}
		}
		from, err := actual.Decide(views, then.budget)
		if err != nil {
			return api.Simulation{}, fmt.Errorf("round %d: %w", number, err)
		}
		if then.decided.Round.Canary == nil {
			from[0] = &then.decided.Round
		} else {
			beside = append(beside, number)
		}
		if err := m.Add(outcomes, made, to, from); err != nil {
			return api.Simulation{}, err
		}
	}
	out, err := api.NewSimulation(g.space, g.campaign.Campaign.Price, m, learned(g, evidence), candidate.Last[0])
	if evidence != nil {
		out.Rows = evidence.TotalRows()
	}
	out.Replay, out.Unpredicted = true, m.Unpredicted(true)
	if len(beside) > 0 {
		out.Unpredicted = append(out.Unpredicted, fmt.Sprintf("Rounds with a canary (%s) stand here as their stable policy alone would have decided them.", strings.Trim(fmt.Sprint(beside), "[]")))
	}
	return g.named(out, g.rounds[len(g.rounds)-1].Decided.Models), err
}

// today is the evidence as it stands, and what samples have taken so far: the time
// of workers, of which a decision must not know.
func (c *Control) today(ctx context.Context, q loop.EvidenceQuery) (loop.Evidence, []loop.Made, error) {
	if len(q.Models) == 0 {
		return loop.Evidence{}, nil, nil
	}
	q.Timed = true
	e, _, err := c.c.o.View.Evidence(ctx, q)
	made := slices.Clone(e.Made)
	for i := range e.Made {
		e.Made[i].Millis = 0
	}
	return e, made, err
}

// learned is what evidence is of. Where it does not say, it is of the one thing
// that the campaign learns from.
func learned(g *simulated, e *loop.Evidence) []loop.Learned {
	if e != nil && len(e.Learned) > 0 {
		return e.Learned
	}
	var out []loop.Learned
	for _, l := range g.campaign.Campaign.LearnFrom {
		out = append(out, loop.Learned{ModelLine: l.ModelLine, EvalSet: l.EvalSet, Task: l.Task, Importance: 1})
	}
	return out
}

// named says of what and of whom a simulation is.
func (g *simulated) named(out api.Simulation, models []loop.EvidenceModel) api.Simulation {
	out.Campaign, out.Candidate = g.campaign.Campaign.Name, g.candidate.Name
	out.Current = fmt.Sprintf("%s@%d", g.current.Name, g.current.Version)
	out.Models = []string{}
	for _, m := range models {
		if name := m.ModelLine + "@" + m.Version; len(out.Models) == 0 || out.Models[len(out.Models)-1] != name {
			out.Models = append(out.Models, name)
		}
	}
	return out
}
