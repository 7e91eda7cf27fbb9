package shapes

import "slices"

// ExamSeed is added to the arms' seed for their exam. Campaigns of one seed make
// the same samples under the same names, and an exam must not repeat what a
// decision was made from.
const ExamSeed = 1 << 32

// Exam is a frozen set of pictures by which learners are compared. Its
// component 0 is drawn from the target distribution, and each other component
// from one slice.
type Exam struct {
	pictures   []Picture
	classes    []uint8
	components []int
}

// Add adds a picture of a component.
func (e *Exam) Add(component int, picture *Picture, class int) {
	e.pictures = append(e.pictures, *picture)
	e.classes = append(e.classes, uint8(class))
	e.components = append(e.components, component)
}

// Len is the number of pictures.
func (e *Exam) Len() int { return len(e.pictures) }

// Take has a learner judge every picture, in the order in which they were
// added, and scores it.
func (e *Exam) Take(l *Learner) ([]Judgement, Score) {
	judgements := l.Evaluate(e.pictures, e.classes)
	var correct, total []float64
	for i, c := range e.components {
		for len(total) <= c {
			correct, total = append(correct, 0), append(total, 0)
		}
		total[c]++
		if judgements[i].Correct {
			correct[c]++
		}
	}
	s := Score{Samples: l.Len()}
	for c := range total {
		accuracy := 0.0
		if total[c] > 0 {
			accuracy = correct[c] / total[c]
		}
		if c == 0 {
			s.Mean = accuracy
		} else {
			s.Slices = append(s.Slices, accuracy)
		}
	}
	return judgements, s
}

// Score is a learner's result in an exam, after so many training samples:
// accuracies between 0 and 1.
type Score struct {
	Samples int `json:"samples"`
	// Mean is of the target distribution, Slices of the exam's slices in order.
	Mean   float64   `json:"mean"`
	Slices []float64 `json:"slices"`
}

// Worst is the accuracy of the worst slice, or the mean where there are none.
func (s Score) Worst() float64 {
	if len(s.Slices) == 0 {
		return s.Mean
	}
	return slices.Min(s.Slices)
}

// SamplesTo is the number of training samples after which the worst slice first
// was at least as accurate as asked; false where it never was.
func SamplesTo(scores []Score, worst float64) (int, bool) {
	for _, s := range scores {
		if s.Worst() >= worst {
			return s.Samples, true
		}
	}
	return 0, false
}
