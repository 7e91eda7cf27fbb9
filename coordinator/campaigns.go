package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
	"hone/spec"
)

func (c *Control) campaigns(to huma.API) {
	huma.Register(to, operation(http.MethodPost, "/v1/campaigns", "create-campaign", "Create a campaign", "Campaigns"), answering(c, c.createCampaign))
	written(to, "/v1/campaigns", "campaign", campaignExample)
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns", "list-campaigns", "List the campaigns", "Campaigns"), answering(c, c.listCampaigns))
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}", "show-campaign", "Show a campaign and its accounting", "Campaigns"), answering(c, c.showCampaign))
	c.steer(to)
}

// createCampaign pins the campaign to the latest versions of its space and
// policy.
func (c *Control) createCampaign(ctx context.Context, in *document) (api.Put, error) {
	command := state.CreateCampaign{Document: string(in.RawBody)}
	var space *loop.Space
	var arms loop.Arms
	campaign, err := spec.ParseCampaign(in.RawBody, func(name string) (_ *loop.Space, err error) {
		c.c.node.View(func(s *state.State) {
			v, ok := s.Space(name, 0)
			if !ok {
				err = missingName("space", name, s.Spaces(), func(v state.SpaceVersion) string { return v.Space.Name })
				return
			}
			space, command.SpaceVersion = v.Space, v.Space.Version
		})
		return space, err
	})
	if err != nil {
		return api.Put{}, err
	}
	c.c.node.View(func(s *state.State) {
		if len(campaign.Make) > 0 {
			return
		}
		if v, ok := s.Policy(campaign.Policy, 0); ok {
			arms.Stable, command.PolicyVersion = v.Policy, v.Policy.Version
			if canary, ok := s.Canary(campaign.Policy); ok && campaign.TriesCanaries() {
				arms.Canary, arms.Share = canary.Policy, canary.Canary
			}
		} else {
			err = missingName("policy", campaign.Policy, s.Policies(), func(v state.PolicyVersion) string { return v.Policy.Name })
		}
	})
	if err == nil {
		err = c.c.o.Gates.CheckGates(campaign.Gates)
	}
	if err == nil {
		err = c.notOver(&campaign)
	}
	if err != nil {
		return api.Put{}, spec.Locate(in.RawBody, err)
	}
	// What cannot be decided now would only be found out by a campaign that never
	// begins.
	first := budget(&campaign, 1, 0)
	first.Day = today()
	if _, err := arms.Decide(space, nil, nil, first, campaign.Seed); err != nil {
		return api.Put{}, err
	}
	command.Campaign = campaign
	event, err := c.c.node.Propose(ctx, state.Command{CreateCampaign: &command})
	if err != nil {
		if errors.Is(err, errStale) {
			err = fmt.Errorf("%w: %w", loop.ErrConflict, err)
		}
		return api.Put{}, err
	}
	created := event.(state.CampaignCreated)
	return api.Put{Name: created.Name, Version: created.Version, Created: created.Created}, nil
}

// notOver refuses a last day that is over before the campaign begins. One that began
// in time is itself, whatever the day.
func (c *Control) notOver(campaign *loop.Campaign) error {
	var began bool
	c.c.node.View(func(s *state.State) { _, began = s.Campaign(campaign.Name) })
	now := time.Now().UTC()
	for i := range campaign.Until {
		if u := &campaign.Until[i]; !began && u.Over(today()) {
			return &loop.Error{Field: fmt.Sprintf("until[%d].date", i), Problem: fmt.Sprintf("%s is over: the server has %s, in UTC", u.Date, now.Format(time.DateOnly)),
				Remedy: "the last day on which a round is to be decided"}
		}
	}
	return nil
}

