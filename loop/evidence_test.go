package loop

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Encoding and decoding are inverse, whatever the evidence holds.
func TestEvidenceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t, drawSpace(t, 5, 5), 50)
		for i := range e.Loss {
			e.Loss[i] = rapid.Int64().Draw(t, "loss")
			e.Weight[i] = rapid.Int64Range(1, maxEvidenceWeight).Draw(t, "weight")
			e.Group[i] = rapid.Uint32().Draw(t, "group")
		}
		if rapid.Bool().Draw(t, "graded") {
			e.grade()
		}
		if rapid.Bool().Draw(t, "more") {
			e.Learned = []Learned{{ModelLine: "m", Task: "detect", Metric: "error", Unit: "mm", Better: Lower, Cap: 14.5, Importance: 2}, {Importance: 1}}
			e.Made = []Made{{Accepted: 7, Rejected: 1, Millis: 900}, {Slice: Slice{{Factor: 0, Level: 1}}, Abandoned: 3},
				{Slice: Slice{{Factor: 0, Level: 1, Run: 2}, {Factor: 3, Level: MaxLevels - 2, Run: 1}}, Accepted: 2}}
		}
		back, err := DecodeEvidence(e.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Encode(), e.Encode()) || back.Digest() != e.Digest() {
			t.Fatalf("%+v became %+v", e, back)
		}
		if e.Len() > 0 && !reflect.DeepEqual(*e, back) {
			t.Fatalf("%+v became %+v", e, back)
		}
	})
}

// Sort makes evidence canonical: the order of arrival and how rows were grouped
// into lines leave no trace, and nothing is lost.
func TestSortIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 3, 3)
		e := drawEvidence(t, s, 40)
		var lines []Line
		for i := range e.Len() {
			l := e.line(i)
			for l.Rows > 1 && rapid.Bool().Draw(t, "split") { // part of the line arrives by itself
				one := l
				one.Rows = 1
				one.Failures = min(1, l.Failures)
				one.Loss = 5
				l.Rows--
				l.Failures -= one.Failures
				l.Loss -= one.Loss
				lines = append(lines, one)
			}
			lines = append(lines, l)
		}
		shuffled := &Evidence{}
		if len(lines) > 0 {
			for _, l := range rapid.Permutation(lines).Draw(t, "order") {
				shuffled.Append(l)
			}
		}
		shuffled.Sort()
		if !bytes.Equal(shuffled.Encode(), e.Encode()) {
			t.Fatalf("sorted to %+v, want %+v", shuffled, e)
		}
		if e.Len() > 0 {
			if err := e.Validate(s); err != nil {
				t.Fatal(err)
			}
		}
		if shuffled.TotalRows() != e.TotalRows() {
			t.Fatal("rows were lost")
		}
	})
}

