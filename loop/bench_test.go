package loop

import "testing"

// BenchmarkDecide is a round of the demo in its steady state: three versions of
// 3,000 evaluation rows, four slices that fail, a previous round to step from.
func BenchmarkDecide(b *testing.B) {
	s := shapes()
	worse := map[string]float64{"background=metal light=low": .7, "occlusion=strong rotation=r225": .6,
		"background=stripes light=day blur=motion": .6, "background=checker light=glare contrast=infrared": .6}
	e := sized(b, s, 9000, .05, worse)
	budget := Budget{Campaign: "c", Number: 1, Train: 1500, Evaluation: EvaluationPlan{Target: 1500, Mixture: 1500}}
	first, err := Decide(s, policy(), nil, e, budget, 1)
	if err != nil {
		b.Fatal(err)
	}
	budget.Number = 2
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := Decide(s, policy(), &first, e, budget, 1); err != nil {
			b.Fatal(err)
		}
	}
}
