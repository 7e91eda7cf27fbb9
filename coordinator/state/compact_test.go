package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hone/loop"
)

// compacting names parts of samples as they stand, and an object with their rows.
func compacting(s *State, name string, references ...uint64) Command {
	c := &Compact{}
	rows := 0
	for _, reference := range references {
		part, _ := s.Part(reference)
		void := make([]uint64, len(part.Void))
		for i, row := range part.Void {
			void[i] = uint64(row)
		}
		c.Inputs = append(c.Inputs, Compacting{Reference: reference, Void: IndicesOf(void...)})
		rows += int(part.Object.Rows) - len(part.Void)
	}
	c.Part = object("parts", int(s.Epoch()), name, rows)
	return Command{Compact: c}
}

// twoParts is a state whose samples 0..1 and 2..3 are committed by two parts.
func twoParts(t testing.TB) (s *State, first, second uint64) {
	t.Helper()
	s = prepared(t, 6, 1, 3)
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 6), nil, []uint64{6}))
	first = answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 2))).Samples
	answer[Appended](t, s, post("k", "b", 3))
	second = answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 2, 2))).Samples
	return s, first, second
}

// C21: the parts go, with what took rows out of them, and one stands in their place,
// also after a snapshot; what they were made of is garbage then, and a view that lacks
// what is gone is told from where on it is whole.
func TestCompact(t *testing.T) {
	s, first, second := twoParts(t)
	gone, _ := s.Part(first)
	answer[Revoked](t, s, revoked(first, 1, sampleName(1, 0, 1, 0)))
	c := compacting(s, "merged", first, second)
	got := answer[Compacted](t, s, c)
	if got.Sequence != s.Sequence() || got.Duplicate {
		t.Fatalf("%+v", got)
	}
	for _, s := range []*State{s, restored(t, s)} {
		for _, reference := range []uint64{first, second, first + 1, second + 1} {
			if part, ok := s.Part(reference); ok && part.Kind == loop.SampleParts {
				t.Errorf("change %d is still there: %+v", reference, part)
			}
		}
		if s.References(gone.Object.Key) || !s.References(c.Compact.Part.Key) {
			t.Error("what is referenced is not what is in the catalogue")
		}
		part, ok := s.Part(got.Sequence)
		if !ok || part.Object.Rows != 3 || len(part.Void) != 0 || part.Space != "lab" || part.Kind != loop.SampleParts {
			t.Errorf("%+v", part)
		}
		changes := s.Changes(0, 100)
		last := changes[len(changes)-1]
		if last.Sequence != s.Sequence() || last.Replace == nil || last.Replace.First != first || last.Replace.Last != second {
			t.Errorf("%+v", last)
		}
		for i, c := range changes {
			gap := i > 0 && c.Sequence != changes[i-1].Sequence+1
			if gap != (c.Whole == got.Sequence) || !gap && c.Whole != 0 {
				t.Errorf("change %d, behind a gap: %v, is whole from %d", c.Sequence, gap, c.Whole)
			}
		}
		if c := s.Changes(got.Sequence-1, 9); len(c) != 1 || c[0].Whole != 0 {
			t.Errorf("who has all but the last: %+v", c)
		}
		if c := s.Changes(first, 1); len(c) != 1 || c[0].Sequence != first+1 || c[0].Whole != 0 {
			t.Errorf("who has the first: %+v", c)
		}
		// Sent again, it is there; and a row of the new part can be revoked.
		if again := answer[Compacted](t, s, c); again.Sequence != got.Sequence || !again.Duplicate {
			t.Errorf("%+v", again)
		}
		answer[Revoked](t, s, revoked(got.Sequence, 0, sampleName(1, 0, 0, 0)))
	}
}

