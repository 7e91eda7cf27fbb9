package loop

import "math"

// power is the chance that a slice which is there is found.
const power = .8

// detect fills in what the rows suffice to show: for two lifts, the smallest
// slice that fails so much more often, and is found with 80 % power at the
// threshold of a single finding.
func (t *tally) detect(s *Survey, rate float64) {
	effect, threshold := t.typicalEffect(), t.settings.FalseDiscovery/float64(max(1, total(s.Tested)))
	// A slice of half the size in twice the rows; and there would be twice as many
	// to test.
	now, then := 0.0, 0.0
	for _, lift := range []float64{4, 2, 1.5, 1.2, 1.1} {
		if lift*rate > .95 || len(s.Detectable) == 2 {
			continue
		}
		n := smallest(rate, lift, threshold, effect)
		now, then = n, smallest(rate, lift, threshold/2, effect)
		s.Detectable = append(s.Detectable, Detectable{Lift: lift, Rows: int(math.Ceil(n)), Share: n / float64(s.Rows)})
	}
	if now > 0 {
		s.More = int(math.Ceil(float64(s.Rows) * (2*then/now - 1)))
	}
}

// typicalEffect is the mean design effect of the rows of slices of one
// predicate, in which every known row counts once per factor.
func (t *tally) typicalEffect() float64 {
	sum, rows := 0.0, 0.0
	for _, table := range t.count(1) {
		for i := range table.keys {
			if c := t.cell(table, i); c.worth >= t.settings.MinimumSupport {
				sum += c.n * c.design
				rows += c.n
			}
		}
	}
	if rows == 0 {
		return t.dispersion
	}
	return sum / rows
}

// smallest is the least number of rows of a slice of a failure rate lift·rate
// that reaches the threshold with the power, by bisection: both tails fall as
// rows are added.
func smallest(rate, lift, threshold, effect float64) float64 {
	shows := func(n float64) bool {
		n /= effect
		// The failures from which on the slice is significant.
		low, high := n*rate, n
		if binomialTail(high, n, rate) > threshold {
			return false
		}
		for range 50 {
			middle := (low + high) / 2
			if binomialTail(middle, n, rate) > threshold {
				low = middle
			} else {
				high = middle
			}
		}
		return binomialTail(high, n, lift*rate) >= power
	}
	low, high := 0.0, 1.0
	for !shows(high) {
		if high > 1e12 {
			return high
		}
		low, high = high, high*2
	}
	for range 50 {
		middle := (low + high) / 2
		if shows(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}
