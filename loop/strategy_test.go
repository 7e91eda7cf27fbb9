package loop

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// I9 and I4 for every strategy, on any valid evidence: importance weights from the
// least to the greatest, probes, groups, nothing but failures, none at all. What
// each decides can be drawn from, is decided again to the byte, and has no NaN.
func TestStrategiesKeepThePromises(t *testing.T) {
	for _, name := range Strategies() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s, p := drawValid(t, 4, 4), drawPolicy(t)
				p.Strategy = name
				var previous *Round
				for number := 1; number <= 3; number++ {
					e := drawEvidence(t, s, 200)
					for i := range e.Len() {
						e.Weight[i] = rapid.SampledFrom([]int64{MicroUnits, 1, 7 * MicroUnits, maxEvidenceWeight}).Draw(t, "weight")
						e.Group[i] = rapid.SampledFrom([]uint32{0, 1, 2}).Draw(t, "group")
						if rapid.IntRange(0, 9).Draw(t, "probe") == 0 {
							e.Source[i] = SourceProbe
						}
					}
					e.Sort()
					b := drawBudget(t, s, number)
					r, err := Decide(s, p, previous, e, b, 42)
					if err != nil {
						if refused, ok := err.(*Error); !ok || refused.Field != "floor" && refused.Field != "quota_by" {
							t.Fatalf("round %d: %v", number, err)
						}
						return
					}
					checkRound(t, s, p, previous, &r, b)
					again, err := Decide(s, p, previous, e, b, 42)
					if err != nil || again.Digest() != r.Digest() {
						t.Fatalf("I4: decided again, the round differs (%v)", err)
					}
					if b.Train > 0 {
						previous = &r
					}
				}
			})
		})
	}
}

// by decides a chain of rounds from the same evidence.
func by(t *testing.T, strategy string, s *Space, e *Evidence, rounds int) []Round {
	t.Helper()
	p := policy()
	p.Strategy = strategy
	p.Shares.TrustRegion = 100 // as far as the strategy wants
	var out []Round
	var previous *Round
	for number := 1; number <= rounds; number++ {
		r, err := Decide(s, p, previous, e, Budget{Campaign: "c", Number: number, Train: 1500}, 1)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
		previous = &out[len(out)-1]
	}
	return out
}

// levelShare is how often a round's training mixture has a level, by what it
// draws.
func levelShare(t *testing.T, s *Space, r *Round, factor, level string) float64 {
	t.Helper()
	sampler, err := NewSampler(s, r)
	if err != nil {
		t.Fatal(err)
	}
	f := s.Factor(factor)
	has, total := 0.0, 0.0
	for _, c := range r.Components {
		for index := range c.Quota {
			x, err := sampler.Scenario(c.Domain, c.Number, index)
			if err != nil {
				t.Fatal(err)
			}
			total++
			if x.Codes[f] == Code(s.Factors[f].Level(level)) {
				has++
			}
		}
	}
	return has / total
}

func about(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > .008 {
		t.Errorf("%s: %.4f, want %.4f", what, got, want)
	}
}

// What follows no evidence, whatever there is of it.
func TestTargetAndStratified(t *testing.T) {
	s := shapes()
	factor, level := "blur", "motion"
	f := s.Factor(factor)
	target := s.Factors[f].Levels[s.Factors[f].Level(level)].Target
	e := sized(t, s, 3000, .05, map[string]float64{"light=low": .9})
	for strategy, want := range map[string]float64{
		StrategyUniform:    1 / float64(len(s.Factors[f].Levels)),
		StrategyTarget:     target,
		StrategyStratified: .5*target + .5/float64(len(s.Factors[f].Levels)),
	} {
		for _, r := range by(t, strategy, s, e, 2) {
			about(t, strategy, levelShare(t, s, &r, factor, level), want)
		}
	}
}

