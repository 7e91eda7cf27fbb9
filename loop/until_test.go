package loop

import (
	"errors"
	"strings"
	"testing"
)

func TestUntilRefusals(t *testing.T) {
	s := shapes()
	for field, u := range map[string]Until{
		"until[0]":                    {},
		"until[0] ":                   {Date: "2027-01-31", Plateau: &UntilPlateau{Versions: 1}},
		"until[0].failure.at_most":    {Failure: &UntilFailure{Confidence: .95}},
		"until[0].failure.confidence": {Failure: &UntilFailure{AtMost: .1, Confidence: 1}},
		"until[0].failure.slice":      {Failure: &UntilFailure{Slice: Slice{{Factor: 99, Level: 0}}, AtMost: .1, Confidence: .9}},
		"until[0].gain":               {Gain: &UntilGain{Below: .1}},
		"until[0].gain ":              {Gain: &UntilGain{Samples: 9, GPUHours: 9, Below: .1}},
		"until[0].gain.below":         {Gain: &UntilGain{Samples: 9}},
		"until[0].plateau.versions":   {Plateau: &UntilPlateau{}},
		"until[0].gain   ":            {Gain: &UntilGain{GPUHours: 9, Money: 9, Below: .1}},
		"until[0].spend":              {Spend: &UntilSpend{}},
		"until[0].spend ":             {Spend: &UntilSpend{GPUHours: 1, Money: 1}},
		"until[0]  ":                  {Spend: &UntilSpend{Money: 1}},
		"until[0]   ":                 {Gain: &UntilGain{Money: 1, Below: .1}},
		"until[0].date ":              {Date: "1969-12-31"},
		"until[0].date":               {Date: "31.1.2027"},
	} {
		c := &Campaign{LearnFrom: []LearnFrom{{ModelLine: "m"}}, Until: []Until{u}}
		var refused *Error
		if err := c.validateUntil(s); !errors.As(err, &refused) || refused.Field != strings.TrimSpace(field) || refused.Remedy == "" && u.Failure == nil {
			t.Errorf("%s: %v", field, err)
		}
	}
	lonely := &Campaign{Until: []Until{{Plateau: &UntilPlateau{Versions: 2}}}}
	if lonely.validateUntil(s) == nil {
		t.Error("a campaign that learns from nothing waits for a plateau")
	}
}

