package loop

import (
	"math"
	"slices"
)

// entanglement is a set of constraints that share factors, directly or through
// what those depend on, with those factors in the order in which they are summed
// over. It depends on the space alone. The hidden class is none of the factors: it
// may have a say in many groups, which are independent but for that.
type entanglement struct {
	factors     []int
	constraints []int
	// class[i][l] is the class of level l of factors[i]: levels that neither a
	// constraint nor a factor that depends on them tells apart are one class.
	// reps[i] has a level of each class.
	class [][]int
	reps  [][]int
	// live[i] lists the constraints with a factor at i or after it, and parents[i]
	// the factors before i on which one at i or after it depends: nothing else of
	// the factors before i matters to those that are left. ends[i] lists
	// the constraints that the factor at i decides.
	live    [][]int
	parents [][]int
	ends    [][]int
	// variant is, by hidden class, which of the group's distributions holds in it,
	// and sample a class of each; nil where the class has no say.
	variant []int
	sample  []int
}

// entangled splits the constraints into groups that have no factor in common.
func (s *Space) entangled() []entanglement {
	root := make([]int, len(s.Factors))
	for f := range root {
		root[f] = f
	}
	find := func(f int) int {
		for root[f] != f {
			root[f] = root[root[f]]
			f = root[f]
		}
		return f
	}
	join := func(a, b int) { // the root of a group is its first factor
		a, b = find(a), find(b)
		root[max(a, b)] = min(a, b)
	}
	involved := make([]bool, len(s.Factors))
	// The ancestors decide whether a factor is present at all, and how likely its
	// levels are.
	var involve func(f int)
	involve = func(f int) {
		if involved[f] {
			return
		}
		involved[f] = true
		for _, parent := range s.parents(f) {
			join(parent, f)
			involve(parent)
		}
	}
	for i := range s.Constraints {
		sets := s.Constraints[i].sets()
		for _, set := range sets {
			join(sets[0].Factor, set.Factor)
			involve(set.Factor)
		}
	}
	var groups []entanglement
	position := make([]int, len(s.Factors))
	for f := range s.Factors {
		if !involved[f] {
			continue
		}
		r := find(f)
		if r == f {
			position[r] = len(groups)
			groups = append(groups, entanglement{})
		}
		groups[position[r]].factors = append(groups[position[r]].factors, f)
	}
	for i := range s.Constraints {
		g := position[find(s.Constraints[i].sets()[0].Factor)]
		groups[g].constraints = append(groups[g].constraints, i)
	}
	for g := range groups {
		groups[g].classify(s)
		groups[g].arrange(s)
		groups[g].follow(s)
		groups[g].vary(s)
	}
	return groups
}

// classify groups the levels of each factor by which sets contain them.
func (g *entanglement) classify(s *Space) {
	signatures := make(map[int][][]byte, len(g.factors))
	for _, f := range g.factors {
		signatures[f] = make([][]byte, len(s.Factors[f].Levels))
	}
	mark := func(set *LevelSet) {
		signature := signatures[set.Factor]
		for l := range signature {
			signature[l] = append(signature[l], '0')
		}
		for _, l := range set.Levels {
			signature[l][len(signature[l])-1] = '1'
		}
	}
	for _, c := range g.constraints {
		for _, set := range s.Constraints[c].sets() {
			mark(&set)
		}
	}
	for _, child := range g.factors {
		if when := s.Factors[child].When; when != nil {
			mark(when)
		}
		if given := s.Factors[child].Given; given != nil && given.Factor != Hidden {
			for l, r := range given.Of {
				signatures[given.Factor][l] = append(signatures[given.Factor][l], byte(r), byte(r>>8))
			}
		}
	}
	for _, f := range g.factors {
		class, reps, known := make([]int, len(s.Factors[f].Levels)), []int(nil), make(map[string]int)
		for l, signature := range signatures[f] {
			c, ok := known[string(signature)]
			if !ok {
				c = len(reps)
				known[string(signature)] = c
				reps = append(reps, l)
			}
			class[l] = c
		}
		g.class, g.reps = append(g.class, class), append(g.reps, reps)
	}
}

