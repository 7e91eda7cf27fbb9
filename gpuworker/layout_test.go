package gpuworker

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"hone/loop"
)

// A stream that is read by its layout says what Arrow's reader says it does,
// whichever byte of it is another.
func TestLayout(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 7, 50, 64, loop.MaxUnit} {
		samples := make([]loop.Staged, n)
		for i := range samples {
			samples[i] = loop.Staged{Index: random.Uint64(), Offset: random.Int64(), Length: random.Int64()}
			for k := range samples[i].Digest {
				samples[i].Digest[k] = byte(random.Uint32())
			}
		}
		stream, err := encodeRows(samples)
		if err != nil {
			t.Fatal(err)
		}
		l := layoutOf(n)
		if l == nil {
			t.Fatalf("there is no layout of %d rows", n)
		}
		if got, ok := l.read(stream); !ok || !slices.Equal(got, samples) {
			t.Errorf("%d rows are not read as they were written: %t", n, ok)
		}
		if n > 7 {
			continue
		}
		for at := range stream {
			other := bytes.Clone(stream)
			other[at] ^= 1 << random.IntN(8)
			got, ok := l.read(other)
			if !ok {
				continue
			}
			want, err := readRows(other, n)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d rows, byte %d: %v, where Arrow reads %v, %v", n, at, got, want, err)
			}
		}
	}
	for _, n := range []int{-1, 0, loop.MaxUnit + 1} {
		if layoutOf(n) != nil {
			t.Errorf("a layout of %d rows", n)
		}
	}
}

func BenchmarkDecodeRows(b *testing.B) {
	stream, err := encodeRows(rowsOf(50))
	if err != nil {
		b.Fatal(err)
	}
	for name, decode := range map[string]func([]byte, int) ([]loop.Staged, error){"layout": decodeRows, "arrow": readRows} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(stream, 50); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
