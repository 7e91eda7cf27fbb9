package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hone/api"
	"hone/loop"
)

// Options say what a report is of.
type Options struct {
	Campaign string
	// Control is a campaign of the same space to compare with; empty: none.
	Control string
	// Exam is an eval set that judges both; empty: each is judged by the outcomes
	// that it learns from.
	Exam string
	// Price is of an hour of generation, in the reader's currency; 0: that which the
	// campaign states, if it does.
	Price float64
	// Now is when the report is made, as it says.
	Now time.Time
}

// Mismatch is an error: the control is of another space than the campaign.
type Mismatch struct {
	Campaign, Space       string
	Control, ControlSpace string
}

func (m *Mismatch) Error() string {
	return fmt.Sprintf("%s is of space %s, and %s of %s: they cannot be compared", m.Control, m.ControlSpace, m.Campaign, m.Space)
}

// Numbers are what a report says, as [Gather] has found it: its JSON, to which a
// page adds pictures.
type Numbers struct {
	Campaign api.Campaign    `json:"campaign"`
	Control  *api.Campaign   `json:"control,omitempty"`
	Exam     string          `json:"exam,omitempty"`
	At       string          `json:"at"`       // RFC 3339, UTC
	Accuracy []SliceAccuracy `json:"accuracy"` // first of everything, then of slices
	Budget   []RoundBudget   `json:"budget"`   // the latest rounds, ascending
	Damped   []api.Memory    `json:"damped"`
	Notes    []string        `json:"notes"` // of the latest round
	Forecast api.Forecast    `json:"forecast"`
	Coverage []PairCoverage  `json:"coverage"`
	// Gates, Workers and Slices are the pass rates by each.
	Gates   []PassRate `json:"gates"`
	Workers []PassRate `json:"workers"`
	Slices  []PassRate `json:"slices"`
	Cost    Cost       `json:"cost"`
	// Datasets are the latest versions of what the campaign publishes.
	Datasets []api.Dataset `json:"datasets"`
	Version  string        `json:"server_version"`
	// Sequence is what the campaign was read at; every query waits for it.
	Sequence uint64 `json:"sequence"`

	latest   *api.Decision // of the latest round; nil before the first
	pictures []shownSlice  // of the boosted slices
	failures []shownSlice  // of what looks unlearnable
}

// SliceAccuracy is how both campaigns' models did in one slice.
type SliceAccuracy struct {
	Name  string            `json:"name"`
	Slice map[string]string `json:"slice"` // level by factor
	// Asked: the exam has samples of just this slice.
	Asked bool `json:"asked,omitempty"`
	// Campaign and Control have a point per model version, in the order in which
	// the versions' first outcomes were posted.
	Campaign []AccuracyPoint `json:"campaign"`
	Control  []AccuracyPoint `json:"control,omitempty"`
	in       loop.Slice
}

// AccuracyPoint is one model version in one slice.
type AccuracyPoint struct {
	ModelVersion string `json:"model_version"`
	// Round and Samples are how far the campaign was when the version's first
	// outcome was posted: what it can have been trained on.
	Round   int   `json:"round"`
	Samples int64 `json:"samples"`
	// Rows are the outcomes that count; those of one group are not independent.
	Rows   int64 `json:"rows"`
	Groups int64 `json:"groups"`
	// Accuracy is from 0 to 1, between the bounds of its 95 % interval.
	Accuracy float64 `json:"accuracy"`
	Lower    float64 `json:"lower"`
	Upper    float64 `json:"upper"`
}

// RoundBudget is how the training samples of a round were spread.
type RoundBudget struct {
	Round   int           `json:"round"`
	Samples int64         `json:"samples"`
	Parts   []BudgetShare `json:"parts"` // the base first, then what got most
}

// BudgetShare is what a slice, or the base, got of a round.
type BudgetShare struct {
	Name    string  `json:"name"`
	Samples int64   `json:"samples"`
	Share   float64 `json:"share"` // of the round's mixture, from 0 to 1
	// Sentence is why; empty for the base.
	Sentence string `json:"sentence,omitempty"`
}

// PassRate is how many attempts passed the gates.
type PassRate struct {
	Name     string  `json:"name"`
	Attempts int64   `json:"attempts"`
	Rejected int64   `json:"rejected"`
	Rate     float64 `json:"pass_rate"` // from 0 to 1
}

