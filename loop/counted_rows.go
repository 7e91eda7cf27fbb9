package loop

import (
	"math"
	"slices"
)

// CountedRows are rows whose slices have been counted. Rows can be added, and a
// survey of them all then takes little time.
type CountedRows struct {
	search Search
	rows   *Rows
	more   []*Rows // counted into the tally as they came
	tally  *tally
	survey Survey // what is known before the search
	total  float64
}

// Count counts the slices of the rows for surveys by a search. The rows are kept,
// and must not be changed.
func (r *Rows) Count(search Search) (*CountedRows, error) {
	if err := search.Validate(); err != nil {
		return nil, err
	}
	own := *r
	own.Codes, own.Error, own.Group = slices.Clone(r.Codes), slices.Clip(r.Error), slices.Clip(r.Group)
	for f := range own.Codes {
		own.Codes[f] = slices.Clip(own.Codes[f])
	}
	c := &CountedRows{search: search, rows: &own}
	if err := c.check(r); err != nil {
		return nil, err
	}
	if len(r.Error) > 0 {
		c.tally = own.tally(&c.survey, search)
	}
	return c, nil
}

// Add counts more rows of the same space and factors. It costs little where they
// have failures, no groups and nothing that the rows before have too little of to
// be counted; elsewhere as much as counting all rows again.
func (c *CountedRows) Add(more *Rows) error {
	if len(more.Codes) != len(c.rows.Codes) || (more.Group == nil) != (c.rows.Group == nil) && c.survey.Rows > 0 {
		return refuse("rows", "%d factors; the others have %d, and groups or none", len(more.Codes), len(c.rows.Codes))
	}
	loss := c.survey.Loss
	if err := c.check(more); err != nil {
		return err
	}
	c.more = append(c.more, more)
	if c.tally == nil || loss || c.survey.Loss || !c.tally.add(&lines{codes: more.Codes, errors: more.Error, group: more.Group}) {
		c.join()
		c.tally = c.rows.tally(&c.survey, c.search)
	}
	return nil
}

// join makes one table of all rows.
func (c *CountedRows) join() {
	r := c.rows
	for _, more := range c.more {
		r.Error, r.Group = append(r.Error, more.Error...), append(r.Group, more.Group...)
		for f := range r.Codes {
			r.Codes[f] = append(r.Codes[f], more.Codes[f]...)
		}
	}
	c.more = nil
}

// check refuses rows that cannot be, and sums them up.
func (c *CountedRows) check(r *Rows) error {
	rows := c.survey.Rows + len(r.Error)
	if rows > maxSurveyRows {
		return refuse("rows", "%d rows; at most %d are searched", rows, maxSurveyRows).remedy("take a sample of them")
	}
	total, loss, highest := c.total, c.survey.Loss, c.survey.highest
	for _, e := range r.Error {
		if !(e >= 0) || math.IsInf(e, 0) {
			return refuse("error", "%v is not an error", e).remedy("0 or 1, or a finite loss of 0 or more")
		}
		total += e
		loss = loss || e != 0 && e != 1
	}
	for i, group := range r.Group {
		if int(group) >= rows {
			return refuse(at("group", i), "number %d of %d rows", group, rows).remedy("number the groups from 0")
		}
		highest = max(highest, group)
	}
	c.total = total
	c.survey.Rows, c.survey.Loss, c.survey.highest, c.survey.Order = rows, loss, highest, c.search.Order
	if rows > 0 {
		c.survey.Rate = total / float64(rows)
	}
	return nil
}

// Survey is that of all rows so far.
func (c *CountedRows) Survey() Survey {
	if c.tally != nil {
		c.tally.lasting = true
	}
	return c.find()
}

// find is Survey, but that only a tally that lasts can be asked again.
func (c *CountedRows) find() Survey {
	s, t := c.survey, c.tally
	if s.Rows == 0 {
		return s
	}
	if s.Order = t.settings.Order; t.grouped {
		s.Groups = len(slices.Compact(slices.Clone(t.batches[0].group)))
	}
	cells := t.cover(telltale, func(rate float64, tested []int) {
		s.Tested = tested
		t.detect(&s, rate)
	})
	t.rate() // the correlation of what is left
	s.Correlation = t.clusters.correlation(0, 0)
	if t.lasting {
		t.restore()
	}
	for i := range cells {
		// What fails more than what the slices before it leave may yet fail less than
		// they do.
		if f := c.finding(&s, &cells[i]); f.Lift > 1 && f.Lower > s.Rate {
			s.Findings = append(s.Findings, f)
		}
	}
	return s
}