func TestEvidenceRefusals(t *testing.T) {
	s := rig()
	for name, test := range map[string]struct {
		spoil func(e *Evidence)
		field string
	}{
		"fewer factors":          {func(e *Evidence) { e.Codes = e.Codes[:4] }, "evidence"},
		"column cut short":       {func(e *Evidence) { e.Loss = e.Loss[:1] }, "evidence"},
		"codes cut short":        {func(e *Evidence) { e.Codes[2] = e.Codes[2][:1] }, "evidence"},
		"unknown level":          {func(e *Evidence) { e.Codes[0][1] = 3 }, "evidence[1]"},
		"no rows":                {func(e *Evidence) { e.Rows[0] = 0 }, "evidence[0].rows"},
		"negative rows":          {func(e *Evidence) { e.Rows[0] = -4 }, "evidence[0].rows"},
		"too many rows":          {func(e *Evidence) { e.Rows[0] = maxEvidenceRows + 1 }, "evidence[0].rows"},
		"too many rows together": {func(e *Evidence) { e.Rows[0] = maxEvidenceRows }, "evidence"},
		"more failures":          {func(e *Evidence) { e.Failures[1] = e.Rows[1] + 1 }, "evidence[1].failures"},
		"negative failures":      {func(e *Evidence) { e.Failures[1] = -1 }, "evidence[1].failures"},
		"no weight":              {func(e *Evidence) { e.Weight[1] = 0 }, "evidence[1].weight"},
		"hostile weight":         {func(e *Evidence) { e.Weight[1] = 1 << 60 }, "evidence[1].weight"},
		"learned from nothing":   {func(e *Evidence) { e.From[1] = 1 }, "evidence[1].from"},
		"worse than failed":      {func(e *Evidence) { e.grade(); e.Severity[1] = 3*MicroUnits + 1 }, "evidence[1].severity"},
		"better than well":       {func(e *Evidence) { e.grade(); e.Severity[1] = -1 }, "evidence[1].severity"},
		"squares too large":      {func(e *Evidence) { e.grade(); e.Squares[1] = e.Severity[1] + 4 }, "evidence[1].squares"},
		"half graded":            {func(e *Evidence) { e.Squares = []int64{0, 0} }, "evidence"},
		"no importance":          {func(e *Evidence) { e.Learned = []Learned{{}} }, "evidence.learned[0].importance"},
		"infinite cap":           {func(e *Evidence) { e.Learned = []Learned{{Importance: 1, Cap: math.Inf(1)}} }, "evidence.learned[0].cap"},
		"no direction":           {func(e *Evidence) { e.Learned = []Learned{{Importance: 1, Better: "up"}} }, "evidence.learned[0].better"},
		"made nowhere":           {func(e *Evidence) { e.Made = []Made{{Slice: Slice{{Factor: 9, Level: 0}}}} }, "evidence.made[0].slice"},
		"made twice":             {func(e *Evidence) { e.Made = []Made{{}, {}} }, "evidence.made[1]"},
		"made less than nothing": {func(e *Evidence) { e.Made = []Made{{Millis: -1}} }, "evidence.made[0]"},
		"pinned":                 {func(e *Evidence) { e.Source[1] = SourcePinned }, "evidence[1].source"},
		"no origin":              {func(e *Evidence) { e.Origin[0] = "" }, "evidence[0].origin"},
		"out of order":           {func(e *Evidence) { e.Age[0] = 9 }, "evidence[1]"},
		"one line twice": {func(e *Evidence) {
			for f := range e.Codes {
				e.Codes[f][1] = e.Codes[f][0]
			}
		}, "evidence[1]"},
	} {
		e := &Evidence{}
		e.Append(Line{Codes: []Code{0, 0, Absent, Absent, 0, 1}, Source: SourceTarget, Origin: Real, Rows: 3, Failures: 1})
		e.Append(Line{Codes: []Code{1, Unknown, 1, Absent, 0, 1}, Source: SourceTarget, Origin: Real, Rows: 3, Failures: 1})
		e.Sort()
		if err := e.Validate(s); err != nil {
			t.Fatal(err)
		}
		test.spoil(e)
		var refused *Error
		if err := e.Validate(s); !errors.As(err, &refused) || refused.Field != test.field {
			t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
		}
	}
	empty := Evidence{Codes: make([][]Code, 300)}
	if err := empty.Validate(s); err != nil {
		t.Errorf("evidence without a line: %v", err)
	}
}

// grade makes failures severities of 1.
func (e *Evidence) grade() {
	e.Severity, e.Squares = []int64{}, []int64{}
	for _, k := range e.Failures {
		e.Severity, e.Squares = append(e.Severity, k*MicroUnits), append(e.Squares, k*MicroUnits)
	}
}

// Any bytes: a refusal or evidence that encodes to exactly these bytes, and
// never more memory than they are worth.
func FuzzDecodeEvidence(f *testing.F) {
	s := shapes()
	e := sized(f, s, 40, .3, nil)
	good := e.Encode()
	f.Add([]byte{})
	f.Add([]byte(evidenceMagic))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(slices.Clone(good), 0))
	f.Add(append([]byte(evidenceMagic), 0x81, 0x00, 0x00))                         // a varint longer than need be
	f.Add(append([]byte(evidenceMagic), 0x09, 0xff, 0xff, 0xff, 0xff, 0x07))       // 2^31 lines of nothing
	f.Add(append([]byte(evidenceMagic), 0x00, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0)) // likewise, without factors
	f.Add((&Evidence{}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEvidence(b)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("%v is not a refusal", err)
			}
			return
		}
		if got := e.Encode(); !bytes.Equal(got, b) {
			t.Fatalf("%x decodes to what encodes as %x", b, got)
		}
		if e.Validate(s) != nil {
			return
		}
		p := policy()
		p.MinimumRows = 1
		r, err := Decide(s, p, nil, &e, Budget{Campaign: "fuzz", Number: 1, Train: 100}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r.Canonical()
	})
}
