package loop

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawRequests asks for slices of any length, overlaps and repetitions included.
func drawRequests(t *rapid.T, s *Space) []Request {
	x, target := s.feasibility(), s.targetMarginals()
	var requests []Request
	for range rapid.IntRange(1, 6).Draw(t, "requests") {
		var slice Slice
		for f := range s.Factors {
			if rapid.Bool().Draw(t, "fix") {
				slice = append(slice, drawPredicate(t, s, f))
			}
		}
		ok, err := x.drawable(target, slice)
		if err != nil || !ok || s.validatePredicates("where", slice) != nil {
			slice = nil
		}
		requests = append(requests, Request{slice, rapid.Uint64Range(1, 40).Draw(t, "count")})
	}
	return requests
}

// What is requested is what is made: each request has its count to the sample,
// by however many parts, in scenarios that fit it; and the importance weight is
// that of deployment against all requests together.
func TestMakeKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 3)
		b := Budget{Campaign: "c", Number: 1, Make: drawRequests(t, s), Evaluation: EvaluationPlan{Target: 3}}
		if by := rapid.IntRange(-1, len(s.Factors)-1).Draw(t, "quota by"); by >= 0 && s.Factors[by].When == nil {
			b.QuotaBy = s.Factors[by].Name
		}
		r, err := Decide(s, nil, nil, nil, b, 7)
		if refusal := new(Error); errors.As(err, &refusal) && refusal.Field == "quota_by" {
			t.Skip("the constraints all but forbid a level")
		}
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Decide(s, nil, nil, nil, b, 7); err != nil || again.Digest() != r.Digest() {
			t.Fatalf("decided again it is another round: %v", err)
		}
		checkRequests(t, s, &r, b)
		sampler, err := NewSampler(s, &r)
		if err != nil {
			t.Fatal(err)
		}
		var covered, mean float64
		for _, x := range enumerate(s, r.Target) {
			if !allowed(s, x.codes) {
				continue
			}
			pi, q := sampler.Target(x.codes), sampler.Density(x.codes)
			inside := false
			for _, request := range b.Make {
				inside = inside || request.Slice.Matches(x.codes)
			}
			if inside {
				covered += pi
			}
			if q > 0 && !inside {
				t.Fatalf("%v is made, and nobody asked for it", x.codes)
			}
			mean += q * sampler.Weight(Train, 0, x.codes)
		}
		if math.Abs(mean-covered) > 1e-9 {
			t.Fatalf("weights average to %v, the requests cover %v of deployment", mean, covered)
		}
	})
}

// checkRequests counts the components of each request, and draws some of each.
func checkRequests(t *rapid.T, s *Space, r *Round, b Budget) {
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	at, made, shares := 0, uint64(0), uint64(0)
	for i := range r.Components {
		c := &r.Components[i]
		if c.Domain != Train {
			continue
		}
		if c.Share == 0 {
			t.Fatalf("component %d has no share", i)
		}
		if made == b.Make[at].Count && (c.Quota > 0 || !c.Slice.Equal(b.Make[at].Slice)) {
			at, made = at+1, 0
		}
		if !c.Slice.Equal(b.Make[at].Slice) {
			t.Fatalf("component %d is of %v; request %d, of %v, has %d of %d", i, c.Slice, at, b.Make[at].Slice, made, b.Make[at].Count)
		}
		made += c.Quota
		shares += c.Share
		for index := range min(c.Quota, 3) {
			x, err := sampler.Scenario(Train, c.Number, index)
			if err != nil || !c.Fixed().Matches(x.Codes) || !s.feasible(x.Codes) {
				t.Fatalf("component %d, index %d: %v, %v", i, index, x.Codes, err)
			}
			if w := sampler.Weight(Train, c.Number, x.Codes); !(w > 0) || math.IsInf(w, 0) {
				t.Fatalf("importance weight %v", w)
			}
		}
	}
	if at != len(b.Make)-1 || made != b.Make[at].Count || shares != whole {
		t.Fatalf("%d of request %d made, of %d; shares sum to %d", made, at, b.Make[at].Count, shares)
	}
	if r.Quota(Evaluation) != b.Evaluation.Target {
		t.Fatalf("%d evaluation samples", r.Quota(Evaluation))
	}
}

