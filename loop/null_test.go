package loop

import (
	"math"
	"testing"
)

// realistic is the evidence of three sealed versions, of 3,000 rows each, half
// drawn from the target and half from a mixture with two boosts, over the shapes
// space. No slice fails more than the rest.
func realistic(t testing.TB, s *Space) (rows []Line) {
	t.Helper()
	r := vectorRound(s, .2,
		Component{Share: whole / 10 * 7},
		Component{Share: whole / 10 * 2, Slice: s.slice(t, "background", "metal", "light", "low")},
		Component{Share: whole - whole/10*9, Slice: s.slice(t, "background", "checker", "light", "glare", "contrast", "infrared")},
		Component{Domain: Evaluation, Over: OverTarget, Source: SourceTarget, Share: whole},
	)
	for age := range 3 {
		r.Number = 3 - age
		sampler, err := NewSampler(s, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []struct {
			domain Domain
			number int
			rows   uint64
			source Source
		}{{Evaluation, 0, 1500, SourceTarget}, {Train, 0, 1050, SourceMixture}, {Train, 1, 300, SourceMixture}, {Train, 2, 150, SourceMixture}} {
			for i := range part.rows {
				x, err := sampler.Scenario(part.domain, part.number, i)
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, Line{Codes: x.Codes, Age: uint8(age), Source: part.source, Origin: Synthetic, Rows: 1, Groups: 1})
			}
		}
	}
	return rows
}

// Criterion 2's null calibration: where failures have nothing to do with the
// scenario, at most one decision in twenty boosts anything.
func TestNullEvidenceBoostsNothing(t *testing.T) {
	s := shapes()
	rows := realistic(t, s)
	for rate, permutations := range map[float64]int{.06: 200, .25: 40} {
		if testing.Short() {
			permutations /= 5
		}
		boosted, slices := 0, 0
		for n := range permutations {
			// Fisher-Yates: the first rate·len(rows) of a shuffled order fail.
			order := make([]int, len(rows))
			for i := range order {
				j := int(mix(uint64(n)<<32|uint64(i)) % uint64(i+1))
				order[i], order[j] = order[j], i
			}
			e := &Evidence{}
			fails := make([]int64, len(rows))
			for _, i := range order[:int(math.Round(rate*float64(len(rows))))] {
				fails[i] = 1
			}
			for i, l := range rows {
				l.Failures = fails[i]
				e.Append(l)
			}
			e.Sort()
			r, err := Decide(s, policy(), nil, e, Budget{Campaign: "null", Number: 1, Train: 1500}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if found := len(r.Components) - 1; found > 0 {
				boosted++
				slices += found
			}
		}
		t.Logf("failure rate %v: %d of %d decisions boosted %d slices", rate, boosted, permutations, slices)
		if float64(boosted) > .05*float64(permutations) {
			t.Errorf("failure rate %v: %d of %d decisions boosted something", rate, boosted, permutations)
		}
	}
}
