package loop

import (
	"math"
	"strings"
	"testing"
)

// press is a space with one protected slice that is rare in deployment, under
// failures elsewhere.
func press(share float64) (*Space, *Evidence, func(t testing.TB) Slice) {
	s := &Space{Name: "press", Version: 1, Factors: []Factor{
		factor("hand", "none", .96, "bare", .04), factor("light", "low", .2, "day", .5, "glare", .3), factor("part", "bolt", .5, "gear", .5)}}
	s.Protected = []Protected{{Slice: Slice{{Factor: 0, Level: 1}}, Share: share, Reason: "a hand must be seen before the press closes"}}
	e := &Evidence{}
	for hand := range Code(2) {
		for light := range Code(3) {
			for part := range Code(2) {
				l := Line{Codes: []Code{hand, light, part}, Source: SourceTarget, Origin: Real, Rows: 400, Failures: 8}
				if light == 0 && part == 1 {
					l.Failures = 300
				}
				e.Append(l)
			}
		}
	}
	e.Sort()
	return s, e, func(t testing.TB) Slice { return s.slice(t, "hand", "bare") }
}

// A protected slice gets what the mixture lacks of its share, exactly; where the
// mixture has enough it gets nothing, and the round says so.
func TestProtectedSliceIsToppedUp(t *testing.T) {
	for _, strategy := range []string{StrategyHone, StrategyUniform} {
		for _, share := range []float64{.01, .2, .6, .9} {
			s, e, named := press(share)
			hand := named(t)
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			p := policy()
			p.Strategy = strategy
			r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
			if err != nil {
				t.Fatal(err)
			}
			own, boosted, rest := boostOf(&r, hand), 0.0, 0.0
			for _, c := range r.Components {
				if len(c.Slice) > 0 && !c.Slice.Equal(hand) {
					boosted += float64(c.Share) / whole
				}
			}
			// What is drawn otherwise has hands as often as the base has.
			base := r.Base[0].share(1)
			if own != nil {
				rest = float64(own.Share) / whole
			}
			got := rest + (1-rest-boosted)*base // what the boosts have of it does not count
			enough := (1-boosted)*base >= share
			switch {
			case enough && (own != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "hand=bare is protected, and has")):
				t.Errorf("%s, %v: the base has enough, yet: %s", strategy, share, r.Canonical())
			case enough:
			case own == nil:
				t.Errorf("%s, %v: no component", strategy, share)
			case math.Abs(got-share) > 1e-8:
				t.Errorf("%s, %v: the mixture has %v of it", strategy, share, got)
			case math.Abs(float64(own.Quota)-10_000*rest) >= 1:
				t.Errorf("%s, %v: %d samples for a share of %v", strategy, share, own.Quota, rest)
			case !strings.Contains(own.Reason.Sentence, "hand=bare is protected (a hand must be seen before the press closes): whatever the evidence says"):
				t.Errorf("%s, %v: the sentence is %q", strategy, share, own.Reason.Sentence)
			case own.Reason.Rows != 2400 || own.Reason.Failures != 340 || own.Reason.Value != 0:
				t.Errorf("%s, %v: the reason is %+v", strategy, share, own.Reason)
			}
			if strategy == StrategyHone && share < .9 && boosted == 0 {
				t.Errorf("%v: nothing is left for what fails: %s", share, r.Canonical())
			}
		}
	}
}

// Protected slices that nest, cross and lie in boosts each keep their share, with
// no more taken than that needs.
func TestProtectedSlicesShare(t *testing.T) {
	s, e, _ := press(.3)
	low := s.slice(t, "light", "low")
	s.Protected = append(s.Protected,
		Protected{Slice: s.slice(t, "hand", "bare", "light", "low"), Share: .2}, // inside the first
		Protected{Slice: s.slice(t, "light", "low", "part", "gear"), Share: .1}, // boosted anyway
		Protected{Slice: low, Share: .25})                                       // the two before it lie inside
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkFloors(t, s, &r, 1e-8)
	both, first, gear := boostOf(&r, s.Protected[1].Slice), boostOf(&r, s.Protected[0].Slice), boostOf(&r, s.Protected[2].Slice)
	if both == nil || first == nil || gear == nil {
		t.Fatalf("components are missing: %s", r.Canonical())
	}
	// The narrower slice counts towards the wider one; .3 is what both have.
	if own := float64(first.Share+both.Share) / whole; own > .3 {
		t.Errorf("hands have %v of their own", own)
	}
	if boostOf(&r, low) != nil {
		t.Error("low light has a component, though two slices inside it have more than it asks for")
	}
	if gear.Reason.Value == 0 || !strings.Contains(gear.Reason.Sentence, "fails") || !strings.Contains(gear.Reason.Sentence, "is protected: whatever") {
		t.Errorf("what is boosted and protected says %q", gear.Reason.Sentence)
	}
}

