package state

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"hone/loop"
)

func TestDefinitionsAreVersioned(t *testing.T) {
	s := New("cluster")
	put := func(owner, document string) SpacePut {
		t.Helper()
		space := testSpace("lab")
		space.Owner, space.Version = owner, 17 // the version is state's to give
		return answer[SpacePut](t, s, Command{PutSpace: &PutSpace{Space: space, Document: document}})
	}
	for i, step := range []struct {
		owner, document string
		want            SpacePut
	}{
		{"", "one", SpacePut{"lab", 1, true}},
		{"", "one, with a comment", SpacePut{"lab", 1, false}},
		{"ann", "two", SpacePut{"lab", 2, true}},
		{"ann", "two", SpacePut{"lab", 2, false}},
		{"", "one", SpacePut{"lab", 3, true}}, // back to what was: a new version
	} {
		if got := put(step.owner, step.document); got != step.want {
			t.Errorf("put %d: %+v, want %+v", i, got, step.want)
		}
	}
	if v, ok := s.Space("lab", 2); !ok || v.Space.Owner != "ann" || v.Document != "two" {
		t.Errorf("version 2: %+v", v)
	}
	if v, ok := s.Space("lab", 0); !ok || v.Space.Version != 3 {
		t.Errorf("latest: %+v", v)
	}
	for _, version := range []int{-1, 4} {
		if _, ok := s.Space("lab", version); ok {
			t.Errorf("there is a version %d", version)
		}
	}
	if changes := s.Changes(0, 9); len(changes) != 3 || changes[2].Space.Version != 3 {
		t.Errorf("changes %+v", changes)
	}
	refusedAs(t, s, Conflict, Command{PutSpace: &PutSpace{Space: testSpace("LAB")}})
	refusedAs(t, s, Invalid, Command{PutSpace: &PutSpace{Space: testSpace("1lab")}})

	policy := loop.Policy{Name: "plain", Floor: .5}
	for i, want := range []PolicyPut{{"plain", 1, true}, {"plain", 1, false}, {"plain", 2, true}} {
		policy.MinimumRows = i / 2
		if got := answer[PolicyPut](t, s, Command{PutPolicy: &PutPolicy{Policy: policy}}); got != want {
			t.Errorf("policy %d: %+v, want %+v", i, got, want)
		}
	}

	g := loop.Generator{Name: "shapes", Version: "1.2"}
	if got := answer[GeneratorRegistered](t, s, Command{RegisterGenerator: &RegisterGenerator{g}}); !got.Created {
		t.Errorf("%+v", got)
	}
	if got := answer[GeneratorRegistered](t, s, Command{RegisterGenerator: &RegisterGenerator{g}}); got.Created {
		t.Errorf("again: %+v", got)
	}
	g.Deterministic = true
	refusedAs(t, s, Conflict, Command{RegisterGenerator: &RegisterGenerator{g}})
	g.Version = "1.3"
	answer[GeneratorRegistered](t, s, Command{RegisterGenerator: &RegisterGenerator{g}})
	if all := restored(t, s).Generators(); len(all) != 2 || all[1] != g {
		t.Errorf("generators %+v", all)
	}
}

