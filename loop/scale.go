package loop

import (
	"math"
	"sort"
)

// Scale is the scale of a numeric factor.
type Scale string

// The scales. On a circular one, such as an angle, the last bin borders on the
// first, and observed values are taken modulo the range.
const (
	Linear   Scale = "linear"
	Log      Scale = "log"
	Circular Scale = "circular"
)

// Value is the concrete value of a numeric factor at a fraction of a level's
// bin: the arithmetic mean of the edges at one half, the geometric one on a log
// scale. It lies within the bin, Low <= value < High, and is the same to the bit
// on any machine: only +, -, *, / and square roots go into it, and no sum of a
// product. ok is false where there is no such value.
func (f *Factor) Value(code Code, fraction uint32) (value float64, ok bool) {
	if f.Kind != Numeric || int(code) >= len(f.Levels) {
		return 0, false
	}
	level := &f.Levels[code]
	if f.Scale == Log {
		// low·(high/low)^fraction, one bit of the fraction after another.
		value = level.Low
		root := level.High / level.Low
		for bits := fraction; bits != 0; bits <<= 1 {
			root = math.Sqrt(root)
			if bits>>31 == 1 {
				value *= root
			}
		}
	} else {
		// The conversion forbids a fused multiply-add.
		value = level.Low + float64((level.High-level.Low)*(float64(fraction)/whole))
	}
	if value >= level.High { // by rounding
		value = math.Nextafter(level.High, level.Low)
	}
	return max(value, level.Low), true
}

// Fraction is the inverse of Value: where in the bin of a level a value lies.
// Where edges are so close that several fractions have the same value it is
// near to one of them.
func (f *Factor) Fraction(code Code, value float64) uint32 {
	if f.Kind != Numeric || int(code) >= len(f.Levels) {
		return 0
	}
	level := &f.Levels[code]
	part := (value - level.Low) / (level.High - level.Low)
	if f.Scale == Log {
		part = math.Log(value/level.Low) / math.Log(level.High/level.Low)
	}
	estimate := uint32(max(0, min(math.Round(part*whole), whole-1)))
	for _, step := range []uint32{0, 1, ^uint32(0), 2, ^uint32(1)} {
		if back, _ := f.Value(code, estimate+step); back == value {
			return estimate + step
		}
	}
	return estimate
}

// Wrap takes a value of a circular factor modulo its range, so that it lies
// within; any other factor's value stays as it is.
func (f *Factor) Wrap(value float64) float64 {
	if f.Scale != Circular || len(f.Levels) == 0 {
		return value
	}
	low, high := f.Levels[0].Low, f.Levels[len(f.Levels)-1].High
	if value >= low && value < high {
		return value
	}
	value = math.Mod(value-low, high-low)
	if value < 0 {
		value += high - low
	}
	if value += low; value >= high { // by rounding: a full turn is none
		return low
	}
	return value
}

// Code is the level that an observed value of a numeric factor falls into, after
// Wrap. ok is false where no bin holds it.
func (f *Factor) Code(value float64) (code Code, ok bool) {
	if f.Kind != Numeric {
		return Unknown, false
	}
	value = f.Wrap(value)
	l := sort.Search(len(f.Levels), func(l int) bool { return value < f.Levels[l].High })
	if l == len(f.Levels) || !(value >= f.Levels[l].Low) {
		return Unknown, false
	}
	return Code(l), true
}
