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

// UntilGain holds when so many samples more, or what so much GPU time or money makes,
// are expected to lower the failure rate in deployment by less than Below.
type UntilGain struct {
	Samples  uint64  `json:"samples,omitempty"`
	GPUHours float64 `json:"gpu_hours,omitempty"`
	Money    float64 `json:"money,omitempty"`
	Below    float64 `json:"below"`
}

// UntilPlateau holds when none of the newest Versions failed less, by a standard
// error, than the best before them.
type UntilPlateau struct {
	Versions int `json:"versions"`
}

// UntilSpend holds when generators have worked so long for the campaign, or have
// cost so much by its price.
type UntilSpend struct {
	GPUHours float64 `json:"gpu_hours,omitempty"`
	Money    float64 `json:"money,omitempty"`
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
		set := 0
		for _, is := range []bool{g.Samples > 0, g.GPUHours > 0, g.Money > 0} {
			if is {
				set++
			}
		}
		if set != 1 || !(g.GPUHours >= 0 && g.GPUHours <= 1e9) || !(g.Money >= 0 && g.Money <= MaxMoney) {
			return refuse(field+".gain", "what is to bring the gain is %d samples, %v GPU hours and %v of money", g.Samples, g.GPUHours, g.Money).
				remedy("set one of samples, gpu_hours and money, above 0")
		}
		if !(g.Below > 0 && g.Below < 1) {
			return refuse(field+".gain.below", "%v is not a fall of the failure rate", g.Below).remedy("above 0, below 1: 0.001 is a tenth of a point")
		}
	case u.Plateau != nil:
		if n := u.Plateau.Versions; n < 1 || n > maxPlateau {
			return refuse(field+".plateau.versions", "%d versions", n).remedy("1 to %d", maxPlateau)
		}
	case u.Spend != nil:
		h, m := u.Spend.GPUHours, u.Spend.Money
		if (h > 0) == (m > 0) || !(h >= 0 && h <= 1e9) || !(m >= 0 && m <= MaxMoney) {
			return refuse(field+".spend", "what may be spent is %v GPU hours and %v of money", h, m).
				remedy("set one of gpu_hours, at most 1e9, and money, at most %g", MaxMoney)
		}
	default:
		if _, ok := dayOf(u.Date); !ok {
			return refuse(field+".date", "%q is not a day", u.Date).remedy("YYYY-MM-DD, for example 2027-01-31")
		}
	}
	return nil
}

// money is the amount that the condition names; 0 where it names none.
func (u *Until) money() float64 {
	switch {
	case u.Gain != nil:
		return u.Gain.Money
	case u.Spend != nil:
		return u.Spend.Money
	}
	return 0
}

// Over reports whether the last day of the condition is over, by a day since 1970
// UTC; never where it names no date, or nobody knows what day it is.
func (u *Until) Over(day int) bool {
	last, ok := dayOf(u.Date)
	return ok && day > last
}

// dayOf is a date, YYYY-MM-DD in UTC, in days since 1970; ok is false where it is
// none, or none after the first of these.
func dayOf(date string) (day int, ok bool) {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil || t.Unix() < secondsPerDay {
		return 0, false
	}
	return int(t.Unix() / secondsPerDay), true
}

// Progress is how far a campaign has come: what its conditions are held against.
type Progress struct {
	// Day is the current one, in days since 1970 UTC; 0 is unknown.
	Day int
	// Round is the latest that was decided, and Decided the training samples of all.
	Round   int
	Decided uint64
	// Samples and Evaluation are all samples that were committed, for training and for
	// evaluation; Millis what generators took for them, in milliseconds, and Money
	// what that cost, 0 where it is not known.
	Samples, Evaluation uint64
	Millis              float64
	Money               float64
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
		if why := c.Until[i].reached(i, s, &c.Price, &now); why != "" {
			return i, why
		}
	}
	return -1, ""
}

func (u *Until) reached(i int, s *Space, price *Price, now *Progress) string {
	switch {
	case u.Failure != nil:
		return u.Failure.reached(i, s, now)
	case u.Gain != nil:
		return u.Gain.reached(price, now)
	case u.Plateau != nil:
		return u.Plateau.reached(now)
	case u.Spend != nil && u.Spend.Money > 0:
		if now.Money >= u.Spend.Money {
			return fmt.Sprintf("%s are spent of the %s that may be", price.Amount(now.Money), price.Amount(u.Spend.Money))
		}
	case u.Spend != nil:
		if hours := now.Millis / millisPerHour; hours >= u.Spend.GPUHours {
			return fmt.Sprintf("generators have worked %.3g hours of the %.3g that they may", hours, u.Spend.GPUHours)
		}
	case u.Over(now.Day):
		return "the last day, " + u.Date + ", is over"
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

func (g *UntilGain) reached(price *Price, now *Progress) string {
	more := g.Samples
	what := fmt.Sprintf("%d samples more", more)
	if g.Samples == 0 {
		// What evaluation takes is part of what a training sample does.
		part, of := g.GPUHours*millisPerHour, now.Millis
		if g.Money > 0 {
			part, of = g.Money, now.Money
		}
		if now.Samples == 0 || !(of > 0) {
			return ""
		}
		more = uint64(min(part/of*float64(now.Samples), float64(MaxQuota)))
		if what = fmt.Sprintf("%.3g GPU hours more (%d samples)", g.GPUHours, more); g.Money > 0 {
			what = fmt.Sprintf("%s more (%d samples)", price.Amount(g.Money), more)
		}
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
		if m := c.Until[i].money(); m > 0 && !c.Price.Known() {
			return refuse(at("until", i), "it names %v of money, but it is not said what generating costs", m).remedy("set price, for example {gpu_hour: 2.50, currency: EUR}")
		}
	}
	return nil
}
