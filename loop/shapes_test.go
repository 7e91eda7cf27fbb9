package loop

import "testing"

// shapes is the space of the demo: nine factors, one of them conditional, one
// forbidden pair, one risk weight.
func shapes() *Space {
	s := &Space{Name: "shapes", Version: 1, Factors: []Factor{
		factor("rotation", "r0", .22, "r45", .15, "r90", .13, "r135", .12, "r180", .10, "r225", .10, "r270", .10, "r315", .08),
		factor("background", "plain", .24, "gradient", .20, "stripes", .16, "checker", .15, "metal", .154, "foliage", .096),
		factor("shape", "disc", .20, "ring", .18, "square", .17, "triangle", .16, "cross", .15, "bar", .14),
		factor("light", "low", .13, "dusk", .20, "overcast", .20, "day", .30, "glare", .17),
		factor("scale", "small", .20, "modest", .22, "medium", .24, "large", .19, "near", .15),
		factor("occlusion", "none", .45, "light", .27, "medium", .18, "strong", .10),
		factor("occluder_side", "left", .32, "right", .32, "top", .28, "bottom", .08),
		factor("blur", "none", .40, "soft", .28, "strong", .16, "motion", .16),
		factor("contrast", "full", .40, "mid", .25, "low", .15, "infrared", .20),
	}}
	s.Factors[6].When = &LevelSet{Factor: 5, Levels: []int{1, 2, 3}}
	s.Constraints = []Constraint{{When: []LevelSet{{1, []int{5}}, {6, []int{3}}}}}
	s.Risks = []Risk{{Slice: Slice{{Factor: 2, Level: 5}, {Factor: 4, Level: 0}}, Weight: 2}}
	return s
}

// factor builds a categorical factor from names and targets in turn.
func factor(name string, levels ...any) Factor {
	f := Factor{Name: name, Kind: Categorical}
	for i := 0; i < len(levels); i += 2 {
		f.Levels = append(f.Levels, Level{Name: levels[i].(string), Target: levels[i+1].(float64)})
	}
	return f
}

// slice names a slice of a space by factor and level in turn.
func (s *Space) slice(t testing.TB, names ...string) Slice {
	t.Helper()
	var out Slice
	for i := 0; i < len(names); i += 2 {
		f := s.Factor(names[i])
		out = out.With(Predicate{Factor: f, Level: s.Factors[f].Level(names[i+1])})
	}
	if err := s.ValidateSlice("slice", out); err != nil {
		t.Fatal(err)
	}
	return out
}

// rig is a space with two numeric factors, conditions two deep, a factor of
// many levels, and constraints of every form.
func rig() *Space {
	s := &Space{Name: "rig", Version: 3, Factors: []Factor{
		{Name: "distance", Kind: Numeric, Levels: []Level{
			{Name: "near", Target: .25, Low: .2, High: 1}, {Name: "mid", Target: .5, Low: 1, High: 4}, {Name: "far", Target: .25, Low: 4, High: 25}}},
		factor("glove", "no", .7, "yes", .3),
		factor("glove_colour", "blue", .5, "black", .4, "red", .1),
		factor("stripe", "off", .9, "on", .1),
		{Name: "tilt", Kind: Numeric, Levels: []Level{
			{Name: "left", Target: .125, Low: -90, High: -15}, {Name: "level", Target: .75, Low: -15, High: 15}, {Name: "right", Target: .125, Low: 15, High: 90}}},
		{Name: "tool", Kind: Categorical},
	}}
	for l := range 40 {
		s.Factors[5].Levels = append(s.Factors[5].Levels, Level{Name: "t" + string(rune('A'+l)), Target: float64(l+1) / 820})
	}
	s.Factors[2].When = &LevelSet{Factor: 1, Levels: []int{1}}
	s.Factors[3].When = &LevelSet{Factor: 2, Levels: []int{1, 2}}
	s.Constraints = []Constraint{
		{When: []LevelSet{{0, []int{2}}, {4, []int{0, 2}}}},                                  // never far and tilted
		{When: []LevelSet{{3, []int{1}}}, Then: []LevelSet{{0, []int{0, 1}}, {4, []int{1}}}}, // a stripe only near or mid, level
		{Then: []LevelSet{{5, []int{0, 1, 2, 3, 5, 8, 13, 21, 34, 36, 37, 38, 39}}}},         // only these tools
	}
	return s
}

func TestFixturesAreValid(t *testing.T) {
	for _, s := range []*Space{shapes(), rig()} {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	// The eight unconditional factors have the demo's 460,800 combinations; the
	// occluder has four sides where there is one.
	if got, want := shapes().Size(), 460_800.0/4*(1+3*4); got != want {
		t.Errorf("shapes has %v combinations, want %v", got, want)
	}
}
