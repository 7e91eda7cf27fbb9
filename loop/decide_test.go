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

// drawPolicy draws a valid policy: the default with any of its numbers changed.
func drawPolicy(t *rapid.T) *Policy {
	p := DefaultPolicy()
	p.Name = "random"
	p.Strategy = rapid.SampledFrom(append(Strategies(), StrategyHone, StrategyHone, StrategyHone, StrategyHone)).Draw(t, "strategy")
	p.Floor = rapid.SampledFrom([]float64{.2, 0, .01, 1}).Draw(t, "floor")
	p.MinimumRows = rapid.SampledFrom([]int{1, 50, 5000}).Draw(t, "minimum rows")
	p.Memory = rapid.SampledFrom([]float64{.5, 0, 1, .3}).Draw(t, "memory")
	p.Window = rapid.IntRange(1, 4).Draw(t, "window")
	p.Search.Order = rapid.IntRange(1, 3).Draw(t, "order")
	p.Search.FalseDiscovery = rapid.SampledFrom([]float64{.05, .5}).Draw(t, "false discovery")
	p.Search.MinimumSupport = rapid.SampledFrom([]float64{12, 1, 3}).Draw(t, "support")
	p.Search.MinimumZ = rapid.SampledFrom([]float64{2.5, 0, 1}).Draw(t, "z")
	p.Search.Descent = rapid.SampledFrom([]float64{.6, 0, 1}).Draw(t, "descent")
	p.Search.Slices = rapid.SampledFrom([]int{12, 0, 1, 40}).Draw(t, "slices")
	p.Shares.Base = rapid.SampledFrom([]float64{.35, .001, .9, 1}).Draw(t, "base")
	p.Shares.Boosted = min(rapid.SampledFrom([]float64{.5, 0, .1, 1}).Draw(t, "boosted"), 1-p.Shares.Base)
	p.Shares.Cap = rapid.SampledFrom([]float64{.15, 0, 1}).Draw(t, "cap")
	p.Shares.Prevalence = rapid.SampledFrom([]float64{.7, 0, 1}).Draw(t, "prevalence")
	p.Shares.Smallest = rapid.SampledFrom([]float64{.001, 1e-6, .05}).Draw(t, "smallest")
	p.Shares.TrustRegion = rapid.SampledFrom([]float64{1, 1e-3, .01, .1, 100}).Draw(t, "trust region")
	p.Damping.Samples = rapid.SampledFrom([]uint64{150, 1, 20}).Draw(t, "samples")
	p.Damping.Rows = rapid.SampledFrom([]float64{15, 1}).Draw(t, "rows")
	p.Damping.Reopen = rapid.SampledFrom([]int{5, 0, 1}).Draw(t, "reopen")
	p.Damping.Trickle = rapid.SampledFrom([]float64{.05, 0, 1}).Draw(t, "trickle")
	p.Probes.Slices = rapid.SampledFrom([]int{10, 0, 1}).Draw(t, "probes")
	p.Curriculum.Schedule = rapid.SampledFrom([]string{"", ScheduleEvidence, ScheduleLinear, ScheduleCompetence, ScheduleProgress}).Draw(t, "schedule")
	p.Curriculum.Share = rapid.SampledFrom([]float64{0, .3, 1}).Draw(t, "curriculum")
	p.Curriculum.Rounds = rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "curriculum rounds")
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return &p
}

