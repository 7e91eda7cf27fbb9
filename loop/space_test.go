package loop

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Every refusal of a space names the field that the user wrote.
func TestSpaceRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(s *Space)
		field string
	}{
		"no name":             {func(s *Space) { s.Name = "" }, "name"},
		"no factors":          {func(s *Space) { s.Factors = nil }, "factors"},
		"too many factors":    {func(s *Space) { s.Factors = make([]Factor, MaxFactors+1) }, "factors"},
		"factor without name": {func(s *Space) { s.Factors[2].Name = "" }, "factors[2].name"},
		"a column's name":     {func(s *Space) { s.Factors[2].Name = "Seed" }, "factors[2].name"},
		"level column":        {func(s *Space) { s.Factors[2].Name = "x__level" }, "factors[2].name"},
		"factor twice":        {func(s *Space) { s.Factors[2].Name = "Glove" }, "factors[2].name"},
		"kind":                {func(s *Space) { s.Factors[1].Kind = "nominal" }, "factors[1].kind"},
		"no levels":           {func(s *Space) { s.Factors[1].Levels = nil }, "factors[1].levels"},
		"too many levels":     {func(s *Space) { s.Factors[1].Levels = make([]Level, MaxLevels+1) }, "factors[1].levels"},
		"level without name":  {func(s *Space) { s.Factors[1].Levels[0].Name = "" }, "factors[1].levels[0].name"},
		"level absent":        {func(s *Space) { s.Factors[1].Levels[0].Name = "absent" }, "factors[1].levels[0].name"},
		"level of two lines":  {func(s *Space) { s.Factors[1].Levels[0].Name = "a\nb" }, "factors[1].levels[0].name"},
		"level not UTF-8":     {func(s *Space) { s.Factors[1].Levels[0].Name = "\xff" }, "factors[1].levels[0].name"},
		"level twice":         {func(s *Space) { s.Factors[1].Levels[1].Name = "no" }, "factors[1].levels[1].name"},
		"target NaN":          {func(s *Space) { s.Factors[1].Levels[1].Target = math.NaN() }, "factors[1].levels[1].target"},
		"target Inf":          {func(s *Space) { s.Factors[1].Levels[1].Target = math.Inf(1) }, "factors[1].levels[1].target"},
		"target negative":     {func(s *Space) { s.Factors[1].Levels[1].Target = -.1 }, "factors[1].levels[1].target"},
		"targets sum to 1.1":  {func(s *Space) { s.Factors[1].Levels[1].Target = .4 }, "factors[1].levels"},
		"edges reversed":      {func(s *Space) { s.Factors[0].Levels[1].High = .5 }, "factors[0].levels[1]"},
		"edge NaN":            {func(s *Space) { s.Factors[0].Levels[1].Low = math.NaN() }, "factors[0].levels[1]"},
		"edge Inf":            {func(s *Space) { s.Factors[0].Levels[2].High = math.Inf(1) }, "factors[0].levels[2]"},
		"edges of categories": {func(s *Space) { s.Factors[1].Levels[1].High = 2 }, "factors[1].levels[1]"},
		"condition forwards":  {func(s *Space) { s.Factors[2].When.Factor = 4 }, "factors[2].when"},
		"condition on itself": {func(s *Space) { s.Factors[2].When.Factor = 2 }, "factors[2].when"},
		"condition of none":   {func(s *Space) { s.Factors[2].When.Levels = nil }, "factors[2].when"},
		"condition's level":   {func(s *Space) { s.Factors[2].When.Levels = []int{2} }, "factors[2].when"},
		"too many rules":      {func(s *Space) { s.Constraints = make([]Constraint, MaxConstraints+1) }, "constraints"},
		"empty rule":          {func(s *Space) { s.Constraints[1] = Constraint{} }, "constraints[1]"},
		"rule's factor":       {func(s *Space) { s.Constraints[1].When[0].Factor = 99 }, "constraints[1]"},
		"rule's level":        {func(s *Space) { s.Constraints[1].Then[1].Levels = []int{0, 7} }, "constraints[1]"},
		"rule's level twice":  {func(s *Space) { s.Constraints[1].Then[1].Levels = []int{1, 1} }, "constraints[1]"},
		"rule of 65 sets":     {func(s *Space) { s.Constraints[1].When = make([]LevelSet, MaxSets+1) }, "constraints[1]"},
		"too many risks":      {func(s *Space) { s.Risks = make([]Risk, MaxRisks+1) }, "risks"},
		"risk of nothing":     {func(s *Space) { s.Risks = []Risk{{Weight: 1}} }, "risks[0].slice"},
		"risk of absent": {func(s *Space) {
			s.Risks = []Risk{{Slice: Slice{{Factor: 1, Level: 0}, {Factor: 2, Level: 0}}, Weight: 1}}
		}, "risks[0].slice"},
		"risk weight 0":   {func(s *Space) { s.Risks = []Risk{{Slice: Slice{{Factor: 1, Level: 0}}}} }, "risks[0].weight"},
		"risk weight NaN": {func(s *Space) { s.Risks = []Risk{{Slice: Slice{{Factor: 1, Level: 0}}, Weight: math.NaN()}} }, "risks[0].weight"},

		"bins overlap":        {func(s *Space) { s.Factors[0].Levels[1].Low = .9 }, "factors[0].levels[1]"},
		"bins descend":        {func(s *Space) { l := s.Factors[0].Levels; l[0], l[1] = l[1], l[0] }, "factors[0].levels[1]"},
		"bin too wide":        {func(s *Space) { s.Factors[0].Levels[0].Low, s.Factors[0].Levels[0].High = -1e308, 1e308 }, "factors[0].levels[0]"},
		"scale":               {func(s *Space) { s.Factors[0].Scale = "decibel" }, "factors[0].scale"},
		"scale of categories": {func(s *Space) { s.Factors[1].Scale = Linear }, "factors[1].scale"},
		"log of negatives":    {func(s *Space) { s.Factors[4].Scale = Log }, "factors[4].levels[0]"},
		"log of 0":            {func(s *Space) { s.Factors[0].Scale, s.Factors[0].Levels[0].Low = Log, 0 }, "factors[0].levels[0]"},
		"log of everything":   {func(s *Space) { s.Factors[0].Scale, s.Factors[0].Levels[2].High = Log, 1e200 }, "factors[0].levels[2]"},
		"circle with a gap":   {func(s *Space) { s.Factors[4].Scale, s.Factors[4].Levels[1].Low = Circular, -10 }, "factors[4].levels[1]"},
		"circle of infinity": {func(s *Space) {
			l := s.Factors[4].Levels
			s.Factors[4].Scale, l[0].Low, l[2].High = Circular, -1e308, 1e308
		}, "factors[4].levels"},
		"sticky for ever":    {func(s *Space) { s.Factors[1].Sticky = MaxSticky + 1 }, "factors[1].sticky"},
		"sticky -1":          {func(s *Space) { s.Factors[1].Sticky = -1 }, "factors[1].sticky"},
		"too many protected": {func(s *Space) { s.Protected = make([]Protected, MaxProtected+1) }, "protected"},
		"protected nothing":  {func(s *Space) { s.Protected = []Protected{{Share: .1}} }, "protected[0].slice"},
		"protected twice": {func(s *Space) {
			s.Protected = []Protected{{Slice: Slice{{Factor: 1, Level: 1}}, Share: .1}, {Slice: Slice{{Factor: 1, Level: 1}}, Share: .2}}
		}, "protected[1].slice"},
		"protected 0":   {func(s *Space) { s.Protected = []Protected{{Slice: Slice{{Factor: 1, Level: 1}}}} }, "protected[0].share"},
		"protected 1":   {func(s *Space) { s.Protected = []Protected{{Slice: Slice{{Factor: 1, Level: 1}}, Share: 1}} }, "protected[0].share"},
		"protected NaN": {func(s *Space) { s.Protected = []Protected{{Slice: Slice{{Factor: 1, Level: 1}}, Share: math.NaN()}} }, "protected[0].share"},
		"protected too much": {func(s *Space) {
			s.Protected = []Protected{{Slice: Slice{{Factor: 1, Level: 1}}, Share: .6}, {Slice: Slice{{Factor: 1, Level: 0}}, Share: .4}}
		}, "protected[1].share"},
		"protected forbidden": {func(s *Space) {
			s.Protected = []Protected{{Slice: Slice{{Factor: 0, Level: 2}, {Factor: 4, Level: 0}}, Share: .1}}
		}, "protected[0].slice"},
		"too many labels":       {func(s *Space) { s.Derived = make([]Derived, MaxDerived+1) }, "derived"},
		"label as a factor":     {func(s *Space) { s.Derived[0].Name = "Tilt" }, "derived[0].name"},
		"label as a column":     {func(s *Space) { s.Derived[0].Name = "split" }, "derived[0].name"},
		"label twice":           {func(s *Space) { s.Derived = append(s.Derived, s.Derived[0]) }, "derived[1].name"},
		"label of no levels":    {func(s *Space) { s.Derived[0].Levels = nil }, "derived[0].levels"},
		"label's level twice":   {func(s *Space) { s.Derived[0].Levels[1] = "no" }, "derived[0].levels[1]"},
		"label's level unknown": {func(s *Space) { s.Derived[0].Levels[1] = "unknown" }, "derived[0].levels[1]"},
		"label of no rules":     {func(s *Space) { s.Derived[0].Rules = nil }, "derived[0].rules"},
		"label of 1001 rules":   {func(s *Space) { s.Derived[0].Rules = make([]DerivedRule, MaxRules+1) }, "derived[0].rules"},
		"rule without when":     {func(s *Space) { s.Derived[0].Rules[0].When = nil }, "derived[0].rules[0].when"},
		"rule of 65 conditions": {func(s *Space) { s.Derived[0].Rules[0].When = make([]LevelSet, MaxSets+1) }, "derived[0].rules[0].when"},
		"rule's other factor":   {func(s *Space) { s.Derived[0].Rules[0].When[0].Factor = 6 }, "derived[0].rules[0].when"},
		"rule's other level":    {func(s *Space) { s.Derived[0].Rules[0].Level = 2 }, "derived[0].rules[0].level"},
		"otherwise nothing":     {func(s *Space) { s.Derived[0].Otherwise = -1 }, "derived[0].otherwise"},
		"too many tasks":        {func(s *Space) { s.Tasks = make([]Task, MaxTasks+1) }, "tasks"},
		"task without name":     {func(s *Space) { s.Tasks[0].Name = "" }, "tasks[0].name"},
		"task twice":            {func(s *Space) { s.Tasks = append(s.Tasks, Task{Name: "segment"}) }, "tasks[1].name"},
		"too many metrics":      {func(s *Space) { s.Tasks[0].Metrics = make([]Metric, MaxMetrics+1) }, "tasks[0].metrics"},
		"metric of a factor":    {func(s *Space) { s.Tasks[0].Metrics[0].Name = "glove" }, "tasks[0].metrics[0].name"},
		"metric of a label":     {func(s *Space) { s.Tasks[0].Metrics[0].Name = "VISIBLE" }, "tasks[0].metrics[0].name"},
		"metric loss":           {func(s *Space) { s.Tasks[0].Metrics[0].Name = "loss" }, "tasks[0].metrics[0].name"},
		"metric of two tasks":   {func(s *Space) { s.Tasks = append(s.Tasks, Task{Name: "other", Metrics: s.Tasks[0].Metrics}) }, "tasks[1].metrics[0].name"},
		"metric's unit":         {func(s *Space) { s.Tasks[0].Metrics[0].Unit = "a\nb" }, "tasks[0].metrics[0].unit"},
		"metric's direction":    {func(s *Space) { s.Tasks[0].Metrics[0].Better = "" }, "tasks[0].metrics[0].better"},
		"metric fails at NaN":   {func(s *Space) { *s.Tasks[0].Metrics[0].Fail = math.NaN() }, "tasks[0].metrics[0].fail"},
	} {
		s, half := rig(), .5
		s.Derived = []Derived{{Name: "visible", Levels: []string{"no", "yes"}, Rules: []DerivedRule{{When: []LevelSet{{1, []int{1}}}, Level: 1}}}}
		s.Tasks = []Task{{Name: "segment", Metrics: []Metric{{Name: "iou", Better: Higher, Fail: &half}}}}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		test.spoil(s)
		var refused *Error
		if err := s.Validate(); !errors.As(err, &refused) || refused.Field != test.field {
			t.Errorf("%s: %v, want a refusal of %s", name, err, test.field)
		}
	}
}

