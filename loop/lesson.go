package loop

import (
	"fmt"
	"slices"
	"strings"
)

// lesson is what is learned from one thing: the lines of evidence that are of it.
type lesson struct {
	learned Learned
	// shared: another lesson has the same task, metric and model line.
	shared bool
	// evidence was drawn from the target and from mixtures; probes from slices that
	// were suspected, which tell of those slices only.
	evidence, probes *Evidence
	strata           []uint16
	discount         []float64
	// newest is how many rows the newest version has.
	newest int64
	// correlation is that of two rows of a group.
	correlation float64
	// overall is the failure rate with memory, goal that of the rows drawn from the
	// target, and loss the mean of what was measured in the newest version.
	overall, goal, loss float64
}

// lessons takes the evidence apart.
func (d *decision) lessons() []*lesson {
	if d.known != nil {
		return d.known
	}
	e := d.evidence
	lessons := make([]*lesson, max(1, len(e.Learned)))
	for from := range lessons {
		l := &lesson{learned: Learned{Importance: 1}}
		if from < len(e.Learned) {
			l.learned = e.Learned[from]
		}
		l.evidence = e.only(func(i int) bool { return int(e.From[i]) == from && e.Source[i] != SourceProbe })
		l.probes = e.only(func(i int) bool { return int(e.From[i]) == from && e.Source[i] == SourceProbe })
		l.strata, l.discount = l.evidence.strata(d.policy.Memory, d.policy.Window)
		for i := range l.evidence.Len() {
			if l.evidence.Age[i] == 0 {
				l.newest += l.evidence.Rows[i]
			}
		}
		l.correlation = l.evidence.correlation()
		all := l.count(nil, nil)
		if all.n > 0 {
			l.overall = all.k / all.n
		}
		l.goal = l.overall
		if target := l.count(nil, func(i int) bool { return l.evidence.Source[i] == SourceTarget }); target.n > 0 {
			l.goal = target.k / target.n
		}
		l.loss = all.loss
		for _, other := range lessons[:from] {
			if other.plainName() == l.plainName() {
				other.shared, l.shared = true, true
			}
		}
		lessons[from] = l
	}
	d.known = lessons
	return lessons
}

// only is the lines that are wanted, in their order.
func (e *Evidence) only(wanted func(i int) bool) *Evidence {
	var lines []int
	for i := range e.Len() {
		if wanted(i) {
			lines = append(lines, i)
		}
	}
	if len(lines) == e.Len() {
		return e
	}
	out := &Evidence{Learned: e.Learned, Made: e.Made, Codes: make([][]Code, len(e.Codes)),
		From: chosen(e.From, lines), Age: chosen(e.Age, lines), Source: chosen(e.Source, lines), Origin: chosen(e.Origin, lines),
		Weight: chosen(e.Weight, lines), Group: chosen(e.Group, lines), Rows: chosen(e.Rows, lines),
		Failures: chosen(e.Failures, lines), Loss: chosen(e.Loss, lines)}
	for f := range e.Codes {
		out.Codes[f] = chosen(e.Codes[f], lines)
	}
	if e.Graded() {
		out.Severity, out.Squares = chosen(e.Severity, lines), chosen(e.Squares, lines)
	}
	return out
}

func chosen[T any](column []T, lines []int) []T {
	out := make([]T, len(lines))
	for at, i := range lines {
		out[at] = column[i]
	}
	return out
}

// counted is what a lesson says of a slice.
type counted struct {
	// Of the newest version: rows, groups and failures as they are; what the rows are
	// worth as independent rows of deployment, and how many of these failed; the mean
	// of what was measured.
	rows, groups, failures int64
	worth, failed, loss    float64
	// n and k are rows and failures of all versions by the memory of their age, and
	// for as much as groups leave of the newest one's.
	n, k float64
}

// rate is the newest version's failure rate in deployment.
func (c *counted) rate() float64 {
	if c.worth == 0 {
		return 0
	}
	return c.failed / c.worth
}