// vary gives half of the evidence drawn all that evidence may have: several things
// that are learned from, weights from one end to the other, groups, severities,
// probes, and what samples took.
func vary(t *rapid.T, s *Space, e *Evidence) *Evidence {
	if rapid.Bool().Draw(t, "plain") {
		return e
	}
	seed := rapid.Uint64().Draw(t, "variety")
	draw := func(n uint64) uint64 { seed = mix(seed); return seed % n }
	out := &Evidence{}
	if draw(2) == 0 {
		out.Learned = []Learned{{ModelLine: "a", Task: "x", Unit: "mm", Importance: 1e-3}, {ModelLine: "b", Importance: 1e6}}
	}
	if draw(2) == 0 {
		out.Severity, out.Squares = []int64{}, []int64{}
	}
	for i := range e.Len() {
		l := e.line(i)
		l.From = uint8(draw(uint64(max(1, len(out.Learned)))))
		l.Weight = []int64{1, MicroUnits / 10, MicroUnits, 7 * MicroUnits, maxEvidenceWeight}[draw(5)]
		l.Group = uint32(draw(6))
		if draw(5) == 0 {
			l.Source = SourceProbe
		}
		l.Loss = int64(draw(1000)) - 500
		l.Severity = int64(draw(uint64(l.Rows*MicroUnits) + 1))
		l.Squares = l.Severity / int64(1+draw(3))
		out.Append(l)
	}
	out.Sort()
	out.Made = []Made{{Accepted: int64(draw(100)), Rejected: int64(draw(100)), Millis: int64(draw(1e6))}}
	for l := range s.Factors[0].Levels {
		out.Made = append(out.Made, Made{Slice: Slice{{Factor: 0, Level: l}}, Accepted: int64(draw(100)), Rejected: int64(draw(100)), Millis: int64(draw(1e6))})
	}
	return out
}

func drawBudget(t *rapid.T, s *Space, number int) Budget {
	b := Budget{Campaign: "random", Number: number,
		Train: rapid.SampledFrom([]uint64{1500, 0, 1, 7, MaxQuota - 1}).Draw(t, "train")}
	b.Evaluation.Target = rapid.SampledFrom([]uint64{0, 100, MaxQuota - 1}).Draw(t, "target")
	b.Evaluation.Mixture = rapid.SampledFrom([]uint64{0, 100, 3}).Draw(t, "mixture")
	if b.Evaluation.Target < 1000 {
		b.Evaluation.Probe = rapid.SampledFrom([]uint64{0, 100, 3}).Draw(t, "probe")
	}
	if b.Train == 0 {
		b.Evaluation.Mixture = 0
	}
	if rapid.Bool().Draw(t, "split") {
		f := rapid.IntRange(0, len(s.Factors)-1).Draw(t, "quota_by")
		if s.Factors[f].When == nil {
			b.QuotaBy = s.Factors[f].Name
		}
	}
	return b
}

