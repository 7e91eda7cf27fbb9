//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"errors"

	"hone/loop"
)

// made adds what the samples of the query's rounds took, as of the snapshot: those
// that are there, the attempts that gates sent back, and the indices of which
// there are only such. As all rounds before the one that is decided are terminal,
// these are the abandoned ones.
func (r *evidenceReader) made(ctx context.Context, q *loop.EvidenceQuery) error {
	if q.Campaign == "" {
		return nil
	}
	type place struct {
		split            string
		round, component int
	}
	slice := make(map[place]loop.Slice, len(q.Sliced))
	for _, s := range q.Sliced {
		slice[place{s.Domain.String(), s.Round, s.Component}] = s.Slice
	}
	// Milliseconds are fractions. Rounded one by one, to thousandths, they sum to the
	// same in any order.
	rows, err := r.conn.QueryContext(ctx, `WITH
	s AS (SELECT split, round, component, "index", millis FROM `+r.layout.table("samples")+` WHERE campaign = $1 AND round BETWEEN $2 AND $3),
	v AS (SELECT split, round, component, "index" FROM `+r.layout.table("verdicts")+` WHERE campaign = $1 AND round BETWEEN $2 AND $3)
SELECT split, round, component, count(*) FILTER (kind = 0), count(*) FILTER (kind = 1), count(DISTINCT "index") FILTER (kind = 2), coalesce(sum(micros), 0)::BIGINT
FROM (
	SELECT split, round, component, "index", 0 AS kind, round(millis * 1000)::BIGINT AS micros FROM s
	UNION ALL SELECT *, 1, 0 FROM v
	UNION ALL SELECT *, 2, 0 FROM v ANTI JOIN s USING (split, round, component, "index")
) GROUP BY split, round, component`, q.Campaign, q.FirstRound, q.LastRound)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p place
		var m loop.Made
		if err := rows.Scan(&p.split, &p.round, &p.component, &m.Accepted, &m.Rejected, &m.Abandoned, &m.Millis); err != nil {
			return err
		}
		if m.Slice = slice[p]; !q.Timed {
			m.Millis = 0
		}
		r.evidence.AddMade(m)
	}
	for i := range r.evidence.Made {
		m := &r.evidence.Made[i]
		m.Millis = (m.Millis + 500) / 1000
	}
	return errors.Join(rows.Err(), rows.Close())
}