func TestCampaignIsPinnedToVersions(t *testing.T) {
	s := prepared(t, 10, 2, 3)
	space := testSpace("lab")
	space.Owner = "ann"
	answer[SpacePut](t, s, Command{PutSpace: &PutSpace{Space: space}})
	again := Command{CreateCampaign: &CreateCampaign{Campaign: testCampaign("c", 10, 2), SpaceVersion: 2, PolicyVersion: 1}}
	if got, want := answer[CampaignCreated](t, s, again), (CampaignCreated{"c", 1, 1, 1, false}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	other := func(change func(*CreateCampaign)) Command {
		c := &CreateCampaign{Campaign: testCampaign("d", 10, 2), SpaceVersion: 1, PolicyVersion: 1}
		change(c)
		return Command{CreateCampaign: c}
	}
	for _, test := range []struct {
		name   string
		want   Reason
		change func(*CreateCampaign)
	}{
		{"other content", Conflict, func(c *CreateCampaign) { c.Campaign = testCampaign("c", 11, 2) }},
		{"no such space version", NotFound, func(c *CreateCampaign) { c.SpaceVersion = 3 }},
		{"no space version", NotFound, func(c *CreateCampaign) { c.SpaceVersion = 0 }},
		{"no such space", NotFound, func(c *CreateCampaign) { c.Campaign.Space = "lob" }},
		{"no such policy version", NotFound, func(c *CreateCampaign) { c.PolicyVersion = 2 }},
		{"another's dataset", Conflict, func(c *CreateCampaign) { c.Campaign.Name = "c.eval" }},
		{"no name", Invalid, func(c *CreateCampaign) { c.Campaign.Name = "" }},
		{"no rounds", Invalid, func(c *CreateCampaign) { c.Campaign.Rounds = 0 }},
		{"no unit size", Invalid, func(c *CreateCampaign) { c.Campaign.UnitSize = 0 }},
	} {
		t.Run(test.name, func(t *testing.T) { refusedAs(t, s, test.want, other(test.change)) })
	}
	answer[CampaignCreated](t, s, other(func(c *CreateCampaign) { c.Campaign.Name = "e.eval" }))
	refusedAs(t, s, Conflict, other(func(c *CreateCampaign) { c.Campaign.Name = "e" }))
}

// C15, C3, I3: what open round expects, and what it refuses.
func TestOpenRoundExpectations(t *testing.T) {
	s := prepared(t, 10, 3, 3)
	first := openRound(testRound("c", 1, 2, 2), nil, []uint64{2, 2})
	answer[RoundOpened](t, s, first)
	sequence := s.Sequence()
	for _, test := range []struct {
		name   string
		want   Reason
		change func(*OpenRound)
	}{
		{"no such campaign", NotFound, func(o *OpenRound) { o.Round.Campaign = "d" }},
		{"another round 1", Stale, func(o *OpenRound) { o.Round.Number, o.Previous, o.Round.Strategy = 1, 0, "hone" }},
		{"a gap", Stale, func(o *OpenRound) { o.Round.Number, o.Previous = 3, 2 }},
		{"contradiction", Invalid, func(o *OpenRound) { o.Previous = 0 }},
		{"campaign version", Stale, func(o *OpenRound) { o.CampaignVersion = 2 }},
		{"space version", Stale, func(o *OpenRound) { o.SpaceVersion = 2 }},
		{"the round's space version", Stale, func(o *OpenRound) { o.Round.SpaceVersion = 2 }},
		{"policy version", Stale, func(o *OpenRound) { o.PolicyVersion = 2 }},
		{"seed", Invalid, func(o *OpenRound) { o.Round.Seed++ }},
		{"future sequence", Invalid, func(o *OpenRound) { o.Sequence = sequence + 1 }},
		{"too few cuts", Invalid, func(o *OpenRound) { o.Cuts = o.Cuts[:1] }},
		{"another cut", Stale, func(o *OpenRound) { o.Cuts = []uint64{2, 1} }},
		{"too much", Invalid, func(o *OpenRound) { o.Round.Components[0].Quota = 7 }},
		{"evaluation that nobody asked for", Invalid, func(o *OpenRound) {
			o.Round.Components = append(o.Round.Components, loop.Component{Domain: loop.Evaluation, Quota: 1})
		}},
		{"no components", Invalid, func(o *OpenRound) { o.Round.Components = nil }},
		{"a component's number", Invalid, func(o *OpenRound) { o.Round.Components[0].Number = 1 }},
		{"domains out of order", Invalid, func(o *OpenRound) {
			o.Round.Components = []loop.Component{{Domain: loop.Probe}, {Domain: loop.Train}}
		}},
		{"no such domain", Invalid, func(o *OpenRound) { o.Round.Components[0].Domain = 3 }},
		{"a quota that no index counts to", Invalid, func(o *OpenRound) { o.Round.Components[0].Quota = loop.MaxQuota }},
		{"reserves", Invalid, func(o *OpenRound) { o.FirstReserve = []uint64{1, 2} }},
		{"evidence key", Invalid, func(o *OpenRound) { o.EvidenceKey = "staging/w/u/samples.tar" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := openRound(testRound("c", 2, 3), []uint64{2, 2}, []uint64{1})
			test.change(c.OpenRound)
			refusedAs(t, s, test.want, c)
		})
	}
	if got := answer[RoundOpened](t, s, first); !got.Duplicate || got.Sequence != sequence {
		t.Errorf("resent: %+v", got)
	}
	second := openRound(testRound("c", 2, 3), []uint64{2, 2}, nil)
	second.OpenRound.Sequence = sequence
	second.OpenRound.EvidenceKey = object("parts", 1, "evidence", 1).Key
	second.OpenRound.Models = []loop.EvidenceModel{{ModelLine: "net", Version: "1"}}
	answer[RoundOpened](t, s, second)
	short := openRound(testRound("c", 3, 2), []uint64{0}, nil) // the last round leaves some unmade
	short.OpenRound.Sequence = sequence
	refusedAs(t, s, Invalid, short)
	older := openRound(testRound("c", 3, 6), []uint64{0}, nil)
	older.OpenRound.Sequence = sequence - 1
	refusedAs(t, s, Stale, older)
	older.OpenRound.Sequence = sequence
	answer[RoundOpened](t, s, older)
	refusedAs(t, s, Conflict, openRound(testRound("c", 4, 0), []uint64{0}, nil))
	r, _ := restored(t, s).Round("c", 2)
	if r.Decided.EvidenceKey == "" || len(r.Decided.Models) != 1 || r.Decided.Space != "lab" || r.Sequence != sequence+1 {
		t.Errorf("the envelope: %+v", r.Decided)
	}
}

// I4: a round's canonical bytes pass through log and snapshot unchanged, nil and
// empty alike.
func TestRoundKeepsItsCanonicalBytes(t *testing.T) {
	for name, change := range map[string]func(*loop.Round){
		"nil":   func(*loop.Round) {},
		"empty": func(r *loop.Round) { r.Base, r.Target, r.Notes = []loop.Marginal{}, []loop.Marginal{}, []string{} },
		"full": func(r *loop.Round) {
			r.Base = []loop.Marginal{{1 << 31, 1 << 32}, nil, {}}
			r.Step, r.KL, r.FailureRate = 1.0/3, 5e-324, math.MaxFloat64
			r.Components[0].Slice = loop.Slice{{Factor: 0, Level: 1}}
			r.Components[0].Reason = &loop.Reason{P: 1e-17, Sentence: "light=low fails \u2028 <often>"}
			r.Memory.Slices = []loop.Remembered{{Slice: loop.Slice{}, Damping: .1}}
			r.Evidence[3] = 9
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := prepared(t, 3, 1, 3)
			r := testRound("c", 1, 3)
			change(&r)
			answer[RoundOpened](t, s, openRound(r, nil, nil))
			for _, s := range []*State{s, restored(t, s)} {
				got, _ := s.Round("c", 1)
				if a, b := string(got.Decided.Round.Canonical()), string(r.Canonical()); a != b {
					t.Errorf("%s\nwant %s", a, b)
				}
			}
		})
	}
}

