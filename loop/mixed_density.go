package loop

// columns are the shares of some scenarios' codes in the factors that depend on the
// class, by row: those of a factor begin at first, and each row has one of every
// scenario.
func (p *part) columns(scenarios [][]Code) (shares []float64, first []int) {
	rows := 0
	first = make([]int, len(p.mixed.factors))
	for j, f := range p.mixed.factors {
		first[j] = rows
		rows += len(p.space.Factors[f].Given.Rows)
	}
	shares = make([]float64, 0, rows*len(scenarios))
	for _, f := range p.mixed.factors {
		levels := p.space.width(f)
		for r := range p.space.Factors[f].Given.Rows {
			row := p.marginals[f].row(r, levels)
			for _, codes := range scenarios {
				share := 1.
				if codes[f].IsLevel() {
					share = row.share(int(codes[f]))
				}
				shares = append(shares, share)
			}
		}
	}
	return shares, first
}

// mixedDensity sums, over the classes, the probability of the class and of the codes
// of the factors that depend on it. What classes have in common is multiplied
// once; where that is 0, as in most cells of a joint table, they are passed over.
func (p *part) mixedDensity(codes []Code) density {
	x, width := p.mixed, len(p.mixed.factors)
	shares, first := p.columns([][]Code{codes})
	product := make([]density, width+1) // of the columns before each
	product[0].of = 1
	total, known := density{}, 0
	for i := 0; i < len(p.classes); {
		if known = min(known, x.same[i]); p.classes[i] == 0 {
			i++
			continue
		}
		rows := x.rows[i*width : (i+1)*width]
		for ; known < width && product[known].of > 0; known++ {
			product[known+1] = product[known].times(shares[first[known]+int(rows[known])])
		}
		if product[known].of == 0 {
			i = int(x.beyond[i*width+known-1])
			continue
		}
		total = total.plus(product[width].times(p.classes[i]))
		i++
	}
	return total
}

const (
	// mixedAtOnce is how many scenarios mixedDensities takes through the classes
	// together: what it works on stays in the nearest cache.
	mixedAtOnce = 64
	// mostPlain is of how many shares, none of which is below 2^-32, a product surely
	// is a number.
	mostPlain = 24
)

// mixedDensities are the mixed densities of many scenarios, to the bit those that
// mixedDensity has, several times as fast: each class's rows are looked up once for
// all.
func (p *part) mixedDensities(scenarios [][]Code) []density {
	x, width, out := p.mixed, len(p.mixed.factors), make([]density, 0, len(scenarios))
	if width > mostPlain {
		for _, codes := range scenarios {
			out = append(out, p.mixedDensity(codes))
		}
		return out
	}
	products, total := make([]float64, (width+1)*mixedAtOnce), make([]float64, mixedAtOnce)
	for len(scenarios) > 0 {
		n := min(mixedAtOnce, len(scenarios))
		shares, first := p.columns(scenarios[:n])
		column := func(j, row int) []float64 { return shares[(first[j]+row)*n:][:n] }
		product := func(j int) []float64 { return products[j*n:][:n] } // of the columns before each
		for at := range n {
			products[at], total[at] = 1, 0
		}
		known := 0
		for i, share := range p.classes {
			if known = min(known, x.same[i]); share == 0 {
				continue
			}
			rows := x.rows[i*width : (i+1)*width]
			for ; known < width-1; known++ {
				multiply(product(known+1), product(known), column(known, int(rows[known])))
			}
			accumulate(total[:n], share, product(known), column(known, int(rows[known])))
		}
		for _, of := range total[:n] {
			out = append(out, density{of: of})
		}
		scenarios = scenarios[n:]
	}
	return out
}

func multiply(products, a, b []float64) {
	a, b = a[:len(products)], b[:len(products)]
	for i := range products {
		products[i] = a[i] * b[i]
	}
}

// accumulate adds share·a·b, unfused.
func accumulate(totals []float64, share float64, a, b []float64) {
	a, b = a[:len(totals)], b[:len(totals)]
	for i := range totals {
		totals[i] += float64(share * float64(a[i]*b[i]))
	}
}

// densities are those of many scenarios.
func (p *part) densities(scenarios [][]Code) []density {
	out := make([]density, len(scenarios))
	if p.classes == nil || len(p.rows) > 0 {
		for i, codes := range scenarios {
			out[i] = p.density(codes)
		}
		return out
	}
	// Of scenarios that are alike in the factors that depend on the class one will do.
	var alike [][]Code
	which, known := make([]int, len(scenarios)), make(map[string]int)
	var key []byte
	for i, codes := range scenarios {
		if out[i] = p.apart(codes); out[i].of == 0 {
			continue
		}
		key = key[:0]
		for _, f := range p.mixed.factors {
			key = append(key, byte(codes[f]), byte(codes[f]>>8))
		}
		at, ok := known[string(key)]
		if !ok {
			at = len(alike)
			known[string(key)] = at
			alike = append(alike, codes)
		}
		which[i] = at
	}
	mixed := p.mixedDensities(alike)
	for i := range out {
		if out[i].of > 0 {
			out[i] = out[i].by(mixed[which[i]])
		}
	}
	return out
}
