package loop

import (
	"math"
	"strings"
	"testing"
)

// twoLines is evidence of two things that fail in slices of their own and in one
// that they share.
func twoLines(t testing.TB, s *Space, importance float64) *Evidence {
	e := &Evidence{Learned: []Learned{
		{ModelLine: "m", Task: "detect", Importance: importance},
		{ModelLine: "m", Task: "pose", Metric: "error", Unit: "mm", Importance: 1}}}
	for from, worse := range []map[string]float64{
		{"background=metal light=low": .6, "occlusion=strong rotation=r225": .6},
		{"light=glare scale=near": .6, "occlusion=strong rotation=r225": .6},
	} {
		one := sized(t, s, 4000, []float64{.03, .1}[from], worse)
		for i := range one.Len() {
			l := one.line(i)
			l.From = uint8(from)
			l.Loss = 6*MicroUnits*l.Rows + 8*MicroUnits*l.Failures
			e.Append(l)
		}
	}
	e.Sort()
	return e
}

// Each line is searched by itself, with its own rate; equal slices are merged, and
// importance weighs between them.
func TestSeveralLinesAreCombined(t *testing.T) {
	s := shapes()
	own, other := s.slice(t, "background", "metal", "light", "low"), s.slice(t, "light", "glare", "scale", "near")
	both := s.slice(t, "occlusion", "strong", "rotation", "r225")
	values := map[float64][]float64{}
	for _, importance := range []float64{1, 4} {
		p := policy()
		p.Shares.Cap = .5
		r, err := Decide(s, p, nil, twoLines(t, s, importance), Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, slice := range []Slice{own, other, both} {
			c := boostOf(&r, slice)
			if c == nil {
				t.Fatalf("%s is not boosted", s.Describe(slice))
			}
			values[importance] = append(values[importance], c.Reason.Value)
			m := r.Memory.find(slice)
			if m == nil || m.Of == "" {
				t.Errorf("memory %+v", m)
			}
		}
		if c := boostOf(&r, both); strings.Join(c.Reason.LearnedFrom, ",") != "detect of m,pose by error of m" || !strings.Contains(c.Reason.Sentence, "So say detect of m and pose by error of m.") {
			t.Errorf("reason %+v", c.Reason)
		}
		if c := boostOf(&r, other); strings.Join(c.Reason.LearnedFrom, ",") != "pose by error of m" || c.Reason.Loss == nil ||
			math.Abs(c.Reason.Loss.Slice-10.8) > .5 || !strings.Contains(c.Reason.Sentence, " mm, against error ") {
			t.Errorf("reason %+v, %+v", c.Reason, c.Reason.Loss)
		}
		if c := boostOf(&r, own); c.Reason.Loss != nil || math.Abs(c.Reason.Rate-.6) > .1 {
			t.Errorf("reason %+v", c.Reason)
		}
		if text := strings.Join(r.Notes, "\n"); !strings.Contains(text, "The round combines detect of m (importance "+map[float64]string{1: "1", 4: "4"}[importance]+") and pose by error of m (importance 1)") {
			t.Errorf("notes %q", text)
		}
	}
	// v = Σ importance·v / Σ importance: from 1/2 to 4/5 of it, from 1/2 to 1/5.
	if !near(values[4][0]/values[1][0], 8./5) || !near(values[4][1]/values[1][1], 2./5) || values[1][2] < values[1][0] {
		t.Errorf("values %v", values)
	}
}

// Rows of a group are worth fewer, and mixture rows what deployment has of them.
func TestCountIsWorthLess(t *testing.T) {
	e := &Evidence{}
	for group := range uint32(20) {
		l := Line{Codes: []Code{0}, Source: SourceTarget, Origin: Real, Group: group + 1, Rows: 10}
		if group%4 == 0 {
			l.Failures = 10 // whole clips fail
		}
		e.Append(l)
	}
	e.Sort()
	d := decision{space: oneFactor(2), policy: policy(), evidence: e, round: &Round{}}
	c := d.lessons()[0].count(Slice{{Factor: 0, Level: 0}}, nil)
	if c.rows != 200 || c.groups != 20 || math.Abs(c.worth-20) > .5 || !near(c.rate(), .25) || !near(c.n, 20) || !near(c.k, 5) {
		t.Errorf("counted %+v", c)
	}
}

// What a sample costs divides its slice's value; few samples say little, and the
// policy may forbid it.
func TestCost(t *testing.T) {
	slice := Slice{{Factor: 0, Level: 0}}
	made := func(own Made) []Made {
		own.Slice = slice
		return []Made{{Accepted: 1000, Rejected: 0, Millis: 100_000}, own}
	}
	for name, test := range map[string]struct {
		made []Made
		want float64
	}{
		"nothing known":   {nil, 1},
		"no base":         {made(Made{})[1:], 1},
		"never made":      {made(Made{}), 1},
		"the same":        {made(Made{Accepted: 1000, Millis: 100_000}), 1},
		"slow":            {made(Made{Accepted: 100_000, Millis: 30_000_000}), 3},
		"often rejected":  {made(Made{Accepted: 50_000, Rejected: 50_000, Millis: 5_000_000}), 2},
		"few":             {made(Made{Accepted: 50, Millis: 20_000}), 2}, // √4
		"beyond measure":  {made(Made{Accepted: 100_000, Millis: 1e9}), 10},
		"next to nothing": {made(Made{Accepted: 100_000, Millis: 1}), .1},
		"never accepted":  {made(Made{Rejected: 1_000_000}), 10},
	} {
		d := decision{policy: policy(), evidence: &Evidence{Made: test.made}}
		if got := d.cost(slice); math.Abs(got-test.want) > .01*test.want {
			t.Errorf("%s: cost %v, want %v", name, got, test.want)
		}
		d.policy.Value.Cost = false
		if got := d.cost(slice); got != 1 {
			t.Errorf("%s: cost %v though the policy does not ask", name, got)
		}
	}
	s := shapes()
	e := sized(t, s, 4000, .04, map[string]float64{"background=metal light=low": .5})
	cheap, dear := e, *e
	metal := s.slice(t, "background", "metal", "light", "low")
	dear.Made = []Made{{Accepted: 1e6, Millis: 1e8}, {Slice: metal, Accepted: 1e6, Millis: 5e8}}
	value := func(e *Evidence) float64 {
		r, err := Decide(s, policy(), nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return boostOf(&r, metal).Reason.Value
	}
	if a, b := value(cheap), value(&dear); math.Abs(a/b-5) > .01 {
		t.Errorf("values %v and %v", a, b)
	}
}

// What nothing is known of yet is no failure rate of 0.
func TestFailureRateIsOfLessonsWithEvidence(t *testing.T) {
	s := shapes()
	e := twoLines(t, s, 4)
	alone := e.only(func(i int) bool { return e.From[i] == 1 })
	r, err := Decide(s, policy(), nil, alone, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r.FailureRate < .1 {
		t.Errorf("a failure rate of %v, of rows of which more than one in ten fail", r.FailureRate)
	}
}

// A slice is judged by the lesson that its anchor is of, and by no other.
func TestAnchorsLesson(t *testing.T) {
	a, b := &lesson{learned: Learned{ModelLine: "a"}}, &lesson{learned: Learned{ModelLine: "b"}}
	for of, want := range map[string]*lesson{"": a, "a": a, "b": b, "c": nil} {
		if got := (&Remembered{Of: of}).lesson([]*lesson{a, b}); got != want {
			t.Errorf("of %q: %+v", of, got)
		}
	}
}

// Rows of a group count for what they are worth in an anchor, too: that of real
// rows is compared with that of all.
func TestAnchorsCountGroups(t *testing.T) {
	e := &Evidence{}
	for group := range uint32(40) {
		e.Append(Line{Codes: []Code{0}, Source: SourceTarget, Origin: Real, Group: group + 1, Rows: 10, Failures: 10 * int64(group%2)})
	}
	e.Sort()
	d := &decision{evidence: e, policy: policy()}
	l := d.lessons()[0]
	now := l.count(nil, nil)
	if math.Abs(now.worth-40) > 2 || math.Abs(now.n-now.worth) > 1e-9 || math.Abs(now.k-now.failed) > 1e-9 {
		t.Errorf("40 groups of one mind are worth %v rows, %v with memory", now.worth, now.n)
	}
}

// Rows of a group that are equally severe are one row, whether or not any counts as
// a failure.
func TestSeverityCorrelatesInGroups(t *testing.T) {
	e := &Evidence{Severity: []int64{}, Squares: []int64{}}
	for group := range uint32(40) {
		severity := int64(group%4) * MicroUnits / 4
		e.Append(Line{Codes: []Code{0}, Source: SourceTarget, Origin: Real, Group: group + 1, Rows: 10,
			Severity: 10 * severity, Squares: 10 * (severity * severity / MicroUnits)})
	}
	if got := e.correlation(); math.Abs(got-1) > 1e-6 {
		t.Errorf("rows of a group correlate by %v", got)
	}
}

// Two lessons that differ in their eval set alone are told apart by it, also in what
// damping remembers; what was remembered before is of the first.
func TestLessonsOfTwoEvalSets(t *testing.T) {
	s := shapes()
	e := twoLines(t, s, 1)
	e.Learned[0] = Learned{ModelLine: "m", Task: "detect", EvalSet: "warehouse", Importance: 1}
	e.Learned[1] = Learned{ModelLine: "m", Task: "detect", EvalSet: "street", Importance: 1}
	p := policy()
	p.Shares.Cap = .5
	r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 1, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	own, other := s.slice(t, "background", "metal", "light", "low"), s.slice(t, "light", "glare", "scale", "near")
	for name, slice := range map[string]Slice{"detect of m on warehouse": own, "detect of m on street": other} {
		if c := boostOf(&r, slice); c == nil || strings.Join(c.Reason.LearnedFrom, ",") != name {
			t.Errorf("%s: %+v", name, c)
		}
		if m := r.Memory.find(slice); m == nil || m.Of != name {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if said := strings.Join(r.Notes, " "); !strings.Contains(said, "detect of m on warehouse (importance 1) and detect of m on street (importance 1)") {
		t.Errorf("notes: %s", said)
	}
	lessons := (&decision{space: s, policy: p, evidence: e}).lessons()
	for of, want := range map[string]int{"detect of m on street": 1, "detect of m on warehouse": 0, "detect of m": 0, "": 0} {
		if got := (&Remembered{Of: of}).lesson(lessons); got != lessons[want] {
			t.Errorf("%q is of %+v", of, got.learned)
		}
	}
	if got := (&Remembered{Of: "pose of m"}).lesson(lessons); got != nil {
		t.Errorf("what is of neither is of %+v", got.learned)
	}
}
