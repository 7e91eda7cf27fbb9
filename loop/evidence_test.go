package loop

import (
	"bytes"
	"errors"
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
				one.Rows, one.Groups = 1, 0
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
		"more groups":            {func(e *Evidence) { e.Groups[1] = e.Rows[1] + 1 }, "evidence[1].groups"},
		"no group":               {func(e *Evidence) { e.Groups[1] = 0 }, "evidence[1].groups"},
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
		e.Append(Line{Codes: []Code{0, 0, Absent, Absent, 0, 1}, Source: SourceTarget, Origin: Real, Rows: 3, Groups: 2, Failures: 1})
		e.Append(Line{Codes: []Code{1, Unknown, 1, Absent, 0, 1}, Source: SourceTarget, Origin: Real, Rows: 3, Groups: 2, Failures: 1})
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
