package loop

import "math"

// RoundSamples is the number of training samples of round n, counted from 1, of a
// campaign that nobody has extended. Even rounds differ by one sample at most, the
// first ones having the remainder.
func (c *Campaign) RoundSamples(n int) uint64 {
	growth, decided := c.growth(), uint64(0)
	for k := 1; ; k++ {
		next := nextSamples(c.Samples-decided, c.Rounds-k+1, growth)
		if k >= n {
			return next
		}
		decided += next
	}
}

// NextSamples is the number of training samples of round n, where the rounds before
// it have decided on so many: what they have left, in the proportions of the rounds
// to come. Whatever was decided before a campaign was extended stays as it is, and
// the last round makes the sum exact.
func (c *Campaign) NextSamples(n int, decided uint64) uint64 {
	return nextSamples(c.Samples-min(c.Samples, decided), c.Rounds-n+1, c.growth())
}

// growth is the factor from one round to the next by which the campaign's rounds
// come to its samples, beginning with the first round's: 1 where they are even, or
// where an extension asks for so little that they would have to shrink.
func (c *Campaign) growth() float64 {
	if c.FirstSamples == 0 {
		return 1
	}
	times := float64(c.Samples) / float64(c.FirstSamples)
	low, high := 1.0, max(1, times)
	for range 64 {
		middle := (low + high) / 2
		if series(middle, c.Rounds, times) <= times {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// nextSamples is the first of so many rounds that share out what is left, each
// larger than the one before by the growth. It leaves every other one a sample, if
// there is one for each.
func nextSamples(left uint64, rounds int, growth float64) uint64 {
	if rounds < 2 {
		return left
	}
	even := (left + uint64(rounds) - 1) / uint64(rounds)
	if growth <= 1 {
		return even
	}
	first := math.Round(float64(left) / series(growth, rounds, math.MaxFloat64))
	return min(even, max(1, uint64(first)))
}

// series sums 1 + growth + growth^2 and so on, as many terms as there are rounds,
// unless it has passed enough before.
func series(growth float64, rounds int, enough float64) float64 {
	sum := 0.0
	for range rounds {
		if sum = float64(sum*growth) + 1; sum > enough { // unfused
			break
		}
	}
	return sum
}
