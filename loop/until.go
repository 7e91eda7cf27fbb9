package loop

import (
	"fmt"
	"math"
	"time"

	"gonum.org/v1/gonum/mathext"
)

// Until is a condition on which a campaign is done before it has all its samples.
// Exactly one of its fields is set.
type Until struct {
	Failure *UntilFailure `json:"failure,omitempty"`
	Gain    *UntilGain    `json:"gain,omitempty"`
	Plateau *UntilPlateau `json:"plateau,omitempty"`
	Spend   *UntilSpend   `json:"spend,omitempty"`
	// Date is the last day on which a round is decided, as YYYY-MM-DD in UTC.
	Date string `json:"date,omitempty"`
}

// UntilFailure holds when the newest version's failure rate in a slice, in
// deployment, is at most AtMost with so much confidence. The empty slice is
// everything.
type UntilFailure struct {
	Slice      Slice   `json:"slice,omitempty"`
	AtMost     float64 `json:"at_most"`
	Confidence float64 `json:"confidence"`
}

// UntilGain holds when so many samples more, or what so much GPU time makes, are
// expected to lower the failure rate in deployment by less than Below.
type UntilGain struct {
	Samples  uint64  `json:"samples,omitempty"`
	GPUHours float64 `json:"gpu_hours,omitempty"`
	Below    float64 `json:"below"`
}

// UntilPlateau holds when none of the newest Versions failed less, by a standard
// error, than the best before them.
type UntilPlateau struct {
	Versions int `json:"versions"`
}

// UntilSpend holds when generators have worked so long for the campaign.
type UntilSpend struct {
	GPUHours float64 `json:"gpu_hours"`
}

// Bounds and defaults of conditions.
const (
	MaxUntil          = 32
	DefaultConfidence = .95
	maxPlateau        = 100
)

// validate refuses a condition that names nothing, or more than one thing.
func (u *Until) validate(field string, s *Space) error {
	set := 0
	for _, is := range []bool{u.Failure != nil, u.Gain != nil, u.Plateau != nil, u.Spend != nil, u.Date != ""} {
		if is {
			set++
		}
	}
	if set != 1 {
		return refuse(field, "a condition says one thing, this one %d", set).remedy("failure, gain, plateau, spend or date; list several conditions to stop at the first that holds")
	}
	switch {
	case u.Failure != nil:
		f := u.Failure
		if len(f.Slice) > 0 {
			if err := s.ValidateSlice(field+".failure.slice", f.Slice); err != nil {
				return err
			}
		}
		if !(f.AtMost > 0 && f.AtMost < 1) {
			return refuse(field+".failure.at_most", "%v is not a failure rate", f.AtMost).remedy("above 0, below 1")
		}
		if !(f.Confidence >= .5 && f.Confidence < 1) {
			return refuse(field+".failure.confidence", "%v is not a confidence", f.Confidence).remedy("0.5 to below 1")
		}
	case u.Gain != nil:
		g := u.Gain
		if (g.Samples > 0) == (g.GPUHours > 0) || !(g.GPUHours >= 0 && g.GPUHours <= 1e9) {
			return refuse(field+".gain", "what is to bring the gain is %d samples and %v GPU hours", g.Samples, g.GPUHours).remedy("set one of samples and gpu_hours, above 0")
		}
		if !(g.Below > 0 && g.Below < 1) {
			return refuse(field+".gain.below", "%v is not a fall of the failure rate", g.Below).remedy("above 0, below 1: 0.001 is a tenth of a point")
		}
	case u.Plateau != nil:
		if n := u.Plateau.Versions; n < 1 || n > maxPlateau {
			return refuse(field+".plateau.versions", "%d versions", n).remedy("1 to %d", maxPlateau)
		}
	case u.Spend != nil:
		if h := u.Spend.GPUHours; !(h > 0 && h <= 1e9) {
			return refuse(field+".spend.gpu_hours", "%v hours", h).remedy("above 0, at most 1e9")
		}
	default:
		if _, err := time.Parse(time.DateOnly, u.Date); err != nil {
			return refuse(field+".date", "%q is not a date", u.Date).remedy("YYYY-MM-DD, for example 2027-01-31")
		}
	}
	return nil
}

// Progress is how far a campaign has come: what its conditions are held against.
type Progress struct {
	// Day is the current one, in days since 1970 UTC; 0 is unknown.
	Day int
	// Samples are all training samples that were committed, and Millis what
	// generators took for the campaign, in milliseconds.
	Samples uint64
	Millis  int64
	// Lines are by the position of what is learned from.
	Lines []ProgressLine
}

// ProgressLine is how far a model line has come.
type ProgressLine struct {
	Name string
	// Versions are the sealed ones, from the oldest, in deployment as a whole.
	Versions []VersionProgress
	// Slices are the newest version's, by the position of the condition.
	Slices map[int]Proportion
}

// VersionProgress is how a version did in deployment, and how many training
// samples there were when it was sealed.
type VersionProgress struct {
	Proportion
	Samples uint64
}

