package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
	"hone/spec"
)

// shownOutcomes is what is known of a model version's outcomes.
type shownOutcomes struct {
	Model    string        `json:"model"`
	Rows     int64         `json:"rows"`
	Failures int64         `json:"failures"`
	Rate     *float64      `json:"rate"`
	URIs     int64         `json:"uris"`
	Factors  []shownFactor `json:"factors"`
	Metrics  []shownMetric `json:"metrics"`
	Sequence uint64        `json:"sequence"`
}

// shownFactor counts the rows by what is known of a factor. The rates are null
// where there is no row.
type shownFactor struct {
	Factor      string   `json:"factor"`
	Known       int64    `json:"known"`
	Absent      int64    `json:"absent"`
	Unknown     int64    `json:"unknown"`
	KnownRate   *float64 `json:"known_rate"`
	UnknownRate *float64 `json:"unknown_rate"`
}

type shownMetric struct {
	Metric   string   `json:"metric"`
	Unit     string   `json:"unit,omitempty"`
	Measured int64    `json:"measured"`
	Mean     *float64 `json:"mean"`
	Failures int64    `json:"failures"`
}

func showOutcomes(c *cli.Context) error {
	args, err := arguments(c, "LINE@VERSION")
	if err != nil {
		return err
	}
	line, version, err := modelVersion(args[0])
	if err != nil {
		return err
	}
	if err := required(c, "space"); err != nil {
		return err
	}
	client := client(c)
	definition, err := client.ShowSpace(c.Context, c.String("space"), 0)
	if err != nil {
		return err
	}
	space, err := spec.ParseSpace([]byte(definition.Document))
	if err != nil {
		return fmt.Errorf("space %s: %w", c.String("space"), err)
	}
	// What has been posted a moment ago is to be seen.
	status, err := client.Status(c.Context)
	if err != nil {
		return err
	}
	// A schema is not always named as its space.
	schemas, err := client.SQL(c.Context, "SELECT DISTINCT schema FROM spaces WHERE space = "+sqlText(space.Name), status.Sequence)
	if err != nil {
		return err
	}
	if len(schemas.Rows) != 1 {
		return loop.NotFound("space", "queries do not know space %q yet", space.Name)
	}
	where := []string{"model_line = " + sqlText(line), "model_version = " + sqlText(version)}
	if task := c.String("task"); task != "" {
		where = append(where, "task = "+sqlText(task))
	}
	if set := c.String("eval-set"); set != "" {
		where = append(where, fmt.Sprintf("(eval_set = %s OR starts_with(eval_set, %s))", sqlText(set), sqlText(set+"@")))
	}
	answer, err := client.SQL(c.Context, outcomesQuery(&space, fmt.Sprint(schemas.Rows[0][0]), strings.Join(where, " AND ")), status.Sequence)
	if err != nil {
		return err
	}
	shown, err := readOutcomes(&space, &answer)
	if err != nil {
		return err
	}
	shown.Model = args[0]
	if shown.Rows == 0 {
		return loop.NotFound("model", "no such outcome of %s was posted in space %q", args[0], space.Name)
	}
	return show(c, shown, func(w io.Writer) { writeOutcomes(w, &shown) })
}

