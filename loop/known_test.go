package loop

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// gloves is evidence of clips of rows: whether the glove is known is the clip's,
// and unknown clips fail more often by that much. Rows of a clip fail together
// where they are correlated, and so do their weights differ.
func gloves(r *rand.Rand, s *Space, clips, rows int, correlation, more float64) *Evidence {
	e := &Evidence{}
	for clip := range clips {
		glove := Code(r.IntN(2))
		rate := .2
		if clip%3 == 0 {
			glove, rate = Unknown, .2+more
		}
		together := r.Float64() < rate
		for range rows {
			l := Line{Codes: make([]Code, len(s.Factors)), Source: SourceMixture, Origin: Synthetic, Rows: 1, Group: uint32(clip + 1), Weight: MicroUnits * (1 + r.Int64N(2))}
			for f := range s.Factors {
				l.Codes[f] = Code(r.IntN(len(s.Factors[f].Levels)))
			}
			l.Codes[0] = glove
			failed := r.Float64() < rate
			if r.Float64() < math.Sqrt(correlation) {
				failed = together
			}
			if failed {
				l.Failures = 1
			}
			if rows == 1 {
				l.Group = 0
			}
			e.Append(l)
		}
	}
	e.Sort()
	return e
}

// Where known and unknown clips fail alike, one in a hundred is told to differ or
// fewer, however much the frames of a clip are alike; rows that are taken for
// independent would tell so most of the time.
func TestKnownHoldsItsLevelInGroups(t *testing.T) {
	s := shapes()
	r := rand.New(rand.NewPCG(5, 6))
	const runs = 200
	below, naive, told := 0, 0, 0
	for range runs {
		e := gloves(r, s, 120, 30, .3, 0)
		k := e.Known(s)[0]
		if k.P < .05 {
			below++
		}
		if k.Differs {
			told++
		}
		clear(e.Group)
		e.Sort()
		if e.Known(s)[0].P < .05 {
			naive++
		}
	}
	t.Logf("P < .05 in %d of %d null runs, without groups in %d; told in %d", below, runs, naive, told)
	if below > runs*8/100 || told > runs*2/100 || naive < runs/3 {
		t.Errorf("P < .05 in %d of %d null runs, without groups in %d; told in %d", below, runs, naive, told)
	}
}

// Without groups and weights it is the test of its description, by its formula.
func TestKnownIsItsFormula(t *testing.T) {
	s := shapes()
	codes := make([]Code, len(s.Factors))
	unknown := slices.Clone(codes)
	unknown[0] = Unknown
	e := &Evidence{}
	e.Append(Line{Codes: codes, Source: SourceTarget, Origin: Real, Rows: 400, Failures: 40})
	e.Append(Line{Codes: unknown, Source: SourceTarget, Origin: Real, Rows: 100, Failures: 18})
	e.Append(Line{Codes: unknown, Source: SourceTarget, Origin: Real, Rows: 100, Failures: 100, Age: 1}) // an older version says nothing
	e.Sort()
	k := e.Known(s)[0]
	p := 58. / 500
	z := (.18 - .1) / math.Sqrt((40*(1-p)*(1-p)+360*p*p)/(400*400)+(18*(1-p)*(1-p)+82*p*p)/(100*100))
	if want := math.Erfc(z / math.Sqrt2); math.Abs(k.P-want) > 1e-12 || k.Rows != 500 || k.Known != 400 || k.Rate != .1 || k.Unknown != .18 || k.Differs {
		t.Errorf("%+v, want P=%v", k, want)
	}
	for f := 1; f < len(s.Factors); f++ {
		if k := e.Known(s)[f]; k.Known != k.Rows || k.P != 1 || k.Differs {
			t.Errorf("a factor that is always known: %+v", k)
		}
	}
}

// A difference that is there is told, in the unit of the metric where there is
// one.
func TestKnownSentence(t *testing.T) {
	s := shapes()
	r := rand.New(rand.NewPCG(7, 8))
	e := gloves(r, s, 3000, 1, 0, .2)
	name := s.Factors[0].Name
	for _, x := range []struct {
		learned []Learned
		want    string
	}{
		{nil, name + " is known of 67% of the rows. Of these 21% fail, of the others 39% fail: what slices with " + name + " say does not hold for all."},
		{[]Learned{{ModelLine: "net", Task: "pose", Metric: "error", Unit: "mm", Better: Lower, Cap: 40, Importance: 1}},
			name + " is known of 67% of the rows of error of pose by net. Of these it is 8.29 mm on average, of the others 15.6 mm: what slices with " + name + " say does not hold for all."},
	} {
		if e.Learned = x.learned; x.learned != nil {
			e.grade()
		}
		k := e.Known(s)[0]
		if !k.Differs || k.Sentence != x.want {
			t.Errorf("%+v\nwant %s", k, x.want)
		}
	}
	if text := (&Learned{}).Describe(); text != "correctness" {
		t.Error(text)
	}
}

// Whatever the evidence, the report is of every factor, finite, and the same
// however rows are grouped into lines.
func TestKnownOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpace(t, 4, 3)
		e := drawEvidence(t, s, 60)
		for i := range e.Len() {
			e.Weight[i] = rapid.Int64Range(1, maxEvidenceWeight).Draw(t, "weight")
			e.Group[i] = rapid.Uint32Range(0, 3).Draw(t, "group")
		}
		if rapid.Bool().Draw(t, "graded") {
			e.grade()
		}
		e.Sort()
		all := e.Known(s)
		if e.Len() > 0 && len(all) != len(s.Factors) {
			t.Fatalf("%d reports of %d factors", len(all), len(s.Factors))
		}
		for f, k := range all {
			if !(k.P >= 0 && k.P <= 1 && k.Rate >= 0 && k.Rate <= 1+1e-9 && k.Unknown >= 0 && k.Unknown <= 1+1e-9) || k.Known < 0 || k.Known > k.Rows || k.Factor != f {
				t.Fatalf("%+v", k)
			}
			if k.Differs != (k.Sentence != "") || k.Differs && !strings.Contains(k.Sentence, s.Factors[f].Name) {
				t.Fatalf("%+v", k)
			}
		}
	})
}
