package state

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"hone/loop"
)

// populated is a state with something of everything in it.
func populated(t testing.TB) *State {
	t.Helper()
	s := prepared(t, 600, 2, 2)
	first := openRound(testRound("c", 1, 200, 100), nil, []uint64{200, 100})
	answer[RoundOpened](t, s, first)
	answer[GeneratorRegistered](t, s, Command{RegisterGenerator: &RegisterGenerator{loop.Generator{Name: "shapes", Version: "1"}}})
	added := answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 0, 150), unit("c", 1, 1, 0, 0, 50)))
	answer[Committed](t, s, spoiled(unit("c", 1, 0, 0, 150, 20)))
	answer[Committed](t, s, spoiled(unit("c", 1, 0, 1, 150, 3)))
	answer[Committed](t, s, delivered(unit("c", 1, 0, 0, 140, 20)))
	for i := range 7 {
		answer[Appended](t, s, post(fmt.Sprint("key ", i), "body", 2))
	}
	answer[ModelSealed](t, s, Command{SealModel: &SealModel{Line: "net", Version: "1", Rows: 14}})
	other := post("key", "body", 2)
	other.Append.Posts[0].Post.Version = "2"
	answer[Appended](t, s, other)
	answer[Published](t, s, published(s, "c", 1, s.Sequence()))
	answer[Revoked](t, s, revoked(added.Samples, 7, sampleName(1, 0, 7, 0)))
	answer[Published](t, s, published(s, "c", 2, s.Sequence()))
	answer[RoundOpened](t, s, openRound(testRound("c", 2, 300), []uint64{200, 100}, []uint64{10}))
	answer[Published](t, s, importOf("photos", 0, "x", 3, 2))
	answer[NodeRegistered](t, s, Command{RegisterNode: &RegisterNode{Node{Name: "n1", Instance: "a", URL: "http://one", Address: "one:1", Version: 1, Build: "v1"}}})
	answer[EpochRaised](t, s, Command{RaiseEpoch: &RaiseEpoch{Closes: 1}})
	return s
}

