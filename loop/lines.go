package loop

// Executor runs do(0) to do(n-1), in any order and any number at once, and
// returns when all have returned. Nil runs one after the other. What a search
// finds does not depend on it.
type Executor func(n int, do func(i int))

func (x Executor) run(n int, do func(i int)) {
	if x == nil || n < 2 {
		for i := range n {
			do(i)
		}
		return
	}
	x(n, do)
}

// lines are what a tally counts: columns of equal length, in which each line is
// one row or many that are alike.
type lines struct {
	// codes has a column per factor. What is not a level is unknown there: such a
	// line counts in no slice with that factor.
	codes [][]Code
	// rows of each line; nil: one each. A line of none counts nowhere.
	rows []int64
	// weight of each row of a line, above 0, against those of its stratum; nil: 1.
	weight []float64
	// errors sums how badly each row of the line failed, from 0 to 1, and squares
	// the squares of that. Nil squares: a row failed or it did not.
	errors  []float64
	squares []float64
	// group of a line's rows, which are not independent; 0: each stands for itself.
	// Nil where all do.
	group []uint32
	// stratum of each line, and the discount of each stratum; nil: one, of discount 1.
	stratum  []uint16
	discount []float64
}

// lines are those of the evidence: strata by age, source and origin, discounted
// by memory^age.
func (e *Evidence) lines(memory float64, window int) *lines {
	l := &lines{codes: e.Codes, rows: make([]int64, e.Len()), weight: make([]float64, e.Len()), errors: make([]float64, e.Len())}
	l.stratum, l.discount = e.strata(memory, window)
	if e.Graded() {
		l.squares = make([]float64, e.Len())
	}
	for i := range e.Len() {
		l.weight[i] = float64(e.Weight[i]) / MicroUnits
		if l.discount[l.stratum[i]] <= 0 {
			continue
		}
		if e.Group[i] != 0 {
			l.group = e.Group
		}
		l.rows[i], l.errors[i] = e.Rows[i], float64(e.Failures[i])
		// A row that fails more or less badly counts as its severity.
		if e.Graded() {
			l.errors[i] = float64(e.Severity[i]) / MicroUnits
			l.squares[i] = min(l.errors[i], float64(e.Squares[i])/MicroUnits)
		}
	}
	return l
}

// line is how many rows a line has, and the weight of each.
func (l *lines) line(i int) (rows, weight float64) {
	rows, weight = 1, 1
	if l.rows != nil {
		rows = float64(l.rows[i])
	}
	if l.weight != nil {
		weight = l.weight[i]
	}
	return rows, weight
}

// of is a line's stratum.
func (l *lines) of(i int) int {
	if l.stratum == nil {
		return 0
	}
	return int(l.stratum[i])
}
