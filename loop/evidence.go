package loop

import (
	"cmp"
	"slices"
)

// Evidence is what a decision is made from: coded columns, one line per distinct
// (from, version age, source, origin, importance weight, group, scenario codes),
// canonically sorted; beside them what the lines are of, and what making samples
// took. All columns have Len entries.
type Evidence struct {
	// Learned is what From of a line refers to; empty where there is one thing to
	// learn from, of which nothing more is known.
	Learned []Learned
	// Made is what samples took, by slice, in order of slices.
	Made []Made

	// Codes has one column per factor of the space.
	Codes [][]Code
	// From is the position in Learned of what the outcomes are of.
	From []uint8
	// Age is how many sealed versions of the model line ago: 0 is the newest.
	Age    []uint8
	Source []Source
	Origin []Origin
	// Weight is the importance weight π/q of a row of the line, in micro-units: q is
	// what its evaluation set was drawn from. A row drawn from the target has
	// MicroUnits.
	Weight []int64
	// Group numbers the clip, image or patient of which the line's rows are: rows of a
	// group are not independent. 0: every row stands for itself.
	Group []uint32
	// Rows, Failures and Loss are counts and sums over the line's outcomes. A line
	// never has more failures than rows. Where a metric is learned from that has a
	// threshold, a failure is a row that fails it; elsewhere one that was not posted
	// as correct. Loss sums what the metric measured, as it was measured, or else the
	// posted losses, in micro-units; a value beyond ±MaxMeasured counts as that.
	Rows     []int64
	Failures []int64
	Loss     []int64
	// Severity is the sum of how badly each row failed, from 0 to 1, and Squares
	// that of the squares, each row's rounded to micro-units first. Where a metric
	// without a threshold is learned from, it is where the value lies between
	// Learned.Best and Learned.Cap; elsewhere, and everywhere where both are nil, a
	// failure is 1 and all else 0.
	Severity []int64
	Squares  []int64
}

// Made is what the samples of a slice took, for training and evaluation, over
// the rounds of the evidence's window. The empty slice is all that is drawn
// without one.
type Made struct {
	Slice Slice `json:"slice"`
	// Accepted counts samples, Rejected attempts that a gate sent back, and Abandoned
	// samples that were given up after the last of these.
	Accepted  int64 `json:"accepted"`
	Rejected  int64 `json:"rejected"`
	Abandoned int64 `json:"abandoned"`
	// Millis is the milliseconds that generators spent on the accepted ones; 0 where
	// that was not asked for (EvidenceQuery.Timed).
	Millis int64 `json:"millis"`
}

// AddMade counts what samples of a slice took, and keeps Made in order.
func (e *Evidence) AddMade(m Made) {
	at, found := slices.BinarySearchFunc(e.Made, m.Slice, func(a Made, s Slice) int { return a.Slice.compare(s) })
	if !found {
		e.Made = slices.Insert(e.Made, at, m)
		return
	}
	sum := &e.Made[at]
	sum.Accepted += m.Accepted
	sum.Rejected += m.Rejected
	sum.Abandoned += m.Abandoned
	sum.Millis += m.Millis
}

// Len is the number of lines.
func (e *Evidence) Len() int { return len(e.Rows) }

// Line is one line of evidence, for building. Its zero Weight means MicroUnits.
type Line struct {
	Codes    []Code
	From     uint8
	Age      uint8
	Source   Source
	Origin   Origin
	Weight   int64
	Group    uint32
	Rows     int64
	Failures int64
	Loss     int64
	// Severity and Squares count only in evidence that has them.
	Severity int64
	Squares  int64
}

// Append adds a line; Sort puts lines into canonical order.
func (e *Evidence) Append(l Line) {
	if e.Codes == nil {
		e.Codes = make([][]Code, len(l.Codes))
	}
	for f := range e.Codes {
		e.Codes[f] = append(e.Codes[f], l.Codes[f])
	}
	if e.Graded() {
		e.Severity = append(e.Severity, l.Severity)
		e.Squares = append(e.Squares, l.Squares)
	}
	if l.Weight == 0 {
		l.Weight = MicroUnits
	}
	e.From = append(e.From, l.From)
	e.Age = append(e.Age, l.Age)
	e.Source = append(e.Source, l.Source)
	e.Origin = append(e.Origin, l.Origin)
	e.Weight = append(e.Weight, l.Weight)
	e.Group = append(e.Group, l.Group)
	e.Rows = append(e.Rows, l.Rows)
	e.Failures = append(e.Failures, l.Failures)
	e.Loss = append(e.Loss, l.Loss)
}

// Graded reports whether rows fail more or less badly, which Severity says.
func (e *Evidence) Graded() bool { return e.Severity != nil }

// compare orders lines i and j by (from, age, source, origin, weight, group,
// codes).
func (e *Evidence) compare(i, j int) int {
	if d := cmp.Or(
		cmp.Compare(e.From[i], e.From[j]),
		cmp.Compare(e.Age[i], e.Age[j]),
		cmp.Compare(e.Source[i], e.Source[j]),
		cmp.Compare(e.Origin[i], e.Origin[j]),
		cmp.Compare(e.Weight[i], e.Weight[j]),
		cmp.Compare(e.Group[i], e.Group[j]),
	); d != 0 {
		return d
	}
	for _, column := range e.Codes {
		if d := cmp.Compare(column[i], column[j]); d != 0 {
			return d
		}
	}
	return 0
}