// The largest space that the limits allow is judged without trouble.
func TestLargestSpace(t *testing.T) {
	s := &Space{Name: "large", Version: 1}
	levels := make([]Level, MaxLevels)
	for l := range levels {
		levels[l] = Level{Name: fmt.Sprint("l", l), Target: 1. / MaxLevels}
	}
	for f := range 20 {
		s.Factors = append(s.Factors, Factor{Name: fmt.Sprint("f", f), Kind: Ordinal, Levels: levels})
	}
	half := make([]int, MaxLevels/2)
	for i := range half {
		half[i] = 2 * i
	}
	for i := range 100 {
		s.Constraints = append(s.Constraints, Constraint{When: []LevelSet{{i % 20, half}}, Then: []LevelSet{{(i + 1) % 20, half[:len(half)-i]}}})
	}
	if err := s.Validate(); err != nil && err.(*Error).Field != "constraints" {
		t.Error(err)
	}
	if got := s.Size(); !near(got/1e80, 1) {
		t.Errorf("size %v", got)
	}
}

func TestSizeEqualsAnEnumeration(t *testing.T) {
	for _, s := range []*Space{rig(), oneFactor(7)} {
		if got, want := s.Size(), float64(len(enumerate(s, s.baseMarginals(1)))); got != want {
			t.Errorf("%s: %v combinations, want %v", s.Name, got, want)
		}
	}
}