// C10, I5: each sample by its name alone.
func TestJudgement(t *testing.T) {
	s := prepared(t, 10, 1, 2)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 10), nil, []uint64{6}))
	answer[Committed](t, s, spoiled(unit("c", 1, 0, 0, 1, 2)), spoiled(unit("c", 1, 0, 1, 2, 1)), delivered(unit("c", 1, 0, 0, 3, 1)), delivered(unit("c", 1, 0, 1, 1, 1)))
	for _, test := range []struct {
		name loop.Name
		want Judgement
	}{
		{sampleName(1, 0, 0, 0), JudgedFresh},
		{sampleName(1, 0, 0, 1), JudgedStale},
		{sampleName(1, 0, 1, 0), JudgedStale},
		{sampleName(1, 0, 1, 1), JudgedDuplicate},
		{sampleName(1, 0, 2, 0), JudgedClosed}, // abandoned
		{sampleName(1, 0, 2, 1), JudgedClosed},
		{sampleName(1, 0, 3, 0), JudgedDuplicate},
		{sampleName(1, 0, 3, 1), JudgedStale},
		{sampleName(1, 0, 5, 0), JudgedFresh},
		{sampleName(1, 0, 6, 0), JudgedClosed}, // not reserved
		{sampleName(1, 0, 10, 0), JudgedClosed},
		{sampleName(1, 1, 0, 0), JudgedClosed},
		{sampleName(2, 0, 0, 0), JudgedClosed},
		{sampleName(0, 0, 0, 0), JudgedClosed},
		{loop.Name{Round: 1, Domain: loop.Probe}, JudgedClosed},
		{loop.Name{Round: 1, Index: 1 << 32}, JudgedClosed},
	} {
		if got := s.Judge("c", test.name); got != test.want {
			t.Errorf("%+v: %d, want %d", test.name, got, test.want)
		}
	}
	if s.Judge("d", sampleName(1, 0, 0, 0)) != JudgedClosed {
		t.Error("an unknown campaign is not closed")
	}
	if got, want := s.JudgeUnit(unit("c", 1, 0, 0, 0, 8)), (loop.Standing{Fresh: 3, Duplicate: 1, Stale: 1, Closed: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	runs := s.OpenRuns("c", 1, loop.Train, 0, 0, 2)
	if !slices.Equal(runs, []loop.Unit{unit("c", 1, 0, 0, 0, 1), unit("c", 1, 0, 0, 4, 2)}) {
		t.Errorf("open %+v", runs)
	}
	if got := s.OpenRuns("c", 1, loop.Train, 0, 0, 1); len(got) != 1 {
		t.Errorf("limit 1: %+v", got)
	}
}

// C4: after max_attempts rejections, and not before.
func TestMaxAttempts(t *testing.T) {
	for most := 1; most <= 4; most++ {
		s := prepared(t, 2, 1, most)
		answer[RoundOpened](t, s, openRound(testRound("c", 1, 2), nil, []uint64{2}))
		for attempt := range most {
			if c := counts(t, s); c.Abandoned != 0 {
				t.Fatalf("max_attempts %d: abandoned after %d rejections", most, attempt)
			}
			answer[Committed](t, s, spoiled(unit("c", 1, 0, attempt, 0, 1)))
		}
		c := counts(t, s)
		if c.Abandoned != 1 || c.Rejected != uint64(most) || c.Pending != 1 {
			t.Fatalf("max_attempts %d: %+v", most, c)
		}
		answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 1, 1)))
		if v, _ := s.Campaign("c"); v.State != DoneShort {
			t.Fatalf("max_attempts %d: %s", most, v.State)
		}
	}
}

