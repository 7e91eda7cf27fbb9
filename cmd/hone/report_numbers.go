package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hone/api"
	"hone/loop"
	"hone/spec"
)

// reportOptions say what a report is of.
type reportOptions struct {
	campaign string
	// control is a campaign to compare with, exam an eval set that judges both;
	// without it each is judged by the outcomes that it learns from.
	control, exam string
	// price is of an hour of generation; 0: not given.
	price float64
	now   time.Time
}

// reportNumbers are what a report says, without pictures: its JSON.
type reportNumbers struct {
	Campaign api.Campaign    `json:"campaign"`
	Control  *api.Campaign   `json:"control,omitempty"`
	Exam     string          `json:"exam,omitempty"`
	At       string          `json:"at"`
	Accuracy []sliceAccuracy `json:"accuracy"`
	Budget   []roundBudget   `json:"budget"`
	Damped   []api.Memory    `json:"damped"`
	Notes    []string        `json:"notes"`
	Forecast api.Forecast    `json:"forecast"`
	Coverage []pairCoverage  `json:"coverage"`
	Gates    []passRate      `json:"gates"`
	Workers  []passRate      `json:"workers"`
	Slices   []passRate      `json:"slices"`
	Cost     reportCost      `json:"cost"`
	Datasets []api.Dataset   `json:"datasets"`
	Latest   *api.Decision   `json:"-"`
	Version  string          `json:"server_version"`
	Sequence uint64          `json:"sequence"`
	pictures []reportedSlice // of the boosted slices
	failures []reportedSlice // of what looks unlearnable
}

// sliceAccuracy is how both campaigns' models did in one slice.
type sliceAccuracy struct {
	Name  string            `json:"name"`
	Slice map[string]string `json:"slice"`
	// Asked: the exam has samples of just this slice.
	Asked    bool            `json:"asked,omitempty"`
	Campaign []accuracyPoint `json:"campaign"`
	Control  []accuracyPoint `json:"control,omitempty"`
	in       loop.Slice
}

// accuracyPoint is one model version in one slice.
type accuracyPoint struct {
	ModelVersion string  `json:"model_version"`
	Round        int     `json:"round"`
	Samples      int64   `json:"samples"`
	Rows         int64   `json:"rows"`
	Groups       int64   `json:"groups"`
	Accuracy     float64 `json:"accuracy"`
	Lower        float64 `json:"lower"`
	Upper        float64 `json:"upper"`
}

// roundBudget is how the training samples of a round were spread.
type roundBudget struct {
	Round   int           `json:"round"`
	Samples int64         `json:"samples"`
	Parts   []budgetShare `json:"parts"`
}

type budgetShare struct {
	Name     string  `json:"name"`
	Samples  int64   `json:"samples"`
	Share    float64 `json:"share"`
	Sentence string  `json:"sentence,omitempty"`
}

// passRate is how many attempts passed the gates.
type passRate struct {
	Name     string  `json:"name"`
	Attempts int64   `json:"attempts"`
	Rejected int64   `json:"rejected"`
	Rate     float64 `json:"pass_rate"`
}

// reportCost is the time that generators took for what was committed.
type reportCost struct {
	Seconds  float64     `json:"seconds"`
	Price    float64     `json:"price_per_hour,omitempty"`
	Money    float64     `json:"money,omitempty"`
	ByRound  []costShare `json:"by_round"`
	BySlice  []costShare `json:"by_slice"`
	Training float64     `json:"training_seconds"`
}

type costShare struct {
	Name    string  `json:"name"`
	Samples int64   `json:"samples"`
	Seconds float64 `json:"seconds"`
	Money   float64 `json:"money,omitempty"`
}

// The bounds of a report, so that it stays readable whatever the space is.
const (
	reportSlices = 12 // charts of slices
	reportRounds = 60 // the latest, of those there are
	reportLevels = 12 // rows and columns of a heat map
	reportPairs  = 6  // heat maps
	reportRows   = 12 // of a table of names
)

// arm is one campaign of a report.
type arm struct {
	api.Campaign
	asked  loop.Campaign
	space  *loop.Space
	schema string
	// line is the model line that it learns from; empty if there is none.
	line string
}

// openArm asks for a campaign and what its documents say.
func openArm(ctx context.Context, client *api.Client, name string) (*arm, error) {
	campaign, err := client.Campaign(ctx, name)
	if err != nil {
		return nil, err
	}
	a := &arm{Campaign: campaign}
	spaceName, version, err := versioned(campaign.Space)
	if err != nil {
		return nil, err
	}
	definition, err := client.ShowSpace(ctx, spaceName, version)
	if err != nil {
		return nil, err
	}
	space, err := spec.ParseSpace([]byte(definition.Document))
	if err != nil {
		return nil, fmt.Errorf("space %s: %w", campaign.Space, err)
	}
	a.space = &space
	if a.asked, err = spec.ParseCampaign([]byte(campaign.Document), func(string) (*loop.Space, error) { return a.space, nil }); err != nil {
		return nil, fmt.Errorf("campaign %s: %w", name, err)
	}
	if len(a.asked.LearnFrom) > 0 {
		a.line = a.asked.LearnFrom[0].ModelLine
	}
	table, err := client.SQL(ctx, "SELECT min(schema) FROM main.spaces WHERE space = "+literal(spaceName), campaign.Sequence)
	if err != nil {
		return nil, err
	}
	for r := range rowsOf(&table) {
		a.schema = r.text(0)
	}
	return a, nil
}

