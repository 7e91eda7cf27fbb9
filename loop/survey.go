package loop

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Rows are outcomes as somebody's table has them, one column per factor.
type Rows struct {
	// Space names the factors and levels. It need not be valid: any text may be
	// the name of a column.
	Space *Space
	// Codes has a column per factor. What is not a level is unknown there, and
	// such a row counts in no slice with that factor.
	Codes [][]Code
	// Error of each row: 1 for a failure and 0 for none, or a loss of 0 or more.
	Error []float64
	// Group of each row, numbered from 0; rows of a group are not independent. Nil
	// where every row stands for itself.
	Group []uint32
	// Each runs the parts of a survey, several at once if it likes; nil: one after
	// the other. What is found is the same.
	Each Executor
}

// Survey is what rows say, and what they are too few to say.
type Survey struct {
	Rows int
	// Groups is 0 where every row stands for itself.
	Groups int
	// Rate is the failure rate, or the mean loss, of all rows.
	Rate float64
	// Loss: errors are losses, and not all of them 0 or 1. For the test, though for
	// nothing that is told, a loss above Cap counts as Cap.
	Loss bool
	Cap  float64
	// Correlation is that of the errors of two rows of a group, found slices aside.
	Correlation float64
	// Tested is how many slices of each order could have become significant.
	Tested []int
	// Order is how many predicates were searched for, which is fewer than asked
	// where that many factors would take too long.
	Order    int
	Findings []Finding
	// Detectable are slices that these rows just suffice to show.
	Detectable []Detectable
	// More is how many more rows like these would halve the slices of Detectable.
	More int

	highest uint32 // number of a group
}

// Finding is a slice that fails more often than the rest, or whose mean loss is
// higher.
type Finding struct {
	Slice Slice
	Rows  int
	// Effective is how many independent rows the slice's are worth.
	Effective float64
	// Failures is the sum of errors.
	Failures float64
	// Rate is Failures/Rows, and Lower and Upper its 95 % interval.
	Rate, Lower, Upper float64
	// Lift is Rate over that of the rows known to lie outside, of which half a one
	// counts as failing where none does.
	Lift float64
	// Q is the smallest false discovery rate at which the slice is found.
	Q float64
	// Known is the part of all rows of which every factor of the slice is known.
	Known    float64
	Sentence string
}

// Detectable is the smallest slice that shows with 80 % power.
type Detectable struct {
	Lift  float64
	Rows  int
	Share float64
}

// DefaultSearch is the search of a survey: that of the default policy, with as
// many slices as one reads, and runs of up to half of the eight bins of a number.
func DefaultSearch() Search {
	search := DefaultPolicy().Search
	search.Slices, search.Runs = 20, 4
	return search
}

// Validate refuses settings that no search can meet.
func (s *Search) Validate() error {
	switch {
	case s.Order < 1 || s.Order > MaxOrder:
		return refuse("order", "%d predicates", s.Order).remedy("1 to %d", MaxOrder)
	case !(s.FalseDiscovery >= 1e-9 && s.FalseDiscovery <= .5):
		return refuse("fdr", "%v is not a false discovery rate", s.FalseDiscovery).remedy("above 0, at most 0.5")
	case s.Slices < 1:
		return refuse("top", "%d slices", s.Slices).remedy("1 or more")
	case s.Runs < 0 || s.Runs > maxPairedLevels:
		return refuse("runs", "%d levels", s.Runs).remedy("0 to %d; 0 and 1: no runs", maxPairedLevels)
	}
	return nil
}

// Survey finds the slices that fail more than the rest, by the search that
// decisions use, and says what is too small to be seen. A loss is tested by its
// mean, with its measured variance. Where rows have groups, a slice of n rows
// counts as n/(1 + (m-1)·ρ): ρ is the measured correlation within groups, and m
// how many rows of its group a row of the slice has in it.
func (r *Rows) Survey(search Search) (Survey, error) {
	c, err := r.Count(search)
	if err != nil {
		return Survey{}, err
	}
	return c.find(), nil
}

// tally makes errors parts of 1, and numbers groups from 1.
func (r *Rows) tally(s *Survey, search Search) *tally {
	l := &lines{codes: r.Codes, errors: r.Error}
	if s.Loss {
		l.errors, s.Cap = capped(r.Error)
		l.squares = make([]float64, len(l.errors))
		for i, e := range l.errors {
			l.squares[i] = e * e
		}
	}
	if r.Group != nil {
		l.group = make([]uint32, len(r.Group))
		for i, g := range r.Group {
			l.group[i] = g + 1
		}
	}
	return newTally(r.Space, search, l, r.Each)
}

// telltale lets a search go from a slice to a narrower one only if what that
// leaves out fails less: by less than half of what the slice fails more than the
// rest. A predicate that most rows meet anyway is not told.
func telltale(parent, child *cell, rate float64) bool {
	n, k := parent.n-child.n, parent.k-child.k
	return k-n*rate < n/parent.n*parent.excess(rate)/2
}

func choose(n, k int) float64 {
	c := 1.0
	for i := range k {
		c *= float64(n-i) / float64(i+1)
	}
	return c
}

