//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"hone/loop"
)

// LeftOut is a column that is no factor, and why.
type LeftOut struct {
	Column string
	Reason string
}

// coded is a column with the levels that it becomes.
type coded struct {
	column Column
	factor loop.Factor
	// code is the SQL that gives the level's position, or NULL where it is unknown.
	code string
	// enum is the type that code needs, if it has a place for its name.
	enum string
}

// profile is what is asked of every column at once.
type profile struct {
	Column
	sort sort
	// value is the SQL of a known value, or NULL.
	value           string
	known, distinct int64
	low, high       float64 // of numbers
	length, words   float64 // of text, on average
}

// sort is how a column's values become levels.
type sort int

const (
	textual sort = iota
	integral
	real
	temporal
	unusable
)

const (
	// fewLevels is up to how many distinct integers stay levels of their own.
	fewLevels = 12
	// manyLevels is over how many distinct texts no factor is.
	manyLevels = 5000
	// rareLevel is how many rows a level has at least, to be searched.
	rareLevel = 12
)

var decimalScale = regexp.MustCompile(`^DECIMAL\(\d+,(\d+)\)$`)

func sortOf(kind string) sort {
	switch {
	case kind == "VARCHAR", kind == "BOOLEAN", strings.HasPrefix(kind, "ENUM"), kind == "UUID":
		return textual
	case slices.Contains([]string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}, kind):
		return integral
	case kind == "FLOAT", kind == "DOUBLE":
		return real
	case kind == "DATE", strings.HasPrefix(kind, "TIMESTAMP"):
		return temporal
	}
	if m := decimalScale.FindStringSubmatch(kind); m != nil {
		if m[1] == "0" {
			return integral
		}
		return real
	}
	return unusable
}

// valueOf is the SQL of a column's known value: blank text and numbers that are
// none are unknown.
func valueOf(c Column, s sort) string {
	name := ident(c.Name)
	switch s {
	case textual:
		if c.Type == "BOOLEAN" {
			return name + "::VARCHAR"
		}
		return "nullif(trim(" + name + "::VARCHAR), '')"
	case real:
		return "CASE WHEN isfinite(" + name + "::DOUBLE) THEN " + name + "::DOUBLE END"
	case integral:
		return name + "::DOUBLE"
	case temporal:
		if c.Type == "DATE" {
			return "CASE WHEN isfinite(" + name + ") THEN " + name + "::TIMESTAMP END"
		}
		return "CASE WHEN isfinite(" + name + "::TIMESTAMP) THEN " + name + "::TIMESTAMP END"
	case unusable:
	}
	return "NULL"
}

// profiles asks of every column how it looks, in one pass.
func (t *Table) profiles(ctx context.Context, relation string, columns []Column) ([]profile, error) {
	var query strings.Builder
	query.WriteString("SELECT 0")
	all := make([]profile, len(columns))
	into := []any{new(int)}
	for i, c := range columns {
		p := &all[i]
		*p = profile{Column: c, sort: sortOf(c.Type)}
		p.value = valueOf(c, p.sort)
		numbers := "NULL::DOUBLE, NULL::DOUBLE, NULL::DOUBLE, NULL::DOUBLE"
		switch p.sort {
		case textual:
			numbers = fmt.Sprintf("NULL::DOUBLE, NULL::DOUBLE, avg(length(%s)), avg(length(%[1]s) - length(replace(%[1]s, ' ', '')))", p.value)
		case temporal:
			numbers = fmt.Sprintf("epoch(min(%s)), epoch(max(%[1]s)), NULL::DOUBLE, NULL::DOUBLE", p.value)
		case integral, real:
			numbers = fmt.Sprintf("min(%s), max(%[1]s), NULL::DOUBLE, NULL::DOUBLE", p.value)
		case unusable:
		}
		if p.sort == unusable {
			fmt.Fprintf(&query, ", 0, 0, %s", numbers)
		} else {
			fmt.Fprintf(&query, ", count(%s), approx_count_distinct(%[1]s), %s", p.value, numbers)
		}
		into = append(into, &p.known, &p.distinct, orZero{&p.low}, orZero{&p.high}, orZero{&p.length}, orZero{&p.words})
	}
	query.WriteString(" FROM " + relation)
	if err := t.conn.QueryRowContext(ctx, query.String()).Scan(into...); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	for i := range all {
		all[i].distinct = min(all[i].distinct, all[i].known) // which is an estimate
	}
	return all, nil
}

// orZero scans NULL as 0.
type orZero struct{ to *float64 }

// Scan implements sql.Scanner.
func (z orZero) Scan(v any) error {
	var n sql.NullFloat64
	err := n.Scan(v)
	*z.to = n.Float64
	return err
}

