package state

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"hone/loop"
)

// importOf is an import of some samples, told apart by content.
func importOf(name string, latest int, content string, rows ...int) Command {
	c := &Import{Name: name, ExpectedLatest: latest, Space: "lab", Domain: loop.Evaluation, Origin: loop.Real,
		Content: loop.Digest(sha256.Sum256([]byte(content)))}
	all := 0
	for i, n := range rows {
		c.Samples = append(c.Samples, object("parts", 1, fmt.Sprint(content, i), n))
		all += n
	}
	content = fmt.Sprint(content, latest)
	c.Manifest, c.Addresses = object("manifests", 1, content, all), object("manifests", 1, content+"a", all)
	c.Packs = []string{object("packs", 1, "p", 1).Key, object("packs", 1, content, 1).Key, object("packs", 1, "p", 1).Key}
	return Command{Import: c}
}

// An import adds its parts and its version, or nothing (C10, C20); content that is
// there already is that version again, and a resent command meets itself.
func TestImport(t *testing.T) {
	s := prepared(t, 600, 2, 2)
	before := s.Sequence()
	got := answer[Published](t, s, importOf("photos", 0, "a", 5, 3))
	if got != (Published{Name: "photos", Version: 1, Samples: 8, Sequence: before + 2}) {
		t.Fatalf("%+v", got)
	}
	for i, c := range s.Changes(before, 9) {
		if c.Part == nil || c.Part.Kind != loop.SampleParts || c.Part.Space != "lab" || c.Part.Object.Rows != int64(5-2*i) || c.Part.Void != nil {
			t.Fatalf("change %d is %+v", i, c)
		}
	}
	v, _ := s.Dataset("photos", 0)
	if v.Campaign != "" || v.Split != "evaluation" || v.Import == nil || v.Import.Origin != loop.Real || v.Import.Space != "lab" ||
		len(v.Packs) != 2 || len(v.Selection) != 1 || v.Selection[0].Round != 1 || v.Selection[0].Indices.Count() != 8 {
		t.Fatalf("%+v", v)
	}
	for _, key := range append([]string{v.Manifest.Key, v.Addresses.Key}, v.Packs...) {
		if !s.References(key) {
			t.Errorf("%s is not referenced (C18)", key)
		}
	}
	// Sent again, or computed again.
	for _, c := range []Command{importOf("photos", 0, "a", 5, 3), importOf("photos", 1, "a", 5, 3)} {
		if got := answer[Published](t, s, c); !got.Duplicate || got.Version != 1 || s.Sequence() != before+2 {
			t.Fatalf("%+v at %d", got, s.Sequence())
		}
	}
	refusedAs(t, s, Stale, importOf("photos", 0, "b", 1))
	if got := answer[Published](t, s, importOf("photos", 1, "b", 1)); got.Duplicate || got.Version != 2 {
		t.Fatalf("%+v", got)
	}
	// A resent command meets itself though another came after it; the same content
	// later is a version of its own.
	if got := answer[Published](t, s, importOf("photos", 0, "a", 5, 3)); !got.Duplicate || got.Version != 1 {
		t.Fatalf("%+v", got)
	}
	if got := answer[Published](t, s, importOf("photos", 2, "a", 5, 3)); got.Duplicate || got.Version != 3 {
		t.Fatalf("%+v", got)
	}
	r := restored(t, s)
	if got := answer[Published](t, r, importOf("photos", 3, "a", 5, 3)); !got.Duplicate || got.Version != 3 {
		t.Fatalf("after a restore: %+v", got)
	}
}

// No name is both an import's and a campaign's, whoever comes first.
func TestImportNames(t *testing.T) {
	s := prepared(t, 600, 2, 2)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 300), nil, []uint64{300}))
	answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 9)))
	other := published(s, "c", 1, s.Sequence())
	other.Publish.Name = "subset"
	answer[Published](t, s, other)
	for _, name := range []string{"c", "c.eval", "subset"} {
		refusedAs(t, s, Conflict, importOf(name, 0, "x", 1))
	}
	answer[Published](t, s, importOf("photos", 0, "x", 1))
	answer[Published](t, s, importOf("field.eval", 0, "x", 1))
	for _, name := range []string{"photos", "field"} {
		refusedAs(t, s, Conflict, Command{CreateCampaign: &CreateCampaign{Campaign: testCampaign(name, 10, 1), SpaceVersion: 1, PolicyVersion: 1}})
	}
	into := published(s, "c", 1, s.Sequence())
	into.Publish.Name = "photos"
	refusedAs(t, s, Conflict, into)
}

func TestImportRefused(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*Import)
		want   Reason
	}{
		"name":          {func(c *Import) { c.Name = "1" }, Invalid},
		"space":         {func(c *Import) { c.Space = "none" }, NotFound},
		"split":         {func(c *Import) { c.Domain = loop.Probe }, Invalid},
		"origin":        {func(c *Import) { c.Origin = "made" }, Invalid},
		"content":       {func(c *Import) { c.Content = loop.Digest{} }, Invalid},
		"no sample":     {func(c *Import) { c.Samples, c.Manifest.Rows = nil, 0 }, Invalid},
		"other rows":    {func(c *Import) { c.Manifest.Rows++ }, Invalid},
		"an empty part": {func(c *Import) { c.Samples = append(c.Samples, object("parts", 1, "e", 0)) }, Invalid},
		"a closed pack": {func(c *Import) { c.Packs[0] = object("packs", 9, "z", 1).Key }, Invalid},
		"no key":        {func(c *Import) { c.Packs[0] = "packs/1" }, Invalid},
		"staging":       {func(c *Import) { c.Samples[0].Key = "staging" + c.Samples[0].Key[len("parts"):] }, Invalid},
		"digest":        {func(c *Import) { c.Addresses.Digest = loop.Digest{1} }, Invalid},
		"latest":        {func(c *Import) { c.ExpectedLatest = 1 }, Stale},
	} {
		t.Run(name, func(t *testing.T) {
			s := prepared(t, 600, 2, 2)
			c := importOf("photos", 0, "a", 2)
			x.change(c.Import)
			refusedAs(t, s, x.want, c)
		})
	}
	s := prepared(t, 600, 2, 2)
	answer[EpochRaised](t, s, Command{RaiseEpoch: &RaiseEpoch{Closes: 1}})
	refusedAs(t, s, EpochClosed, importOf("photos", 0, "a", 2)) // C18
	answer[SpacePut](t, s, Command{PutSpace: &PutSpace{Space: testSpace("other")}})
	s = prepared(t, 600, 2, 2)
	answer[SpacePut](t, s, Command{PutSpace: &PutSpace{Space: testSpace("other")}})
	answer[Published](t, s, importOf("photos", 0, "a", 2))
	c := importOf("photos", 1, "b", 2)
	c.Import.Space = "other"
	refusedAs(t, s, Conflict, c)
}
