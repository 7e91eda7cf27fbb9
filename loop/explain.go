package loop

import "fmt"

// explain says to a person why a component is there.
func (s *Space) explain(c *Component) string {
	r := c.Reason
	if r == nil {
		return ""
	}
	share := float64(c.Share) / whole
	switch {
	case r.Value == 0 && r.Pin != nil:
		return fmt.Sprintf("%s The component gets %d samples.", s.explainPin(c.Slice, r.Pin), c.Quota)
	case r.Value == 0 && r.Protected > 0:
		return fmt.Sprintf("%s A component of its own gets %s of the round: %d samples.", s.explainProtection(c.Slice, r.Protected), percent(share), c.Quota)
	case r.Value == 0:
		once := "among the failing slices"
		if r.Asked {
			once = "protected or pinned"
		}
		return fmt.Sprintf("%s is no longer %s; its share is being handed back and is %s now (%d samples).",
			s.Describe(c.Slice), once, percent(share), c.Quota)
	}
	sentence := fmt.Sprintf("%s fails %s of the time (%d of %d rows, 95%% interval %s to %s), %.1f times the rate in deployment. It is %s of deployment and gets %s of the round: %d samples.",
		s.Describe(c.Slice), percent(ratio(r.Failures, r.Rows)), r.Failures, r.Rows, percent(r.Lower), percent(r.Upper),
		r.Lift, percent(r.Prevalence), percent(share), c.Quota)
	if r.Risk != 1 {
		sentence += fmt.Sprintf(" Its risk weight is %g.", r.Risk)
	}
	if r.Damping < 1 {
		sentence += fmt.Sprintf(" Its share is damped to %s, as earlier samples of it have not helped.", percent(r.Damping))
	}
	if r.Pin != nil {
		sentence += " " + s.explainPin(c.Slice, r.Pin)
	}
	if r.Protected > 0 {
		sentence += " " + s.explainProtection(c.Slice, r.Protected)
	}
	return sentence
}

// explainPin says who has pinned a slice, and why.
func (s *Space) explainPin(slice Slice, pin *Override) string {
	return fmt.Sprintf("%s is pinned at %s%s: whatever the evidence says, a component of its own has that much of the mixture.",
		s.Describe(slice), percent(pin.Share), pin.because())
}

// explainProtection says that a slice is protected, and why.
func (s *Space) explainProtection(slice Slice, share float64) string {
	why := ""
	for _, p := range s.Protected {
		if p.Slice.Equal(slice) && p.Reason != "" {
			why = " (" + p.Reason + ")"
		}
	}
	return fmt.Sprintf("%s is protected%s: whatever the evidence says, no mixture has less than %s of it.", s.Describe(slice), why, percent(share))
}

func ratio(k, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}