// failure multiplies a level's share by how much more it fails, at most by two; its
// rates are those of deployment, so that it does not matter what was evaluated.
func TestFailure(t *testing.T) {
	s := shapes()
	f := s.Factor("light")
	e := sized(t, s, 6000, .1, map[string]float64{"light=low": .9, "light=glare": 0})
	r := by(t, StrategyFailure, s, e, 1)[0]
	base := s.Shares(r.Base)[f]
	tilted := s.Shares(r.Curriculum)[f]
	low, glare, day := s.Factors[f].Level("low"), s.Factors[f].Level("glare"), s.Factors[f].Level("day")
	about(t, "twice against once", tilted[low]/base[low]/(tilted[glare]/base[glare]), 4)
	if tilted[day] >= tilted[low] || !strings.Contains(strings.Join(r.Notes, " "), "light=low is raised most") {
		t.Errorf("day %v, low %v; %q", tilted[day], tilted[low], r.Notes)
	}
	// The same failures, seen where low light was evaluated four times as often.
	often := &Evidence{}
	for i := range e.Len() {
		l := e.line(i)
		if l.Codes[f] == Code(low) {
			l.Rows, l.Failures, l.Weight, l.Source = 4*l.Rows, 4*l.Failures, MicroUnits/4, SourceMixture
		}
		often.Append(l)
	}
	often.Sort()
	again := by(t, StrategyFailure, s, often, 1)[0]
	for g := range s.Factors {
		for l, share := range s.Shares(again.Curriculum)[g] {
			about(t, s.Factors[g].Name+"="+s.Factors[g].Levels[l].Name, share, s.Shares(r.Curriculum)[g][l])
		}
	}
}

// learnability prefers what fails half of the time to what always fails, and comes
// back to what it has not drawn for long.
func TestLearnability(t *testing.T) {
	s := shapes()
	half := s.slice(t, "background", "metal", "light", "low")
	always := s.slice(t, "background", "stripes", "light", "glare")
	e := sized(t, s, 8000, .02, map[string]float64{"background=metal light=low": .5, "background=stripes light=glare": 1})
	rounds := by(t, StrategyLearnability, s, e, 3)
	for _, r := range rounds {
		best, replays := boostOf(&r, half), 0
		for _, c := range r.Components {
			if len(c.Slice) == 2 {
				replays++
				if c.Share > best.Share {
					t.Errorf("%s has more than what fails half of the time", s.Describe(c.Slice))
				}
			}
		}
		if replays < 10 || replays > replayed || boostOf(&r, always) != nil && boostOf(&r, always).Reason.Value > best.Reason.Value/4 {
			t.Errorf("%d pairs are replayed; always failing: %+v", replays, boostOf(&r, always))
		}
		if want := best.Reason.Rate * (1 - best.Reason.Rate); !near(best.Reason.Value, want) {
			t.Errorf("score %v, want %v", best.Reason.Value, want)
		}
	}
	memory := rounds[2].Memory.Scores
	if len(memory) == 0 || !slices.IsSortedFunc(memory, func(a, b Scored) int { return a.Slice.compare(b.Slice) }) {
		t.Errorf("memory %+v", memory)
	}
	// A pair that ranks below all that are replayed, and was drawn 1000 rounds ago.
	stale := rounds[2]
	stale.Memory.Scores = []Scored{{Slice: s.slice(t, "shape", "disc", "scale", "near"), Round: 1}}
	p := policy()
	p.Strategy, p.Shares.TrustRegion = StrategyLearnability, 100
	r, err := Decide(s, p, &stale, e, Budget{Campaign: "c", Number: 1000, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := boostOf(&r, stale.Memory.Scores[0].Slice); c == nil || float64(c.Share)/whole < .04 {
		t.Errorf("a stale pair has %+v", c)
	}
}

// The pairs that deployment shows are those of a count by hand, however large
// their tables are.
func TestPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 4)
		e := drawEvidence(t, s, 60)
		d := decision{space: s, policy: policy(), evidence: e, round: &Round{}}
		d.policy.MinimumRows = 1
		shown := d.deployed()
		if shown == nil {
			return
		}
		want := map[string]float64{}
		for i := range e.Len() {
			for f := range s.Factors {
				for g := f + 1; g < len(s.Factors); g++ {
					if a, b := e.Codes[f][i], e.Codes[g][i]; a.IsLevel() && b.IsLevel() && e.Age[i] < 3 {
						want[s.Describe(Slice{{Factor: f, Level: int(a)}, {Factor: g, Level: int(b)}})] += math.Pow(.5, float64(e.Age[i])) * float64(e.Rows[i])
					}
				}
			}
		}
		got := shown.pairs(s, 0)
		if len(got) != len(want) {
			t.Fatalf("%d pairs, want %d", len(got), len(want))
		}
		for _, p := range got {
			if !near(p.seen.weight, want[s.Describe(p.slice)]) {
				t.Fatalf("%s: %v, want %v", s.Describe(p.slice), p.seen.weight, want[s.Describe(p.slice)])
			}
		}
		for f := range s.Factors {
			for g := f + 1; g < len(s.Factors); g++ {
				columns := len(s.Factors[g].Levels)
				var dense, sorted []int
				shown.count(e.Codes[f], e.Codes[g], len(s.Factors[f].Levels), columns, func(at int, _ seen) { dense = append(dense, at) })
				shown.count(e.Codes[f], e.Codes[g], densePairs, columns, func(at int, _ seen) { sorted = append(sorted, at) })
				if !slices.Equal(dense, sorted) {
					t.Fatalf("a table has %v, sorted keys %v", dense, sorted)
				}
			}
		}
	})
}

