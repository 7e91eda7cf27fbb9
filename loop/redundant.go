package loop

import "fmt"

// telling is the part of the variance of errors from which on a factor that
// explains it is taken for an outcome: no condition decides so well.
const telling = .9

// Unfit names the factors that a search should not have, by position, and why:
// those that tell failures by themselves, as a score or a prediction does, and
// those that are another one in other words.
func (r *Rows) Unfit() map[int]string {
	unfit := make(map[int]string)
	for f := range r.Codes {
		if part := r.explained(f); part > telling {
			unfit[f] = fmt.Sprintf("it alone explains %.0f%% of the error, as an outcome does and a condition does not", 100*part)
		}
	}
	for f := range r.Codes {
		for g := range f {
			if unfit[f] == "" && unfit[g] == "" && r.twins(g, f) {
				unfit[f] = fmt.Sprintf("it says the same as %s", r.Space.Factors[g].Name)
			}
		}
	}
	return unfit
}

// Without are the rows without some factors.
func (r *Rows) Without(factors map[int]string) *Rows {
	space := *r.Space
	space.Factors = nil
	kept := &Rows{Space: &space, Error: r.Error, Group: r.Group}
	for f := range r.Codes {
		if _, gone := factors[f]; !gone {
			space.Factors = append(space.Factors, r.Space.Factors[f])
			kept.Codes = append(kept.Codes, r.Codes[f])
		}
	}
	return kept
}

// explained is the part of the variance of errors between the levels of a
// factor, beyond what as many levels would have by chance.
func (r *Rows) explained(factor int) float64 {
	levels := len(r.Space.Factors[factor].Levels)
	n, sum := make([]float64, levels), make([]float64, levels)
	rows, total, squares := 0.0, 0.0, 0.0
	for i, code := range r.Codes[factor] {
		if code.IsLevel() {
			e := r.Error[i]
			n[code]++
			sum[code] += e
			rows++
			total += e
			squares += e * e
		}
	}
	variance := squares - total*total/max(rows, 1)
	if variance <= 1e-12*squares || rows <= float64(levels) {
		return 0
	}
	between := -total * total / rows
	seen := 0.0
	for l := range n {
		if n[l] > 0 {
			between += sum[l] * sum[l] / n[l]
			seen++
		}
	}
	return 1 - (1-between/variance)*(rows-1)/(rows-seen)
}

// twins reports whether two factors of as many levels determine each other, but
// for one row in a hundred.
func (r *Rows) twins(a, b int) bool {
	levels := len(r.Space.Factors[a].Levels)
	if levels != len(r.Space.Factors[b].Levels) || levels > 1000 {
		return false
	}
	table := make([]int, levels*levels)
	rows := 0
	for i, code := range r.Codes[a] {
		other := r.Codes[b][i]
		if code.IsLevel() != other.IsLevel() {
			return false
		}
		if code.IsLevel() {
			table[int(code)*levels+int(other)]++
			rows++
		}
	}
	along := func(step, across int) int {
		agree := 0
		for l := range levels {
			most := 0
			for m := range levels {
				most = max(most, table[l*step+m*across])
			}
			agree += most
		}
		return agree
	}
	return rows > 0 && min(along(levels, 1), along(1, levels)) >= rows-rows/100
}