func TestCompactRefused(t *testing.T) {
	s, first, second := twoParts(t)
	third := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 4, 2))).Samples
	outcomes := uint64(0)
	for _, c := range s.Changes(0, 100) {
		if c.Part != nil && c.Part.Kind == loop.OutcomeParts {
			outcomes = c.Sequence
		}
	}
	for name, x := range map[string]struct {
		change func(*Compact)
		want   Reason
	}{
		"one part":        {func(c *Compact) { c.Inputs, c.Part.Rows = c.Inputs[:1], 2 }, Invalid},
		"none":            {func(c *Compact) { c.Inputs = nil }, Invalid},
		"no part":         {func(c *Compact) { c.Inputs[0].Reference = 1 }, Invalid},
		"not there":       {func(c *Compact) { c.Inputs[1].Reference = 99 }, Stale},
		"another kind":    {func(c *Compact) { c.Inputs[1].Reference = outcomes }, Invalid},
		"one left out":    {func(c *Compact) { c.Inputs[1].Reference = third }, Invalid},
		"the wrong way":   {func(c *Compact) { slices.Reverse(c.Inputs) }, Invalid},
		"one twice":       {func(c *Compact) { c.Inputs[1] = c.Inputs[0] }, Invalid},
		"other rows":      {func(c *Compact) { c.Part.Rows++ }, Invalid},
		"void rows":       {func(c *Compact) { c.Inputs[0].Void = IndicesOf(1); c.Part.Rows-- }, Stale},
		"a later epoch":   {func(c *Compact) { c.Part = object("parts", 2, "m", 4) }, Invalid},
		"no final object": {func(c *Compact) { c.Part.Key = "parts/1" }, Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			c := compacting(s, "merged", first, second)
			x.change(c.Compact)
			refusedAs(t, s, x.want, c)
		})
	}
	c := compacting(s, "merged", first, second)
	answer[EpochRaised](t, s, Command{RaiseEpoch: &RaiseEpoch{Closes: 1}})
	refusedAs(t, s, EpochClosed, c)
}

// V6a: a resent compact must not double rows; V6b: one that raced with a revoke must
// not bring the row back; V6c: a revoke that raced with it is refused, and looks again.
func TestTraceCompact(t *testing.T) {
	s, first, second := twoParts(t)
	compact, revoke := compacting(s, "merged", first, second), revoked(first, 1, sampleName(1, 0, 1, 0))
	other := restored(t, s)
	answer[Revoked](t, other, revoke)
	refusedAs(t, other, Stale, compact)
	answer[Compacted](t, other, compacting(other, "without", first, second))

	sequence := answer[Compacted](t, s, compact).Sequence
	if again := answer[Compacted](t, s, compact); !again.Duplicate || visible(s, loop.SampleParts) != 4 {
		t.Fatalf("%+v, %d rows", again, visible(s, loop.SampleParts))
	}
	refusedAs(t, s, Stale, revoke)
	answer[Revoked](t, s, revoked(sequence, 1, sampleName(1, 0, 1, 0)))
	if n := visible(s, loop.SampleParts); n != 3 {
		t.Fatalf("%d rows", n)
	}
}

// row is a sample in a part: where its bytes lie, and the change that it came in by.
type row struct {
	name     loop.Name
	pack     string
	sequence uint64
}

// tail is a view in small: it applies changes in order, and holds rows by the
// reference that they are told by.
type tail struct {
	at, whole uint64
	rows      map[uint64]map[int]row
}

func (v *tail) apply(c *loop.Change, shelf map[string][]row) (missing bool) {
	if c.Sequence != v.at+1 {
		if c.Whole == 0 {
			panic("a gap, and nobody says from where on it is closed")
		}
		v.whole = max(v.whole, c.Whole)
	}
	part := partOf(c)
	if c.Replace != nil {
		for reference, rows := range v.rows {
			for i, r := range rows {
				if r.sequence >= c.Replace.First && r.sequence <= c.Replace.Last {
					delete(rows, i)
				}
			}
			if len(rows) == 0 {
				delete(v.rows, reference)
			}
		}
	}
	if part != nil && part.Kind == loop.SampleParts {
		rows, ok := shelf[part.Object.Key]
		if !ok {
			return true
		}
		v.rows[c.Sequence] = map[int]row{}
		for i, r := range rows {
			if !slices.Contains(part.Void, uint32(i)) {
				if r.sequence == 0 {
					r.sequence = c.Sequence
				}
				v.rows[c.Sequence][i] = r
			}
		}
	}
	if c.Void != nil {
		for _, i := range c.Void.Rows {
			delete(v.rows[c.Void.Reference], int(i))
		}
	}
	v.at = c.Sequence
	return false
}

