package coordinator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// steering is a request to pause, resume or close; its body may be left out.
type steering struct {
	Name string `path:"name" doc:"The campaign" example:"loop"`
	Body *api.Steer
}

type extension struct {
	Name string `path:"name" doc:"The campaign" example:"loop"`
	Body api.Extend
}

// steer are the routes by which people steer a campaign. Each answers the
// campaign as it then stands, and asked for again changes nothing.
func (c *Control) steer(to huma.API) {
	for _, r := range []struct {
		verb, summary, description string
		to                         state.CampaignState
	}{
		{"pause", "Pause a campaign", "No round is decided and no unit handed out until the campaign is resumed. " +
			"What is in flight is finished and counted, and a round that this completes is published.", state.Paused},
		{"resume", "Let a paused campaign go on", "A campaign that is not paused stays as it is.", state.Running},
		{"close", "Close a campaign for good", "No further round is decided and no unit handed out. What is in flight may still finish and counts; " +
			"what nobody makes is given up. The last round is published with what there is, and published versions stay.", state.Closed},
	} {
		o := operation(http.MethodPost, "/v1/campaigns/{name}/"+r.verb, r.verb+"-campaign", r.summary, "Campaigns")
		o.Description = r.description
		huma.Register(to, o, answering(c, func(ctx context.Context, in *steering) (api.Campaign, error) {
			command := state.SteerCampaign{Campaign: in.Name, To: r.to}
			if in.Body != nil {
				command.Author, command.Reason = in.Body.Author, in.Body.Reason
			}
			_, err := c.c.node.proposeAnew(ctx, func(s *state.State) (state.Command, error) {
				now, _ := s.Steered(in.Name)
				next := command
				next.Version = now.Version()
				return state.Command{SteerCampaign: &next}, nil
			})
			return c.steered(ctx, in.Name, err)
		}))
	}
	o := operation(http.MethodPost, "/v1/campaigns/{name}/extend", "extend-campaign", "Change how much a campaign asks for", "Campaigns")
	o.Description = "What is asked for in all, and in how many rounds: later rounds share what is left. A campaign that is done runs again."
	huma.Register(to, o, answering(c, c.extendCampaign))

	watch := operation(http.MethodGet, "/v1/campaigns/{name}/watch", "watch-campaign", "Follow a campaign until it ends", "Campaigns")
	watch.Description = "A line of JSON whenever something of the campaign has changed, the first at once: of its counts alone at most one per second. " +
		"The answer ends when the campaign is done, done_short or closed and settled, or when the server stops; then ask again."
	watch.Responses = map[string]*huma.Response{"200": {Description: "The campaign, line by line", Content: map[string]*huma.MediaType{
		api.NDJSON: {Schema: to.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Campaign](), true, "Campaign")}}}}
	huma.Register(to, watch, c.watchCampaign)
}

// steered answers the campaign as it stands now that its steering was proposed.
// The schedule hears of it before the answer goes out: what is handed out
// afterwards was decided afterwards.
func (c *Control) steered(ctx context.Context, name string, err error) (api.Campaign, error) {
	if err != nil {
		if errors.Is(err, errStale) {
			err = fmt.Errorf("%w: %w", loop.ErrConflict, err)
		}
		return api.Campaign{}, err
	}
	if t, _ := c.c.leading(); t != nil {
		t.survey(name, false)
	}
	return c.showCampaign(ctx, &named{Name: name})
}

// extendCampaign proposes numbers of the version that they were computed from,
// so that two extensions at once never undo one another.
func (c *Control) extendCampaign(ctx context.Context, in *extension) (api.Campaign, error) {
	var err error
	if in.Body.Version == 0 {
		_, err = c.c.node.proposeAnew(ctx, in.command)
	} else {
		var command state.Command
		c.c.node.View(func(s *state.State) { command, err = in.command(s) })
		if err == nil {
			_, err = c.c.node.Propose(ctx, command)
		}
	}
	return c.steered(ctx, in.Name, err)
}

