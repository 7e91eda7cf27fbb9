package state

import (
	"slices"
	"testing"

	"hone/loop"
)

// The traces in this file are those by which model checking broke earlier drafts
// of the contract; each must be harmless now.

// V2: an extension slips in between the computing of a round and its opening
// (C3, I3).
func TestTraceExtensionBetweenDecisionAndOpening(t *testing.T) {
	s := prepared(t, 3, 2, 2)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 3), nil, []uint64{1}))
	second := openRound(testRound("c", 2, 2), []uint64{1}, []uint64{1})
	answer[Committed](t, s, extension(1, 2))
	refusedAs(t, s, Stale, second)
	answer[RoundOpened](t, s, openRound(testRound("c", 2, 1), []uint64{2}, []uint64{1}))
	if got := counts(t, s).Quota; got != 3 {
		t.Fatalf("the quotas sum to %d of 3 requested", got)
	}
	// With both in one entry, each sees the one before (C10).
	s = prepared(t, 3, 2, 2)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 3), nil, []uint64{1}))
	answer[Refused](t, s, extension(1, 2), second)
}

// V3: a late extension after a round was superseded; and a resent, older one
// (C2, C3).
func TestTraceLateExtension(t *testing.T) {
	s := prepared(t, 3, 2, 2)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 3), nil, []uint64{1}))
	answer[RoundOpened](t, s, openRound(testRound("c", 2, 2), []uint64{1}, []uint64{2}))
	answer[Committed](t, s, extension(1, 2))
	if r, _ := s.Round("c", 1); r.Components[0].Reserved != 1 || r.Components[0].Quota != 1 {
		t.Fatalf("a late extension reopened a superseded round: %+v", r.Components[0])
	}
	got := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 1, 1)))
	if got.Deliveries[0].Standing != (loop.Standing{Closed: 1}) || got.Samples != 0 {
		t.Fatalf("index 1 is above the cut, but stood %+v", got)
	}
	// What is below the cut stays owed.
	got = answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 1)))
	if got.Deliveries[0].Standing.Fresh != 1 {
		t.Fatalf("a superseded round is closed below its cut: %+v", got)
	}
	answer[Committed](t, s, extension(2, 1)) // older than the first reserve
	if r, _ := s.Round("c", 2); r.Components[0].Reserved != 2 {
		t.Fatalf("an older extension lowered reserved to %d", r.Components[0].Reserved)
	}
}

// V4: a resent commit must not revive a revoked sample (C1, I7).
func TestTraceRevokedSampleRevived(t *testing.T) {
	s := prepared(t, 1, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 1), nil, []uint64{1}))
	answer[Committed](t, s, spoiled(unit("c", 1, 0, 0, 0, 1)))
	commit := delivered(unit("c", 1, 0, 1, 0, 1))
	added := answer[Committed](t, s, commit)
	if added.Deliveries[0].Standing.Fresh != 1 {
		t.Fatalf("attempt 1: %+v", added)
	}
	for _, s := range []*State{s, restored(t, s)} {
		answer[Revoked](t, s, revoked(added.Samples, 0, sampleName(1, 0, 0, 1)))
		again := answer[Committed](t, s, commit)
		if again.Deliveries[0].Standing.Stale != 1 || counts(t, s).Committed != 0 {
			t.Fatalf("the revoked bytes count again: %+v", again)
		}
		if runs := s.OpenRuns("c", 1, loop.Train, 0, 0, 9); len(runs) != 1 || runs[0].Attempt != 2 {
			t.Fatalf("open after the revoke: %+v, want attempt 2", runs)
		}
	}
}

// V5: a resent revoke must not hit the good replacement (C13).
func TestTraceResentRevoke(t *testing.T) {
	s := prepared(t, 1, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 1), nil, []uint64{1}))
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 1)))
	revoke := revoked(added.Samples, 0, sampleName(1, 0, 0, 0))
	if got := answer[Revoked](t, s, revoke); len(got.Reopened) != 1 {
		t.Fatalf("%+v", got)
	}
	answer[Committed](t, s, delivered(unit("c", 1, 0, 1, 0, 1)))
	if got := answer[Revoked](t, s, revoke); len(got.Reopened) != 0 || got.Sequence != 0 {
		t.Fatalf("the resent revoke hit the replacement: %+v", got)
	}
	if c := counts(t, s); c.Committed != 1 || c.Replaced != 1 || visible(s, loop.SampleParts) != 1 {
		t.Fatalf("%+v", c)
	}
}