func (v *tail) names() (names []string) {
	for _, rows := range v.rows {
		for _, r := range rows {
			names = append(names, r.name.Key())
		}
	}
	slices.Sort(names)
	return names
}

// yard is a state, a lake, views that follow at their own pace, and commands and
// deletions that may arrive at any time, any number of times, or never: the model of
// the lake by which the contract was checked, with folding left out (C11, C13, C18,
// C20, C21).
type yard struct {
	s       *State
	shelf   map[string][]row // parts
	packs   map[string]bool
	flight  []Command
	deletes []string
	views   []*tail
	puts    int
	// counted are the names that counted when the catalogue ended at a sequence.
	counted map[uint64][]string
}

func (y *yard) epoch(t *rapid.T) uint64 {
	return uint64(rapid.IntRange(1, int(y.s.Epoch())).Draw(t, "epoch")) // a slow proposer's
}

func (y *yard) put(kind string, epoch uint64, rows int) loop.Object {
	y.puts++
	return object(kind, int(epoch), fmt.Sprint(kind, y.puts), rows)
}

func (y *yard) commit(t *rapid.T) {
	index := rapid.IntRange(0, 5).Draw(t, "index")
	u := unit("c", 1, 0, rapid.IntRange(0, 2).Draw(t, "attempt"), index, rapid.IntRange(1, 6-index).Draw(t, "count"))
	epoch := y.epoch(t)
	c := delivered(u)
	pack, part := y.put("packs", epoch, u.Count), y.put("parts", epoch, u.Count)
	c.Commit.Packs, c.Commit.Samples = []loop.Object{pack}, &part
	y.packs[pack.Key] = true
	for i := range u.Count {
		y.shelf[part.Key] = append(y.shelf[part.Key], row{name: u.Name(i), pack: pack.Key})
	}
	y.flight = append(y.flight, c)
}

func (y *yard) compact(t *rapid.T) {
	parts := y.s.Parts(loop.SampleParts, "lab")
	if len(parts) == 0 {
		return
	}
	first := rapid.IntRange(0, len(parts)-1).Draw(t, "first")
	parts = parts[first:rapid.IntRange(first+1, len(parts)).Draw(t, "last")]
	var merged []row
	var references []uint64
	for _, p := range parts {
		references = append(references, p.Reference)
		for i, r := range y.shelf[p.Part.Object.Key] {
			if !slices.Contains(p.Part.Void, uint32(i)) {
				if r.sequence == 0 {
					r.sequence = p.Reference
				}
				merged = append(merged, r)
			}
		}
	}
	if len(merged) == 0 {
		return
	}
	c := compacting(y.s, "", references...)
	c.Compact.Part = y.put("parts", y.epoch(t), len(merged))
	y.shelf[c.Compact.Part.Key] = merged
	y.flight = append(y.flight, c)
}

func (y *yard) revoke(t *rapid.T) {
	parts := y.s.Parts(loop.SampleParts, "lab")
	if len(parts) == 0 {
		return
	}
	p := rapid.SampledFrom(parts).Draw(t, "part")
	rows := y.shelf[p.Part.Object.Key]
	i := rapid.IntRange(0, len(rows)-1).Draw(t, "row")
	if !slices.Contains(p.Part.Void, uint32(i)) {
		y.flight = append(y.flight, revoked(p.Reference, uint32(i), rows[i].name))
	}
}

