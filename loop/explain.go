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
	case r.Value == 0 && r.Until > 0:
		return fmt.Sprintf("%s is in quarantine until round %d; a trickle of %d samples shows by then whether it has become learnable.",
			s.Describe(c.Slice), r.Until, c.Quota)
	case r.Value == 0:
		once := "among the failing slices"
		if r.Asked {
			once = "protected or pinned"
		}
		return fmt.Sprintf("%s is no longer %s; its share is being handed back and is %s now (%d samples).",
			s.Describe(c.Slice), once, percent(share), c.Quota)
	}
	worth := ""
	if r.Effective < .95*float64(r.Rows) {
		worth = fmt.Sprintf(", worth %.0f of deployment", r.Effective)
	}
	sentence := fmt.Sprintf("%s fails %s of the time (%d of %d rows%s, 95%% interval %s to %s), %.1f times the rate in deployment.",
		s.Describe(c.Slice), percent(r.Measured), r.Failures, r.Rows, worth, percent(r.Lower), percent(r.Upper), r.Lift)
	switch {
	case r.Graded != nil && r.Rows == 0:
		sentence = fmt.Sprintf("%s had a mean severity of %s in versions before the newest, which has no rows of it: %.1f times that in deployment; %s.",
			s.Describe(c.Slice), percent(r.Rate), r.Lift, r.Graded)
	case r.Graded != nil:
		sentence = fmt.Sprintf("%s has a mean severity of %s (%d rows%s, 95%% interval %s to %s), %.1f times that in deployment; %s.",
			s.Describe(c.Slice), percent(r.Measured), r.Rows, worth, percent(r.Lower), percent(r.Upper), r.Lift, r.Graded)
		if r.Failures > 0 {
			sentence += fmt.Sprintf(" %d of the rows were posted as failures.", r.Failures)
		}
	case r.Rows == 0:
		sentence = fmt.Sprintf("%s failed %s of the time in versions before the newest, which has no rows of it: %.1f times the rate in deployment.",
			s.Describe(c.Slice), percent(r.Rate), r.Lift)
	}
	if r.Loss != nil {
		sentence += fmt.Sprintf(" It has %s, against %s in deployment.", r.Loss.text(r.Loss.Slice), r.Loss.text(r.Loss.Deployment))
	}
	if len(r.LearnedFrom) > 0 {
		sentence += fmt.Sprintf(" So %s %s.", map[bool]string{true: "say", false: "says"}[len(r.LearnedFrom) > 1], join(r.LearnedFrom))
	}
	if r.Since > 0 && r.Rows > 0 {
		failed := "failed"
		if r.Graded != nil {
			failed = "had"
		}
		sentence += fmt.Sprintf(" It %s %s when first boosted in round %d.", failed, percent(max(0, r.Measured+r.Progress)), r.Since)
	}
	sentence += fmt.Sprintf(" It is %s of deployment and gets %s of the round: %d samples.", percent(r.Prevalence), percent(share), c.Quota)
	if r.Capped {
		sentence += " It is worth more than the most that one slice may have."
	}
	if r.Cost > 1.1 || r.Cost > 0 && r.Cost < 1/1.1 {
		sentence += fmt.Sprintf(" A sample of it costs %.1f times as much as one of the base.", r.Cost)
	}
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

// String says what the ends of the scale are: "0% is 0 mm, and 100% 40 mm or worse".
func (g *Grade) String() string {
	of := Learned{Unit: g.Unit, Best: g.Best, Cap: g.Cap}
	return fmt.Sprintf("0%% is %s, and 100%% %s or worse", of.Measure(0), of.Measure(1))
}

// text is a mean in the metric's unit.
func (l *Loss) text(mean float64) string {
	text := fmt.Sprintf("%.3g %s", mean, l.Unit)
	if l.Metric != "" {
		text = l.Metric + " " + text
	}
	return text
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

func ratio[T int64 | float64](k, n T) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}
