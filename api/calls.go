package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"hone/loop"
)

// documentType is what spaces, policies and campaigns are put as: YAML, of
// which JSON is a part.
const documentType = "application/yaml"

// PutSpace puts a space's document, YAML or JSON.
func (c *Client) PutSpace(ctx context.Context, document []byte) (Put, error) {
	return post[Put](ctx, c, "/v1/spaces", documentType, document)
}

// CreateCampaign puts a campaign's document, YAML or JSON, and starts it.
func (c *Client) CreateCampaign(ctx context.Context, document []byte) (Put, error) {
	return post[Put](ctx, c, "/v1/campaigns", documentType, document)
}

// ShowSpace returns a version of a space, 0 for the latest.
func (c *Client) ShowSpace(ctx context.Context, name string, version int) (Definition, error) {
	return get[Definition](ctx, c, segments("v1", "spaces", name), atVersion(version))
}

// ShowPolicy returns a version of a policy, 0 for the latest.
func (c *Client) ShowPolicy(ctx context.Context, name string, version int) (Definition, error) {
	return get[Definition](ctx, c, segments("v1", "policies", name), atVersion(version))
}

func atVersion(version int) url.Values {
	if version == 0 {
		return nil
	}
	return url.Values{"version": {number(version)}}
}

// ListSpaces lists the latest version of every space.
func (c *Client) ListSpaces(ctx context.Context) ([]Defined, error) {
	list, err := get[SpaceList](ctx, c, "/v1/spaces", nil)
	return list.Spaces, err
}

// ListPolicies lists the latest version of every policy.
func (c *Client) ListPolicies(ctx context.Context) ([]Defined, error) {
	list, err := get[PolicyList](ctx, c, "/v1/policies", nil)
	return list.Policies, err
}

// Campaigns lists the campaigns.
func (c *Client) Campaigns(ctx context.Context) ([]CampaignSummary, error) {
	list, err := get[CampaignList](ctx, c, "/v1/campaigns", nil)
	return list.Campaigns, err
}

// Campaign returns one campaign with its accounting.
func (c *Client) Campaign(ctx context.Context, name string) (Campaign, error) {
	return get[Campaign](ctx, c, segments("v1", "campaigns", name), nil)
}

// PauseCampaign pauses a campaign: nothing is decided or handed out until it is
// resumed. It returns the campaign as it then stands, like those that follow.
func (c *Client) PauseCampaign(ctx context.Context, name string, why Steer) (Campaign, error) {
	return postJSON[Campaign](ctx, c, segments("v1", "campaigns", name, "pause"), why)
}

// ResumeCampaign lets a paused campaign go on.
func (c *Client) ResumeCampaign(ctx context.Context, name string, why Steer) (Campaign, error) {
	return postJSON[Campaign](ctx, c, segments("v1", "campaigns", name, "resume"), why)
}

// CloseCampaign ends a campaign for good.
func (c *Client) CloseCampaign(ctx context.Context, name string, why Steer) (Campaign, error) {
	return postJSON[Campaign](ctx, c, segments("v1", "campaigns", name, "close"), why)
}

// ExtendCampaign sets what a campaign asks for in all.
func (c *Client) ExtendCampaign(ctx context.Context, name string, to Extend) (Campaign, error) {
	return postJSON[Campaign](ctx, c, segments("v1", "campaigns", name, "extend"), to)
}

// Rounds returns the rounds of a campaign that were decided so far.
func (c *Client) Rounds(ctx context.Context, campaign string) ([]Round, error) {
	list, err := get[RoundList](ctx, c, segments("v1", "campaigns", campaign, "rounds"), nil)
	return list.Rounds, err
}

