package report

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

// queries are the questions that a report asks in SQL, as anyone could.
type queries struct {
	client  *api.Client
	arm     *arm
	atLeast uint64
}

// row is one row of an answer. A cell that is missing or of another type
// is 0 or empty.
type row []any

func rowsOf(t *api.Table) iter.Seq[row] {
	return func(yield func(row) bool) {
		for _, r := range t.Rows {
			if !yield(r) {
				return
			}
		}
	}
}

func (r row) text(i int) string {
	if i >= len(r) || r[i] == nil {
		return ""
	}
	return fmt.Sprint(r[i])
}

func (r row) number(i int) float64 {
	x, err := strconv.ParseFloat(r.text(i), 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0
	}
	return x
}

func (r row) integer(i int) int64 {
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
		out = append(out, levelColumn(f)+isLevel(f, p))
	}
	return strings.Join(out, " AND ")
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

func (q *queries) ask(ctx context.Context, query string, args ...any) (api.Table, error) {
	if len(args) > 0 {
		query = fmt.Sprintf(query, args...)
	}
	return q.client.SQL(ctx, query, q.atLeast)
}

// budget asks how the latest rounds were spread. The base is one, in however many
// parts quota_by has it.
func (q *queries) budget(ctx context.Context) ([]RoundBudget, error) {
	name := "slice"
	if q.arm.asked.QuotaBy != "" {
		name = "CASE WHEN sentence IS NULL THEN " + literal(q.arm.space.Describe(nil)) + " ELSE slice END"
	}
	table, err := q.ask(ctx, `SELECT round, %s AS part, sum(quota)::BIGINT AS samples, sum(share), any_value(sentence) AS why
FROM main.components WHERE campaign = %s AND split = 'train' AND round > %d GROUP BY ALL ORDER BY round, why IS NOT NULL, samples DESC, part`,
		name, literal(q.arm.Name), q.arm.Round-maxRounds)
	if err != nil {
		return nil, err
	}
	out := []RoundBudget{}
	for r := range rowsOf(&table) {
		round := int(r.integer(0))
		if len(out) == 0 || out[len(out)-1].Round != round {
			out = append(out, RoundBudget{Round: round})
		}
		b := &out[len(out)-1]
		b.Samples += r.integer(2)
		b.Parts = append(b.Parts, BudgetShare{Name: r.text(1), Samples: r.integer(2), Share: r.number(3), Sentence: r.text(4)})
	}
	return out, nil
}

// gates asks how many attempts passed, by gate, by worker and by slice.
func (q *queries) gates(ctx context.Context, n *Numbers, boosts []SliceAccuracy) error {
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
	rate := func(name string, passed, rejected int64) PassRate {
		return PassRate{Name: name, Attempts: passed + rejected, Rejected: rejected, Rate: float64(passed) / float64(max(1, passed+rejected))}
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
	n.Gates, n.Workers, n.Slices = []PassRate{}, []PassRate{}, []PassRate{}
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
func (q *queries) cost(ctx context.Context, price *loop.Price) (Cost, error) {
	table, err := q.ask(ctx, `WITH s AS (SELECT * FROM %s WHERE campaign = %s)
SELECT 'round', round::VARCHAR, count(*), coalesce(sum(millis), 0), coalesce(sum(millis) FILTER (WHERE split = 'train'), 0) FROM s GROUP BY ALL
UNION ALL
SELECT 'slice', c.slice, count(*), coalesce(sum(s.millis), 0), 0 FROM s JOIN main.components c USING (campaign, round, split, component) WHERE split = 'train' GROUP BY ALL
ORDER BY 1, 4 DESC, 2`, q.arm.table("samples"), literal(q.arm.Name))
	if err != nil {
		return Cost{}, err
	}
	out := Cost{Price: price.GPUHour, Currency: price.Currency, ByRound: []CostShare{}, BySlice: []CostShare{}}
	for r := range rowsOf(&table) {
		c := CostShare{Name: r.text(1), Samples: r.integer(2), Seconds: r.number(3) / 1000}
		c.Money = price.Of(1000 * c.Seconds)
		if r.text(0) == "slice" {
			if len(out.BySlice) < maxRows {
				out.BySlice = append(out.BySlice, c)
			}
			continue
		}
		out.Seconds += c.Seconds
		out.Training += r.number(4) / 1000
		out.ByRound = append(out.ByRound, c)
	}
	out.Money = price.Of(1000 * out.Seconds)
	slices.SortFunc(out.ByRound, func(a, b CostShare) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name)) // numbers
	})
	return out, nil
}
