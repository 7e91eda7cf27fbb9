package api

import (
	"context"

	"hone/loop"
)

// Forecast answers GET /v1/campaigns/NAME/forecast. All of it is extrapolation.
type Forecast struct {
	Campaign string `json:"campaign"`
	More     uint64 `json:"more" example:"1000" doc:"How many more training samples of the campaign are imagined, spread as its latest round was"`
	Sequence uint64 `json:"sequence" doc:"Up to which change samples and outcomes were counted"`
	// Slices begins with everything, for each model line that the campaign learns
	// from; then come the slices that it ever boosted, the latest first.
	Slices []SliceForecast `json:"slices"`
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
func (c *Client) Forecast(ctx context.Context, campaign string) (Forecast, error) {
	return get[Forecast](ctx, c, segments("v1", "campaigns", campaign, "forecast"), nil)
}