// Round returns round n, counted from 1. With wait > 0 it waits at most so long
// for the round to be published; the caller looks at State. A round that is not
// yet decided when the wait ends is a 404.
func (c *Client) Round(ctx context.Context, campaign string, n int, wait time.Duration) (Round, error) {
	path := segments("v1", "campaigns", campaign, "rounds", number(n))
	for {
		part := min(wait, maxWait)
		wait -= part
		var query url.Values
		if part > 0 {
			query = url.Values{"wait": {part.String()}}
		}
		round, err := get[Round](ctx, c, path, query)
		if wait <= 0 || (err == nil && round.State == RoundPublished) {
			return round, err
		}
		if p, ok := errors.AsType[*Problem](err); err != nil && !(ok && p.Status == http.StatusNotFound) {
			return round, err
		}
	}
}

// CanonicalRound returns the canonical bytes of a decision (I4).
func (c *Client) CanonicalRound(ctx context.Context, campaign string, n int) ([]byte, error) {
	return c.download(ctx, segments("v1", "campaigns", campaign, "rounds", number(n), "canonical"))
}

// PreviewRound shows the next round before it opens.
func (c *Client) PreviewRound(ctx context.Context, campaign string, n int) (Preview, error) {
	return get[Preview](ctx, c, segments("v1", "campaigns", campaign, "rounds", number(n), "preview"), nil)
}

// Proposals lists all proposals of a campaign, from the first.
func (c *Client) Proposals(ctx context.Context, campaign string) ([]Proposal, error) {
	list, err := get[ProposalList](ctx, c, segments("v1", "campaigns", campaign, "proposals"), nil)
	return list.Proposals, err
}

// ProposeRound asks for another proposal of a campaign's next round.
func (c *Client) ProposeRound(ctx context.Context, campaign string, why Steer) (Proposal, error) {
	return postJSON[Proposal](ctx, c, segments("v1", "campaigns", campaign, "propose"), why)
}

// ApproveRound opens a proposed round: the one that was seen, and no other. It
// returns the proposal as it then stands, like those that follow.
func (c *Client) ApproveRound(ctx context.Context, campaign string, n int, r Rule) (Proposal, error) {
	return postJSON[Proposal](ctx, c, segments("v1", "campaigns", campaign, "rounds", number(n), "approve"), r)
}

// RejectRound rejects a proposed round.
func (c *Client) RejectRound(ctx context.Context, campaign string, n int, r Rule) (Proposal, error) {
	return postJSON[Proposal](ctx, c, segments("v1", "campaigns", campaign, "rounds", number(n), "reject"), r)
}

// AmendRound changes shares of a proposed round, and returns the proposal that
// waits in its place.
func (c *Client) AmendRound(ctx context.Context, campaign string, n int, a Amend) (Proposal, error) {
	return postJSON[Proposal](ctx, c, segments("v1", "campaigns", campaign, "rounds", number(n), "amend"), a)
}

// ReplayRound decides a past round once more and compares (I4).
func (c *Client) ReplayRound(ctx context.Context, campaign string, n int) (Replay, error) {
	return postJSON[Replay](ctx, c, segments("v1", "campaigns", campaign, "rounds", number(n), "replay"), struct{}{})
}

// SealModel declares that all outcome rows of a model version are posted. A
// number of rows that is not what the server counted is a 409.
func (c *Client) SealModel(ctx context.Context, line, version string, rows int64) (Model, error) {
	return postJSON[Model](ctx, c, segments("v1", "models", line, version, "seal"), Seal{Rows: rows})
}

// Models lists the model versions of which outcomes were posted.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	list, err := get[ModelList](ctx, c, "/v1/models", nil)
	return list.Models, err
}

// Datasets lists the latest version of every dataset.
func (c *Client) Datasets(ctx context.Context) ([]Dataset, error) {
	list, err := get[DatasetList](ctx, c, "/v1/datasets", nil)
	return list.Datasets, err
}

// DatasetVersions lists the versions of a dataset, from the first.
func (c *Client) DatasetVersions(ctx context.Context, name string) ([]Dataset, error) {
	list, err := get[DatasetList](ctx, c, segments("v1", "datasets", name), nil)
	return list.Datasets, err
}

