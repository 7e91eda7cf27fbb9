package loop

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Shares and the census are sums over the joint.
func TestSharesEqualTheirTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 5, 4)
		base := s.baseMarginals(rapid.SampledFrom([]float64{0, .2}).Draw(t, "floor"))
		present := make([]float64, len(s.Factors))
		want, census, feasible := make([][]float64, len(s.Factors)), make([][]float64, len(s.Factors)), 0.0
		for f := range s.Factors {
			want[f], census[f] = make([]float64, len(s.Factors[f].Levels)), make([]float64, len(s.Factors[f].Levels))
		}
		for _, x := range enumerate(s, base) {
			for f, code := range x.codes {
				if code.IsLevel() {
					present[f] += x.p
					want[f][code] += x.p
				}
			}
		}
		for _, x := range enumerate(s, s.targetMarginals()) {
			if !allowed(s, x.codes) {
				continue
			}
			feasible += x.p
			for f, code := range x.codes {
				if code.IsLevel() {
					census[f][code] += x.p
				}
			}
		}
		got := s.Shares(base)
		c, err := s.Census()
		if err != nil {
			t.Fatal(err)
		}
		for f := range want {
			for l := range want[f] {
				if p := want[f][l] / present[f]; present[f] > 0 && math.Abs(got[f][l]-p) > 1e-7 {
					t.Errorf("level %d of factor %d has a share of %v, want %v", l, f, got[f][l], p)
				}
				if p := census[f][l] / feasible; math.Abs(c.Levels[f][l]-p) > 1e-7 {
					t.Errorf("level %d of factor %d has %v in the census, want %v", l, f, c.Levels[f][l], p)
				}
			}
		}
	})
}

// A floor leans every row, and the classes; a pinned factor has all its mass on
// its level, whatever decides about it.
func TestBaseLeansEveryRow(t *testing.T) {
	s := dependent()
	base := s.baseMarginals(.2)
	light := s.Factor("light")
	for r, row := range s.Factors[light].Given.Rows {
		for l, p := range row {
			if got, want := base[light].row(r, 3).share(l), .8*p+.2/3; math.Abs(got-want) > 1e-9 {
				t.Errorf("row %d, level %d: %v, want %v", r, l, got, want)
			}
		}
	}
	for k, p := range s.Classes {
		if got, want := base[s.hidden()].share(k), .8*p+.2/2; math.Abs(got-want) > 1e-9 {
			t.Errorf("class %d: %v, want %v", k, got, want)
		}
	}
	if uniform := s.baseMarginals(1); len(uniform[light]) != 3 {
		t.Errorf("a uniform base has %d thresholds of 3 levels", len(uniform[light]))
	}
	pin := 1
	s.Factors[light].Pin = &pin
	if got := s.baseMarginals(.2)[light]; len(got) != 3 || got.share(1) != 1 {
		t.Errorf("pinned: %v", got)
	}
}

// dependent is a space with a factor that is given another, one that is given a
// conditional one, and two that are given the class.
func dependent() *Space {
	s := &Space{Name: "dependent", Version: 1, Classes: []float64{.75, .25}, Factors: []Factor{
		factor("weather", "clear", .625, "rain", .25, "snow", .125),
		factor("light", "low", 0., "day", 0., "glare", 0.),
		factor("glove", "bare", 0., "gloved", 0.),
		factor("glove_colour", "blue", .5, "black", .375, "red", .125),
		factor("stripe", "off", 0., "on", 0.),
		factor("tool", "hammer", 0., "saw", 0., "tongs", 0., "drill", 0.),
	}}
	s.Factors[1].Given = &Given{Factor: 0, Rows: [][]float64{{.25, .5, .25}, {.625, .375, 0}}, Of: []int{0, 1, 1}}
	s.Factors[2].Given = &Given{Factor: Hidden, Rows: [][]float64{{.875, .125}, {0, 1}}, Of: []int{0, 1}}
	s.Factors[3].When = &LevelSet{Factor: 2, Levels: []int{1}}
	s.Factors[4].When = &LevelSet{Factor: 2, Levels: []int{1}}
	s.Factors[4].Given = &Given{Factor: 3, Rows: [][]float64{{1, 0}, {.5, .5}}, Of: []int{0, 0, 1}}
	s.Factors[5].Given = &Given{Factor: Hidden, Rows: [][]float64{{.5, .5, 0, 0}, {.125, .125, .5, .25}}, Of: []int{0, 1}}
	s.Constraints = []Constraint{{When: []LevelSet{{1, []int{0}}, {5, []int{3}}}}, {When: []LevelSet{{4, []int{1}}}, Then: []LevelSet{{0, []int{0, 1}}}}}
	return s
}

