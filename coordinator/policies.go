package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
	"hone/spec"
)

// writtenPolicy is a policy that a person wrote, and why.
type writtenPolicy struct {
	Author   string  `query:"author" maxLength:"128" doc:"Who puts it"`
	Reason   string  `query:"reason" maxLength:"1024" doc:"Why, for whoever looks at the history later"`
	Expected int     `query:"expected" minimum:"0" doc:"The latest version, as the author saw it; refused with 409 if there is a later one"`
	Canary   float64 `query:"canary" minimum:"0" maximum:"0.5" example:"0.1" doc:"Put it as a canary, which campaigns that follow the policy try on this share of every round, until there is a later version"`
	RawBody  []byte  `contentType:"application/yaml"`
}

type policyVersions struct {
	Name string `path:"name" doc:"The policy" example:"careful"`
	From int    `query:"from" minimum:"0" doc:"A version; the one before to if it is left out"`
	To   int    `query:"to" minimum:"0" doc:"A version; the latest if it is left out"`
}

type edit[T any] struct {
	Name string `path:"name" doc:"The policy" example:"careful"`
	Body T
}

// policies are the routes by which policies are tuned.
func (c *Control) policies(to huma.API) {
	route := func(method, path, id, summary, description string) huma.Operation {
		o := operation(method, path, id, summary, "Policies")
		o.Description = description
		return o
	}
	huma.Register(to, route(http.MethodPost, "/v1/policies", "put-policy", "Put a policy",
		"Campaigns stay with the version that they follow. With canary each of them gives that share of its next rounds to this version, beside its own; a later version, of whatever, ends that."), answering(c, c.putPolicy))
	written(to, "/v1/policies", "policy", policyExample)
	huma.Register(to, operation(http.MethodGet, "/v1/policies", "list-policies", "List the policies", "Policies"), answering(c, c.listPolicies))
	huma.Register(to, operation(http.MethodGet, "/v1/policies/{name}", "show-policy", "Show a policy as it was written", "Policies"), answering(c, c.showPolicy))
	huma.Register(to, operation(http.MethodGet, "/v1/policies/{name}/history", "policy-history", "List a policy's versions", "Policies"), answering(c, c.policyHistory))
	huma.Register(to, operation(http.MethodGet, "/v1/policies/{name}/diff", "diff-policy", "Compare two versions of a policy", "Policies"), answering(c, c.diffPolicy))
	huma.Register(to, route(http.MethodPost, "/v1/policies/{name}/rollback", "rollback-policy", "Go back to an older version of a policy",
		"Its document and settings become the next version; no version is ever taken away."), answering(c, c.rollbackPolicy))
	const keeps = "It is written into the policy's document, which keeps its comments and order, and makes its next version. Campaigns follow it when they are told to."
	huma.Register(to, route(http.MethodPost, "/v1/policies/{name}/pin", "pin-slice", "Pin a slice",
		"A pinned slice has exactly its share of every training mixture, whatever the evidence says. One that is pinned already gets the new share. "+keeps), answering(c, c.pinSlice))
	huma.Register(to, route(http.MethodPost, "/v1/policies/{name}/unpin", "unpin-slice", "Take a pin back", keeps), answering(c, c.unpinSlice))
	huma.Register(to, route(http.MethodPost, "/v1/policies/{name}/ban", "ban-slice", "Ban a slice",
		"Neither a banned slice nor anything inside it is boosted or probed; its rows count as evidence. "+keeps), answering(c, c.banSlice))
	huma.Register(to, route(http.MethodPost, "/v1/policies/{name}/unban", "unban-slice", "Take a ban back", keeps), answering(c, c.unbanSlice))

	c.canaries(to)

	adopt := operation(http.MethodPost, "/v1/campaigns/{name}/policy", "adopt-policy", "Have a campaign follow a policy", "Campaigns")
	adopt.Description = "From its next round on. Rounds that are decided keep the version that they were decided by; asked for again it changes nothing."
	huma.Register(to, adopt, answering(c, c.adoptPolicy))
}

func (c *Control) putPolicy(ctx context.Context, in *writtenPolicy) (api.PolicyPut, error) {
	policy, err := spec.ParsePolicy(in.RawBody)
	if err != nil {
		return api.PolicyPut{}, err
	}
	why := api.Because{Author: in.Author, Reason: in.Reason, Expected: in.Expected}
	share, err := c.canaryShare(&policy, in.Canary)
	if err != nil {
		return api.PolicyPut{}, err
	}
	return c.newPolicy(ctx, policy.Name, why, func(*state.State, *state.PolicyVersion) (*state.PutPolicy, error) {
		return &state.PutPolicy{Policy: policy, Document: string(in.RawBody), Canary: share}, nil
	})
}

