package report

import (
	"context"
	"fmt"
	"math"
	"strings"

	"hone/api"
	"hone/loop"
)

// accuracy counts, for each slice, how the versions of an arm's model line did.
func accuracy(ctx context.Context, client *api.Client, a *arm, wanted []SliceAccuracy, exam string) ([][]AccuracyPoint, error) {
	out := make([][]AccuracyPoint, len(wanted))
	if a.line == "" {
		return out, nil
	}
	q := &queries{client: client, arm: a, atLeast: a.Sequence}
	// What was committed when a version's first outcome was posted is what it was
	// trained on.
	versions, err := q.ask(ctx, `WITH v AS (SELECT model_version, min(posted_at) AS first_post FROM %s WHERE model_line = %s GROUP BY ALL),
s AS (SELECT committed_at, round FROM %s WHERE campaign = %s AND split = 'train')
SELECT v.model_version, coalesce(c.samples, 0), coalesce(c.round, 0)
FROM v LEFT JOIN (SELECT v.model_version, count(*) AS samples, max(s.round) AS round FROM s ASOF JOIN v ON s.committed_at <= v.first_post GROUP BY ALL) c USING (model_version)
ORDER BY v.first_post, v.model_version`, a.table("outcomes"), literal(a.line), a.table("samples"), literal(a.Name))
	if err != nil {
		return nil, err
	}
	var order []AccuracyPoint
	at := map[string]int{}
	for r := range rowsOf(&versions) {
		p := AccuracyPoint{ModelVersion: r.text(0), Samples: r.integer(1), Round: int(r.integer(2))}
		if len(order) > 0 {
			p.Samples += order[len(order)-1].Samples
			p.Round = max(p.Round, order[len(order)-1].Round)
		}
		at[p.ModelVersion] = len(order)
		order = append(order, p)
	}
	eval, made := "source IN ('target', 'mixture')", a.Name
	if exam != "" {
		eval, made = evalSetIs(exam), loop.EvaluatedCampaign(exam)
	} else if set := a.asked.LearnFrom[0].EvalSet; set != "" {
		eval += " AND " + evalSetIs(set)
	}
	var each []string
	ask := func(i int, in string) {
		each = append(each, fmt.Sprintf(`SELECT %d, model_version, count(*), count(DISTINCT "group"), count(*) FILTER (WHERE correct) FROM o WHERE %s GROUP BY ALL`, i, in))
	}
	// Everything is judged by what was drawn from the target, or by all if nothing
	// was, which is counted behind the last slice.
	ask(0, "source = 'target'")
	for i, s := range wanted[1:] {
		ask(i+1, inSlice(a.space, s.in)+" AND "+standsFor(a.space, s.in))
	}
	ask(len(wanted), "true")
	rows, err := q.ask(ctx, fmt.Sprintf(`WITH o AS (SELECT o.*, coalesce(k.fixed, MAP {}) AS _fixed FROM %s o LEFT JOIN (
	SELECT s.digest, any_value(c.levels) AS fixed FROM %s s JOIN main.components c USING (campaign, round, split, component)
	WHERE s.campaign = %s AND s.split = 'evaluation' GROUP BY s.digest
) k ON k.digest = o.sample WHERE model_line = %s AND %s)
`, a.table("outcomes"), a.table("samples"), literal(made), literal(a.line), eval)+strings.Join(each, "\nUNION ALL "))
	if err != nil {
		return nil, err
	}
	counted := make([]map[int]AccuracyPoint, len(wanted)+1)
	for r := range rowsOf(&rows) {
		slice, version := int(r.integer(0)), at[r.text(1)]
		p := order[version]
		p.Rows, p.Groups = r.integer(2), r.integer(3)
		p.Accuracy = float64(r.integer(4)) / float64(max(1, p.Rows))
		p.Lower, p.Upper = wilson(p.Accuracy, float64(min(p.Groups, p.Rows)))
		if counted[slice] == nil {
			counted[slice] = map[int]AccuracyPoint{}
		}
		counted[slice][version] = p
	}
	if len(counted[0]) == 0 {
		counted[0] = counted[len(wanted)]
	}
	for i := range out {
		for version := range order {
			if p, ok := counted[i][version]; ok {
				out[i] = append(out[i], p)
			}
		}
	}
	return out, nil
}

// standsFor holds for rows that stand for their slice: not for those whose
// component, _fixed, fixes more factors than the slice does, or only some of the
// levels of a run. Of a broad slice those would show the narrow ones in it.
func standsFor(space *loop.Space, slice loop.Slice) string {
	var factors, runs []string
	for _, p := range slice {
		f := &space.Factors[p.Factor]
		factors = append(factors, literal(f.Name))
		if p.Run > 0 {
			runs = append(runs, fmt.Sprintf(" AND coalesce(list_has_all(_fixed[%s], list_value%s), true)", literal(f.Name), levelNames(f, p)))
		}
	}
	return "list_has_all([" + strings.Join(factors, ", ") + "], map_keys(_fixed))" + strings.Join(runs, "")
}

func evalSetIs(set string) string {
	return fmt.Sprintf("(eval_set = %s OR starts_with(eval_set, %s))", literal(set), literal(set+"@"))
}

// wilson is the 95 % interval of a rate over n independent rows.
func wilson(rate, n float64) (lower, upper float64) {
	if n <= 0 {
		return 0, 1
	}
	const z = 1.96
	centre, half := (rate+z*z/(2*n))/(1+z*z/n), z*math.Sqrt(rate*(1-rate)/n+z*z/(4*n*n))/(1+z*z/n)
	return max(0, centre-half), min(1, centre+half)
}
