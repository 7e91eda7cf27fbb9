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
	// effect is the design effect: how many times the variance of k is that of so
	// many independent rows. n/effect is how many of those the cell is worth.
	effect float64
	// order and place are where its counts has the cell.
	order, place int
}

// excess is the number of failures beyond what the rate explains.
func (c *cell) excess(rate float64) float64 { return c.k - c.n*rate }

// counts is where a search has its numbers from: rows, of which the ones in a
// slice can be taken away.
type counts interface {
	// rate is the failure rate of the rows that are left, and their weight.
	rate() (rate, rows float64)
	// cells counts every slice of an order that has the least support, in order of
	// slices. They are good until the next call.
	cells(order int) []cell
	// test gives a cell its standard score and, where that reaches the least of the
	// settings, its p-value.
	test(c *cell, rate float64)
	// slice says which slice a cell counts.
	slice(c *cell) Slice
	// remove takes the rows of a slice away.
	remove(slice Slice)
}

// searcher counts slices of evidence, in which each line is many rows of one
// age.
type searcher struct {
	space    *Space
	settings Search
	evidence *Evidence
	// strata number the lines by age, source and origin: each stratum was drawn by
	// itself, and its rows have weights of their own. discount is memory^age.
	strata   []uint16
	discount []float64
	// weight of each line is its importance weight · rows, or 0 once it is taken
	// away; fails likewise for failures, squares for the weight squared.
	weight, fails, squares []float64
	// denseCells is the largest table that is counted densely; larger ones are
	// counted by sorting keys.
	denseCells int
}

func newSearcher(s *Space, settings Search, e *Evidence, memory float64, window int) *searcher {
	f := &searcher{space: s, settings: settings, evidence: e, denseCells: denseCells}
	f.strata, f.discount = e.strata(memory, window)
	f.weight, f.fails, f.squares = make([]float64, e.Len()), make([]float64, e.Len()), make([]float64, e.Len())
	for i := range f.weight {
		if f.discount[f.strata[i]] > 0 {
			f.weight[i], f.fails[i], f.squares[i] = e.weigh(i)
		}
	}
	return f
}

// remove takes the rows of a slice away.
func (f *searcher) remove(slice Slice) {
	for i := range f.weight {
		if f.matches(slice, i) {
			f.weight[i], f.fails[i], f.squares[i] = 0, 0, 0
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
	sums := make([]stratum, len(f.discount))
	for i := range f.weight {
		sums[f.strata[i]].add(f.weight[i], f.fails[i], f.squares[i])
	}
	rows, k := pool(sums, f.discount)
	if rows == 0 {
		return 0, 0
	}
	return k / rows, rows
}

// test is binomial: rows of evidence stand for themselves.
func (f *searcher) test(c *cell, rate float64) {
	c.z = c.excess(rate) / math.Sqrt(c.n*rate*(1-rate))
	if c.z >= f.settings.MinimumZ {
		c.p = binomialTail(c.k, c.n, rate)
	}
}

// slice is the cell's own: evidence names each cell as it counts it.
func (f *searcher) slice(c *cell) Slice { return c.slice }

// cover is the slices of the evidence that fail more than the rest.
func (f *searcher) cover() []cell { return cover(f, f.settings, nil) }

// cover finds slices greedily: the significant cell of the greatest standard
// score, made narrower while a significant child holds most of its excess, then
// its rows are taken away and the search starts over. A parent is never tested
// against its children or the other way round: comparing with the best of
// several parents costs more power than redundancy costs share, and taking rows
// away removes the redundancy.
func cover(rows counts, settings Search, fit descent) []cell {
	var found []cell
	for len(found) < settings.Slices {
		rate, _ := rows.rate()
		if rate <= 0 || rate >= 1 {
			break
		}
		significant, _ := significantCells(rows, settings, rate)
		if len(significant) == 0 {
			break
		}
		best := slices.MaxFunc(significant, func(a, b cell) int {
			return cmp.Or(cmp.Compare(a.z, b.z), b.slice.compare(a.slice))
		})
		best = descend(best, significant, rate, settings.Descent, fit)
		found = append(found, best)
		rows.remove(best.slice)
	}
	return found
}

// descent says whether a narrower cell may stand for a wider one.
type descent func(parent, child *cell, rate float64) bool

// descend moves to the significant child with the greatest excess, as long as
// there is one that holds the stated part of its parent's.
func descend(c cell, significant []cell, rate, part float64, fit descent) cell {
	for {
		least := part * c.excess(rate)
		next := -1
		for i := range significant {
			child := &significant[i]
			if len(child.slice) <= len(c.slice) || !child.within(c.slice) || child.excess(rate) < least || fit != nil && !fit(&c, child, rate) {
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

// significantCells is every cell up to the order of the settings that passes the
// test, and how many were tested of each order: Benjamini-Hochberg within each order, at an equal part of the false
// discovery rate each, over the cells that could become significant at all
// (Tarone 1990); and the least support and standard score. Cells are in order
// of slices.
func significantCells(rows counts, settings Search, rate float64) (out []cell, tested [MaxOrder]int) {
	level := settings.FalseDiscovery / float64(settings.Order)
	for order := 1; order <= settings.Order; order++ {
		cells := rows.cells(order)
		// A cell of n rows cannot have a smaller p than rate^n: where that alone
		// misses the strictest threshold, the cell is not tested and not counted.
		least := math.Log(level/float64(max(len(cells), 1))) / math.Log(rate)
		tests := 0
		var candidates []cell
		for _, c := range cells {
			if c.n/c.effect < least {
				continue
			}
			tests++
			if rows.test(&c, rate); c.z >= settings.MinimumZ {
				candidates = append(candidates, c)
			}
		}
		tested[order-1] = tests
		for _, c := range benjaminiHochberg(candidates, tests) {
			if c.q <= level {
				c.slice = rows.slice(&c)
				out = append(out, c)
			}
		}
	}
	return out, tested
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
