package loop

import (
	"math"
	"strings"
)

// Task is something that a model is asked to do in a space, and how it is scored.
type Task struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Metrics     []Metric `json:"metrics"`
}

// Metric is one score of a task. Its name is a column of the outcomes; no two
// tasks of a space share one.
type Metric struct {
	Name string `json:"name"`
	// Unit is what the value is counted in, e.g. "mm"; empty for a pure number.
	Unit   string    `json:"unit,omitempty"`
	Better Direction `json:"better"`
	// Fail is the value from which on an outcome counts as a failure: below it
	// where higher is better, above it where lower is. Nil: the metric reports
	// only.
	Fail *float64 `json:"fail,omitempty"`
}

// Direction says which values of a metric are the better ones.
type Direction string

// The directions.
const (
	Higher Direction = "higher"
	Lower  Direction = "lower"
)

// Fails reports whether a value is a failure. NaN, which stands for a metric
// that was not posted, is none.
func (m *Metric) Fails(value float64) bool {
	switch {
	case m.Fail == nil:
		return false
	case m.Better == Lower:
		return value > *m.Fail
	default:
		return value < *m.Fail
	}
}

// Task returns the named task, or nil.
func (s *Space) Task(name string) *Task {
	for i := range s.Tasks {
		if s.Tasks[i].Name == name {
			return &s.Tasks[i]
		}
	}
	return nil
}

func (s *Space) taskNames() string {
	names := make([]string, len(s.Tasks))
	for i := range s.Tasks {
		names[i] = s.Tasks[i].Name
	}
	return strings.Join(names, ", ")
}

// metric finds a metric of the named task, or of any where none is named: no two
// tasks share one.
func (s *Space) metric(task, name string) *Metric {
	for i := range s.Tasks {
		if task != "" && s.Tasks[i].Name != task {
			continue
		}
		for j := range s.Tasks[i].Metrics {
			if m := &s.Tasks[i].Metrics[j]; m.Name == name {
				return m
			}
		}
	}
	return nil
}

func (s *Space) metricNames(task string) (names []string) {
	for i := range s.Tasks {
		for j := range s.Tasks[i].Metrics {
			if task == "" || s.Tasks[i].Name == task {
				names = append(names, s.Tasks[i].Metrics[j].Name)
			}
		}
	}
	return names
}

// Metrics lists the metrics of all tasks: one column each, in this order, in
// every table of outcomes.
func (s *Space) Metrics() []Metric {
	var metrics []Metric
	for i := range s.Tasks {
		metrics = append(metrics, s.Tasks[i].Metrics...)
	}
	return metrics
}

// maxUnit is the most bytes of a unit: "mm", "px", "1/s".
const maxUnit = 32

// validateTasks checks the tasks and their metrics, whose names are columns of
// the outcomes.
func (s *Space) validateTasks(columns columns) error {
	tasks := make(map[string]bool, len(s.Tasks))
	metrics := 0
	for i := range s.Tasks {
		task, field := &s.Tasks[i], at("tasks", i)
		switch {
		case !ValidName(task.Name):
			return refuse(field+".name", "%q is not a name", task.Name).remedy(nameRemedy)
		case tasks[task.Name]:
			return refuse(field+".name", "there are two tasks %q", task.Name).remedy("make them one, with all its metrics")
		}
		tasks[task.Name] = true
		if metrics += len(task.Metrics); metrics > MaxMetrics {
			return refuse(field+".metrics", "more than %d metrics in all tasks together", MaxMetrics)
		}
		for j := range task.Metrics {
			if err := task.Metrics[j].validate(at(field+".metrics", j), columns); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Metric) validate(field string, columns columns) error {
	if err := columns.add(field, "metric", m.Name); err != nil {
		return err
	}
	switch {
	case len(m.Unit) > maxUnit || !line(m.Unit):
		return refuse(field+".unit", "%q is not a unit", m.Unit).remedy("at most %d bytes, such as mm; leave it out for a pure number", maxUnit)
	case m.Better != Higher && m.Better != Lower:
		return refuse(field+".better", "%q is not a direction", m.Better).remedy("higher, as for IoU, or lower, as for an error in mm")
	case m.Fail != nil && (math.IsNaN(*m.Fail) || math.IsInf(*m.Fail, 0)):
		return refuse(field+".fail", "%v is not a threshold", *m.Fail).remedy("a finite number, or leave it out: the metric then only reports")
	}
	return nil
}
