package loop

import (
	"testing"

	"pgregory.net/rapid"
)

// Quotas sum exactly, and no other allocation of the same sum is nearer: what is
// left after the whole parts goes to the greatest remainders.
func TestAllocate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares := quantise(drawWeights(t))
		n := rapid.SampledFrom([]uint64{0, 1, 10, 1500, MaxQuota - 1}).Draw(t, "n")
		var components []Component
		for i := range shares {
			components = append(components, Component{Share: shares.mass(i)})
		}
		new(decision).allocate(components, n)
		sum, leastUp, mostDown := uint64(0), uint64(whole), uint64(0)
		for _, c := range components {
			exact := c.Share * (n % whole)
			floor, rest := exact/whole, exact%whole
			if c.Share == whole {
				floor, rest = n, 0
			}
			switch c.Quota {
			case floor:
				mostDown = max(mostDown, rest)
			case floor + 1:
				leastUp = min(leastUp, rest)
			default:
				t.Fatalf("share %d of %d is %d", c.Share, n, c.Quota)
			}
			sum += c.Quota
		}
		if sum != n || leastUp < mostDown {
			t.Fatalf("%d of %d; rounded up from %d, down from %d", sum, n, leastUp, mostDown)
		}
	})
}

// However small a level, its part of a component split by quota_by has a
// positive share (I9), and the parts have the component's (C6).
func TestSplitKeepsSharesPositive(t *testing.T) {
	s := oneFactor(4)
	s.Factors = append(s.Factors, factor("class", "common", 1-2e-10, "rare", 1e-10, "never", 0., "also rare", 1e-10))
	e := &Evidence{}
	for l := range Code(4) {
		e.Append(Line{Codes: []Code{l, Unknown}, Source: SourceTarget, Origin: Real, Rows: 1000, Failures: []int64{10, 10, 60, 10}[l]})
	}
	p := policy()
	p.Floor = 0
	b := Budget{Campaign: "c", Number: 1, Train: 1500, QuotaBy: "class"}
	r, err := Decide(s, p, nil, e, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkRound(t, s, p, nil, &r, b)
	if len(r.Components) != 6 {
		t.Errorf("%d components, want base and one boost by three classes: %+v", len(r.Components), r.Components)
	}
}