// What state keeps of reasons is bounded, and still names every index.
func TestReasonsAreBounded(t *testing.T) {
	s := prepared(t, 100, 1, 1)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 100), nil, []uint64{100}))
	d := Delivered{Worker: "w", Unit: unit("c", 1, 0, 0, 0, 100)}
	for i := range 100 {
		d.Rejected = append(d.Rejected, Rejected{Offset: uint16(i), Gate: "blank", Reason: fmt.Sprint(i, strings.Repeat(" \xff", 1000))})
	}
	answer[Committed](t, s, Command{Commit: &Commit{Deliveries: []Delivered{d}, Verdicts: objectAt("parts", 1, "v", 100)}})
	c, _ := restored(t, s).Campaign("c")
	n := uint64(0)
	for _, a := range c.Abandoned {
		n += a.Indices.Count()
		if len(a.Reason) > maxReasonLength {
			t.Errorf("a reason of %d bytes", len(a.Reason))
		}
	}
	if n != 100 || len(c.Abandoned) != maxReasons+1 || c.Abandoned[maxReasons].Reason != otherReasons {
		t.Errorf("%d indices under %d reasons", n, len(c.Abandoned))
	}
}

// C11: the rows of a part are accounted for exactly once, or all is refused.
func TestCommitThatContradictsItself(t *testing.T) {
	s := prepared(t, 10, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 10), nil, []uint64{10}))
	second := testSpace("other")
	answer[CampaignCreated](t, s, Command{PutSpace: &PutSpace{Space: second}}, func() Command {
		c := testCampaign("o", 1, 1)
		c.Space = "other"
		return Command{CreateCampaign: &CreateCampaign{Campaign: c, SpaceVersion: 1, PolicyVersion: 1}}
	}())
	for _, test := range []struct {
		name   string
		change func(*Commit)
	}{
		{"a row too many", func(c *Commit) { c.Samples.Rows = 5 }},
		{"a row too few", func(c *Commit) { c.Samples.Rows = 3 }},
		{"a row twice", func(c *Commit) { c.Deliveries[1].FirstRow = 1; c.Samples.Rows = 3 }},
		{"a gap", func(c *Commit) { c.Deliveries[1].FirstRow = 3 }},
		{"no part", func(c *Commit) { c.Samples = nil }},
		{"a part of nothing", func(c *Commit) { c.Verdicts = objectAt("parts", 1, "v", 0) }},
		{"an offset beyond", func(c *Commit) { c.Deliveries[0].Accepted = OffsetsOf(1, 2) }},
		{"a rejection beyond", func(c *Commit) { c.Deliveries[0].Rejected = []Rejected{{Offset: 2}} }},
		{"rejected and accepted", func(c *Commit) { c.Deliveries[0].Rejected = []Rejected{{Offset: 1}} }},
		{"rejected twice", func(c *Commit) {
			c.Deliveries[0].Accepted = nil
			c.Deliveries[0].Rejected = []Rejected{{Offset: 1}, {Offset: 1}}
		}},
		{"no unit", func(c *Commit) { c.Deliveries[0].Unit.Count = 0 }},
		{"a staging key", func(c *Commit) { c.Packs[0].Key = "staging/1/ab/" + strings.Repeat("ab", 32) + ".tar" }},
		{"another digest's key", func(c *Commit) { c.Samples.Digest[0]++ }},
		{"a key under other digits", func(c *Commit) { c.Packs[0].Key = strings.Replace(c.Packs[0].Key, "packs/1/", "packs/1/0", 1) }},
		{"an epoch to come", func(c *Commit) { c.Packs[0] = object("packs", 2, "p", 4) }},
		{"more rows than a part has", func(c *Commit) { c.Packs[0].Rows = 1 << 33 }},
		{"another space's campaign", func(c *Commit) { c.Deliveries[1].Unit.Campaign = "o" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := delivered(unit("c", 1, 0, 0, 0, 2), unit("c", 1, 0, 0, 2, 2))
			test.change(c.Commit)
			refusedAs(t, s, Invalid, c)
		})
	}
	// Rows need not stand in the order of the deliveries.
	c := delivered(unit("c", 1, 0, 0, 0, 2), unit("c", 1, 0, 0, 0, 2))
	c.Commit.Deliveries[0].FirstRow, c.Commit.Deliveries[1].FirstRow = 2, 0
	got := answer[Committed](t, s, c)
	if part, _ := s.Part(got.Samples); !slices.Equal(part.Void, []uint32{0, 1}) {
		t.Errorf("void %v, want the second delivery's rows", part.Void)
	}
	// What names nothing known is closed, not refused.
	got = answer[Committed](t, s, delivered(unit("x", 1, 0, 0, 0, 2)))
	if got.Deliveries[0].Standing.Closed != 2 || got.Samples != 0 {
		t.Errorf("%+v", got)
	}
}

