package loop

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A round with a canary is two rounds in one, whatever the policies, the share and
// the evidence: each arm is what its policy decides alone after the arm of the round
// before (and so keeps I9 by itself), the quotas of both sum to what was asked for,
// the shares to 2^32, and the density is that of the mixture of both (I4, I9).
func TestArmsAreTwoRoundsInOne(t *testing.T) {
	canaries, bases, curricula, boosts, covers := 0, 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 3)
		arms := Arms{Stable: drawPolicy(t), Share: rapid.SampledFrom([]uint32{LeastCanary, MicroUnits / 10, MicroUnits / 3, MostCanary}).Draw(t, "share")}
		drawOverrides(t, s, arms.Stable)
		tried := drawPolicy(t)
		tried.Version = 2
		drawOverrides(t, s, tried)
		tried.Value.Time = rapid.Bool().Draw(t, "timed")
		for _, p := range []*Policy{arms.Stable, tried} {
			if rapid.IntRange(0, 3).Draw(t, "covers") == 0 {
				p.Coverage = Coverage{Order: 1, Samples: 2, Share: .2}
			}
		}
		var previous *Round
		always := true
		for number := 1; number <= 3; number++ {
			arms.Canary = nil
			if rapid.IntRange(0, 3).Draw(t, "trial") > 0 {
				arms.Canary = tried
			}
			e, b := vary(t, s, drawEvidence(t, s, 400)), drawBudget(t, s, number)
			if arms.Stable.Coverage.Order+tried.Coverage.Order > 0 {
				b.Train = min(b.Train, 1500) // a coverage draws again what was drawn before
			}
			before := previous.canonicalOrNil()
			r, err := arms.Decide(s, previous, e, b, 42)
			if err != nil {
				if refused, ok := err.(*Error); !ok || refused.Field != "floor" && refused.Field != "quota_by" {
					t.Fatalf("round %d: %v", number, err)
				}
				return
			}
			if !bytes.Equal(before, previous.canonicalOrNil()) {
				t.Fatal("the previous round was changed")
			}
			if again, err := arms.Decide(s, previous, e, b, 42); err != nil || !bytes.Equal(again.Canonical(), r.Canonical()) {
				t.Fatalf("I4: decided again, the round differs (%v)", err)
			}
			if arms.Canary == nil || b.Train < 2 {
				alone, err := Decide(s, arms.Stable, previous.Arm(false), e, b, 42)
				if err != nil || !bytes.Equal(alone.Canonical(), r.Canonical()) || strings.Contains(string(r.Canonical()), "canary") {
					t.Fatalf("without a canary it is another round: %s", r.Canonical())
				}
			} else {
				canaries++
				checkArms(t, s, arms, previous, &r, e, b, always)
				if r.Canary.Base != nil {
					bases++
				}
				if r.Canary.Curriculum != nil {
					curricula++
				}
				for _, c := range r.Components {
					switch {
					case c.Canary && c.Domain == Train && len(c.Slice) > 0:
						boosts++
					case c.Canary && c.Domain == Train && len(c.Cover) > 0:
						covers++
					}
				}
			}
			if b.Train > 0 {
				previous, always = &r, always && r.Canary != nil
			}
		}
	})
	if (canaries == 0 || bases == 0 || curricula == 0 || boosts == 0 || covers == 0) && !testing.Short() {
		t.Errorf("%d canaries, %d bases and %d curricula of their own, %d boosts, %d coverages: nothing was checked", canaries, bases, curricula, boosts, covers)
	}
}

func (r *Round) canonicalOrNil() []byte {
	if r == nil {
		return nil
	}
	return r.Canonical()
}