// Cost is the time that generators took for what was committed, and the money
// that it is at the price per hour; 0 where none is known.
type Cost struct {
	Seconds  float64     `json:"seconds"`
	Price    float64     `json:"price_per_hour,omitempty"`
	Money    float64     `json:"money,omitempty"`
	Currency string      `json:"currency,omitempty"`
	ByRound  []CostShare `json:"by_round"`         // evaluation samples included
	BySlice  []CostShare `json:"by_slice"`         // of training samples alone
	Training float64     `json:"training_seconds"` // of Seconds
}

// CostShare is what a round, or a slice, took.
type CostShare struct {
	Name    string  `json:"name"`
	Samples int64   `json:"samples"`
	Seconds float64 `json:"seconds"`
	Money   float64 `json:"money,omitempty"`
}

// The bounds of a report, so that it stays readable whatever the space is.
const (
	maxSlices = 12 // charts of slices
	maxRounds = 60 // the latest, of those there are
	maxLevels = 12 // rows and columns of a heat map
	maxPairs  = 6  // heat maps
	maxRows   = 12 // of a table of names
)

// Gather asks a server for all that a report says, over its public API. It
// returns a [*Mismatch] where the control cannot be compared; what is not there
// is loop.ErrNotFound, as the client has it.
func Gather(ctx context.Context, client *api.Client, o Options) (*Numbers, error) {
	a, err := openArm(ctx, client, o.Campaign)
	if err != nil {
		return nil, err
	}
	arms := []*arm{a}
	n := &Numbers{Campaign: a.Campaign, Exam: o.Exam, At: o.Now.UTC().Format(time.RFC3339), Sequence: a.Sequence,
		Damped: []api.Memory{}, Notes: []string{}, Datasets: []api.Dataset{}}
	if o.Control != "" {
		control, err := openArm(ctx, client, o.Control)
		if err != nil {
			return nil, err
		}
		if control.space.Name != a.space.Name {
			return nil, &Mismatch{Campaign: o.Campaign, Space: a.space.Name, Control: o.Control, ControlSpace: control.space.Name}
		}
		arms, n.Control = append(arms, control), &control.Campaign
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	n.Version = status.Version
	if a.Round > 0 {
		latest, err := client.Round(ctx, o.Campaign, a.Round, 0)
		if err != nil {
			return nil, err
		}
		n.latest = latest.Decision
	}
	if n.latest != nil {
		for _, m := range n.latest.Memory {
			if m.Quarantined || m.Sentence != "" {
				n.Damped = append(n.Damped, m)
			}
		}
		n.Notes = append(n.Notes, n.latest.Notes...)
	}
	if n.Forecast, err = client.Forecast(ctx, o.Campaign, api.Ahead{}); err != nil {
		return nil, err
	}
	for _, name := range []string{o.Campaign, loop.EvaluationSet(o.Campaign)} {
		version, err := client.Dataset(ctx, name, 0)
		if err == nil {
			n.Datasets = append(n.Datasets, version)
		} else if !errors.Is(err, loop.ErrNotFound) {
			return nil, err
		}
	}
	q := &queries{client: client, arm: a, atLeast: a.Sequence}
	if n.Budget, err = q.budget(ctx); err != nil {
		return nil, err
	}
	if err := n.chooseSlices(ctx, client, a, o.Exam); err != nil {
		return nil, err
	}
	for i, arm := range arms {
		points, err := accuracy(ctx, client, arm, n.Accuracy, o.Exam)
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
	price := a.asked.Price
	if o.Price > 0 {
		price = loop.Price{GPUHour: o.Price}
	}
	if n.Cost, err = q.cost(ctx, &price); err != nil {
		return nil, err
	}
	if n.Coverage, err = q.coverage(ctx, n); err != nil {
		return nil, err
	}
	return n, q.pictures(ctx, n)
}

// chooseSlices decides which slices are charted: everything, then those that the
// exam asks for, then those that the campaign spent most on.
func (n *Numbers) chooseSlices(ctx context.Context, client *api.Client, a *arm, exam string) error {
	n.Accuracy = []SliceAccuracy{{Name: a.space.Describe(nil), Slice: map[string]string{}}}
	add := func(slice map[string]string, asked bool) {
		in, ok := sliceOf(a.space, slice)
		if !ok || len(in) == 0 || len(n.Accuracy) > maxSlices ||
			slices.ContainsFunc(n.Accuracy, func(s SliceAccuracy) bool { return s.in.Equal(in) }) {
			return
		}
		n.Accuracy = append(n.Accuracy, SliceAccuracy{Name: a.space.Describe(in), Slice: slice, Asked: asked, in: in})
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

// last is the latest point of a curve, if there is one.
func last(points []AccuracyPoint) (p AccuracyPoint, ok bool) {
	if len(points) == 0 {
		return p, false
	}
	return points[len(points)-1], true
}
