package loop

// Proportion is a failure rate, and how many independent rows it is worth.
type Proportion struct {
	Rate, Effective float64
}

// InDeployment is the failure rate in a slice that one version has in deployment:
// by the position of what is learned from, and the version's age; the empty slice
// is everything. Rows of one group count as one: whatever they share, that is not
// too many.
func (e *Evidence) InDeployment(slice Slice, from, age uint8) Proportion {
	of, discount := e.strata(1, int(age)+1)
	strata := make([]stratum, len(discount))
	type cluster struct {
		stratum uint16
		group   uint32
	}
	sizes := make(map[cluster]float64)
	for i := range e.Len() {
		if e.From[i] != from || e.Age[i] != age || !matchesLine(e, slice, i) {
			continue
		}
		weight, fails, squares := e.weigh(i)
		if e.Group[i] != 0 {
			// (m+w)² - m² for each line more: lines come in their order, and the map is
			// only looked up.
			c := cluster{of[i], e.Group[i]}
			squares = weight * (2*sizes[c] + weight)
			sizes[c] += weight
		}
		strata[of[i]].add(weight, fails, squares)
	}
	n, k := pool(strata, discount)
	if n == 0 {
		return Proportion{}
	}
	return Proportion{Rate: k / n, Effective: n}
}
