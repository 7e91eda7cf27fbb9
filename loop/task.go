package loop

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

// Metrics lists the metrics of all tasks: one column each, in this order, in
// every table of outcomes.
func (s *Space) Metrics() []Metric {
	var metrics []Metric
	for i := range s.Tasks {
		metrics = append(metrics, s.Tasks[i].Metrics...)
	}
	return metrics
}

// Derive gives the level of every derived label, by position, for the codes of
// a scenario: Unknown where that depends on a factor whose value is unknown. A
// set does not hold where its factor is absent.
func (s *Space) Derive(codes []Code) []Code {
	levels := make([]Code, len(s.Derived))
	for i := range s.Derived {
		levels[i] = s.Derived[i].level(codes)
	}
	return levels
}

func (d *Derived) level(codes []Code) Code {
	for i := range d.Rules {
		switch conjunction(d.Rules[i].When, codes) {
		case satisfied:
			return Code(d.Rules[i].Level)
		case open:
			return Unknown
		case violated:
		}
	}
	return Code(d.Otherwise)
}
