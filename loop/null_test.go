package loop

import (
	"math"
	"os"
	"testing"
)

// demoEvidence is what the demo's loop decided its last round from (seed 1):
// 3,000 rows each of three model versions, half drawn from the target and half
// from a mixture with its importance weights, one line per row.
func demoEvidence(t testing.TB, s *Space) (rows []Line) {
	t.Helper()
	object, err := os.ReadFile("testdata/demo-evidence.bin")
	if err != nil {
		t.Fatal(err)
	}
	e, err := DecodeEvidence(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(s); err != nil {
		t.Fatal(err)
	}
	for i := range e.Len() {
		l := e.line(i)
		for range l.Rows {
			rows = append(rows, Line{Codes: l.Codes, Age: l.Age, Source: l.Source, Origin: l.Origin, Weight: l.Weight, Group: l.Group, Rows: 1})
		}
	}
	return rows
}

// The null calibration: on the demo's evidence, where failures have nothing to do with the
// scenario, at most one decision in twenty boosts anything.
func TestNullEvidenceBoostsNothing(t *testing.T) {
	s := shapes()
	rows := demoEvidence(t, s)
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