// newPolicy proposes what change makes of a policy's latest version, canary or not, nil where
// there is none, and makes it anew where somebody was faster; unless the author
// expects to see a version.
func (c *Control) newPolicy(ctx context.Context, name string, why api.Because, change func(*state.State, *state.PolicyVersion) (*state.PutPolicy, error)) (api.PolicyPut, error) {
	ended := 0
	event, err := c.c.node.proposeAnew(ctx, func(s *state.State) (state.Command, error) {
		var latest *state.PolicyVersion
		version := 0
		ended = 0
		if versions := s.PolicyVersions(name); len(versions) > 0 {
			version = len(versions)
			latest = &versions[version-1]
		}
		put, err := change(s, latest)
		if err != nil {
			return state.Command{}, err
		}
		// What is there already was put by this very request, sent twice: that is no
		// conflict.
		same := latest != nil && latest.Canary == put.Canary && len(latest.Policy.Changes(&put.Policy)) == 0
		if why.Expected != 0 && why.Expected != version && !same {
			return state.Command{}, loop.Conflict("expected", "version %d of policy %q is the latest, not %d: somebody was faster", version, name, why.Expected)
		}
		if latest != nil && latest.Canary > 0 {
			ended = version
		}
		put.Next, put.Author, put.Reason = version+1, why.Author, why.Reason
		return state.Command{PutPolicy: put}, nil
	})
	if err != nil {
		return api.PolicyPut{}, err
	}
	put := event.(state.PolicyPut)
	out := api.PolicyPut{Put: api.Put{Name: put.Name, Version: put.Version, Created: put.Created}}
	var trials []func() error
	c.c.node.View(func(s *state.State) {
		v, _ := s.Policy(put.Name, put.Version)
		out.Canary, out.Campaigns = micro(v.Canary), behind(s, put.Name, put.Version)
		if v.Canary > 0 {
			out.Campaigns = trying(s, out.Campaigns)
		}
		out.Campaigns = slices.DeleteFunc(out.Campaigns, func(user api.PolicyUser) bool {
			own, _ := s.Policy(put.Name, user.Version)
			return len(own.Policy.Changes(v.Policy)) == 0 // it says what that campaign follows already
		})
		for _, user := range out.Campaigns[:min(len(out.Campaigns), maxTrials)] {
			if v.Canary > 0 {
				break // which was tried beside what they follow, before it was put
			}
			campaign, _ := s.Campaign(user.Campaign)
			trials = append(trials, trial(s, &campaign, loop.Arms{Stable: v.Policy}, fmt.Sprintf("follow %s@%d", put.Name, put.Version)))
		}
	})
	for i, try := range trials {
		if refused, ok := errors.AsType[*loop.Error](try()); ok {
			out.Campaigns[i].Refused = refused.Error()
		}
	}
	if put.Created {
		out.Ended = ended
	}
	return out, nil
}

// maxTrials bounds the campaigns of which it is tried whether they could follow a
// version: each is a decision.
const maxTrials = 16

// behind are the campaigns that follow an older version of a policy, and have
// rounds to come.
func behind(s *state.State, name string, version int) (users []api.PolicyUser) {
	for _, c := range s.Campaigns() {
		if (c.State == state.Running || c.State == state.Paused) && c.Campaign.Policy == name && c.PolicyVersion < version && c.Round < c.Campaign.Rounds {
			users = append(users, api.PolicyUser{Campaign: c.Campaign.Name, Version: c.PolicyVersion})
		}
	}
	return users
}

func (c *Control) policyHistory(_ context.Context, in *named) (out api.PolicyHistory, err error) {
	out.Name = in.Name
	var versions []state.PolicyVersion
	c.c.node.View(func(s *state.State) { versions = s.PolicyVersions(in.Name) })
	if len(versions) == 0 {
		return out, missing("policy", &namedVersion{Name: in.Name})
	}
	for i, v := range versions {
		version := api.PolicyVersion{Version: v.Policy.Version, At: rfc3339(v.At), Owner: v.Policy.Owner, Author: v.Author, Reason: v.Reason}
		if i > 0 {
			version.Changes = changes(&versions[i-1], &v)
		}
		out.Versions = append(out.Versions, version)
	}
	return out, nil
}

