package loop

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// weather is a space with a factor of every kind, one of them conditional on one
// with an order, one given another.
func weather() *Space {
	even := func(names ...string) (levels []Level) {
		for _, n := range names {
			levels = append(levels, Level{Name: n, Target: 1 / float64(len(names))})
		}
		return levels
	}
	speed := Factor{Name: "speed", Kind: Numeric, Levels: even("[0,20)", "[20,40)", "[40,60)", "[60,80)", "[80,100)")}
	for l := range speed.Levels {
		speed.Levels[l].Low, speed.Levels[l].High = float64(20*l), float64(20*l+20)
	}
	return &Space{Name: "weather", Version: 1, Factors: []Factor{
		{Name: "sky", Kind: Categorical, Levels: even("clear", "cloud", "rain", "fog")},
		{Name: "rain", Kind: Ordinal, Levels: even("none", "0..1", "1..5", "5..10", "10..50")},
		speed,
		{Name: "spray", Kind: Ordinal, Levels: even("low", "mid", "high"), When: &LevelSet{Factor: 1, Levels: []int{3, 4}}},
	}}
}

// A run is written and read in the words of its levels, or of a numeric factor's
// edges; what is no run is refused, with what to do about it.
func TestRunsAreSpelt(t *testing.T) {
	s := weather()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	rain, speed := 1, 2
	for _, c := range []struct {
		factor int
		text   string
		want   Predicate
		spelt  string
	}{
		{rain, "1..5", Predicate{Factor: rain, Level: 2}, "1..5"}, // a level before a run
		{rain, "1..5..10..50", Predicate{Factor: rain, Level: 2, Run: 2}, "1..5..10..50"},
		{rain, "none..5..10", Predicate{Factor: rain, Run: 3}, "none..5..10"},
		{rain, "none .. 0..1", Predicate{Factor: rain, Run: 1}, "none..0..1"},
		{rain, "none..none", Predicate{Factor: rain}, "none"},
		{speed, "20..80", Predicate{Factor: speed, Level: 1, Run: 2}, "20..80"},
		{speed, "20.0..4e1", Predicate{Factor: speed, Level: 1}, "[20,40)"},
		{speed, "[20,40)..[60,80)", Predicate{Factor: speed, Level: 1, Run: 2}, "20..80"},
	} {
		got, err := s.Predicate("where", c.factor, c.text)
		if err != nil || got != c.want {
			t.Errorf("%q: %+v, %v", c.text, got, err)
			continue
		}
		if spelt := s.Factors[c.factor].Spell(got); spelt != c.spelt {
			t.Errorf("%q is spelt %q", c.text, spelt)
		}
	}
	for _, c := range []struct {
		factor       int
		text         string
		want, remedy string
	}{
		{0, "clear..rain", `the levels of factor "sky" have no order`, "ordinal"},
		{rain, "5..10..0..1", `"5..10" is not below "0..1"`, "lower end first"},
		{rain, "none..much", `factor "rain" has no level "much"`, "its levels are none, 0..1"},
		{rain, "little..5..10", `factor "rain" has no level "little"`, "its levels are"},
		{rain, "7", `factor "rain" has no level "7"`, "its levels are"},
		{speed, "30..80", `factor "speed" has no level "30"`, "its levels are [0,20)"},
		{speed, "80..20", `"80" is not below "20"`, "lower end first"},
		{speed, "NaN..20", `factor "speed" has no level "NaN"`, ""},
	} {
		_, err := s.Predicate("where", c.factor, c.text)
		refusal, ok := errors.AsType[*Error](err)
		if !ok || refusal.Field != "where" || !strings.Contains(refusal.Problem, c.want) || !strings.Contains(refusal.Remedy, c.remedy) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	// A gap, or names of the user's own: the edges, as numbers.
	odd := Factor{Kind: Numeric, Levels: []Level{{Name: "slow", Low: -1.5, High: 2}, {Name: "[2,3.0)", Low: 2, High: 3}, {Name: "[5,7)", Low: 5, High: 7}, {Name: "x", Low: 7, High: 8}}}
	if got := odd.Spell(Predicate{Run: 1}); got != "-1.5..3.0" {
		t.Errorf("spelt %q", got)
	}
	if got := odd.Spell(Predicate{Level: 1, Run: 2}); got != "2..8" {
		t.Errorf("spelt %q", got)
	}
}

// A slice has runs where there is an order, never of all levels, and never of
// levels at which another of its factors is absent.
func TestRunsAreValidated(t *testing.T) {
	s := weather()
	for text, slice := range map[string]Slice{
		"":                        {{Factor: 1, Level: 1, Run: 2}, {Factor: 2, Level: 0, Run: 3}},
		"have no order":           {{Factor: 0, Level: 1, Run: 1}},
		"is every level":          {{Factor: 1, Level: 0, Run: 4}},
		"has no 3 levels from":    {{Factor: 1, Level: 3, Run: 2}},
		"has no 0 levels from":    {{Factor: 1, Level: 3, Run: -1}},
		`"spray" is absent there`: {{Factor: 1, Level: 0, Run: 2}, {Factor: 3, Level: 0}},
	} {
		err := s.ValidateSlice("slice", slice)
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %q", slice, err, text)
		}
	}
	if err := s.ValidateSlice("slice", Slice{{Factor: 1, Level: 2, Run: 1}, {Factor: 3, Level: 0, Run: 1}}); err != nil {
		t.Errorf("partly present: %v", err)
	}
	// Levels that are named as runs of others: what could be misread is no slice.
	s.Factors[1].Levels[4].Name = "none..1..5"
	if err := s.ValidateSlice("slice", Slice{{Factor: 1, Level: 0, Run: 2}}); err == nil || !strings.Contains(err.Error(), "not the only run") {
		t.Errorf("a run reads as a level: %v", err)
	}
}

