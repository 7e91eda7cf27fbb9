package shapes

import (
	"testing"

	"hone/loop"
)

// testSpace is space.yaml by hand.
func testSpace(t testing.TB) *loop.Space {
	t.Helper()
	s := &loop.Space{Name: "shapes", Version: 1}
	add := func(name string, kind loop.Kind, when *loop.LevelSet, levels ...loop.Level) {
		s.Factors = append(s.Factors, loop.Factor{Name: name, Kind: kind, Levels: levels, When: when})
	}
	l := func(name string, target float64) loop.Level { return loop.Level{Name: name, Target: target} }
	add("rotation", loop.Ordinal, nil, l("r0", .22), l("r45", .15), l("r90", .13), l("r135", .12), l("r180", .10), l("r225", .10), l("r270", .10), l("r315", .08))
	add("background", loop.Categorical, nil, l("plain", .24), l("gradient", .20), l("stripes", .16), l("checker", .15), l("metal", .154), l("foliage", .096))
	add("shape", loop.Categorical, nil, l("disc", .20), l("ring", .18), l("square", .17), l("triangle", .16), l("cross", .15), l("bar", .14))
	add("light", loop.Ordinal, nil, l("low", .13), l("dusk", .20), l("overcast", .20), l("day", .30), l("glare", .17))
	add("scale", loop.Ordinal, nil, l("small", .20), l("modest", .22), l("medium", .24), l("large", .19), l("near", .15))
	add("occlusion", loop.Ordinal, nil, l("none", .45), l("light", .27), l("medium", .18), l("strong", .10))
	add("occluder_side", loop.Categorical, &loop.LevelSet{Factor: 5, Levels: []int{1, 2, 3}}, l("left", .32), l("right", .32), l("top", .28), l("bottom", .08))
	add("blur", loop.Categorical, nil, l("none", .40), l("soft", .28), l("strong", .16), l("motion", .16))
	add("contrast", loop.Ordinal, nil, l("full", .40), l("mid", .25), l("low", .15), l("infrared", .20))
	s.Constraints = []loop.Constraint{{When: []loop.LevelSet{{Factor: 1, Levels: []int{5}}, {Factor: 6, Levels: []int{3}}}}}
	s.Risks = []loop.Risk{{Slice: loop.Slice{{Factor: 2, Level: 5}, {Factor: 4, Level: 0}}, Weight: 2}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}
