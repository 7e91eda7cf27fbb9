package loop

import (
	"strings"
	"testing"
)

// sized is evidence of so many rows of the newest version, drawn from the base,
// in which named slices fail otherwise than the rest.
func sized(t testing.TB, s *Space, rows int, rate float64, worse map[string]float64) *Evidence {
	t.Helper()
	e := &Evidence{}
	base := s.baseMarginals(.2)
	r := &Round{Number: 1, Seed: 99, Base: base, Target: s.targetMarginals(),
		Components: []Component{{Share: whole, Over: OverBase}}}
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(rows) {
		x, err := sampler.Scenario(Train, 0, i)
		if err != nil {
			t.Fatal(err)
		}
		p := rate
		for name, r := range worse {
			var slice Slice
			for _, term := range strings.Fields(name) {
				factor, level, _ := strings.Cut(term, "=")
				f := s.Factor(factor)
				slice = slice.With(Predicate{Factor: f, Level: s.Factors[f].Level(level)})
			}
			if slice.Matches(x.Codes) {
				p = r
			}
		}
		l := Line{Codes: x.Codes, Source: SourceTarget, Origin: Synthetic, Rows: 1}
		if float64(mix(i)>>11)/(1<<53) < p {
			l.Failures = 1
		}
		e.Append(l)
	}
	e.Sort()
	return e
}

func policy() *Policy {
	p := DefaultPolicy()
	p.Name = "default"
	return &p
}

func boostOf(r *Round, slice Slice) *Component {
	for i := range r.Components {
		if c := &r.Components[i]; c.Domain == Train && c.Slice.Equal(slice) {
			return c
		}
	}
	return nil
}