// A protection holds from the round on in which it is new, however small the
// trust region; and what it gave is handed back when it ends.
func TestProtectionHoldsAtOnce(t *testing.T) {
	s, e, named := press(.5)
	hand := named(t)
	p := policy()
	p.Shares.TrustRegion = .001
	protected := s.Protected
	s.Protected = nil
	var previous *Round
	for number := 1; number <= 12; number++ {
		switch number {
		case 3:
			s.Protected = protected
		case 7:
			s.Protected = nil
		}
		r, err := Decide(s, p, previous, e, Budget{Campaign: "c", Number: number, Train: 10_000}, 1)
		if err != nil {
			t.Fatal(err)
		}
		own := boostOf(&r, hand)
		switch {
		case number < 3 && own != nil:
			t.Errorf("round %d: %+v", number, own)
		case number >= 3 && number < 7:
			checkFloors(t, s, &r, 1e-8)
			if r.KL > .001 {
				t.Errorf("round %d: a step of %v", number, r.KL)
			}
		case number == 8:
			if own == nil || !strings.Contains(own.Reason.Sentence, "hand=bare is no longer protected or pinned; its share is being handed back") || own.Reason.Protected != 0 {
				t.Errorf("round %d: %+v", number, own)
			}
		}
		if r.Memory.find(hand) != nil {
			t.Errorf("round %d: damping remembers what never failed", number)
		}
		previous = &r
	}
}

// Where the base leans so far that a protected slice cannot be drawn, the setting
// that makes it lean is to blame.
func TestProtectedSliceThatTheBaseForbids(t *testing.T) {
	s := oneFactor(2)
	p := policy()
	p.Strategy = StrategyUniform
	var forbidden []LevelSet
	for i := range 12 {
		s.Factors = append(s.Factors, factor("x"+string(rune('a'+i)), "a", 1., "b", 0., "c", 0., "d", 0.))
		forbidden = append(forbidden, LevelSet{i + 1, []int{0}})
	}
	for _, set := range forbidden { // level 0 of f only where every x is a
		s.Constraints = append(s.Constraints, Constraint{When: []LevelSet{{0, []int{0}}}, Then: []LevelSet{set}})
	}
	s.Protected = []Protected{{Slice: Slice{{Factor: 0, Level: 0}}, Share: .1}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	_, err := Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 100}, 1)
	if refused, ok := err.(*Error); !ok || refused.Field != "floor" || !strings.Contains(refused.Problem, "f=l0, which is protected") {
		t.Errorf("got %v", err)
	}
	p.Floor, p.Strategy = 0, StrategyHone
	if _, err := Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 100}, 1); err != nil {
		t.Errorf("without a floor: %v", err)
	}
}

// A small boost inside a protected slice that fades away is not handed back to
// the base while the slice needs it.
func TestSmallSharesOfAProtectedSlice(t *testing.T) {
	s, _, _ := press(.2)
	inside := s.slice(t, "hand", "bare", "light", "low")
	evidence := func(failures int64) *Evidence {
		e := &Evidence{}
		for hand := range Code(2) {
			for light := range Code(3) {
				l := Line{Codes: []Code{hand, light, Unknown}, Source: SourceTarget, Origin: Real, Rows: 800, Failures: 16}
				if hand == 1 && light == 0 {
					l.Failures = failures
				}
				e.Append(l)
			}
		}
		e.Sort()
		return e
	}
	p := policy()
	p.Shares.Smallest, p.Shares.TrustRegion, p.Damping.Samples = .04, .003, 1e12
	var previous *Round
	small := 0
	for number := 1; number <= 16; number++ {
		failures := int64(700)
		if number > 4 {
			failures = 16
		}
		r, err := Decide(s, p, previous, evidence(failures), Budget{Campaign: "c", Number: number, Train: 10_000}, 1)
		if err != nil {
			t.Fatal(err)
		}
		checkFloors(t, s, &r, 1e-8)
		if c := boostOf(&r, inside); c != nil && float64(c.Share)/whole < p.Shares.Smallest {
			small++
		}
		if previous != nil {
			if kl := divergence(t, s, &r, previous); math.Abs(kl-r.KL) > 2e-4 {
				t.Errorf("round %d: a step of %v, said to be %v", number, kl, r.KL)
			}
		}
		previous = &r
	}
	if small == 0 {
		t.Error("no round kept a small boost for the sake of the slice around it")
	}
	if boostOf(previous, inside) != nil {
		t.Error("the boost is still there")
	}
}
