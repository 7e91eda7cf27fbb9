package loop

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Known is how much of the newest model version's evidence, of one thing that is
// learned from, has a factor's value, and whether the rest fails differently: a
// slice with that factor counts in known rows only, so that it then says less
// about deployment than it seems to.
type Known struct {
	From   uint8
	Factor int
	// Rows are all rows, and Known those of which the value is known; a factor that
	// is absent is known to be.
	Rows, Known int64
	// Rate is the failure rate, or the mean severity, of the known rows, and Unknown
	// that of the others, both with importance weights; 0 where there are none.
	Rate, Unknown float64
	// P is the two-sided probability of such a difference if there were none: 1 where
	// too little is known, or too little is not, to tell.
	P float64
	// Differs: P is below 1 % even if as many were compared, and Sentence says it.
	Differs  bool
	Sentence string
}

// Bounds of Evidence.Known. A part of fewer independent rows is not compared.
const (
	leastCompared    = 20
	knownDiscoveries = .01
)

// Known compares known with unknown rows, for every thing that is learned from
// and every factor, in that order. It takes about rows·factors steps.
//
// The test is of two proportions, or means: their difference over its standard
// deviation, which is summed, about the rate of both together, over independent
// rows and, where rows have a group, over groups (Liang and Zeger 1986), so that a
// clip in which a factor was not measured counts once.
func (e *Evidence) Known(s *Space) []Known {
	var all []Known
	compared := 0
	for from := range max(1, len(e.Learned)) {
		lines := e.newest(uint8(from))
		if len(lines) == 0 {
			continue
		}
		for f := range s.Factors {
			k := Known{From: uint8(from), Factor: f, P: 1}
			if e.compareKnown(lines, &k) {
				compared++
			}
			all = append(all, k)
		}
	}
	for i := range all {
		k := &all[i]
		if k.Differs = k.P*float64(max(1, compared)) < knownDiscoveries; k.Differs {
			k.Sentence = e.knownSentence(s, k)
		}
	}
	return all
}

// newest lists the lines of the newest version that has any, ordered by group.
func (e *Evidence) newest(from uint8) []int {
	age := math.MaxInt
	for i := range e.Len() {
		if e.From[i] == from {
			age = min(age, int(e.Age[i]))
		}
	}
	var lines []int
	for i := range e.Len() {
		if e.From[i] == from && int(e.Age[i]) == age {
			lines = append(lines, i)
		}
	}
	slices.SortStableFunc(lines, func(a, b int) int { return cmp.Compare(e.Group[a], e.Group[b]) })
	return lines
}

// knownPart are the known or the unknown rows. Its units are independent.
type knownPart struct {
	rows, units   int64
	weight, fails float64
}

// compareKnown fills in all but Differs, and reports whether there was enough to
// compare.
func (e *Evidence) compareKnown(lines []int, k *Known) bool {
	var parts [2]knownPart
	last := [2]uint32{}
	side := func(i int) int {
		if e.Codes[k.Factor][i] == Unknown {
			return 0
		}
		return 1
	}
	for _, i := range lines {
		p, w := &parts[side(i)], float64(e.Weight[i])/MicroUnits
		p.rows += e.Rows[i]
		p.weight += w * float64(e.Rows[i])
		p.fails += w * e.failed(i)
		switch group := e.Group[i]; {
		case group == 0:
			p.units += e.Rows[i]
		case group != last[side(i)]:
			last[side(i)] = group
			p.units++
		}
	}
	unknown, known := &parts[0], &parts[1]
	k.Rows, k.Known = unknown.rows+known.rows, known.rows
	if known.weight > 0 {
		k.Rate = known.fails / known.weight
	}
	if unknown.weight > 0 {
		k.Unknown = unknown.fails / unknown.weight
	}
	if known.units < leastCompared || unknown.units < leastCompared {
		return false
	}
	rate := (unknown.fails + known.fails) / (unknown.weight + known.weight)
	variance, sum := 0.0, 0.0
	for n, i := range lines {
		per := float64(e.Weight[i]) / MicroUnits / known.weight
		if side(i) == 0 {
			per = -float64(e.Weight[i]) / MicroUnits / unknown.weight
		}
		rows := float64(e.Rows[i])
		if e.Group[i] == 0 {
			variance += per * per * max(0, e.squared(i)-2*rate*e.failed(i)+rows*rate*rate)
			continue
		}
		if sum += per * (e.failed(i) - rows*rate); n == len(lines)-1 || e.Group[lines[n+1]] != e.Group[i] {
			variance += sum * sum
			sum = 0
		}
	}
	if variance > 0 {
		k.P = math.Erfc(math.Abs(k.Rate-k.Unknown) / math.Sqrt(2*variance))
	}
	return true
}

// failed and squared sum how badly a line's rows failed, and its square.
func (e *Evidence) failed(line int) float64 {
	if e.Graded() {
		return float64(e.Severity[line]) / MicroUnits
	}
	return float64(e.Failures[line])
}

func (e *Evidence) squared(line int) float64 {
	if e.Graded() {
		return float64(e.Squares[line]) / MicroUnits
	}
	return float64(e.Failures[line])
}

// knownSentence warns of what slices with the factor say.
func (e *Evidence) knownSentence(s *Space, k *Known) string {
	name := s.Factors[k.Factor].Name
	where, rate, unknown := "", percent(k.Rate)+" fail", percent(k.Unknown)+" fail"
	if len(e.Learned) > 0 {
		l := &e.Learned[k.From]
		if len(e.Learned) > 1 {
			where = " of " + l.Describe()
		}
		if l.Graded() {
			rate, unknown = "it is "+l.Measure(k.Rate)+" on average", l.Measure(k.Unknown)
			where = " of " + l.Describe()
		}
	}
	return fmt.Sprintf("%s is known of %s of the rows%s. Of these %s, of the others %s: what slices with %s say does not hold for all.",
		name, percent(ratio(k.Known, k.Rows)), where, rate, unknown, name)
}
