package coordinator

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

const (
	// canaryRounds is how many rounds of a canary are compared, the latest.
	canaryRounds = 64
	// leastEvaluated is from how many samples of either arm a difference is told.
	leastEvaluated = 30
)

type canaryOf struct {
	Name     string `path:"name" doc:"The policy" example:"careful"`
	Version  int    `query:"version" minimum:"0" doc:"A canary that was; the latest that each campaign tried if it is left out"`
	Campaign string `query:"campaign" doc:"Of this campaign alone"`
}

// contrasted is a campaign that tried a canary, and its rounds of two arms.
type contrasted struct {
	outlook
	trial  api.CanaryTrial
	rounds []state.Round
	spaces []*loop.Space // of the rounds
}

func (c *Control) policyCanary(ctx context.Context, in *canaryOf) (api.CanaryComparison, error) {
	out := api.CanaryComparison{Name: in.Name, Campaigns: []api.CanaryTrial{}, Caveat: api.CanaryCaveat}
	var found []*contrasted
	var err error
	c.c.node.View(func(s *state.State) {
		if _, ok := s.Policy(in.Name, in.Version); !ok {
			err = missing("policy", &namedVersion{Name: in.Name, Version: in.Version})
			return
		}
		if _, ok := s.Campaign(in.Campaign); !ok && in.Campaign != "" {
			err = loop.NotFound("campaign", "there is no campaign %q", in.Campaign)
			return
		}
		for _, campaign := range s.Campaigns() {
			if in.Campaign != "" && in.Campaign != campaign.Campaign.Name {
				continue
			}
			if k := contrast(s, &campaign, in); k != nil {
				found = append(found, k)
			}
		}
	})
	if err != nil {
		return out, err
	}
	for _, k := range found {
		if k.outlook, err = c.outlook(k.trial.Campaign); err != nil {
			return out, err
		}
		if err := c.fill(ctx, k); err != nil {
			return out, fmt.Errorf("compare the arms of %s: %w", k.trial.Campaign, err)
		}
		out.Campaigns = append(out.Campaigns, k.trial)
	}
	return out, nil
}

// contrast gathers the rounds in which a campaign tried a canary of the policy; it is
// nil where it never did, nor will next.
func contrast(s *state.State, campaign *state.Campaign, in *canaryOf) *contrasted {
	name, version := campaign.Campaign.Name, in.Version
	own := campaign.Campaign.Policy == in.Name
	if version == 0 && own {
		version = campaign.Canary
	}
	k := &contrasted{trial: api.CanaryTrial{Campaign: name, Rounds: []api.CanaryRound{}}}
	for _, r := range slices.Backward(s.Rounds(name)) {
		decided := &r.Decided.Round
		if decided.Canary == nil || r.Decided.Policy != in.Name || version != 0 && decided.Canary.PolicyVersion != version {
			continue
		}
		if version = decided.Canary.PolicyVersion; k.trial.Stable == 0 {
			k.trial.Stable = decided.PolicyVersion
		}
		space, ok := s.Space(r.Decided.Space, decided.SpaceVersion)
		if !ok || len(k.rounds) == canaryRounds {
			break
		}
		k.rounds, k.spaces = append(k.rounds, r), append(k.spaces, space.Space)
	}
	slices.Reverse(k.rounds)
	slices.Reverse(k.spaces)
	k.trial.Canary = version
	k.trial.Running = own && version != 0 && version == campaign.Canary && campaign.Round < campaign.Campaign.Rounds &&
		(campaign.State == state.Running || campaign.State == state.Paused)
	if k.trial.Running && k.trial.Stable == 0 {
		k.trial.Stable = campaign.PolicyVersion
	}
	if v, ok := s.Policy(in.Name, version); ok {
		k.trial.Share = micro(v.Canary)
	}
	if len(k.rounds) == 0 && !k.trial.Running {
		return nil
	}
	return k
}

// tally is what a component, or an arm, comes to.
type tally struct {
	samples, accepted, rejected uint64
	// measured samples took so many milliseconds together.
	measured, millis float64
	// evaluated samples failed so many times.
	evaluated, failed float64
	// effective is the sum over samples.
	effective float64
}