// checkArms holds a round against its twins: what each policy decides alone. There
// may always have been a canary.
func checkArms(t rapid.TB, s *Space, a Arms, previous, r *Round, e *Evidence, b Budget, always bool) {
	t.Helper()
	text := string(r.Canonical())
	// The twins: each policy alone, with its part of the samples.
	n := max(1, b.Train*uint64(a.Share)/MicroUnits)
	stable, canary := b, b
	stable.Train, canary.Train, canary.Evaluation = b.Train-n, n, EvaluationPlan{}
	var twins [2]Round
	var samplers [2]*Sampler
	for i, p := range []*Policy{a.Stable, a.Canary} {
		own := []Budget{stable, canary}[i]
		before := previous.Arm(i == 1)
		var err error
		if twins[i], err = Decide(s, p, before, p.asked(e), own, 42); err != nil {
			t.Fatal(err)
		}
		// A canary that began beside the stable arm is on its way from another policy's
		// mixture to its own.
		if p.Coverage.Order == 0 && (i == 0 || always) {
			checkRound(t, s, p, before, &twins[i], own)
		} else if twins[i].KL > p.Shares.TrustRegion {
			t.Fatalf("a new canary moves by %v, allowed %v", twins[i].KL, p.Shares.TrustRegion)
		}
		if samplers[i], err = NewSampler(s, &twins[i]); err != nil {
			t.Fatal(err)
		}
	}
	part := [2]float64{float64(b.Train-n) / float64(b.Train), float64(n) / float64(b.Train)}
	var shares, quota, mixture, tried uint64
	var at [2]int
	number := map[Domain]int{}
	for _, c := range r.Components {
		if c.Number != number[c.Domain] {
			t.Fatalf("components are not in order: %s", text)
		}
		number[c.Domain]++
		i := 0
		if c.Canary {
			i = 1
		}
		switch {
		case c.Domain == Train:
			shares += c.Share
			quota += c.Quota
			twin := twins[i].Components[at[i]]
			if at[i]++; c.Over != twin.Over || !c.Slice.Equal(twin.Slice) || c.Quota != twin.Quota || (c.By == nil) != (twin.By == nil) || len(c.Cover) != len(twin.Cover) || c.Share == 0 ||
				math.Abs(float64(c.Share)-part[i]*float64(twin.Share)) > float64(len(r.Components)) {
				t.Fatalf("of arm %d alone there is %+v, and here %+v", i, twin, c)
			}
		case c.Source == SourceMixture:
			mixture += c.Quota
			if c.Canary {
				tried += c.Quota
			}
		case c.Canary:
			t.Fatalf("the canary has evaluation samples of source %s", c.Source)
		}
	}
	if shares != whole || quota != b.Train || mixture != b.Evaluation.Mixture || tried != canaryPart(mixture, a.Share) || twins[0].Quota(Train) != b.Train-n || twins[1].Quota(Train) != n {
		t.Fatalf("shares %d, quotas %d and %d of %+v: %s", shares, quota, mixture, b, text)
	}
	if r.Canary.KL != twins[1].KL || r.Canary.Step != twins[1].Step || r.KL != twins[0].KL || !slices.Equal(r.Canary.Notes, twins[1].Notes) {
		t.Fatalf("the arms moved otherwise: %s", text)
	}
	if e.Len() > 0 && r.Evidence != e.Digest() {
		t.Fatal("the round names other evidence than it was decided from")
	}
	if d := r.ShareDistance(r); d != 0 {
		t.Fatalf("it is %v from itself: %s", d, text)
	}
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	slack := float64(len(r.Components)) / whole
	for _, c := range r.Components {
		for index := range min(c.Quota, 5) {
			x, err := sampler.Scenario(c.Domain, c.Number, index)
			if err != nil {
				t.Fatal(err)
			}
			want := part[0]*samplers[0].Density(x.Codes) + part[1]*samplers[1].Density(x.Codes)
			if q := sampler.Density(x.Codes); c.Domain == Train && q <= 0 || math.Abs(q-want) > slack {
				t.Fatalf("q = %v, want %v: %s", q, want, text)
			}
		}
	}
	// An arm is drawn as the round draws it, and is as dense as its twin.
	for i, canary := range []bool{false, true} {
		view := r.Arm(canary)
		own, err := NewSampler(s, view)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range view.Components {
			x, _ := own.Scenario(c.Domain, c.Number, 0)
			same, _ := sampler.Scenario(c.Domain, c.Number, 0)
			if !slices.Equal(x.Codes, same.Codes) || !slices.Equal(x.Fractions, same.Fractions) {
				t.Fatalf("the arm draws %v, the round %v", x, same)
			}
			if q, want := own.Density(x.Codes), samplers[i].Density(x.Codes); math.Abs(q-want) > slack/part[i] {
				t.Fatalf("the arm has density %v, alone it has %v", q, want)
			}
		}
	}
}

