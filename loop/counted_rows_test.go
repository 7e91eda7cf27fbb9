package loop

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// Rows that are added are counted as if they had been there from the start,
// whatever they bring, and a survey leaves nothing behind.
func TestAddedRowsAreCounted(t *testing.T) {
	quick := 0
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		if rapid.Bool().Draw(t, "plain") {
			r.Group = nil
			for f := range r.Codes {
				for i, code := range r.Codes[f] {
					if !code.IsLevel() {
						r.Codes[f][i] = 0
					}
				}
			}
		}
		n := len(r.Error)
		from := rapid.IntRange(n/2, n).Draw(t, "from")
		part := func(from, to int) *Rows {
			p := &Rows{Space: r.Space, Error: r.Error[from:to:to]}
			for _, column := range r.Codes {
				p.Codes = append(p.Codes, column[from:to:to])
			}
			if r.Group != nil {
				p.Group = make([]uint32, 0, to-from)
				for _, g := range r.Group[from:to] {
					p.Group = append(p.Group, g%uint32(max(1, from)))
				}
			}
			return p
		}
		search := DefaultSearch()
		search.MinimumSupport = rapid.SampledFrom([]float64{1, 3}).Draw(t, "support")
		search.MinimumZ = 0
		search.FalseDiscovery = .5
		first, second := part(0, from), part(from, n)
		counted, err := first.Count(search)
		if err != nil {
			t.Fatal(err)
		}
		before := counted.Survey()
		if again := counted.Survey(); !reflect.DeepEqual(before, again) {
			t.Fatalf("%+v, then %+v", before, again)
		}
		tally := counted.tally
		if err := counted.Add(second); err != nil {
			t.Fatal(err)
		}
		if tally == counted.tally && n > from {
			quick++
		}
		all := &Rows{Space: r.Space, Error: r.Error, Codes: r.Codes}
		if r.Group != nil {
			all.Group = append(append([]uint32{}, first.Group...), second.Group...)
		}
		want, err := all.Survey(search)
		if got := counted.Survey(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: %+v, want %+v", err, got, want)
		}
	})
	if quick == 0 && !testing.Short() {
		t.Error("all rows were counted again each time")
	}
}