// V6c, as far as state goes without compaction: a revoke whose reference does
// not hold the row is refused, nothing of it takes effect (C13).
func TestTraceRevokeOfAnotherRow(t *testing.T) {
	s := prepared(t, 4, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 4), nil, []uint64{4}))
	first := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2)))
	// The second part's first two rows are duplicates, so void.
	second := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2), unit("c", 1, 0, 0, 2, 2)))
	if part, _ := s.Part(second.Samples); !slices.Equal(part.Void, []uint32{0, 1}) {
		t.Fatalf("void rows %v (C11)", part.Void)
	}
	outcomes := answer[Appended](t, s, post("k", "b", 3))
	for name, bad := range map[string]RevokedSample{
		"no such change":       {Reference: 99},
		"change 0":             {Reference: 0},
		"a change without":     {Reference: 1},
		"outcomes":             {Reference: outcomes.Posts[0].Sequence},
		"a row beyond":         {Reference: first.Samples, Row: 2},
		"a void row":           {Reference: second.Samples, Row: 1},
		"another sample's row": {Reference: first.Samples, Row: 0},
	} {
		t.Run(name, func(t *testing.T) {
			bad.Campaign, bad.Name = "c", sampleName(1, 0, 1, 0)
			good := RevokedSample{Campaign: "c", Name: sampleName(1, 0, 0, 0), Reference: first.Samples, Row: 0}
			refusedAs(t, s, Stale, Command{Revoke: &Revoke{Samples: []RevokedSample{good, bad}}})
		})
	}
	answer[Revoked](t, s, revoked(first.Samples, 1, sampleName(1, 0, 1, 0)))
	// The row that is void now holds nothing any more.
	answer[Committed](t, s, delivered(unit("c", 1, 0, 1, 1, 1)))
	refusedAs(t, s, Stale, revoked(first.Samples, 1, sampleName(1, 0, 1, 1)))
}

// V7: a publish that was evaluated before a revoke names revoked bytes, although
// the index is committed again (C26).
func TestTracePublishOfRevokedSample(t *testing.T) {
	s := prepared(t, 1, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 1), nil, []uint64{1}))
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 1)))
	publish := published(s, "c", 1, s.Sequence())
	revoke := answer[Revoked](t, s, revoked(added.Samples, 0, sampleName(1, 0, 0, 0)))
	refusedAs(t, s, Stale, publish) // the index is open
	answer[Committed](t, s, delivered(unit("c", 1, 0, 1, 0, 1)))
	refusedAs(t, s, Stale, publish) // the index is another sample
	refusedAs(t, restored(t, s), Stale, publish)
	answer[Published](t, s, published(s, "c", 1, revoke.Sequence))
}

// V8: a published version keeps its references when its samples are revoked
// (I8, C26), and gains an advisory (C13).
func TestTracePublishedVersionKeepsItsBytes(t *testing.T) {
	s := prepared(t, 2, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 2), nil, []uint64{2}))
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2)))
	publish := published(s, "c", 1, s.Sequence())
	answer[Published](t, s, publish)
	before, _ := s.Dataset("c", 1)
	got := answer[Revoked](t, s, revoked(added.Samples, 1, sampleName(1, 0, 1, 0)))
	if !slices.Equal(got.Advisories, []DatasetName{{"c", 1}}) {
		t.Fatalf("advisories %v", got.Advisories)
	}
	answer[EpochRaised](t, s, Command{RaiseEpoch: &RaiseEpoch{Closes: 1}})
	for _, s := range []*State{s, restored(t, s)} {
		for _, key := range append([]string{publish.Publish.Manifest.Key, publish.Publish.Addresses.Key}, publish.Publish.Packs...) {
			if !s.References(key) {
				t.Errorf("%s is not referenced", key)
			}
		}
		v, ok := s.Dataset("c", 0)
		if !ok || len(v.Advisory) != 1 || !v.Advisory[0].Indices.Equal(IndicesOf(1)) || v.Samples != 2 {
			t.Fatalf("%+v", v)
		}
	}
	if len(before.Advisory) != 0 {
		t.Fatal("a value that a reader holds has changed")
	}
	if got := answer[Published](t, s, publish); !got.Duplicate {
		t.Fatalf("a resent publish: %+v", got)
	}
}