func (in *extension) command(s *state.State) (state.Command, error) {
	campaign, ok := s.Campaign(in.Name)
	if !ok {
		return state.Command{}, loop.NotFound("campaign", "there is no campaign %q", in.Name)
	}
	space, _ := s.Space(campaign.Campaign.Space, campaign.SpaceVersion)
	next := *campaign.Campaign
	if in.Body.Samples != nil {
		next.Samples = *in.Body.Samples
	}
	if in.Body.Rounds != nil {
		next.Rounds = *in.Body.Rounds
	}
	money := 0.0
	if in.Body.Money != nil {
		money, next.Money = *in.Body.Money, *in.Body.Money
		if next.ByMoney && in.Body.Samples == nil {
			// What the money pays for is seen when the next round would be decided.
			decided := campaign.Domains[loop.Train].Quota
			next.Samples = max(next.Samples, decided+uint64(max(0, next.Rounds-campaign.Round))*loop.PilotSamples)
		}
	}
	if in.Body.Money != nil && money != campaign.Campaign.Money && next.Rounds == campaign.Round && next.Samples == campaign.Domains[loop.Train].Quota {
		return state.Command{}, loop.Conflict("rounds", "all %d rounds are decided, so that more money pays for nothing: ask for more rounds, too", next.Rounds)
	}
	asked := next
	if campaign.Round > 0 {
		asked.FirstSamples = 0 // which are decided, and hold nobody to as many in each round
	}
	if err := asked.Validate(space.Space); err != nil {
		return state.Command{}, err
	}
	return state.Command{ExtendCampaign: &state.ExtendCampaign{Campaign: in.Name, Version: cmp.Or(in.Body.Version, campaign.Version),
		Samples: next.Samples, Rounds: next.Rounds, Money: money, Author: in.Body.Author, Reason: in.Body.Reason}}, nil
}

// How often a watcher is told: of counts alone once in countsEvery, and of
// nothing more often than once in lookRest.
const (
	countsEvery = time.Second
	lookRest    = time.Second / 10
)

// watchCampaign streams the campaign as it changes.
func (c *Control) watchCampaign(ctx context.Context, in *named) (*huma.StreamResponse, error) {
	if _, err := c.showCampaign(ctx, in); err != nil {
		return nil, c.problem(err)
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) {
		answer.SetHeader("Content-Type", api.NDJSON)
		answer.SetHeader("Cache-Control", "no-store")
		lines := json.NewEncoder(answer.BodyWriter())
		flusher, _ := answer.BodyWriter().(http.Flusher)
		// What is in flight, and what a campaign waits for, is in no log.
		pace := time.NewTicker(countsEvery)
		defer pace.Stop()
		rest := time.NewTicker(lookRest)
		defer rest.Stop()
		var told api.Campaign
		for counts := true; ; {
			changed := c.c.node.Changed()
			now, err := c.showCampaign(ctx, in)
			if err != nil {
				return
			}
			now.Document, now.Sequence = "", 0
			if counts && !reflect.DeepEqual(now, told) || !reflect.DeepEqual(withoutCounts(now), withoutCounts(told)) {
				if lines.Encode(now) != nil {
					return // to somebody who is gone
				}
				if flusher != nil {
					flusher.Flush()
				}
				told = now
				if now.Ended() {
					return
				}
			}
			select {
			case <-rest.C:
			case <-ctx.Done():
				return
			}
			select {
			case <-changed:
				counts = false
			case <-pace.C:
				counts = true
			case <-ctx.Done():
				return
			}
		}
	}}, nil
}

// withoutCounts is what a watcher is told of at once: all but how many samples
// there are.
func withoutCounts(c api.Campaign) api.Campaign {
	if c.Ended() {
		return c
	}
	c.Counts, c.Evaluation = api.Counts{Requested: c.Requested}, nil
	return c
}