// Reached returns the position of the first condition that holds, and a sentence
// that says why; -1 where none does. What is learned from several lines holds of
// each of them.
func (c *Campaign) Reached(s *Space, now Progress) (int, string) {
	for i := range c.Until {
		if why := c.Until[i].reached(i, s, &now); why != "" {
			return i, why
		}
	}
	return -1, ""
}

func (u *Until) reached(i int, s *Space, now *Progress) string {
	switch {
	case u.Failure != nil:
		return u.Failure.reached(i, s, now)
	case u.Gain != nil:
		return u.Gain.reached(now)
	case u.Plateau != nil:
		return u.Plateau.reached(now)
	case u.Spend != nil:
		if hours := float64(now.Millis) / millisPerHour; hours >= u.Spend.GPUHours {
			return fmt.Sprintf("generators have worked %.3g hours of the %.3g that they may", hours, u.Spend.GPUHours)
		}
	default:
		if last, err := time.Parse(time.DateOnly, u.Date); err == nil && now.Day > int(last.Unix()/secondsPerDay) {
			return "the last day, " + u.Date + ", is over"
		}
	}
	return ""
}

const (
	millisPerHour = 3_600_000
)

func (f *UntilFailure) reached(i int, s *Space, now *Progress) string {
	worst := Proportion{Rate: -1}
	for _, line := range now.Lines {
		p := line.Slices[i]
		if upper(p, f.Confidence) > f.AtMost {
			return ""
		}
		if p.Rate > worst.Rate {
			worst = p
		}
	}
	return fmt.Sprintf("%s fails %s, at most %s with %s confidence (asked: %s)", s.Describe(f.Slice),
		percent(worst.Rate), percent(upper(worst, f.Confidence)), percent(f.Confidence), percent(f.AtMost))
}

// upper is the end of a one-sided interval of a failure rate (Clopper and Pearson
// 1934, continued to real counts).
func upper(p Proportion, confidence float64) float64 {
	k, n := p.Rate*p.Effective, p.Effective
	if n <= 0 || k >= n {
		return 1
	}
	return mathext.InvRegIncBeta(k+1, n-k, confidence)
}

func (g *UntilGain) reached(now *Progress) string {
	more := g.Samples
	what := fmt.Sprintf("%d samples more", more)
	if g.GPUHours > 0 {
		if now.Samples == 0 || now.Millis <= 0 {
			return ""
		}
		more = uint64(g.GPUHours * millisPerHour / float64(now.Millis) * float64(now.Samples))
		what = fmt.Sprintf("%.3g GPU hours more (%d samples)", g.GPUHours, more)
	}
	most := 0.0
	for _, line := range now.Lines {
		points := make([]CurvePoint, len(line.Versions))
		for i, v := range line.Versions {
			rows := int64(v.Effective)
			points[i] = CurvePoint{Samples: v.Samples, Rows: rows, Groups: rows, Failures: min(rows, int64(v.Rate*v.Effective+.5))}
		}
		forecast := Extrapolate(points, more)
		if !forecast.Enough || forecast.Gain.Expected >= g.Below {
			return ""
		}
		most = max(most, forecast.Gain.Expected)
	}
	return fmt.Sprintf("%s are expected to lower the failure rate by %s, less than %s", what, percent(most), percent(g.Below))
}

func (p *UntilPlateau) reached(now *Progress) string {
	for _, line := range now.Lines {
		cut := len(line.Versions) - p.Versions
		if cut < 1 {
			return ""
		}
		best := line.Versions[0].Proportion
		for _, v := range line.Versions[1:cut] {
			if v.Rate < best.Rate {
				best = v.Proportion
			}
		}
		for _, v := range line.Versions[cut:] {
			if v.Rate < best.Rate-deviation(best, v.Proportion) {
				return ""
			}
		}
	}
	return fmt.Sprintf("none of the %d newest versions is better than the best before them", p.Versions)
}

// deviation is the standard error of the difference of two failure rates.
func deviation(a, b Proportion) float64 {
	variance := 0.0
	for _, p := range []Proportion{a, b} {
		if p.Effective <= 0 {
			return math.Inf(1)
		}
		variance += p.Rate * (1 - p.Rate) / p.Effective
	}
	return math.Sqrt(variance)
}

// validateUntil checks the conditions on which the campaign is done.
func (c *Campaign) validateUntil(s *Space) error {
	if len(c.Until) > MaxUntil {
		return refuse("until", "%d conditions; at most %d are allowed", len(c.Until), MaxUntil)
	}
	if len(c.Until) > 0 && len(c.Make) > 0 {
		return refuse("until", "the campaign makes what it lists, in one round").remedy("leave until out")
	}
	if len(c.Until) > 0 && len(c.LearnFrom) == 0 {
		return refuse("until", "the campaign learns from no model line, so that no round waits for anything").remedy("name one under learn_from")
	}
	for i := range c.Until {
		if err := c.Until[i].validate(at("until", i), s); err != nil {
			return err
		}
	}
	return nil
}
