//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"hone/fault"
	"hone/loop"
)

// ErrBehind is what a Catalogue answers when it no longer retains the changes
// that were asked for. The view then builds itself again from the first one.
var ErrBehind = errors.New("behind the retained catalogue")

// apply applies consecutive changes in one transaction, and the sequence of the
// last with them (C20).
func (s *store) apply(ctx context.Context, parts Parts, changes []loop.Change) error {
	spaces := maps.Clone(s.spaces)
	sequence, whole := s.sequence, s.whole
	err := s.transact(ctx, func(conn *sql.Conn) error {
		b := batch{conn: conn, parts: parts, spaces: spaces}
		for i := range changes {
			if changes[i].Sequence != sequence+1 {
				whole = max(whole, changes[i].Whole)
			}
			if err := b.change(ctx, &changes[i]); err != nil {
				return fmt.Errorf("change %d: %w", changes[i].Sequence, err)
			}
			sequence = changes[i].Sequence
		}
		return b.exec(ctx, `UPDATE _view SET sequence = ?, whole = ?`, sequence, whole)
	})
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	s.sequence, s.whole = sequence, whole
	// Readers look at the layouts; they are locked out only while there are
	// new ones.
	if !maps.Equal(spaces, s.spaces) {
		s.spaces = spaces
	}
	return nil
}

// batch is some changes on their way into one transaction.
type batch struct {
	conn   *sql.Conn
	parts  Parts
	spaces map[string]*layout
}

func (b *batch) exec(ctx context.Context, statement string, args ...any) error {
	_, err := b.conn.ExecContext(ctx, statement, args...)
	return err
}

func (b *batch) change(ctx context.Context, c *loop.Change) error {
	switch {
	case c.Space != nil:
		return b.space(ctx, c)
	case c.Round != nil:
		return b.round(ctx, c)
	case c.Part != nil:
		return b.part(ctx, c, c.Part, c.Sequence)
	case c.Void != nil:
		return b.void(ctx, c.Void)
	case c.Replace != nil:
		return b.replace(ctx, c)
	default:
		return errors.New("a change of a kind that this build does not know")
	}
}

func (b *batch) layout(space string) (*layout, error) {
	l := b.spaces[space]
	if l == nil {
		return nil, fmt.Errorf("space %q has not been added", space)
	}
	return l, nil
}

func (b *batch) space(ctx context.Context, c *loop.Change) error {
	document, err := json.Marshal(c.Space)
	if err != nil {
		return err
	}
	old := b.spaces[c.Space.Name]
	if old == nil {
		old = &layout{space: c.Space.Name, schema: schemaName(c.Space.Name, b.spaces)}
		if err := b.exec(ctx, "CREATE SCHEMA "+ident(old.schema)); err != nil {
			return err
		}
	}
	next := old.with(c.Space)
	if err := b.shape(ctx, old, next); err != nil {
		return fmt.Errorf("space %q: %w", c.Space.Name, err)
	}
	b.spaces[c.Space.Name] = next
	return b.exec(ctx, `INSERT INTO spaces VALUES (?, ?, ?, ?, ?)`, c.Space.Name, c.Space.Version, next.schema, string(document), c.Sequence)
}

// shape makes the tables of the next layout, and moves the rows of the old one.
func (b *batch) shape(ctx context.Context, old, next *layout) error {
	if len(old.versions) > 0 {
		if old.sameShape(next) {
			return nil
		}
		if err := b.exec(ctx, "DROP VIEW "+old.table("lineage")); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		table := string(kind)
		statements := []string{next.create(kind, table)}
		if len(old.versions) > 0 {
			statements = []string{
				next.create(kind, "_next"),
				old.move(kind, next, "_next"),
				"DROP TABLE " + old.table(table),
				"ALTER TABLE " + next.table("_next") + " RENAME TO " + ident(table),
			}
		}
		for _, statement := range statements {
			if err := b.exec(ctx, statement); err != nil {
				return err
			}
		}
	}
	return b.exec(ctx, next.lineage())
}

