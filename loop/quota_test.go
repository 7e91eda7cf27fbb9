package loop

import (
	"math"
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

// The least share that a pin may have is enough for the most levels that quota_by may
// have, beside a coverage, however few or many samples there are: shares and samples
// sum exactly, and nothing has a share of 0 (C6, I9).
func TestSplitOfTheLeastShare(t *testing.T) {
	s := oneFactor(3)
	s.Factors = append(s.Factors, oneFactor(maxQuotaLevels).Factors[0])
	s.Factors[1].Name = "class"
	p := policy()
	p.Pins = []Override{{Slice: map[string]string{"f": "l1"}, Share: leastShare}}
	p.Coverage = Coverage{Order: 1, Samples: 1, Share: .5}
	for _, train := range []uint64{1, 100, 1e6, MaxQuota - 1} {
		r, err := Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: train, QuotaBy: "class"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		var share, quota, pinned uint64
		for _, c := range r.Components {
			if share, quota = share+c.Share, quota+c.Quota; c.Share == 0 || c.Share > whole || len(c.Cover) > 0 && c.Quota != uint64(len(c.Cover)) {
				t.Fatalf("%d samples: %+v has a share of %d and %d samples", train, c.By, c.Share, c.Quota)
			}
			if len(c.Slice) > 0 {
				pinned += c.Share
			}
		}
		if share != whole || quota != train || math.Abs(float64(pinned)-leastShare*whole) > 1 {
			t.Errorf("%d samples: shares of %d, %d samples, %d of 2^32 pinned", train, share, quota, pinned)
		}
	}
}