// capped are losses as parts of the cap that few of them exceed, so that a
// handful of enormous ones neither makes a slice nor hides all others.
func capped(losses []float64) (parts []float64, limit float64) {
	var positive []float64
	for _, l := range losses {
		if l > 0 {
			positive = append(positive, l)
		}
	}
	slices.Sort(positive)
	limit = positive[(len(positive)-1)*99/100]
	parts = make([]float64, len(losses))
	for i, l := range losses {
		parts[i] = min(1, l/limit)
	}
	return parts, limit
}

// finding counts a slice over all rows, also those that slices before it have
// taken away, so that anyone who counts finds the same.
func (c *CountedRows) finding(s *Survey, of *cell) Finding {
	r, f := c.rows, Finding{Slice: of.slice, Q: of.q}
	mates := make([]float64, s.highest+1)
	each := r.Each
	if r.Group != nil {
		each = nil // mates are of all chunks
	}
	squares, outside, known := 0.0, 0.0, 0
	tables := append([]*Rows{r}, c.more...)
	if !s.Loss && c.tally.knows(of.slice) {
		// All is known, and a failure is a failure: what is outside is the rest.
		for b, m := range c.tally.members(of.slice) {
			for _, line := range m.lines {
				row := m.batch.at(int(line))
				f.Rows++
				f.Failures += tables[b].Error[row]
				if r.Group != nil {
					mates[r.Group[row]]++
				}
			}
		}
		outside, known, tables = c.total-f.Failures, s.Rows, nil
	}
	for _, rows := range tables {
		chunks := make([]counts, (len(rows.Error)+scanned-1)/scanned)
		each.run(len(chunks), func(i int) {
			chunks[i] = rows.counts(of.slice, i*scanned, min(len(rows.Error), (i+1)*scanned), mates)
		})
		for _, chunk := range chunks {
			f.Rows, f.Failures, known = f.Rows+chunk.rows, f.Failures+chunk.failures, known+chunk.known
			squares, outside = squares+chunk.squares, outside+chunk.outside
		}
	}
	n := float64(f.Rows)
	f.Known = float64(known) / float64(s.Rows)
	f.Effective = n
	if r.Group != nil {
		together := 0.0
		for _, m := range mates {
			together += m * m
		}
		f.Effective = n / effect(together/n, s.Correlation)
	}
	f.Rate = f.Failures / n
	if s.Loss {
		within := 1.959963984540054 * math.Sqrt(max(0, squares/n-f.Rate*f.Rate)/f.Effective)
		f.Lower, f.Upper = max(0, f.Rate-within), f.Rate+within
	} else {
		f.Lower, f.Upper = wilson(f.Rate*f.Effective, f.Effective)
	}
	half := .5
	if s.Loss {
		half *= s.Cap
	}
	f.Lift = f.Rate / (max(outside, half) / max(1, float64(known-f.Rows)))
	f.Sentence = r.sentence(s, &f, outside == 0)
	return f
}

// counts are of the rows in a slice, and what it takes to compare them with those
// that are known to lie outside.
type counts struct {
	rows, known                int
	failures, squares, outside float64
}

func (r *Rows) counts(slice Slice, from, to int, mates []float64) (n counts) {
	for i := from; i < to; i++ {
		in, is := true, true
		for _, p := range slice {
			code := r.Codes[p.Factor][i]
			in, is = in && p.Holds(code), is && code.IsLevel()
		}
		e := r.Error[i]
		switch {
		case in:
			n.rows++
			n.failures += e
			n.squares += e * e
			if r.Group != nil {
				mates[r.Group[i]]++
			}
		case is:
			n.outside += e
		}
		if is {
			n.known++
		}
	}
	return n
}

// sentence says the finding to a person.
func (r *Rows) sentence(s *Survey, f *Finding, alone bool) string {
	var b strings.Builder
	elsewhere := "the rate elsewhere"
	if s.Loss {
		elsewhere = "the mean elsewhere"
		fmt.Fprintf(&b, "%s has a mean loss of %s (%d rows, 95%% interval %s to %s)", r.Space.Describe(f.Slice),
			short(f.Rate), f.Rows, short(f.Lower), short(f.Upper))
	} else {
		fmt.Fprintf(&b, "%s fails %s of the time (%.0f of %d rows, 95%% interval %s to %s)", r.Space.Describe(f.Slice),
			percent(f.Rate), f.Failures, f.Rows, percent(f.Lower), percent(f.Upper))
	}
	switch {
	case alone:
		b.WriteString("; elsewhere there is none.")
	case f.Lift < 10:
		fmt.Fprintf(&b, ", %.1f times %s.", f.Lift, elsewhere)
	default:
		fmt.Fprintf(&b, ", %.0f times %s.", f.Lift, elsewhere)
	}
	if f.Effective < .95*float64(f.Rows) {
		fmt.Fprintf(&b, " Its %d rows are worth %.0f independent ones.", f.Rows, f.Effective)
	}
	if f.Known < 1 {
		fmt.Fprintf(&b, " It is known of %s of all rows.", percent(f.Known))
	}
	return b.String()
}

// short is a number with three digits that matter.
func short(x float64) string { return fmt.Sprintf("%.3g", x) }
