package loop

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawDerived(t *rapid.T, s *Space) Derived {
	d := Derived{Name: "label"}
	for l := range rapid.IntRange(1, 4).Draw(t, "label levels") {
		d.Levels = append(d.Levels, fmt.Sprint("v", l))
	}
	level := rapid.IntRange(0, len(d.Levels)-1)
	for range rapid.IntRange(1, 4).Draw(t, "rules") {
		d.Rules = append(d.Rules, DerivedRule{When: drawSets(t, s, rapid.IntRange(1, 3).Draw(t, "sets")), Level: level.Draw(t, "level")})
	}
	d.Otherwise = level.Draw(t, "otherwise")
	return d
}

// naiveLabel is the level of the first rule that holds of a complete scenario.
func naiveLabel(d *Derived, codes []Code) Code {
	for _, rule := range d.Rules {
		holds := true
		for _, set := range rule.When {
			holds = holds && slices.Contains(set.Levels, int(codes[set.Factor]))
		}
		if holds {
			return Code(rule.Level)
		}
	}
	return Code(d.Otherwise)
}

// Of a complete scenario a label is what its rules say. Where values are unknown
// it is what they say of every completion, or else unknown; and where a single
// rule depends on what is unknown, it is known exactly if all completions agree.
func TestDeriveEqualsItsTwin(t *testing.T) {
	known, unknown := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 4, 3)
		s.Derived = []Derived{drawDerived(t, s), drawDerived(t, s)}
		all := enumerate(s, s.baseMarginals(1))
		x := all[rapid.IntRange(0, len(all)-1).Draw(t, "scenario")].codes
		for i, got := range s.Derive(x) {
			if want := naiveLabel(&s.Derived[i], x); got != want {
				t.Fatalf("label %d of %v is %d, want %d", i, x, got, want)
			}
		}
		seen := slices.Clone(x)
		for f := range seen {
			if rapid.Bool().Draw(t, "unknown") {
				seen[f] = Unknown
			}
		}
		for i, got := range s.Derive(seen) {
			possible := map[Code]bool{}
			for _, y := range all {
				if !slices.ContainsFunc([]int{0, 1, 2, 3}[:len(seen)], func(f int) bool { return seen[f] != Unknown && seen[f] != y.codes[f] }) {
					possible[naiveLabel(&s.Derived[i], y.codes)] = true
				}
			}
			if got == Unknown {
				unknown++
				if len(s.Derived[i].Levels) == 1 {
					t.Fatalf("label %d of %v is unknown, though it has but one level", i, seen)
				}
				continue
			}
			known++
			if len(possible) != 1 || !possible[got] {
				t.Fatalf("label %d of %v is %d, but may be %v", i, seen, got, possible)
			}
		}
	})
	if (known == 0 || unknown == 0) && !testing.Short() {
		t.Errorf("%d known and %d unknown labels", known, unknown)
	}
}

func TestDerive(t *testing.T) {
	s := rig() // glove no|yes, glove_colour blue|black|red where yes, stripe where black|red
	s.Derived = []Derived{
		{Name: "hand", Levels: []string{"bare", "dark", "bright"}, Rules: []DerivedRule{
			{When: []LevelSet{{1, []int{0}}}, Level: 0}, {When: []LevelSet{{2, []int{1}}}, Level: 1}}, Otherwise: 2},
		{Name: "same", Levels: []string{"a", "b"}, Rules: []DerivedRule{
			{When: []LevelSet{{2, []int{0}}}, Level: 1}, {When: []LevelSet{{3, []int{1}}}, Level: 1}}, Otherwise: 1},
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		glove, colour, stripe Code
		want                  []Code
	}{
		{0, Absent, Absent, []Code{0, 1}},
		{1, 0, Absent, []Code{2, 1}},
		{1, 1, 0, []Code{1, 1}},
		{1, Unknown, Unknown, []Code{Unknown, 1}},
		{Unknown, Unknown, Unknown, []Code{Unknown, 1}},
		{0, Unknown, Unknown, []Code{0, 1}},
		{Unknown, 1, 0, []Code{Unknown, 1}},
	} {
		if got := s.Derive([]Code{0, test.glove, test.colour, test.stripe, 0, 0}); !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}
