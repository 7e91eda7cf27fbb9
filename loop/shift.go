package loop

import "slices"

// ShareChange is how the share of one part of the training mixture moved from one
// round to another; the parts that quota_by makes of a component are one.
type ShareChange struct {
	// Over and Slice name the part.
	Over  Over  `json:"over"`
	Slice Slice `json:"slice,omitempty"`
	// From and To are in 1/2^32; 0 where it is not there.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Shift lists how the training mixture moves from this round to another: the
// parts of the other in its order, then those that it has no more. Parts that keep
// their share are listed too.
func (r *Round) Shift(to *Round) []ShareChange {
	var shift []ShareChange
	find := func(c *Component) *ShareChange {
		at := slices.IndexFunc(shift, func(s ShareChange) bool { return s.Over == c.Over && s.Slice.Equal(c.Slice) })
		if at < 0 {
			at = len(shift)
			shift = append(shift, ShareChange{Over: c.Over, Slice: c.Slice})
		}
		return &shift[at]
	}
	for i := range to.Components {
		if c := &to.Components[i]; c.Domain == Train {
			find(c).To += c.Share
		}
	}
	for i := range r.Components {
		if c := &r.Components[i]; c.Domain == Train {
			find(c).From += c.Share
		}
	}
	return shift
}

// Levels estimates, for each factor and level, its share among the round's
// training samples, from the first of them: about so many in all, of each
// component in proportion to its quota. It is nil for a round that makes none.
func (r *Round) Levels(s *Space, most uint64) ([][]float64, error) {
	total := r.Quota(Train)
	if total == 0 {
		return nil, nil
	}
	sampler, err := NewSampler(s, r)
	if err != nil {
		return nil, err
	}
	levels := make([][]float64, len(s.Factors))
	for f := range levels {
		levels[f] = make([]float64, len(s.Factors[f].Levels))
	}
	for i := range r.Components {
		c := &r.Components[i]
		if c.Domain != Train || c.Quota == 0 {
			continue
		}
		n := min(c.Quota, c.Quota*most/total+1)
		each := float64(c.Quota) / float64(total) / float64(n)
		for index := range n {
			scenario, err := sampler.Scenario(Train, c.Number, index)
			if err != nil {
				return nil, err
			}
			for f, code := range scenario.Codes {
				if int(code) < len(levels[f]) { // neither absent nor unknown
					levels[f][code] += each
				}
			}
		}
	}
	return levels, nil
}