// C18, and the trace V1: a late entry must not bring back a key of a closed
// epoch, which may be deleted at any time.
func TestClosedEpoch(t *testing.T) {
	s := prepared(t, 4, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 4), nil, []uint64{4}))
	known := delivered(unit("c", 1, 0, 0, 0, 1))
	known.Commit.Packs = nil
	answer[Committed](t, s, known)
	opening := openRound(testRound("c", 1, 4), nil, []uint64{4})
	opening.OpenRound.Round.Campaign, opening.OpenRound.EvidenceKey = "d", object("evidence", 1, "seen", 1).Key
	create := *campaignOf(t, s).Campaign
	create.Name = "d"
	answer[CampaignCreated](t, s, Command{CreateCampaign: &CreateCampaign{Campaign: create, SpaceVersion: 1, PolicyVersion: 1}})
	verdicts, pack := spoiled(unit("c", 1, 0, 0, 1, 1)), delivered(unit("c", 1, 0, 0, 2, 1))
	pack.Commit.Samples = objectAt("parts", 2, "put again", 1)
	late := []Command{delivered(unit("c", 1, 0, 0, 1, 1)), post("k", "b", 1), published(s, "c", 1, s.Sequence()),
		verdicts, pack, importOf("photos", 0, "a", 2), opening}
	raise := Command{RaiseEpoch: &RaiseEpoch{Closes: 1}}
	if got := answer[EpochRaised](t, s, raise); got != (EpochRaised{Epoch: 2}) {
		t.Fatalf("%+v", got)
	}
	if got := answer[EpochRaised](t, s, raise); got != (EpochRaised{Epoch: 2, Duplicate: true}) {
		t.Fatalf("resent: %+v", got)
	}
	refusedAs(t, s, Stale, Command{RaiseEpoch: &RaiseEpoch{Closes: 3}})
	refusedAs(t, s, Stale, Command{RaiseEpoch: &RaiseEpoch{}})
	for _, c := range late {
		refusedAs(t, s, EpochClosed, c)
		refusedAs(t, restored(t, s), EpochClosed, c)
	}
	// What is referenced already may be named again.
	if got := answer[Committed](t, s, known); got.Deliveries[0].Standing.Duplicate != 1 {
		t.Fatalf("%+v", got)
	}
	late[1].Append.Part = object("parts", 2, "put again", 1)
	answer[Appended](t, s, late[1])
	// The packs of what was committed before the closing are referenced by its rows.
	late[2].Publish.Manifest, late[2].Publish.Addresses = object("manifests", 2, "rows", 1), object("manifests", 2, "places", 1)
	answer[Published](t, s, late[2])
}

