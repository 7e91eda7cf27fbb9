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

// joint is a space whose first factors, of ten levels, go together in a table of so
// many cells.
func joint(cells int) *Space {
	s := &Space{Name: "joint", Version: 1}
	for f := range 8 {
		factor := Factor{Name: fmt.Sprintf("f%d", f), Kind: Categorical}
		if f < 5 {
			factor.Given = &Given{Factor: Hidden}
		}
		for l := range 10 {
			level := Level{Name: fmt.Sprintf("l%d", l), Target: .1}
			if f < 5 {
				level.Target = 0
				row := make([]float64, 10)
				row[l] = 1
				factor.Given.Rows = append(factor.Given.Rows, row)
			}
			factor.Levels = append(factor.Levels, level)
		}
		s.Factors = append(s.Factors, factor)
	}
	for k := range uint64(cells) {
		s.Classes = append(s.Classes, 1/float64(cells))
		for f := range uint64(5) {
			g := s.Factors[f].Given
			g.Of = append(g.Of, int(mix(8*k+f)%10))
		}
	}
	s.Constraints = []Constraint{{When: []LevelSet{{0, []int{1}}, {6, []int{2, 3}}}}, {When: []LevelSet{{1, []int{1}}, {2, []int{2, 3}}}},
		{When: []LevelSet{{3, []int{1}}, {7, []int{2, 3}}}}}
	return s
}

// A table of 10,000 cells, the most there may be, costs next to nothing to check
// and to decide over.
func TestLargeTablesAreCheap(t *testing.T) {
	s := joint(MaxClasses)
	start := time.Now()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Census(); err != nil {
		t.Fatal(err)
	}
	p := policy()
	p.Shares.TrustRegion = .01 // the steps are compared with one another
	for _, share := range []float64{0, .5} {
		var previous *Round
		for number := 1; number <= 2; number++ {
			p.Curriculum.Share = share * float64(number)
			r, err := Decide(s, p, previous, sized(t, s, 3000, .1, map[string]float64{"f3=l1 f6=l2": .9}), Budget{Campaign: "c", Number: number, Train: 1500}, 1)
			if err != nil || len(r.Components) < 2 {
				t.Fatalf("%v, %d components", err, len(r.Components))
			}
			previous = &r
		}
	}
	if took := time.Since(start); took > time.Minute {
		t.Error(took)
	} else {
		t.Log(took)
	}
}

func BenchmarkDensity(b *testing.B) {
	for _, cells := range []int{100, 1000, MaxClasses} {
		b.Run(fmt.Sprintf("cells=%d", cells), func(b *testing.B) {
			s := joint(cells)
			sampler, err := NewSampler(s, vectorRound(s, .2, Component{Share: whole}))
			if err != nil {
				b.Fatal(err)
			}
			x, err := sampler.Scenario(Train, 0, 1)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				sampler.Density(x.Codes)
			}
		})
	}
}