// I4, I9 and C6, over random spaces, policies of all strategies, evidence and chains
// of rounds, with pins, bans, protected slices and a coverage in any combination: what
// Decide returns can always be drawn from, is decided again from what was stored, and
// every promise about shares and quotas holds.
func TestDecideKeepsItsPromises(t *testing.T) {
	decided, boosted, sheltered, pinned, covered := 0, 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 5, 4)
		for range rapid.IntRange(0, 2).Draw(t, "risks") {
			if slice := drawSlice(t, s, 2); s.ValidateSlice("", slice) == nil {
				s.Risks = append(s.Risks, Risk{Slice: slice, Weight: rapid.SampledFrom([]float64{.1, 3, 1e6}).Draw(t, "risk")})
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "protected") {
			before := s.Protected
			s.Protected = append(slices.Clone(before), Protected{Slice: drawSlice(t, s, 3),
				Share: rapid.SampledFrom([]float64{.001, .05, .3, .8}).Draw(t, "share"), Reason: "someone said so"})
			if s.Validate() != nil {
				s.Protected = before
			}
		}
		p := drawPolicy(t)
		p.Coverage.Order = rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "coverage")
		p.Coverage.Share = rapid.SampledFrom([]float64{.05, .5}).Draw(t, "coverage share")
		drawOverrides(t, s, p)
		pinned += len(p.Pins)
		var previous *Round
		for number := 1; number <= 4; number++ {
			e := vary(t, s, drawEvidence(t, s, 400))
			b := drawBudget(t, s, number)
			if p.Coverage.Order > 0 {
				b.Train = min(b.Train, 3000) // every sample of the round before is drawn
			}
			var before []byte
			if previous != nil {
				before = previous.Canonical()
			}
			r, err := Decide(s, p, previous, e, b, 42)
			if err != nil {
				if refused, ok := err.(*Error); !ok || refused.Field != "floor" && refused.Field != "quota_by" {
					t.Fatalf("round %d: %v", number, err)
				}
				return
			}
			decided++
			if previous != nil && !bytes.Equal(before, previous.Canonical()) {
				t.Fatal("the previous round was changed")
			}
			for _, c := range r.Components {
				if c.Domain == Train && len(c.Slice) > 0 {
					boosted++
				}
				if c.Reason != nil && c.Reason.Protected > 0 {
					sheltered++
				}
				covered += len(c.Cover)
			}
			checkRound(t, s, p, previous, &r, b)
			kept, err := DecodeEvidence(e.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if again, err := Decide(s, p, previous, &kept, b, 42); err != nil || !bytes.Equal(again.Canonical(), r.Canonical()) {
				t.Fatalf("I4: decided again from the evidence object, the round differs (%v)", err)
			}
			var stored Round
			if err := json.Unmarshal(r.Canonical(), &stored); err != nil || !bytes.Equal(stored.Canonical(), r.Canonical()) {
				t.Fatalf("I4: read back, the round differs (%v): %s", err, r.Canonical())
			}
			if b.Train > 0 {
				previous = &stored
			}
		}
	})
	if (decided == 0 || boosted == 0 || sheltered == 0 || pinned == 0 || covered == 0) && !testing.Short() {
		t.Errorf("%d rounds decided with %d boosts, %d protected and %d pinned slices, %d rows of coverage: nothing was checked", decided, boosted, sheltered, pinned, covered)
	}
}

