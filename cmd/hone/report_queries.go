package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"hone/api"
	"hone/loop"
)

// reportQueries are the questions that a report asks in SQL, as anyone could.
type reportQueries struct {
	client  *api.Client
	arm     *arm
	atLeast uint64
}

// reportRow is one row of an answer. A cell that is missing or of another type
// is 0 or empty.
type reportRow []any

func rowsOf(t *api.Table) iter.Seq[reportRow] {
	return func(yield func(reportRow) bool) {
		for _, r := range t.Rows {
			if !yield(r) {
				return
			}
		}
	}
}

func (r reportRow) text(i int) string {
	if i >= len(r) || r[i] == nil {
		return ""
	}
	return fmt.Sprint(r[i])
}

func (r reportRow) number(i int) float64 {
	x, err := strconv.ParseFloat(r.text(i), 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0
	}
	return x
}

func (r reportRow) integer(i int) int64 {
	n, _ := strconv.ParseInt(r.text(i), 10, 64)
	return n
}

// ident and literal are a name and a text in SQL.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// levelColumn is the column of a factor's level.
func levelColumn(f *loop.Factor) string {
	if f.Kind == loop.Numeric {
		return ident(f.Name + "__level")
	}
	return ident(f.Name)
}

// inSlice is the condition of a slice's rows.
func inSlice(space *loop.Space, slice loop.Slice) string {
	out := []string{"true"}
	for _, p := range slice {
		f := &space.Factors[p.Factor]
		out = append(out, levelColumn(f)+" = "+literal(f.Levels[p.Level].Name))
	}
	return strings.Join(out, " AND ")
}

func (q *reportQueries) ask(ctx context.Context, query string, args ...any) (api.Table, error) {
	if len(args) > 0 {
		query = fmt.Sprintf(query, args...)
	}
	return q.client.SQL(ctx, query, q.atLeast)
}

// table names a table of the campaign's space.
func (a *arm) table(name string) string { return ident(a.schema) + "." + name }

