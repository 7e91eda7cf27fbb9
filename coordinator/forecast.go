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
)

// A forecast is answered from the analysts' tables: it asks what anyone could
// ask of POST /v1/sql, and moves nothing.
const (
	// forecastSamples are how many more samples are imagined.
	forecastSamples = 1000
	// forecastSlices bounds the slices that are looked at, and forecastVersions
	// the versions: the latest of each.
	forecastSlices   = 24
	forecastVersions = 32
	// forecastExamples is how many failures of an unlearnable slice are named.
	forecastExamples = 6
)

func (c *Control) forecasts(to huma.API) {
	huma.Register(to, operation(http.MethodGet, "/v1/campaigns/{name}/forecast", "forecast-campaign",
		"Extrapolate what more samples would bring, by slice", "Campaigns"), answering(c, c.forecast))
}

// outlook is what a forecast is made of: the state's side of it.
type outlook struct {
	campaign *loop.Campaign
	space    *loop.Space
	sealed   map[string][]string // by model line, from the oldest
	slices   []loop.Slice        // everything first
	sequence uint64
	// more is how many samples more are imagined.
	more uint64
}

type forecastOf struct {
	Name    string  `path:"name" doc:"The campaign" example:"loop"`
	Samples uint64  `query:"samples" maximum:"4294967295" doc:"Look so many training samples of the campaign ahead; 1,000 if nothing is said"`
	Money   float64 `query:"money" minimum:"0" maximum:"1e12" doc:"Look as far ahead as so much money buys, by the campaign's price and what samples have taken so far"`
}

func (c *Control) outlook(name string) (o outlook, err error) {
	o.sealed, o.more = map[string][]string{}, forecastSamples
	c.c.node.View(func(s *state.State) {
		campaign, ok := s.Campaign(name)
		if !ok {
			err = loop.NotFound("campaign", "there is no campaign %q", name)
			return
		}
		o.campaign, o.sequence = campaign.Campaign, s.Sequence()
		if v, ok := s.Space(campaign.Campaign.Space, campaign.SpaceVersion); ok {
			o.space = v.Space
		}
		for _, from := range o.campaign.LearnFrom {
			line, _ := s.ModelLine(from.ModelLine)
			versions := []string{}
			for _, v := range line.Sealed[max(0, len(line.Sealed)-forecastVersions):] {
				versions = append(versions, v.Version)
			}
			o.sealed[from.ModelLine] = versions
		}
		o.slices = append([]loop.Slice{nil}, boosted(s.Rounds(name))...)
	})
	return o, err
}

// boosted lists the slices that a campaign ever boosted: those of its latest
// round and those in quarantine, then the others, each by what was spent on them.
func boosted(rounds []state.Round) []loop.Slice {
	type spent struct {
		slice   loop.Slice
		samples uint64
		first   bool
	}
	var found []spent
	find := func(slice loop.Slice) *spent {
		at := slices.IndexFunc(found, func(s spent) bool { return s.slice.Equal(slice) })
		if at < 0 {
			at = len(found)
			found = append(found, spent{slice: slice})
		}
		return &found[at]
	}
	for n := range rounds {
		decided, latest := &rounds[n].Decided.Round, n == len(rounds)-1
		for i := range decided.Components {
			if k := &decided.Components[i]; k.Domain == loop.Train && len(k.Slice) > 0 {
				f := find(k.Slice)
				f.samples += k.Quota
				f.first = f.first || latest
			}
		}
		for i := range decided.Memory.Slices {
			if m := &decided.Memory.Slices[i]; latest && m.Quarantined {
				find(m.Slice).first = true
			}
		}
	}
	slices.SortStableFunc(found, func(a, b spent) int {
		switch {
		case a.first && !b.first:
			return -1
		case b.first && !a.first:
			return 1
		}
		return cmp.Compare(b.samples, a.samples)
	})
	var out []loop.Slice
	for _, f := range found[:min(len(found), forecastSlices)] {
		out = append(out, f.slice)
	}
	return out
}

