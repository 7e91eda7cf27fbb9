package coordinator

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// canaries are the routes by which a canary is looked at and ended.
func (c *Control) canaries(to huma.API) {
	o := operation(http.MethodGet, "/v1/policies/{name}/canary", "policy-canary", "Compare what a policy's canaries and the versions beside them yield", "Policies")
	o.Description = "By campaign, for the latest canary that it tried: what each arm was given, how much of it a gate sent back, what a sample took, which slices only one of the two boosts, " +
		"and how often the models that learned from both fail on the evaluation samples of each. It cannot say which of the two made a model better: one model is trained on both. An experiment can."
	huma.Register(to, o, answering(c, c.policyCanary))
	for _, end := range []struct {
		verb, id, summary, description string
		of                             func(s *state.State, canary *state.PolicyVersion) state.PolicyVersion
	}{
		{"promote", "promote-policy", "Make a policy's canary its stable version", "What the canary says becomes the next version. Campaigns follow it when they are told to.",
			func(_ *state.State, canary *state.PolicyVersion) state.PolicyVersion { return *canary }},
		{"withdraw", "withdraw-policy", "End a policy's canary", "What the stable version says becomes the next version. Rounds that are decided stay as they are.",
			func(s *state.State, canary *state.PolicyVersion) state.PolicyVersion {
				stable, _ := s.Policy(canary.Policy.Name, 0)
				return stable
			}},
	} {
		o := operation(http.MethodPost, "/v1/policies/{name}/"+end.verb, end.id, end.summary, "Policies")
		o.Description = end.description
		huma.Register(to, o, answering(c, func(ctx context.Context, in *edit[api.Because]) (api.PolicyEdited, error) {
			return c.editPolicy(ctx, in.Name, in.Body, func(s *state.State, latest *state.PolicyVersion) (*state.PutPolicy, error) {
				if latest.Canary == 0 {
					return nil, loop.Conflict("policy", "%s@%d, the latest version, is no canary", in.Name, latest.Policy.Version)
				}
				v := end.of(s, latest)
				return &state.PutPolicy{Policy: *v.Policy, Document: v.Document}, nil
			})
		}))
	}
}

// armsOf are the policies by which a campaign's next round is decided.
func armsOf(s *state.State, campaign *state.Campaign) (arms loop.Arms) {
	name := campaign.Campaign.Policy
	if v, ok := s.Policy(name, campaign.PolicyVersion); ok {
		arms.Stable = v.Policy
	}
	if v, ok := s.Policy(name, campaign.Canary); ok && campaign.Canary > 0 {
		arms.Canary, arms.Share = v.Policy, v.Canary
	}
	return arms
}

// widest is a policy that asks for as much evidence as either of two, of which the
// other may be nil.
func widest(p, other *loop.Policy) *loop.Policy {
	if other == nil {
		return p
	}
	w := *p
	w.Window = max(p.Window, other.Window)
	if other.Value.Cost && other.Value.Time {
		w.Value = other.Value
	}
	return &w
}

// micro is a share that is kept in micro-units.
func micro(share uint32) float64 { return float64(share) / loop.MicroUnits }

// ofRound says a canary's share; nothing of what is none.
func ofRound(share uint32) string {
	if share == 0 {
		return ""
	}
	return strconv.FormatFloat(100*micro(share), 'g', -1, 64) + "% of each round"
}

// tried refuses to edit a canary: nobody could say whether the edit is meant to be
// of what is tried, or of what it is tried beside.
func tried(latest *state.PolicyVersion) error {
	if latest.Canary == 0 {
		return nil
	}
	name := latest.Policy.Name
	return loop.Conflict("policy", "%s@%d is a canary, and an edit would end it: promote or withdraw it first (hone policy promote %[1]s, hone policy withdraw %[1]s), or put another canary", name, latest.Policy.Version)
}

// trying are those of the campaigns that try canaries.
func trying(s *state.State, users []api.PolicyUser) []api.PolicyUser {
	return slices.DeleteFunc(users, func(user api.PolicyUser) bool {
		campaign, _ := s.Campaign(user.Campaign)
		return !campaign.Campaign.TriesCanaries()
	})
}

// canaryShare is the share in micro-units of a policy that is put, 0 for no canary.
// A canary differs from what is beside it, and campaigns that would try it can.
func (c *Control) canaryShare(policy *loop.Policy, share float64) (uint32, error) {
	if share == 0 {
		return 0, nil
	}
	arms := loop.Arms{Canary: policy, Share: uint32(math.Round(share * loop.MicroUnits))}
	if err := loop.ValidateCanary(arms.Share); err != nil {
		return 0, err
	}
	var trials []func() error
	var err error
	c.c.node.View(func(s *state.State) {
		stable, ok := s.Policy(policy.Name, 0)
		if !ok {
			return // which state refuses
		}
		if len(stable.Policy.Changes(policy)) == 0 {
			err = loop.Conflict("canary", "%s@%d, the stable version, says the same", policy.Name, stable.Policy.Version)
			return
		}
		users := trying(s, behind(s, policy.Name, math.MaxInt))
		for _, user := range users[:min(len(users), maxTrials)] {
			campaign, _ := s.Campaign(user.Campaign)
			beside := arms
			beside.Stable = armsOf(s, &campaign).Stable
			trials = append(trials, trial(s, &campaign, beside, fmt.Sprintf("try this beside %s@%d", policy.Name, user.Version)))
		}
	})
	for _, try := range trials {
		if err == nil {
			err = try()
		}
	}
	return arms.Share, err
}
