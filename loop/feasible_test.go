package loop

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// Acceptance and masses equal those of an enumeration of the joint.
func TestAcceptanceEqualsItsTwin(t *testing.T) {
	for range 20 { // cheap, and rare combinations matter
		rapid.Check(t, func(t *rapid.T) {
			s := drawSpace(t, 6, 4)
			marginals := s.baseMarginals(rapid.SampledFrom([]float64{0, .2, 1}).Draw(t, "floor"))
			slice := drawSlice(t, s, 3)
			want, inside := 0.0, 0.0
			for _, x := range enumerate(s, marginals) {
				if got := s.feasible(x.codes); got != allowed(s, x.codes) {
					t.Fatalf("feasible(%v) = %v", x.codes, got)
				}
				if allowed(s, x.codes) {
					want += x.p
					if slice.Matches(x.codes) != lies(slice, x.codes) {
						t.Fatalf("%s matches %v: %v", s.Describe(slice), x.codes, slice.Matches(x.codes))
					}
					if slice.Matches(x.codes) {
						inside += x.p
					}
				}
			}
			got, err := s.feasibility().acceptance(marginals)
			if err != nil || !near(got, want) {
				t.Fatalf("acceptance %v (%v), want %v", got, err, want)
			}
			mass, err := s.feasibility().mass(marginals, slice)
			if want == 0 {
				inside, want = 0, 1
			}
			if err != nil || math.Abs(mass-inside/want) > 1e-7 { // conditioning rounds to 32 bits
				t.Fatalf("mass of %s: %v (%v), want %v", s.Describe(slice), mass, err, inside/want)
			}
		})
	}
}

// chained is a space whose constraints tie every factor to the next, or all to
// the first or the last.
func chained(factors, levels int, tie func(i int) (a, b int)) *Space {
	s := &Space{Name: "chained", Version: 1}
	for f := range factors {
		factor := Factor{Name: fmt.Sprintf("f%d", f), Kind: Categorical}
		for l := range levels {
			factor.Levels = append(factor.Levels, Level{Name: fmt.Sprintf("l%d", l), Target: 1 / float64(levels)})
		}
		s.Factors = append(s.Factors, factor)
	}
	for i := range factors - 1 {
		a, b := tie(i)
		s.Constraints = append(s.Constraints,
			Constraint{When: []LevelSet{{a, []int{0, 1, 2}}}, Then: []LevelSet{{b, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}}},
			Constraint{When: []LevelSet{{a, []int{i % levels}}, {b, []int{i % 10, i%10 + 5}}}})
	}
	return s
}

// Twenty factors of twenty levels under forty constraints cost next to nothing,
// whether the constraints make a chain or a star; and the chain's acceptance is
// that of a sum over pairs of neighbours.
func TestAcceptanceOfLargeSpaces(t *testing.T) {
	for name, tie := range map[string]func(i int) (int, int){
		"chain":          func(i int) (int, int) { return i, i + 1 },
		"star, hub last": func(i int) (int, int) { return i, 19 },
		"star, hub 0":    func(i int) (int, int) { return 0, i + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			s := chained(20, 20, tie)
			start := time.Now()
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	s := chained(20, 20, func(i int) (int, int) { return i, i + 1 })
	// ways[l] is the mass of the feasible prefixes that end in level l.
	ways := make([]float64, 20)
	for l := range ways {
		ways[l] = 1. / 20
	}
	for i := range 19 {
		next := make([]float64, 20)
		for a, p := range ways {
			for b := range next {
				codes := make([]Code, 20)
				for f := range codes {
					codes[f] = Unknown
				}
				codes[i], codes[i+1] = Code(a), Code(b)
				if s.Constraints[2*i].judge(codes) != violated && s.Constraints[2*i+1].judge(codes) != violated {
					next[b] += p / 20
				}
			}
		}
		ways = next
	}
	want := 0.0
	for _, p := range ways {
		want += p
	}
	got, err := s.feasibility().acceptance(s.targetMarginals())
	if err != nil || math.Abs(got-want) > 1e-6 { // thresholds have 32 bits
		t.Errorf("acceptance %v (%v), want %v", got, err, want)
	}
}

// What is too entangled to compute is refused in good time, never approximated.
func TestEntangledSpaceIsRefused(t *testing.T) {
	s := chained(40, 20, func(i int) (int, int) { return i, i + 1 })
	s.Constraints = nil
	for i := range 400 {
		a, b, c := int(mix(uint64(i))%40), int(mix(uint64(i)+1000)%40), int(mix(uint64(i)+2000)%40)
		if a == b || b == c || a == c {
			continue
		}
		s.Constraints = append(s.Constraints, Constraint{When: []LevelSet{{a, []int{i % 20}}, {b, []int{(i + 7) % 20}}, {c, []int{(i + 11) % 20}}}})
	}
	start := time.Now()
	err := s.Validate()
	var refused *Error
	if !errors.As(err, &refused) || refused.Field != "constraints" || refused.Remedy == "" {
		t.Fatalf("got %v, want a refusal of constraints", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestInfeasibleSpaceIsRefused(t *testing.T) {
	for name, constraints := range map[string][]Constraint{
		"nothing left":       {{Then: []LevelSet{{0, []int{0}}}}, {When: []LevelSet{{0, []int{0}}}}},
		"both demanded":      {{Then: []LevelSet{{0, []int{0}}}}, {Then: []LevelSet{{0, []int{1, 2}}}}},
		"demanded of absent": {{Then: []LevelSet{{2, []int{0}}}}, {When: []LevelSet{{1, []int{1}}}}},
	} {
		s := rig()
		s.Constraints = constraints
		if err := s.Validate(); err == nil || err.(*Error).Field != "constraints" {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := rig()
	s.Factors[1].Levels[0].Target, s.Factors[1].Levels[1].Target = .9999, .0001
	s.Constraints = []Constraint{{Then: []LevelSet{{1, []int{1}}}}}
	if err := s.Validate(); err == nil || err.(*Error).Field != "constraints" {
		t.Errorf("one in ten thousand of the target left: %v", err)
	}
}