func (c *Control) forecast(ctx context.Context, in *forecastOf) (api.Forecast, error) {
	o, err := c.outlook(in.Name)
	if err != nil {
		return api.Forecast{}, err
	}
	spent, err := c.spending(ctx, in.Name)
	if err != nil {
		return api.Forecast{}, err
	}
	switch {
	case in.Samples > 0 && in.Money > 0:
		return api.Forecast{}, &loop.Error{Field: "money", Problem: "how far to look ahead is said twice", Remedy: "name samples or money"}
	case in.Samples > 0:
		o.more = in.Samples
	case in.Money > 0:
		if o.more, err = spent.buys(in.Money); err != nil {
			return api.Forecast{}, err
		}
	}
	out := api.Forecast{Campaign: in.Name, More: o.more, Cost: spent.ahead(o.more), Sequence: o.sequence, Spent: spent.total(), Slices: []api.SliceForecast{}}
	var sliced []loop.Slice
	schema := ""
	for _, line := range o.lines() {
		curves := newCurves(&o, line)
		if len(o.sealed[line]) > 0 {
			if schema == "" {
				if schema, err = c.schema(ctx, &o); err != nil {
					return api.Forecast{}, err
				}
			}
			if err := curves.ask(ctx, c.o.Queries, schema); err != nil {
				return api.Forecast{}, fmt.Errorf("forecast of %s: %w", in.Name, err)
			}
		}
		for i := range o.slices {
			forecast := curves.forecast(i)
			if forecast.Outlook == loop.Unlearnable {
				if forecast.Examples, _, err = curves.failures(ctx, c.o.Queries, schema, o.slices[i], forecastExamples); err != nil {
					return api.Forecast{}, fmt.Errorf("forecast of %s: %w", in.Name, err)
				}
			}
			out.Slices, sliced = append(out.Slices, forecast), append(sliced, o.slices[i])
		}
	}
	out.Flat = spent.flat(o.space, out.Slices, sliced)
	return out, nil
}

// lines are the model lines that move the campaign, each once.
func (o *outlook) lines() []string {
	var lines []string
	for _, from := range o.campaign.LearnFrom {
		if !slices.Contains(lines, from.ModelLine) {
			lines = append(lines, from.ModelLine)
		}
	}
	return lines
}