// missingName refuses a name that a document has, and that there is not.
func missingName[T any](what, name string, known []T, nameOf func(T) string) error {
	names := make([]string, len(known))
	for i := range known {
		names[i] = nameOf(known[i])
	}
	remedy := "put it first"
	if suggestion := spec.Suggest(name, names); suggestion != "" {
		remedy += ", or " + suggestion
	}
	return &loop.Error{Field: what, Problem: fmt.Sprintf("there is no %s %q", what, name), Remedy: remedy}
}

func (c *Control) listCampaigns(context.Context, *struct{}) (api.CampaignList, error) {
	return api.CampaignList{Campaigns: c.summaries()}, nil
}

func (c *Control) summaries() []api.CampaignSummary {
	out := []api.CampaignSummary{}
	c.c.node.View(func(s *state.State) {
		for _, campaign := range s.Campaigns() {
			domain := countedDomain(campaign.Campaign)
			out = append(out, api.CampaignSummary{
				Name: campaign.Campaign.Name, State: string(campaign.State), Space: campaign.Campaign.Space,
				Requested: campaign.Requested[domain], Committed: campaign.Domains[domain].Committed,
				Round: campaign.Round, Rounds: campaign.Campaign.Rounds,
			})
		}
	})
	return out
}

// countedDomain is the domain that a campaign's counts are of: training, or
// evaluation where it makes no training samples.
func countedDomain(c *loop.Campaign) loop.Domain {
	if c.Samples == 0 {
		return loop.Evaluation
	}
	return loop.Train
}

func (c *Control) showCampaign(_ context.Context, in *named) (out api.Campaign, err error) {
	// The term first, then the state: see term.mu.
	t, _ := c.c.leading() // nil on a node that does not lead
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	c.c.node.View(func(s *state.State) {
		campaign, ok := s.Campaign(in.Name)
		if !ok {
			err = loop.NotFound("campaign", "there is no campaign %q", in.Name)
			return
		}
		out = api.Campaign{
			Name: in.Name, State: string(campaign.State), Round: campaign.Round, Rounds: campaign.Campaign.Rounds, FirstSamples: campaign.Campaign.FirstSamples,
			Space:     fmt.Sprintf("%s@%d", campaign.Campaign.Space, campaign.SpaceVersion),
			Generator: campaign.Campaign.Generator, Owner: campaign.Campaign.Owner, Seed: campaign.Campaign.Seed,
			Document: campaign.Document, Sequence: s.Sequence(), Version: campaign.Version, Samples: campaign.Campaign.Samples, Money: campaign.Campaign.Money,
		}
		if by := campaign.Steered; by.To != "" {
			out.Steered = &api.Steered{To: string(by.To), At: rfc3339(by.At), Author: by.Author, Reason: by.Reason}
		}
		for i, a := range campaign.Amendments {
			amendment := api.Amendment{Version: 2 + i, Samples: a.Samples, Rounds: a.Rounds,
				Money: a.Money, At: rfc3339(a.At), Author: a.Author, Reason: a.Reason}
			if a.Policy != "" {
				amendment.Policy = fmt.Sprintf("%s@%d", a.Policy, a.PolicyVersion)
			}
			out.Amendments = append(out.Amendments, amendment)
		}
		if campaign.PolicyVersion > 0 {
			out.Policy = fmt.Sprintf("%s@%d", campaign.Campaign.Policy, campaign.PolicyVersion)
			if arms := armsOf(s, &campaign); arms.Canary != nil {
				out.Canary = &api.Canary{Policy: fmt.Sprintf("%s@%d", arms.Canary.Name, arms.Canary.Version), Share: micro(arms.Share)}
			}
		}
		out.Proposal = standing(s, in.Name)
		var flight [3]uint64
		if t != nil {
			flight = t.inFlight(s, in.Name)
			out.Waiting = t.waiting(s, &campaign, flight)
		}
		domain := countedDomain(campaign.Campaign)
		out.Counts = accounting(campaign.Requested[domain], campaign.Domains[domain], flight[domain])
		out.GivenUp = campaign.GivenUp[domain]
		if domain == loop.Train && campaign.Requested[loop.Evaluation]+campaign.GivenUp[loop.Evaluation] > 0 {
			evaluation := accounting(campaign.Requested[loop.Evaluation], campaign.Domains[loop.Evaluation], flight[loop.Evaluation])
			evaluation.GivenUp = campaign.GivenUp[loop.Evaluation]
			out.Evaluation = &evaluation
		}
		for _, a := range campaign.Abandoned {
			by := ""
			if a.Gate != "" {
				by = fmt.Sprintf(" by gate %q", a.Gate)
			}
			out.Reasons = append(out.Reasons, fmt.Sprintf("round %d, %s component %d: %d samples abandoned%s: %s",
				a.Round, a.Domain, a.Component, a.Indices.Count(), by, a.Reason))
		}
	})
	return out, err
}

