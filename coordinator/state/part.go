package state

import (
	"cmp"
	"slices"

	"hone/loop"
)

// run is some rows of a part, one after another.
type run struct{ first, count uint32 }

// covers refuses runs that do not hold every row of a part exactly once: a row
// that nothing accounts for would be visible and uncounted.
func covers(field string, runs []run, rows int64) *Refused {
	slices.SortFunc(runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.count, b.count))
	})
	next := int64(0)
	for _, r := range runs {
		if r.count == 0 {
			continue
		}
		if int64(r.first) != next {
			return refused(Invalid, field, "the rows from %d on are not accounted for exactly once", min(next, int64(r.first)))
		}
		next += int64(r.count)
	}
	if next != rows {
		return refused(Invalid, field, "%d rows are accounted for, but the part has %d", next, rows)
	}
	return nil
}

func appendRows(rows []uint32, first, count uint32) []uint32 {
	for i := range count {
		rows = append(rows, first+i)
	}
	return rows
}

// newPart makes a reference; void are the rows judged not fresh, in any order.
func newPart(kind loop.PartKind, space string, o loop.Object, void []uint32) *loop.Part {
	slices.Sort(void)
	return &loop.Part{Kind: kind, Space: space, Object: o, Void: void}
}
