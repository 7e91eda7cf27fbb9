package loop

// Evidence is what a decision is made from: coded columns, one line per
// distinct (scenario codes, version age, source, origin), canonically sorted.
// All columns have Len entries.
type Evidence struct {
	// Codes has one column per factor of the space.
	Codes [][]Code
	// Age is how many sealed versions of the model line ago: 0 is the newest.
	Age    []uint8
	Source []Source
	Origin []Origin
	// Rows, Groups, Failures and Loss are counts and sums over the line's
	// outcomes; Loss is in micro-units. A line never has more failures than rows.
	Rows     []int64
	Groups   []int64
	Failures []int64
	Loss     []int64
}

// Len is the number of lines.
func (e *Evidence) Len() int { return len(e.Rows) }

// Line is one line of evidence, for building.
type Line struct {
	Codes    []Code
	Age      uint8
	Source   Source
	Origin   Origin
	Rows     int64
	Groups   int64
	Failures int64
	Loss     int64
}

// Append adds a line; Sort puts lines into canonical order.
func (e *Evidence) Append(l Line) {
	if e.Codes == nil {
		e.Codes = make([][]Code, len(l.Codes))
	}
	for f := range e.Codes {
		e.Codes[f] = append(e.Codes[f], l.Codes[f])
	}
	e.Age = append(e.Age, l.Age)
	e.Source = append(e.Source, l.Source)
	e.Origin = append(e.Origin, l.Origin)
	e.Rows = append(e.Rows, l.Rows)
	e.Groups = append(e.Groups, l.Groups)
	e.Failures = append(e.Failures, l.Failures)
	e.Loss = append(e.Loss, l.Loss)
}