func snapshotOf(t testing.TB, s *State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Snapshot().Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// C23: all getters answer alike after a snapshot and back.
func TestRestoreKeepsEverything(t *testing.T) {
	s := populated(t)
	r := restored(t, s)
	read := func(s *State) string {
		out := fmt.Sprint(s.Cluster(), s.Time(), s.Epoch(), s.Sequence(), s.Generators(), s.ModelLines(), s.Datasets())
		for _, v := range append(s.Spaces()[:1:1], SpaceVersion{Space: &loop.Space{}}) {
			out += fmt.Sprintf("%+v", *v.Space) + v.Document + fmt.Sprint(v.At)
		}
		p := s.Policies()[0]
		out += fmt.Sprintf("%+v", *p.Policy) + p.Document + fmt.Sprint(p.At, p.Canary)
		for _, c := range s.Campaigns() {
			out += fmt.Sprintf("%+v", *c.Campaign)
			for _, a := range c.Abandoned {
				out += a.Gate + a.Reason + fmt.Sprint(slices.Collect(a.Indices.All()))
			}
			c.Campaign, c.Abandoned = nil, nil
			out += fmt.Sprintf("%+v", c)
		}
		for _, v := range s.Rounds("c") {
			out += string(v.Decided.Round.Canonical()) + fmt.Sprint(v.At, v.Sequence, v.Components, v.Terminal, v.Total)
			for _, k := range v.Components {
				out += fmt.Sprint(s.OpenRuns("c", v.Decided.Round.Number, k.Domain, k.Component, 0, 1000))
			}
		}
		photos, _ := s.Dataset("photos", 0)
		out += fmt.Sprint(*photos.Import)
		for _, v := range append(s.DatasetVersions("c"), photos) {
			for _, x := range append(v.Selection, v.Advisory...) {
				out += fmt.Sprint(x.Round, x.Domain, x.Component, slices.Collect(x.Indices.All()))
			}
			v.Selection, v.Advisory, v.Import = nil, nil, nil
			out += fmt.Sprintf("%+v", v)
		}
		for _, c := range s.Changes(0, 1000) {
			out += fmt.Sprint(c.Sequence, c.At, c.Space != nil, c.Round != nil, c.Part, c.Void)
			part, ok := s.Part(c.Sequence)
			out += fmt.Sprint(part, ok)
		}
		return out
	}
	if a, b := read(s), read(r); a != b {
		t.Errorf("before\n%s\nafter\n%s", a, b)
	}
	// The change and the space are one value, not two.
	if v, _ := r.Space("lab", 1); r.Changes(0, 1)[0].Space != v.Space {
		t.Error("the catalogue holds another copy of the space")
	}
}

func TestRestoreRefuses(t *testing.T) {
	good := snapshotOf(t, populated(t))
	if _, err := Restore(bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	newer := slices.Clone(good)
	newer[len(snapshotMagic)] = LatestVersion + 1
	var version *VersionError
	if _, err := Restore(bytes.NewReader(newer)); !errors.As(err, &version) || version.Got != LatestVersion+1 || version.Known != LatestVersion || version.What != "snapshot" {
		t.Errorf("a newer snapshot: %v (C25)", err)
	}
	for n := 0; n < len(good); n += 1 + n/50 {
		if _, err := Restore(bytes.NewReader(good[:n])); err == nil {
			t.Errorf("a snapshot cut to %d of %d bytes is taken", n, len(good))
		}
	}
	if _, err := Restore(bytes.NewReader(append(slices.Clone(good), 0))); err == nil {
		t.Error("a byte after the end is taken")
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := Restore(bytes.NewReader(bad)); err == nil {
			t.Errorf("a flipped bit in byte %d of %d is not noticed", i, len(good))
		}
	}
}

// I6: equal sets have equal encodings, however they came to be.
func TestIndicesEncodeCanonically(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]uint64 {
			first := rapid.Uint64Range(0, 1<<18).Draw(t, "first")
			return [2]uint64{first, first + rapid.SampledFrom([]uint64{1, 2, 3, 5000, 70000}).Draw(t, "length")}
		}), 0, 40).Draw(t, "runs")
		ranges, singles := roaring.New(), roaring.New()
		for _, r := range runs {
			ranges.AddRange(r[0], r[1])
		}
		ranges.RunOptimize()
		values := ranges.ToArray()
		r := rand.New(rand.NewPCG(1, 2))
		r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		for _, v := range values {
			singles.Add(v)
			singles.Add(v ^ 1)
			if !ranges.Contains(v ^ 1) {
				singles.Remove(v ^ 1)
			}
		}
		all := roaring.New()
		all.AddRange(0, 1<<19)
		inverse := roaring.AndNot(all, ranges)
		all.AndNot(inverse)
		want, err := Indices{setOf(ranges)}.MarshalCBOR()
		if err != nil {
			t.Fatal(err)
		}
		var back Indices
		if err := back.UnmarshalCBOR(want); err != nil || !back.Equal(Indices{setOf(ranges)}) {
			t.Fatalf("%v", err)
		}
		for name, x := range map[string]set{"singles": setOf(singles), "inverse": setOf(all), "decoded": back.set} {
			got, err := Indices{x}.MarshalCBOR()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: %d bytes, want %d: %v", name, len(got), len(want), err)
			}
		}
	})
}

// C23: Apply goes on while a snapshot is encoded; run with -race.
func TestApplyDuringEncode(t *testing.T) {
	s := populated(t)
	var wait sync.WaitGroup
	for i := range 20 {
		frozen, digest := s.Snapshot(), s.Digest()
		wait.Go(func() {
			var b bytes.Buffer
			if err := frozen.Encode(&b); err != nil {
				t.Error(err)
			}
			r, err := Restore(&b)
			if err != nil {
				t.Error(err)
			} else if r.Digest() != digest {
				t.Error("the snapshot is of another moment")
			}
		})
		c := delivered(unit("c", 2, 0, 0, i, 1))
		c.Commit.Samples, c.Commit.Packs = objectAt("parts", 2, fmt.Sprint("late", i), 1), nil
		c.Commit.Extensions = []Extension{{"c", 2, loop.Train, 0, uint64(20 + i)}}
		added := answer[Committed](t, s, c)
		answer[Revoked](t, s, revoked(added.Samples, 0, sampleName(2, 0, i, 0)))
		p := post(fmt.Sprint("late ", i), "body", 1)
		p.Append.Part, p.Append.Posts[0].Post.Version = object("parts", 2, fmt.Sprint("late posts", i), 1), "2"
		answer[Appended](t, s, p)
		space := testSpace("lab")
		space.Owner = fmt.Sprint(i)
		answer[SpacePut](t, s, Command{PutSpace: &PutSpace{Space: space}})
	}
	wait.Wait()
}