// Within is that whatever matches the one matches the other, Spell is what Predicate
// reads, and compare is an order in which only equal slices are equal.
func TestRunsEqualTheirTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawValid(t, 4, 5)
		a, b := drawSlice(t, s, 3), drawSlice(t, s, 2)
		if rapid.Bool().Draw(t, "inside") {
			b = nil
			for _, p := range a {
				if rapid.Bool().Draw(t, "keep") {
					if rapid.Bool().Draw(t, "widen") && p.Level > 0 {
						p.Level, p.Run = p.Level-1, p.Run+1
					}
					b = append(b, p)
				}
			}
		}
		inside := true
		for _, q := range b {
			for l := range s.Factors[q.Factor].Levels {
				p := a.Of(q.Factor)
				inside = inside && p != nil && (!lies(Slice{*p}, at1(q.Factor, l)) || lies(Slice{q}, at1(q.Factor, l)))
			}
		}
		if a.Within(b) != inside {
			t.Fatalf("%v within %v: %v", a, b, a.Within(b))
		}
		if a.Within(b) && !a.Equal(b) && a.wider(b) >= 0 {
			t.Fatalf("%v lies within %v, and does not come before it", a, b)
		}
		if (a.compare(b) == 0) != a.Equal(b) || a.compare(b) > 0 != (b.compare(a) < 0) {
			t.Fatalf("%v and %v: %d and %d", a, b, a.compare(b), b.compare(a))
		}
		for _, p := range a {
			if back, err := s.Predicate("", p.Factor, s.Factors[p.Factor].Spell(p)); err != nil || back != p {
				t.Fatalf("%v is spelt %q, which reads %v, %v", p, s.Factors[p.Factor].Spell(p), back, err)
			}
		}
	})
}

// at1 is codes in which only one factor has a level.
func at1(factor, level int) []Code {
	codes := slices.Repeat([]Code{Unknown}, factor+1)
	codes[factor] = Code(level)
	return codes
}

