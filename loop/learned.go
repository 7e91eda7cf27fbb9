package loop

import (
	"cmp"
	"math"
)

// Learned is one of the things that evidence is of: what a model line did at a
// task, by a metric.
type Learned struct {
	ModelLine string `json:"model_line"`
	EvalSet   string `json:"eval_set,omitempty"`
	Task      string `json:"task,omitempty"`
	// Metric names the metric by which outcomes fail; empty: what was posted as
	// correct, and as loss.
	Metric string `json:"metric,omitempty"`
	// Unit is the metric's, and Better its direction.
	Unit   string    `json:"unit,omitempty"`
	Better Direction `json:"better,omitempty"`
	// Best and Cap are the measured values that count as severity 0 and 1; both are
	// 0 where severity is failure. A value is (value-Best)/(Cap-Best) severe, and
	// never more than 1, so that a few enormous losses decide nothing.
	//
	// They are quantiles of the newest version's rows. Cap is the value than which 1
	// in 100 of those that are worse than Best are worse yet. Where lower is better
	// Best is 0, which losses and errors have as their least, or else, if more than 1
	// in 100 are below 0, the value that 1 in 100 beat; where higher is better it is
	// that, since nobody says how good the best may be.
	Best float64 `json:"best,omitempty"`
	Cap  float64 `json:"cap,omitempty"`
	// Importance weighs what is learned from this against the rest.
	Importance float64 `json:"importance"`
}

// Graded reports whether the metric says how badly a row failed.
func (l *Learned) Graded() bool { return l.Best != 0 || l.Cap != 0 }

// Severity is how badly a row failed whose measured value that is, from 0 to 1.
func (l *Learned) Severity(value float64) float64 {
	if l.Cap == l.Best {
		// No row was worse than the best; one that is now is as bad as can be.
		if l.Better == Higher && value < l.Best || l.Better != Higher && value > l.Best {
			return 1
		}
		return 0
	}
	return min(1, max(0, (value-l.Best)/(l.Cap-l.Best)))
}

// Value is the measured value of that severity: the inverse of Severity, by which
// a sentence can say a mean severity in the metric's unit.
func (l *Learned) Value(severity float64) float64 {
	return l.Best + float64(severity*(l.Cap-l.Best))
}

func (e *Evidence) validateLearned() error {
	if len(e.Learned) > MaxLearned {
		return refuse("evidence.learned", "%d things to learn from; at most %d are allowed", len(e.Learned), MaxLearned)
	}
	for i := range e.Learned {
		l, field := &e.Learned[i], at("evidence.learned", i)
		if !(l.Importance > 0 && l.Importance <= 1e6) {
			return refuse(field+".importance", "%v is not an importance", l.Importance).remedy("above 0, at most 1e6")
		}
		for _, v := range []struct {
			field string
			value float64
		}{{".best", l.Best}, {".cap", l.Cap}} {
			if math.IsNaN(v.value) || math.Abs(v.value) > MaxMeasured {
				return refuse(field+v.field, "%v is not a value of the metric", v.value).remedy("at most %g either way", MaxMeasured)
			}
		}
		if l.Better == Higher && l.Cap > l.Best || l.Better != Higher && l.Cap < l.Best {
			return refuse(field+".cap", "%v is better than %v, the best", l.Cap, l.Best)
		}
		if l.Better != "" && l.Better != Higher && l.Better != Lower {
			return refuse(field+".better", "%q is not a direction", l.Better)
		}
	}
	return nil
}

// Describe names what is learned from in few words: "error of pose by net".
func (l *Learned) Describe() string {
	text := cmp.Or(l.Metric, "correctness")
	if l.Task != "" {
		text += " of " + l.Task
	}
	if l.ModelLine != "" {
		text += " by " + l.ModelLine
	}
	return text
}

// Measure says a mean severity as the metric is measured: "14 mm". What is worse
// than Cap has counted as that.
func (l *Learned) Measure(severity float64) string {
	text := short(l.Value(severity))
	if l.Unit != "" {
		text += " " + l.Unit
	}
	return text
}
