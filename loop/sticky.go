package loop

// stickiness is how consecutive indices of a component share a factor's value.
type stickiness struct {
	// every so many indices, counted from 0, are a block that shares the value.
	every uint32
	// steady: no constraint touches the factor, so a rejected draw keeps the value.
	steady bool
}

// sticky lists the stickiness of every factor, and of the class; nil where none is
// sticky.
func (x *feasibility) sticky() []stickiness {
	var sticky []stickiness
	for node := range x.space.nodes() {
		every := x.space.every(node)
		if every <= 1 {
			continue
		}
		if sticky == nil {
			sticky = make([]stickiness, x.space.nodes())
			for i := range sticky {
				sticky[i].every = 1
			}
		}
		sticky[node] = stickiness{every: uint32(every), steady: true}
	}
	if sticky == nil {
		return nil
	}
	for i := range x.groups {
		for _, f := range x.groups[i].factors {
			sticky[f].steady = false
		}
		if x.groups[i].variant != nil {
			sticky[x.space.hidden()].steady = false
		}
	}
	return sticky
}

// of gives the place in a factor's sequence from which an index takes its value.
// A block takes it from one place for each try, so each index alone is drawn
// from the very density that it would be without; and a block has one value and
// one fraction but where constraints on this factor send its indices to different
// tries.
func (s stickiness) of(index uint32, try uint64) (uint32, uint64) {
	if s.steady {
		try = 0
	}
	return index / s.every, try
}
