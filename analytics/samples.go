//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"hone/loop"
)

// Committed yields the committed samples of a selection in the order of a
// manifest (round, component, index), all of one snapshot, which has seen
// s.AtLeast. A name that is there twice ends it with an error (I2). An error is
// yielded last. The loop's body must not read from the view again.
func (v *View) Committed(ctx context.Context, s loop.Selection) iter.Seq2[loop.CommittedSample, error] {
	return func(yield func(loop.CommittedSample, error) bool) {
		_, err := v.read(ctx, s.AtLeast, func(ctx context.Context, conn *sql.Conn, spaces map[string]*layout) error {
			l := spaces[s.Space]
			if l == nil {
				return loop.NotFound("space", "%q is not a space", s.Space)
			}
			last := loop.Name{Round: -1}
			return readArrow(ctx, conn, `SELECT round::BIGINT, component::BIGINT, "index"::UBIGINT, attempt::BIGINT, digest, importance_weight, pack, "offset", length
				FROM `+l.table("samples")+` WHERE campaign = ? AND split = ? AND round BETWEEN ? AND ?
				ORDER BY round, component, "index"`, []any{s.Campaign, s.Domain.String(), s.FirstRound, s.LastRound},
				func(b arrow.RecordBatch) error {
					return committedBatch(b, s.Domain, func(c loop.CommittedSample) error {
						name := c.Row.Name
						if name.Round == last.Round && name.Component == last.Component && name.Index == last.Index {
							return fmt.Errorf("%s of campaign %q is committed twice, as attempts %d and %d", name.Key(), s.Campaign, last.Attempt, name.Attempt)
						}
						last = name
						if !yield(c, nil) {
							return errEnough
						}
						return nil
					})
				})
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(loop.CommittedSample{}, fmt.Errorf("committed: %w", err))
		}
	}
}

// errEnough ends a read whose reader has left the loop.
var errEnough = errors.New("enough")

func committedBatch(b arrow.RecordBatch, domain loop.Domain, each func(loop.CommittedSample) error) error {
	round, ok0 := b.Column(0).(*array.Int64)
	component, ok1 := b.Column(1).(*array.Int64)
	index, ok2 := b.Column(2).(*array.Uint64)
	attempt, ok3 := b.Column(3).(*array.Int64)
	digest, ok4 := b.Column(4).(*array.String)
	weight, ok5 := b.Column(5).(*array.Float64)
	pack, ok6 := b.Column(6).(*array.String)
	offset, ok7 := b.Column(7).(*array.Int64)
	length, ok8 := b.Column(8).(*array.Int64)
	if !(ok0 && ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7 && ok8) {
		return fmt.Errorf("columns of unexpected types: %s", b.Schema())
	}
	for i := range int(b.NumRows()) {
		d, err := loop.ParseDigest(digest.Value(i))
		if err != nil {
			return err
		}
		// Arrow's strings lie in memory that the next batch takes.
		if err := each(loop.CommittedSample{
			Row: loop.ManifestRow{Digest: d, Weight: weight.Value(i), Split: domain.String(), Name: loop.Name{
				Domain: domain, Round: int(round.Value(i)), Component: int(component.Value(i)), Index: index.Value(i), Attempt: int(attempt.Value(i))}},
			Address: loop.Address{Key: strings.Clone(pack.Value(i)), Offset: offset.Value(i), Length: length.Value(i)},
		}); err != nil {
			return err
		}
	}
	return nil
}

// Resolve looks up committed samples of a space by digest, thousands at a time.
// Digests that are not there are not in the answer. Where several samples have
// the same bytes (campaigns of one seed make the same pictures of scenarios that
// differ in what cannot be seen) the one of the eval set's own import or campaign
// answers, then the first by name: which of them was committed first is chance, and
// no evidence may rest on it (I4). Resolve sees what the view has come to: to be
// sure of a digest, Wait for the catalogue's sequence first.
func (v *View) Resolve(ctx context.Context, space, evalSet string, digests []loop.Digest) (map[loop.Digest]loop.Resolved, error) {
	resolved := make(map[loop.Digest]loop.Resolved, len(digests))
	if len(digests) == 0 {
		return resolved, nil
	}
	set, version, _ := strings.Cut(evalSet, "@")
	err := v.resolve(ctx, space, `FROM (SELECT DISTINCT unnest(?::VARCHAR[]) AS digest) q JOIN %s s ON s.digest = q.digest`,
		`(s.campaign = ? AND s.round::VARCHAR = ? AND s.example IS NOT NULL) DESC, s.campaign = ? DESC, `,
		[]any{texts(digests), set, version, loop.EvaluatedCampaign(evalSet)}, func(one *loop.Resolved) {
			if _, ok := resolved[one.Digest]; !ok {
				resolved[one.Digest] = *one
			}
		}, func() { clear(resolved) })
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	return resolved, nil
}

// Examples looks up samples of an imported version by what their importer calls
// them, like Resolve.
func (v *View) Examples(ctx context.Context, space, set string, version int, examples []string) (map[string]loop.Resolved, error) {
	resolved := make(map[string]loop.Resolved, len(examples))
	if len(examples) == 0 {
		return resolved, nil
	}
	err := v.resolve(ctx, space, `FROM %s s JOIN (SELECT DISTINCT unnest(?::VARCHAR[]) AS example) q
		ON s.example = q.example AND s.campaign = ? AND s.round = ?`, "", []any{examples, set, version},
		func(one *loop.Resolved) { resolved[one.Example] = *one }, func() { clear(resolved) })
	if err != nil {
		return nil, fmt.Errorf("examples: %w", err)
	}
	return resolved, nil
}

// resolve reads samples s that from yields, in the order that order and then their
// names say; begin is called first, and again where the view begins anew.
func (v *View) resolve(ctx context.Context, space, from, order string, args []any, each func(*loop.Resolved), begin func()) error {
	_, err := v.read(ctx, 0, func(ctx context.Context, conn *sql.Conn, spaces map[string]*layout) error {
		l := spaces[space]
		if l == nil {
			return loop.NotFound("space", "%q is not a space", space)
		}
		r := newResolver(l)
		rows, err := conn.QueryContext(ctx, r.query(fmt.Sprintf(from, l.table("samples")), order), args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		begin()
		for rows.Next() {
			one, err := r.scan(rows)
			if err != nil {
				return err
			}
			each(&one)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return err
}

// Imported reads samples of an imported version, from an index on and at most limit
// of them, in their order, with the space by whose codes they are told. It has seen
// the sequence.
func (v *View) Imported(ctx context.Context, space, set string, version int, from uint64, limit int, atLeast uint64) (of *loop.Space, samples []loop.ImportedSample, err error) {
	_, err = v.read(ctx, atLeast, func(ctx context.Context, conn *sql.Conn, spaces map[string]*layout) error {
		l := spaces[space]
		if l == nil {
			return loop.NotFound("space", "%q is not a space", space)
		}
		of, samples = l.current, nil
		r := newResolver(l)
		rows, err := conn.QueryContext(ctx, r.query(`FROM (SELECT * FROM `+l.table("samples")+` WHERE campaign = ? AND round = ? AND "index" >= ?
			ORDER BY "index" LIMIT ?) s`, ""), set, version, from, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			one, err := r.scan(rows)
			if err != nil {
				return err
			}
			samples = append(samples, loop.ImportedSample{Index: r.index, Digest: one.Digest, Example: one.Example, Scenario: one.Scenario, Values: one.Values})
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, nil, fmt.Errorf("imported: %w", err)
	}
	return of, samples, nil
}

// resolver reads samples back into scenarios.
type resolver struct {
	l      *layout
	codes  [][]loop.Code
	into   []any
	levels []sql.NullInt64
	reals  []sql.NullFloat64
	index  uint64 // of the last sample
}

func newResolver(l *layout) *resolver {
	n := len(l.current.Factors)
	r := &resolver{l: l, codes: make([][]loop.Code, n), levels: make([]sql.NullInt64, n), reals: make([]sql.NullFloat64, n)}
	for f := range n {
		r.codes[f] = l.codes(l.current, f)
	}
	return r
}

// query reads samples s.
func (r *resolver) query(from, order string) string {
	columns := ""
	for f := range r.l.current.Factors {
		c := r.l.column(r.l.current.Factors[f].Name)
		columns += ", enum_code(s." + ident(c.labels()) + ")::BIGINT"
		if c.numeric {
			columns += ", s." + ident(c.values())
		}
	}
	return `SELECT s.digest, s.split, s.index, coalesce(s.importance_weight, 0), coalesce(s.example, ''), coalesce(s.origin, 'synthetic'),
		coalesce(c.source, CASE WHEN s.example IS NOT NULL AND s.split = 'evaluation' THEN 'target' END, '')` + columns + ` ` + from + `
		LEFT JOIN main.components c ON c.campaign = s.campaign AND c.round = s.round AND c.split = s.split AND c.component = s.component
		ORDER BY ` + order + `s.campaign, s.round, s.split, s.component, s.index`
}

func (r *resolver) scan(rows *sql.Rows) (loop.Resolved, error) {
	var digest, split, example, origin, source string
	var weight float64
	into := append(r.into[:0], &digest, &split, &r.index, &weight, &example, &origin, &source)
	for f := range r.l.current.Factors {
		into = append(into, &r.levels[f])
		if r.l.column(r.l.current.Factors[f].Name).numeric {
			into = append(into, &r.reals[f])
		}
	}
	r.into = into
	if err := rows.Scan(into...); err != nil {
		return loop.Resolved{}, err
	}
	d, err := loop.ParseDigest(digest)
	if err != nil {
		return loop.Resolved{}, err
	}
	domain, ok := loop.ParseDomain(split)
	if !ok {
		return loop.Resolved{}, fmt.Errorf("%q is not a domain", split)
	}
	one := loop.Resolved{SpaceVersion: r.l.current.Version, Domain: domain, Source: loop.Source(source), Weight: weight, Digest: d, Example: example, Origin: loop.Origin(origin), Scenario: loop.Scenario{
		Codes: make([]loop.Code, len(r.codes)), Fractions: make([]uint32, len(r.codes))}}
	for f := range r.codes {
		one.Scenario.Codes[f] = loop.Unknown
		if r.levels[f].Valid {
			one.Scenario.Codes[f] = r.codes[f][r.levels[f].Int64]
		}
		if code := one.Scenario.Codes[f]; r.reals[f].Valid && code.IsLevel() {
			one.Scenario.Fractions[f] = r.l.current.Factors[f].Fraction(code, r.reals[f].Float64)
		}
		if example != "" {
			one.Values = append(one.Values, math.NaN())
			if r.reals[f].Valid {
				one.Values[f] = r.reals[f].Float64
			}
		}
	}
	return one, nil
}

// Locate finds the bytes of committed samples, of whatever space. Digests that
// are not there are not in the answer. Like Resolve it sees what the view has
// come to.
func (v *View) Locate(ctx context.Context, digests []loop.Digest) (map[loop.Digest]loop.Address, error) {
	located := make(map[loop.Digest]loop.Address, len(digests))
	if len(digests) == 0 {
		return located, nil
	}
	_, err := v.read(ctx, 0, func(ctx context.Context, conn *sql.Conn, spaces map[string]*layout) error {
		clear(located)
		for _, l := range sorted(spaces) {
			rows, err := conn.QueryContext(ctx, `SELECT s.digest, s.pack, s."offset", s.length
				FROM (SELECT DISTINCT unnest(?::VARCHAR[]) AS digest) q JOIN `+l.table("samples")+` s ON s.digest = q.digest
				ORDER BY s._sequence, s._row`, texts(digests))
			if err != nil {
				return err
			}
			if err := scanAddresses(rows, located); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("locate: %w", err)
	}
	return located, nil
}

func scanAddresses(rows *sql.Rows, into map[loop.Digest]loop.Address) error {
	defer rows.Close()
	for rows.Next() {
		var digest string
		var a loop.Address
		if err := rows.Scan(&digest, &a.Key, &a.Offset, &a.Length); err != nil {
			return err
		}
		d, err := loop.ParseDigest(digest)
		if err != nil {
			return err
		}
		if _, ok := into[d]; !ok {
			into[d] = a
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

func sorted(spaces map[string]*layout) []*layout {
	all := make([]*layout, 0, len(spaces))
	for _, l := range spaces {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *layout) int { return strings.Compare(a.space, b.space) })
	return all
}

func texts(digests []loop.Digest) []string {
	all := make([]string, len(digests))
	for i, d := range digests {
		all[i] = d.String()
	}
	return all
}
