package loop

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawBins draws a numeric factor of any scale with up to eight bins, with gaps
// between them unless it is circular.
func drawBins(t *rapid.T) *Factor {
	f := &Factor{Name: "x", Kind: Numeric, Scale: rapid.SampledFrom([]Scale{"", Linear, Log, Circular}).Draw(t, "scale")}
	edge := rapid.Float64Range(-1e6, 1e6).Draw(t, "low")
	if f.Scale == Log {
		edge = math.Exp(edge / 1e5)
	}
	bins := rapid.IntRange(1, 8).Draw(t, "bins")
	for range bins {
		next := edge + rapid.Float64Range(1, 1e6).Draw(t, "width")
		if f.Scale == Log {
			next = edge * (1 + rapid.Float64Range(.001, 1000).Draw(t, "ratio"))
		}
		f.Levels = append(f.Levels, Level{Low: edge, High: next, Target: 1 / float64(bins)})
		if edge = next; f.Scale != Circular && rapid.Bool().Draw(t, "gap") {
			edge += math.Abs(edge) + 1
		}
	}
	return f
}

// Value and Fraction are inverse, a value lies in its bin, and Code finds that.
func TestValueAndFractionAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawBins(t)
		for l, level := range f.Levels {
			for _, fraction := range []uint32{rapid.Uint32().Draw(t, "fraction"), 0, 1 << 31, whole - 1} {
				x, ok := f.Value(Code(l), fraction)
				if !ok || !(x >= level.Low && x < level.High) {
					t.Fatalf("%v (%v) is not in [%v,%v)", x, ok, level.Low, level.High)
				}
				if code, ok := f.Code(x); !ok || int(code) != l {
					t.Fatalf("%v is in bin %d (%v), want %d", x, code, ok, l)
				}
				back := f.Fraction(Code(l), x)
				// Steps of less than an ulp share a value.
				apart := f.Scale != Log && (level.High-level.Low)/whole > 2*(math.Nextafter(math.Abs(x), math.Inf(1))-math.Abs(x))
				if again, _ := f.Value(Code(l), back); again != x || apart && back != fraction {
					t.Fatalf("%v of fraction %d has fraction %d, which is %v", x, fraction, back, again)
				}
			}
		}
	})
}

// Code's twin asks every bin, for every turn of the circle.
func TestCodeEqualsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawBins(t)
		low, high := f.Levels[0].Low, f.Levels[len(f.Levels)-1].High
		at := rapid.Float64Range(-3, 4).Draw(t, "at")
		value := low + at*(high-low)
		want, ok := Unknown, false
		for turn := -5.; turn <= 5; turn++ {
			x := value + turn*(high-low)
			if f.Scale != Circular && turn != 0 {
				continue
			}
			for l, level := range f.Levels {
				if x >= level.Low && x < level.High {
					want, ok = Code(l), true
				}
				// Adding turns rounds: an edge may be either side of itself.
				for _, edge := range []float64{level.Low, level.High} {
					if math.Abs(x-edge) < 1e-6*(math.Abs(low)+math.Abs(high)) && turn != 0 {
						t.Skip("too near to an edge to tell")
					}
				}
			}
		}
		if got, held := f.Code(value); got != want || held != ok {
			t.Fatalf("%v is in bin %d (%v), want %d (%v)", value, got, held, want, ok)
		}
	})
}