// C8: sealing, its order, and what comes after.
func TestSealModel(t *testing.T) {
	s := prepared(t, 1, 1, 3)
	seal := func(version string, rows uint64) Command {
		return Command{SealModel: &SealModel{Line: "net", Version: version, Rows: rows}}
	}
	first := post("a", "b", 3)
	answer[Appended](t, s, first)
	second := post("a", "b", 2)
	second.Append.Posts[0].Post.Version = "0"
	answer[Appended](t, s, second)
	refusedAs(t, s, Conflict, seal("1", 2))
	refusedAs(t, s, Conflict, seal("2", 1))
	refusedAs(t, s, Invalid, seal("", 0))
	got := answer[ModelSealed](t, s, seal("1", 3))
	if got.Sequence != s.Sequence() || got.Duplicate {
		t.Errorf("%+v", got)
	}
	if again := answer[ModelSealed](t, s, seal("1", 3)); !again.Duplicate || again.Sequence != got.Sequence {
		t.Errorf("resent: %+v", again)
	}
	refusedAs(t, s, Conflict, seal("1", 4))
	answer[ModelSealed](t, s, seal("0", 2))
	// A resent post is still recognised; a new one is refused (C22).
	if p := answer[Appended](t, s, first).Posts[0]; p.DuplicateOf == 0 {
		t.Errorf("%+v", p)
	}
	if p := answer[Appended](t, s, post("z", "b", 1)).Posts[0]; p.Refused == nil || p.Refused.Reason != Conflict || p.Accepted != 0 {
		t.Errorf("%+v", p)
	}
	line, _ := restored(t, s).ModelLine("net")
	if len(line.Sealed) != 2 || line.Sealed[0].Version != "1" || line.Sealed[1].Version != "0" || len(line.Open) != 0 {
		t.Errorf("the order of sealing is the order of age: %+v", line)
	}
}

