package loop

import (
	"fmt"
	"math"
	"math/bits"
	"testing"
)

// slowScramble is scramble's twin: one bit after another, by the tree of the
// comment.
func slowScramble(key uint64, x uint32) uint32 {
	out := uint32(0)
	for b := range 32 {
		root := b / 6 * 6
		coins := mix(key ^ (uint64(1)<<root | uint64(x)>>(32-root)))
		node := uint64(1)
		for i := root; i < b; i++ {
			node = 2*node + uint64(x>>(31-i)&1)
		}
		out = out<<1 | (x>>(31-b)^uint32(coins>>node))&1
	}
	return out
}

func TestScrambleEqualsItsTwin(t *testing.T) {
	for i := range uint64(50_000) {
		key, x := mix(i), uint32(mix(i+1e9))
		if i%3 == 0 {
			x = uint32(i)
		}
		if got, want := scramble(key, x), slowScramble(key, x); got != want {
			t.Fatalf("scramble(%d, %d) = %d, want %d", key, x, got, want)
		}
	}
}

// Numbers that share exactly their top j bits still do: so scramble is a
// permutation, and maps aligned blocks to aligned blocks.
func TestScrambleKeepsPrefixes(t *testing.T) {
	for i := range uint64(50_000) {
		key, x := mix(3*i), uint32(mix(3*i+1))
		y := x ^ uint32(mix(3*i+2))>>(i%32)
		if got, want := bits.LeadingZeros32(scramble(key, x)^scramble(key, y)), bits.LeadingZeros32(x^y); got != want {
			t.Fatalf("%d and %d share %d top bits, scrambled %d", x, y, want, got)
		}
	}
}

// Any aligned block of 2^j indices has one point in each of 2^j equal bins, for
// every coarser number of bins too.
func TestAlignedBlocksAreStratified(t *testing.T) {
	for i := range uint64(300) {
		key := mix(i)
		j := int(i % 13)
		first := uint32(mix(key)) >> j << j
		counts := make([]int, 1<<j)
		for index := range uint32(1 << j) {
			counts[uint64(point(key, first+index))>>(32-j)]++
		}
		for bin, n := range counts {
			if n != 1 {
				t.Fatalf("key %d, indices %d..: bin %d of %d has %d points", key, first, bin, len(counts), n)
			}
		}
	}
}

// A prefix of n indices gives every interval of the unit its quota up to
// O(log n): each aligned block of the prefix's binary expansion is off by less
// than 2 in any interval.
func TestPrefixesAreBalanced(t *testing.T) {
	m := quantise([]float64{.02, .31, .07, .25, .2, .0005, .1495})
	for i := range uint64(40) {
		key := mix(i)
		counts := make([]int, len(m))
		for n := 1; n <= 3000; n++ {
			level, _ := m.at(point(key, uint32(n-1)))
			counts[level]++
			bound := 2 * float64(bits.OnesCount(uint(n)))
			for l, got := range counts {
				if want := float64(n) * m.share(l); math.Abs(float64(got)-want) > bound {
					t.Fatalf("key %d: level %d has %d of the first %d indices, want %.1f ± %.0f", key, l, got, n, want, bound)
				}
			}
		}
	}
}

// Two factors of a component are unconfounded: over many keys no cell of their
// joint table is favoured, and the table is nearer to its expectation than that
// of independent draws, whose chi-square statistic has a mean of cells - 1.
func TestFactorsAreUnconfounded(t *testing.T) {
	const n, keys = 500, 400
	for _, test := range []struct{ levels, apart int }{{2, 1}, {6, 1}, {6, 2}, {6, 7}} {
		t.Run(fmt.Sprintf("%d levels, factors %d apart", test.levels, test.apart), func(t *testing.T) {
			weights := make([]float64, test.levels)
			for l := range weights {
				weights[l] = 1
			}
			even := quantise(weights)
			cells := test.levels * test.levels
			want := n / float64(cells)
			sum := 0.0
			pooled := make([]float64, cells)
			for i := range uint64(keys) {
				base := mix(i)
				a, b := mix(base+1), mix(base+1+uint64(test.apart))
				table := make([]float64, cells)
				for index := range uint32(n) {
					x, _ := even.at(point(a, index))
					y, _ := even.at(point(b, index))
					table[x*test.levels+y]++
				}
				for cell, c := range table {
					pooled[cell] += c
					sum += (c - want) * (c - want) / want
				}
			}
			if mean := sum / keys; mean > float64(cells-1) {
				t.Errorf("chi-square %.2f on average, independent draws have %d", mean, cells-1)
			}
			for cell, c := range pooled {
				if math.Abs(c-want*keys) > 5*math.Sqrt(want*keys) {
					t.Errorf("cell %d has %.0f points over all keys, want about %.0f", cell, c, want*keys)
				}
			}
		})
	}
}

// The points of an index over many keys are uniform: scrambling makes each
// sample a fair draw, which is what importance weights rest on.
func TestPointIsUniformOverKeys(t *testing.T) {
	for _, index := range []uint32{0, 1, 2, 1499, 1 << 20, math.MaxUint32} {
		counts := [64]float64{}
		const keys = 64 * 400
		for i := range uint64(keys) {
			counts[point(mix(i), index)>>26]++
		}
		chi := 0.0
		for _, c := range counts {
			chi += (c - 400) * (c - 400) / 400
		}
		if chi > 63+5*math.Sqrt(2*63) {
			t.Errorf("index %d: chi-square %.1f over 64 bins", index, chi)
		}
	}
}

func BenchmarkPoint(b *testing.B) {
	sum := uint32(0)
	for i := range b.N {
		sum += point(77, uint32(i))
	}
	if sum == 1 {
		b.Log(sum)
	}
}