func TestSlices(t *testing.T) {
	s := shapes()
	a := s.slice(t, "light", "low", "background", "metal")
	if got := s.Describe(a); got != "background=metal ∧ light=low" {
		t.Errorf("described as %q", got)
	}
	if s.Describe(nil) != "everything" || a.Level(3) != 0 || a.Level(0) != -1 {
		t.Error("levels of a slice")
	}
	if b := a.With(Predicate{Factor: 0, Level: 5}); !b.Equal(Slice{{Factor: 0, Level: 5}, {Factor: 1, Level: 4}, {Factor: 3, Level: 0}}) || len(a) != 2 {
		t.Errorf("with another predicate: %v, and the first is %v", b, a)
	}
	codes := []Code{0, 4, 0, 0, 0, 0, Absent, 0, 0}
	if !a.Matches(codes) || (Slice{{Factor: 6, Level: 0}}).Matches(codes) || !(Slice{}).Matches(codes) {
		t.Error("matches")
	}
	codes[3] = Unknown
	if a.Matches(codes) {
		t.Error("an unknown value matches")
	}
	order := []Slice{{{Factor: 0, Level: 7}}, {{Factor: 2, Level: 0}}, {{Factor: 0, Level: 7}, {Factor: 1, Level: 5}}, {{Factor: 0, Level: 6}, {Factor: 2, Level: 0}}, {{Factor: 0, Level: 7}, {Factor: 2, Level: 0}}, {{Factor: 0, Level: 0}, {Factor: 1, Level: 0}, {Factor: 2, Level: 0}}}
	for i := range order {
		for j := range order {
			if got := order[i].compare(order[j]); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v and %v compare %d", order[i], order[j], got)
			}
		}
	}
}