// accuracy counts, for each slice, how the versions of an arm's model line did.
func accuracy(ctx context.Context, client *api.Client, a *arm, wanted []sliceAccuracy, exam string) ([][]accuracyPoint, error) {
	out := make([][]accuracyPoint, len(wanted))
	if a.line == "" {
		return out, nil
	}
	q := &reportQueries{client: client, arm: a, atLeast: a.Sequence}
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
	var order []accuracyPoint
	at := map[string]int{}
	for r := range rowsOf(&versions) {
		p := accuracyPoint{ModelVersion: r.text(0), Samples: r.integer(1), Round: int(r.integer(2))}
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
	rows, err := q.ask(ctx, fmt.Sprintf(`WITH o AS (SELECT o.*, coalesce(k.fixed, []) AS _fixed FROM %s o LEFT JOIN (
	SELECT s.digest, any_value(map_keys(c.fixed)) AS fixed FROM %s s JOIN main.components c USING (campaign, round, split, component)
	WHERE s.campaign = %s AND s.split = 'evaluation' GROUP BY s.digest
) k ON k.digest = o.sample WHERE model_line = %s AND %s)
`, a.table("outcomes"), a.table("samples"), literal(made), literal(a.line), eval)+strings.Join(each, "\nUNION ALL "))
	if err != nil {
		return nil, err
	}
	counted := make([]map[int]accuracyPoint, len(wanted)+1)
	for r := range rowsOf(&rows) {
		slice, version := int(r.integer(0)), at[r.text(1)]
		p := order[version]
		p.Rows, p.Groups = r.integer(2), r.integer(3)
		p.Accuracy = float64(r.integer(4)) / float64(max(1, p.Rows))
		p.Lower, p.Upper = wilson(p.Accuracy, float64(min(p.Groups, p.Rows)))
		if counted[slice] == nil {
			counted[slice] = map[int]accuracyPoint{}
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
// component, _fixed, fixes more factors than the slice does. Of a broad slice
// those would show the narrow ones in it.
func standsFor(space *loop.Space, slice loop.Slice) string {
	var factors []string
	for _, p := range slice {
		factors = append(factors, literal(space.Factors[p.Factor].Name))
	}
	return "list_has_all([" + strings.Join(factors, ", ") + "], _fixed)"
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

// budget asks how the latest rounds were spread. The base is one, in however many
// parts quota_by has it.
func (q *reportQueries) budget(ctx context.Context) ([]roundBudget, error) {
	name := "slice"
	if q.arm.asked.QuotaBy != "" {
		name = "CASE WHEN sentence IS NULL THEN " + literal(q.arm.space.Describe(nil)) + " ELSE slice END"
	}
	table, err := q.ask(ctx, `SELECT round, %s AS part, sum(quota)::BIGINT AS samples, sum(share), any_value(sentence) AS why
FROM main.components WHERE campaign = %s AND split = 'train' AND round > %d GROUP BY ALL ORDER BY round, why IS NOT NULL, samples DESC, part`,
		name, literal(q.arm.Name), q.arm.Round-reportRounds)
	if err != nil {
		return nil, err
	}
	out := []roundBudget{}
	for r := range rowsOf(&table) {
		round := int(r.integer(0))
		if len(out) == 0 || out[len(out)-1].Round != round {
			out = append(out, roundBudget{Round: round})
		}
		b := &out[len(out)-1]
		b.Samples += r.integer(2)
		b.Parts = append(b.Parts, budgetShare{Name: r.text(1), Samples: r.integer(2), Share: r.number(3), Sentence: r.text(4)})
	}
	return out, nil
}

// gates asks how many attempts passed, by gate, by worker and by slice.
func (q *reportQueries) gates(ctx context.Context, n *reportNumbers, boosts []sliceAccuracy) error {
	var each []string
	count := func(kind, name, table, in string) {
		each = append(each, fmt.Sprintf("SELECT %s, %s::VARCHAR, count(*) FROM %s WHERE campaign = %s AND %s GROUP BY ALL",
			literal(kind), name, q.arm.table(table), literal(q.arm.Name), in))
	}
	count("gate", "gate", "verdicts", "true")
	for _, table := range []string{"samples", "verdicts"} {
		count(table, "worker", table, "true")
		for i, b := range boosts {
			count(table+" in", literal(strconv.Itoa(i)), table, inSlice(q.arm.space, b.in))
		}
	}
	table, err := q.ask(ctx, strings.Join(each, "\nUNION ALL ")+"\nORDER BY 3 DESC, 2")
	if err != nil {
		return err
	}
	counts := map[string]map[string]int64{}
	var gates, workers []string
	for r := range rowsOf(&table) {
		kind, name := r.text(0), r.text(1)
		if counts[kind] == nil {
			counts[kind] = map[string]int64{}
		}
		counts[kind][name] = r.integer(2)
		switch {
		case kind == "gate":
			gates = append(gates, name)
		case kind == "samples" || kind == "verdicts" && counts["samples"][name] == 0:
			workers = append(workers, name)
		}
	}
	rate := func(name string, passed, rejected int64) passRate {
		return passRate{Name: name, Attempts: passed + rejected, Rejected: rejected, Rate: float64(passed) / float64(max(1, passed+rejected))}
	}
	var passed, rejected int64
	for _, c := range counts["samples"] {
		passed += c
	}
	for _, c := range counts["verdicts"] {
		rejected += c
	}
	// Gates that refused nothing are listed, too.
	for _, g := range q.arm.asked.Gates {
		if counts["gate"][g] == 0 {
			gates = append(gates, g)
		}
	}
	n.Gates, n.Workers, n.Slices = []passRate{}, []passRate{}, []passRate{}
	for _, g := range gates {
		n.Gates = append(n.Gates, rate(g, passed+rejected-counts["gate"][g], counts["gate"][g]))
	}
	for _, w := range workers {
		n.Workers = append(n.Workers, rate(w, counts["samples"][w], counts["verdicts"][w]))
	}
	for i, b := range boosts {
		key := strconv.Itoa(i)
		n.Slices = append(n.Slices, rate(b.Name, counts["samples in"][key], counts["verdicts in"][key]))
	}
	return nil
}

// cost asks how long the generators took for what was committed.
func (q *reportQueries) cost(ctx context.Context, price float64) (reportCost, error) {
	table, err := q.ask(ctx, `WITH s AS (SELECT * FROM %s WHERE campaign = %s)
SELECT 'round', round::VARCHAR, count(*), coalesce(sum(millis), 0), coalesce(sum(millis) FILTER (WHERE split = 'train'), 0) FROM s GROUP BY ALL
UNION ALL
SELECT 'slice', c.slice, count(*), coalesce(sum(s.millis), 0), 0 FROM s JOIN main.components c USING (campaign, round, split, component) WHERE split = 'train' GROUP BY ALL
ORDER BY 1, 4 DESC, 2`, q.arm.table("samples"), literal(q.arm.Name))
	if err != nil {
		return reportCost{}, err
	}
	out := reportCost{Price: price, ByRound: []costShare{}, BySlice: []costShare{}}
	money := func(seconds float64) float64 { return seconds / 3600 * price }
	for r := range rowsOf(&table) {
		c := costShare{Name: r.text(1), Samples: r.integer(2), Seconds: r.number(3) / 1000}
		c.Money = money(c.Seconds)
		if r.text(0) == "slice" {
			if len(out.BySlice) < reportRows {
				out.BySlice = append(out.BySlice, c)
			}
			continue
		}
		out.Seconds += c.Seconds
		out.Training += r.number(4) / 1000
		out.ByRound = append(out.ByRound, c)
	}
	out.Money = money(out.Seconds)
	slices.SortFunc(out.ByRound, func(a, b costShare) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name)) // numbers
	})
	return out, nil
}