// C22: one entry, several posts, each its own answer.
func TestPostsOfOneEntry(t *testing.T) {
	s := prepared(t, 1, 1, 3)
	c := post("a", "b", 2)
	c.Append.Posts = append(c.Append.Posts, Posted{Post: c.Append.Posts[0].Post, FirstRow: 2, Rows: 2})
	other := c.Append.Posts[0]
	other.Post.Run, other.FirstRow, other.Rows = "run", 4, 1
	c.Append.Posts = append(c.Append.Posts, other)
	c.Append.Part.Rows = 5
	got := answer[Appended](t, s, c)
	sequence := s.Sequence()
	want := []PostAnswer{{Accepted: 2, Sequence: sequence}, {DuplicateOf: sequence}, {Accepted: 1, Sequence: sequence}}
	for i := range want {
		if got.Posts[i] != want[i] {
			t.Errorf("post %d: %+v, want %+v", i, got.Posts[i], want[i])
		}
	}
	if part, _ := s.Part(sequence); !slices.Equal(part.Void, []uint32{2, 3}) {
		t.Errorf("void %v (C11)", part.Void)
	}
	for _, test := range []struct {
		name   string
		want   Reason
		change func(*Append)
	}{
		{"no posts", Invalid, func(a *Append) { a.Posts = nil }},
		{"two spaces", Invalid, func(a *Append) { a.Posts[1].Post.Space = "other" }},
		{"no such space", NotFound, func(a *Append) { a.Posts, a.Part.Rows = a.Posts[:1], 2; a.Posts[0].Post.Space = "other" }},
		{"an empty post", Invalid, func(a *Append) { a.Posts[1].Rows = 0 }},
		{"no key", Invalid, func(a *Append) { a.Posts[1].Post.Key = "" }},
		{"no model", Invalid, func(a *Append) { a.Posts[1].Post.ModelLine = "" }},
		{"no version", Invalid, func(a *Append) { a.Posts[1].Post.Version = "" }},
		{"rows", Invalid, func(a *Append) { a.Part.Rows++ }},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad := *c.Append
			bad.Posts = slices.Clone(c.Append.Posts)
			test.change(&bad)
			refusedAs(t, s, test.want, Command{Append: &bad})
		})
	}
}

// C13, C10: the samples of one revoke are judged in order, too.
func TestRevokeNamesASampleTwice(t *testing.T) {
	s := prepared(t, 2, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 2), nil, []uint64{2}))
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2)))
	first := RevokedSample{Campaign: "c", Name: sampleName(1, 0, 0, 0), Reference: added.Samples, Row: 0}
	other := RevokedSample{Campaign: "c", Name: sampleName(1, 0, 1, 0), Reference: added.Samples, Row: 0}
	refusedAs(t, s, Stale, Command{Revoke: &Revoke{Samples: []RevokedSample{first, other}}}) // one row is not two samples
	got := answer[Revoked](t, s, Command{Revoke: &Revoke{Samples: []RevokedSample{first, first}}})
	if len(got.Reopened) != 1 || got.Sequence != s.Sequence() {
		t.Errorf("%+v", got)
	}
	if c := counts(t, s); c.Committed != 1 || c.Pending != 1 || visible(s, loop.SampleParts) != 1 {
		t.Errorf("%+v", c)
	}
	if runs := s.OpenRuns("c", 1, loop.Train, 0, 0, 9); len(runs) != 1 || runs[0].Attempt != 1 {
		t.Errorf("open %+v", runs)
	}
}

// C26: what publish refuses.
func TestPublishExpectations(t *testing.T) {
	s := prepared(t, 4, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 2, 2), nil, []uint64{2, 2}))
	answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2), unit("c", 1, 1, 0, 1, 1)))
	for _, test := range []struct {
		name   string
		want   Reason
		change func(*Publish)
	}{
		{"no name", Invalid, func(p *Publish) { p.Name = "-" }},
		{"no such campaign", NotFound, func(p *Publish) { p.Campaign = "d" }},
		{"a version that is there not", Stale, func(p *Publish) { p.ExpectedLatest, p.Version = 1, 2 }},
		{"no version", Invalid, func(p *Publish) { p.Version = 0 }},
		{"future sequence", Invalid, func(p *Publish) { p.Sequence = s.Sequence() + 1 }},
		{"not committed", Stale, func(p *Publish) { p.Selection[1].Indices = IndicesOf(0) }},
		{"beyond the quota", Stale, func(p *Publish) { p.Selection[1].Indices = IndicesOf(77) }},
		{"no such component", NotFound, func(p *Publish) { p.Selection[1].Component = 7 }},
		{"twice", Invalid, func(p *Publish) { p.Selection[1] = p.Selection[0]; p.Manifest.Rows = 4 }},
		{"an empty component", Invalid, func(p *Publish) { p.Selection[1].Indices = Indices{} }},
		{"another number of rows", Invalid, func(p *Publish) { p.Manifest.Rows++ }},
		{"a pack that is none", Invalid, func(p *Publish) { p.Packs[0] = "x" }},
		{"an address object that is none", Invalid, func(p *Publish) { p.Addresses.Key = "x" }},
		{"a manifest that is none", Invalid, func(p *Publish) { p.Manifest.Key = "x" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := published(s, "c", 1, s.Sequence())
			test.change(c.Publish)
			refusedAs(t, s, test.want, c)
		})
	}
	first := published(s, "c", 1, s.Sequence())
	if got := answer[Published](t, s, first); got.Samples != 3 {
		t.Fatalf("%+v", got)
	}
	other := published(s, "c", 1, s.Sequence())
	other.Publish.Manifest = object("manifests", 1, "other", 3)
	refusedAs(t, s, Conflict, other)
	refusedAs(t, s, Stale, func() Command { c := published(s, "c", 2, s.Sequence()); c.Publish.ExpectedLatest = 0; return c }())
	answer[Published](t, s, published(s, "c", 2, s.Sequence()))
	if v := s.DatasetVersions("c"); len(v) != 2 || v[1].Split != "train" || v[1].Campaign != "c" {
		t.Errorf("%+v", v)
	}
	if got := s.Datasets(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("%v", got)
	}
}