func checkRound(t rapid.TB, s *Space, p *Policy, previous, r *Round, b Budget) {
	t.Helper()
	text := string(r.Canonical()) // panics on a NaN
	if strings.Contains(text, "NaN") || strings.Contains(text, "%!") {
		t.Fatalf("the round reads %s", text)
	}
	// One unit of 2^-32 per component is rounding.
	unit := float64(len(r.Components)) / whole
	var shares, quota, target, mixture, probe, pinned, base uint64
	boosts, sheltered := map[string]uint64{}, map[string]uint64{}
	number := map[Domain]int{}
	for i, c := range r.Components {
		if c.Number != number[c.Domain] || i > 0 && c.Domain < r.Components[i-1].Domain {
			t.Fatalf("components are not ordered by domain and number: %s", text)
		}
		number[c.Domain]++
		if c.Share == 0 || c.Share > whole {
			t.Fatalf("component %d has share %d", i, c.Share)
		}
		switch {
		case c.Domain == Train:
			shares += c.Share
			quota += c.Quota
			if len(c.Slice) == 0 {
				base += c.Share
			} else {
				into := boosts
				if c.Reason != nil && c.Reason.held() {
					into = sheltered
				}
				into[s.Describe(c.Slice)] += c.Share
				if c.Reason == nil || c.Reason.Sentence == "" {
					t.Fatalf("boost %s has no reason", s.Describe(c.Slice))
				}
			}
		case c.Source == SourceTarget:
			target += c.Quota
		case c.Source == SourceMixture:
			mixture += c.Quota
		case c.Source == SourcePinned:
			pinned += c.Quota
		case c.Source == SourceProbe:
			probe += c.Quota
			if len(c.Slice) == 0 || c.Quota == 0 {
				t.Fatalf("a probe of %s makes %d", s.Describe(c.Slice), c.Quota)
			}
		default:
			t.Fatalf("component %d has no source", i)
		}
	}
	if quota != b.Train || target+probe != b.Evaluation.Target+b.Evaluation.Probe || probe > b.Evaluation.Probe || mixture != b.Evaluation.Mixture || pinned != 0 {
		t.Fatalf("quotas %d %d %d %d for %+v", quota, target, mixture, pinned, b)
	}
	if b.Train == 0 {
		return
	}
	if !(r.Effective >= 0 && r.Effective <= 1) {
		t.Fatalf("a sample is worth %v", r.Effective)
	}
	if shares != whole {
		t.Fatalf("shares sum to %d", shares)
	}
	if p.Strategy == StrategyUniform && len(boosts) > 0 && previous == nil {
		t.Fatal("a uniform policy boosts")
	}
	checkOverrides(t, s, p, r)
	// The policy's shares are of what protected slices leave, all of it taken from
	// what is not pinned.
	loose, free, others := 1., 1., 0.
	for _, pin := range p.Pins {
		loose -= pin.Share
	}
	for _, protected := range s.Protected {
		free -= protected.Share / loose
	}
	for _, share := range boosts {
		others += float64(share) / whole
	}
	if float64(base)/whole < free*p.Shares.Base-unit {
		t.Fatalf("the base has %v, less than %v of %v", float64(base)/whole, p.Shares.Base, free)
	}
	if others > p.Shares.Boosted+unit {
		t.Fatalf("the boosts have %v, more than %v", others, p.Shares.Boosted)
	}
	checkFloors(t, s, r, unit)
	for slice, share := range boosts {
		if float64(share)/whole > p.Shares.Cap+unit {
			t.Fatalf("%s has %v, more than %v", slice, float64(share)/whole, p.Shares.Cap)
		}
	}
	for i, m := range r.Memory.Slices {
		if !(m.Damping >= p.Damping.Least && m.Damping <= 1) || i > 0 && r.Memory.Slices[i-1].Slice.compare(m.Slice) >= 0 {
			t.Fatalf("memory %+v", r.Memory)
		}
	}
	if !(r.Step >= 0 && r.Step <= 1) || !(r.KL >= 0 && r.KL <= p.Shares.TrustRegion) {
		t.Fatalf("step %v, divergence %v, allowed %v", r.Step, r.KL, p.Shares.TrustRegion)
	}
	if b.QuotaBy != "" {
		checkSplit(t, s, r, b)
	}
	covers := func(c Component) bool { return len(c.Cover) > 0 } // outside the trust region
	if previous != nil && !slices.ContainsFunc(r.Components, covers) && !slices.ContainsFunc(previous.Components, covers) {
		kl := divergence(t, s, r, previous)
		if math.Abs(kl-r.KL) > .01+.02*kl || kl > 1.02*p.Shares.TrustRegion+.01 {
			t.Fatalf("the divergence from the previous round is %v by enumeration, said to be %v, allowed %v", kl, r.KL, p.Shares.TrustRegion)
		}
	}
}

// checkFloors: by an enumeration of the joint the mixture has enough of every
// protected slice, and nothing of what a pin excludes (I9).
func checkFloors(t rapid.TB, s *Space, r *Round, unit float64) {
	t.Helper()
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	has := make([]float64, len(s.Protected))
	for _, x := range enumerate(s, r.Base) {
		if !allowed(s, x.codes) {
			continue
		}
		q := sampler.Density(x.codes)
		for i, p := range s.Protected {
			if p.Slice.Matches(x.codes) {
				has[i] += q
			}
		}
		for _, pin := range s.pins() {
			if code := x.codes[pin.Factor]; code.IsLevel() && int(code) != pin.Level && q+sampler.Target(x.codes) > 0 {
				t.Fatalf("%v has a density, but %s is pinned", x.codes, s.Describe(Slice{pin}))
			}
		}
	}
	for i, p := range s.Protected {
		if has[i] < p.Share-unit {
			t.Fatalf("the mixture has %v of %s, which is promised %v: %s", has[i], s.Describe(p.Slice), p.Share, r.Canonical())
		}
	}
}

