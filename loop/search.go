package loop

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// cell is a slice as the search counts it, with its test against the failure
// rate of the rows that are left.
type cell struct {
	slice Slice
	// n and k are rows and failures, weighted by the memory of their age.
	n, k float64
	z    float64
	// p is the binomial tail P(K >= k | n, rate); q its Benjamini-Hochberg value.
	p, q float64
}

// excess is the number of failures beyond what the rate explains.
func (c *cell) excess(rate float64) float64 { return c.k - c.n*rate }

// searcher looks for slices that fail more than the rest, over evidence rows
// from which it can take rows away.
type searcher struct {
	space    *Space
	settings Search
	evidence *Evidence
	// weight of each line: memory^age · rows, or 0 once it is taken away; fails
	// likewise for failures.
	weight, fails []float64
	// denseCells is the largest table that is counted densely; larger ones are
	// counted by sorting keys.
	denseCells int
}

func newSearcher(s *Space, settings Search, e *Evidence, memory float64, window int) *searcher {
	f := &searcher{space: s, settings: settings, evidence: e,
		weight: make([]float64, e.Len()), fails: make([]float64, e.Len()), denseCells: denseCells}
	for i := range f.weight {
		if int(e.Age[i]) >= window {
			continue
		}
		w := math.Pow(memory, float64(e.Age[i]))
		f.weight[i] = w * float64(e.Rows[i])
		f.fails[i] = w * float64(e.Failures[i])
	}
	return f
}

// remove takes the rows of a slice away.
func (f *searcher) remove(slice Slice) {
	for i := range f.weight {
		if f.matches(slice, i) {
			f.weight[i], f.fails[i] = 0, 0
		}
	}
}

func (f *searcher) matches(slice Slice, line int) bool {
	for _, p := range slice {
		if f.evidence.Codes[p.Factor][line] != Code(p.Level) {
			return false
		}
	}
	return true
}

// rate is the failure rate of the rows that are left, and their weight.
func (f *searcher) rate() (rate, rows float64) {
	k := 0.0
	for i := range f.weight {
		rows += f.weight[i]
		k += f.fails[i]
	}
	if rows == 0 {
		return 0, 0
	}
	return k / rows, rows
}

// cover finds slices greedily: the significant cell of the greatest standard
// score, made narrower while a significant child holds most of its excess, then
// its rows are taken away and the search starts over. A parent is never tested
// against its children or the other way round: comparing with the best of
// several parents costs more power than redundancy costs share, and taking rows
// away removes the redundancy.
func (f *searcher) cover() []cell {
	var found []cell
	for len(found) < f.settings.Slices {
		rate, _ := f.rate()
		if rate <= 0 || rate >= 1 {
			break
		}
		significant := f.significant(rate)
		if len(significant) == 0 {
			break
		}
		best := slices.MaxFunc(significant, func(a, b cell) int {
			return cmp.Or(cmp.Compare(a.z, b.z), b.slice.compare(a.slice))
		})
		best = f.descend(best, significant, rate)
		found = append(found, best)
		f.remove(best.slice)
	}
	return found
}

// descend moves to the significant child with the greatest excess, as long as
// there is one that holds the stated part of its parent's.
func (f *searcher) descend(c cell, significant []cell, rate float64) cell {
	for {
		least := f.settings.Descent * c.excess(rate)
		next := -1
		for i := range significant {
			child := &significant[i]
			if len(child.slice) <= len(c.slice) || !child.within(c.slice) || child.excess(rate) < least {
				continue
			}
			if next < 0 || child.excess(rate) > significant[next].excess(rate) {
				next = i
			}
		}
		if next < 0 {
			return c
		}
		c = significant[next]
	}
}

// within reports whether the cell has every predicate of the slice.
func (c *cell) within(slice Slice) bool {
	for _, p := range slice {
		if c.slice.Level(p.Factor) != p.Level {
			return false
		}
	}
	return true
}

// significant is every cell up to the order of the settings that passes the
// test: Benjamini-Hochberg within each order, at an equal part of the false
// discovery rate each, over the cells that could become significant at all
// (Tarone 1990); and the least support and standard score. Cells are in order
// of slices.
func (f *searcher) significant(rate float64) []cell {
	level := f.settings.FalseDiscovery / float64(f.settings.Order)
	frequent := f.frequent()
	var out []cell
	for order := 1; order <= f.settings.Order; order++ {
		cells := f.count(order, frequent)
		// A cell of n rows cannot have a smaller p than rate^n: where that alone
		// misses the strictest threshold, the cell is not tested and not counted.
		least := math.Log(level/float64(max(len(cells), 1))) / math.Log(rate)
		tests := 0
		var candidates []cell
		for _, c := range cells {
			if c.n < least {
				continue
			}
			tests++
			c.z = c.excess(rate) / math.Sqrt(c.n*rate*(1-rate))
			if c.z >= f.settings.MinimumZ {
				c.p = binomialTail(c.k, c.n, rate)
				candidates = append(candidates, c)
			}
		}
		for _, c := range benjaminiHochberg(candidates, tests) {
			if c.q <= level {
				out = append(out, c)
			}
		}
	}
	return out
}

// benjaminiHochberg fills in the q-values of candidates, out of so many tests.
// The tests that are no candidates have p-values too, but leaving them out of the
// ranking can only make a q-value larger.
func benjaminiHochberg(candidates []cell, tests int) []cell {
	order := make([]int, len(candidates))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(candidates[a].p, candidates[b].p) })
	q := 1.0
	for rank := len(order); rank >= 1; rank-- {
		c := &candidates[order[rank-1]]
		q = min(q, c.p*float64(tests)/float64(rank))
		c.q = q
	}
	return candidates
}

// binomialTail is P(K >= k) for n draws of probability p, continued to real k
// and n by the regularised incomplete beta function I_p(k, n-k+1). That loses
// its digits where the variance is in the millions; there the normal tail is
// within 4 % of it down to p = 1e-9.
func binomialTail(k, n, p float64) float64 {
	if k <= 0 {
		return 1
	}
	if variance := n * p * (1 - p); variance > 1e6 {
		return math.Erfc((k-.5-n*p)/math.Sqrt(2*variance)) / 2
	}
	return min(1, max(0, mathext.RegIncBeta(k, n-k+1, p)))
}
