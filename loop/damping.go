package loop

import (
	"fmt"
	"math"
	"slices"
)

// find returns what is remembered of a slice, or nil.
func (m *Memory) find(slice Slice) *Remembered {
	for i := range m.Slices {
		if m.Slices[i].Slice.Equal(slice) {
			return &m.Slices[i]
		}
	}
	return nil
}

// judge looks at every slice that has been given samples of its own since it
// was last judged, and compares its failure rate on the newest model version
// with its anchor, the evidence on which it was first boosted. The anchor is
// never moved: a slow learner whose anchor followed it would never show
// progress. Only a slice's own samples count: those that merely match a broad
// slice were made for its children, and would convict it of their failure.
func (m *Memory) judge(s *Space, settings Damping, e *Evidence) {
	for i := range m.Slices {
		r := &m.Slices[i]
		if r.Quarantined || r.AnchorRows == 0 || r.Samples < settings.Samples || r.Samples == r.Judged {
			continue
		}
		var rows, failures float64
		for line := range e.Len() {
			if e.Age[line] == 0 && matchesLine(e, r.Slice, line) {
				rows += float64(e.Rows[line])
				failures += float64(e.Failures[line])
			}
		}
		if rows < settings.Rows {
			continue
		}
		r.Judged = r.Samples
		before, now := r.AnchorFailures/r.AnchorRows, failures/rows
		deviation := math.Sqrt(before*(1-before)/r.AnchorRows + now*(1-now)/rows)
		r.Sentence = ""
		if before-now > settings.Errors*deviation && before-now > settings.Progress {
			r.Damping = min(1, 2*r.Damping)
			continue
		}
		r.Damping = max(settings.Least, r.Damping/2)
		r.Sentence = fmt.Sprintf("%s failed %s when first boosted in round %d and fails %s now, after %d samples of its own: its share is damped to %s.",
			s.Describe(r.Slice), percent(before), r.Round, percent(now), r.Samples, percent(r.Damping))
		if r.Damping <= settings.Quarantine {
			r.Quarantined = true
			r.Sentence = fmt.Sprintf("%s failed %s when first boosted in round %d and fails %s now, after %d samples of its own: it is quarantined. Check its labels and how it is made; more of it does not help.",
				s.Describe(r.Slice), percent(before), r.Round, percent(now), r.Samples)
		}
	}
}

func matchesLine(e *Evidence, slice Slice, line int) bool {
	for _, p := range slice {
		if e.Codes[p.Factor][line] != Code(p.Level) {
			return false
		}
	}
	return true
}

// remember notes that a slice was given samples in a round.
func (m *Memory) remember(c *cell, round int, samples uint64) {
	if r := m.find(c.slice); r != nil {
		r.Samples += samples
		return
	}
	if c.n == 0 {
		return // protected, and never yet among the failing ones
	}
	m.Slices = append(m.Slices, Remembered{Slice: c.slice, Round: round,
		AnchorRows: c.n, AnchorFailures: c.k, Samples: samples, Damping: 1})
	slices.SortFunc(m.Slices, func(a, b Remembered) int { return a.Slice.compare(b.Slice) })
}

// clone copies the memory, so that a decision never changes the round before, but
// for scores: a strategy reads its own there and leaves new ones.
func (m *Memory) clone() Memory { return Memory{Slices: slices.Clone(m.Slices)} }

// percent writes a fraction as a person reads it.
func percent(x float64) string {
	switch p := 100 * x; {
	case p == 0 || p >= 9.95:
		return fmt.Sprintf("%.0f%%", p)
	case p >= .1:
		return fmt.Sprintf("%.1f%%", p)
	default:
		return fmt.Sprintf("%.2g%%", p)
	}
}