// PublishDataset publishes some of a version's samples under another name. Sent
// again it changes nothing.
func (c *Client) PublishDataset(ctx context.Context, p Publish) (Published, error) {
	return postJSON[Published](ctx, c, "/v1/datasets", p)
}

// ImportDataset makes a dataset version of what was staged with Stage. Sent again
// it changes nothing. It answers when all bytes are hashed and packed, however long
// that takes.
func (c *Client) ImportDataset(ctx context.Context, name string, i Import) (Imported, error) {
	patient := *c
	patient.HTTP = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	defer patient.HTTP.CloseIdleConnections()
	return postJSON[Imported](ctx, &patient, segments("v1", "datasets", name, "import"), i)
}

// Stage leaves a file of a unit for the gates (C19), from where the content is
// read; it returns when the bytes are durable there.
func (c *Client) Stage(ctx context.Context, worker string, unit loop.Unit, name string, content io.ReadSeeker) error {
	open, size, err := reopen(content)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: segments("v1", "staging", worker, unit.ID(), name),
		header: http.Header{"Content-Type": {"application/octet-stream"}}, body: open, size: size}
	var staged struct{ Bytes int64 }
	return c.call(ctx, r, &staged)
}

// Dataset returns a version of a dataset, 0 for the latest.
func (c *Client) Dataset(ctx context.Context, name string, version int) (Dataset, error) {
	if version > 0 {
		return get[Dataset](ctx, c, segments("v1", "datasets", name, number(version)), nil)
	}
	versions, err := c.DatasetVersions(ctx, name)
	if err != nil {
		return Dataset{}, err
	}
	if len(versions) == 0 {
		return Dataset{}, ProblemFrom(loop.NotFound("dataset", "%q has no version yet", name))
	}
	return versions[len(versions)-1], nil
}

// SQL asks the analysts' instance. With atLeast > 0 the answer has seen that
// sequence.
func (c *Client) SQL(ctx context.Context, query string, atLeast uint64) (Table, error) {
	return postJSON[Table](ctx, c, sqlPath, Query{Query: query, AtLeast: atLeast})
}

// Status says how the server and its fleet are.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, statusPath, nil)
}

// CollectLake deletes the objects of the lake that nothing references.
func (c *Client) CollectLake(ctx context.Context, how Collect) (Collected, error) {
	return postJSON[Collected](ctx, c, "/v1/lake/collect", how)
}

func (c *Client) download(ctx context.Context, path string) ([]byte, error) {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
}

// OutcomesOptions says what all rows of a post share. Space and Model are
// required; Model is LINE@VERSION.
type OutcomesOptions struct {
	Space   string
	Model   string
	Task    string
	EvalSet string
	Run     string
	// Key is the Idempotency-Key: the same key with the same body counts once,
	// whoever sends it and however often. Without one, and without a Run (with
	// which the body is its own key), the client chooses one for this call.
	Key string
	// ContentType is NDJSON or Arrow; "" means NDJSON.
	ContentType string
}

// PostOutcomes posts outcome rows and returns when they are durable. A body
// that is an io.Seeker is read again for each try; any other is held in memory.
func (c *Client) PostOutcomes(ctx context.Context, o OutcomesOptions, body io.Reader) (Posted, error) {
	open, size, err := reopen(body)
	if err != nil {
		return Posted{}, err
	}
	if o.ContentType == "" {
		o.ContentType = NDJSON
	}
	if o.Key == "" && o.Run == "" {
		o.Key = freshKey()
	}
	query := url.Values{"space": {o.Space}, "model": {o.Model}}
	for name, value := range map[string]string{"task": o.Task, "eval_set": o.EvalSet, "run": o.Run} {
		if value != "" {
			query.Set(name, value)
		}
	}
	header := http.Header{"Content-Type": {o.ContentType}}
	if o.Key != "" {
		header.Set("Idempotency-Key", o.Key)
	}
	var posted Posted
	err = c.call(ctx, request{method: http.MethodPost, path: "/v1/outcomes", query: query, header: header, body: open, size: size}, &posted)
	return posted, err
}
