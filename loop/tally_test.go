package loop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawRows draws rows with unknown values, rare levels, factors that repeat each
// other, and groups or none.
func drawRows(t *rapid.T) *Rows {
	factors := rapid.IntRange(1, 5).Draw(t, "factors")
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	r := clips(rng, rapid.IntRange(1, 40).Draw(t, "groups"), rapid.IntRange(1, 12).Draw(t, "size"), factors, rapid.IntRange(2, 6).Draw(t, "levels"),
		func([]Code, float64) float64 { return bernoulli(rng, .2) })
	if rapid.Bool().Draw(t, "loss") {
		for i := range r.Error {
			r.Error[i] = rng.ExpFloat64()
		}
	}
	if factors > 2 && rapid.Bool().Draw(t, "repeat") {
		copy(r.Codes[1], r.Codes[0])
	}
	for _, column := range r.Codes {
		for i := range column {
			if rng.IntN(20) == 0 {
				column[i] = []Code{Unknown, Absent}[rng.IntN(2)]
			}
		}
	}
	// In no order of groups.
	rng.Shuffle(len(r.Error), func(i, j int) {
		for _, column := range r.Codes {
			column[i], column[j] = column[j], column[i]
		}
		r.Error[i], r.Error[j] = r.Error[j], r.Error[i]
		r.Group[i], r.Group[j] = r.Group[j], r.Group[i]
	})
	if rapid.Bool().Draw(t, "alone") {
		r.Group = nil
	}
	return r
}

// naiveCells is the twin of a tally: a map of slices, every rule as it is said.
// Slices are chosen among all rows, and counted among those that are left.
func naiveCells(r *Rows, settings Search, parts []float64, gone []Slice, order int) map[string]cell {
	type lot struct {
		slice Slice
		rows  []int
	}
	all := make(map[string]*lot)
	for i := range parts {
		var walk func(from int, slice Slice)
		walk = func(from int, slice Slice) {
			name := fmt.Sprint(slice)
			if all[name] == nil {
				all[name] = &lot{slice: slice}
			}
			all[name].rows = append(all[name].rows, i)
			for f := from; f < len(r.Codes) && len(slice) < MaxOrder; f++ {
				if r.Codes[f][i].IsLevel() {
					walk(f+1, append(slices.Clone(slice), Predicate{f, int(r.Codes[f][i])}))
				}
			}
		}
		walk(0, nil)
	}
	var redundant func(l *lot) bool
	redundant = func(l *lot) bool {
		for i := range l.slice {
			wider := all[fmt.Sprint(slices.Delete(slices.Clone(l.slice), i, i+1))]
			if len(wider.slice) > 0 && (float64(len(l.rows)) >= same*float64(len(wider.rows)) || redundant(wider)) {
				return true
			}
		}
		return false
	}
	out := make(map[string]cell)
	for name, l := range all {
		if len(l.slice) != order || float64(len(l.rows)) < settings.MinimumSupport || redundant(l) {
			continue
		}
		groups := make(map[uint32]float64)
		c := cell{slice: l.slice}
		for _, i := range l.rows {
			if r.Group != nil {
				groups[r.Group[i]]++
			}
			if !slices.ContainsFunc(gone, func(g Slice) bool {
				return !slices.ContainsFunc(g, func(p Predicate) bool { return r.Codes[p.Factor][i] != Code(p.Level) })
			}) {
				c.n++
				c.k += parts[i]
			}
		}
		if r.Group != nil && len(groups) < leastGroups || c.n < settings.MinimumSupport {
			continue
		}
		for _, m := range groups {
			c.effect += m * m / float64(len(l.rows)) // mates, for the comparison
		}
		out[name] = c
	}
	return out
}

// A tally counts what its twin counts, at first and after any slices are taken
// away.
func TestTallyEqualsItsTwin(t *testing.T) {
	compared, removals := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		settings := DefaultSearch()
		settings.MinimumSupport = rapid.SampledFrom([]float64{1, 4, 12}).Draw(t, "support")
		parts, binary := r.Error, true
		for _, e := range r.Error {
			binary = binary && (e == 0 || e == 1)
		}
		if !binary {
			parts, _ = capped(r.Error)
			for i := range parts {
				parts[i] = math.Round(parts[i]*lossUnits) / lossUnits
			}
		}
		tally := newTally(r.Space, settings, r, parts, binary)
		var gone []Slice
		order := tallyOrder(r)
		check := func() {
			for predicates := 1; predicates <= min(MaxOrder, len(r.Codes)); predicates++ {
				want := naiveCells(r, settings, parts, gone, predicates)
				got := tally.cells(predicates)
				if len(got) != len(want) {
					t.Fatalf("%d predicates: %d cells, want %d", predicates, len(got), len(want))
				}
				var last Slice
				for _, c := range got {
					slice := tally.slice(&c)
					if last != nil && last.compare(slice) >= 0 {
						t.Fatalf("%v stands behind %v", slice, last)
					}
					last = slice
					w, ok := want[fmt.Sprint(slice)]
					if !ok || c.n != w.n || !near(c.k, w.k) {
						t.Fatalf("%v has %v rows and errors %v, want %+v", slice, c.n, c.k, w)
					}
					if r.Group != nil && math.Abs(float64(tally.orders[predicates-1].mates[c.place])-w.effect) > 1e-5*w.effect {
						t.Fatalf("%v has mates %v, want %v", slice, tally.orders[predicates-1].mates[c.place], w.effect)
					}
					compared++
				}
			}
			n, k := 0.0, 0.0
			for at, i := range order {
				if tally.add[at] > 0 {
					n++
					k += parts[i]
				}
			}
			if rate, rows := tally.rate(); rows != n || n > 0 && !near(rate, k/n) {
				t.Fatalf("rate %v of %v, want %v of %v", rate, rows, k/n, n)
			}
		}
		check()
		for range rapid.IntRange(0, 2).Draw(t, "removals") {
			slice := Slice{}
			for f := range r.Codes {
				if rapid.IntRange(0, 2).Draw(t, "in") == 0 {
					slice = append(slice, Predicate{f, rapid.IntRange(0, 1).Draw(t, "level")})
				}
			}
			slice = slice[:min(len(slice), MaxOrder)]
			// Only frequent levels have a place; a search removes no others.
			if len(slice) == 0 || slices.ContainsFunc(slice, func(p Predicate) bool { return !slices.Contains(tally.levels[p.Factor], p.Level) }) {
				continue
			}
			tally.remove(slice)
			gone = append(gone, slice)
			removals++
			check()
		}
	})
	if compared == 0 || removals == 0 {
		t.Errorf("%d cells compared, %d removals", compared, removals)
	}
}

// tallyOrder lists the rows in the order of a tally.
func tallyOrder(r *Rows) []int {
	order := make([]int, len(r.Error))
	for i := range order {
		order[i] = i
	}
	if r.Group != nil {
		slices.SortStableFunc(order, func(a, b int) int { return int(r.Group[a]) - int(r.Group[b]) })
	}
	return order
}