// count counts the lines in a slice that are wanted; nil are all.
func (l *lesson) count(slice Slice, wanted func(line int) bool) counted {
	e := l.evidence
	var c counted
	sums, newest, losses := make([]stratum, len(l.discount)), make([]stratum, len(l.discount)), make([]stratum, len(l.discount))
	members := make(map[uint32]float64)
	mates := 0.0
	for i := range e.Len() {
		discount := l.discount[l.strata[i]]
		if discount == 0 && e.Age[i] > 0 || !matchesLine(e, slice, i) || wanted != nil && !wanted(i) {
			continue
		}
		weight, fails, squares := e.weigh(i)
		sums[l.strata[i]].add(weight, fails, squares)
		if e.Age[i] > 0 {
			continue
		}
		newest[l.strata[i]].add(weight, fails, squares)
		losses[l.strata[i]].add(weight, float64(e.Weight[i])/MicroUnits*float64(e.Loss[i])/MicroUnits, squares)
		rows := float64(e.Rows[i])
		c.rows += e.Rows[i]
		c.failures += e.Failures[i]
		if group := e.Group[i]; group == 0 {
			c.groups += e.Rows[i]
			mates += rows
		} else {
			had := members[group]
			if had == 0 {
				c.groups++
			}
			members[group] = had + rows
			mates += (had+rows)*(had+rows) - had*had
		}
	}
	c.n, c.k = pool(sums, l.discount)
	even := slices.Repeat([]float64{1}, len(l.discount))
	c.worth, c.failed = pool(newest, even)
	if c.worth > 0 {
		// A mean may be below 0; it is no count of failures.
		for i := range losses {
			if s := &losses[i]; s.squares > 0 {
				c.loss += s.weight / s.squares * s.fails / c.worth
			}
		}
		design := effect(mates/float64(c.rows), l.correlation)
		c.worth, c.failed = c.worth/design, c.failed/design
		c.n, c.k = c.n/design, c.k/design
	}
	return c
}

// correlation is that of how badly two rows of a group fail in the newest version,
// by a one-way analysis of variance; 0 where there are no groups.
func (e *Evidence) correlation() float64 {
	type sum struct{ rows, fails, squares float64 }
	var groups []sum
	at := make(map[uint32]int)
	var all sum
	within, between, mates := 0.0, 0.0, 0.0
	for i := range e.Len() {
		if e.Age[i] > 0 || e.Group[i] == 0 {
			continue
		}
		g, ok := at[e.Group[i]]
		if !ok {
			g = len(groups)
			at[e.Group[i]] = g
			groups = append(groups, sum{})
		}
		groups[g].rows += float64(e.Rows[i])
		groups[g].fails += e.failed(i)
		groups[g].squares += e.squared(i)
		all.rows += float64(e.Rows[i])
		all.fails += e.failed(i)
	}
	n := float64(len(groups))
	if n < 3 || all.rows <= n {
		return 0
	}
	mean := all.fails / all.rows
	for _, g := range groups {
		rate := g.fails / g.rows
		between += g.rows * (rate - mean) * (rate - mean)
		within += max(0, g.squares-g.fails*rate)
		mates += g.rows * g.rows / all.rows
	}
	between /= n - 1
	within /= all.rows - n
	if between <= within {
		return 0
	}
	size := (all.rows - mates) / (n - 1)
	return (between - within) / (between + (size-1)*within)
}

// name is what a person calls the lesson: its task, metric and model line, and its
// eval set where nothing else tells it from another.
func (l *lesson) name() string {
	if l.shared && l.learned.EvalSet != "" {
		return l.plainName() + " on " + l.learned.EvalSet
	}
	return l.plainName()
}

func (l *lesson) plainName() string {
	parts := []string{}
	for _, part := range []string{l.learned.Task, l.learned.Metric} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	of := strings.Join(parts, " by ")
	switch {
	case of == "":
		return l.learned.ModelLine
	case l.learned.ModelLine == "":
		return of
	}
	return fmt.Sprintf("%s of %s", of, l.learned.ModelLine)
}

// fails says to a person how badly something fails: rows that fail are counted, and of
// how badly they fail there is a mean.
func (l *lesson) fails(rate float64) string {
	if l.learned.Graded() {
		return "has a mean severity of " + percent(rate)
	}
	return "fails " + percent(rate) + " of the time"
}

// failed is fails of what is past.
func (l *lesson) failed(rate float64) string {
	if l.learned.Graded() {
		return "had a mean severity of " + percent(rate)
	}
	return "failed " + percent(rate)
}

// rows says of how many rows a rate is.
func (l *lesson) rows(c *counted) string {
	if l.learned.Graded() {
		return fmt.Sprintf("%d rows", c.rows)
	}
	return fmt.Sprintf("%d of %d rows", c.failures, c.rows)
}

// combined says how several lessons are weighed against each other.
func combined(lessons []*lesson) string {
	parts := make([]string, len(lessons))
	for i, l := range lessons {
		parts[i] = fmt.Sprintf("%s (importance %g)", l.name(), l.learned.Importance)
	}
	return fmt.Sprintf("The round combines %s: each is searched by itself, and a slice is worth the mean of what it is worth to each, weighed by importance.",
		join(parts))
}

// join writes a list as a person does.
func join(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
