package report

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Whatever the points are, nothing is drawn outside a chart.
func TestChartsStayInside(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pair := regexp.MustCompile(`^(-?[0-9.]+),(-?[0-9.]+)$`)
	for range 300 {
		s := SliceAccuracy{Name: "s"}
		for range random.IntN(6) {
			p := AccuracyPoint{Samples: random.Int64N(1 << random.IntN(50)), Rows: 1 + random.Int64N(100), Accuracy: random.Float64()}
			p.Lower, p.Upper = wilson(p.Accuracy, float64(p.Rows))
			s.Campaign = append(s.Campaign, p)
		}
		if random.IntN(2) == 0 {
			s.Control = slices.Clone(s.Campaign)
		}
		low, high := span(&s)
		c := newLineChart(&s, 300, 150, low, high, "control")
		if len(c.YTicks) < 2 || len(c.YTicks) > 8 {
			t.Fatalf("%d ticks from %v to %v", len(c.YTicks), low, high)
		}
		for _, line := range []string{c.Line, c.Band, c.ControlLine, c.ControlBand} {
			for point := range strings.FieldsSeq(line) {
				m := pair.FindStringSubmatch(point)
				if m == nil {
					t.Fatalf("point %q", point)
				}
				x, _ := strconv.ParseFloat(m[1], 64)
				y, _ := strconv.ParseFloat(m[2], 64)
				if x < c.Left-.1 || x > c.Right+.1 || y < c.Top-.1 || y > c.Bottom+.1 {
					t.Fatalf("%s lies outside of the chart %+v", point, c)
				}
			}
		}
	}
}
