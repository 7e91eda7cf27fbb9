package loop

import "math"

// alwaysValid is a 95 % confidence sequence of a proportion, from k of n: the
// probability that it excludes the truth at any n, however often one looks, is at
// most .05. It is where the mixture of binomials under a Beta(1/2, 1/2) prior is
// less than 20 times as likely as the proportion itself (Robbins 1970; Howard et
// al. 2021). n and k may be effective numbers; n = 0 gives 0 to 1.
func alwaysValid(k, n float64) (lower, upper float64) {
	k = min(max(k, 0), n)
	const a, b, alpha = .5, .5, .05
	mixture := logBeta(a+k, b+n-k) - logBeta(a, b)
	outside := func(p float64) bool {
		likelihood := 0.0
		if k > 0 {
			likelihood += k * math.Log(p)
		}
		if n-k > 0 {
			likelihood += (n - k) * math.Log1p(-p)
		}
		return mixture-likelihood >= math.Log(1/alpha)
	}
	// What lies outside is on either side of k/n.
	edge := func(out, in float64) float64 {
		if !outside(out) {
			return out
		}
		for range 60 {
			if middle := (out + in) / 2; outside(middle) {
				out = middle
			} else {
				in = middle
			}
		}
		return in
	}
	if n <= 0 {
		return 0, 1
	}
	return edge(0, k/n), edge(1, k/n)
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// wilson is the 95 % score interval of a proportion (Wilson 1927).
func wilson(k, n float64) (lower, upper float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p := k / n
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, centre-half), min(1, centre+half)
}

// proportion is a rate of such a variance with its 95 % interval: Wilson's, of as
// many rows as would have that variance, and Student's where they are few
// (Dean & Pagano 2015 compare intervals of weighted proportions).
func proportion(rate, variance, effective float64) Interval {
	n := effective
	if spread := rate * (1 - rate); spread > 0 && variance > 0 {
		n = spread / variance
	}
	z := studentQuantile(max(1, effective-1))
	centre := (rate + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(rate*(1-rate)/n+z*z/(4*n*n))
	return Interval{Lower: max(0, centre-half), Expected: rate, Upper: min(1, centre+half)}
}

// studentQuantile is the 97.5 % point of Student's t with so many degrees of
// freedom, to a hundredth from 10 on (the first terms of Cornish & Fisher).
func studentQuantile(freedom float64) float64 {
	const z = 1.959963984540054
	return z + (z*z*z+z)/(4*freedom) + (5*z*z*z*z*z+16*z*z*z+3*z)/(96*freedom*freedom)
}
