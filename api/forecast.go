package api

import (
	"context"
	"net/url"
	"strconv"

	"hone/loop"
)

// Forecast answers GET /v1/campaigns/NAME/forecast. All of it is extrapolation.
type Forecast struct {
	Campaign string `json:"campaign"`
	More     uint64 `json:"more" example:"1000" doc:"How many more training samples of the campaign are imagined, spread as its latest round was"`
	Cost     *Cost  `json:"cost,omitempty" doc:"What these would take, with what is made to evaluate them, by what samples have taken so far; missing where that is not known"`
	Sequence uint64 `json:"sequence" doc:"Up to which change samples and outcomes were counted"`
	Spent    *Spent `json:"spent,omitempty" doc:"What the campaign has taken so far; missing before anything was made"`
	// Slices begins with everything, for each model line that the campaign learns
	// from; then come the slices that it ever boosted, the latest first.
	Slices []SliceForecast `json:"slices"`
	Flat   []FlatSlice     `json:"flat" doc:"The slices of which more samples do not help: damped, in quarantine, or of such an outlook"`
}

// Cost is what something takes: of generators' time, and of money where the campaign
// says what generating costs.
type Cost struct {
	GPUSeconds float64  `json:"gpu_seconds" doc:"Of generators, in all slots; attempts that were sent back count as much as others"`
	Money      *float64 `json:"money,omitempty"`
	Currency   string   `json:"currency,omitempty" example:"EUR"`
}

// Text is the money, or else the hours, as a person reads it.
func (c *Cost) Text() string {
	price := loop.Price{GPUHour: 1, Currency: "GPU hours"}
	if c.Money == nil {
		return price.Amount(c.GPUSeconds / 3600)
	}
	price.Currency = c.Currency
	return price.Amount(*c.Money)
}

// Spent is what a campaign has taken so far, and what binds it.
type Spent struct {
	Cost
	Samples    uint64  `json:"samples" doc:"Training samples that were committed"`
	Evaluation uint64  `json:"evaluation" doc:"Evaluation samples that were committed"`
	Most       float64 `json:"most,omitempty" doc:"The most that the campaign may cost; missing: there is no bound"`
	Pays       *uint64 `json:"pays,omitempty" doc:"How many training samples more the rest of that pays for, with what is made to evaluate them"`
	Left       *uint64 `json:"left,omitempty" doc:"How many training samples more the campaign asks for"`
	Binds      string  `json:"binds,omitempty" enum:"samples,money" doc:"Which of the two ends it"`
}

// FlatSlice is a slice of which more samples do not help. Its counts are of its own
// component, quotas as they were decided.
type FlatSlice struct {
	Name      string            `json:"name" example:"light=low ∧ glove=yes"`
	Slice     map[string]string `json:"slice"`
	Why       string            `json:"why" example:"damped to 25%"`
	Since     int               `json:"since,omitempty" doc:"The first round that made samples of it"`
	Samples   uint64            `json:"samples" doc:"All samples that were made of it for its own sake"`
	Cost      Cost              `json:"cost" doc:"What these took"`
	Most      uint64            `json:"most" doc:"The most that one round made"`
	MostRound int               `json:"most_round,omitempty"`
	Latest    uint64            `json:"latest" doc:"What the latest round makes"`
	Saved     Cost              `json:"saved" doc:"What a round no longer spends on it: most less latest"`
}

// Ahead is how far a forecast looks: so many training samples of the campaign, or as
// many as so much money buys; 0, 0: 1,000 samples.
type Ahead struct {
	Samples uint64
	Money   float64
}

// SliceForecast is what more samples are expected to bring in one slice.
type SliceForecast struct {
	ModelLine string            `json:"model_line"`
	Name      string            `json:"name" example:"light=low ∧ glove=yes" doc:"The slice in words; \"everything\" for all"`
	Slice     map[string]string `json:"slice" doc:"Level by factor; empty for everything"`
	Samples   uint64            `json:"samples" doc:"How many training samples of the slice the latest version had"`
	More      uint64            `json:"more" doc:"How many of the imagined samples are of the slice"`
	Outlook   loop.Outlook      `json:"outlook" enum:"pays,no longer pays,looks unlearnable,too little evidence"`
	// Now and those below are missing where there are too few versions or rows for a curve.
	Now      *loop.Interval  `json:"now,omitempty" doc:"The failure rate of the latest version, fitted, with its 90 % interval"`
	Then     *loop.Interval  `json:"then,omitempty" doc:"The failure rate that is expected after the samples imagined"`
	Gain     *loop.Interval  `json:"gain,omitempty" doc:"By how much it is expected to fall"`
	Best     *loop.Interval  `json:"best,omitempty" doc:"The failure rate expected after 1,000 samples of nothing but this slice: the best case, by which the outlook is judged"`
	Sentence string          `json:"sentence"`
	Curve    []ForecastPoint `json:"curve" doc:"The sealed versions, from the oldest"`
	Examples []Failure       `json:"examples,omitempty" doc:"Of a slice that looks unlearnable: some failures of the latest version, to look at"`
}

// ForecastPoint is how one sealed model version did in a slice.
type ForecastPoint struct {
	ModelVersion string `json:"model_version"`
	Samples      uint64 `json:"samples" doc:"Training samples of the slice that were committed when the version's first outcome was posted"`
	Rows         int64  `json:"rows"`
	Groups       int64  `json:"groups"`
	Failures     int64  `json:"failures"`
}

// Forecast says what more samples of a campaign are expected to bring.
func (c *Client) Forecast(ctx context.Context, campaign string, ahead Ahead) (Forecast, error) {
	query := url.Values{}
	if ahead.Samples > 0 {
		query.Set("samples", strconv.FormatUint(ahead.Samples, 10))
	}
	if ahead.Money > 0 {
		query.Set("money", strconv.FormatFloat(ahead.Money, 'g', -1, 64))
	}
	return get[Forecast](ctx, c, segments("v1", "campaigns", campaign, "forecast"), query)
}
