//go:build duckdb_arrow && cgo

package analytics

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"hone/loop"
)

// What samples took is counted exactly by slice, over the rounds asked for alone:
// what is void counts for nothing, and an index that was sent back and made again
// in the end is not abandoned.
func TestEvidenceOfWhatWasMade(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	post := loop.Post{ModelLine: "m", Version: "1"}
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, post, loop.Outcome{Example: "a", Group: "a", Scenario: []loop.Code{0, 0, 0, loop.Absent}, Origin: loop.Real, Source: loop.SourceTarget}))
	slice := loop.Slice{{Factor: 0, Level: 1}}
	q := loop.EvidenceQuery{Space: s.Name, Models: []loop.EvidenceModel{{ModelLine: "m", Version: "1"}}, Campaign: "c", FirstRound: 2, LastRound: 3,
		// Component 1 is of the slice in every round and domain; it was split in two in
		// round 3.
		Sliced: []loop.Sliced{{Round: 2, Component: 1, Slice: slice}, {Round: 2, Domain: loop.Evaluation, Component: 1, Slice: slice},
			{Round: 3, Component: 1, Slice: slice}, {Round: 3, Component: 2, Slice: slice}}}
	r := rand.New(rand.NewPCG(9, 10))
	var samples []loop.SampleRow
	var verdicts []loop.VerdictRow
	var voidSamples, voidVerdicts []uint32
	made, micros := map[string]*loop.Made{"": {}, "slice": {Slice: slice}}, map[string]int64{}
	for round := 1; round <= 4; round++ {
		for _, campaign := range []string{"c", "other"} {
			for _, domain := range []loop.Domain{loop.Train, loop.Evaluation} {
				for component := range 3 {
					for index := range uint64(20) {
						counts, key := campaign == "c" && (round == 2 || round == 3), ""
						if component == 1 && !(domain == loop.Evaluation && round == 3) || component == 2 && domain == loop.Train && round == 3 {
							key = "slice"
						}
						attempts := r.IntN(4)
						for attempt := range attempts {
							verdicts = append(verdicts, loop.VerdictRow{Campaign: campaign, Gate: "blank", Reason: "blank", Scenario: scenario(0, 0, 0, loop.Absent),
								Name: loop.Name{Domain: domain, Round: round, Component: component, Index: index, Attempt: attempt}})
							if r.IntN(8) == 0 {
								voidVerdicts = append(voidVerdicts, uint32(len(verdicts)-1))
							} else if counts {
								made[key].Rejected++
							}
						}
						sent := false // back, by a verdict that is not void
						for i := range attempts {
							last := uint32(len(verdicts) - 1 - i)
							sent = sent || !slices.Contains(voidVerdicts, last)
						}
						accepted := attempts < 3
						if accepted {
							row := sample(campaign, loop.Name{Domain: domain, Round: round, Component: component, Index: index, Attempt: attempts}, 0, 0, 0, loop.Absent)
							row.Millis = 100 * r.Float64()
							samples = append(samples, row)
							if r.IntN(8) == 0 {
								voidSamples = append(voidSamples, uint32(len(samples)-1))
								accepted = false
							} else if counts {
								made[key].Accepted++
								micros[key] += int64(row.Millis*1000 + .5)
							}
						}
						if sent && !accepted && counts {
							made[key].Abandoned++
						}
					}
				}
			}
		}
	}
	w.addPart(loop.SampleParts, s.Name, w.samples(s, samples...), voidSamples...)
	w.addPart(loop.VerdictParts, s.Name, w.verdicts(s, verdicts...), voidVerdicts...)
	v := w.run(t.TempDir())
	q.AtLeast = uint64(len(w.changes))
	for _, timed := range []bool{false, true} {
		q.Timed = timed
		e, _, err := v.Evidence(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Validate(s); err != nil {
			t.Error(err)
		}
		if timed {
			for key := range made {
				made[key].Millis = (micros[key] + 500) / 1000
			}
		}
		want := []loop.Made{*made[""], *made["slice"]}
		if !reflect.DeepEqual(e.Made, want) {
			t.Errorf("timed %v: %+v, want %+v", timed, e.Made, want)
		}
		if least := min(want[0].Accepted, want[0].Rejected, want[0].Abandoned, want[1].Accepted, want[1].Rejected, want[1].Abandoned); least < 5 {
			t.Errorf("%+v: the test tests nothing", want)
		}
	}
	// Of no model it is asked what samples took, and nothing else.
	models := q.Models
	q.Models = nil
	if e, _, err := v.Evidence(t.Context(), q); err != nil || e.Len() != 0 || !reflect.DeepEqual(e.Made, []loop.Made{*made[""], *made["slice"]}) {
		t.Errorf("of no model: %+v, %v", e, err)
	}
	q.Models = models
	q.Campaign = ""
	if e, _, err := v.Evidence(t.Context(), q); err != nil || e.Made != nil {
		t.Errorf("of no campaign: %+v, %v", e.Made, err)
	}
}