// What is drawn of a run has its levels in the proportions of the base, exactly as
// its density says.
func TestRunKeepsTheProportionsOfTheBase(t *testing.T) {
	s := weather()
	for l, share := range []float64{.4, .3, .15, .1, .05} {
		s.Factors[1].Levels[l].Target = share
	}
	slice := Slice{{Factor: 1, Level: 1, Run: 2}}
	scenarios, err := s.Draw(slice, 11_000, 7)
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 5)
	for _, x := range scenarios {
		counts[x.Codes[1]]++
	}
	for l, want := range []int{0, 6000, 3000, 2000, 0} {
		if off := counts[l] - want; off < -3 || off > 3 {
			t.Errorf("level %d has %d of 11,000, want %d", l, counts[l], want)
		}
	}
	mass, err := s.Mass(slice)
	if err != nil || math.Abs(mass-.55) > 1e-9 {
		t.Errorf("mass %v, %v", mass, err)
	}
}

// What was written before there were runs reads and writes as it did, and a build
// of that time refuses evidence with a run (C25).
func TestWrittenBeforeRuns(t *testing.T) {
	made := func(p Predicate) []byte {
		e := Evidence{Made: []Made{{Slice: Slice{p}, Accepted: 1}}}
		return e.Encode()
	}
	at := len(evidenceMagic) + 3 // nothing learned, one made of one predicate
	if b := made(Predicate{Factor: 3, Level: 4}); !bytes.Equal(b[at:at+2], []byte{3, 4}) {
		t.Errorf("a level is written %v", b[at:])
	}
	if b := made(Predicate{Factor: 3, Level: 4, Run: 1}); !bytes.Equal(b[at:at+3], []byte{3, 0x95, 0x4e}) {
		t.Errorf("a run is written %v", b[at:]) // 10,005: above every level
	}
	r := Round{Components: []Component{{Slice: Slice{{Factor: 3, Level: 4}}}}}
	if text := string(r.Canonical()); !strings.Contains(text, `"slice":[{"factor":3,"level":4}]`) {
		t.Errorf("a slice reads %s", text)
	}
}

// Overrides of runs that collide are refused where words alone do not tell.
func TestRunOverridesCollide(t *testing.T) {
	s := weather()
	over := func(text string, share float64) Override {
		return Override{Slice: map[string]string{"speed": text}, Share: share}
	}
	for want, o := range map[string][2][]Override{
		"":                            {{over("20..80", .1), over("20..60", .1)}, {over("40..100", 0)}},
		"is pinned twice":             {{over("20..60", .1), over("[20,40)..[40,60)", .1)}, nil},
		"lies inside what is banned":  {{over("20..60", .1)}, {over("20..80", 0)}},
		`factor "speed" has no level`: {{over("30..60", .1)}, nil},
		"is every level":              {{over("0..100", .1)}, nil},
	} {
		p := DefaultPolicy()
		p.Name, p.Pins, p.Bans = "p", o[0], o[1]
		r, err := Decide(s, &p, nil, nil, Budget{Campaign: "c", Number: 1, Train: 1000}, 1)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", o, err)
		}
		if err == nil {
			checkRound(t, s, &p, nil, &r, Budget{Campaign: "c", Number: 1, Train: 1000})
		}
	}
}

// A run that quota_by splits has a component for each of its levels, and no other.
func TestRunIsSplit(t *testing.T) {
	s := weather()
	b := Budget{Campaign: "c", Number: 1, QuotaBy: "speed", Make: []Request{{Slice: Slice{{Factor: 0, Level: 1}, {Factor: 2, Level: 1, Run: 2}}, Count: 31}}}
	r, err := Decide(s, nil, nil, nil, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	var quotas []uint64
	for _, c := range r.Components {
		if l := c.Fixed().Level(2); l != c.By.Level || l != 1+len(quotas) {
			t.Errorf("component %d is of level %d", c.Number, l)
		}
		quotas = append(quotas, c.Quota)
	}
	if len(quotas) != 3 || quotas[0]+quotas[1]+quotas[2] != 31 || slices.Max(quotas)-slices.Min(quotas) > 1 {
		t.Errorf("quotas %v", quotas)
	}
}