var (
	idName    = regexp.MustCompile(`(?i)(^|[_ .-])(id|uuid|guid|index|idx|row|hash|digest|seed|file|path|name|url)s?$`)
	groupName = regexp.MustCompile(`(?i)^(clip|video|scene|sequence|track|patient|subject|session|recording|drive|run|user)([_ .-]?(id|name|uuid|no|number))?s?$`)
)

// factor makes a factor of a column, or says why not. A column that was asked
// for by name is left out only where there is no way round it.
func (t *Table) factor(ctx context.Context, relation string, p *profile, asked bool) (coded, string, error) {
	c := coded{column: p.Column, factor: loop.Factor{Name: p.Name, Kind: loop.Categorical}}
	ratio := float64(p.distinct) / float64(max(p.known, 1))
	switch {
	case p.sort == unusable:
		return c, fmt.Sprintf("a factor has plain values, not %s", strings.ToLower(p.Type)), nil
	case p.known == 0:
		return c, "no value of it is known", nil
	case asked:
	case p.sort == textual && p.known >= 20 && ratio > .5:
		return c, fmt.Sprintf("nearly all of its values differ (about %d of %d): an identifier", p.distinct, p.known), nil
	case p.sort == textual && (p.length > 60 || p.words >= 5):
		return c, fmt.Sprintf("free text (%.0f letters on average)", p.length), nil
	case p.sort == integral && p.known >= 20 && ratio > .9 && (idName.MatchString(p.Name) || p.high-p.low < 2*float64(p.known)):
		return c, fmt.Sprintf("nearly all of its values differ (about %d of %d): an identifier", p.distinct, p.known), nil
	case p.sort != real && p.distinct > 30 && groupName.MatchString(p.Name):
		return c, fmt.Sprintf("about %d values in %d rows: what it names are groups; if rows of one are alike, add --group %s", p.distinct, p.known, p.Name), nil
	}
	switch p.sort {
	case integral, real:
		if p.distinct <= 3*fewLevels {
			values, err := t.distinct(ctx, relation, p.value, p.value)
			if err != nil {
				return c, "", err
			}
			if len(values) <= 1 || p.sort == integral && len(values) <= fewLevels || p.sort == real && len(values) <= 6 {
				c.factor.Kind = loop.Ordinal
				return t.named(c, p, values, func(v string) string { return strings.TrimSuffix(v, ".0") })
			}
		}
		return t.binned(ctx, relation, c, p)
	case temporal:
		c.factor.Kind = loop.Ordinal
		p.value = t.calendar(p)
		values, err := t.distinct(ctx, relation, p.value, p.value)
		if err != nil {
			return c, "", err
		}
		return t.named(c, p, values, nil)
	default:
		if p.distinct > manyLevels+manyLevels/5 {
			return c, fmt.Sprintf("about %d different values", p.distinct), nil
		}
		order := "count(*) DESC, " + p.value
		if p.Type == "BOOLEAN" || strings.HasPrefix(p.Type, "ENUM") {
			order = "min(" + ident(p.Name) + ")"
		}
		values, err := t.distinct(ctx, relation, p.value, order)
		if err != nil {
			return c, "", err
		}
		if !asked && len(values) > 100 {
			common := int64(0)
			for _, v := range values {
				if v.rows >= rareLevel {
					common += v.rows
				}
			}
			if common < p.known/4 {
				return c, fmt.Sprintf("%d different values, and most of them rare", len(values)), nil
			}
		}
		return t.named(c, p, values, nil)
	}
}

// counted is a value and how many rows have it.
type counted struct {
	value string
	rows  int64
}