func TestEntryVersion(t *testing.T) {
	e := Entry{At: 5, Commands: []Command{{RaiseEpoch: &RaiseEpoch{Closes: 1}}}}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	newer := slices.Clone(b)
	newer[0] = LatestVersion + 1
	var version *VersionError
	if _, err := DecodeEntry(newer); !errors.As(err, &version) || version.What != "entry" || version.Got != LatestVersion+1 {
		t.Errorf("a newer entry: %v (C25)", err)
	}
	field := must(encoding.Marshal(map[int]any{1: 5, 2: []any{map[int]any{11: map[int]any{1: 1, 2: "new"}}}}))
	two := must(encoding.Marshal(map[int]any{1: 5, 2: []any{map[int]any{11: map[int]any{1: 1}, 10: map[int]any{1: nil}}}}))
	for name, bad := range map[string][]byte{"nothing": nil, "half": b[:len(b)-1], "trailing": append(slices.Clone(b), 0),
		"an unknown field": append([]byte{FirstVersion}, field...), "two kinds": append([]byte{FirstVersion}, two...)} {
		if _, err := DecodeEntry(bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	var nan Entry
	nan.Commands = []Command{{PutPolicy: &PutPolicy{Policy: loop.Policy{Name: "plain", Floor: zero / zero}}}}
	if _, err := nan.Encode(); err == nil {
		t.Error("what is not a number is encoded")
	}
	s := New("cluster")
	if r, ok := s.Apply(nan)[0].(Refused); !ok || r.Reason != Invalid {
		t.Error("what is not a number is put")
	}
}

var zero float64

// One byte of a snapshot or entry changed, everywhere, with a checksum that
// holds: it is refused, or makes a state that goes on. Blind fuzzing seldom gets
// past the decoder; this does.
func TestChangedBytes(t *testing.T) {
	snapshot := snapshotOf(t, populated(t))
	var entries [][]byte
	for _, commands := range [][]Command{
		{openRound(testRound("c", 2, 300), []uint64{200, 100}, []uint64{3}), delivered(unit("c", 1, 0, 0, 0, 2)), delivered(unit("c", 2, 0, 0, 0, 2)),
			spoiled(unit("c", 1, 0, 0, 170, 5)), extension(1, 3)},
		{post("k", "b", 3), {SealModel: &SealModel{"net", "1", 3}}},
		{revoked(3, 9, sampleName(1, 0, 9, 0)), revoked(6, 17, sampleName(1, 0, 157, 1))},
		{published(populated(t), "c", 3, 9)},
	} {
		e := Entry{At: 9, Commands: commands}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, b)
	}
	r := rand.New(rand.NewPCG(3, 4))
	taken := 0
	for i := r.IntN(3); i < len(snapshot)-sha256.Size; i += 3 {
		b := slices.Clone(snapshot[:len(snapshot)-sha256.Size])
		b[i] = byte(r.Uint32())
		sum := sha256.Sum256(b)
		s, err := Restore(bytes.NewReader(append(b, sum[:]...)))
		if err != nil {
			continue
		}
		taken++
		s.Campaigns()
		s.Rounds("c")
		for _, b := range entries {
			e, err := DecodeEntry(b)
			if err != nil {
				t.Fatal(err)
			}
			s.Apply(e)
		}
		restored(t, s)
	}
	if taken == 0 {
		t.Error("no changed snapshot was taken, so that nothing was tried")
	}
	for _, entry := range entries {
		for i := range entry {
			b := slices.Clone(entry)
			b[i] = byte(r.Uint32())
			e, err := DecodeEntry(b)
			if err != nil {
				continue
			}
			s, err := Restore(bytes.NewReader(snapshot))
			if err != nil {
				t.Fatal(err)
			}
			s.Apply(e)
			restored(t, s)
		}
	}
}

// seeds are entries and snapshots that say something.
func seeds(f *testing.F) (entries, snapshots [][]byte) {
	for _, commands := range [][]Command{
		preparation(testCampaign("c", 3, 1)),
		{openRound(testRound("c", 1, 3), nil, []uint64{3}), delivered(unit("c", 1, 0, 0, 0, 2)), spoiled(unit("c", 1, 0, 0, 2, 1)), extension(1, 3)},
		{post("k", "b", 3), {SealModel: &SealModel{"net", "1", 3}}, {RaiseEpoch: &RaiseEpoch{1}}},
		{{RegisterNode: &RegisterNode{Node{Name: "n1", Instance: "a", Version: 2}}}, raise(2), revoked(3, 0, sampleName(1, 0, 0, 0)), {RegisterGenerator: &RegisterGenerator{loop.Generator{Name: "g", Version: "1"}}}},
		{published(populated(f), "c", 3, 9)},
	} {
		e := Entry{At: 9, Commands: commands}
		b, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		entries = append(entries, b)
	}
	raised, scattered := populated(f), prepared(f, 1<<20, 1, 3)
	raised.version = LatestVersion
	answer[RoundOpened](f, scattered, openRound(testRound("c", 1, 1<<20), nil, []uint64{1 << 17}))
	for i := range 1 << 14 {
		scattered.component("c", 1, loop.Train, 0).commit(uint64(i * i % 131071))
	}
	for _, s := range []*State{New("cluster"), prepared(f, 3, 1, 1), populated(f), raised, scattered} {
		snapshots = append(snapshots, snapshotOf(f, s))
	}
	return entries, snapshots
}

// Whatever decodes encodes to a fixed point, and Apply takes it without a panic,
// on a state that has something of everything.
func FuzzEntry(f *testing.F) {
	entries, _ := seeds(f)
	for _, b := range entries {
		f.Add(b)
	}
	base := snapshotOf(f, populated(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		if err != nil {
			return
		}
		once, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeEntry(once)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x then %x: %v", once, twice, err)
		}
		s, err := Restore(bytes.NewReader(base))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(s.Apply(e)); n != len(e.Commands) {
			t.Fatalf("%d answers to %d commands", n, len(e.Commands))
		}
		restored(t, s)
	})
}