func (c *Control) diffPolicy(_ context.Context, in *policyVersions) (out api.PolicyDiff, err error) {
	c.c.node.View(func(s *state.State) {
		b, ok := s.Policy(in.Name, cmp.Or(in.To, len(s.PolicyVersions(in.Name))))
		if !ok {
			err = missing("policy", &namedVersion{Name: in.Name, Version: in.To})
			return
		}
		// Of the first version there is none before.
		from := cmp.Or(in.From, max(1, b.Policy.Version-1))
		a, ok := s.Policy(in.Name, from)
		if !ok {
			err = missing("policy", &namedVersion{Name: in.Name, Version: from})
			return
		}
		out = policyDiff(&a, &b)
	})
	return out, err
}

func policyDiff(a, b *state.PolicyVersion) api.PolicyDiff {
	name := b.Policy.Name
	out := api.PolicyDiff{Name: name, From: a.Policy.Version, To: b.Policy.Version, Changes: changes(a, b),
		Text: spec.Unified(name+"@"+strconv.Itoa(a.Policy.Version), name+"@"+strconv.Itoa(b.Policy.Version), a.Document, b.Document)}
	if out.Changes == nil {
		out.Changes = []loop.PolicyChange{}
	}
	return out
}

// changes are what one version has otherwise than another; that it is a canary, or
// is none any more, comes first.
func changes(a, b *state.PolicyVersion) (out []loop.PolicyChange) {
	if a.Canary != b.Canary {
		out = append(out, loop.PolicyChange{Key: "canary", From: ofRound(a.Canary), To: ofRound(b.Canary)})
	}
	return append(out, a.Policy.Changes(b.Policy)...)
}

// editPolicy makes a version of what edit makes of the latest, and says what that
// changed.
func (c *Control) editPolicy(ctx context.Context, name string, why api.Because, edit func(*state.State, *state.PolicyVersion) (*state.PutPolicy, error)) (out api.PolicyEdited, err error) {
	from := 0
	out.PolicyPut, err = c.newPolicy(ctx, name, why, func(s *state.State, latest *state.PolicyVersion) (*state.PutPolicy, error) {
		if latest == nil {
			return nil, missing("policy", &namedVersion{Name: name})
		}
		from = latest.Policy.Version
		return edit(s, latest)
	})
	if err != nil {
		return api.PolicyEdited{}, err
	}
	c.c.node.View(func(s *state.State) {
		a, _ := s.Policy(name, min(from, out.Version))
		b, _ := s.Policy(name, out.Version)
		out.Diff = policyDiff(&a, &b)
	})
	return out, nil
}

func (c *Control) rollbackPolicy(ctx context.Context, in *edit[api.Rollback]) (api.PolicyEdited, error) {
	return c.editPolicy(ctx, in.Name, in.Body.Because, func(s *state.State, latest *state.PolicyVersion) (*state.PutPolicy, error) {
		old, ok := s.Policy(in.Name, in.Body.Version)
		switch {
		case !ok:
			return nil, missing("policy", &namedVersion{Name: in.Name, Version: in.Body.Version})
		case latest.Canary == 0 && len(old.Policy.Changes(latest.Policy)) == 0:
			return nil, loop.Conflict("version", "version %d, the latest, says what version %d does", latest.Policy.Version, in.Body.Version)
		}
		return &state.PutPolicy{Policy: *old.Policy, Document: old.Document}, nil
	})
}

func (c *Control) pinSlice(ctx context.Context, in *edit[api.Pin]) (api.PolicyEdited, error) {
	b := &in.Body
	return c.setOverride(ctx, in.Name, spec.Pins, b.Because, loop.Override{Slice: b.Slice, Share: b.Share, Author: b.Author, Reason: b.Reason, Expires: b.Expires})
}

func (c *Control) banSlice(ctx context.Context, in *edit[api.Ban]) (api.PolicyEdited, error) {
	b := &in.Body
	return c.setOverride(ctx, in.Name, spec.Bans, b.Because, loop.Override{Slice: b.Slice, Author: b.Author, Reason: b.Reason, Expires: b.Expires})
}

func (c *Control) setOverride(ctx context.Context, name, list string, why api.Because, o loop.Override) (api.PolicyEdited, error) {
	if o.Expired(today()) {
		return api.PolicyEdited{}, &loop.Error{Field: "expires", Problem: o.Expires + " is over", Remedy: "name a day to come, or none"}
	}
	return c.editPolicy(ctx, name, why, func(s *state.State, latest *state.PolicyVersion) (*state.PutPolicy, error) {
		if err := cmp.Or(tried(latest), misspelt(s, name, &o)); err != nil {
			return nil, err
		}
		return edited(spec.SetOverride([]byte(latest.Document), list, o))
	})
}

