package ingest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http"
	"slices"

	"hone/api"
	"hone/loop"
)

// resolve fills in what is known of the samples that rows refer to, by digest or,
// in an imported eval set, by example.
func (in *Ingest) resolve(ctx context.Context, b *builder, evalSet string) error {
	var known map[loop.Digest]loop.Resolved
	if len(b.digests) > 0 {
		digests := make([]loop.Digest, 0, len(b.digests))
		for d := range b.digests {
			digests = append(digests, d)
		}
		slices.SortFunc(digests, func(a, b loop.Digest) int { return slices.Compare(a[:], b[:]) })
		var err error
		if known, err = in.Samples.Resolve(ctx, b.space.Name, evalSet, digests); err != nil {
			return err
		}
	}
	var examples map[string]loop.Resolved
	imported := false
	var named []string
	for i := range b.outcomes {
		if out := &b.outcomes[i]; evalSet != "" && !unnamed(out) {
			named = append(named, out.Example)
		}
	}
	if len(named) > 0 {
		var err error
		if examples, imported, err = in.Samples.Examples(ctx, b.space.Name, evalSet, named); err != nil {
			return err
		}
	}
	for _, all := range [...]iter.Seq[loop.Resolved]{maps.Values(known), maps.Values(examples)} {
		for r := range all {
			// A version that was put since the post's space was read may have its factors
			// in another order: codes of the one mean nothing in the other.
			if r.SpaceVersion != b.space.Version {
				return api.NewProblem(http.StatusServiceUnavailable, fmt.Sprintf(
					"space %q became version %d while the post was read; nothing was counted: send the post again", b.space.Name, r.SpaceVersion))
			}
		}
	}
	for i := range b.outcomes {
		out := &b.outcomes[i]
		b.draft.line = b.line(i)
		r, ok := known[out.Sample]
		switch {
		case imported && !unnamed(out):
			if r, ok = examples[out.Example]; !ok {
				b.mistake(exampleColumn, out.Example, "eval set %s has no example %s", evalSet, quote(out.Example))
				continue
			}
			if !out.Sample.IsZero() && out.Sample != r.Digest {
				b.mistake(sampleColumn, out.Sample.String(), "the sample of the example %s is %s (leave one of the two out)", quote(out.Example), r.Digest)
				continue
			}
		case out.Sample.IsZero():
			if out.Origin == "" {
				out.Origin = loop.Real
			}
			continue
		case !ok:
			b.mistake(sampleColumn, out.Sample.String(), "no committed sample of space %q has this digest", b.space.Name)
			continue
		}
		b.settle(out, &r)
	}
	if p := b.mistakes.problem(); p != nil {
		return p
	}
	return nil
}

// unnamed reports whether a row names its sample alone.
func unnamed(out *loop.Outcome) bool {
	return !out.Sample.IsZero() && out.Example == out.Sample.String()
}

// settle makes an outcome one of the sample that it refers to. A row that also
// says the sample's scenario or origin must agree.
func (b *builder) settle(out *loop.Outcome, r *loop.Resolved) {
	origin := r.Origin
	if origin == "" {
		origin = loop.Synthetic
	}
	if out.Origin != "" && out.Origin != origin {
		b.mistake(originColumn, string(out.Origin), "the sample is %s (leave origin out)", origin)
	}
	values := b.none
	for f, code := range r.Scenario.Codes {
		v, ok := b.space.Value(f, r.Scenario)
		if f < len(r.Values) {
			v, ok = r.Values[f], true
		}
		switch posted := out.Scenario[f]; {
		case code == loop.Unknown && r.Example != "":
			v, ok = out.Values[f], true // the poster may know what the importer did not
		case posted != loop.Unknown && posted != code:
			made := "the sample was made with"
			if r.Example != "" {
				made = "the example was imported with"
			}
			b.mistake(b.names[f], b.space.Text(f, posted), "%s %s=%s (leave the scenario out: the sample says it)", made, b.names[f], b.space.Text(f, code))
		default:
			out.Scenario[f] = code
		}
		if !ok || math.IsNaN(v) {
			continue
		}
		if &values[0] == &b.none[0] {
			values = slices.Clone(b.none)
		}
		values[f] = v
	}
	if r.Example != "" {
		// Named by its digest, it is the example that its importer called so.
		if out.Group == out.Example {
			out.Group = r.Example
		}
		out.Example, out.Sample = r.Example, r.Digest
	}
	out.Values, out.Source, out.Origin, out.Weight = values, r.Source, origin, r.Weight
}