func (t *Table) distinct(ctx context.Context, relation, value, order string) ([]counted, error) {
	rows, err := t.conn.QueryContext(ctx, fmt.Sprintf("SELECT (%s)::VARCHAR, count(*) FROM %s WHERE %[1]s IS NOT NULL GROUP BY %[1]s ORDER BY %[3]s",
		value, relation, order))
	if err != nil {
		return nil, fmt.Errorf("levels: %w", err)
	}
	defer rows.Close()
	var values []counted
	for rows.Next() {
		var v counted
		if err := rows.Scan(&v.value, &v.rows); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, rows.Err()
}

// named makes each value a level.
func (t *Table) named(c coded, p *profile, values []counted, spell func(string) string) (coded, string, error) {
	if spell == nil {
		spell = func(value string) string { return value }
	}
	if len(values) == 1 {
		return c, fmt.Sprintf("it is always %q", clip(spell(values[0].value))), nil
	}
	if len(values) > loop.MaxLevels {
		return c, fmt.Sprintf("%d different values", len(values)), nil
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = literal(v.value)
		c.factor.Levels = append(c.factor.Levels, loop.Level{Name: spell(v.value)})
	}
	c.enum = "ENUM (" + strings.Join(quoted, ", ") + ")"
	c.code = "enum_code(TRY_CAST((" + p.value + ")::VARCHAR AS %s))"
	return c, "", nil
}

func clip(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}

// calendar is the SQL of the unit of time in which a column has some levels, and
// not many.
func (t *Table) calendar(p *profile) string {
	span := p.high - p.low
	for _, u := range []struct {
		seconds    float64
		unit, text string
	}{{3600, "hour", "%Y-%m-%d %H:00"}, {86400, "day", "%Y-%m-%d"}, {7 * 86400, "week", "%Y-%m-%d"}, {30.4 * 86400, "month", "%Y-%m"}} {
		if span/u.seconds <= 24 {
			return fmt.Sprintf("strftime(date_trunc('%s', %s), '%s')", u.unit, p.value, u.text)
		}
	}
	if span/(91*86400) <= 24 {
		return fmt.Sprintf("strftime(%s, '%%Y') || ' Q' || quarter(%[1]s)", p.value)
	}
	return fmt.Sprintf("strftime(%s, '%%Y')", p.value)
}

// binned makes bins of a column of numbers: quantiles with round edges. A value
// that many rows share, such as 0, is a bin of its own.
func (t *Table) binned(ctx context.Context, relation string, c coded, p *profile) (coded, string, error) {
	const points = 32
	at := make([]string, points+1)
	for i := range at {
		at[i] = fmt.Sprint(float64(i) / points)
	}
	quantiles := func(where string) ([]float64, error) {
		var list []any
		err := t.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT quantile_disc(%s, [%s]) FROM %s WHERE %[1]s IS NOT NULL%[4]s",
			p.value, strings.Join(at, ", "), relation, where)).Scan(&anyList{&list})
		if err != nil {
			return nil, fmt.Errorf("quantiles of %s: %w", p.Name, err)
		}
		q := make([]float64, len(list))
		for i, v := range list {
			q[i], _ = v.(float64)
		}
		return q, nil
	}
	q, err := quantiles("")
	if err != nil {
		return c, "", err
	}
	bins := 8
	for bins > 2 && p.known < int64(40*bins) {
		bins /= 2
	}
	// A value at several quantiles in a row is shared by many rows.
	heavy, run := 0.0, 0
	for i := 0; i < len(q); {
		n := 1
		for i+n < len(q) && q[i+n] == q[i] {
			n++
		}
		if n > run {
			heavy, run = q[i], n
		}
		i += n
	}
	var edges []float64
	if run > points/bins {
		var above sql.NullFloat64
		if err := t.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT min(%s) FROM %s WHERE %[1]s > %[3]s", p.value, relation, double(heavy))).Scan(&above); err != nil {
			return c, "", fmt.Errorf("bins of %s: %w", p.Name, err)
		}
		edges = append(edges, heavy)
		if above.Valid {
			edges = append(edges, roundBetween(heavy, above.Float64))
		}
		for bins > 1 && float64(bins) > 8*(1-float64(run)/points)+1 {
			bins /= 2
		}
		if q, err = quantiles(" AND " + p.value + " <> " + double(heavy)); err != nil {
			return c, "", err
		}
	}
	low, high := p.low, p.high
	if len(q) == points+1 {
		for i := 1; i < bins; i++ {
			here, before, after := q[i*points/bins], q[(i-1)*points/bins], q[(i+1)*points/bins]
			edges = append(edges, roundNear(here, min(positive(here-before), positive(after-here))/4))
		}
	}
	slices.Sort(edges)
	edges = slices.DeleteFunc(slices.Compact(edges), func(e float64) bool { return e <= low || e > high })
	if len(edges) == 0 {
		return c, "its values cannot be told apart", nil
	}
	edges = append(append([]float64{roundDown(low, min(edges[0]-low, high-low)/10)}, edges...), 0)
	last := len(edges) - 1
	edges[last] = roundAbove(high, (high-edges[0])/10)
	c.factor.Kind = loop.Numeric
	var code strings.Builder
	code.WriteString("CASE WHEN " + p.value + " IS NOT NULL THEN 0")
	for i := range last {
		c.factor.Levels = append(c.factor.Levels, loop.Level{Name: "[" + number(edges[i]) + "," + number(edges[i+1]) + ")", Low: edges[i], High: edges[i+1]})
		if i > 0 {
			fmt.Fprintf(&code, " + (%s >= %s)::UTINYINT", p.value, double(edges[i]))
		}
	}
	c.code = code.String() + " END"
	return c, "", nil
}

// anyList scans a LIST.
type anyList struct{ to *[]any }

// Scan implements sql.Scanner.
func (l *anyList) Scan(v any) error {
	switch v := v.(type) {
	case []any:
		*l.to = v
	case nil:
		*l.to = nil
	default:
		return fmt.Errorf("%T is not a list", v)
	}
	return nil
}

func positive(x float64) float64 {
	if x > 0 {
		return x
	}
	return math.Inf(1)
}
