package loop

import "math"

// Contrast is by how much a proportion k/n is above another, with a 95 % interval:
// Newcombe's of two score intervals (1998, method 10), which holds for small numbers
// and for proportions near 0 or 1. Where nothing is known of one of them it is
// anything from -1 to 1.
func Contrast(k, n, otherK, otherN float64) Interval {
	if n <= 0 || otherN <= 0 {
		return Interval{Expected: 0, Lower: -1, Upper: 1}
	}
	p, q := k/n, otherK/otherN
	l, u := wilson(k, n)
	otherL, otherU := wilson(otherK, otherN)
	return Interval{Expected: p - q,
		Lower: max(-1, p-q-math.Hypot(p-l, otherU-q)), Upper: min(1, p-q+math.Hypot(u-p, q-otherL))}
}
