package loop

import (
	"math"
	"testing"
)

// A step that the trust region holds back goes as far as it allows, no further,
// and gets there in the end; a step back likewise (I9).
func TestTrustRegionBindsAndIsUsed(t *testing.T) {
	s := oneFactor(60)
	bad := uniformEvidence(60, 300, func(l int) int64 { return []int64{6, 200}[l/59] })
	good := uniformEvidence(60, 300, func(int) int64 { return 6 })
	p := policy()
	p.Shares.TrustRegion, p.Damping.Samples = .02, 1e12
	previous, err := Decide(s, p, nil, good, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	share := func(r *Round) float64 {
		if c := boostOf(r, Slice{{Factor: 0, Level: 59}}); c != nil {
			return float64(c.Share) / whole
		}
		return 0
	}
	for number := 2; number <= 20; number++ {
		e := bad
		if number > 10 {
			e = good
		}
		r, err := Decide(s, p, &previous, e, Budget{Campaign: "c", Number: number, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		kl := divergence(t, s, &r, &previous)
		if kl > 1.02*.02 {
			t.Errorf("round %d: divergence %v", number, kl)
		}
		if r.Step < 1 {
			held++
			if math.Abs(kl-.02) > .0005 {
				t.Errorf("round %d: a step of %v uses %v of .02", number, r.Step, kl)
			}
		}
		switch {
		case number == 2 && !(share(&r) > .01 && share(&r) < .1):
			t.Errorf("the first step goes to %v", share(&r))
		case number == 10 && share(&r) < .14:
			t.Errorf("the share has come to %v only", share(&r))
		case number == 20 && share(&r) != 0:
			t.Errorf("the share still is %v", share(&r))
		}
		previous = r
	}
	if held < 4 {
		t.Errorf("the trust region held %d steps back", held)
	}
}

// The divergence that bisection works with is the exact one where slices
// overlap, nest and are new, and where curricula differ.
func TestDivergenceEqualsAnEnumeration(t *testing.T) {
	s := rig()
	base := s.baseMarginals(.2)
	r := &Round{Number: 1, Seed: 3, Base: base, Target: s.targetMarginals(), Components: []Component{{}}}
	d := decision{space: s, round: r, feasibility: s.feasibility()}
	light := s.tilted(base, [][]float64{{2, .5}, {.5, 1, 2}})
	dark := s.tilted(base, [][]float64{{.5, 2}, {2, 1, .5}, nil, {1, 3}})
	slices := []boost{{over: OverBase}, {cell: cell{slice: Slice{{Factor: 1, Level: 1}}}}, {cell: cell{slice: Slice{{Factor: 1, Level: 1}, {Factor: 4, Level: 2}}}}, {cell: cell{slice: Slice{{Factor: 3, Level: 1}}}}}
	for i := range slices {
		slices[i].over = OverBase
	}
	tilting := append([]boost{}, slices...)
	tilting = append(tilting, boost{over: OverCurriculum})
	for name, test := range map[string]struct {
		parts    []boost
		from, to mixture
	}{
		"slices":           {slices, mixture{shares: []float64{.6, .3, .1, 0}}, mixture{shares: []float64{.4, .1, .2, .3}}},
		"small step":       {slices, mixture{shares: []float64{.6, .3, .1, 0}}, mixture{shares: []float64{.58, .3, .12, 0}}},
		"new curriculum":   {tilting, mixture{shares: []float64{.6, .3, .1, 0, 0}}, mixture{[]float64{.3, .1, .1, .2, .3}, light}},
		"other curriculum": {tilting, mixture{[]float64{.3, 0, .1, 0, .6}, dark}, mixture{[]float64{.3, 0, .1, 0, .6}, light}},
		"no curriculum":    {tilting, mixture{[]float64{.3, .1, .1, .2, .3}, dark}, mixture{shares: []float64{.6, .3, .1, 0, 0}}},
	} {
		kl, err := d.compare(test.parts, test.from, test.to)
		if err != nil {
			t.Fatal(err)
		}
		round := func(m mixture) *Round {
			r := *r
			r.Components, r.Curriculum = nil, m.curriculum
			thresholds := quantise(m.shares)
			for i := range thresholds {
				if m.shares[i] > 0 {
					r.Components = append(r.Components, Component{Number: i, Over: test.parts[i].over, Slice: test.parts[i].cell.slice, Share: thresholds.mass(i)})
				}
			}
			return &r
		}
		want := divergence(t, s, round(test.to), round(test.from))
		if got, err := kl.of(test.to); err != nil || math.Abs(got-want) > .015*want {
			t.Errorf("%s: divergence %v (%v), by enumeration %v", name, got, err, want)
		}
		if got, err := kl.of(test.from); err != nil || got > 1e-9 {
			t.Errorf("%s: divergence %v of a mixture from itself (%v)", name, got, err)
		}
	}
}

// The closed form λ = limit/KL(to || from) certifies a step: it is within the region,
// as the divergence is convex in λ. The step that is taken is no shorter, is within it
// too, and is well longer where the region binds hard.
func TestStepIsCertified(t *testing.T) {
	s := rig()
	p := policy()
	p.Shares.Smallest = leastShare
	parts := []boost{{over: OverBase}, {cell: cell{slice: Slice{{Factor: 1, Level: 1}}}}, {cell: cell{slice: Slice{{Factor: 1, Level: 1}, {Factor: 4, Level: 2}}}}, {cell: cell{slice: Slice{{Factor: 3, Level: 1}}}}}
	for i := range parts {
		parts[i].over = OverBase
	}
	from, to := mixture{shares: []float64{.8, .15, .05, 0}}, mixture{shares: []float64{.4, .05, .25, .3}}
	r := &Round{Number: 1, Seed: 3, Base: s.baseMarginals(.2), Target: s.targetMarginals(), Components: []Component{{}}}
	d := decision{space: s, policy: p, round: r, feasibility: s.feasibility()}
	k, err := d.compare(parts, from, to)
	if err != nil {
		t.Fatal(err)
	}
	all, err := k.of(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []float64{.9, .5, .1, .01} {
		p.Shares.TrustRegion = part * all
		certified := mixture{shares: make([]float64, len(parts))}
		for i := range parts {
			certified.shares[i] = (1-part)*from.shares[i] + part*to.shares[i]
		}
		if kl, err := k.of(certified); err != nil || kl > p.Shares.TrustRegion {
			t.Errorf("the certified step of %v diverges by %v of %v (%v)", part, kl, p.Shares.TrustRegion, err)
		}
		if _, err := d.approach(parts, from, to, &protection{}); err != nil {
			t.Fatal(err)
		}
		if r.Step < part || r.KL > p.Shares.TrustRegion || part <= .1 && r.Step < 2*part {
			t.Errorf("a step of %v where %v is certified, divergence %v of %v", r.Step, part, r.KL, p.Shares.TrustRegion)
		}
	}
}