// outcomesQuery counts everything in one row: all outcomes, failures and uris, then four numbers per
// factor, then three per metric.
func outcomesQuery(space *loop.Space, schema, where string) string {
	columns := []string{"count(*)", "count(*) FILTER (NOT correct)", "count(uri)"}
	for i := range space.Factors {
		label := space.Factors[i].Name
		if space.Factors[i].Kind == loop.Numeric {
			label += "__level"
		}
		label = sqlName(label)
		absent := label + " = " + sqlText(loop.AbsentName)
		columns = append(columns, "count("+label+")", "count(*) FILTER ("+absent+")",
			"count(*) FILTER (NOT correct AND NOT ("+absent+"))", "count(*) FILTER (NOT correct AND "+label+" IS NULL)")
	}
	for _, m := range space.Metrics() {
		name, fails := sqlName(m.Name), "false"
		if m.Fail != nil && m.Better == loop.Lower {
			fails = fmt.Sprintf("%s > %v", name, *m.Fail)
		} else if m.Fail != nil {
			fails = fmt.Sprintf("%s < %v", name, *m.Fail)
		}
		columns = append(columns, "count("+name+")", "avg("+name+")", "count(*) FILTER ("+fails+")")
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + sqlName(schema) + ".outcomes WHERE " + where
}

func sqlName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func sqlText(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }

// readOutcomes is the answer to outcomesQuery.
func readOutcomes(space *loop.Space, answer *api.Table) (shownOutcomes, error) {
	metrics := space.Metrics()
	if len(answer.Rows) != 1 || len(answer.Rows[0]) != 3+4*len(space.Factors)+3*len(metrics) {
		return shownOutcomes{}, fmt.Errorf("the server's answer has %d rows", len(answer.Rows))
	}
	cells, failed := answer.Rows[0], error(nil)
	next := func() json.Number {
		cell := cells[0]
		cells = cells[1:]
		number, _ := cell.(json.Number) // nil is the mean of nothing
		return number
	}
	count := func() int64 {
		n, err := next().Int64()
		if err != nil {
			failed = fmt.Errorf("the server's answer: %w", err)
		}
		return n
	}
	shown := shownOutcomes{Rows: count(), Failures: count(), URIs: count(), Sequence: answer.Sequence, Factors: []shownFactor{}, Metrics: []shownMetric{}}
	shown.Rate = rate(shown.Failures, shown.Rows)
	for i := range space.Factors {
		f := shownFactor{Factor: space.Factors[i].Name, Known: count(), Absent: count()}
		f.Unknown = shown.Rows - f.Known
		f.Known -= f.Absent
		f.KnownRate = rate(count(), f.Known)
		f.UnknownRate = rate(count(), f.Unknown)
		shown.Factors = append(shown.Factors, f)
	}
	for _, m := range metrics {
		one := shownMetric{Metric: m.Name, Unit: m.Unit, Measured: count()}
		if mean, err := next().Float64(); err == nil {
			one.Mean = &mean
		}
		one.Failures = count()
		shown.Metrics = append(shown.Metrics, one)
	}
	return shown, failed
}

func rate(failures, rows int64) *float64 {
	if rows == 0 {
		return nil
	}
	return new(float64(failures) / float64(rows))
}

func writeOutcomes(w io.Writer, shown *shownOutcomes) {
	fmt.Fprintf(w, "%s: %s outcomes, %s failed (%s)", shown.Model, thousands(shown.Rows), thousands(shown.Failures), share(shown.Rate))
	if shown.URIs > 0 {
		fmt.Fprintf(w, "; %s with a uri", thousands(shown.URIs))
	}
	fmt.Fprint(w, "\n\n")
	var rows [][]string
	for _, f := range shown.Factors {
		rows = append(rows, []string{f.Factor, share(rate(f.Known, shown.Rows)), share(rate(f.Absent, shown.Rows)), share(rate(f.Unknown, shown.Rows)),
			share(f.KnownRate), share(f.UnknownRate)})
	}
	grid(w, []string{"factor", "known", "absent", "unknown", "fails where known", "fails where unknown"}, rows)
	rows = nil
	for _, m := range shown.Metrics {
		mean := ""
		if m.Mean != nil {
			mean = strings.TrimSpace(fmt.Sprintf("%.4g %s", *m.Mean, m.Unit))
		}
		rows = append(rows, []string{m.Metric, share(rate(m.Measured, shown.Rows)), mean, share(rate(m.Failures, m.Measured))})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		grid(w, []string{"metric", "measured", "mean", "fails"}, rows)
	}
}

// share is a fraction for people, empty where there is none.
func share(x *float64) string {
	if x == nil {
		return ""
	}
	return percent(*x)
}
