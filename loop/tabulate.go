package loop

import (
	"cmp"
	"math"
	"slices"
)

// frequent lists, per factor, the levels with the least support: no slice of
// another level can have it. A pinned factor has none: all that is made has its
// level, so a slice of it would say nothing.
func (f *searcher) frequent() [][]int {
	out := make([][]int, len(f.space.Factors))
	for factor, column := range f.evidence.Codes {
		if f.space.Factors[factor].Pin != nil {
			continue
		}
		counts := make([]float64, len(f.space.Factors[factor].Levels))
		for i, code := range column {
			if code.IsLevel() {
				if f.weight[i] > 0 { // no slice is worth more than the rows that it has
					counts[code] += f.discount[f.strata[i]] * float64(f.evidence.Rows[i])
				}
			}
		}
		for l, n := range counts {
			if n >= f.settings.MinimumSupport {
				out[factor] = append(out[factor], l)
			}
		}
	}
	return out
}

// denseCells makes a dense table 96 MiB at most.
const denseCells = 1 << 22

// cells counts every cell of an order that has the least support.
func (f *searcher) cells(order int) []cell { return f.count(order, f.frequent()) }

// count tabulates every cell of an order that has the least support, in order
// of slices.
func (f *searcher) count(order int, frequent [][]int) []cell {
	var cells []cell
	factors := make([]int, order)
	var walk func(depth, from int)
	walk = func(depth, from int) {
		if depth == order {
			cells = f.tabulate(cells, factors, frequent)
			return
		}
		for factor := from; factor < len(frequent); factor++ {
			if len(frequent[factor]) == 0 {
				continue
			}
			factors[depth] = factor
			walk(depth+1, factor+1)
		}
	}
	walk(0, 0)
	return cells
}

// tabulate appends the supported cells of one set of factors.
func (f *searcher) tabulate(cells []cell, factors []int, frequent [][]int) []cell {
	size := 1
	// place maps a level's code to its position among the frequent ones, plus 1.
	place := make([][]int, len(factors))
	for i, factor := range factors {
		place[i] = make([]int, len(f.space.Factors[factor].Levels))
		for at, l := range frequent[factor] {
			place[i][l] = at + 1
		}
		if size > math.MaxInt/len(frequent[factor]) {
			return cells
		}
		size *= len(frequent[factor])
	}
	key := func(line int) int {
		at := 0
		for i, factor := range factors {
			code := f.evidence.Codes[factor][line]
			if !code.IsLevel() || place[i][code] == 0 {
				return -1
			}
			at = at*len(frequent[factor]) + place[i][code] - 1
		}
		return at
	}
	strata := len(f.discount)
	emit := func(at int, sums []stratum) {
		n, k := pool(sums, f.discount)
		if n < f.settings.MinimumSupport {
			return
		}
		slice := make(Slice, len(factors))
		for i := len(factors) - 1; i >= 0; i-- {
			levels := frequent[factors[i]]
			slice[i] = Predicate{Factor: factors[i], Level: levels[at%len(levels)]}
			at /= len(levels)
		}
		cells = append(cells, cell{slice: slice, n: n, k: k, effect: 1})
	}
	if size <= f.denseCells/strata {
		sums := make([]stratum, size*strata)
		for line := range f.weight {
			if f.weight[line] == 0 {
				continue
			}
			if at := key(line); at >= 0 {
				sums[at*strata+int(f.strata[line])].add(f.weight[line], f.fails[line], f.squares[line])
			}
		}
		for at := range size {
			emit(at, sums[at*strata:(at+1)*strata])
		}
		return cells
	}
	type keyed struct{ key, line int }
	var lines []keyed
	for line := range f.weight {
		if at := key(line); f.weight[line] != 0 && at >= 0 {
			lines = append(lines, keyed{at, line})
		}
	}
	slices.SortStableFunc(lines, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	sums := make([]stratum, strata)
	for i := 0; i < len(lines); {
		clear(sums)
		at := lines[i].key
		for ; i < len(lines) && lines[i].key == at; i++ {
			line := lines[i].line
			sums[f.strata[line]].add(f.weight[line], f.fails[line], f.squares[line])
		}
		emit(at, sums)
	}
	return cells
}