func TestMakeRefusals(t *testing.T) {
	s := oneFactor(3)
	s.Factors = append(s.Factors, factor("class", "common", 1., "never", 0.))
	many := make([]Request, MaxRequests+1)
	for i := range many {
		many[i].Count = 1
	}
	for _, c := range []struct {
		name     string
		requests []Request
		by       string
		want     string
	}{
		{"too many", many, "", "make: 10001 requests"},
		{"too many once split", many[:4_000], "class2", "quota_by: 4000 requests by 3 levels"},
		{"nothing", []Request{{Count: 0}}, "", "make[0].count: 0 samples of everything"},
		{"never in deployment", []Request{{Count: 1}, {Slice{{Factor: 1, Level: 1}}, 1}}, "", "make[1].where: class=never hardly occurs"},
		{"no such level", []Request{{Slice{{Factor: 1, Level: 2}}, 1}}, "", `make[0].where: factor "class" has no level 2`},
		{"too small a part", []Request{{Count: 1}, {Count: 4_200_000_000}}, "class2", "make[0].count: too small a part"},
	} {
		space := *s
		space.Factors = append(space.Factors, factor("class2", "a", .5, "b", .25, "c", .25))
		_, err := Decide(&space, nil, nil, nil, Budget{Campaign: "c", Number: 1, Make: c.requests, QuotaBy: c.by}, 1)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// The largest list is decided in well under a second.
func BenchmarkMake(b *testing.B) {
	s := oneFactor(3)
	for range 9 {
		s.Factors = append(s.Factors, factor("f"+string(rune('a'+len(s.Factors))), "a", .5, "b", .25, "c", .25))
	}
	requests := make([]Request, MaxRequests)
	for i := range requests {
		requests[i] = Request{Slice{{Factor: 1, Level: i % 3}, {Factor: 2, Level: i / 3 % 3}, {Factor: 3, Level: i / 9 % 3}, {Factor: 4, Level: i / 27 % 3}}, 1}
	}
	for b.Loop() {
		if _, err := Decide(s, nil, nil, nil, Budget{Campaign: "c", Number: 1, Make: requests}, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// What can never be made is refused when it is asked for, in words that say why:
// at another level of a pinned factor, or so rare that its importance weight
// would say nothing.
func TestNeverMade(t *testing.T) {
	s := &Space{Name: "s"}
	var rare Slice
	for f := range 40 {
		s.Factors = append(s.Factors, Factor{Name: fmt.Sprint("f", f), Kind: Categorical,
			Levels: []Level{{Name: "usual", Target: 1 - 1e-9}, {Name: "rare", Target: 1e-9}}})
		rare = append(rare, Predicate{Factor: f, Level: 1})
	}
	pinned := *s
	pinned.Factors = slices.Clone(s.Factors)
	pinned.Factors[0].Pin = new(int)
	for _, test := range []struct {
		space *Space
		slice Slice
		want  string
	}{
		{s, rare, "hardly occurs"}, {&pinned, rare[:1], "never made: the space pins f0=usual"},
		{s, rare[:9], ""}, {&pinned, rare[1:9], ""},
	} {
		if err := test.space.Validate(); err != nil {
			t.Fatal(err)
		}
		made := Budget{Campaign: "c", Number: 1, Make: []Request{{test.slice, 3}}}
		r, err := Decide(test.space, nil, nil, nil, made, 7)
		if test.want != "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%d predicates: %v, want %q", len(test.slice), err, test.want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sampler, err := NewSampler(test.space, &r)
		if err != nil {
			t.Fatal(err)
		}
		x, err := sampler.Scenario(Train, 0, 0)
		if w := sampler.Weight(Train, 0, x.Codes); err != nil || !(w > 0) || !test.slice.Matches(x.Codes) {
			t.Errorf("%d predicates: weight %v, %v", len(test.slice), w, err)
		}
	}
	shown := EvaluationPlan{Pinned: []Pinned{{rare[:1], 3}}}
	if err := shown.validate(&pinned); err == nil || !strings.Contains(err.Error(), "the space pins f0=usual") {
		t.Errorf("a pinned set: %v", err)
	}
}

// A level that the constraints all but forbid within a request cannot be counted
// by itself, and is not left out in silence: it is part of what was asked for.
func TestMakeLosesNoLevel(t *testing.T) {
	s := &Space{Name: "s", Factors: []Factor{factor("light", "low", .5, "day", .5), factor("weather", "dry", .5, "fog", .5), factor("hand", "none", .9995, "bare", .0005)}}
	s.Constraints = []Constraint{{When: []LevelSet{{0, []int{0}}, {1, []int{1}}}, Then: []LevelSet{{2, []int{1}}}}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	b := Budget{Campaign: "c", Number: 1, QuotaBy: "weather", Make: []Request{{s.slice(t, "light", "low"), 100_000}}}
	if _, err := Decide(s, nil, nil, nil, b, 7); err == nil || !strings.Contains(err.Error(), "of light=low ∧ weather=fog") {
		t.Errorf("decided: %v", err)
	}
	b.Make[0].Slice = s.slice(t, "light", "day")
	if r, err := Decide(s, nil, nil, nil, b, 7); err != nil || len(r.Components) != 2 {
		t.Errorf("%v: %s", err, r.Canonical())
	}
}