// checkSplit: every training component has one level of the factor, and per
// boosted slice the quotas are within one of the slice's conditional
// distribution (C6).
func checkSplit(t rapid.TB, s *Space, r *Round, b Budget) {
	t.Helper()
	f := s.Factor(b.QuotaBy)
	for _, c := range r.Components {
		if c.Domain == Train && (c.By == nil || c.By.Factor != f || c.Fixed().Level(f) != c.By.Level) {
			t.Fatalf("component %d is not split by %s: %+v", c.Number, b.QuotaBy, c)
		}
	}
}

// divergence is KL(new || previous) by enumeration of the joint.
func divergence(t rapid.TB, s *Space, r, previous *Round) float64 {
	t.Helper()
	a, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSampler(s, previous)
	if err != nil {
		t.Fatal(err)
	}
	kl := 0.0
	for _, x := range enumerate(s, r.Base) {
		if !allowed(s, x.codes) {
			continue
		}
		if q := a.Density(x.codes); q > 0 {
			kl += q * math.Log(q/b.Density(x.codes))
		}
	}
	return kl
}

// A planted conjunction is found, boosted over its prevalence, and explained.
func TestDecideBoostsWhatFails(t *testing.T) {
	s := shapes()
	slice := s.slice(t, "background", "metal", "light", "low")
	e := sized(t, s, 4000, .04, map[string]float64{"background=metal light=low": .7})
	r, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := boostOf(&r, slice)
	if c == nil {
		t.Fatalf("not boosted: %s", r.Canonical())
	}
	if share := float64(c.Share) / whole; share < .1 || share > .15 {
		t.Errorf("share %v", share)
	}
	for _, want := range []string{"background=metal ∧ light=low", "of deployment", "samples"} {
		if !strings.Contains(c.Reason.Sentence, want) {
			t.Errorf("the sentence %q does not say %q", c.Reason.Sentence, want)
		}
	}
	// v = risk · π(s)^(1-b) · (rate - target rate) · damping; all rows are the target's.
	prevalence, err := s.Mass(slice)
	if err != nil || !near(c.Reason.Prevalence, prevalence) || !near(c.Reason.Value, math.Pow(prevalence, .3)*(c.Reason.Rate-r.FailureRate)) {
		t.Errorf("value %v of prevalence %v, rate %v (%v)", c.Reason.Value, c.Reason.Prevalence, c.Reason.Rate, err)
	}
	if c.Reason.Q > .05 || c.Reason.Z < 2.5 || c.Reason.Lift < 5 || !(c.Reason.Lower < .7 && .7 < c.Reason.Upper) {
		t.Errorf("reason %+v", c.Reason)
	}
}

// In whatever order evidence arrived, the canonical bytes are the same (I4).
func TestDecideIgnoresTheOrderOfArrival(t *testing.T) {
	s := shapes()
	e := sized(t, s, 3000, .05, map[string]float64{"background=metal light=low": .6, "occlusion=strong rotation=r225": .8})
	var first []byte
	for shuffle := range uint64(4) {
		shuffled := &Evidence{}
		order := make([]int, e.Len())
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int {
			x, y := mix(shuffle<<32|uint64(a)), mix(shuffle<<32|uint64(b))
			return int(int64(x>>1) - int64(y>>1)>>62)
		})
		for _, i := range order {
			l := e.line(i)
			for range l.Rows { // one line per row: Sort merges them again
				one := l
				one.Rows, one.Failures = 1, min(1, l.Failures)
				l.Failures -= one.Failures
				shuffled.Append(one)
			}
		}
		shuffled.Sort()
		r, err := Decide(s, policy(), nil, shuffled, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = r.Canonical()
		}
		if !bytes.Equal(first, r.Canonical()) {
			t.Fatal("another order of arrival, another round")
		}
	}
}

