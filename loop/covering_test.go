package loop

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What is covered is covered, and what is not cannot be: every combination of
// levels that can be drawn has as many rows as asked for, whatever the constraints
// and conditions; and every row can be drawn.
func TestCoverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 5, 4)
		order := rapid.IntRange(1, 3).Draw(t, "order")
		least := rapid.IntRange(1, 3).Draw(t, "least")
		x, base := s.feasibility(), s.baseMarginals(.2)
		c, err := newCovering(s, order, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := c.rows(x, base, least, 1<<20, -1)
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for _, row := range rows {
			if ok, err := x.drawable(base, row); err != nil || !ok {
				t.Fatalf("%s cannot be drawn: %v", s.Describe(row), err)
			}
			for _, set := range c.sets {
				var cell Slice
				for _, p := range set {
					if l := row.Level(p.Factor); l >= 0 {
						cell = append(cell, Predicate{Factor: p.Factor, Level: l})
					}
				}
				if len(cell) == order {
					counts[s.Describe(cell)]++
				}
			}
		}
		for set := range c.sets {
			for cell := c.first[set]; cell < len(c.count) && (set+1 == len(c.first) || cell < c.first[set+1]); cell++ {
				slice := c.slice(set, cell)
				ok, err := x.drawable(base, slice)
				if err != nil {
					t.Fatal(err)
				}
				n := counts[s.Describe(slice)]
				if ok && n < least || !ok && n > 0 || ok != (c.count[cell] != never) {
					t.Fatalf("%s has %d rows of %d, counts %d, drawable %v", s.Describe(slice), n, least, c.count[cell], ok)
				}
			}
		}
		if c.lacking(least) != 0 {
			t.Fatalf("%d cells are said to lack samples", c.lacking(least))
		}
		if more, err := c.rows(x, base, least, 1<<20, -1); err != nil || len(more) > 0 {
			t.Fatalf("%d rows more, though all is covered: %v", len(more), err)
		}
	})
}

// Only what is missing is asked for: cells that samples have already are none of
// the rows' business.
func TestCoverageKnowsWhatIsThere(t *testing.T) {
	s := shapes()
	c, err := newCovering(s, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &Round{Number: 1, Seed: 7, Base: s.baseMarginals(.2), Target: s.targetMarginals(), Components: []Component{{Share: whole, Over: OverBase}}}
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(400) {
		x, err := sampler.Scenario(Train, 0, i)
		if err != nil {
			t.Fatal(err)
		}
		c.add(x.Codes)
	}
	lacking := c.lacking(5)
	rows, err := c.rows(s.feasibility(), r.Base, 5, 75, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("400 samples leave %d of %d pairs with fewer than 5; %d rows more leave %d", lacking, len(c.count), len(rows), c.lacking(5))
	if lacking < 20 || len(rows) == 0 || len(rows) >= lacking*2 || c.lacking(5) != 0 {
		t.Errorf("%d cells lacked something; after %d rows %d do", lacking, len(rows), c.lacking(5))
	}
}

// The array from nothing has few more rows than there can be at least.
func TestCoverageIsSmall(t *testing.T) {
	s := &Space{Name: "wide", Factors: nil}
	for f := range 20 {
		factor := Factor{Name: "f" + string(rune('a'+f)), Kind: Categorical}
		for l := range 20 {
			factor.Levels = append(factor.Levels, Level{Name: "l" + string(rune('a'+l)), Target: .05})
		}
		s.Factors = append(s.Factors, factor)
	}
	c, err := newCovering(s, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.rows(s.feasibility(), s.baseMarginals(1), 1, 1<<20, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows have all %d pairs of 20 factors of 20 levels, at least 400 are needed", len(rows), len(c.count))
	if len(rows) > 1000 || slices.Contains(c.count, 0) {
		t.Errorf("%d rows", len(rows))
	}
	var refused *Error
	if _, err := newCovering(s, 3, nil); !errors.As(err, &refused) || refused.Field != "coverage.order" {
		t.Errorf("nine million triples: %v", err)
	}
	if _, err := newCovering(s, 3, []string{"fa", "fb", "fc"}); err != nil {
		t.Errorf("eight thousand triples: %v", err)
	}
	if _, err := newCovering(s, 2, []string{"nowhere"}); !errors.As(err, &refused) {
		t.Errorf("no such factor: %v", err)
	}
}
