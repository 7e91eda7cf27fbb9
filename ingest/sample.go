package ingest

import (
	"slices"

	"hone/loop"
)

// resolve fills in what is known of the samples that rows refer to. A row that
// also says its scenario must agree.
func (b *builder) resolve(known map[loop.Digest]loop.Resolved) {
	for i := range b.outcomes {
		out := &b.outcomes[i]
		if out.Sample.IsZero() {
			continue
		}
		b.draft.line = b.line(i)
		r, ok := known[out.Sample]
		if !ok {
			b.mistake(sampleColumn, out.Sample.String(), "no committed sample of space %q has this digest", b.space.Name)
			continue
		}
		values := b.none
		for f, code := range r.Scenario.Codes {
			if posted := out.Scenario[f]; posted != loop.Unknown && posted != code {
				b.mistake(b.names[f], b.space.Text(f, posted), "the sample was made with %s=%s (leave the scenario out: the sample says it)",
					b.names[f], b.space.Text(f, code))
			}
			out.Scenario[f] = code
			if b.space.Factors[f].Kind != loop.Numeric || int(code) >= len(b.space.Factors[f].Levels) {
				continue
			}
			if v, ok := b.space.Value(f, r.Scenario); ok {
				if &values[0] == &b.none[0] {
					values = slices.Clone(b.none)
				}
				values[f] = v
			}
		}
		out.Values, out.Source = values, r.Source
	}
}