// A risk weight multiplies a slice's value, and so its share.
func TestRiskRaisesTheShare(t *testing.T) {
	s := shapes()
	e := sized(t, s, 6000, .03, map[string]float64{"background=metal light=low": .4, "light=glare contrast=infrared": .4})
	metal := s.slice(t, "background", "metal", "light", "low")
	share := func(weight float64) float64 {
		p := policy()
		p.Shares.Cap = .5
		s.Risks = []Risk{{Slice: metal[:1], Weight: weight}}
		r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if c := boostOf(&r, metal); c != nil {
			if c.Reason.Risk != weight {
				t.Errorf("risk %v in the reason, want %v", c.Reason.Risk, weight)
			}
			return float64(c.Share) / whole
		}
		return 0
	}
	plain, high, low := share(1), share(4), share(.25)
	if !(low < plain && plain < high) || plain == 0 {
		t.Errorf("shares %v, %v, %v under risk weights 1/4, 1, 4", low, plain, high)
	}
}

// The evaluation components of source mixture are the training mixture, in the
// same shares; a pinned set is there as asked.
func TestEvaluationIsTheMixture(t *testing.T) {
	s := shapes()
	e := sized(t, s, 4000, .04, map[string]float64{"background=metal light=low": .7})
	pin := s.slice(t, "occlusion", "strong", "rotation", "r225")
	for _, quotaBy := range []string{"", "shape"} {
		r, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 1500, QuotaBy: quotaBy,
			Evaluation: EvaluationPlan{Target: 700, Mixture: 1000, Pinned: []Pinned{{pin, 40}}}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		var train, mixture []Component
		for _, c := range r.Components {
			switch c.Source {
			case SourceMixture:
				mixture = append(mixture, c)
			case SourcePinned:
				if !c.Slice.Equal(pin) || c.Quota != 40 || c.Over != OverTarget {
					t.Errorf("pinned %+v", c)
				}
			case SourceTarget:
				if c.Quota != 700 || c.Over != OverTarget || len(c.Fixed()) > 0 {
					t.Errorf("target %+v", c)
				}
			default:
				train = append(train, c)
			}
		}
		if len(mixture) != len(train) {
			t.Fatalf("%d parts for %d", len(mixture), len(train))
		}
		for i, c := range mixture {
			if !c.Fixed().Equal(train[i].Fixed()) || c.Share != train[i].Share || c.Over != train[i].Over ||
				math.Abs(float64(c.Quota)-1000*float64(c.Share)/whole) >= 1 {
				t.Errorf("part %d is %+v, of %+v", i, c, train[i])
			}
		}
	}
}

// quota_by makes the counts per level exact: each component's quota is divided
// by the levels' exact probabilities, off by less than one (C6).
func TestQuotaByIsExactPerLevel(t *testing.T) {
	s := shapes()
	e := sized(t, s, 4000, .04, map[string]float64{"background=metal light=low": .7})
	b := Budget{Campaign: "c", Number: 1, Train: 1500}
	whole, err := Decide(s, policy(), nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	b.QuotaBy = "shape"
	split, err := Decide(s, policy(), nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	sampler, err := NewSampler(s, &split)
	if err != nil {
		t.Fatal(err)
	}
	factor := s.Factor("shape")
	for _, c := range whole.Components {
		quota, share := uint64(0), uint64(0)
		for _, part := range split.Components {
			if !part.Slice.Equal(c.Slice) {
				continue
			}
			quota, share = quota+part.Quota, share+part.Share
			want := float64(c.Quota) * split.Base[factor].share(part.By.Level)
			if math.Abs(float64(part.Quota)-want) >= 1 {
				t.Errorf("%s, shape %d: %d samples, want %.2f", s.Describe(c.Slice), part.By.Level, part.Quota, want)
			}
			for index := range part.Quota {
				x, err := sampler.Scenario(Train, part.Number, index)
				if err != nil || int(x.Codes[factor]) != part.By.Level {
					t.Fatalf("component %d drew shape %v (%v)", part.Number, x.Codes[factor], err)
				}
			}
		}
		if quota != c.Quota || share != c.Share {
			t.Errorf("%s: %d samples of share %d after the split, %d of %d before", s.Describe(c.Slice), quota, share, c.Quota, c.Share)
		}
	}
}
