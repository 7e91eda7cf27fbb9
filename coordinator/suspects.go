package coordinator

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
	"hone/spec"
)

// suspectSlices bounds the slices of one answer: each is a scan of outcomes.
const suspectSlices = 24

type suspectsOf struct {
	Name   string `path:"name" doc:"The campaign"`
	Number int    `path:"number" minimum:"1" doc:"The round, from 1"`
	Top    int    `query:"top" minimum:"1" maximum:"1000" default:"20" doc:"How many failures of a slice are named at most"`
	Where  string `query:"where" maxLength:"1024" example:"light=low & glove=yes" doc:"This slice in place of those that are damped"`
}

func (c *Control) suspicions(to huma.API) {
	o := operation(http.MethodGet, "/v1/campaigns/{name}/rounds/{number}/suspects", "round-suspects",
		"List failures whose labels are worth a look", "Rounds")
	o.Description = "Of each slice that the round has in quarantine or damps, since more samples of it have not helped, and of those whose forecast is that they look unlearnable: failures of the newest sealed model version, " +
		"one per group, the greatest loss first, with what a person needs to open them."
	huma.Register(to, o, answering(c, c.suspects))
}

// suspects asks the analysts' tables, as a forecast does, and moves nothing.
func (c *Control) suspects(ctx context.Context, in *suspectsOf) (api.Suspects, error) {
	o, err := c.outlook(in.Name)
	if err != nil {
		return api.Suspects{}, err
	}
	var remembered []loop.Remembered
	c.c.node.View(func(s *state.State) {
		round, ok := s.Round(in.Name, in.Number)
		if !ok {
			err = loop.NotFound("round", "campaign %q has no round %d", in.Name, in.Number)
			return
		}
		remembered = damped(round.Decided.Round.Memory.Slices)
	})
	if err != nil {
		return api.Suspects{}, err
	}
	if in.Where != "" {
		slice, err := spec.ParseSlice(o.space, in.Where)
		if err != nil {
			return api.Suspects{}, err
		}
		remembered = []loop.Remembered{{Slice: slice, Damping: 1}}
	}
	schema := ""
	if slices.ContainsFunc(o.lines(), func(line string) bool { return len(o.sealed[line]) > 0 }) {
		if schema, err = c.schema(ctx, &o); err != nil {
			return api.Suspects{}, err
		}
	}
	var found []api.SuspectSlice
	for i := range remembered {
		for _, line := range o.lines() {
			found = append(found, o.suspect(line, &remembered[i]))
		}
	}
	if in.Where == "" {
		hopeless, err := o.unlearnable(ctx, c.o.Queries, schema)
		if err != nil {
			return api.Suspects{}, fmt.Errorf("suspects of %s: %w", in.Name, err)
		}
		for _, s := range hopeless {
			if !slices.ContainsFunc(found, func(f api.SuspectSlice) bool { return f.ModelLine == s.ModelLine && f.Name == s.Name }) {
				found = append(found, s)
			}
		}
	}
	out := api.Suspects{Campaign: in.Name, Round: in.Number, Sequence: o.sequence, Slices: []api.SuspectSlice{}}
	out.Slices = append(out.Slices, found[:min(len(found), suspectSlices)]...)
	out.LeftOut = len(found) - len(out.Slices)
	for i := range out.Slices {
		s := &out.Slices[i]
		if s.ModelVersion == "" {
			continue
		}
		slice, err := spec.PredicatesOf(o.space, "slice", s.Slice)
		if err != nil {
			return api.Suspects{}, fmt.Errorf("suspects of %s: %w", in.Name, err)
		}
		k := &curves{outlook: &o, line: s.ModelLine}
		if s.Examples, s.Failures, err = k.failures(ctx, c.o.Queries, schema, slice, in.Top); err != nil {
			return api.Suspects{}, fmt.Errorf("suspects of %s: %w", in.Name, err)
		}
	}
	return out, nil
}

