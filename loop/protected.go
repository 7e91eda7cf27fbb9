package loop

// Protected is a slice that never gets less than Share of a training mixture,
// whatever the evidence says. What counts is all that the mixture has of the
// slice, so that a slice which the base has enough of gets nothing more.
type Protected struct {
	Slice  Slice   `json:"slice"`
	Share  float64 `json:"share"`
	Reason string  `json:"reason,omitempty"`
}

// maxProtected is the most that all protected slices together may claim: what
// they leave is what can follow the evidence.
const maxProtected = .9

// validateProtected refuses shares that leave no room, and slices that cannot be
// drawn from the target.
func (s *Space) validateProtected() error {
	if len(s.Protected) == 0 {
		return nil
	}
	x, target := s.feasibility(), s.targetMarginals()
	total := 0.0
	for i, p := range s.Protected {
		field := at("protected", i)
		if err := s.ValidateSlice(field+".slice", p.Slice); err != nil {
			return err
		}
		for j, other := range s.Protected[:i] {
			if other.Slice.Equal(p.Slice) {
				return refuse(field+".slice", "%s is protected by protected[%d] already", s.Describe(p.Slice), j).remedy("keep the greater share")
			}
		}
		if !(p.Share > 0 && p.Share < 1) {
			return refuse(field+".share", "%v is not the share of a slice", p.Share).remedy("greater than 0, less than 1")
		}
		if total += p.Share; total > maxProtected+1e-9 {
			return refuse(field+".share", "the protected slices claim %.4g of the mixture; at most %g is allowed", total, maxProtected).
				remedy("protect less, so that something is left to follow the evidence")
		}
		if pin := s.apart(p.Slice); pin != nil {
			return refuse(field+".slice", "%s is never made: the space pins %s", s.Describe(p.Slice), s.Describe(Slice{*pin})).
				remedy("remove the pin, or the protection")
		}
		drawable, err := x.drawable(target, p.Slice)
		if err != nil {
			return err
		}
		if !drawable {
			return refuse(field+".slice", "%s hardly occurs in the target distribution, or the constraints all but forbid it", s.Describe(p.Slice)).
				remedy("protect a slice whose levels have a target share")
		}
	}
	return nil
}
