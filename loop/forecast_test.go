package loop

import (
	"math"
	"math/rand/v2"
	"testing"
)

// law is a true curve, for simulations.
type lawCurve struct{ c, a, b float64 }

func (l lawCurve) at(n float64) float64 { return min(1, l.c+l.a*math.Pow(n+1, -l.b)) }

// observe draws what versions trained on 1, 2, ... steps of samples would show.
func (l lawCurve) observe(random *rand.Rand, versions int, step uint64, rows int64) []CurvePoint {
	points := make([]CurvePoint, versions)
	for i := range points {
		n := step * uint64(i+1)
		points[i] = CurvePoint{Samples: n, Rows: rows, Groups: rows}
		p := l.at(float64(n))
		for range rows {
			if random.Float64() < p {
				points[i].Failures++
			}
		}
	}
	return points
}

// The 90 % interval of the gain holds the true gain about nine times out of ten,
// over curves that the grid does not hold, of any steepness, floor and noise.
func TestForecastIsCalibrated(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const curves = 200
	var gain, rate, width int
	for range curves {
		l := lawCurve{c: .4 * random.Float64() * random.Float64(), b: .1 + .9*random.Float64()}
		l.a = (.2 + .6*random.Float64()) * math.Pow(40, l.b)
		versions, step, rows := 3+random.IntN(10), 30+random.Uint64N(300), 40+random.Int64N(600)
		points := l.observe(random, versions, step, rows)
		f := Extrapolate(points, step)
		n := float64(points[len(points)-1].Samples)
		truth := l.at(n) - l.at(n+float64(step))
		if f.Gain.Lower <= truth && truth <= f.Gain.Upper {
			gain++
		}
		if f.Now.Lower <= l.at(n) && l.at(n) <= f.Now.Upper {
			rate++
		}
		if f.Gain.Upper-f.Gain.Lower < .04 {
			width++
		}
	}
	t.Logf("of %d curves, %d gains and %d rates were inside; %d intervals are narrower than .04", curves, gain, rate, width)
	for name, inside := range map[string]int{"gain": gain, "rate": rate} {
		if inside < curves*84/100 || inside > curves*98/100 {
			t.Errorf("the 90%% interval of the %s held the truth %d times of %d", name, inside, curves)
		}
	}
	if width < curves*8/10 {
		t.Errorf("only %d of %d intervals say anything", width, curves)
	}
}

func TestForecastOutlook(t *testing.T) {
	for _, c := range []struct {
		name   string
		law    lawCurve
		rows   int64
		want   Outlook
		atMost int // how many of 50 may be called anything else
	}{
		{"steep", lawCurve{c: .02, a: 4, b: .5}, 200, Pays, 3},
		{"flat and high", lawCurve{c: .8}, 100, Unlearnable, 5},
		{"flat at a third", lawCurve{c: .4}, 300, Unlearnable, 10},
		{"flat and low", lawCurve{c: .02}, 2000, NoLongerPays, 5},
		{"learned", lawCurve{c: .03, a: 60, b: 1.6}, 1000, NoLongerPays, 10},
	} {
		random := rand.New(rand.NewPCG(3, 4))
		other := map[Outlook]int{}
		for range 50 {
			f := Extrapolate(c.law.observe(random, 10, 200, c.rows), 100)
			if f.Outlook != c.want {
				other[f.Outlook]++
			}
		}
		total := 0
		for _, n := range other {
			total += n
		}
		if total > c.atMost {
			t.Errorf("%s: want %q, got %v", c.name, c.want, other)
		}
	}
}

// A slice that improves is hardly ever called unlearnable.
func TestForecastDoesNotGiveUp(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	given := 0
	for range 100 {
		l := lawCurve{c: .1, a: 1.2, b: .15 + .3*random.Float64()}
		if Extrapolate(l.observe(random, 4+random.IntN(8), 100, 40), 100).Outlook == Unlearnable {
			given++
		}
	}
	if given > 5 {
		t.Errorf("%d of 100 slices that improve were given up", given)
	}
}

func TestForecastTooLittle(t *testing.T) {
	point := func(n uint64, rows, failures int64) CurvePoint {
		return CurvePoint{Samples: n, Rows: rows, Groups: rows, Failures: failures}
	}
	for name, points := range map[string][]CurvePoint{
		"nothing":            nil,
		"one version":        {point(100, 1000, 500)},
		"two versions":       {point(100, 1000, 500), point(200, 1000, 400)},
		"no rows":            {point(1, 0, 0), point(100, 0, 0), point(200, 0, 0), point(300, 0, 0)},
		"few rows":           {point(100, 5, 3), point(200, 5, 3), point(300, 5, 2)},
		"one group":          {{Samples: 100, Rows: 500, Groups: 1, Failures: 30}, {Samples: 200, Rows: 500, Groups: 1, Failures: 30}, {Samples: 300, Rows: 500, Groups: 1, Failures: 30}},
		"the same samples":   {point(100, 500, 300), point(100, 500, 310), point(100, 500, 280)},
		"no sample ever":     {point(0, 500, 300), point(0, 500, 310), point(0, 500, 280)},
		"more than all fail": {point(100, 10, 11), point(200, 10, 11), point(300, -1, 0)},
	} {
		if f := Extrapolate(points, 100); f.Enough || f.Outlook != Unclear || f.Gain != (Interval{}) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Whatever the counts are, the answer is finite and in order.
func FuzzExtrapolate(f *testing.F) {
	f.Add(uint64(0), uint64(10), uint64(1<<63), int64(100), int64(100), int64(0), uint64(1000))
	f.Add(uint64(100), uint64(200), uint64(300), int64(1<<40), int64(1<<39), int64(1<<40), uint64(1<<63))
	f.Add(uint64(100), uint64(200), uint64(300), int64(40), int64(0), int64(0), uint64(0))
	f.Fuzz(func(t *testing.T, n1, n2, n3 uint64, rows, k1, k2 int64, more uint64) {
		points := []CurvePoint{{n1, rows, rows, k1}, {n2, rows, rows, k2}, {n3, rows, rows / 2, k1}, {n3, 50, 50, 7}}
		forecast := Extrapolate(points, more)
		for _, i := range []Interval{forecast.Now, forecast.Then, forecast.Gain, forecast.Best} {
			if !(0 <= i.Lower && i.Lower <= i.Expected && i.Expected <= i.Upper && i.Upper <= 1) {
				t.Fatalf("%+v of %+v", forecast, points)
			}
		}
		if again := Extrapolate(points, more); again != forecast {
			t.Fatalf("%+v, then %+v", forecast, again)
		}
	})
}

func BenchmarkExtrapolate(b *testing.B) {
	points := lawCurve{c: .05, a: 3, b: .5}.observe(rand.New(rand.NewPCG(1, 1)), 12, 100, 200)
	for b.Loop() {
		Extrapolate(points, 100)
	}
}