func (e *Evidence) line(i int) Line {
	codes := make([]Code, len(e.Codes))
	for f := range codes {
		codes[f] = e.Codes[f][i]
	}
	l := Line{Codes: codes, From: e.From[i], Age: e.Age[i], Source: e.Source[i], Origin: e.Origin[i],
		Weight: e.Weight[i], Group: e.Group[i], Rows: e.Rows[i], Failures: e.Failures[i], Loss: e.Loss[i]}
	if e.Graded() {
		l.Severity, l.Squares = e.Severity[i], e.Squares[i]
	}
	return l
}

// Bounds of evidence. maxEvidenceRows is of all lines together, so that no sum of
// rows or losses can overflow.
const (
	maxEvidenceRows   = 1 << 40
	maxEvidenceWeight = 1e6 * MicroUnits
	MaxLearned        = 64
	maxMade           = 1 << 16
	// MaxMeasured bounds a measured value, so that 9 million of them sum without
	// overflow.
	MaxMeasured = 1e6
)

// Validate refuses evidence that contradicts itself or does not fit the space:
// more failures than rows, a negative count, an unknown level, lines out of
// canonical order.
func (e *Evidence) Validate(s *Space) error {
	n := e.Len()
	if n > 0 && len(e.Codes) != len(s.Factors) {
		return refuse("evidence", "%d factors; space %q has %d", len(e.Codes), s.Name, len(s.Factors))
	}
	lengths := []int{len(e.From), len(e.Age), len(e.Source), len(e.Origin), len(e.Weight), len(e.Group), len(e.Failures), len(e.Loss)}
	if e.Graded() || e.Squares != nil {
		lengths = append(lengths, len(e.Severity), len(e.Squares))
	}
	for _, column := range e.Codes {
		lengths = append(lengths, len(column))
	}
	for _, length := range lengths {
		if length != n {
			return refuse("evidence", "columns of %d and %d lines", n, length)
		}
	}
	for f, column := range e.Codes {
		for i, code := range column {
			if code.IsLevel() && int(code) >= len(s.Factors[f].Levels) {
				return refuse(at("evidence", i), "factor %q has no level %d", s.Factors[f].Name, code)
			}
		}
	}
	if err := e.validateLearned(); err != nil {
		return err
	}
	if err := e.validateMade(s); err != nil {
		return err
	}
	total := int64(0)
	for i := range n {
		if err := e.validateLine(i); err != nil {
			return err
		}
		if total += e.Rows[i]; total > maxEvidenceRows {
			return refuse("evidence", "more than %d rows", int64(maxEvidenceRows))
		}
	}
	return nil
}

func (e *Evidence) validateLine(i int) error {
	switch {
	case int(e.From[i]) >= max(1, len(e.Learned)):
		return refuse(at("evidence", i)+".from", "number %d of %d that are learned from", e.From[i], max(1, len(e.Learned)))
	case e.Rows[i] < 1 || e.Rows[i] > maxEvidenceRows:
		return refuse(at("evidence", i)+".rows", "%d is not a number of rows", e.Rows[i])
	case e.Failures[i] < 0 || e.Failures[i] > e.Rows[i]:
		return refuse(at("evidence", i)+".failures", "%d failures of %d rows", e.Failures[i], e.Rows[i])
	case e.Weight[i] < 1 || e.Weight[i] > maxEvidenceWeight:
		return refuse(at("evidence", i)+".weight", "%d micro-units is not an importance weight", e.Weight[i]).remedy("1 to %d", int64(maxEvidenceWeight))
	case e.Source[i] != SourceTarget && e.Source[i] != SourceMixture && e.Source[i] != SourceProbe:
		return refuse(at("evidence", i)+".source", "%q is not an evaluation source", e.Source[i]).remedy("target, mixture or probe")
	case e.Origin[i] != Real && e.Origin[i] != Synthetic:
		return refuse(at("evidence", i)+".origin", "%q is not an origin", e.Origin[i]).remedy("real or synthetic")
	case e.Graded() && (e.Severity[i] < 0 || e.Severity[i] > e.Rows[i]*MicroUnits):
		return refuse(at("evidence", i)+".severity", "%d micro-units of %d rows", e.Severity[i], e.Rows[i])
	case e.Graded() && (e.Squares[i] < 0 || e.Squares[i] > e.Severity[i]+e.Rows[i]):
		// A square of a number from 0 to 1 is no larger than the number, but for
		// rounding.
		return refuse(at("evidence", i)+".squares", "%d micro-units, of severities that sum to %d", e.Squares[i], e.Severity[i])
	case i > 0 && e.compare(i-1, i) >= 0:
		return refuse(at("evidence", i), "the lines are not in canonical order").remedy("sort them")
	}
	return nil
}

func (e *Evidence) validateMade(s *Space) error {
	if len(e.Made) > maxMade {
		return refuse("evidence.made", "%d slices; at most %d are allowed", len(e.Made), maxMade)
	}
	for i := range e.Made {
		m, field := &e.Made[i], at("evidence.made", i)
		if err := s.validatePredicates(field+".slice", m.Slice); err != nil {
			return err
		}
		for _, n := range []int64{m.Accepted, m.Rejected, m.Abandoned, m.Millis} {
			if n < 0 || n > maxEvidenceRows {
				return refuse(field, "%d is not a count", n)
			}
		}
		if i > 0 && e.Made[i-1].Slice.compare(m.Slice) >= 0 {
			return refuse(field, "the slices are not in order, each once").remedy("sort them")
		}
	}
	return nil
}

// TotalRows sums the rows of all lines.
func (e *Evidence) TotalRows() int64 {
	n := int64(0)
	for _, rows := range e.Rows {
		n += rows
	}
	return n
}