// doremi goes on where it was, round after round; what another strategy has left
// is none of its.
func TestDoReMi(t *testing.T) {
	s := shapes()
	f := s.Factor("light")
	low := s.Factors[f].Level("low")
	e := sized(t, s, 6000, .05, map[string]float64{"light=low": .8})
	rounds := by(t, StrategyDoReMi, s, e, 3)
	// exp(η·n·excess) against levels that do not exceed, but for the smoothing.
	rate := rounds[0].Memory.Scores
	at := slices.IndexFunc(rate, func(x Scored) bool { return x.Slice.Equal(Slice{{Factor: f, Level: low}}) })
	if at < 0 || rate[at].Value < .5 || rate[at].Value > .8 {
		t.Fatalf("steps %+v", rate)
	}
	odds := func(r *Round) float64 {
		day := s.Factors[f].Level("day")
		tilted, base := s.Shares(r.Curriculum)[f], s.Shares(r.Base)[f]
		return math.Log(tilted[low] / base[low] / (tilted[day] / base[day]))
	}
	for i, r := range rounds {
		if want := rate[at].Value * float64(i+1); math.Abs(odds(&r)-want) > .01 {
			t.Errorf("round %d: log odds %v, want %v", i+1, odds(&r), want)
		}
	}
	other := rounds[2]
	other.Strategy = StrategyODM
	p := policy()
	p.Strategy, p.Shares.TrustRegion = StrategyDoReMi, 100
	r, err := Decide(s, p, &other, e, Budget{Campaign: "c", Number: 4, Train: 1500}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(odds(&r)-odds(&rounds[0])) > .01 {
		t.Errorf("after another strategy it starts with %v, want %v", odds(&r), odds(&rounds[0]))
	}
}

// odm plays evenly for K·ln K turns, and then what pays.
func TestODM(t *testing.T) {
	s := shapes()
	f := s.Factor("light")
	low := s.Factors[f].Level("low")
	e := sized(t, s, 6000, .05, map[string]float64{"light=low": .8})
	rounds := by(t, StrategyODM, s, e, 12)
	levels := float64(len(s.Factors[f].Levels))
	first, last := s.Shares(rounds[0].Curriculum)[f], s.Shares(rounds[11].Curriculum)[f]
	about(t, "the first round", first[low], 1/levels)
	if last[low] < 1.05/levels {
		t.Errorf("the twelfth round has %v of what pays, the first %v", last[low], first[low])
	}
	for turns, want := range map[float64]float64{1: .25, 5: .25, 100: math.Sqrt(math.Log(4) / 400)} {
		arms := odmArms([][]float64{{0, 0, 0, 1e9}}, turns)[0]
		if !near(arms[0], want) || !near(arms[0]+arms[1]+arms[2]+arms[3], 1) {
			t.Errorf("after %v turns the arms are %v, want at least %v each", turns, arms, want)
		}
	}
	if arms := odmArms([][]float64{{5}}, 3); arms[0][0] != 1 {
		t.Errorf("one level is drawn %v of the time", arms[0][0])
	}
}
