package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// lineChart is one chart of accuracy over samples, in the coordinates of its SVG.
type lineChart struct {
	Title, Label         string
	Width, Height        int
	Left, Right          float64
	Top, Bottom          float64
	Band, ControlBand    string // polygons
	Line, ControlLine    string
	Dots, ControlDots    []chartDot
	YTicks, XTicks       []chartTick
	Start, Now, Control  string
	HasControl, Worse    bool
	Asked                bool
	Rows                 int64
	Points, ControlTable []AccuracyPoint
}

type chartDot struct {
	X, Y  float64
	Title string
}

type chartTick struct {
	At   float64
	Text string
}

// newLineChart draws one slice. Accuracies between low and high are shown.
func newLineChart(s *SliceAccuracy, width, height int, low, high float64, control string) lineChart {
	c := lineChart{Title: s.Name, Width: width, Height: height, Left: 40, Right: float64(width) - 12, Top: 10, Bottom: float64(height) - 22,
		Asked: s.Asked, Points: s.Campaign, ControlTable: s.Control, HasControl: len(s.Control) > 0}
	if width > 600 { // its texts are larger on a small screen
		c.Left = 50
	}
	most := int64(1)
	for _, points := range [][]AccuracyPoint{s.Campaign, s.Control} {
		for _, p := range points {
			most = max(most, p.Samples)
		}
	}
	x := func(samples int64) float64 { return c.Left + (c.Right-c.Left)*float64(samples)/float64(most) }
	y := func(accuracy float64) float64 {
		return c.Bottom - (c.Bottom-c.Top)*(min(max(accuracy, low), high)-low)/(high-low)
	}
	draw := func(points []AccuracyPoint) (band, line string, dots []chartDot) {
		var over, under []string
		var middle []string
		for _, p := range points {
			over = append(over, xy(x(p.Samples), y(p.Upper)))
			under = append(under, xy(x(p.Samples), y(p.Lower)))
			middle = append(middle, xy(x(p.Samples), y(p.Accuracy)))
			dots = append(dots, chartDot{x(p.Samples), y(p.Accuracy), fmt.Sprintf("version %s, after %s samples: %s (%s to %s, %s rows)",
				p.ModelVersion, thousands(p.Samples), accuracyText(p.Accuracy), accuracyText(p.Lower), accuracyText(p.Upper), thousands(p.Rows))})
		}
		for i := len(under) - 1; i >= 0; i-- {
			over = append(over, under[i])
		}
		return strings.Join(over, " "), strings.Join(middle, " "), dots
	}
	c.Band, c.Line, c.Dots = draw(s.Campaign)
	c.ControlBand, c.ControlLine, c.ControlDots = draw(s.Control)
	step := tickStep(high - low)
	for v := math.Ceil(low/step-1e-9) * step; v <= high+1e-9; v += step {
		c.YTicks = append(c.YTicks, chartTick{y(v), strconv.FormatFloat(math.Abs(100*v), 'f', 0, 64) + "%"})
	}
	c.XTicks = []chartTick{{x(0), "0"}, {x(most), thousands(most)}}
	c.Label = s.Name + ": no model was evaluated on it yet."
	if now, ok := last(s.Campaign); ok {
		start := s.Campaign[0]
		c.Start, c.Now, c.Rows = accuracyText(start.Accuracy), accuracyText(now.Accuracy), now.Rows
		c.Label = fmt.Sprintf("%s: accuracy from %s to %s after %s samples", s.Name, c.Start, c.Now, thousands(now.Samples))
		if other, ok := last(s.Control); ok {
			c.Control, c.Worse = accuracyText(other.Accuracy), other.Accuracy > now.Accuracy
			c.Label += fmt.Sprintf("; %s came to %s", control, c.Control)
		}
		c.Label += "."
	}
	return c
}

func xy(x, y float64) string {
	return strconv.FormatFloat(x, 'f', 1, 64) + "," + strconv.FormatFloat(y, 'f', 1, 64)
}

// tickStep is a round step that gives three to six ticks.
func tickStep(span float64) float64 {
	for _, step := range []float64{.01, .02, .05, .1, .2} {
		if span/step <= 6 {
			return step
		}
	}
	return .5
}

// span is the range of accuracies of a chart that is not from 0 to 1: round, and
// never so narrow that noise looks like a mountain.
func span(s *SliceAccuracy) (low, high float64) {
	low, high = 1, 0
	for _, points := range [][]AccuracyPoint{s.Campaign, s.Control} {
		for _, p := range points {
			low, high = min(low, p.Lower), max(high, p.Upper)
		}
	}
	if low > high {
		return 0, 1
	}
	low, high = math.Floor(low*20)/20, math.Ceil(high*20)/20
	const least = .15
	if high-low < least {
		low = max(0, high-least)
		high = low + least
	}
	return low, high
}
