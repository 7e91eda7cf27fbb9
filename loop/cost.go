package loop

import "math"

// A sample's cost is what it took until one was accepted, relative to the base's:
// drawn towards 1 by costSamples samples, and no less than 1/costMost nor more than
// costMost.
const (
	costSamples = 50
	costMost    = 10
)

// cost is what an accepted sample of a slice costs, relative to one of the base; 1
// where nothing is known of either, or the policy does not ask.
func (d *decision) cost(slice Slice) float64 {
	if !d.policy.Value.Cost {
		return 1
	}
	var base, own *Made
	for i := range d.evidence.Made {
		switch m := &d.evidence.Made[i]; {
		case len(m.Slice) == 0:
			base = m
		case m.Slice.Equal(slice):
			own = m
		}
	}
	if base == nil || own == nil {
		return 1
	}
	relative := math.Log(own.attempts() / base.attempts())
	if own.Accepted > 0 && base.Accepted > 0 && own.Millis > 0 && base.Millis > 0 {
		relative += math.Log(own.millis() / base.millis())
	}
	n := float64(own.Accepted + own.Rejected)
	return min(costMost, max(1./costMost, math.Exp(relative*n/(n+costSamples))))
}

// attempts is how many were made for each that was accepted, one more of either
// counted in, so that it is a number where none was.
func (m *Made) attempts() float64 {
	return float64(m.Accepted+m.Rejected+1) / float64(m.Accepted+1)
}

// millis is what generators spent on one that was accepted.
func (m *Made) millis() float64 { return float64(m.Millis) / float64(m.Accepted) }