// gatherReport asks a server for all that a report says, over its public API.
func gatherReport(ctx context.Context, client *api.Client, o reportOptions) (*reportNumbers, error) {
	a, err := openArm(ctx, client, o.campaign)
	if err != nil {
		return nil, err
	}
	arms := []*arm{a}
	n := &reportNumbers{Campaign: a.Campaign, Exam: o.exam, At: o.now.UTC().Format(time.RFC3339), Sequence: a.Sequence,
		Damped: []api.Memory{}, Notes: []string{}, Datasets: []api.Dataset{}}
	if o.control != "" {
		control, err := openArm(ctx, client, o.control)
		if err != nil {
			return nil, err
		}
		if control.space.Name != a.space.Name {
			return nil, usage("--control %s is of space %s, and %s of %s: they cannot be compared", o.control, control.space.Name, o.campaign, a.space.Name)
		}
		arms, n.Control = append(arms, control), &control.Campaign
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	n.Version = status.Version
	if a.Round > 0 {
		latest, err := client.Round(ctx, o.campaign, a.Round, 0)
		if err != nil {
			return nil, err
		}
		n.Latest = latest.Decision
	}
	if n.Latest != nil {
		for _, m := range n.Latest.Memory {
			if m.Quarantined || m.Sentence != "" {
				n.Damped = append(n.Damped, m)
			}
		}
		n.Notes = append(n.Notes, n.Latest.Notes...)
	}
	if n.Forecast, err = client.Forecast(ctx, o.campaign); err != nil {
		return nil, err
	}
	for _, name := range []string{o.campaign, loop.EvaluationSet(o.campaign)} {
		version, err := client.Dataset(ctx, name, 0)
		if err == nil {
			n.Datasets = append(n.Datasets, version)
		} else if !errors.Is(err, loop.ErrNotFound) {
			return nil, err
		}
	}
	q := &reportQueries{client: client, arm: a, atLeast: a.Sequence}
	if n.Budget, err = q.budget(ctx); err != nil {
		return nil, err
	}
	if err := n.chooseSlices(ctx, client, a, o.exam); err != nil {
		return nil, err
	}
	for i, arm := range arms {
		points, err := accuracy(ctx, client, arm, n.Accuracy, o.exam)
		if err != nil {
			return nil, err
		}
		for s := range points {
			if i == 0 {
				n.Accuracy[s].Campaign = points[s]
			} else {
				n.Accuracy[s].Control = points[s]
			}
		}
	}
	boosts := n.Accuracy[1:]
	if err := q.gates(ctx, n, boosts); err != nil {
		return nil, err
	}
	if n.Cost, err = q.cost(ctx, o.price); err != nil {
		return nil, err
	}
	if n.Coverage, err = q.coverage(ctx, n); err != nil {
		return nil, err
	}
	return n, q.pictures(ctx, n)
}

// chooseSlices decides which slices are charted: everything, then those that the
// exam asks for, then those that the campaign spent most on.
func (n *reportNumbers) chooseSlices(ctx context.Context, client *api.Client, a *arm, exam string) error {
	n.Accuracy = []sliceAccuracy{{Name: a.space.Describe(nil), Slice: map[string]string{}}}
	add := func(slice map[string]string, asked bool) {
		in, ok := sliceOf(a.space, slice)
		if !ok || len(in) == 0 || len(n.Accuracy) > reportSlices ||
			slices.ContainsFunc(n.Accuracy, func(s sliceAccuracy) bool { return s.in.Equal(in) }) {
			return
		}
		n.Accuracy = append(n.Accuracy, sliceAccuracy{Name: a.space.Describe(in), Slice: slice, Asked: asked, in: in})
	}
	if examiner := loop.EvaluatedCampaign(exam); examiner != "" && examiner != a.Name {
		round, err := client.Round(ctx, examiner, 1, 0)
		if err != nil && !errors.Is(err, loop.ErrNotFound) {
			return err
		}
		if err == nil && round.Decision != nil {
			for _, c := range round.Decision.Components {
				if loop.Source(c.Source) == loop.SourcePinned {
					add(c.Slice, true)
				}
			}
		}
	}
	for _, s := range n.Forecast.Slices {
		if s.Outlook == loop.Unlearnable {
			add(s.Slice, false)
		}
	}
	spent := map[string]int64{}
	for _, r := range n.Budget {
		for _, p := range r.Parts {
			spent[p.Name] += p.Samples
		}
	}
	// Names are as the server writes them, so the forecast's slices lead back from
	// them to levels.
	boosted := slices.Clone(n.Forecast.Slices)
	slices.SortStableFunc(boosted, func(x, y api.SliceForecast) int { return int(spent[y.Name] - spent[x.Name]) })
	for _, s := range boosted {
		add(s.Slice, false)
	}
	return nil
}

// sliceOf reads a slice as the API writes it. It is not ok where the space does
// not have it.
func sliceOf(space *loop.Space, names map[string]string) (slice loop.Slice, ok bool) {
	for f := range space.Factors {
		level, named := names[space.Factors[f].Name]
		if !named {
			continue
		}
		l := space.Factors[f].Level(level)
		if l < 0 {
			return nil, false
		}
		slice = append(slice, loop.Predicate{Factor: f, Level: l})
	}
	return slice, len(slice) == len(names)
}

// last is the latest point of a curve, first its first; zero if there is none.
func last(points []accuracyPoint) (p accuracyPoint, ok bool) {
	if len(points) == 0 {
		return p, false
	}
	return points[len(points)-1], true
}

// plural is a number and a noun.
func plural[T int | int64 | uint64](n T, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "y") {
		return thousands(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	}
	return thousands(n) + " " + one + "s"
}
