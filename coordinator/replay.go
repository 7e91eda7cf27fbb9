package coordinator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"runtime"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// mostDifferences is how many places a replay names.
const mostDifferences = 20

func (c *Control) replays(to huma.API) {
	o := operation(http.MethodPost, "/v1/campaigns/{name}/rounds/{number}/replay", "replay-round", "Decide a past round once more and compare", "Rounds")
	o.Description = "From its evidence object, its versions of space and policy, the round before, its budget and its seed: " +
		"the same build on the same architecture must come to the same bytes. Nothing is changed."
	huma.Register(to, o, answering(c, c.replayRound))
}

// arguments are all that a round was decided from, but for the evidence.
type arguments struct {
	decided  *loop.DecidedRound
	space    *loop.Space
	arms     loop.Arms   // none of a round that made what was requested
	previous *loop.Round // nil of the first
	budget   loop.Budget
	seed     uint64
}

// argumentsOf are those of a decided round, which need not be open.
func argumentsOf(s *state.State, decided *loop.DecidedRound) (a arguments, err error) {
	r := &decided.Round
	campaign, ok := s.Campaign(r.Campaign)
	if !ok {
		return a, loop.NotFound("campaign", "there is no campaign %q", r.Campaign)
	}
	a = arguments{decided: decided, budget: decided.BudgetOf(campaign.Campaign), seed: campaign.Campaign.Seed}
	space, ok := s.Space(decided.Space, r.SpaceVersion)
	if !ok {
		return a, fmt.Errorf("there is no version %d of space %q", r.SpaceVersion, decided.Space)
	}
	a.space = space.Space
	if decided.Policy != "" {
		policy, ok := s.Policy(decided.Policy, r.PolicyVersion)
		if !ok {
			return a, fmt.Errorf("there is no version %d of policy %q", r.PolicyVersion, decided.Policy)
		}
		a.arms.Stable = policy.Policy
		if k := r.Canary; k != nil {
			canary, ok := s.Policy(decided.Policy, k.PolicyVersion)
			if !ok {
				return a, fmt.Errorf("there is no version %d of policy %q", k.PolicyVersion, decided.Policy)
			}
			a.arms.Canary, a.arms.Share = canary.Policy, k.Share
		}
	}
	if previous, ok := s.Round(r.Campaign, r.Number-1); ok {
		a.previous = &previous.Decided.Round
	}
	return a, nil
}

// decide decides from the arguments and evidence, nil for none.
func (a *arguments) decide(e *loop.Evidence) (loop.Round, error) {
	return a.arms.Decide(a.space, a.previous, e, a.budget, a.seed)
}

// errAltered says that an evidence object is not what its round names.
var errAltered = errors.New("the evidence object is altered")

// evidence reads the evidence object of a decided round; nil if it has none. Its
// error wraps errAltered, or fs.ErrNotExist where the lake has lost it.
func (c *Control) evidence(ctx context.Context, decided *loop.DecidedRound) (*loop.Evidence, error) {
	if decided.EvidenceKey == "" {
		return nil, nil
	}
	object, _, err := c.o.Objects.OpenObject(ctx, decided.EvidenceKey)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", decided.EvidenceKey, err)
	}
	defer object.Close()
	encoded, err := io.ReadAll(object)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", decided.EvidenceKey, err)
	}
	if digest := loop.Digest(sha256.Sum256(encoded)); digest != decided.Round.Evidence {
		return nil, fmt.Errorf("%s hashes to %s: %w", decided.EvidenceKey, digest, errAltered)
	}
	e, err := loop.DecodeEvidence(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", decided.EvidenceKey, err)
	}
	return &e, nil
}

func (c *Control) replayRound(ctx context.Context, in *roundOf) (api.Replay, error) {
	var from arguments
	var err error
	c.c.node.View(func(s *state.State) {
		round, ok := s.Round(in.Name, in.Number)
		if !ok {
			err = loop.NotFound("round", "campaign %q has no round %d", in.Name, in.Number)
			return
		}
		from, err = argumentsOf(s, round.Decided)
	})
	if err != nil {
		return api.Replay{}, err
	}
	decided := from.decided
	out := api.Replay{Campaign: in.Name, Round: in.Number, Digest: decided.Round.Digest(), Evidence: api.EvidenceNone, Sequence: decided.Sequence,
		ReplayedBy: api.Build{Version: c.o.Version, Architecture: runtime.GOARCH}}
	if decided.Build != "" || decided.Architecture != "" {
		out.DecidedBy = &api.Build{Version: decided.Build, Architecture: decided.Architecture}
	}
	if decided.EvidenceKey != "" {
		out.Evidence = api.EvidenceIntact
	}
	evidence, err := c.evidence(ctx, decided)
	switch {
	case errors.Is(err, errAltered):
		out.Evidence, out.Problem = api.EvidenceAltered, err.Error()
		return out, nil
	case errors.Is(err, fs.ErrNotExist):
		out.Evidence, out.Problem = api.EvidenceMissing, err.Error()
		return out, nil
	case err != nil && ctx.Err() != nil:
		return out, err
	case err != nil:
		out.Problem = err.Error()
		return out, nil //nolint:nilerr // what is wrong is the answer
	}
	round, err := from.decide(evidence)
	if err != nil {
		out.Problem = "it is refused now: " + err.Error()
		return out, nil //nolint:nilerr // what is wrong is the answer
	}
	replayed := round.Digest()
	out.Replayed, out.Identical = &replayed, replayed == out.Digest
	if !out.Identical {
		out.Differences = decided.Round.Differences(&round, mostDifferences)
		out.ShareDistance = decided.Round.ShareDistance(&round)
	}
	return out, nil
}
