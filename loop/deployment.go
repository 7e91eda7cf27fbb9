package loop

import "math"

// deployment is evidence as deployment would show it: each line weighs memory^age
// times its rows times their importance weight, and probes, which are drawn from
// suspects alone, weigh nothing. It is what the strategies that look at levels or
// pairs of them go by.
type deployment struct {
	evidence *Evidence
	// weight of each line, and that of its newest version alone.
	weight []float64
	// importance of a row of each line.
	importance []float64
	rate       float64
}

// seen is what deployment shows of some scenarios: the weight of rows, of
// failures, and the sum of squared weights of rows.
type seen struct{ weight, failures, squares float64 }

func (s *seen) add(d *deployment, line int) {
	w := d.weight[line]
	s.weight += w
	s.failures += float64(w * ratio(d.evidence.Failures[line], d.evidence.Rows[line]))
	s.squares += float64(w * d.importance[line])
}

// rows is how many independent rows of equal weight would say as much (Kish's
// effective sample size).
func (s *seen) rows() float64 {
	if s.squares == 0 {
		return 0
	}
	return float64(s.weight*s.weight) / s.squares
}

// drawn is the failure rate, drawn towards another one as by so many rows of it.
func (s *seen) drawn(towards, rows float64) float64 {
	if s.weight == 0 {
		return towards
	}
	n := s.rows()
	return (n*s.failures/s.weight + rows*towards) / (n + rows)
}

// deployed is the evidence as deployment would show it; nil, with a note, where
// the newest model version has less than the policy's minimum.
func (d *decision) deployed() *deployment {
	e := d.evidence
	out := &deployment{evidence: e, weight: make([]float64, e.Len()), importance: make([]float64, e.Len())}
	var all seen
	newest, raw, failed := int64(0), 0.0, 0.0
	for i := range out.weight {
		if e.Age[i] == 0 {
			newest += e.Rows[i]
		}
		if int(e.Age[i]) >= d.policy.Window {
			continue
		}
		w := math.Pow(d.policy.Memory, float64(e.Age[i]))
		raw += float64(w * float64(e.Rows[i]))
		failed += float64(w * float64(e.Failures[i]))
		if e.Source[i] == SourceProbe {
			continue
		}
		out.importance[i] = float64(w * float64(e.Weight[i]) / MicroUnits)
		out.weight[i] = out.importance[i] * float64(e.Rows[i])
		all.add(out, i)
	}
	if raw > 0 {
		d.round.FailureRate = failed / raw
	}
	if all.weight > 0 {
		out.rate = all.failures / all.weight
	}
	switch {
	case newest == 0:
		return nil
	case newest < int64(d.policy.MinimumRows):
		d.note("The newest model has %d rows of evidence, fewer than the policy's minimum of %d: the round moves towards the base.", newest, d.policy.MinimumRows)
		return nil
	}
	return out
}

// levels is what deployment shows of every level, by factor.
func (d *deployment) levels(s *Space) [][]seen {
	out := make([][]seen, len(s.Factors))
	for f := range out {
		out[f] = make([]seen, len(s.Factors[f].Levels))
		for i, code := range d.evidence.Codes[f] {
			if code.IsLevel() && d.weight[i] > 0 {
				out[f][code].add(d, i)
			}
		}
	}
	return out
}

// untilted is a tilt of 1 for every level of every factor.
func (s *Space) untilted() [][]float64 {
	tilt := make([][]float64, len(s.Factors))
	for f := range tilt {
		tilt[f] = ones(len(s.Factors[f].Levels))
	}
	return tilt
}

// Scored is what a strategy remembers of a slice: a number of its own, and the
// round in which it last changed.
type Scored struct {
	Slice Slice   `json:"slice"`
	Value float64 `json:"value"`
	Round int     `json:"round"`
}

// scores are those that the strategy left in the round before, as far as the
// space still has their slices; none where another strategy decided that.
func (d *decision) scores() []Scored {
	if d.previous == nil || d.previous.Strategy != d.policy.Strategy {
		return nil
	}
	var out []Scored
	for _, s := range d.previous.Memory.Scores {
		if d.space.validatePredicates("", s.Slice) == nil {
			out = append(out, s)
		}
	}
	return out
}

// mostTilted names the levels that a tilt raises most, for a person.
func (d *decision) mostTilted(tilt [][]float64) string {
	best, times := Slice(nil), 1.0
	for f := range tilt {
		for l, t := range tilt[f] {
			if t > times && d.round.Base[f].row(0, len(tilt[f])).mass(l) > 0 {
				best, times = Slice{{Factor: f, Level: l}}, t
			}
		}
	}
	if best == nil {
		return "no level is raised"
	}
	return d.space.Describe(best) + " is raised most"
}