// misspelt refuses a slice that none of the campaigns has that follow the policy and
// have rounds to come: it is misspelt. Where nobody follows the policy, nobody can say.
func misspelt(s *state.State, policy string, o *loop.Override) (err error) {
	for _, user := range behind(s, policy, math.MaxInt) {
		campaign, _ := s.Campaign(user.Campaign)
		space, _ := s.Space(campaign.Campaign.Space, campaign.SpaceVersion)
		if _, err = o.Resolve(space.Space, ""); err == nil {
			return nil
		}
	}
	return err
}

func (c *Control) unpinSlice(ctx context.Context, in *edit[api.Release]) (api.PolicyEdited, error) {
	return c.removeOverride(ctx, in, spec.Pins)
}

func (c *Control) unbanSlice(ctx context.Context, in *edit[api.Release]) (api.PolicyEdited, error) {
	return c.removeOverride(ctx, in, spec.Bans)
}

func (c *Control) removeOverride(ctx context.Context, in *edit[api.Release], list string) (api.PolicyEdited, error) {
	return c.editPolicy(ctx, in.Name, in.Body.Because, func(_ *state.State, latest *state.PolicyVersion) (*state.PutPolicy, error) {
		if err := tried(latest); err != nil {
			return nil, err
		}
		return edited(spec.RemoveOverride([]byte(latest.Document), list, in.Body.Slice))
	})
}

// edited is a document that was edited, and what it says.
func edited(document []byte, err error) (*state.PutPolicy, error) {
	if err != nil {
		return nil, err
	}
	policy, err := spec.ParsePolicy(document)
	return &state.PutPolicy{Policy: policy, Document: string(document)}, err
}

// adoptPolicy has a campaign follow a policy by which its next round can be
// decided: what cannot would be found out only by a campaign that goes no further.
func (c *Control) adoptPolicy(ctx context.Context, in *edit[api.Adopt]) (api.Campaign, error) {
	for {
		var command state.AdoptPolicy
		var decide func() error
		var err error
		c.c.node.View(func(s *state.State) { command, decide, err = adoption(s, in) })
		if err == nil {
			err = decide()
		}
		if err == nil {
			_, err = c.c.node.Propose(ctx, state.Command{AdoptPolicy: &command})
		}
		if !errors.Is(err, errStale) || ctx.Err() != nil || in.Body.Expected != 0 {
			return c.steered(ctx, in.Name, err)
		}
	}
}

// adoption is the command, and a trial of the policy.
func adoption(s *state.State, in *edit[api.Adopt]) (state.AdoptPolicy, func() error, error) {
	campaign, ok := s.Campaign(in.Name)
	if !ok {
		return state.AdoptPolicy{}, nil, loop.NotFound("campaign", "there is no campaign %q", in.Name)
	}
	name := cmp.Or(in.Body.Policy, campaign.Campaign.Policy)
	policy, ok := s.Policy(name, in.Body.Version)
	if !ok {
		return state.AdoptPolicy{}, nil, missing("policy", &namedVersion{Name: name, Version: in.Body.Version})
	}
	command := state.AdoptPolicy{Campaign: in.Name, Version: cmp.Or(in.Body.Expected, campaign.Version),
		Policy: name, PolicyVersion: policy.Policy.Version, Author: in.Body.Author, Reason: in.Body.Reason}
	if len(campaign.Campaign.Make) > 0 {
		return command, func() error { return nil }, nil // which state refuses
	}
	arms := loop.Arms{Stable: policy.Policy}
	if canary, ok := s.Canary(name); ok && canary.Policy.Version != policy.Policy.Version && campaign.Campaign.TriesCanaries() {
		arms.Canary, arms.Share = canary.Policy, canary.Canary
	}
	return command, trial(s, &campaign, arms, fmt.Sprintf("follow %s@%d", name, policy.Policy.Version)), nil
}

// trial decides a campaign's next round by the policies, as far as that is possible
// without its evidence: a refusal says that the campaign cannot do that.
func trial(s *state.State, campaign *state.Campaign, arms loop.Arms, that string) func() error {
	c := campaign.Campaign
	space, _ := s.Space(c.Space, campaign.SpaceVersion)
	var last *loop.Round
	if round, ok := s.Round(c.Name, campaign.Round); ok {
		last = &round.Decided.Round
	}
	next := loop.Budget{Campaign: c.Name, Number: campaign.Round + 1, Train: min(2, c.Samples), Day: today(), Evaluation: c.Evaluation, QuotaBy: c.QuotaBy}
	return func() error {
		_, err := arms.Decide(space.Space, last, nil, next, c.Seed)
		if refused, ok := errors.AsType[*loop.Error](err); ok {
			told := *refused
			told.Problem = fmt.Sprintf("campaign %q cannot %s: %s", c.Name, that, refused.Problem)
			return &told
		}
		return err
	}
}