func TestUntilReached(t *testing.T) {
	s := shapes()
	line := func(n float64, rates ...float64) ProgressLine {
		l := ProgressLine{Name: "m"}
		for i, r := range rates {
			l.Versions = append(l.Versions, VersionProgress{Proportion{r, n}, uint64(1500 * (i + 1))})
		}
		return l
	}
	slices := func(rate, n float64) ProgressLine {
		l := line(2000, .2)
		l.Slices = map[int]Proportion{0: {rate, n}}
		return l
	}
	low := s.slice(t, "light", "low")
	failure := Until{Failure: &UntilFailure{Slice: low, AtMost: .05, Confidence: .95}}
	gain := Until{Gain: &UntilGain{Samples: 1000, Below: .005}}
	plateau := Until{Plateau: &UntilPlateau{Versions: 2}}
	const day = 20_819 // 2027-01-01
	for name, test := range map[string]struct {
		until Until
		now   Progress
		why   string
	}{
		"fails little":                {failure, Progress{Lines: []ProgressLine{slices(.02, 400)}}, "light=low fails 2.0%, at most 3.6% with 95% confidence (asked: 5.0%)"},
		"fails little, perhaps":       {failure, Progress{Lines: []ProgressLine{slices(.02, 60)}}, ""},
		"never seen to fail":          {failure, Progress{Lines: []ProgressLine{slices(0, 58)}}, ""},
		"never, often enough":         {failure, Progress{Lines: []ProgressLine{slices(0, 59)}}, "light=low fails 0%, at most 5.0% with 95% confidence (asked: 5.0%)"},
		"of two lines one":            {failure, Progress{Lines: []ProgressLine{slices(.02, 400), slices(.2, 400)}}, ""},
		"no row":                      {failure, Progress{Lines: []ProgressLine{slices(0, 0)}}, ""},
		"no version":                  {failure, Progress{Lines: []ProgressLine{{}}}, ""},
		"still falls":                 {gain, Progress{Lines: []ProgressLine{line(4000, .4, .28, .2, .14)}}, ""},
		"falls no more":               {gain, Progress{Lines: []ProgressLine{line(9000, .2, .15, .148, .147, .147, .147)}}, "1000 samples more are expected to lower the failure rate by "},
		"too few versions":            {gain, Progress{Lines: []ProgressLine{line(9000, .147, .147)}}, ""},
		"hours bring nothing":         {Until{Gain: &UntilGain{GPUHours: 2, Below: .005}}, Progress{Samples: 6000, Millis: 12 * millisPerHour, Lines: []ProgressLine{line(9000, .2, .15, .148, .147, .147, .147)}}, "2 GPU hours more (1000 samples) are expected"},
		"money brings nothing":        {Until{Gain: &UntilGain{Money: 20, Below: .005}}, Progress{Samples: 6000, Money: 120, Lines: []ProgressLine{line(9000, .2, .15, .148, .147, .147, .147)}}, "20.00 EUR more (1000 samples) are expected"},
		"money of which nothing went": {Until{Gain: &UntilGain{Money: 20, Below: .005}}, Progress{Samples: 6000, Lines: []ProgressLine{line(9000, .2, .15, .148, .147, .147, .147)}}, ""},
		"money spent":                 {Until{Spend: &UntilSpend{Money: 7.5}}, Progress{Money: 7.5}, "7.50 EUR are spent of the 7.50 EUR that may be"},
		"money left":                  {Until{Spend: &UntilSpend{Money: 7.5}}, Progress{Money: 7.4999}, ""},
		"hours of nobody knows what":  {Until{Gain: &UntilGain{GPUHours: 2, Below: .005}}, Progress{Lines: []ProgressLine{line(9000, .2, .15, .148, .147, .147, .147)}}, ""},
		"plateau":                     {plateau, Progress{Lines: []ProgressLine{line(2000, .3, .2, .201, .199)}}, "none of the 2 newest versions is better than the best before them"},
		"no plateau":                  {plateau, Progress{Lines: []ProgressLine{line(2000, .3, .2, .201, .15)}}, ""},
		"one version is no plateau":   {plateau, Progress{Lines: []ProgressLine{line(2000, .3, .3)}}, ""},
		"worse and worse":             {plateau, Progress{Lines: []ProgressLine{line(2000, .2, .3, .4)}}, "none of the 2 newest"},
		"spent":                       {Until{Spend: &UntilSpend{GPUHours: 1.5}}, Progress{Millis: 5_400_000}, "generators have worked 1.5 hours of the 1.5 that they may"},
		"not spent":                   {Until{Spend: &UntilSpend{GPUHours: 1.5}}, Progress{Millis: 5_399_999}, ""},
		"the last day":                {Until{Date: "2027-01-01"}, Progress{Day: day}, ""},
		"the day after":               {Until{Date: "2027-01-01"}, Progress{Day: day + 1}, "the last day, 2027-01-01, is over"},
		"nobody knows what day it is": {Until{Date: "2000-01-01"}, Progress{}, ""},
	} {
		c := &Campaign{LearnFrom: []LearnFrom{{ModelLine: "m"}}, Until: []Until{test.until}, Price: Price{GPUHour: 2, Currency: "EUR"}}
		if err := c.validateUntil(s); err != nil {
			t.Fatal(err)
		}
		i, why := c.Reached(s, test.now)
		if !strings.HasPrefix(why, test.why) || (why == "") != (test.why == "") || (i < 0) != (why == "") {
			t.Errorf("%s: %d %q, want %q", name, i, why, test.why)
		}
	}
	both := &Campaign{Until: []Until{{Date: "2030-01-01"}, {Spend: &UntilSpend{GPUHours: 1}}}}
	if i, why := both.Reached(s, Progress{Day: day, Millis: 2 * millisPerHour}); i != 1 || why == "" {
		t.Errorf("the second of two conditions holds, not %d %q", i, why)
	}
}
