package loop

// tilted is marginals with the mass of each level multiplied by its tilt, by
// factor and level, and brought back to the whole. A factor without a tilt, or whose
// tilt leaves nothing, and a pinned one stay as they are.
func (s *Space) tilted(marginals []Marginal, tilt [][]float64) []Marginal {
	out := make([]Marginal, len(marginals))
	for f, m := range marginals {
		out[f] = m
		if f >= len(tilt) || len(tilt[f]) != len(m) || s.Factors[f].Pin != nil {
			continue
		}
		weights, total := make([]float64, len(m)), 0.0
		for l := range m {
			weights[l] = m.share(l) * tilt[f][l]
			total += weights[l]
		}
		if total > 0 && total <= maxTilt {
			out[f] = quantise(weights)
		}
	}
	return out
}

// maxTilt bounds what a tilt makes of a marginal, infinity aside.
const maxTilt = 1e100

// tilt is what makes tilted marginals of a base: 1 for levels that the base does
// not draw, nil for a factor that has other levels in the two.
func tilt(base, tilted []Marginal) [][]float64 {
	out := make([][]float64, len(base))
	for f := range base {
		if f >= len(tilted) || len(tilted[f]) != len(base[f]) {
			continue
		}
		out[f] = make([]float64, len(base[f]))
		for l := range base[f] {
			out[f][l] = 1
			if mass := base[f].mass(l); mass > 0 {
				out[f][l] = float64(tilted[f].mass(l)) / float64(mass)
			}
		}
	}
	return out
}

// blended is marginals on the way from one to another.
func blended(from, to []Marginal, part float64) []Marginal {
	if part <= 0 {
		return from
	}
	if part >= 1 {
		return to
	}
	out := make([]Marginal, len(to))
	for f := range to {
		weights := make([]float64, len(to[f]))
		for l := range weights {
			weights[l] = float64((1-part)*from[f].share(l)) + float64(part*to[f].share(l))
		}
		out[f] = quantise(weights)
	}
	return out
}