// Any document that decodes to a space: judged without a panic, and where it is
// accepted, a round of it can be decided and drawn.
func FuzzSpaceValidate(f *testing.F) {
	for _, s := range []*Space{shapes(), rig(), oneFactor(1)} {
		b, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add([]byte(strings.ReplaceAll(string(b), `"target":0.`, `"target":1e300,"low":0.`)))
		f.Add([]byte(strings.ReplaceAll(string(b), `"factor":1`, `"factor":-1`)))
	}
	f.Add([]byte(`{"name":"x","factors":[{"name":"a","kind":"ordinal","levels":[{"name":"l","target":1}],"when":{"factor":0,"levels":[0]}}]}`))
	f.Add([]byte(`{"name":"x","factors":[{"name":"a","kind":"ordinal","levels":[{"name":"l","target":1}]}],"constraints":[{"when":[{"factor":0,"levels":[0]}]}]}`))
	f.Add([]byte(`{"name":"x","factors":[{"name":"a","kind":"ordinal","levels":[{"name":"l","target":1},{"name":"m","target":5e-324}]}],"constraints":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Space
		if json.Unmarshal(b, &s) != nil {
			return
		}
		checkSpace(t, &s)
	})
}

// Likewise for spaces made to be nearly valid.
func FuzzSpaceStructured(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"))
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { checkSpace(t, drawSpace(t, 8, 6)) }))
}

// checkSpace: the space is refused as an *Error, or a round of it can be decided
// and drawn.
func checkSpace(t rapid.TB, s *Space) {
	if err := s.Validate(); err != nil {
		var refused *Error
		if !errors.As(err, &refused) || refused.Problem == "" {
			t.Fatalf("%v is not a refusal", err)
		}
		return
	}
	r, err := Decide(s, policy(), nil, nil, Budget{Campaign: "fuzz", Number: 1, Train: 100, Evaluation: EvaluationPlan{Target: 5}}, 1)
	if err != nil {
		var refused *Error
		if !errors.As(err, &refused) || refused.Field != "floor" && refused.Field != "constraints" {
			t.Fatal(err)
		}
		return
	}
	sampler, err := NewSampler(s, &r)
	if err != nil {
		t.Fatal(err)
	}
	for index := range uint64(8) {
		x, err := sampler.Scenario(Train, 0, index)
		if err != nil {
			t.Fatal(err)
		}
		if !s.feasible(x.Codes) || !(sampler.Density(x.Codes) > 0) {
			t.Fatalf("%v was drawn, of density %v", x.Codes, sampler.Density(x.Codes))
		}
	}
}