func (t *tally) add(u *tally) {
	t.samples, t.accepted, t.rejected = t.samples+u.samples, t.accepted+u.accepted, t.rejected+u.rejected
	t.measured, t.millis = t.measured+u.measured, t.millis+u.millis
	t.evaluated, t.failed = t.evaluated+u.evaluated, t.failed+u.failed
	t.effective += u.effective
}

func (t *tally) yield(price *loop.Price) api.CanaryYield {
	out := api.CanaryYield{Samples: t.samples, Accepted: t.accepted, Rejected: t.rejected, Evaluated: uint64(t.evaluated), Failures: t.failed}
	if t.samples > 0 {
		out.Effective = t.effective / float64(t.samples)
	}
	if judged := t.accepted + t.rejected; judged > 0 {
		rate := float64(t.rejected) / float64(judged)
		out.RejectionRate = &rate
	}
	if t.measured > 0 && t.accepted > 0 && t.millis > 0 {
		// What was sent back took as long as what was not.
		cost := costOf(price, t.millis/t.measured*float64(t.accepted+t.rejected)/float64(t.accepted))
		out.Cost = &cost
	}
	if t.evaluated > 0 {
		rate := t.failed / t.evaluated
		out.FailureRate = &rate
	}
	return out
}

// compared says what two arms come to, and by how much the canary fails more.
func compared(stable, canary *tally, price *loop.Price) api.CanaryArms {
	out := api.CanaryArms{Stable: stable.yield(price), Canary: canary.yield(price)}
	if least := min(stable.evaluated, canary.evaluated); least < leastEvaluated {
		out.Refused = fmt.Sprintf("a sealed model was evaluated on %.0f samples of the stable arm and %.0f of the canary's; at least %d of each are needed to tell a difference: "+
			"evaluate on samples of the mixture (evaluation.mixture in the campaign), or wait for more rounds", stable.evaluated, canary.evaluated, leastEvaluated)
		return out
	}
	above := loop.Contrast(canary.failed, canary.evaluated, stable.failed, stable.evaluated)
	out.Above = &above
	return out
}

// fill counts what the arms come to, by round and together.
func (c *Control) fill(ctx context.Context, k *contrasted) error {
	var together [2]tally
	if len(k.rounds) > 0 {
		schema, err := c.schema(ctx, &k.outlook)
		if err != nil {
			return err
		}
		taken, err := c.counts(ctx, k.taken(schema), k.sequence)
		if err != nil {
			return err
		}
		failed := map[[2]int64][2]float64{}
		if query := k.failed(schema); query != "" {
			if failed, err = c.counts(ctx, query, k.sequence); err != nil {
				return err
			}
		}
		for i := range k.rounds {
			r := &k.rounds[i]
			decided := &r.Decided.Round
			var own [2]tally
			for at := range decided.Components {
				component, progress := &decided.Components[at], &r.Components[at]
				arm := &own[0]
				if component.Canary {
					arm = &own[1]
				}
				name := [2]int64{int64(decided.Number), int64(component.Number)}
				switch {
				case component.Domain == loop.Train:
					arm.add(&tally{samples: progress.Quota, accepted: progress.Committed, rejected: progress.Rejected,
						measured: taken[name][0], millis: taken[name][1]})
				case component.Source == loop.SourceMixture:
					arm.add(&tally{evaluated: failed[name][0], failed: failed[name][1]})
				}
			}
			for arm, canary := range []bool{false, true} {
				sampler, err := loop.NewSampler(k.spaces[i], decided.Arm(canary))
				if err != nil {
					return err
				}
				effective, err := sampler.Effective()
				if err != nil {
					return err
				}
				own[arm].effective = effective * float64(own[arm].samples)
				together[arm].add(&own[arm])
			}
			out := api.CanaryRound{Round: decided.Number, CanaryArms: compared(&own[0], &own[1], &k.campaign.Price)}
			out.OnlyStable, out.OnlyCanary = only(k.spaces[i], decided, false), only(k.spaces[i], decided, true)
			k.trial.Rounds = append(k.trial.Rounds, out)
		}
	}
	k.trial.Together = compared(&together[0], &together[1], &k.campaign.Price)
	return nil
}

