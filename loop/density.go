package loop

import "math"

// density is a probability that may be far below the least float64: a scenario of
// 256 factors of 20 levels has one of 1e-333. It is of·2^(-256·down). Scaling by a
// power of two is exact, so that where a float64 would do, sums, products and
// quotients are what they are of float64s, to the bit.
type density struct {
	of   float64
	down int
}

// tiny is one step of a density's scale. No factor of a density is below 2^-64, so
// that neither a product nor the product of two densities is rounded to 0.
const tiny = 0x1p-256

// times multiplies by a factor of up to 2^512 that is 0 or no less than 2^-512.
func (d density) times(factor float64) density {
	d.of *= factor
	if d.of < tiny && d.of > 0 {
		d.of /= tiny
		d.down++
	}
	return d
}

// by multiplies by another density.
func (d density) by(e density) density {
	d.down += e.down
	return d.times(e.of)
}

// plus adds another density.
func (d density) plus(e density) density {
	switch {
	case e.of == 0:
		return d
	case d.of == 0:
		return e
	case e.down < d.down:
		d, e = e, d
	}
	// What is lost of a term by so many steps is less than half an ulp of the sum.
	for ; e.down > d.down && e.of > 0; e.down-- {
		e.of *= tiny
	}
	d.of += e.of
	return d
}

// over divides by another density: 0 where that is 0.
func (d density) over(e density) float64 {
	if e.of == 0 {
		return 0
	}
	return min(mostRatio, math.Ldexp(d.of/e.of, 256*(e.down-d.down)))
}

// mostRatio bounds quotients so that sums of their squares are finite.
const mostRatio = 0x1p480

// float64 is the density, or 0 where it is too small for a number.
func (d density) float64() float64 { return math.Ldexp(d.of, -256*d.down) }
