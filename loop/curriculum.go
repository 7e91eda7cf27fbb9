package loop

// tilted is marginals with the mass of each level multiplied by its tilt, by
// factor and level, in every row, and brought back to the whole; a tilt may also
// have a number for each level of each row. A factor without a tilt and a pinned
// one stay as they are, as does a row of which the tilt leaves nothing.
func (s *Space) tilted(marginals []Marginal, tilt [][]float64) []Marginal {
	out := append([]Marginal(nil), marginals...)
	for f := range s.Factors {
		levels := s.width(f)
		if f >= len(tilt) || len(tilt[f]) != levels && len(tilt[f]) != len(out[f]) || s.Factors[f].Pin != nil {
			continue
		}
		out[f] = out[f].each(levels, func(r int, row Marginal) Marginal {
			times := tilt[f]
			if len(times) > levels {
				times = times[r*levels:]
			}
			weights, total := make([]float64, levels), 0.0
			for l := range weights {
				weights[l] = float64(row.share(l) * times[l]) // unfused
				total += weights[l]
			}
			if total > 0 && total <= maxTilt {
				return quantise(weights)
			}
			return row
		})
	}
	return out
}

// maxTilt bounds what a tilt makes of a marginal, infinity aside.
const maxTilt = 1e100

// tilt is what makes tilted marginals of a base: 1 for levels that the base does
// not draw, nil for a factor that has other levels, or rows, in the two.
func (s *Space) tilt(base, tilted []Marginal) [][]float64 {
	out := make([][]float64, len(s.Factors))
	for f := range out {
		levels := s.width(f)
		if f >= len(base) || f >= len(tilted) || len(tilted[f]) != len(base[f]) || len(base[f])%levels != 0 {
			continue
		}
		for r := range len(base[f]) / levels {
			from, to := base[f].row(r, levels), tilted[f].row(r, levels)
			for l := range levels {
				times := 1.0
				if mass := from.mass(l); mass > 0 {
					times = float64(to.mass(l)) / float64(mass)
				}
				out[f] = append(out[f], times)
			}
		}
	}
	return out
}

// blended is marginals on the way from one to another.
func (s *Space) blended(from, to []Marginal, part float64) []Marginal {
	if part <= 0 {
		return from
	}
	if part >= 1 {
		return to
	}
	out := make([]Marginal, len(to))
	for node := range to {
		out[node] = to[node].each(s.width(node), func(r int, row Marginal) Marginal {
			was, weights := from[node].row(r, len(row)), make([]float64, len(row))
			for l := range weights {
				weights[l] = float64((1-part)*was.share(l)) + float64(part*row.share(l))
			}
			return quantise(weights)
		})
	}
	return out
}
