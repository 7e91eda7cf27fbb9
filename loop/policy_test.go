package loop

import (
	"errors"
	"math"
	"testing"
)

// Every refusal of a policy names the field that the user wrote; NaN and Inf are
// refused in all of them.
func TestPolicyRefusals(t *testing.T) {
	if err := policy().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		spoil func(p *Policy)
		field string
	}{
		"no name":             {func(p *Policy) { p.Name = "" }, "name"},
		"strategy":            {func(p *Policy) { p.Strategy = "greedy" }, "strategy"},
		"minimum rows":        {func(p *Policy) { p.MinimumRows = 0 }, "minimum_rows"},
		"window":              {func(p *Policy) { p.Window = 0 }, "window"},
		"order 0":             {func(p *Policy) { p.Search.Order = 0 }, "search.order"},
		"order 7":             {func(p *Policy) { p.Search.Order = 7 }, "search.order"},
		"slices":              {func(p *Policy) { p.Search.Slices = -1 }, "search.slices"},
		"no base":             {func(p *Policy) { p.Shares.Base = 0 }, "shares.base"},
		"more than the whole": {func(p *Policy) { p.Shares.Boosted = .66 }, "shares"},
		"no trust":            {func(p *Policy) { p.Shares.TrustRegion = 0 }, "shares.trust_region"},
		"no samples":          {func(p *Policy) { p.Damping.Samples = 0 }, "damping.samples"},
		"quarantine < least":  {func(p *Policy) { p.Damping.Quarantine = .04 }, "damping.quarantine"},
	} {
		p := policy()
		test.spoil(p)
		var refused *Error
		if err := p.Validate(); !errors.As(err, &refused) || refused.Field != test.field {
			t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
		}
	}
	for field, value := range map[string]func(p *Policy) *float64{
		"floor":                  func(p *Policy) *float64 { return &p.Floor },
		"memory":                 func(p *Policy) *float64 { return &p.Memory },
		"search.false_discovery": func(p *Policy) *float64 { return &p.Search.FalseDiscovery },
		"search.minimum_support": func(p *Policy) *float64 { return &p.Search.MinimumSupport },
		"search.minimum_z":       func(p *Policy) *float64 { return &p.Search.MinimumZ },
		"search.descent":         func(p *Policy) *float64 { return &p.Search.Descent },
		"shares.boosted":         func(p *Policy) *float64 { return &p.Shares.Boosted },
		"shares.cap":             func(p *Policy) *float64 { return &p.Shares.Cap },
		"shares.base":            func(p *Policy) *float64 { return &p.Shares.Base },
		"shares.prevalence":      func(p *Policy) *float64 { return &p.Shares.Prevalence },
		"shares.smallest":        func(p *Policy) *float64 { return &p.Shares.Smallest },
		"shares.trust_region":    func(p *Policy) *float64 { return &p.Shares.TrustRegion },
		"damping.rows":           func(p *Policy) *float64 { return &p.Damping.Rows },
		"damping.progress":       func(p *Policy) *float64 { return &p.Damping.Progress },
		"damping.errors":         func(p *Policy) *float64 { return &p.Damping.Errors },
		"damping.least":          func(p *Policy) *float64 { return &p.Damping.Least },
		"damping.quarantine":     func(p *Policy) *float64 { return &p.Damping.Quarantine },
	} {
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e300} {
			p := policy()
			*value(p) = v
			var refused *Error
			if err := p.Validate(); !errors.As(err, &refused) || refused.Field != field {
				t.Errorf("%s = %v: %v", field, v, err)
			}
		}
	}
}