// A canary goes on from its own arm; one that is new, and the stable arm always,
// from the stable one. What ends leaves nothing behind.
func TestCanaryGoesOnFromItsOwnArm(t *testing.T) {
	s, e, _ := press(.01)
	s.Protected = nil
	failing := s.slice(t, "light", "low", "part", "gear")
	careful, bold := policy(), policy()
	careful.Shares.TrustRegion, bold.Shares.TrustRegion, bold.Version = .001, .004, 2
	careful.Damping.Samples, bold.Damping.Samples = 1e9, 1e9
	arms := Arms{Stable: careful, Canary: bold, Share: MicroUnits / 10}
	var previous *Round
	var shares [2][]uint64 // of the boost in the stable arm, and in the canary
	for number := 1; number <= 5; number++ {
		evidence := e
		switch number {
		case 1:
			evidence = nil // all begin at the base
		case 4:
			arms.Canary = nil // withdrawn
		case 5:
			arms.Canary = bold // begun again
		}
		r, err := arms.Decide(s, previous, evidence, Budget{Campaign: "c", Number: number, Train: 10_000, Evaluation: EvaluationPlan{Target: 10, Mixture: 100}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i, canary := range []bool{false, true} {
			share := uint64(0)
			if b := boostOf(r.Arm(canary), failing); b != nil {
				share = b.Share
			}
			shares[i] = append(shares[i], share)
		}
		if (r.Canary != nil) != (number != 4) {
			t.Errorf("round %d: canary %+v", number, r.Canary)
		}
		previous = &r
	}
	stable, canary := shares[0], shares[1]
	if !(stable[1] < stable[2] && stable[2] < stable[3] && canary[1] < canary[2] && canary[2] > stable[2]) {
		t.Errorf("the arms do not each go their way: %v, %v", stable, canary)
	}
	if canary[3] != stable[3] { // there is no canary: either arm is the round
		t.Errorf("withdrawn it has %v, the round %v", canary[3], stable[3])
	}
	if !(canary[4] > stable[3] && float64(canary[4]) < float64(canary[2])*1.5) {
		t.Errorf("begun again it does not go on from the stable arm: %v, %v", stable, canary)
	}
}

// The share of a canary is bounded, what its policy cannot be decided by is said to
// be its, and a round that names a canary which it has not is refused.
func TestCanaryRefused(t *testing.T) {
	s, e, _ := press(.01)
	s.Protected = nil
	b := Budget{Campaign: "c", Number: 1, Train: 100}
	for _, share := range []uint32{0, LeastCanary - 1, MostCanary + 1, math.MaxUint32} {
		if _, err := (Arms{policy(), policy(), share}).Decide(s, nil, e, b, 1); err == nil || !strings.Contains(err.Error(), "0.1% to 50%") {
			t.Errorf("%d: %v", share, err)
		}
	}
	lost := policy()
	lost.Bans = []Override{{Slice: map[string]string{"nothing": "such"}}}
	if _, err := (Arms{policy(), lost, MostCanary}).Decide(s, nil, e, b, 1); err == nil || !strings.Contains(err.Error(), `the canary: space "press" has no factor "nothing"`) {
		t.Error(err)
	}
	r, err := Decide(s, policy(), nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.Components[0].Canary = true
	if _, err := NewSampler(s, &r); err == nil {
		t.Error("a component of no canary can be drawn")
	}
}

// What samples took is of value to the policy that asks for it, and to no other,
// also where both are decided from the same evidence.
func TestArmIsDecidedByWhatItAskedFor(t *testing.T) {
	s, e, _ := press(.01)
	s.Protected = nil
	dear := s.slice(t, "light", "low", "part", "gear")
	e.Made = []Made{{Accepted: 1000, Millis: 1000}, {Slice: dear, Accepted: 1000, Millis: 8000}}
	plain, thrifty := policy(), policy()
	plain.Shares.Cap, thrifty.Shares.Cap = 1, 1
	thrifty.Value.Time = true
	share := func(a Arms, canary bool) uint64 {
		r, err := a.Decide(s, nil, e, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return boostOf(r.Arm(canary), dear).Share
	}
	untimed := *e
	untimed.Made = []Made{{Accepted: 1000}, {Slice: dear, Accepted: 1000}}
	alone, err := Decide(s, plain, nil, &untimed, Budget{Campaign: "c", Number: 1, Train: 10_000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := boostOf(&alone, dear).Share
	for _, a := range []Arms{{plain, thrifty, MostCanary}, {thrifty, plain, MostCanary}} {
		if got := share(a, a.Canary == plain); got != want {
			t.Errorf("who did not ask for it gives %d, want %d", got, want)
		}
		if got := share(a, a.Canary == thrifty); got >= want {
			t.Errorf("who asked for it gives %d of what is dear, not less than %d", got, want)
		}
	}
	if e.Made[1].Millis != 8000 {
		t.Error("the evidence was changed")
	}
}

// Two samples are enough for two arms, one is not; and a canary that makes less than
// its share would make all that there is.
func TestCanaryPart(t *testing.T) {
	for _, x := range []struct {
		n     uint64
		share uint32
		want  uint64
	}{{0, MostCanary, 0}, {1, MostCanary, 0}, {2, LeastCanary, 1}, {3, MostCanary, 1}, {100, MicroUnits / 10, 10}, {999, MicroUnits / 10, 99}, {MaxQuota - 1, MostCanary, (MaxQuota - 1) / 2}} {
		if got := canaryPart(x.n, x.share); got != x.want {
			t.Errorf("%d of %d: %d, want %d", x.share, x.n, got, x.want)
		}
	}
}

// A round of before there were canaries reads as it was, and one with a canary reads
// as it was written.
func TestCanaryIsWritten(t *testing.T) {
	s, e, _ := press(.01)
	bold := policy()
	bold.Floor = 1
	r, err := (Arms{policy(), bold, MicroUnits / 10}).Decide(s, nil, e, Budget{Campaign: "c", Number: 1, Train: 100}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var read Round
	if err := json.Unmarshal(r.Canonical(), &read); err != nil || !bytes.Equal(read.Canonical(), r.Canonical()) || read.Canary.Base == nil {
		t.Errorf("%v: %s", err, read.Canonical())
	}
	r.Memory.Probed = []Probed{{Slice: s.slice(t, "hand", "bare")}}
	if arm := r.Arm(true); len(arm.Memory.Probed) != 1 || len(r.Canary.Memory.Probed) != 0 {
		t.Errorf("the probes of the round tell its arm %+v", arm.Memory.Probed)
	}
	if d := r.Differences(r.Arm(false), 100); len(d) == 0 {
		t.Error("an arm is the round")
	}
}

// The interval holds the difference about as often as it says, also for few rows and
// rates near 0 and 1 (Newcombe 1998, table II: what is published for method 10).
func TestContrast(t *testing.T) {
	for _, x := range []struct{ k, n, otherK, otherN, lower, upper float64 }{
		{56, 70, 48, 80, .0524, .3339},
		{9, 10, 3, 10, .1705, .8090},
		{10, 10, 0, 10, .6075, 1},
		{0, 10, 0, 20, -.1611, .2775},
	} {
		i := Contrast(x.k, x.n, x.otherK, x.otherN)
		if math.Abs(i.Lower-x.lower) > 5e-5 || math.Abs(i.Upper-x.upper) > 5e-5 || i.Expected != x.k/x.n-x.otherK/x.otherN {
			t.Errorf("%v/%v against %v/%v: %+v, want %v to %v", x.k, x.n, x.otherK, x.otherN, i, x.lower, x.upper)
		}
		if o := Contrast(x.otherK, x.otherN, x.k, x.n); math.Abs(o.Lower+i.Upper) > 1e-15 || math.Abs(o.Upper+i.Lower) > 1e-15 {
			t.Errorf("the other way round it is %+v", o)
		}
	}
	if i := Contrast(0, 0, 1, 2); i.Lower != -1 || i.Upper != 1 {
		t.Errorf("of nothing it is %+v", i)
	}
}
