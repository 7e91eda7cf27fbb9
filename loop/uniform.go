package loop

// uniform draws every level of a factor equally often, whatever the evidence
// says.
type uniform struct{}

func (uniform) floor(*Policy) float64 { return 1 }

func (uniform) want(*decision) (wanted, error) { return wanted{}, nil }