// A campaign goes on in its own version of the space when there is a newer one,
// with other factors, levels and metrics.
func TestEvidenceOfOldVersion(t *testing.T) {
	w := newWorld(t)
	one := measured()
	w.addSpace(one)
	two := measured()
	two.Version = 2
	two.Factors[0].Levels = []loop.Level{{Name: "new", Target: .5}, {Name: "🙂", Target: .5}}
	two.Derived = nil
	two.Factors = append(two.Factors, loop.Factor{Name: "pose", Kind: loop.Categorical, Levels: []loop.Level{{Name: "p", Target: 1}}})
	quarter := .25
	two.Tasks[0].Metrics[0].Fail = &quarter
	two.Tasks[1].Metrics = two.Tasks[1].Metrics[1:] // no error any more
	post := loop.Post{ModelLine: "m", Version: "1", Task: "detect"}
	outcome := func(s *loop.Space, iou float64, codes ...loop.Code) loop.Outcome {
		o := loop.Outcome{Example: fmt.Sprint(codes, iou), Group: fmt.Sprint(codes, iou), Correct: true, Scenario: codes, Origin: loop.Real, Source: loop.SourceTarget}
		for _, m := range s.Metrics() {
			o.Metrics = append(o.Metrics, 7)
			if m.Name == "iou" {
				o.Metrics[len(o.Metrics)-1] = iou
			}
		}
		return o
	}
	w.addPart(loop.OutcomeParts, one.Name, w.outcomes(one, post, outcome(one, .4, 2, 0, 0, loop.Absent)))
	w.addSpace(two)
	w.addPart(loop.OutcomeParts, two.Name, w.outcomes(two, post, outcome(two, .3, 1, 0, 0, loop.Absent, 0), outcome(two, .2, 0, 0, 0, loop.Absent, 0)))
	v := w.run(t.TempDir())
	for _, x := range []struct {
		version  int
		space    *loop.Space
		metric   string
		codes    []loop.Code // of the first factor
		failures int64
	}{
		{1, one, "iou", []loop.Code{1, 2, loop.Unknown}, 3},
		{2, two, "iou", []loop.Code{0, 1, loop.Unknown}, 1},
		{0, two, "iou", []loop.Code{0, 1, loop.Unknown}, 1},
		{1, one, "error", []loop.Code{2}, 0},
	} {
		e, _, err := v.Evidence(t.Context(), loop.EvidenceQuery{Space: one.Name, SpaceVersion: x.version, AtLeast: uint64(len(w.changes)),
			Learn: []loop.LearnFrom{{ModelLine: "m", Metric: x.metric}}, Models: []loop.EvidenceModel{{ModelLine: "m", Version: "1"}}})
		if err != nil {
			t.Errorf("version %d: %v", x.version, err)
			continue
		}
		if err := e.Validate(x.space); err != nil {
			t.Errorf("version %d: %v", x.version, err)
		}
		failures := int64(0)
		for _, k := range e.Failures {
			failures += k
		}
		if !reflect.DeepEqual(e.Codes[0], x.codes) || failures != x.failures || len(e.Codes) != len(x.space.Factors) {
			t.Errorf("version %d by %s: %v, %d failures, want %v, %d", x.version, x.metric, e.Codes, failures, x.codes, x.failures)
		}
	}
}