// suspect is a slice of a line, before anything was asked of it.
func (o *outlook) suspect(line string, r *loop.Remembered) api.SuspectSlice {
	out := api.SuspectSlice{ModelLine: line, Name: o.space.Describe(r.Slice), Slice: o.space.Names(r.Slice),
		Quarantined: r.Quarantined, Until: r.Until, Damping: r.Damping, Sentence: r.Sentence, Examples: []api.Failure{}}
	if sealed := o.sealed[line]; len(sealed) > 0 {
		out.ModelVersion = sealed[len(sealed)-1]
	}
	return out
}

// unlearnable are the slices whose curve says so, damped or not.
func (o *outlook) unlearnable(ctx context.Context, queries Queries, schema string) ([]api.SuspectSlice, error) {
	var out []api.SuspectSlice
	for _, line := range o.lines() {
		if len(o.sealed[line]) == 0 {
			continue
		}
		k := newCurves(o, line)
		if err := k.ask(ctx, queries, schema); err != nil {
			return nil, err
		}
		for i, slice := range o.slices {
			if f := k.forecast(i); len(slice) > 0 && f.Outlook == loop.Unlearnable {
				out = append(out, o.suspect(line, &loop.Remembered{Slice: slice, Damping: 1, Sentence: f.Sentence}))
			}
		}
	}
	return out, nil
}

// damped are the slices that damping holds back: those in quarantine first, then
// by how much.
func damped(memory []loop.Remembered) []loop.Remembered {
	held := slices.DeleteFunc(slices.Clone(memory), func(r loop.Remembered) bool { return !r.Quarantined && !(r.Damping < 1) })
	slices.SortStableFunc(held, func(a, b loop.Remembered) int {
		switch {
		case a.Quarantined && !b.Quarantined:
			return -1
		case b.Quarantined && !a.Quarantined:
			return 1
		}
		return cmp.Compare(a.Damping, b.Damping)
	})
	return held
}

// failures are those of the newest version in a slice: one per group, so that they
// are not all of one clip, the greatest loss first, for a model that is sure of what
// its label denies is a reason to doubt the label. It also counts their groups.
func (k *curves) failures(ctx context.Context, queries Queries, schema string, slice loop.Slice, top int) ([]api.Failure, int64, error) {
	sealed := k.sealed[k.line]
	const order = `loss DESC NULLS LAST, hash("group"), "group"`
	table, err := queries.Query(ctx, fmt.Sprintf(`WITH %s, g AS (SELECT coalesce(eval_set, '') AS eval_set, example, "group", coalesce(sample, '') AS sample, coalesce(uri, '') AS uri, loss
	FROM o WHERE model_version = %s AND NOT correct AND %s
	QUALIFY row_number() OVER (PARTITION BY "group" ORDER BY loss DESC NULLS LAST, eval_set, example, sample, uri) = 1),
f AS (SELECT *, count(*) OVER () AS total FROM g ORDER BY %[4]s LIMIT %[5]d)
SELECT eval_set, example, sample, uri, loss, coalesce(made, ''), total FROM f LEFT JOIN (
	SELECT digest, min(format('{}/r{}-{}{}-i{}-a{}', campaign, round, left(split, 1), component, "index", attempt)) AS made
	FROM %[6]s.samples WHERE digest IN (SELECT sample FROM f) GROUP BY digest
) s ON s.digest = f.sample ORDER BY %[4]s`,
		strings.TrimSpace(k.learnedFrom(schema)), literal(sealed[len(sealed)-1]), k.condition(slice), order, top, ident(schema)), k.sequence)
	if err != nil {
		return nil, 0, err
	}
	out, total := []api.Failure{}, int64(0)
	for _, row := range table.Rows {
		if len(row) != 7 {
			return nil, 0, fmt.Errorf("a row of %d columns", len(row))
		}
		text := func(i int) string { s, _ := row[i].(string); return s }
		f := api.Failure{EvalSet: text(0), Example: text(1), Sample: text(2), URI: text(3), Made: text(5)}
		if loss, err := strconv.ParseFloat(fmt.Sprint(row[4]), 64); err == nil { // null is none
			f.Loss = &loss
		}
		out, total = append(out, f), integer(row[6])
	}
	return out, total, nil
}
