package loop

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawOverrides gives a policy pins and bans that it and the space can take.
func drawOverrides(t *rapid.T, s *Space, p *Policy) {
	allowed := func() bool {
		if p.Validate() != nil {
			return false
		}
		_, err := Decide(s, p, nil, nil, Budget{Campaign: "random", Number: 1, Train: 10}, 42)
		return err == nil
	}
	for range rapid.IntRange(0, 3).Draw(t, "pins") {
		before := p.Pins
		p.Pins = append(slices.Clone(before), Override{Slice: s.Names(drawSlice(t, s, 3)), Author: "ann",
			Share: rapid.SampledFrom([]float64{1e-6, .001, .1, 1. / 3, .6}).Draw(t, "pin")})
		if !allowed() {
			p.Pins = before
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "bans") {
		before := p.Bans
		p.Bans = append(slices.Clone(before), Override{Slice: s.Names(drawSlice(t, s, 2)), Reason: "it is broken"})
		if !allowed() {
			p.Bans = before
		}
	}
}

// checkOverrides: a pinned slice has its share to the last of 2^-32, and no
// component lies inside a banned one (I9).
func checkOverrides(t rapid.TB, s *Space, p *Policy, r *Round) {
	t.Helper()
	for i := range p.Pins {
		slice, err := p.Pins[i].Resolve(s, "")
		if err != nil {
			t.Fatal(err)
		}
		share := uint64(0)
		for _, c := range r.Components {
			if c.Domain == Train && c.Slice.Equal(slice) {
				share += c.Share
				if c.Reason.Pin == nil || c.Reason.Pin.Share != p.Pins[i].Share || !strings.Contains(c.Reason.Sentence, "is pinned at") {
					t.Fatalf("the reason of a pin is %+v", c.Reason)
				}
			}
		}
		if off := math.Abs(float64(share) - p.Pins[i].Share*whole); off > 1 {
			t.Fatalf("%s is pinned at %v and has %v, %v of 2^-32 off: %s", s.Describe(slice), p.Pins[i].Share, float64(share)/whole, off, r.Canonical())
		}
	}
	for i := range p.Bans {
		ban, err := p.Bans[i].Resolve(s, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Components {
			for _, row := range c.Cover {
				if banned([]Slice{ban}, row) {
					t.Fatalf("%s is banned, yet a coverage asks for %s", s.Describe(ban), s.Describe(row))
				}
			}
			if c.Domain != Evaluation && len(c.Slice) > 0 && (&cell{slice: c.Slice}).within(ban) {
				t.Fatalf("%s is banned, yet there is a component of %s", s.Describe(ban), s.Describe(c.Slice))
			}
		}
	}
}

// A pin holds from the round on in which it is new, however small the trust
// region, and what it had is handed back step by step when it ends; a ban takes
// a boost away at once.
func TestOverridesHoldAtOnce(t *testing.T) {
	s, e, _ := press(.01)
	s.Protected = nil
	failing, hand := s.slice(t, "light", "low", "part", "gear"), s.slice(t, "hand", "bare")
	p := policy()
	p.Shares.TrustRegion = .01
	pin := Override{Slice: map[string]string{"hand": "bare"}, Share: .25, Author: "ann", Reason: "hands are new", Expires: "2030-01-31"}
	ban := Override{Slice: map[string]string{"light": "low"}, Reason: "the lamp is broken"}
	lastDay, _ := pin.lastDay()
	var previous *Round
	rounds := []Round{{}}
	for number := 1; number <= 14; number++ {
		b := Budget{Campaign: "c", Number: number, Train: 10_000, Day: lastDay - 8 + number}
		switch number {
		case 3:
			p.Pins = []Override{pin}
		case 6:
			p.Bans = []Override{ban}
		}
		r, err := Decide(s, p, previous, e, b, 1)
		if err != nil {
			t.Fatal(err)
		}
		own, boosted := boostOf(&r, hand), boostOf(&r, failing)
		switch {
		case number < 3 && (own != nil || boosted == nil), number >= 6 && boosted != nil:
			t.Errorf("round %d: %s", number, r.Canonical())
		case number >= 3 && number <= 8: // until the end of its last day
			checkOverrides(t, s, p, &r)
			if own.Quota != 2500 {
				t.Errorf("round %d makes %d samples of the pin", number, own.Quota)
			}
			if want := "hand=bare is pinned at 25% by ann (hands are new), until 2030-01-31: whatever the evidence says"; !strings.Contains(own.Reason.Sentence, want) {
				t.Errorf("round %d says %q", number, own.Reason.Sentence)
			}
		case number == 9 && (own == nil || own.Share == 0 || own.Reason.Pin != nil || !strings.Contains(own.Reason.Sentence, "is no longer protected or pinned")):
			t.Errorf("round %d, the day after: %+v", number, own)
		}
		notes := strings.Join(r.Notes, "\n")
		if over := strings.Contains(notes, "The pin of hand=bare by ann (hands are new), until 2030-01-31 is over"); over != (number > 8) {
			t.Errorf("round %d notes %q", number, notes)
		}
		if told := strings.Contains(notes, "light=low is banned (the lamp is broken): neither it nor anything inside it"); told != (number >= 6) {
			t.Errorf("round %d notes %q", number, notes)
		}
		if r.KL > p.Shares.TrustRegion {
			t.Errorf("round %d: divergence %v", number, r.KL)
		}
		rounds = append(rounds, r)
		previous = &rounds[number]
	}
	if a, b := boostOf(&rounds[9], hand), boostOf(&rounds[12], hand); b != nil && b.Share >= a.Share {
		t.Errorf("what was pinned had %d and has %d", a.Share, b.Share)
	}
}

// What a pin takes comes from the base while it has more than its least, then from
// the boosts.
func TestPinIsTakenFromTheBase(t *testing.T) {
	s, e, _ := press(.01)
	s.Protected = nil
	failing := s.slice(t, "light", "low", "part", "gear")
	var without uint64
	for _, share := range []float64{0, .1, .6} {
		p := policy()
		if share > 0 {
			p.Pins = []Override{{Slice: map[string]string{"hand": "bare"}, Share: share}}
		}
		r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
		if err != nil {
			t.Fatal(err)
		}
		checkOverrides(t, s, p, &r)
		boosted, base := boostOf(&r, failing), boostOf(&r, nil)
		switch share {
		case 0:
			without = boosted.Share
		case .1:
			if boosted.Share != without {
				t.Errorf("a small pin takes the boost from %d to %d", without, boosted.Share)
			}
		case .6:
			if boosted.Share >= without || math.Abs(float64(base.Share)/whole-p.Shares.Base) > 1e-9 {
				t.Errorf("a great pin leaves %d of %d to the boost, and %v to the base", boosted.Share, without, float64(base.Share)/whole)
			}
		}
	}
}

// A banned slice's share goes to the other boosts, and its rows still count.
func TestBanLeavesItsShareToOthers(t *testing.T) {
	s, e, _ := press(.01)
	s.Protected = nil
	for i := range e.Len() { // hands fail in the glare, too
		if e.Codes[0][i] == 1 && e.Codes[1][i] == 2 {
			e.Failures[i] = 200
		}
	}
	p := policy()
	p.Shares.Cap = 1
	low, glare := s.slice(t, "light", "low", "part", "gear"), s.slice(t, "hand", "bare", "light", "glare")
	plain, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.Bans = []Override{{Slice: map[string]string{"part": "gear", "light": "low"}}}
	banned, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkOverrides(t, s, p, &banned)
	if notes := strings.Join(banned.Notes, "\n"); strings.Contains(notes, "all but forbid") {
		t.Errorf("it is a ban that keeps the slice from being boosted: %s", notes)
	}
	if boostOf(&plain, low) == nil || boostOf(&plain, glare) == nil || boostOf(&banned, glare) == nil {
		t.Fatalf("without: %s\nwith: %s", plain.Canonical(), banned.Canonical())
	}
	if a, b := boostOf(&plain, glare).Share, boostOf(&banned, glare).Share; b <= a {
		t.Errorf("beside a banned slice another has %d, without the ban %d", b, a)
	}
	if plain.EvidenceRows != banned.EvidenceRows || plain.FailureRate != banned.FailureRate {
		t.Error("the rows of a banned slice do not count")
	}
}

func TestOverridesAreRefused(t *testing.T) {
	names := func(pairs ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	for name, test := range map[string]struct {
		change func(p *Policy, s *Space)
		field  string
	}{
		"no slice": {func(p *Policy, _ *Space) { p.Pins = []Override{{Share: .1}} }, "pins[0].slice"},
		"seven predicates": {func(p *Policy, _ *Space) {
			p.Bans = []Override{{Slice: names("a", "1", "b", "1", "c", "1", "d", "1", "e", "1", "f", "1", "g", "1")}}
		}, "bans[0].slice"},
		"no share":           {func(p *Policy, _ *Space) { p.Pins = []Override{{Slice: names("hand", "bare")}} }, "pins[0].share"},
		"not a number":       {func(p *Policy, _ *Space) { p.Pins = []Override{{Slice: names("hand", "bare"), Share: math.NaN()}} }, "pins[0].share"},
		"a ban with a share": {func(p *Policy, _ *Space) { p.Bans = []Override{{Slice: names("hand", "bare"), Share: .1}} }, "bans[0].share"},
		"no such day":        {func(p *Policy, _ *Space) { p.Bans = []Override{{Slice: names("hand", "bare"), Expires: "2030-02-30"}} }, "bans[0].expires"},
		"before there were":  {func(p *Policy, _ *Space) { p.Bans = []Override{{Slice: names("hand", "bare"), Expires: "1970-01-01"}} }, "bans[0].expires"},
		"a long reason": {func(p *Policy, _ *Space) {
			p.Bans = []Override{{Slice: names("hand", "bare"), Reason: strings.Repeat("x", 2000)}}
		}, "bans[0].reason"},
		"a long author": {func(p *Policy, _ *Space) {
			p.Bans = []Override{{Slice: names("hand", "bare"), Author: strings.Repeat("x", 200)}}
		}, "bans[0].author"},
		"banned twice": {func(p *Policy, _ *Space) {
			p.Bans = []Override{{Slice: names("hand", "bare")}, {Slice: names("hand", "bare")}}
		}, "bans[1].slice"},
		"more than the whole": {func(p *Policy, _ *Space) { p.Pins = []Override{{Slice: names("hand", "bare"), Share: .7}} }, "pins[0].share"},
		"pinned twice": {func(p *Policy, _ *Space) {
			p.Pins = []Override{{Slice: names("hand", "bare"), Share: .1}, {Slice: names("hand", "bare"), Share: .2}}
		}, "pins[1].slice"},
		"pinned inside a ban": {func(p *Policy, _ *Space) {
			p.Pins, p.Bans = []Override{{Slice: names("hand", "bare", "part", "bolt"), Share: .1}}, []Override{{Slice: names("part", "bolt")}}
		}, "pins[0].slice"},
		"too many": {func(p *Policy, _ *Space) {
			for i := range MaxOverrides + 1 {
				p.Bans = append(p.Bans, Override{Slice: names("hand", strings.Repeat("x", i+1))})
			}
		}, "bans[100]"},
		"unknown factor": {func(p *Policy, _ *Space) { p.Pins = []Override{{Slice: names("glove", "bare"), Share: .1}} }, "pins[0].slice.glove"},
		"unknown level":  {func(p *Policy, _ *Space) { p.Bans = []Override{{Slice: names("hand", "three")}} }, "bans[0].slice.hand"},
		"never made": {func(p *Policy, s *Space) {
			none := 0
			s.Protected, s.Factors[0].Pin = nil, &none
			p.Pins = []Override{{Slice: names("hand", "bare"), Share: .1}}
		}, "pins[0].slice"},
		"forbidden": {func(p *Policy, s *Space) {
			s.Protected, s.Constraints = nil, []Constraint{{When: []LevelSet{{Factor: 0, Levels: []int{1}}, {Factor: 1, Levels: []int{0}}}}}
			p.Pins = []Override{{Slice: names("hand", "bare", "light", "low"), Share: .1}}
		}, "pins[0].slice"},
		"less than protected":  {func(p *Policy, _ *Space) { p.Pins = []Override{{Slice: names("hand", "bare"), Share: .1}} }, "pins"},
		"protected and banned": {func(p *Policy, _ *Space) { p.Bans = []Override{{Slice: names("hand", "bare")}} }, "bans"},
		"more than is left":    {func(p *Policy, _ *Space) { p.Pins = []Override{{Slice: names("light", "low"), Share: .65}} }, "pins"},
	} {
		s, e, _ := press(.3)
		p := policy()
		test.change(p, s)
		if err := s.Validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 100}, 1)
		if refused, ok := errors.AsType[*Error](err); !ok || refused.Field != test.field {
			t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
		}
	}
}

// What is pinned inside a protected slice counts towards its floor, and both hold.
func TestPinsAndProtectedSlices(t *testing.T) {
	s, e, _ := press(.3)
	for _, share := range []float64{.05, .29, .3, .5} {
		p := policy()
		p.Pins = []Override{{Slice: map[string]string{"hand": "bare", "light": "low"}, Share: share}, {Slice: map[string]string{"part": "gear"}, Share: .05}}
		r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
		if err != nil {
			t.Fatal(err)
		}
		checkOverrides(t, s, p, &r)
		checkFloors(t, s, &r, 1e-8)
		if own := boostOf(&r, s.Protected[0].Slice); (own != nil) != (share < .29) {
			t.Errorf("pinned at %v: %+v", share, own)
		}
	}
}

// The parts of a description are in one order, whatever the map's (I4).
func TestOverrideIsDescribed(t *testing.T) {
	o := Override{Slice: map[string]string{"light": "low", "arm": "bent"}, Author: "ann", Reason: "why not", Expires: "2030-01-31"}
	if got, want := o.Describe(), "arm=bent ∧ light=low by ann (why not), until 2030-01-31"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	day, refused := o.lastDay()
	if refused != nil || o.Expired(0) || o.Expired(day) || !o.Expired(day+1) {
		t.Errorf("day %d, %v", day, refused)
	}
	if wider := (Override{Slice: map[string]string{"arm": "bent"}}); !o.within(&wider) || wider.within(&o) || !maps.Equal(o.Slice, map[string]string{"arm": "bent", "light": "low"}) {
		t.Error("within")
	}
}
