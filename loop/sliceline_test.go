package loop

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The best slices by SliceLine's score are those of a plain enumeration, of any
// depth, for failures and losses, ties included.
func TestBestEqualsItsTwin(t *testing.T) {
	some := 0
	rapid.Check(t, func(t *rapid.T) {
		r := drawRows(t)
		for i, e := range r.Error { // sums are exact in any order
			r.Error[i] = math.Round(64*e) / 64
		}
		o := Objective{Alpha: rapid.SampledFrom([]float64{.3, .6, .95, 1}).Draw(t, "alpha"), Support: rapid.SampledFrom([]int{1, 4, 20}).Draw(t, "support"),
			Depth: rapid.IntRange(0, 4).Draw(t, "depth"), Top: rapid.SampledFrom([]int{1, 3, 10}).Draw(t, "top")}
		got, err := r.Best(o)
		if err != nil {
			t.Fatal(err)
		}
		depth, mean := o.Depth, 0.0
		if depth == 0 {
			depth = len(r.Codes)
		}
		all := make(map[string]*ScoredSlice)
		for i, e := range r.Error {
			mean += e / float64(len(r.Error))
			var walk func(from int, slice Slice)
			walk = func(from int, slice Slice) {
				if len(slice) > 0 {
					s := all[fmt.Sprint(slice)]
					if s == nil {
						s = &ScoredSlice{Slice: slice}
						all[fmt.Sprint(slice)] = s
					}
					s.Rows++
					s.Errors += e
				}
				for f := from; f < len(r.Codes) && len(slice) < depth; f++ {
					if r.Codes[f][i].IsLevel() {
						walk(f+1, append(slices.Clone(slice), Predicate{Factor: f, Level: int(r.Codes[f][i])}))
					}
				}
			}
			walk(0, nil)
		}
		var want []ScoredSlice
		for _, s := range all {
			n := float64(s.Rows)
			if s.Score = o.Alpha*(s.Errors/n/mean-1) - (1-o.Alpha)*(float64(len(r.Error))/n-1); s.Rows >= o.Support && s.Score > 1e-9 {
				want = append(want, *s)
			}
		}
		slices.SortFunc(want, func(a, b ScoredSlice) int {
			if math.Abs(a.Score-b.Score) > 1e-9 {
				return -cmp.Compare(a.Score, b.Score)
			}
			return a.Slice.compare(b.Slice)
		})
		got = slices.DeleteFunc(got, func(s ScoredSlice) bool { return s.Score <= 1e-9 })
		if want = want[:min(len(want), o.Top)]; len(got) != len(want) {
			t.Fatalf("%d slices, want %d: %+v, %+v", len(got), len(want), got, want)
		}
		for i := range got {
			if got[i].Rows < o.Support || !near(got[i].Score, want[i].Score) || !near(got[i].Score, all[fmt.Sprint(got[i].Slice)].Score) {
				t.Fatalf("%d is %+v, want %+v", i, got[i], want[i])
			}
			if i > 0 && got[i].Score == got[i-1].Score && got[i-1].Slice.compare(got[i].Slice) >= 0 {
				t.Fatalf("%+v stands before %+v", got[i-1], got[i])
			}
			some++
		}
	})
	if some == 0 {
		t.Error("nothing was ever found")
	}
}

// What can be no objective is refused; what has no error has no slice.
func TestObjectiveRefusals(t *testing.T) {
	r := clips(rand.New(rand.NewPCG(1, 1)), 10, 1, 2, 2, func([]Code, float64) float64 { return 0 })
	good := Objective{Alpha: .95, Support: 1, Top: 3}
	if got, err := r.Best(good); err != nil || len(got) > 0 {
		t.Errorf("%v, %+v", err, got)
	}
	for name, spoil := range map[string]func(o *Objective){
		"alpha": func(o *Objective) { o.Alpha = math.NaN() }, "support": func(o *Objective) { o.Support = 0 },
		"depth": func(o *Objective) { o.Depth = -1 }, "top": func(o *Objective) { o.Top = 0 },
	} {
		o := good
		spoil(&o)
		if _, err := r.Best(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