// accounting is I3: requested = committed + abandoned + in flight + pending,
// where what no round has asked for yet is pending.
func accounting(requested uint64, counts state.Counts, inFlight uint64) api.Counts {
	settled := counts.Committed + counts.Abandoned
	inFlight = min(inFlight, requested-min(requested, settled))
	return api.Counts{
		Requested: requested, Committed: counts.Committed, Rejected: counts.Rejected, Replaced: counts.Replaced,
		Abandoned: counts.Abandoned, InFlight: inFlight, Pending: requested - min(requested, settled+inFlight),
	}
}

// inFlight counts what of a campaign is with workers or before the gates, by
// domain. The caller holds mu.
func (t *term) inFlight(s *state.State, name string) (by [3]uint64) {
	stock := t.stocks[name]
	if stock == nil {
		return by
	}
	for number := range stock.open {
		round, _ := s.Round(name, number)
		for _, p := range round.Components {
			n, _ := t.schedule.InFlight(schedule.Place{Campaign: name, Round: number, Domain: p.Domain, Component: p.Component})
			by[p.Domain] += n
		}
	}
	return by
}

// waiting says what a campaign waits for, if it waits. The caller holds mu.
func (t *term) waiting(s *state.State, campaign *state.Campaign, flight [3]uint64) string {
	name, number := campaign.Campaign.Name, campaign.Round
	switch {
	case campaign.State == state.Paused && flight != [3]uint64{}:
		return "what is in flight, and then to be resumed"
	case campaign.State == state.Paused:
		return "somebody to resume it"
	case campaign.State == state.Closed && campaign.Total.Pending > 0:
		return "what is in flight"
	case campaign.State == state.Closed:
		if round, ok := s.Round(name, number); ok && len(unpublished(s, name, &round)) > 0 {
			return fmt.Sprintf("round %d to be published", number)
		}
		return ""
	}
	if trouble := t.troubles[name]; trouble != "" {
		return "another try, since this failed: " + trouble
	}
	if campaign.Total.Pending > 0 && t.meters.spent[name] {
		return "what is in flight: its money is spent"
	}
	if campaign.Total.Pending == 0 {
		if text := waitingForApproval(s, name); text != "" {
			return text
		}
	}
	round, ok := s.Round(name, number)
	switch {
	case !ok:
		return "its first round"
	case campaign.Total.Pending > 0:
		if flight != [3]uint64{} || t.made(campaign.Campaign.Generator) {
			return ""
		}
		return "a worker with generator " + campaign.Campaign.Generator
	case !published(s, name, &round):
		return fmt.Sprintf("round %d to be published", number)
	case number >= campaign.Campaign.Rounds:
		return ""
	}
	if lines := unsealed(s, campaign, &round); len(lines) > 0 {
		return fmt.Sprintf("a sealed version of model line %s, trained on %s@%d", strings.Join(lines, " and one of "), name, number)
	}
	return "the evidence of round " + strconv.Itoa(number)
}

// made reports whether a worker that is connected has the generator. The caller
// holds mu.
func (t *term) made(generator string) bool {
	for _, session := range t.sessions {
		for _, g := range session.worker.Generators {
			if g.Name == generator {
				return true
			}
		}
	}
	return false
}
