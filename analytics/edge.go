//go:build duckdb_arrow && cgo

package analytics

import (
	"math"
	"strconv"
)

// An edge of a bin is as round as where it has to lie allows: people read it, and
// it says no more than it knows.

// steps calls try with steps of 1, 2 and 5 times a power of ten, from wide to
// narrow, until it says that one will do.
func steps(scale float64, try func(step float64) bool) {
	exponent := int(math.Floor(math.Log10(scale))) + 1
	for e := exponent; e > exponent-18; e-- {
		for _, m := range []float64{5, 2, 1} {
			if try(decimal(m, e)) {
				return
			}
		}
	}
}

// decimal is m·10^e as it is written, not as multiplying gives it.
func decimal(m float64, e int) float64 {
	x, _ := strconv.ParseFloat(strconv.FormatFloat(m, 'f', 0, 64)+"e"+strconv.Itoa(e), 64)
	return x
}

// multiple is n steps, as one writes it.
func multiple(n, step float64) float64 {
	x, _ := strconv.ParseFloat(strconv.FormatFloat(n*step, 'g', 12, 64), 64)
	return x + 0 // not -0
}

// roundNear is the roundest number within so much of x.
func roundNear(x, within float64) float64 {
	if !(within > 0) || math.IsInf(within, 0) || x == 0 {
		return x
	}
	out := x
	steps(max(math.Abs(x), within), func(step float64) bool {
		r := multiple(math.Round(x/step), step)
		if math.Abs(r-x) > within {
			return false
		}
		out = r
		return true
	})
	return out
}

// roundDown is the roundest number at or below x, and at most so much.
func roundDown(x, within float64) float64 {
	out := x
	if within > 0 {
		steps(max(math.Abs(x), within), func(step float64) bool {
			r := multiple(math.Floor(x/step), step)
			if r > x || x-r > within {
				return false
			}
			out = r
			return true
		})
	}
	return out
}

// roundAbove is the roundest number above x, by at most so much; where there is
// none, the next one.
func roundAbove(x, within float64) float64 {
	out := math.Nextafter(x, math.Inf(1))
	if within > 0 {
		steps(max(math.Abs(x), within), func(step float64) bool {
			r := multiple(math.Floor(x/step)+1, step)
			if r <= x || r-x > within {
				return false
			}
			out = r
			return true
		})
	}
	return out
}

// roundBetween is the roundest number above low and not above high.
func roundBetween(low, high float64) float64 {
	out := high
	steps(max(math.Abs(low), math.Abs(high)), func(step float64) bool {
		r := multiple(math.Floor(high/step), step)
		if r <= low || r > high {
			return false
		}
		out = r
		return true
	})
	return out
}

// double writes a number so that SQL takes it for a DOUBLE.
func double(v float64) string { return strconv.FormatFloat(v, 'e', -1, 64) }

// number writes an edge as people do.
func number(v float64) string {
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e15) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