// schema is where the tables of the campaign's space are.
func (c *Control) schema(ctx context.Context, o *outlook) (string, error) {
	table, err := c.o.Queries.Query(ctx, "SELECT min(schema) FROM main.spaces WHERE space = "+literal(o.space.Name), o.sequence)
	if err != nil {
		return "", fmt.Errorf("forecast of %s: %w", o.campaign.Name, err)
	}
	if len(table.Rows) == 1 && len(table.Rows[0]) == 1 {
		if name, ok := table.Rows[0][0].(string); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("forecast of %s: the view does not know space %q", o.campaign.Name, o.space.Name)
}

// curves are how the sealed versions of one line did in each slice.
type curves struct {
	*outlook
	line   string
	points [][]api.ForecastPoint // by slice, then by version
	// latest counts the samples of each slice in the campaign's latest round.
	latest []int64
}

func newCurves(o *outlook, line string) *curves {
	k := &curves{outlook: o, line: line, latest: make([]int64, len(o.slices))}
	// One more than there are slices: see outcomes.
	for range len(o.slices) + 1 {
		points := make([]api.ForecastPoint, len(o.sealed[line]))
		for i, version := range o.sealed[line] {
			points[i].ModelVersion = version
		}
		k.points = append(k.points, points)
	}
	return k
}

// ask fills the curves.
func (k *curves) ask(ctx context.Context, queries Queries, schema string) error {
	if err := k.outcomes(ctx, queries, schema); err != nil {
		return err
	}
	return k.samples(ctx, queries, schema)
}

// outcomes counts rows by slice and version. Everything is judged by what was
// drawn from the target, since the mixture is full of what fails; where there is
// nothing of the target, by all, which are counted behind the last slice.
func (k *curves) outcomes(ctx context.Context, queries Queries, schema string) error {
	var each []string
	for i := range k.points {
		in := "source = 'target'"
		switch {
		case i == len(k.slices):
			in = "true"
		case i > 0:
			in = k.condition(k.slices[i]) + " AND " + k.asOthers(k.slices[i])
		}
		each = append(each, fmt.Sprintf(`SELECT %d, model_version, count(*), count(DISTINCT "group"), count(*) FILTER (WHERE NOT correct) FROM o WHERE %s GROUP BY ALL`, i, in))
	}
	table, err := queries.Query(ctx, "WITH "+k.learnedFrom(schema)+strings.Join(each, "\nUNION ALL "), k.sequence)
	if err != nil {
		return err
	}
	for _, row := range table.Rows {
		if len(row) != 5 {
			return fmt.Errorf("a row of %d columns", len(row))
		}
		if slice, at := integer(row[0]), slices.Index(k.sealed[k.line], fmt.Sprint(row[1])); at >= 0 {
			p := &k.points[slice][at]
			p.Rows, p.Groups, p.Failures = integer(row[2]), integer(row[3]), integer(row[4])
		}
	}
	if !slices.ContainsFunc(k.points[0], func(p api.ForecastPoint) bool { return p.Rows > 0 }) {
		k.points[0] = k.points[len(k.slices)]
	}
	return nil
}

// samples counts what of each slice was committed when a version's first outcome
// was posted. That is what it was trained on where a campaign waits for its
// model, and at most that elsewhere.
func (k *curves) samples(ctx context.Context, queries Queries, schema string) error {
	var each []string
	for i, slice := range k.slices {
		each = append(each, fmt.Sprintf(`SELECT %d, v.model_version, count(*), count(*) FILTER (WHERE s.round = (SELECT max(round) FROM s))
FROM s ASOF LEFT JOIN v ON s.committed_at <= v.first_post WHERE %s GROUP BY ALL`, i, k.condition(slice)))
	}
	table, err := queries.Query(ctx, fmt.Sprintf(`WITH %s, v AS (SELECT model_version, min(posted_at) AS first_post FROM o GROUP BY ALL),
s AS (SELECT * FROM %s.samples WHERE campaign = %s AND split = 'train')
`, strings.TrimSpace(k.learnedFrom(schema)), ident(schema), literal(k.campaign.Name))+strings.Join(each, "\nUNION ALL "), k.sequence)
	if err != nil {
		return err
	}
	for _, row := range table.Rows {
		if len(row) != 4 {
			return fmt.Errorf("a row of %d columns", len(row))
		}
		slice := integer(row[0])
		k.latest[slice] += integer(row[3])
		// What no version had yet has no version.
		if version, ok := row[1].(string); ok {
			if at := slices.Index(k.sealed[k.line], version); at >= 0 {
				k.points[slice][at].Samples = uint64(integer(row[2]))
			}
		}
	}
	for _, points := range k.points[:len(k.slices)] {
		for i := range points[min(1, len(points)):] {
			points[i+1].Samples += points[i].Samples
		}
	}
	return nil
}

// learnedFrom is the table o of the outcomes that move the campaign. Its column
// _fixed lists, by factor, the levels to which the component is fixed whose sample was
// evaluated.
func (k *curves) learnedFrom(schema string) string {
	var wanted, versions []string
	for _, from := range k.campaign.LearnFrom {
		if from.ModelLine != k.line {
			continue
		}
		condition := "true"
		if from.EvalSet != "" {
			condition += fmt.Sprintf(" AND (eval_set = %s OR starts_with(eval_set, %s))", literal(from.EvalSet), literal(from.EvalSet+"@"))
		}
		if from.Task != "" {
			condition += " AND task = " + literal(from.Task)
		}
		wanted = append(wanted, condition)
	}
	for _, version := range k.sealed[k.line] {
		versions = append(versions, literal(version))
	}
	return fmt.Sprintf(`o AS (SELECT o.*, coalesce(k.fixed, MAP {}) AS _fixed FROM %[1]s.outcomes o LEFT JOIN (
	SELECT s.digest, any_value(c.levels) AS fixed FROM %[1]s.samples s JOIN main.components c USING (campaign, round, split, component)
	WHERE s.campaign = %[2]s AND s.split = 'evaluation' GROUP BY s.digest
) k ON k.digest = o.sample
WHERE o.source IN ('target', 'mixture', 'probe') AND model_line = %[3]s AND model_version IN (%[4]s) AND (%[5]s))
`, ident(schema), literal(k.campaign.Name), literal(k.line), strings.Join(versions, ", "), strings.Join(wanted, " OR "))
}

// asOthers holds for rows that stand for their slice: not for those whose
// component fixes more than the slice does. Of a broad slice those would show
// the boost of the day, and not how the model does in it.
func (k *curves) asOthers(slice loop.Slice) string {
	var factors, runs []string
	for _, p := range slice {
		f := &k.space.Factors[p.Factor]
		factors = append(factors, literal(f.Name))
		if p.Run > 0 {
			runs = append(runs, fmt.Sprintf(" AND coalesce(list_has_all(_fixed[%s], list_value%s), true)", literal(f.Name), levelNames(f, p)))
		}
	}
	return "list_has_all([" + strings.Join(factors, ", ") + "], map_keys(_fixed))" + strings.Join(runs, "")
}

// isLevel is the condition that a column has a level of a predicate.
func isLevel(f *loop.Factor, p loop.Predicate) string {
	if p.Run == 0 {
		return " = " + literal(f.Levels[p.Level].Name)
	}
	return " IN " + levelNames(f, p)
}

// levelNames are the levels of a predicate, in SQL.
func levelNames(f *loop.Factor, p loop.Predicate) string {
	var names []string
	for _, l := range f.Levels[p.Level : p.Last()+1] {
		names = append(names, literal(l.Name))
	}
	return "(" + strings.Join(names, ", ") + ")"
}

// condition is that of a slice's rows.
func (k *curves) condition(slice loop.Slice) string {
	out := []string{"true"}
	for _, p := range slice {
		f := &k.space.Factors[p.Factor]
		column := f.Name
		if f.Kind == loop.Numeric {
			column += "__level"
		}
		out = append(out, ident(column)+isLevel(f, p))
	}
	return strings.Join(out, " AND ")
}

// forecast is that of a slice, by its position.
func (k *curves) forecast(i int) api.SliceForecast {
	out := api.SliceForecast{ModelLine: k.line, Name: k.space.Describe(k.slices[i]), Slice: k.space.Names(k.slices[i]), Curve: k.points[i]}
	points := make([]loop.CurvePoint, len(out.Curve))
	for j, p := range out.Curve {
		points[j] = loop.CurvePoint{Samples: p.Samples, Rows: p.Rows, Groups: p.Groups, Failures: p.Failures}
		out.Samples = max(out.Samples, p.Samples)
	}
	if total := uint64(k.latest[0]); i == 0 {
		out.More = k.more
	} else if total > 0 {
		out.More = (k.more*uint64(k.latest[i]) + total/2) / total
	}
	f := loop.Extrapolate(points, out.More)
	out.Outlook, out.Sentence = f.Outlook, f.Sentence(out.Name)
	if f.Enough {
		out.Now, out.Then, out.Gain, out.Best = &f.Now, &f.Then, &f.Gain, &f.Best
	}
	return out
}

// integer reads a cell that is a count.
func integer(cell any) int64 {
	n, _ := strconv.ParseInt(fmt.Sprint(cell), 10, 64)
	return n
}

// ident and literal are a name and a text in SQL.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
