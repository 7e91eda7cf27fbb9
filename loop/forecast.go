package loop

import (
	"fmt"
	"math"
)

// CurvePoint is how one model version did in a slice, after so many training
// samples of that slice.
type CurvePoint struct {
	Samples  uint64
	Rows     int64
	Groups   int64
	Failures int64
}

// Outlook says whether more samples of a slice are worth making.
type Outlook string

// The outlooks. Unlearnable means that the failure rate is high and has not
// moved although there were samples enough: its labels or its renderer may be
// wrong, or the task impossible there. Unclear means that the evidence does not
// tell.
const (
	Pays         Outlook = "pays"
	NoLongerPays Outlook = "no longer pays"
	Unlearnable  Outlook = "looks unlearnable"
	Unclear      Outlook = "too little evidence"
)

// Interval is an estimate and its central 90 % interval.
type Interval struct {
	Lower    float64 `json:"lower"`
	Expected float64 `json:"expected"`
	Upper    float64 `json:"upper"`
}

// Forecast is an extrapolation: what a slice's failure rate is now, and what it
// will be after more samples if it goes on as a power law does.
type Forecast struct {
	Outlook Outlook
	// Now and Then are the failure rate before and after More samples of the
	// slice, and Gain how much it falls: never less than 0, for the law has it
	// that samples do not harm. Best is the rate after BestSamples of the slice,
	// by which the outlook is judged. All are zero where Enough is false.
	Now, Then, Gain, Best Interval
	More                  uint64
	// Enough reports whether there is a curve to speak of at all.
	Enough bool
}

// BestSamples is the best case by which an outlook is judged: that all of so many
// samples are of the slice.
const BestSamples = 1000

// The thresholds of an outlook.
const (
	// A gain is worth BestSamples when it is at least so many of the remaining
	// failures, and of all outcomes.
	worthRelative = .05
	worthAbsolute = .005
	// A slice looks unlearnable that fails at least so often, and has lost less
	// than such a part of its failures since its first version, over at least so
	// many samples.
	unlearnableRate    = .3
	unlearnableFall    = .2
	unlearnableSamples = 150
	// sure is how probable a statement must be to be made.
	sure = .9
	// Fewer versions or rows than these are no curve.
	curveVersions = 3
	curveRows     = 30
)

// Extrapolate fits err(n) = c + a·(n+1)^-b to the versions of a model line, from
// the oldest, and says what more samples of the slice would bring.
//
// The fit is the posterior over a fixed grid of (rate now, floor, exponent) under
// binomial errors, so that few rows give wide intervals and nothing is ever
// divided by zero: Jeffreys' prior on the rate now; the floor c a uniform part of
// it, with one chance in five that it is all of it, a flat curve; b log-uniform
// in [.05, 2]. Rows of one group are not independent and count by groups; older
// versions count for less than newer ones; and where versions scatter more than
// binomial errors allow, as trainings do, all count for less. The same points
// give the same forecast.
//
// The interval is honest where the law holds (it has the truth 94 times of 100 in
// simulations). Trainings leap: of the demo's, four forecasts of five were right
// of the next version.
func Extrapolate(points []CurvePoint, more uint64) Forecast {
	f := Forecast{Outlook: Unclear, More: more}
	curve := newCurve(points)
	if curve == nil {
		return f
	}
	f.Enough = true
	curve.weigh()
	f.Now = curve.quantity(func(r, _, _ float64) float64 { return r })
	gain := func(samples uint64) func(r, floor, b float64) float64 {
		ratio := math.Log((curve.last + 1 + float64(samples)) / (curve.last + 1))
		return func(r, floor, b float64) float64 { return r * (1 - floor) * -math.Expm1(-b*ratio) }
	}
	f.Gain = curve.quantity(gain(more))
	g := gain(more)
	f.Then = curve.quantity(func(r, floor, b float64) float64 { return r - g(r, floor, b) })

	best := gain(BestSamples)
	f.Best = curve.quantity(func(r, floor, b float64) float64 { return r - best(r, floor, b) })
	worth := curve.probability(func(r, floor, b float64) bool {
		return best(r, floor, b) >= max(worthAbsolute, worthRelative*r)
	})
	stuck := curve.probability(func(r, floor, b float64) bool {
		first := min(1, r*(floor+(1-floor)*math.Exp(-b*curve.x[0])))
		return r >= unlearnableRate && first-r < unlearnableFall*first
	})
	switch {
	case stuck >= sure && curve.last-curve.first >= unlearnableSamples:
		f.Outlook = Unlearnable
	case worth >= .5:
		f.Outlook = Pays
	case worth <= 1-sure:
		f.Outlook = NoLongerPays
	}
	return f
}

// Sentence says the forecast to a person.
func (f *Forecast) Sentence(name string) string {
	if !f.Enough {
		return fmt.Sprintf("%s: too little evidence for a curve, which takes %d sealed versions with ever more samples, and %d rows.",
			name, curveVersions, curveRows)
	}
	sentence := fmt.Sprintf("%s fails %s of the time now (90%% interval %s to %s). If it goes on so, %d more samples of it make that %s, and %d would make it %s (%s to %s).",
		name, percent(f.Now.Expected), percent(f.Now.Lower), percent(f.Now.Upper), f.More, percent(f.Then.Expected),
		BestSamples, percent(f.Best.Expected), percent(f.Best.Lower), percent(f.Best.Upper))
	switch f.Outlook {
	case Pays:
		sentence += " More of it pays."
	case NoLongerPays:
		sentence += " More of it no longer pays."
	case Unlearnable:
		sentence += " It looks unlearnable, for samples have not helped so far: look at its labels, and at what the generator makes."
	case Unclear:
		sentence += " Whether more of it would pay, the evidence does not tell."
	}
	return sentence
}
