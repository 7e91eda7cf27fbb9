package ingest

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"hone/api"
	"hone/loop"
)

// taskOf is the task that a post's rows are of: nil in a space that declares
// none, whose posts may name any. Where there is one task it need not be named.
func taskOf(space *loop.Space, name string) (*loop.Task, *api.Problem) {
	if len(space.Tasks) == 0 || name == "" && len(space.Tasks) == 1 {
		return first(space.Tasks), nil
	}
	if task := space.Task(name); task != nil {
		return task, nil
	}
	names := make([]string, len(space.Tasks))
	for i := range names {
		names[i] = space.Tasks[i].Name
	}
	wrong := &mistakes{limit: 1}
	if name == "" {
		wrong.add("query.task", nil, "missing: space %q has several tasks (%s)", space.Name, strings.Join(names, ", "))
	} else {
		wrong.add("query.task", name, "%s is not a task of space %q%s", quote(name), space.Name, suggest(name, names))
	}
	p := wrong.problem()
	p.Status, p.Title = http.StatusUnprocessableEntity, http.StatusText(http.StatusUnprocessableEntity)
	return nil, p
}

func first(tasks []loop.Task) *loop.Task {
	if len(tasks) == 0 {
		return nil
	}
	return &tasks[0]
}

// scale is the metrics of a space as the rows of one task see them.
type scale struct {
	task string
	// all are the space's metrics; those from own to end are the task's.
	all      []loop.Metric
	own, end int
	// places are the positions of the task's, others the tasks of the other names.
	places map[string]int
	others map[string]string
	names  []string // of the task's
	// fatal are the names of those with a threshold: each says what is correct.
	fatal []string
	// none are the metrics of every row without one.
	none []float64
	slab []float64
}

func newScale(space *loop.Space, task *loop.Task) scale {
	s := scale{all: space.Metrics(), places: map[string]int{}, others: map[string]string{}}
	if task == nil {
		return s
	}
	s.task = task.Name
	at := 0
	for t := range space.Tasks {
		one := &space.Tasks[t]
		if one.Name == task.Name {
			s.own, s.end = at, at+len(one.Metrics)
		}
		for m := range one.Metrics {
			name := one.Metrics[m].Name
			if one.Name != task.Name {
				s.others[name] = one.Name
			} else {
				s.places[name] = at
				s.names = append(s.names, name)
				if one.Metrics[m].Fail != nil {
					s.fatal = append(s.fatal, name)
				}
			}
			at++
		}
	}
	s.none = make([]float64, at)
	for i := range s.none {
		s.none[i] = math.NaN()
	}
	return s
}

// keep copies a row's metrics into the slab.
func (s *scale) keep(metrics []float64) []float64 {
	n := len(metrics)
	if len(s.slab) < n {
		s.slab = make([]float64, n*1024)
	}
	kept := s.slab[:n:n]
	s.slab = s.slab[n:]
	copy(kept, metrics)
	return kept
}

// unknownColumn says that a name is none of those things, nor a metric of the
// task; known are the names that it may have been meant to be.
func (b *builder) unknownColumn(name string, known []string, things ...string) string {
	s := &b.scale
	if other, ok := s.others[name]; ok {
		return fmt.Sprintf("%s is a metric of task %q, and the rows are of task %q", quote(name), other, s.task)
	}
	if s.task != "" {
		things = append(things, fmt.Sprintf("a metric of task %q", s.task))
	}
	not := "not "
	if len(things) > 1 {
		not = "neither "
	}
	return quote(name) + " is " + not + strings.Join(things, " nor ") + suggest(name, slices.Concat(known, s.names))
}

// metric sets a metric of the draft.
func (b *builder) metric(place int, v float64) {
	d := &b.draft
	d.judged = d.judged || b.scale.all[place].Fail != nil
	if math.IsNaN(v) || math.IsInf(v, 0) {
		b.mistake(b.scale.all[place].Name, finite(v), "%v is not a finite number (null where it was not measured)", v)
		return
	}
	d.metrics[place], d.measured = v, true
}

// judge makes sure that the draft says whether the outcome is correct, by itself
// or by its metrics, and that the two agree.
func (b *builder) judge() {
	d, s := &b.draft, &b.scale
	if !d.judged {
		switch {
		case d.hasCorrect:
		case len(s.fatal) > 0:
			b.mistake(correctColumn, nil, "missing (true or false, or else a number for %s)", strings.Join(s.fatal, " or "))
		default:
			b.mistake(correctColumn, nil, "missing (true or false)")
		}
		return
	}
	failing := -1
	for i := s.own; i < s.end && failing < 0; i++ {
		if s.all[i].Fails(d.metrics[i]) {
			failing = i
		}
	}
	correct := failing < 0
	if d.hasCorrect && d.correct != correct && !d.broken {
		b.mistake(correctColumn, d.correct, "%v, but %s (leave correct out: the metrics say it)", d.correct, s.verdict(failing, d.metrics))
	}
	d.correct = correct
}

// verdict says what metrics say: the one that fails, or those that do not.
func (s *scale) verdict(failing int, metrics []float64) string {
	if failing >= 0 {
		m, side := &s.all[failing], "below"
		if m.Better == loop.Lower {
			side = "above"
		}
		return fmt.Sprintf("%s=%v fails, being %s %v", m.Name, metrics[failing], side, *m.Fail)
	}
	var passing []string
	for i := s.own; i < s.end; i++ {
		if s.all[i].Fail != nil && !math.IsNaN(metrics[i]) {
			passing = append(passing, fmt.Sprintf("%s=%v", s.all[i].Name, metrics[i]))
		}
	}
	return strings.Join(passing, ", ") + " fails by no threshold"
}
