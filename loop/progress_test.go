package loop

import (
	"math"
	"testing"
)

// A mixture that is full of a bad part of a slice does not make the slice bad:
// rows count by what deployment has of them.
func TestInDeployment(t *testing.T) {
	e := &Evidence{}
	add := func(code Code, source Source, weight float64, group uint32, rows, failures int64) {
		e.Append(Line{Codes: []Code{0, code}, Source: source, Origin: Synthetic, Weight: int64(weight * MicroUnits), Group: group, Rows: rows, Failures: failures})
	}
	// Deployment: a tenth is bad and fails half, the rest fails one in twenty.
	add(0, SourceTarget, 1, 0, 100, 50)
	add(1, SourceTarget, 1, 0, 900, 45)
	// The mixture: nine tenths are bad.
	add(0, SourceMixture, 1./9, 0, 900, 450)
	add(1, SourceMixture, 9, 0, 100, 5)
	e.Append(Line{Codes: []Code{0, 0}, Age: 1, Source: SourceTarget, Origin: Real, Rows: 10, Failures: 10})
	e.Sort()
	got := e.InDeployment(nil, 0, 0)
	mixture := 1000. * 1000 / (900./81 + 8100)
	if want := (1000*.095 + mixture*.095) / (1000 + mixture); math.Abs(got.Rate-want) > 1e-6 || math.Abs(got.Effective-1000-mixture) > .1 {
		t.Errorf("%+v, want %v of %v", got, want, 1000+mixture)
	}
	// In the bad part all weigh the same, and none of the 900 rows is lost.
	if got := e.InDeployment(Slice{{Factor: 1, Level: 0}}, 0, 0); math.Abs(got.Rate-.5) > 1e-6 || math.Abs(got.Effective-1000) > .1 {
		t.Errorf("the bad part: %+v", got)
	}
	if got := e.InDeployment(Slice{{Factor: 1, Level: 7}}, 0, 0); got != (Proportion{}) {
		t.Errorf("no row: %+v", got)
	}
	clips := &Evidence{}
	for g := range uint32(20) {
		clips.Append(Line{Codes: []Code{0}, Source: SourceTarget, Origin: Real, Group: g + 1, Rows: 10, Failures: int64(g % 2 * 10)})
		clips.Append(Line{Codes: []Code{1}, Source: SourceTarget, Origin: Real, Group: g + 1, Rows: 10, Failures: int64(g % 2 * 10)})
	}
	clips.Sort()
	if got := clips.InDeployment(nil, 0, 0); math.Abs(got.Effective-20) > 1e-9 || got.Rate != .5 {
		t.Errorf("400 rows of 20 clips: %+v", got)
	}
}