func (b *batch) round(ctx context.Context, c *loop.Change) error {
	r := &c.Round.Round
	l, err := b.layout(c.Round.Space)
	if err != nil {
		return err
	}
	space := l.versions[r.SpaceVersion]
	if space == nil {
		return fmt.Errorf("round %d of %q: version %d of space %q has not been added", r.Number, r.Campaign, r.SpaceVersion, l.space)
	}
	for _, table := range []string{"rounds", "components", "evidence_models"} {
		if err := b.exec(ctx, "DELETE FROM "+table+" WHERE campaign = ? AND round = ?", r.Campaign, r.Number); err != nil {
			return err
		}
	}
	var evidence any
	if !r.Evidence.IsZero() {
		evidence = r.Evidence.String()
	}
	if err := b.exec(ctx, `INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?::UBIGINT, ?, ?, ?, make_timestamp(?::BIGINT))`,
		r.Campaign, r.Number, c.Round.Space, r.SpaceVersion, c.Round.Policy, r.PolicyVersion, r.Strategy, evidence, c.Round.EvidenceKey,
		c.Round.Sequence, r.EvidenceRows, strconv.FormatUint(r.Seed, 10), r.Step, r.KL, r.FailureRate, c.At); err != nil {
		return err
	}
	if err := b.components(ctx, r, space); err != nil {
		return fmt.Errorf("components: %w", err)
	}
	for _, m := range c.Round.Models {
		if err := b.exec(ctx, `INSERT INTO evidence_models VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Campaign, r.Number, m.ModelLine, m.Version, m.Age, m.EvalSet, m.Task, m.Metric); err != nil {
			return err
		}
	}
	return nil
}

// componentRow is a row of the table components. What stands in a reason is
// NULL for what needs none.
type componentRow struct {
	Split     string   `json:"split"`
	Component int      `json:"component"`
	Slice     string   `json:"slice"`
	Share     float64  `json:"share"`
	Quota     uint64   `json:"quota"`
	Source    string   `json:"source"`
	Rows      *int64   `json:"rows"`
	Failures  *int64   `json:"failures"`
	Rate      *float64 `json:"rate"`
	Lift      *float64 `json:"lift"`
	Q         *float64 `json:"q"`
	Sentence  *string  `json:"sentence"`
	// Factors, Fixed and Levels are what the component fixes, in the order of the
	// space: in words, and as the levels that it may have.
	Factors []string   `json:"factors"`
	Fixed   []string   `json:"fixed"`
	Levels  [][]string `json:"levels"`
}

// components inserts all components of a round by one statement: a campaign
// that makes what it lists has thousands, and one statement for each would cost
// the transaction some hundred kilobytes apiece.
func (b *batch) components(ctx context.Context, r *loop.Round, space *loop.Space) error {
	rows := make([]componentRow, len(r.Components))
	for i := range r.Components {
		c := &r.Components[i]
		fixed := c.Fixed()
		rows[i] = componentRow{Split: c.Domain.String(), Component: c.Number, Slice: space.Describe(fixed), Share: float64(c.Share) / (1 << 32),
			Quota: c.Quota, Source: string(c.Source), Factors: make([]string, len(fixed)), Fixed: make([]string, len(fixed)), Levels: make([][]string, len(fixed))}
		for k, p := range fixed {
			f := &space.Factors[p.Factor]
			rows[i].Factors[k], rows[i].Fixed[k] = f.Name, f.Spell(p)
			for _, l := range f.Levels[p.Level : p.Last()+1] {
				rows[i].Levels[k] = append(rows[i].Levels[k], l.Name)
			}
		}
		if why := c.Reason; why != nil {
			rows[i].Rows, rows[i].Failures, rows[i].Rate = &why.Rows, &why.Failures, &why.Rate
			rows[i].Lift, rows[i].Q, rows[i].Sentence = &why.Lift, &why.Q, &why.Sentence
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return b.exec(ctx, `INSERT INTO components SELECT ?, ?, c.split, c.component, c.slice, c.share, c.quota, nullif(c.source, ''),
		c.rows, c.failures, c.rate, c.lift, c.q, c.sentence, map(c.factors, c.fixed), map(c.factors, c.levels)
		FROM (SELECT unnest(from_json(?::JSON, '[{"split":"VARCHAR","component":"INTEGER","slice":"VARCHAR","share":"DOUBLE","quota":"UBIGINT","source":"VARCHAR",
			"rows":"BIGINT","failures":"BIGINT","rate":"DOUBLE","lift":"DOUBLE","q":"DOUBLE","sentence":"VARCHAR","factors":["VARCHAR"],"fixed":["VARCHAR"],"levels":[["VARCHAR"]]}]')) AS c)`,
		r.Campaign, r.Number, string(text))
}

// replace puts one part in the place of others, whichever of them this file has: what
// came in by their changes goes, whatever it was told by.
func (b *batch) replace(ctx context.Context, c *loop.Change) error {
	r := c.Replace
	l, err := b.layout(r.Part.Space)
	if err != nil {
		return err
	}
	if tables[r.Part.Kind] == nil {
		return fmt.Errorf("a part of %q, which this build does not know", r.Part.Kind)
	}
	if err := b.exec(ctx, `DELETE FROM `+l.table(string(r.Part.Kind))+` WHERE `+sequenceColumn+` BETWEEN ? AND ?`, r.First, r.Last); err != nil {
		return err
	}
	if err := b.exec(ctx, `DELETE FROM parts WHERE kind = ? AND space = ? AND _first BETWEEN ? AND ?`, string(r.Part.Kind), r.Part.Space, r.First, r.Last); err != nil {
		return err
	}
	return b.part(ctx, c, &r.Part, r.First)
}

// part adds the rows of a part, the first of which came in by the change first.
func (b *batch) part(ctx context.Context, c *loop.Change, part *loop.Part, first uint64) error {
	if fault.Planted("skip the void bitmap") {
		whole := *part
		whole.Void, part = nil, &whole
	}
	l, err := b.layout(part.Space)
	if err != nil {
		return err
	}
	if tables[part.Kind] == nil {
		return fmt.Errorf("a part of %q, which this build does not know", part.Kind)
	}
	path, err := b.parts.Path(part.Object.Key)
	if err != nil {
		return fmt.Errorf("part %s: %w", part.Object.Key, err)
	}
	// DuckDB does not tell a file that is missing from one that it cannot read.
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("part %s: %w", part.Object.Key, err)
	}
	insert, err := b.insertion(ctx, l, c, part.Kind, path)
	if err != nil {
		return fmt.Errorf("part %s: %w", part.Object.Key, err)
	}
	args := []any{path}
	if len(part.Void) > 0 {
		insert += ` WHERE p.file_row_number NOT IN (SELECT unnest(?::UINTEGER[]))`
		args = append(args, part.Void)
	}
	result, err := b.conn.ExecContext(ctx, insert, args...)
	if err != nil {
		return fmt.Errorf("part %s: %w", part.Object.Key, err)
	}
	if n, err := result.RowsAffected(); err != nil || n != part.Object.Rows-int64(len(part.Void)) {
		return fmt.Errorf("part %s: %d rows, where %d less %d void were promised: %w", part.Object.Key, n, part.Object.Rows, len(part.Void), errors.Join(errPart, err))
	}
	return b.exec(ctx, `INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, make_timestamp(?::BIGINT), ?)`,
		c.Sequence, string(part.Kind), part.Space, part.Object.Key, part.Object.Digest.String(), part.Object.Rows, c.At, first)
}

// errPart is a part that is not what the catalogue says.
var errPart = errors.New("the part does not fit its reference")

// insertion is the statement that inserts a part's rows; its arguments are the
// part's path and, where a condition is added, the condition's own.
func (b *batch) insertion(ctx context.Context, l *layout, c *loop.Change, kind loop.PartKind, path string) (string, error) {
	has, err := b.columns(ctx, path)
	if err != nil {
		return "", err
	}
	// A part that replaces others has of its own what one that does not has of its change.
	own := func(column, otherwise string) string {
		if has[column] != "" {
			return "p." + column
		}
		return otherwise
	}
	var m mapping
	for i := range l.columns {
		// A part that was written under another version of the space may lack a
		// factor, or hold it as another kind.
		column := &l.columns[i]
		name, labels := strings.ToLower(column.name), strings.ToLower(column.name+levelSuffix)
		switch {
		case has[labels] != "":
			m.add(column.labels(), "p."+ident(labels))
			if column.valued {
				m.add(column.values(), "p."+ident(name))
			}
		case has[name] == "VARCHAR":
			m.add(column.labels(), "p."+ident(name))
		}
	}
	if kind == loop.OutcomeParts {
		for _, metric := range l.metrics {
			// Such a name may have been a factor's when the part was written.
			name := strings.ToLower(metric.name)
			if has[name] == "DOUBLE" && has[name+levelSuffix] == "" {
				m.add(metric.base, "p."+ident(name))
			}
		}
	}
	for _, f := range tables[kind] {
		source, needs := f.source, f.name
		switch {
		case source == at:
			m.add(f.name, fmt.Sprintf("make_timestamp(%s)", own(atColumn, fmt.Sprintf("%d::BIGINT", c.At))))
			continue
		case source == "":
			source = "p." + ident(f.name)
		case f.name == "split":
			needs = "domain"
		}
		if has[needs] == "" {
			if f.optional {
				continue
			}
			return "", fmt.Errorf("column %q is missing: %w", needs, errPart)
		}
		m.add(f.name, source)
	}
	return fmt.Sprintf(`INSERT INTO %s(%s, _reference, _row, %s) SELECT %s, %d::UBIGINT, p.file_row_number, %s FROM read_parquet(?, file_row_number = true) p`,
		l.table(string(kind)), m.columns(), sequenceColumn, m.expressions(), c.Sequence, own(sequenceColumn, fmt.Sprintf("%d::UBIGINT", c.Sequence))), nil
}

// columns are the types of a part's columns by their names, in lower case.
func (b *batch) columns(ctx context.Context, path string) (map[string]string, error) {
	rows, err := b.conn.QueryContext(ctx, `SELECT * FROM read_parquet(?) LIMIT 0`, path)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	has := make(map[string]string, len(types))
	for _, t := range types {
		has[strings.ToLower(t.Name())] = t.DatabaseTypeName()
	}
	return has, rows.Err()
}

// void takes rows out. Rows that are out already stay out.
func (b *batch) void(ctx context.Context, v *loop.Void) error {
	var space, kind string
	switch err := b.conn.QueryRowContext(ctx, `SELECT space, kind FROM parts WHERE reference = ?`, v.Reference).Scan(&space, &kind); {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("void of reference %d, which was not added", v.Reference)
	case err != nil:
		return err
	}
	l, err := b.layout(space)
	if err != nil {
		return err
	}
	return b.exec(ctx, `DELETE FROM `+l.table(kind)+` WHERE _reference = ? AND _row IN (SELECT unnest(?::UINTEGER[]))`, v.Reference, v.Rows)
}
