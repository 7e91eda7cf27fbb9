package loop

// mixed is what of a tree over a space depends on the hidden class.
type mixed struct {
	// factors depend on it, ascending; in says so of every factor, nil if there are
	// none.
	factors []int
	in      []bool
	// classes are those with mass, and shares theirs.
	classes []int
	shares  []float64
}

func (s *Space) mixed(marginals []Marginal) mixed {
	var x mixed
	for f := range s.Factors {
		if s.given(f) == s.hidden() && len(marginals[f]) > s.width(f) {
			x.factors = append(x.factors, f)
		}
	}
	if len(x.factors) == 0 {
		return x
	}
	x.in = make([]bool, len(s.Factors))
	for _, f := range x.factors {
		x.in[f] = true
	}
	for k := range s.Classes {
		if share := marginals[s.hidden()].share(k); share > 0 {
			x.classes, x.shares = append(x.classes, k), append(x.shares, share)
		}
	}
	return x
}

func (x *mixed) has(f int) bool { return x.in != nil && x.in[f] }

// density sums, over the classes, the probability of the class and of the codes
// of the factors that depend on it.
func (x *mixed) density(s *Space, marginals []Marginal, codes []Code) float64 {
	type column struct {
		of     []int
		shares []float64 // of the code, by row
	}
	var columns []column
	for _, f := range x.factors {
		if !codes[f].IsLevel() {
			continue
		}
		levels, g := s.width(f), s.Factors[f].Given
		c := column{of: g.Of, shares: make([]float64, len(g.Rows))}
		for r := range c.shares {
			c.shares[r] = marginals[f].row(r, levels).share(int(codes[f]))
		}
		columns = append(columns, c)
	}
	total := 0.0
	for i, k := range x.classes {
		p := x.shares[i]
		for j := range columns {
			if p *= columns[j].shares[columns[j].of[k]]; p == 0 {
				break
			}
		}
		total += float64(p)
	}
	return total
}