func TestDependentIsValid(t *testing.T) {
	if err := dependent().Validate(); err != nil {
		t.Fatal(err)
	}
}

// Every way in which a target can fail to be a tree is refused by name.
func TestGivenRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(s *Space)
		field string
	}{
		"no such factor":         {func(s *Space) { s.Factors[1].Given.Factor = 99 }, "factors[1].given"},
		"itself":                 {func(s *Space) { s.Factors[1].Given.Factor = 1 }, "factors[1].given"},
		"a later factor":         {func(s *Space) { s.Factors[1].Given.Factor = 2 }, "factors[1].given"},
		"far below":              {func(s *Space) { s.Factors[1].Given.Factor = -9 }, "factors[1].given"},
		"no classes":             {func(s *Space) { s.Classes = nil }, "factors[2].given"},
		"classes to no avail":    {func(s *Space) { s.Factors[2].Given, s.Factors[5].Given = nil, nil }, "classes"},
		"classes do not sum":     {func(s *Space) { s.Classes = []float64{.5, .6} }, "classes"},
		"a negative class":       {func(s *Space) { s.Classes = []float64{1.5, -.5} }, "classes[1]"},
		"a class that is NaN":    {func(s *Space) { s.Classes[0] = math.NaN() }, "classes[0]"},
		"too many classes":       {func(s *Space) { s.Classes = make([]float64, MaxClasses+1) }, "classes"},
		"one row short":          {func(s *Space) { s.Factors[1].Given.Of = []int{0, 1} }, "factors[1].given"},
		"a row that is not":      {func(s *Space) { s.Factors[1].Given.Of[1] = 2 }, "factors[1].given.of[1]"},
		"no row where present":   {func(s *Space) { s.Factors[1].Given.Of[1] = None }, "factors[1].given.of[1]"},
		"no rows":                {func(s *Space) { s.Factors[1].Given.Rows = nil }, "factors[1].given.of[0]"},
		"a short row":            {func(s *Space) { s.Factors[1].Given.Rows[1] = []float64{1} }, "factors[1].given.rows[1]"},
		"a row that sums to 2":   {func(s *Space) { s.Factors[1].Given.Rows[1][2] = 1 }, "factors[1].given.rows[1]"},
		"a share that is NaN":    {func(s *Space) { s.Factors[1].Given.Rows[1][2] = math.NaN() }, "factors[1].given.rows[1][2]"},
		"shares of its own":      {func(s *Space) { s.Factors[1].Levels[0].Target = 1 }, "factors[1].given"},
		"absent where needed":    {func(s *Space) { s.Factors[4].When = nil }, "factors[4].given"},
		"less sticky what gives": {func(s *Space) { s.Factors[1].Sticky = 10 }, "factors[1].given"},
		"sticky out of step":     {func(s *Space) { s.Factors[2].Sticky, s.Factors[5].Sticky = 10, 15 }, "factors[2].given"},
		"too large": {func(s *Space) {
			row := make([]float64, MaxLevels)
			row[0] = 1
			s.Factors[5].Levels = make([]Level, MaxLevels)
			for l := range s.Factors[5].Levels {
				s.Factors[5].Levels[l].Name = string(rune('一' + l))
			}
			s.Factors[5].Given.Rows = make([][]float64, MaxTables/MaxLevels+1)
			for r := range s.Factors[5].Given.Rows {
				s.Factors[5].Given.Rows[r] = row
			}
		}, "factors[5].given"},
	} {
		s := dependent()
		test.spoil(s)
		err, ok := s.Validate().(*Error)
		if !ok || err.Field != test.field {
			t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
		}
	}
	s := dependent()
	s.Factors[0].Sticky, s.Factors[1].Sticky, s.Factors[2].Sticky, s.Factors[5].Sticky = 20, 10, 5, 15
	if err := s.Validate(); err != nil {
		t.Errorf("sticky in step: %v", err)
	}
}
