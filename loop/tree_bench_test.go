package loop

import (
	"fmt"
	"testing"
	"time"
)

// woven is a space of 20 factors of 20 levels, under constraints between
// neighbours and each next factor given the one before, or all but a few given
// one of so many hidden classes.
func woven(classes int) *Space {
	s := chained(20, 20, func(i int) (int, int) { return i, i + 1 })
	s.Constraints = s.Constraints[:20]
	shares := func(seed uint64, n int) []float64 {
		row, sum := make([]float64, n), 0.0
		for l := range row {
			row[l] = float64(1 + mix(seed+uint64(l))%16)
			sum += row[l]
		}
		for l := range row {
			row[l] /= sum
		}
		return row
	}
	if classes > 0 {
		s.Classes = shares(7, classes)
	}
	for f := 1; f < len(s.Factors); f++ {
		g := &Given{Factor: f - 1}
		rows := 20
		if classes > 0 {
			if f%4 != 1 {
				continue
			}
			g.Factor, rows = Hidden, min(classes, 100)
		}
		for r := range rows {
			g.Rows = append(g.Rows, shares(uint64(1000*f+r), 20))
		}
		for l := range max(20, classes) {
			if g.Factor != Hidden && l == 20 || g.Factor == Hidden && l == classes {
				break
			}
			g.Of = append(g.Of, l%rows)
		}
		s.Factors[f].Given = g
		for l := range s.Factors[f].Levels {
			s.Factors[f].Levels[l].Target = 0
		}
	}
	return s
}

// A space of 1e26 scenarios costs no more than its factors, with given tables and
// with a mixture, too.
func TestWovenSpacesAreCheap(t *testing.T) {
	for _, classes := range []int{0, 10, 1000} {
		s := woven(classes)
		start := time.Now()
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		if _, err := Decide(s, policy(), nil, sized(t, s, 3000, .1, map[string]float64{"f3=l1 f9=l2": .9}), Budget{Campaign: "c", Number: 1, Train: 1500}, 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%d classes: %v", classes, took)
		} else {
			t.Logf("%d classes: %v", classes, took)
		}
	}
}

// BenchmarkDecideWoven: Decide's cost is in proportion to the factors and classes.
func BenchmarkDecideWoven(b *testing.B) {
	for _, classes := range []int{0, 10, 1000} {
		b.Run(fmt.Sprintf("classes=%d", classes), func(b *testing.B) {
			s := woven(classes)
			e := sized(b, s, 3000, .1, map[string]float64{"f3=l1 f9=l2": .9})
			for b.Loop() {
				if _, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
