package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"hone/loop"
)

func TestNewDecision(t *testing.T) {
	space := &loop.Space{Name: "s", Factors: []loop.Factor{
		{Name: "light", Levels: []loop.Level{{Name: "low"}, {Name: "high"}}},
		{Name: "glove", Levels: []loop.Level{{Name: "yes"}, {Name: "no"}}},
	}}
	const half, all = 1 << 31, 1 << 32
	low := loop.Slice{{Factor: 0, Level: 0}}
	by := loop.Predicate{Factor: 1, Level: 1}
	round := &loop.Round{
		Strategy: "hone", SpaceVersion: 2, PolicyVersion: 3, EvidenceRows: 10, FailureRate: .5, Step: 1, KL: .1,
		Base:   []loop.Marginal{{half, all}, {all / 4, all}},
		Target: []loop.Marginal{{all / 4, all}, {half, all}},
		Components: []loop.Component{
			{Domain: loop.Train, Over: loop.OverBase, Share: half, Quota: 5},
			{Domain: loop.Train, Number: 1, Over: loop.OverBase, Slice: low, By: &by, Share: half, Quota: 5, Reason: &loop.Reason{Sentence: "why"}},
			{Domain: loop.Evaluation, Over: loop.OverTarget, Share: all, Quota: 7, Source: loop.SourceTarget},
		},
		Memory: loop.Memory{Slices: []loop.Remembered{{Slice: low, Round: 1, Samples: 9, Damping: .5, Quarantined: true, Sentence: "no use"}}},
		Notes:  []string{"note"},
	}
	want := &Decision{
		Strategy: "hone", SpaceVersion: 2, PolicyVersion: 3, EvidenceRows: 10, FailureRate: .5, Step: 1, KL: .1,
		Components: []Component{
			{Domain: "train", Name: "everything", Over: "base", Slice: map[string]string{}, Share: .5, Quota: 5},
			{Domain: "train", Number: 1, Name: "light=low ∧ glove=no", Over: "base", Slice: map[string]string{"light": "low"},
				By: map[string]string{"glove": "no"}, Share: .5, Quota: 5, Reason: &loop.Reason{Sentence: "why"}},
			{Domain: "evaluation", Name: "everything", Over: "target", Slice: map[string]string{}, Share: 1, Quota: 7, Source: "target"},
		},
		Base: []Marginal{
			{Factor: "light", Levels: []MarginalLevel{{"low", .5, .25}, {"high", .5, .75}}},
			{Factor: "glove", Levels: []MarginalLevel{{"yes", .25, .5}, {"no", .75, .5}}},
		},
		Memory: []Memory{{Name: "light=low", Slice: map[string]string{"light": "low"}, Since: 1, Samples: 9, Damping: .5, Quarantined: true, Sentence: "no use"}},
		Notes:  []string{"note"},
	}
	if got := NewDecision(space, round); !reflect.DeepEqual(got, want) {
		a, _ := json.MarshalIndent(got, "", " ")
		b, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
}

// What the constraints leave of a component's draws is said where there are any.
func TestDecisionSaysWhatConstraintsLeave(t *testing.T) {
	const half, all = 1 << 31, 1 << 32
	space := &loop.Space{Name: "s", Version: 1, Factors: []loop.Factor{
		{Name: "light", Levels: []loop.Level{{Name: "low", Target: .5}, {Name: "high", Target: .5}}},
		{Name: "glove", Levels: []loop.Level{{Name: "yes", Target: .25}, {Name: "no", Target: .75}}},
	}, Constraints: []loop.Constraint{{When: []loop.LevelSet{{Factor: 0, Levels: []int{0}}}, Then: []loop.LevelSet{{Factor: 1, Levels: []int{1}}}}}}
	marginals := []loop.Marginal{{half, all}, {all / 4, all}}
	round := &loop.Round{SpaceVersion: 1, Base: marginals, Target: marginals, Components: []loop.Component{
		{Domain: loop.Train, Over: loop.OverBase, Share: half, Quota: 5},
		{Domain: loop.Train, Number: 1, Over: loop.OverBase, Slice: loop.Slice{{Factor: 0, Level: 0}}, Share: half, Quota: 5},
	}}
	d := NewDecision(space, round)
	if got := d.Components[0].Accepted; got != 1-.5*.25 {
		t.Errorf("of the base %v, want 7/8", got)
	}
	if got := d.Components[1].Accepted; got != .75 {
		t.Errorf("of light=low %v, want 3/4", got)
	}
}

// TestSchemas: huma derives a schema of every type, in which digests are text
// and the counts of a campaign stand beside its name.
func TestSchemas(t *testing.T) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	for _, v := range []any{Put{}, Definition{}, SpaceList{}, PolicyList{}, Campaign{}, CampaignList{}, Round{}, RoundList{}, Posted{},
		OutcomeRow{}, Seal{}, ModelList{}, DatasetList{}, Wanted{}, Query{}, Table{}, Status{}, Problem{}} {
		huma.SchemaFromType(registry, reflect.TypeOf(v))
	}
	if s := huma.SchemaFromType(registry, reflect.TypeFor[Dataset]()).Properties["manifest_sha256"]; s == nil || s.Type != huma.TypeString {
		t.Errorf("a digest has schema %+v", s)
	}
	campaign := huma.SchemaFromType(registry, reflect.TypeFor[Campaign]())
	for _, name := range strings.Fields("name state requested committed rejected replaced abandoned in_flight pending round") {
		if campaign.Properties[name] == nil {
			t.Errorf("a campaign's schema lacks %q", name)
		}
	}
	// Servers return *Problem from huma operations.
	var _ huma.StatusError = (*Problem)(nil)
	var _ huma.ContentTypeFilter = (*Problem)(nil)
}
