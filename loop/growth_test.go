package loop

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Even rounds share a campaign's samples out exactly, the first ones having what
// is over.
func TestEvenRounds(t *testing.T) {
	for _, c := range []Campaign{{Samples: 18_000, Rounds: 12}, {Samples: 17, Rounds: 5}, {Samples: 5, Rounds: 5}, {Samples: 0, Rounds: 3}, {Samples: MaxQuota - 1, Rounds: 7}} {
		sum := uint64(0)
		for n := 1; n <= c.Rounds; n++ {
			each := c.Samples / uint64(c.Rounds)
			if uint64(n) <= c.Samples%uint64(c.Rounds) {
				each++
			}
			if got, next := c.RoundSamples(n), c.NextSamples(n, sum); got != each || next != each {
				t.Errorf("round %d of %+v: %d planned and %d next, want %d", n, c, got, next, each)
			}
			sum += each
		}
		if sum != c.Samples {
			t.Errorf("%+v makes %d", c, sum)
		}
	}
}

func TestGrowingRounds(t *testing.T) {
	for _, test := range []struct {
		c    Campaign
		want []uint64
	}{
		{Campaign{Samples: 18_000, Rounds: 12, FirstSamples: 300}, []uint64{300, 380, 481, 609, 771, 976, 1236, 1564, 1981, 2508, 3175, 4019}},
		{Campaign{Samples: 700, Rounds: 3, FirstSamples: 100}, []uint64{100, 200, 400}},
		{Campaign{Samples: 17, Rounds: 4, FirstSamples: 4}, []uint64{4, 4, 4, 5}},
		{Campaign{Samples: 12, Rounds: 4, FirstSamples: 3}, []uint64{3, 3, 3, 3}},
		{Campaign{Samples: 1e9, Rounds: 2, FirstSamples: 1}, []uint64{1, 1e9 - 1}},
		{Campaign{Samples: 5, Rounds: 5, FirstSamples: 1}, []uint64{1, 1, 1, 1, 1}},
	} {
		var got []uint64
		for n := range test.c.Rounds {
			got = append(got, test.c.RoundSamples(n+1))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %d, want %d", test.c, got, test.want)
		}
	}
}

// Whatever a campaign asks for, and whenever it is extended, its rounds sum to its
// samples, what was decided stays, every round has a sample, and until the
// extension none is smaller than the one before but by rounding.
func TestGrowingRoundsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Campaign{Rounds: rapid.IntRange(2, 40).Draw(t, "rounds")}
		c.Samples = rapid.Uint64Range(uint64(c.Rounds), 1<<rapid.IntRange(6, 31).Draw(t, "bits")).Draw(t, "samples")
		c.FirstSamples = rapid.Uint64Range(1, c.Samples/uint64(c.Rounds)).Draw(t, "first")
		extended := rapid.IntRange(2, c.Rounds).Draw(t, "extended")
		decided, before := uint64(0), uint64(0)
		for n := 1; n <= c.Rounds; n++ {
			if n == extended {
				c.Rounds += rapid.IntRange(0, 9).Draw(t, "more rounds")
				c.Samples = rapid.Uint64Range(decided+uint64(c.Rounds-n+1), max(c.Samples, decided+uint64(c.Rounds-n+1))*2).Draw(t, "more samples")
			}
			planned, next := c.RoundSamples(n), c.NextSamples(n, decided)
			switch {
			case next == 0:
				t.Fatalf("round %d of %+v makes nothing", n, c)
			case n == 1 && next != c.FirstSamples:
				t.Fatalf("the first round of %+v makes %d", c, next)
			case n < extended && (planned != next || next+1 < before):
				t.Fatalf("round %d of %+v makes %d, planned %d, after %d", n, c, next, planned, before)
			}
			decided, before = decided+next, next
		}
		if decided != c.Samples {
			t.Fatalf("%+v makes %d", c, decided)
		}
	})
}

// An extension that leaves too little for rounds to grow makes them even.
func TestRoundsNeverShrink(t *testing.T) {
	c := Campaign{Samples: 100, Rounds: 6, FirstSamples: 60}
	for n, want := range []uint64{17, 17, 17, 17, 16, 16} {
		if got := c.RoundSamples(n + 1); got != want {
			t.Errorf("round %d: %d, want %d", n+1, got, want)
		}
	}
	if got := c.NextSamples(3, math.MaxUint64); got != 0 {
		t.Errorf("%d samples after more than all were decided", got)
	}
}