// arrange orders the factors such that few of those already summed over matter
// to those that are left: always the factor next that leaves the fewest
// combinations of such, and a factor after those that it depends on. A chain or a star of constraints, however long, then costs next to nothing.
func (g *entanglement) arrange(s *Space) {
	place := make(map[int]int, len(g.factors))
	for i, f := range g.factors {
		place[f] = i
	}
	near := make([][]bool, len(g.factors))
	for i := range near {
		near[i] = make([]bool, len(g.factors))
	}
	for _, c := range g.constraints {
		sets := s.Constraints[c].sets()
		for _, a := range sets {
			for _, b := range sets {
				near[place[a.Factor]][place[b.Factor]] = a.Factor != b.Factor
			}
		}
	}
	for i, f := range g.factors {
		for _, parent := range s.parents(f) {
			j := place[parent]
			near[i][j], near[j][i] = true, true
		}
	}
	// waiting[i] counts i's neighbours that have not been placed.
	waiting, placed := make([]int, len(near)), make([]bool, len(near))
	for i := range near {
		for j := range near {
			if near[i][j] {
				waiting[i]++
			}
		}
	}
	size := func(i int) float64 { return math.Log(float64(len(g.reps[i]) + 1)) }
	ordered := entanglement{constraints: g.constraints}
	for range g.factors {
		best, least := -1, math.Inf(1)
		for i, f := range g.factors {
			if placed[i] || slices.ContainsFunc(s.parents(f), func(parent int) bool { return !placed[place[parent]] }) {
				continue
			}
			cost := 0.0
			if waiting[i] > 0 {
				cost = size(i)
			}
			for j := range near {
				if near[i][j] && placed[j] && waiting[j] == 1 {
					cost -= size(j)
				}
			}
			if cost < least {
				best, least = i, cost
			}
		}
		placed[best] = true
		for j := range near {
			if near[best][j] {
				waiting[j]--
			}
		}
		ordered.factors = append(ordered.factors, g.factors[best])
		ordered.class, ordered.reps = append(ordered.class, g.class[best]), append(ordered.reps, g.reps[best])
	}
	*g = ordered
}

// follow fills in live, parents and ends.
func (g *entanglement) follow(s *Space) {
	depth := make(map[int]int, len(g.factors))
	for i, f := range g.factors {
		depth[f] = i
	}
	g.live, g.parents = make([][]int, len(g.factors)+1), make([][]int, len(g.factors)+1)
	g.ends = make([][]int, len(g.factors))
	for _, c := range g.constraints {
		last := 0
		for _, set := range s.Constraints[c].sets() {
			last = max(last, depth[set.Factor])
		}
		for i := range last + 1 {
			g.live[i] = append(g.live[i], c)
		}
		g.ends[last] = append(g.ends[last], c)
	}
	last := make([]int, len(s.Factors)) // the depth of a factor's last child
	for i, f := range g.factors {
		for _, parent := range s.parents(f) {
			last[parent] = max(last[parent], i)
		}
	}
	for i, f := range g.factors {
		for j := i + 1; j <= last[f]; j++ {
			g.parents[j] = append(g.parents[j], f)
		}
	}
}

// vary fills in variant and sample.
func (g *entanglement) vary(s *Space) {
	var rows [][]int
	for _, f := range g.factors {
		if given := s.Factors[f].Given; given != nil && given.Factor == Hidden {
			rows = append(rows, given.Of)
		}
	}
	if len(rows) == 0 {
		return
	}
	known := make(map[string]int)
	for k := range s.Classes {
		var key []byte
		for _, of := range rows {
			key = append(key, byte(of[k]), byte(of[k]>>8))
		}
		v, ok := known[string(key)]
		if !ok {
			v = len(g.sample)
			known[string(key)] = v
			g.sample = append(g.sample, k)
		}
		g.variant = append(g.variant, v)
	}
}
