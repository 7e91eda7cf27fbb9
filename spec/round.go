package spec

import "hone/loop"

// Decision is a round as it is shown: the fields of loop.Round, in which slices
// are written by name. It can be decoded from the JSON that it encodes to.
type Decision struct {
	loop.Round
	// Components and Memory stand for the round's own, whose predicates are
	// positions.
	Components []DecidedComponent `json:"components"`
	Memory     DecidedMemory      `json:"memory"`
}

// DecidedComponent is a component with its slice by name.
type DecidedComponent struct {
	loop.Component
	Slice map[string]string `json:"slice,omitempty"`
	By    map[string]string `json:"by,omitempty"`
	// Text is the slice as one reads it, "light=low ∧ glove=yes"; the base is
	// "everything".
	Text string `json:"text"`
	// Fraction is the share as a fraction of its domain's mixture.
	Fraction float64 `json:"fraction"`
}

// DecidedMemory is what damping remembers, with slices by name.
type DecidedMemory struct {
	Slices []DecidedSlice `json:"slices,omitempty"`
}

// DecidedSlice is one remembered slice by name.
type DecidedSlice struct {
	loop.Remembered
	Slice map[string]string `json:"slice"`
	Text  string            `json:"text"`
}

// RoundJSON is the round as JSON shows it: a value to be marshalled, which
// shares what it can with the round. The space must be of the round's version.
func RoundJSON(space *loop.Space, round *loop.Round) *Decision {
	d := &Decision{Round: *round, Components: make([]DecidedComponent, len(round.Components))}
	d.Round.Components, d.Round.Memory = nil, loop.Memory{} // shown by name instead
	for i, c := range round.Components {
		shown := DecidedComponent{Component: c, Slice: Names(space, c.Slice), Text: space.Describe(c.Fixed()),
			Fraction: float64(c.Share) / (1 << 32)}
		if c.By != nil {
			shown.By = Names(space, loop.Slice{*c.By})
		}
		shown.Component.Slice, shown.Component.By = nil, nil
		d.Components[i] = shown
	}
	for _, m := range round.Memory.Slices {
		shown := DecidedSlice{Remembered: m, Slice: Names(space, m.Slice), Text: space.Describe(m.Slice)}
		shown.Remembered.Slice = nil
		d.Memory.Slices = append(d.Memory.Slices, shown)
	}
	return d
}