// C10, C15: a refusal in the middle of an entry leaves its neighbours be.
func TestRefusalIsPerCommand(t *testing.T) {
	s := prepared(t, 4, 1, 3)
	events := s.Apply(Entry{At: s.Time(), Commands: []Command{
		openRound(testRound("c", 1, 4), nil, []uint64{4}), {}, published(s, "c", 1, 99), delivered(unit("c", 1, 0, 0, 0, 4))}})
	for i, want := range []bool{false, true, true, false} {
		if _, refused := events[i].(Refused); refused != want {
			t.Errorf("command %d: %+v", i, events[i])
		}
	}
	if c := counts(t, s); c.Committed != 4 {
		t.Errorf("%+v", c)
	}
}

// C20: the catalogue is read in pieces.
func TestChangesInPieces(t *testing.T) {
	s := prepared(t, 9, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 9), nil, []uint64{9}))
	for i := range 9 {
		answer[Committed](t, s, delivered(unit("c", 1, 0, 0, i, 1)))
	}
	all := s.Changes(0, 100)
	if len(all) != 11 || s.Sequence() != 11 {
		t.Fatalf("%d changes", len(all))
	}
	for limit := 1; limit <= 12; limit++ {
		var got []uint64
		for after := uint64(0); ; {
			piece := s.Changes(after, limit)
			if len(piece) == 0 {
				break
			}
			for _, c := range piece {
				got = append(got, c.Sequence)
			}
			after = got[len(got)-1]
		}
		if len(got) != 11 || got[0] != 1 || got[10] != 11 {
			t.Errorf("by %d: %v", limit, got)
		}
	}
	for _, after := range []uint64{11, 12, math.MaxUint64} {
		if got := s.Changes(after, 9); got != nil {
			t.Errorf("after %d: %v", after, got)
		}
	}
}

// A definition that enters the log after another version (C10) does not undo that;
// sent again it is the version that it became.
func TestLateDefinition(t *testing.T) {
	s := prepared(t, 12, 3, 3)
	other, mine := testSpace("lab"), testSpace("lab")
	other.Owner, mine.Owner = "bob", "ann"
	space := func(x loop.Space, next int) Command {
		return Command{PutSpace: &PutSpace{Space: x, Next: next}}
	}
	policy := func(owner string, next int) Command {
		return Command{PutPolicy: &PutPolicy{Policy: loop.Policy{Name: "plain", Owner: owner, Strategy: loop.StrategyUniform}, Next: next}}
	}
	for range 2 {
		if got := answer[SpacePut](t, s, space(other, 2)); got.Version != 2 {
			t.Errorf("%+v", got)
		}
		if got := answer[PolicyPut](t, s, policy("bob", 2)); got.Version != 2 {
			t.Errorf("%+v", got)
		}
	}
	refusedAs(t, s, Stale, space(mine, 2))
	refusedAs(t, s, Stale, policy("ann", 2))
	if got := answer[SpacePut](t, s, space(mine, 0)); got.Version != 3 { // an entry of before
		t.Errorf("%+v", got)
	}
	answer[PolicyPut](t, s, policy("ann", 3))
}
