package loop

import "fmt"

// explain says to a person why a component is there.
func (s *Space) explain(c *Component) string {
	r := c.Reason
	if r == nil {
		return ""
	}
	share := float64(c.Share) / whole
	if r.Value == 0 {
		return fmt.Sprintf("%s is no longer among the failing slices; its share is being handed back and is %s now (%d samples).",
			s.Describe(c.Slice), percent(share), c.Quota)
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
	return sentence
}

func ratio(k, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}