func TestObservedValues(t *testing.T) {
	angle := &Factor{Kind: Numeric, Scale: Circular, Levels: []Level{{Low: -45, High: 45}, {Low: 45, High: 135}, {Low: 135, High: 225}, {Low: 225, High: 315}}}
	log := &Factor{Kind: Numeric, Scale: Log, Levels: []Level{{Low: .01, High: 1}, {Low: 1, High: 100}}}
	gap := &Factor{Kind: Numeric, Levels: []Level{{Low: 0, High: 1}, {Low: 2, High: 3}}}
	for _, test := range []struct {
		factor *Factor
		value  float64
		want   Code
		ok     bool
	}{
		{angle, 0, 0, true}, {angle, 350, 0, true}, {angle, 360, 0, true}, {angle, -10, 0, true}, {angle, 315, 0, true}, {angle, -45, 0, true},
		{angle, -46, 3, true}, {angle, 44.999, 0, true}, {angle, 45, 1, true}, {angle, 7200 + 180, 2, true}, {angle, -7200 - 180, 2, true},
		{angle, math.Nextafter(-45, -90), 0, true}, // a full turn on, it rounds to the edge
		{angle, -45 - 1e-9, 3, true}, {angle, math.Nextafter(-45, 0), 0, true},
		{angle, math.NaN(), Unknown, false}, {angle, math.Inf(1), Unknown, false},
		{log, .01, 0, true}, {log, 1, 1, true}, {log, 100, Unknown, false}, {log, 0, Unknown, false}, {log, -1, Unknown, false},
		{gap, 1.5, Unknown, false}, {gap, 1, Unknown, false}, {gap, 2, 1, true}, {gap, 3, Unknown, false}, {gap, math.NaN(), Unknown, false}, {gap, math.Inf(-1), Unknown, false},
		{&Factor{Kind: Ordinal, Levels: []Level{{Name: "a"}}}, 0, Unknown, false}, {&Factor{Kind: Numeric, Scale: Circular}, 1, Unknown, false},
	} {
		if got, ok := test.factor.Code(test.value); got != test.want || ok != test.ok {
			t.Errorf("%s %v: bin %d (%v), want %d (%v)", test.factor.Scale, test.value, got, ok, test.want, test.ok)
		}
	}
	// What is kept of an observed angle lies in the range, in the bin of its code.
	for value, want := range map[float64]float64{350: -10, -45: -45, 315: -45, 100: 100, 460: 100, -45 - 1e-9: 315} {
		if got := angle.Wrap(value); math.Abs(got-want) > 1e-9 || got < -45 || got >= 315 {
			t.Errorf("Wrap(%v) = %v, want %v", value, got, want)
		}
	}
	if got := gap.Wrap(7); got != 7 {
		t.Errorf("a linear value was wrapped to %v", got)
	}
}

// On a log scale equal ratios are equally likely: half way between .01 and 1 is
// .1. The vectors hold the bits, which are those of any machine.
func TestLogValues(t *testing.T) {
	f := &Factor{Kind: Numeric, Scale: Log, Levels: []Level{{Low: .01, High: 1}, {Low: 1, High: 1e12}, {Low: 1e-150, High: 1e150}}}
	for _, test := range []struct {
		level    Code
		fraction uint32
		want     uint64
	}{
		{0, 0, math.Float64bits(.01)}, {0, 1 << 31, math.Float64bits(.1)}, {1, 1 << 31, math.Float64bits(1e6)}, {1, 1 << 30, math.Float64bits(1e3)},
		{1, 0xdeadbeef, 0x42198961f7110d40}, {0, whole - 1, 0x3fefffffff6ca276}, {2, 0x12345678, 0x2537e4e668d1ac73},
	} {
		got, _ := f.Value(test.level, test.fraction)
		low, high := f.Levels[test.level].Low, f.Levels[test.level].High
		about := math.Exp(math.Log(low) + (math.Log(high)-math.Log(low))*float64(test.fraction)/whole)
		if math.Abs(got-about) > 1e-12*about || math.Float64bits(got) != test.want {
			t.Errorf("level %d, fraction %#x: %v (%#x), want %v (%#x)", test.level, test.fraction, got, math.Float64bits(got), about, test.want)
		}
	}
}

// A bin so narrow or so far out that the arithmetic rounds still holds its values.
func TestValuesOfExtremeBins(t *testing.T) {
	for _, level := range []Level{{Low: 1e16, High: 1e16 + 2}, {Low: 1, High: math.Nextafter(1, 2)}, {Low: -1e308, High: 0}, {Low: 0, High: 5e-324}, {Low: -1, High: math.Nextafter(-1, 0)}} {
		for _, scale := range []Scale{Linear, Log} {
			if scale == Log && level.Low <= 0 {
				continue
			}
			f := &Factor{Kind: Numeric, Scale: scale, Levels: []Level{level}}
			for _, fraction := range []uint32{0, 1, 1 << 31, whole - 1} {
				if x, ok := f.Value(0, fraction); !ok || !(x >= level.Low && x < level.High) {
					t.Errorf("%s [%v,%v): fraction %d is %v", scale, level.Low, level.High, fraction, x)
				}
			}
		}
	}
}
