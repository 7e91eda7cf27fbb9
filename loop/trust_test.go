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
		if c := boostOf(r, Slice{{0, 59}}); c != nil {
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
// overlap, nest and are new.
func TestDivergenceEqualsAnEnumeration(t *testing.T) {
	s := rig()
	r := &Round{Number: 1, Seed: 3, Base: s.baseMarginals(.2), Target: s.targetMarginals(), Components: []Component{{}}}
	d := decision{space: s, round: r, feasibility: s.feasibility()}
	parts := []boost{{}, {cell: cell{slice: Slice{{1, 1}}}}, {cell: cell{slice: Slice{{1, 1}, {4, 2}}}}, {cell: cell{slice: Slice{{3, 1}}}}}
	from, to := []float64{.6, .3, .1, 0}, []float64{.4, .1, .2, .3}
	divergent, err := d.divergence(parts, from)
	if err != nil {
		t.Fatal(err)
	}
	round := func(shares []float64) *Round {
		r := *r
		r.Components = nil
		thresholds := quantise(shares)
		for i := range thresholds {
			r.Components = append(r.Components, Component{Number: i, Over: OverBase, Slice: parts[i].cell.slice, Share: thresholds.mass(i)})
		}
		return &r
	}
	want := divergence(t, s, round(to), round(from))
	if got := divergent(to); math.Abs(got-want) > .01*want {
		t.Errorf("divergence %v, by enumeration %v", got, want)
	}
	if got := divergent(from); got > 1e-9 {
		t.Errorf("divergence %v of a mixture from itself", got)
	}
}