// garbage is what a collector reads now.
func (y *yard) garbage() {
	kept := map[string]bool{}
	for key := range y.s.Referenced() {
		kept[key] = true
	}
	for _, part := range y.s.SampleParts() {
		for _, r := range y.shelf[part] {
			kept[r.pack] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(y.packs)) {
		y.condemn(key, kept)
	}
	for _, key := range slices.Sorted(maps.Keys(y.shelf)) {
		y.condemn(key, kept)
	}
}

func (y *yard) condemn(key string, kept map[string]bool) {
	var kind string
	var epoch uint64
	if _, err := fmt.Sscanf(key, "%5s/%d/", &kind, &epoch); err != nil {
		panic(err)
	}
	if epoch < y.s.Epoch() && !kept[key] {
		y.deletes = append(y.deletes, key)
	}
}

func (y *yard) check(t *rapid.T) {
	var counted []string
	for i := range 6 {
		for attempt := range 20 {
			if n := sampleName(1, 0, i, attempt); y.s.Judge("c", n) == JudgedDuplicate {
				counted = append(counted, n.Key())
			}
		}
	}
	slices.Sort(counted)
	y.counted[y.s.Sequence()] = counted
	for _, part := range y.s.SampleParts() {
		rows, ok := y.shelf[part]
		if !ok {
			t.Fatalf("%s is referenced, and gone (I1)", part)
		}
		for _, r := range rows {
			if !y.packs[r.pack] {
				t.Fatalf("%s, with the bytes of %s, is gone (I1)", r.pack, r.name.Key())
			}
		}
	}
	for _, v := range append(y.views, y.follow(&tail{rows: map[uint64]map[int]row{}}, 1<<20)) {
		if v.whole > y.s.Sequence() {
			t.Fatalf("a view is to be whole only from %d on", v.whole)
		}
		if want, ok := y.counted[v.at]; ok && v.at >= v.whole {
			if got := v.names(); !slices.Equal(got, want) {
				t.Fatalf("a view at %d shows\n%v, state counted\n%v (C20)", v.at, got, want)
			}
		}
	}
}

// follow applies up to so many changes; a view that lacks an object begins anew.
func (y *yard) follow(v *tail, limit int) *tail {
	for _, c := range y.s.Changes(v.at, limit) {
		if v.apply(&c, y.shelf) {
			*v = tail{rows: map[uint64]map[int]row{}}
			break
		}
	}
	return v
}

func TestYard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := &yard{s: newSized("cluster", 4), shelf: map[string][]row{}, packs: map[string]bool{}, counted: map[uint64][]string{},
			views: []*tail{{rows: map[uint64]map[int]row{}}, {rows: map[uint64]map[int]row{}}}}
		campaign := testCampaign("c", 6, 1)
		campaign.MaxAttempts = 20
		for _, c := range append(preparation(campaign), openRound(testRound("c", 1, 6), nil, []uint64{6})) {
			if r, ok := y.s.Apply(Entry{Commands: []Command{c}})[0].(Refused); ok {
				t.Fatal(r)
			}
		}
		arrive := func(t *rapid.T) {
			if len(y.flight) > 0 {
				i := rapid.IntRange(0, len(y.flight)-1).Draw(t, "which")
				y.s.Apply(Entry{Commands: []Command{y.flight[i]}})
				if rapid.IntRange(0, 3).Draw(t, "again") > 0 {
					y.flight = slices.Delete(y.flight, i, i+1)
				}
			}
		}
		actions := map[string]func(*rapid.T){
			"commit": y.commit, "compact": y.compact, "revoke": y.revoke, "arrive": arrive,
			"raise":   func(*rapid.T) { y.flight = append(y.flight, Command{RaiseEpoch: &RaiseEpoch{Closes: y.s.Epoch()}}) },
			"collect": func(*rapid.T) { y.garbage() },
			"delete": func(t *rapid.T) {
				if len(y.deletes) > 0 {
					key := rapid.SampledFrom(y.deletes).Draw(t, "key")
					delete(y.packs, key)
					delete(y.shelf, key)
				}
			},
			"follow": func(t *rapid.T) {
				y.follow(rapid.SampledFrom(y.views).Draw(t, "view"), rapid.IntRange(1, 5).Draw(t, "changes"))
			},
			"restore": func(t *rapid.T) {
				digest := y.s.Digest()
				if y.s = restored(t, y.s); y.s.Digest() != digest {
					t.Fatal("a snapshot is not what it is of (I6)")
				}
			},
		}
		often := strings.Fields("commit commit compact compact compact revoke arrive arrive arrive arrive arrive raise collect delete follow follow restore")
		for range 120 {
			action := rapid.SampledFrom(often).Draw(t, "action")
			actions[action](t)
			y.check(t)
		}
	})
}