// Whatever restores is a state that goes on and snapshots again.
func FuzzSnapshot(f *testing.F) {
	_, snapshots := seeds(f)
	for _, b := range snapshots {
		f.Add(b[:len(b)-sha256.Size])
	}
	entries, _ := seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		s, err := Restore(io.MultiReader(bytes.NewReader(b), bytes.NewReader(sum[:])))
		if err != nil {
			return
		}
		restored(t, s)
		for _, c := range s.Campaigns() {
			s.Rounds(c.Campaign.Name)
		}
		for _, b := range entries {
			e, err := DecodeEntry(b)
			if err != nil {
				t.Fatal(err)
			}
			s.Apply(e)
		}
		restored(t, s)
	})
}

// A commit of 1,000 transitions, 20 units of 50, on a component of which 10^8
// are committed; judged, extended and referenced as the leader has it.
func BenchmarkCommit(b *testing.B) {
	const before = 100_000_000
	s := prepared(b, 1<<31, 1, 3)
	answer[RoundOpened](b, s, openRound(testRound("c", 1, 1<<31), nil, []uint64{before}))
	k := s.component("c", 1, loop.Train, 0)
	k.open, k.committed = k.committed, k.open
	b.ReportAllocs()
	next := before
	for b.Loop() {
		answer[Committed](b, s, extension(1, uint64(next+1000)))
		var units []loop.Unit
		for range 20 {
			units = append(units, unit("c", 1, 0, 0, next, 50))
			next += 50
		}
		if got := s.Apply(Entry{Commands: []Command{delivered(units...)}})[0].(Committed); got.Deliveries[19].Standing.Fresh != 50 {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/transition")
}
