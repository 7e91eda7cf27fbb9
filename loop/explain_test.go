package loop

import (
	"math"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	s := shapes()
	c := Component{Slice: s.slice(t, "background", "metal", "light", "low"), Share: whole / 8, Quota: 188, Reason: &Reason{
		Rows: 120, Failures: 84, Effective: 120, Measured: .7, Lower: .613, Upper: .775, Lift: 12.34, Prevalence: .02002, Risk: 1, Damping: 1, Value: .2}}
	const plain = "background=metal ∧ light=low fails 70% of the time (84 of 120 rows, 95% interval 61% to 78%), 12.3 times the rate in deployment. It is 2.0% of deployment and gets 12% of the round: 188 samples."
	for name, test := range map[string]struct {
		change func(r *Reason)
		want   string
	}{
		"plain":  {func(*Reason) {}, plain},
		"risk":   {func(r *Reason) { r.Risk = 2.5 }, plain + " Its risk weight is 2.5."},
		"damped": {func(r *Reason) { r.Damping = .5 }, plain + " Its share is damped to 50%, as earlier samples of it have not helped."},
		"weights": {func(r *Reason) { r.Effective, r.Measured = 63.2, .65 },
			"background=metal ∧ light=low fails 65% of the time (84 of 120 rows, worth 63 of deployment, 95% interval 61% to 78%), 12.3 times the rate in deployment. It is 2.0% of deployment and gets 12% of the round: 188 samples."},
		"metric": {func(r *Reason) { r.Loss = &Loss{Metric: "error", Unit: "mm", Slice: 14.04, Deployment: 6} },
			strings.Replace(plain, "deployment. It is", "deployment. It has error 14 mm, against error 6 mm in deployment. It is", 1)},
		"tasks":    {func(r *Reason) { r.LearnedFrom = []string{"detect", "pose"} }, strings.Replace(plain, "deployment. It is", "deployment. So say detect and pose. It is", 1)},
		"progress": {func(r *Reason) { r.Since, r.Progress = 3, .1 }, strings.Replace(plain, "deployment. It is", "deployment. It failed 80% when first boosted in round 3. It is", 1)},
		"cost":     {func(r *Reason) { r.Cost = 2.13 }, plain + " A sample of it costs 2.1 times as much as one of the base."},
		"graded": {func(r *Reason) { r.Graded = &Grade{Unit: "mm", Cap: 40} },
			"background=metal ∧ light=low has a mean severity of 70% (120 rows, 95% interval 61% to 78%), 12.3 times that in deployment; 0% is 0 mm, and 100% 40 mm or worse. 84 of the rows were posted as failures. It is 2.0% of deployment and gets 12% of the round: 188 samples."},
		"graded, before": {func(r *Reason) {
			r.Graded, r.Rate, r.Rows, r.Failures = &Grade{Best: .9, Cap: .2}, .4, 0, 0
		}, "background=metal ∧ light=low had a mean severity of 40% in versions before the newest, which has no rows of it: 12.3 times that in deployment; 0% is 0.9, and 100% 0.2 or worse. It is 2.0% of deployment and gets 12% of the round: 188 samples."},
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

// The interval of a proportion holds however often one looks: over 40 looks at a
// growing sample, at most one run in twenty ever excludes the truth, where Wilson's
// does in one of five. It contains k/n and never leaves [0, 1].
func TestAlwaysValid(t *testing.T) {
	for _, test := range []struct{ k, n, lower, upper float64 }{
		{10, 20, .19, .81}, {25, 50, .28, .72}, {50, 500, .060, .154}, {0, 0, 0, 1}, {0, 10, 0, .377}, {10, 10, .623, 1}, {2.5, 7.25, .03, .83},
	} {
		lower, upper := alwaysValid(test.k, test.n)
		if math.Abs(lower-test.lower) > .006 || math.Abs(upper-test.upper) > .006 || test.n > 0 && (lower > test.k/test.n || upper < test.k/test.n) {
			t.Errorf("%v of %v: %v to %v, want %v to %v", test.k, test.n, lower, upper, test.lower, test.upper)
		}
	}
	const runs, looks, every = 600, 40, 30
	for _, p := range []float64{.02, .1, .5} {
		missed, fixed := 0, 0
		for run := range uint64(runs) {
			k, out, outFixed := 0, false, false
			for i := range uint64(looks * every) {
				if float64(mix(run<<32|i)>>11)/(1<<53) < p {
					k++
				}
				if n := i + 1; n%every == 0 {
					lower, upper := alwaysValid(float64(k), float64(n))
					out = out || p < lower || p > upper
					lower, upper = wilson(float64(k), float64(n))
					outFixed = outFixed || p < lower || p > upper
				}
			}
			if out {
				missed++
			}
			if outFixed {
				fixed++
			}
		}
		t.Logf("p = %v: %d of %d runs ever exclude it, %d by the fixed interval", p, missed, runs, fixed)
		if missed > runs/20 || fixed < runs/10 {
			t.Errorf("p = %v: %d of %d runs ever exclude it, %d by the fixed interval", p, missed, runs, fixed)
		}
	}
}

// A slice of which the newest version has no rows does not fail "0% of the time".
func TestExplainWithoutNewRows(t *testing.T) {
	c := &Component{Slice: Slice{{Factor: 0, Level: 1}}, Reason: &Reason{Value: 1, Rate: .4, Lift: 4, Risk: 1, Damping: 1, Since: 2, Progress: .4}}
	got := oneFactor(3).explain(c)
	if strings.Contains(got, "of 0 rows") || strings.Contains(got, "0% of the time") && !strings.Contains(got, "40% of the time") || strings.Contains(got, "when first boosted") {
		t.Error(got)
	}
}
