package loop

import (
	"math"
	"testing"
)

func TestExplain(t *testing.T) {
	s := shapes()
	c := Component{Slice: s.slice(t, "background", "metal", "light", "low"), Share: whole / 8, Quota: 188, Reason: &Reason{
		Rows: 120, Failures: 84, Lower: .613, Upper: .775, Lift: 12.34, Prevalence: .02002, Risk: 1, Damping: 1, Value: .2}}
	const plain = "background=metal ∧ light=low fails 70% of the time (84 of 120 rows, 95% interval 61% to 78%), 12.3 times the rate in deployment. It is 2.0% of deployment and gets 12% of the round: 188 samples."
	for name, test := range map[string]struct {
		change func(r *Reason)
		want   string
	}{
		"plain":  {func(*Reason) {}, plain},
		"risk":   {func(r *Reason) { r.Risk = 2.5 }, plain + " Its risk weight is 2.5."},
		"damped": {func(r *Reason) { r.Damping = .5 }, plain + " Its share is damped to 50%, as earlier samples of it have not helped."},
		"former": {func(r *Reason) { r.Value = 0 }, "background=metal ∧ light=low is no longer among the failing slices; its share is being handed back and is 12% now (188 samples)."},
	} {
		changed, reason := c, *c.Reason
		changed.Reason = &reason
		test.change(&reason)
		if got := s.explain(&changed); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	if got := s.explain(&Component{}); got != "" {
		t.Errorf("the base is explained by %q", got)
	}
}

// The interval is Wilson's, and never leaves [0, 1].
func TestWilson(t *testing.T) {
	for _, test := range []struct{ k, n, lower, upper float64 }{
		{1, 10, .0179, .4042}, {5, 10, .2366, .7634}, {0, 10, 0, .2775}, {10, 10, .7225, 1}, {81, 263, .2553, .3662}, {0, 0, 0, 1},
	} {
		lower, upper := wilson(test.k, test.n)
		if math.Abs(lower-test.lower) > 5e-5 || math.Abs(upper-test.upper) > 5e-5 || lower < 0 || upper > 1 {
			t.Errorf("%v of %v: %v to %v, want %v to %v", test.k, test.n, lower, upper, test.lower, test.upper)
		}
	}
}
