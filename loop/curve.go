package loop

import (
	"math"
	"slices"
)

// The grid's axes. The rate now is sin²θ, evenly in θ, which is Jeffreys' prior.
const (
	gridRates     = 48
	gridFloors    = 21
	gridExponents = 12
	// flatPrior is the prior chance that the curve is flat.
	flatPrior = .2
	// curveWindow bounds how many versions are fitted: the latest. Each counts for
	// curveMemory of the one after it, for no training follows one law for ever.
	curveWindow = 32
	curveMemory = .85
)

// curve is one fit.
type curve struct {
	// x is log((n+1)/(N+1)) of each version, N the samples of the latest;
	// successes and failures are in effective rows.
	x, failures, successes []float64
	first, last            float64
	// The grid's rates lie where there is any weight: low <= θ <= high.
	low, high float64
	// weight is the posterior of each cell of the grid; it sums to 1.
	weight []float64
}

// newCurve takes the points that have rows. It is nil if they are no curve.
func newCurve(points []CurvePoint) *curve {
	c := &curve{}
	var samples []float64
	rows := 0.0
	for _, p := range points {
		if p.Rows <= 0 || p.Failures < 0 || p.Failures > p.Rows {
			continue
		}
		effective := float64(min(max(p.Groups, 1), p.Rows))
		rate := float64(p.Failures) / float64(p.Rows)
		samples = append(samples, float64(p.Samples))
		c.failures = append(c.failures, effective*rate)
		c.successes = append(c.successes, effective*(1-rate))
		rows += effective
	}
	if cut := len(samples) - curveWindow; cut > 0 {
		samples, c.failures, c.successes = samples[cut:], c.failures[cut:], c.successes[cut:]
	}
	if len(samples) < curveVersions || rows < curveRows {
		return nil
	}
	c.first, c.last = samples[0], samples[len(samples)-1]
	for _, n := range samples {
		c.first, c.last = min(c.first, n), max(c.last, n)
	}
	// Versions after about the same number of samples say nothing of the next.
	if c.last+1 < 1.5*(c.first+1) {
		return nil
	}
	weight := 1.0
	for j := range slices.Backward(samples) {
		c.failures[j] *= weight
		c.successes[j] *= weight
		weight *= curveMemory
	}
	for _, n := range samples {
		c.x = append(c.x, math.Log((n+1)/(c.last+1)))
	}
	return c
}

// rates are the grid's rates now.
func (c *curve) rates() (rates [gridRates]float64) {
	for t := range rates {
		sin := math.Sin(c.low + (c.high-c.low)*(float64(t)+.5)/gridRates)
		rates[t] = sin * sin
	}
	return rates
}

// cells calls f with every cell of the grid, in order, and its prior.
func (c *curve) cells(f func(i int, r, floor, b, prior float64)) {
	rates, i := c.rates(), 0
	for e := range gridExponents {
		b := .05 * math.Pow(40, (float64(e)+.5)/gridExponents)
		for l := range gridFloors {
			floor, prior := (float64(l)+.5)/(gridFloors-1), (1-flatPrior)/(gridFloors-1)
			if l == gridFloors-1 {
				floor, prior = 1, flatPrior
			}
			for _, r := range rates {
				f(i, r, floor, b, prior)
				i++
			}
		}
	}
}

// weigh computes the posterior, on rates ever nearer to where it is.
func (c *curve) weigh() {
	c.low, c.high = 0, math.Pi/2
	for range 4 {
		c.pass()
		const negligible = 1e-6 // of the heaviest rate
		var marginal [gridRates]float64
		heaviest := 0.0
		for i, w := range c.weight {
			marginal[i%gridRates] += w
			heaviest = max(heaviest, marginal[i%gridRates])
		}
		first, last := gridRates, 0
		for t, w := range marginal {
			if w > negligible*heaviest {
				first, last = min(first, t), t
			}
		}
		if 2*(last-first+3) >= gridRates {
			return
		}
		width := (c.high - c.low) / gridRates
		c.low, c.high = max(0, c.low+width*float64(first-1)), min(math.Pi/2, c.low+width*float64(last+2))
	}
	c.pass()
}

// pass computes the posterior on the grid as it lies.
func (c *curve) pass() {
	c.weight = make([]float64, gridExponents*gridFloors*gridRates)
	powers := make([]float64, len(c.x))
	before, best, chi := math.NaN(), math.Inf(-1), 0.0
	c.cells(func(i int, r, floor, b, _ float64) {
		if b != before {
			for j, x := range c.x {
				powers[j] = math.Exp(-b * x)
			}
			before = b
		}
		sum := 0.0
		for j, power := range powers {
			p := min(r*(floor+(1-floor)*power), almostOne)
			sum += c.failures[j]*math.Log(p) + c.successes[j]*math.Log1p(-p)
		}
		if c.weight[i] = sum; sum > best {
			best, chi = sum, c.scatter(r, floor, powers)
		}
	})
	// Three numbers were fitted. One more degree of freedom, at the binomial value,
	// keeps four versions from looking wild, or tame, by chance.
	spread := max(1, (chi+1)/(max(0, float64(len(c.x)-3))+1))
	total := 0.0
	c.cells(func(i int, _, _, _, prior float64) {
		c.weight[i] = prior * math.Exp((c.weight[i]-best)/spread)
		total += c.weight[i]
	})
	for i := range c.weight {
		c.weight[i] /= total
	}
}

// almostOne bounds the failure rates of a curve, so that one success among a
// thousand failures does not refute it.
const almostOne = 1 - 1e-4

// scatter is Pearson's χ² of a curve.
func (c *curve) scatter(r, floor float64, powers []float64) float64 {
	chi := 0.0
	for j, power := range powers {
		p := min(r*(floor+(1-floor)*power), almostOne)
		n := c.failures[j] + c.successes[j]
		d := c.failures[j] - n*p
		// Where next to nothing is expected, one failure is no scatter.
		chi += d * d / max(n*p*(1-p), .25)
	}
	return chi
}

// probability is that of a statement about the curve.
func (c *curve) probability(holds func(r, floor, b float64) bool) float64 {
	sum := 0.0
	c.cells(func(i int, r, floor, b, _ float64) {
		if holds(r, floor, b) {
			sum += c.weight[i]
		}
	})
	return sum
}

// bins is how finely quantity tells values.
const bins = 2000

// quantity is the posterior of a number.
func (c *curve) quantity(of func(r, floor, b float64) float64) Interval {
	mean, lowest, highest := 0.0, math.Inf(1), math.Inf(-1)
	c.cells(func(i int, r, floor, b, _ float64) {
		v := of(r, floor, b)
		mean += c.weight[i] * v
		lowest, highest = min(lowest, v), max(highest, v)
	})
	width := max(highest-lowest, math.SmallestNonzeroFloat32) / bins
	var histogram [bins + 1]float64
	c.cells(func(i int, r, floor, b, _ float64) {
		histogram[int((of(r, floor, b)-lowest)/width+.5)] += c.weight[i]
	})
	const tail = .05
	out, sum, low := Interval{Expected: mean, Upper: highest}, 0.0, false
	for i, w := range histogram {
		sum += w
		if !low && sum > tail {
			out.Lower, low = lowest+float64(i)*width, true
		}
		if sum >= 1-tail {
			out.Upper = lowest + float64(i)*width
			break
		}
	}
	// A long tail may draw the mean out of the middle.
	out.Lower, out.Upper = min(out.Lower, mean), max(out.Upper, mean)
	return out
}
