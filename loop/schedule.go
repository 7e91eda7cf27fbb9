package loop

import "math"

// competenceStart is where a curriculum by competence starts (Platanios et al.
// 2019, c0).
const competenceStart = .01

// reached is which part of what the evidence asks for the schedule lets through in
// the round.
func (d *decision) reached() float64 {
	settings := &d.policy.Curriculum
	if settings.Rounds == 0 {
		return 1
	}
	t := min(1, float64(d.budget.Number-1)/float64(settings.Rounds))
	switch settings.Schedule {
	case ScheduleLinear:
		return t
	case ScheduleCompetence:
		return math.Sqrt(t*(1-competenceStart*competenceStart) + competenceStart*competenceStart)
	default:
		return 1
	}
}

// scheduled holds boosts back as far as the schedule does, and adds the policy's
// curriculum over what they leave.
func (d *decision) scheduled(lessons []*lesson, boosts []boost) wanted {
	settings, part := &d.policy.Curriculum, d.reached()
	want := wanted{}
	rest := 1.0
	for _, b := range boosts {
		b.share *= part
		if b.share >= d.policy.Shares.Smallest {
			want.boosts = append(want.boosts, b)
			rest -= b.share
		}
	}
	if part < 1 {
		d.note("The schedule %q has come to %s of what the evidence asks for.", settings.Schedule, percent(part))
	}
	if want.curriculum = settings.Share * part * rest; want.curriculum == 0 {
		return want
	}
	want.tilt = d.space.untilted()
	importance := 0.0
	for _, l := range lessons {
		importance += l.learned.Importance
	}
	for f := range want.tilt {
		for l := range want.tilt[f] {
			want.tilt[f][l] = 0
		}
	}
	for _, l := range lessons {
		for f, levels := range l.tilt(d.space, settings.Schedule == ScheduleProgress) {
			for level, times := range levels {
				want.tilt[f][level] += times * l.learned.Importance / importance
			}
		}
	}
	return want
}

// tilt is how often the levels of each factor should be drawn, relative to the
// base: as often as they fail, or as their failure rate has moved since the version
// before, in either direction; from leastTilt to mostTilt times, drawn to 1 by
// levelSmoothing rows.
func (l *lesson) tilt(s *Space, progress bool) [][]float64 {
	e := l.evidence
	newest, before, compared := make([]float64, len(l.discount)), make([]float64, len(l.discount)), false
	for i := range e.Len() {
		switch e.Age[i] {
		case 0:
			newest[l.strata[i]] = 1
		case 1:
			before[l.strata[i]], compared = 1, true
		}
	}
	tilt := s.untilted()
	if progress && !compared {
		return tilt // nothing has moved that anyone knows of
	}
	for f := range tilt {
		levels := len(tilt[f])
		sums := make([]stratum, levels*len(l.discount))
		for i, code := range e.Codes[f] {
			if code.IsLevel() {
				weight, fails, squares := e.weigh(i)
				sums[int(code)*len(l.discount)+int(l.strata[i])].add(weight, fails, squares)
			}
		}
		drawn := func(level int, discount []float64, mean float64) float64 {
			n, k := pool(sums[level*len(l.discount):(level+1)*len(l.discount)], discount)
			return (k + levelSmoothing*mean) / (n + levelSmoothing)
		}
		value, mean := make([]float64, levels), l.overall
		for level := range value {
			value[level] = drawn(level, l.discount, l.overall)
			if progress {
				value[level] = math.Abs(drawn(level, newest, l.overall) - drawn(level, before, l.overall))
			}
		}
		if progress {
			mean = 0
			for level := range value {
				mean += value[level] / float64(levels)
			}
		}
		for level := range value {
			if mean > 0 {
				tilt[f][level] = min(max(leastTilt, value[level]/mean), mostTilt)
			}
		}
	}
	return tilt
}
