package loop

import "math"

// Evidence of one age, source and origin was drawn by itself, from the target or
// from a mixture, and its importance weights say what deployment has of it. Such a
// stratum estimates the failure rate of a slice in deployment without help of the
// others: a slice that was boosted as a whole has one weight throughout, and loses
// nothing; one that holds a narrower boost counts the boost's rows for as much as
// deployment has of them.

// stratum sums lines: their importance weights, those of failures, and the
// squares of weights.
type stratum struct{ weight, fails, squares float64 }

func (s *stratum) add(weight, fails, squares float64) {
	s.weight += weight
	s.fails += fails
	s.squares += squares
}

// worth is how many independent rows of deployment a stratum is worth at a
// discount: (Σw)²/Σw² (Kish 1965), as many as it has where all weigh the same; and
// how many of them fail.
func (s *stratum) worth(discount float64) (n, k float64) {
	if s.squares <= 0 {
		return 0, 0
	}
	each := discount * (s.weight / s.squares)
	return each * s.weight, each * s.fails
}

// pool adds strata up, by what each is worth. It is n rows, with k failures.
func pool(strata []stratum, discount []float64) (n, k float64) {
	for i := range strata {
		rows, fails := strata[i].worth(discount[i])
		n += rows
		k += fails
	}
	return n, min(k, n)
}

// strata numbers the lines' strata, and gives each the discount memory^age; 0 for
// what is out of the window.
func (e *Evidence) strata(memory float64, window int) (of []uint16, discount []float64) {
	type name struct {
		age    uint8
		source Source
		origin Origin
	}
	var names []name
	of = make([]uint16, e.Len())
	for i := range of {
		is := name{e.Age[i], e.Source[i], e.Origin[i]}
		if int(is.age) >= window {
			is = name{age: math.MaxUint8} // they count alike: not at all
		}
		at := -1
		for j := range names {
			if names[j] == is {
				at = j
			}
		}
		if at < 0 {
			at = len(names)
			names = append(names, is)
			worth := 0.0
			if int(is.age) < window {
				worth = math.Pow(memory, float64(is.age))
			}
			discount = append(discount, worth)
		}
		of[i] = uint16(at)
	}
	return of, discount
}

// weigh is a line's sums. A row that fails more or less badly counts as its
// severity.
func (e *Evidence) weigh(i int) (weight, fails, squares float64) {
	w, rows, failed := float64(e.Weight[i])/MicroUnits, float64(e.Rows[i]), float64(e.Failures[i])
	if e.Graded() {
		failed = float64(e.Severity[i]) / MicroUnits
	}
	return w * rows, w * failed, w * w * rows
}