// only are the slices that one arm boosts and the other does not, in its order.
func only(space *loop.Space, r *loop.Round, canary bool) (names []string) {
	boosts := func(arm bool, slice loop.Slice) bool {
		return slices.ContainsFunc(r.Components, func(c loop.Component) bool {
			return c.Domain == loop.Train && c.Canary == arm && c.Slice.Equal(slice)
		})
	}
	for i := range r.Components {
		c := &r.Components[i]
		if c.Domain != loop.Train || c.Canary != canary || len(c.Slice) == 0 || boosts(!canary, c.Slice) {
			continue
		}
		if name := space.Describe(c.Slice); !slices.Contains(names, name) { // quota_by splits a slice
			names = append(names, name)
		}
	}
	return names
}

// counts reads two numbers of components by round and number.
func (c *Control) counts(ctx context.Context, query string, sequence uint64) (map[[2]int64][2]float64, error) {
	table, err := c.o.Queries.Query(ctx, query, sequence)
	if err != nil {
		return nil, err
	}
	out := make(map[[2]int64][2]float64, len(table.Rows))
	for _, row := range table.Rows {
		if len(row) != 4 {
			return nil, fmt.Errorf("a row of %d columns", len(row))
		}
		var numbers [2]float64
		for i := range numbers {
			if numbers[i], err = strconv.ParseFloat(fmt.Sprint(row[2+i]), 64); err != nil {
				return nil, err
			}
		}
		out[[2]int64{integer(row[0]), integer(row[1])}] = numbers
	}
	return out, nil
}

// of are the campaign's samples of a split, in the rounds that are compared.
func (k *contrasted) of(split string) string {
	numbers := make([]string, len(k.rounds))
	for i := range k.rounds {
		numbers[i] = strconv.Itoa(k.rounds[i].Decided.Round.Number)
	}
	return fmt.Sprintf("campaign = %s AND split = '%s' AND round IN (%s)", literal(k.campaign.Name), split, strings.Join(numbers, ", "))
}

// taken asks how many accepted samples there are of which it is known what they took,
// and how long that was.
func (k *contrasted) taken(schema string) string {
	return fmt.Sprintf("SELECT round, component, count(millis), coalesce(sum(millis), 0)::DOUBLE FROM %s.samples WHERE %s GROUP BY ALL ORDER BY ALL", ident(schema), k.of("train"))
}

// failed asks how many samples of each component a model was evaluated on, and how
// many failed: of every line that the campaign learns from the newest sealed version
// that was evaluated on samples of that round. Rows of one sample are not independent,
// and count as one. It is empty where there is no such version.
func (k *contrasted) failed(schema string) string {
	var versions, learned []string
	for _, line := range k.lines() {
		for i, version := range slices.Backward(k.sealed[line]) {
			versions = append(versions, fmt.Sprintf("(%s, %s, %d)", literal(line), literal(version), i))
		}
	}
	for _, from := range k.campaign.LearnFrom {
		condition := "o.model_line = " + literal(from.ModelLine)
		if from.EvalSet != "" {
			condition += fmt.Sprintf(" AND (o.eval_set = %s OR starts_with(o.eval_set, %s))", literal(from.EvalSet), literal(from.EvalSet+"@"))
		}
		if from.Task != "" {
			condition += " AND o.task = " + literal(from.Task)
		}
		learned = append(learned, "("+condition+")")
	}
	if len(versions) == 0 {
		return ""
	}
	return fmt.Sprintf(`WITH v(line, version, sealed) AS (VALUES %s),
k AS (SELECT digest, round, component FROM %[2]s.samples WHERE %[3]s
	QUALIFY row_number() OVER (PARTITION BY digest ORDER BY round, component) = 1),
o AS (SELECT k.round, k.component, o.sample, o.model_line, v.sealed, (NOT o.correct)::INTEGER AS failed
	FROM %[2]s.outcomes o JOIN v ON v.line = o.model_line AND v.version = o.model_version JOIN k ON k.digest = o.sample
	WHERE o.correct IS NOT NULL AND (%[4]s)
	QUALIFY v.sealed = max(v.sealed) OVER (PARTITION BY o.model_line, k.round))
SELECT round, component, count(*), sum(failed)::DOUBLE FROM (SELECT round, component, sample, avg(failed) AS failed FROM o GROUP BY ALL) GROUP BY ALL ORDER BY ALL`,
		strings.Join(versions, ", "), ident(schema), k.of("evaluation"), strings.Join(learned, " OR "))
}