// V9a: a resent commit, with the same bytes, must not void the first one's rows;
// V9b: two jobs' equal rows, one digest, both count (C20, C22).
func TestTraceReferencesByDigest(t *testing.T) {
	s := prepared(t, 2, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 2), nil, []uint64{2}))
	commit := delivered(unit("c", 1, 0, 0, 0, 2))
	answer[Committed](t, s, commit)
	again := answer[Committed](t, s, commit)
	if again.Samples != 0 || again.Deliveries[0].Standing.Duplicate != 2 || again.Deliveries[0].Duplicates.Count() != 2 {
		t.Fatalf("%+v", again)
	}
	if n := visible(s, loop.SampleParts); n != 2 {
		t.Fatalf("a view shows %d rows of 2 (I2)", n)
	}
	one, two := post("job 1", "rows", 5), post("job 2", "rows", 5)
	two.Append.Part = one.Append.Part
	first, second := answer[Appended](t, s, one).Posts[0], answer[Appended](t, s, two).Posts[0]
	if first.Accepted != 5 || second.Accepted != 5 || first.Sequence == second.Sequence {
		t.Fatalf("%+v %+v", first, second)
	}
	if n := visible(s, loop.OutcomeParts); n != 10 {
		t.Fatalf("a view shows %d rows of 10", n)
	}
}

// V10a: our own resend of a post is recognised; V10b: one key, two bodies; V10c:
// a key lives through at least `size` newer ones (C21, C22).
func TestTraceIdempotencyKeys(t *testing.T) {
	const size = 4
	s := prepared(t, 1, 1, 3)
	first := post("a", "body", 3)
	sequence := answer[Appended](t, s, first).Posts[0].Sequence
	if got := answer[Appended](t, s, first).Posts[0]; got.DuplicateOf != sequence || got.Accepted != 0 {
		t.Fatalf("resent: %+v", got)
	}
	got := answer[Appended](t, s, post("a", "other body", 3)).Posts[0]
	if got.Refused == nil || got.Refused.Reason != Invalid || got.Accepted != 0 || got.DuplicateOf != 0 {
		t.Fatalf("another body under the key: %+v", got)
	}
	if v, _ := s.Model("net", "1"); v.Rows != 3 || visible(s, loop.OutcomeParts) != 3 {
		t.Fatalf("%d rows of 3", v.Rows)
	}
	for i := range size {
		answer[Appended](t, s, post(string(rune('b'+i)), "body", 1))
		s = restored(t, s)
		if got := answer[Appended](t, s, first).Posts[0]; got.DuplicateOf != sequence {
			t.Fatalf("forgotten after %d newer keys: %+v", i+1, got)
		}
	}
	// Beyond two generations it is forgotten: the documented bound.
	for i := range size {
		answer[Appended](t, s, post(string(rune('m'+i)), "body", 1))
	}
	if got := answer[Appended](t, s, first).Posts[0]; got.Accepted != 3 {
		t.Fatalf("still remembered after two generations: %+v", got)
	}
}

// V12: an index that a revoke brought to max_attempts is open, not stuck and not
// abandoned; the next rejection abandons it (C4, C13).
func TestTraceAttemptsAfterRevoke(t *testing.T) {
	s := prepared(t, 1, 1, 2)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 1), nil, []uint64{1}))
	answer[Committed](t, s, spoiled(unit("c", 1, 0, 0, 0, 1)))
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 1, 0, 1)))
	if c, _ := s.Campaign("c"); c.State != Done {
		t.Fatalf("%s, want done", c.State)
	}
	answer[Revoked](t, s, revoked(added.Samples, 0, sampleName(1, 0, 0, 1)))
	if c, _ := s.Campaign("c"); c.State != Running || c.Total.Abandoned != 0 {
		t.Fatalf("after the revoke: %s %+v", c.State, c.Total)
	}
	runs := s.OpenRuns("c", 1, loop.Train, 0, 0, 9)
	if len(runs) != 1 || runs[0] != unit("c", 1, 0, 2, 0, 1) {
		t.Fatalf("open: %+v", runs)
	}
	other := restored(t, s)
	answer[Committed](t, other, delivered(runs[0]))
	if c, _ := other.Campaign("c"); c.State != Done {
		t.Fatalf("made again: %s", c.State)
	}
	answer[Committed](t, s, spoiled(runs[0]))
	c, _ := s.Campaign("c")
	if c.State != DoneShort || c.Total.Abandoned != 1 || c.Total.Rejected != 2 {
		t.Fatalf("after the next rejection: %s %+v", c.State, c.Total)
	}
	a := c.Abandoned
	if len(a) != 1 || a[0].Gate != "blank" || a[0].Reason != "one colour" || a[0].Round != 1 || !a[0].Indices.Equal(IndicesOf(0)) {
		t.Fatalf("what was abandoned, and why: %+v", a)
	}
}
