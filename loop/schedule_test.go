package loop

import (
	"math"
	"testing"
)

// The schedules let the boosts through: at once, evenly or by the square root.
func TestSchedules(t *testing.T) {
	s := shapes()
	e := sized(t, s, 4000, .04, map[string]float64{"background=metal light=low": .7})
	slice := s.slice(t, "background", "metal", "light", "low")
	for schedule, want := range map[string][]float64{
		"": {.15, .15, .15, .15}, ScheduleEvidence: {.15, .15, .15, .15}, ScheduleProgress: {.15, .15, .15, .15},
		ScheduleLinear: {0, .05, .1, .15}, ScheduleCompetence: {.0015, .0866, .1225, .15},
	} {
		for round, share := range want {
			p := policy()
			p.Curriculum = CurriculumSettings{Schedule: schedule, Rounds: 3}
			r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: round + 1, Train: 1500}, 1)
			if err != nil {
				t.Fatal(err)
			}
			got := 0.0
			if c := boostOf(&r, slice); c != nil {
				got = float64(c.Share) / whole
			}
			if math.Abs(got-share) > .001 {
				t.Errorf("%q: round %d has %v, want %v", schedule, round+1, got, share)
			}
		}
	}
}

// The curriculum tilts towards levels that fail, or, by learning progress, towards
// those whose failure rate has moved in either direction.
func TestCurriculumTilts(t *testing.T) {
	s := oneFactor(4)
	e := uniformEvidence(4, 2000, func(l int) int64 { return []int64{100, 400, 100, 200}[l] })
	for l := range Code(4) { // the version before: level 2 has got better, 3 worse
		e.Append(Line{Codes: []Code{l}, Age: 1, Source: SourceTarget, Origin: Synthetic, Rows: 2000, Failures: []int64{100, 400, 300, 40}[l]})
	}
	p := policy()
	p.Floor, p.Search.Slices = 0, 0
	p.Curriculum.Share = .2
	masses := func(schedule string) (out []float64) {
		p.Curriculum.Schedule = schedule
		r, err := Decide(s, p, nil, e, Budget{Campaign: "c", Number: 5, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := r.Find(Train, 1)
		if c == nil || c.Over != OverCurriculum || math.Abs(float64(c.Share)/whole-.2) > 1e-6 {
			t.Fatalf("%s: components %+v", schedule, r.Components)
		}
		if !(r.Effective > .5 && r.Effective < 1) {
			t.Errorf("%s: a sample is worth %v", schedule, r.Effective)
		}
		for l := range 4 {
			out = append(out, r.Curriculum[0].share(l))
		}
		return out
	}
	if m := masses(ScheduleEvidence); !(m[1] > 1.8*m[0] && m[1] > m[3] && m[3] > m[0]) {
		t.Errorf("by evidence %v", m)
	}
	if m := masses(ScheduleProgress); !(m[2] > 1.8*m[0] && m[3] > 1.5*m[0] && math.Abs(m[0]-m[1]) < 1e-6) {
		t.Errorf("by learning progress %v", m)
	}
}

// What a sample is worth is what its weights make of it: all of it where the
// mixture is the target, else 1/∫π²/q by an enumeration.
func TestEffective(t *testing.T) {
	s := rig()
	p := policy()
	p.Floor = 0
	r, err := Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 100}, 1)
	if err != nil || math.Abs(r.Effective-1) > 1e-9 {
		t.Errorf("the target is worth %v (%v)", r.Effective, err)
	}
	p.Floor = .6
	if r, err = Decide(s, p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 100}, 1); err != nil {
		t.Fatal(err)
	}
	sampler, err := NewSampler(s, &r)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, x := range enumerate(s, r.Base) {
		if allowed(s, x.codes) {
			if pi := sampler.Target(x.codes); pi > 0 {
				sum += pi * pi / sampler.Density(x.codes)
			}
		}
	}
	if math.Abs(r.Effective*sum-1) > .01 || r.Effective > .95 {
		t.Errorf("a sample is worth %v, by enumeration %v", r.Effective, 1/sum)
	}
}
