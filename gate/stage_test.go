package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"hone/loop"
)

// shelf is a lake in memory: gate may not import lake.
type shelf struct {
	mu     sync.Mutex
	staged map[string][]byte
	packs  map[string][]byte
	// full makes puts fail from the n-th on.
	full, puts int
}

func newShelf() *shelf {
	return &shelf{staged: map[string][]byte{}, packs: map[string][]byte{}, full: -1}
}

func (s *shelf) OpenStaged(_ context.Context, worker, unitID, name string) (io.ReadCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.staged[worker+"/"+unitID+"/"+name]
	if !ok {
		return nil, 0, fmt.Errorf("shelf: %w", fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

var errFull = errors.New("no space left on device")

func (s *shelf) PutPack(ctx context.Context, epoch uint64, samples int64, write func(io.Writer) error) (loop.Object, error) {
	var b bytes.Buffer
	if err := errors.Join(write(&b), ctx.Err()); err != nil {
		return loop.Object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.puts++; s.full >= 0 && s.puts > s.full {
		return loop.Object{}, errFull
	}
	o := loop.Object{Digest: sha256.Sum256(b.Bytes()), Bytes: int64(b.Len()), Rows: samples}
	o.Key = fmt.Sprintf("packs/%d/%02x/%s.tar", epoch, o.Digest[0], hex.EncodeToString(o.Digest[:]))
	s.packs[o.Key] = b.Bytes()
	return o, nil
}

// world is a campaign's definition, with two training components and an
// evaluation one.
func world(t testing.TB) *loop.Definition {
	t.Helper()
	space := loop.Space{Name: "s", Version: 1, Factors: []loop.Factor{
		{Name: "light", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "low", Target: .25}, {Name: "day", Target: .75}}},
		{Name: "distance", Kind: loop.Numeric, Levels: []loop.Level{{Name: "near", Target: .5, High: 1}, {Name: "far", Target: .5, Low: 1, High: 9}}},
	}}
	if err := space.Validate(); err != nil {
		t.Fatal(err)
	}
	half, quarter := loop.Marginal{1 << 31, 1 << 32}, loop.Marginal{1 << 30, 1 << 32}
	return &loop.Definition{Campaign: "loop", Seed: 7, Generator: "shapes", Space: space, Round: loop.Round{
		Campaign: "loop", Number: 3, Seed: 7, SpaceVersion: 1, Base: []loop.Marginal{half, half}, Target: []loop.Marginal{quarter, half},
		Components: []loop.Component{
			{Domain: loop.Train, Number: 0, Over: loop.OverBase, Share: 3 << 30, Quota: 2000},
			{Domain: loop.Train, Number: 1, Over: loop.OverBase, Slice: loop.Slice{{Factor: 0, Level: 0}}, Share: 1 << 30, Quota: 1000},
			{Domain: loop.Evaluation, Number: 0, Over: loop.OverTarget, Quota: 500, Source: loop.SourceTarget},
		},
	}}
}

func lookupOf(d *loop.Definition, gates ...string) Lookup {
	return func(campaign string, round int) (*loop.Definition, []string, error) {
		if campaign != d.Campaign || round != d.Round.Number {
			return nil, nil, loop.NotFound("campaign", "there is no round %d of %s", round, campaign)
		}
		return d, gates, nil
	}
}

var both = []string{"format", "blank"}

// deliver stages a unit's bundle and describes it. content makes the members of
// the sample with that index.
func deliver(t testing.TB, s *shelf, u loop.Unit, content func(index uint64) []loop.Member) loop.Delivery {
	t.Helper()
	d := loop.Delivery{Worker: "w1", Unit: u, Generator: loop.Generator{Name: "shapes", Version: "1.2"}, Millis: int64(u.Count) * 3}
	var bundle []byte
	for i := range u.Count {
		name := u.Name(i)
		next, digest, err := loop.AppendSample(bundle, name.Key(), content(name.Index))
		if err != nil {
			t.Fatal(err)
		}
		d.Samples = append(d.Samples, loop.Staged{Index: name.Index, Digest: digest, Offset: int64(len(bundle)), Length: int64(len(next) - len(bundle))})
		bundle = next
	}
	s.staged["w1/"+u.ID()+"/"+loop.Bundle] = loop.AppendEnd(bundle)
	return d
}

// members makes a small picture that no other index has; those of blanks are
// of one colour.
func members(t testing.TB, blanks ...uint64) func(index uint64) []loop.Member {
	return func(index uint64) []loop.Member {
		img := gray(8, func(x, y int) float64 { return float64((uint64(x*8+y)*37+index*11)%251) / 255 })
		if slices.Contains(blanks, index) {
			img = gray(8, flat(.5))
		}
		return []loop.Member{{Ext: "image.png", Bytes: encode(t, img)}, {Ext: "label.json", Bytes: fmt.Appendf(nil, `{"index":%d}`, index)}}
	}
}

func unitOf(domain loop.Domain, component int, first uint64, count int) loop.Unit {
	return loop.Unit{Campaign: "loop", Domain: domain, Round: 3, Component: component, First: first, Count: count}
}

func judgeAll(t testing.TB, st *Stage, lookup Lookup, deliveries ...loop.Delivery) []loop.Judged {
	t.Helper()
	judged, err := st.Judge(context.Background(), lookup, 5, deliveries)
	if err != nil {
		t.Fatal(err)
	}
	if len(judged) != len(deliveries) {
		t.Fatalf("%d answers on %d deliveries", len(judged), len(deliveries))
	}
	for i := range judged {
		if !reflect.DeepEqual(judged[i].Delivery, deliveries[i]) {
			t.Errorf("answer %d is on another delivery", i)
		}
	}
	return judged
}

func TestJudge(t *testing.T) {
	s, d := newShelf(), world(t)
	st := New(Options{Lake: s})
	u := unitOf(loop.Train, 1, 100, 20)
	u.Attempt = 2
	delivery := deliver(t, s, u, members(t, 103, 119))
	j := judgeAll(t, st, lookupOf(d, both...), delivery)[0]
	if j.Err != nil {
		t.Fatal(j.Err)
	}
	if len(j.Verdicts) != 20 || len(j.Samples) != 18 || len(j.Rejected) != 2 || len(j.Packs) != 1 {
		t.Fatalf("%d verdicts, %d samples, %d rejected, %d packs", len(j.Verdicts), len(j.Samples), len(j.Rejected), len(j.Packs))
	}
	sampler, err := loop.NewSampler(&d.Space, &d.Round)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for i, v := range j.Verdicts {
		name := u.Name(i)
		scenario, err := sampler.Scenario(name.Domain, name.Component, name.Index)
		if err != nil {
			t.Fatal(err)
		}
		blank := name.Index == 103 || name.Index == 119
		if v.Index != name.Index || v.Accepted == blank || len(v.Scores) != 2 || v.Scores[0].Name != "blank.range" || v.Scores[1] != (loop.Score{Name: "format.pixels", Value: 64}) {
			t.Errorf("verdict %d: %+v", i, v)
		}
		if blank {
			r := j.Rejected[i/10]
			want := loop.VerdictRow{Campaign: "loop", Name: name, Worker: "w1", Generator: "shapes@1.2", Gate: "blank", Reason: v.Reason, Scenario: scenario, Scores: v.Scores}
			if v.Gate != "blank" || v.Reason == "" || !reflect.DeepEqual(r, want) {
				t.Errorf("rejected %+v, verdict %+v; want %+v", r, v, want)
			}
			continue
		}
		got := j.Samples[next]
		want := loop.SampleRow{Campaign: "loop", Name: name, Seed: loop.SampleSeed(7, name), Scenario: scenario,
			Weight: sampler.Weight(name.Domain, name.Component, scenario.Codes), Digest: delivery.Samples[i].Digest,
			Address: got.Address, Worker: "w1", Generator: "shapes@1.2", Millis: 3, Scores: v.Scores}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("sample %d is\n%+v, want\n%+v", i, got, want)
		}
		readBack(t, s, got)
		next++
	}
	// The same delivery again makes the same, byte for byte.
	if again := judgeAll(t, New(Options{Lake: s, Workers: 1}), lookupOf(d, both...), delivery)[0]; again.Err != nil || !reflect.DeepEqual(again.Samples, j.Samples) ||
		!reflect.DeepEqual(again.Verdicts, j.Verdicts) || !reflect.DeepEqual(again.Rejected, j.Rejected) || !reflect.DeepEqual(again.Packs, j.Packs) {
		t.Error("judged again it differs")
	}
}

// readBack reads a sample where its row says it lies.
func readBack(t testing.TB, s *shelf, r loop.SampleRow) {
	t.Helper()
	pack := s.packs[r.Address.Key]
	if r.Address.Offset+r.Address.Length > int64(len(pack)) {
		t.Fatalf("%s lies at %+v of a pack of %d bytes", r.Name.Key(), r.Address, len(pack))
	}
	key, _, digest, err := loop.ReadSample(pack[r.Address.Offset:r.Address.Offset+r.Address.Length], loop.MaxSampleBytes)
	if err != nil || key != r.Name.Key() || digest != r.Digest {
		t.Fatalf("at %+v lies %q with digest %v, want %s with %v (%v)", r.Address, key, digest, r.Name.Key(), r.Digest, err)
	}
}

// Bytes that came with a delivery are judged as staged ones are, and hashed again (C16).
func TestBytesOfTheDelivery(t *testing.T) {
	s, d := newShelf(), world(t)
	u := unitOf(loop.Train, 1, 100, 20)
	delivery := deliver(t, s, u, members(t, 103))
	staged := judgeAll(t, New(Options{Lake: s}), lookupOf(d, both...), delivery)[0]
	for path, bundle := range s.staged {
		delivery.Bytes = bundle
		delete(s.staged, path)
	}
	with := judgeAll(t, New(Options{Lake: s}), lookupOf(d, both...), delivery)[0]
	with.Delivery.Bytes = nil
	if with.Err != nil || !reflect.DeepEqual(with.Delivery, staged.Delivery) || !reflect.DeepEqual(with.Samples, staged.Samples) ||
		!reflect.DeepEqual(with.Verdicts, staged.Verdicts) || !reflect.DeepEqual(with.Rejected, staged.Rejected) || !reflect.DeepEqual(with.Packs, staged.Packs) {
		t.Errorf("judged otherwise: %v", with.Err)
	}
	lie := delivery
	lie.Bytes = slices.Clone(delivery.Bytes)
	lie.Bytes[600]++
	if j := judgeAll(t, New(Options{Lake: s}), lookupOf(d, both...), lie)[0]; j.Err == nil || !strings.Contains(j.Err.Error(), "digest") {
		t.Errorf("bytes of another digest: %v", j.Err)
	}
	cut := delivery
	cut.Bytes = delivery.Bytes[:4000]
	if j := judgeAll(t, New(Options{Lake: s}), lookupOf(d, both...), cut)[0]; j.Err == nil || !strings.Contains(j.Err.Error(), "of a bundle of 4000") {
		t.Errorf("bytes that are cut off: %v", j.Err)
	}
}

// Packs hold up to 512 samples of one campaign and domain, of many deliveries.
func TestPacks(t *testing.T) {
	s, d := newShelf(), world(t)
	st := New(Options{Lake: s})
	lookup := lookupOf(d, "format")
	deliveries := []loop.Delivery{
		deliver(t, s, unitOf(loop.Train, 0, 0, 500), members(t)),
		deliver(t, s, unitOf(loop.Evaluation, 0, 0, 30), members(t)),
		deliver(t, s, unitOf(loop.Train, 1, 0, 500), members(t)),
		deliver(t, s, unitOf(loop.Evaluation, 0, 30, 30), members(t)),
		deliver(t, s, unitOf(loop.Train, 0, 500, 100), members(t)),
	}
	judged := judgeAll(t, st, lookup, deliveries...)
	rows := map[string]int64{}
	domains := map[string]loop.Domain{}
	for i, j := range judged {
		if j.Err != nil {
			t.Fatal(j.Err)
		}
		if len(j.Samples) != j.Delivery.Unit.Count {
			t.Errorf("%d samples of delivery %d", len(j.Samples), i)
		}
		packs := map[string]bool{}
		for _, r := range j.Samples {
			readBack(t, s, r)
			packs[r.Address.Key] = true
			rows[r.Address.Key]++
			if domain, ok := domains[r.Address.Key]; ok && domain != r.Name.Domain {
				t.Errorf("pack %s holds %s and %s samples (C7)", r.Address.Key, domain, r.Name.Domain)
			}
			domains[r.Address.Key] = r.Name.Domain
		}
		if len(packs) != len(j.Packs) {
			t.Errorf("delivery %d lies in %d packs and names %d", i, len(packs), len(j.Packs))
		}
		for _, o := range j.Packs {
			if !packs[o.Key] || !strings.HasPrefix(o.Key, "packs/5/") {
				t.Errorf("delivery %d names pack %s", i, o.Key)
			}
		}
	}
	var sizes []int64
	for key, n := range rows {
		sizes = append(sizes, n)
		if !bytes.HasSuffix(s.packs[key], make([]byte, 1024)) {
			t.Errorf("pack %s does not end as a tar does", key)
		}
	}
	slices.Sort(sizes)
	if !slices.Equal(sizes, []int64{60, 76, 512, 512}) || len(s.packs) != 4 {
		t.Errorf("the packs have %v samples", sizes)
	}

	// A pack also closes before it has too many bytes.
	s = newShelf()
	length := deliveries[1].Samples[0].Length
	one := deliver(t, s, unitOf(loop.Evaluation, 0, 0, 30), members(t))
	j := judgeAll(t, New(Options{Lake: s, PackBytes: 10 * length}), lookup, one)[0]
	if j.Err != nil || len(j.Packs) != 3 {
		t.Errorf("%d packs of 10 samples each, %v", len(j.Packs), j.Err)
	}
	// A sample larger than that has one of its own.
	if j := judgeAll(t, New(Options{Lake: s, PackBytes: 1}), lookup, one)[0]; j.Err != nil || len(j.Packs) != 30 {
		t.Errorf("%d packs of 1 sample each, %v", len(j.Packs), j.Err)
	}
}

// A lie, or a description that is false, fails its delivery as a whole and no
// other, and none of its bytes reaches a pack (C16, I7).
func TestLies(t *testing.T) {
	d := world(t)
	for name, c := range map[string]struct {
		lie   func(d *loop.Delivery, bundle []byte) []byte
		field string
	}{
		"digest": {func(d *loop.Delivery, b []byte) []byte { d.Samples[7].Digest[0]++; return b }, "samples[7].digest"},
		"bytes": {func(d *loop.Delivery, b []byte) []byte {
			at := d.Samples[4].Offset
			b[at+512+70]++ // within the picture
			return b
		}, "samples[4].digest"},
		"wrong index": {func(d *loop.Delivery, b []byte) []byte { d.Samples[3].Index = 99; return b }, "samples[3].index"},
		"another's bytes": {func(d *loop.Delivery, b []byte) []byte {
			other, _, err := loop.AppendSample(nil, "r3-t0-i9-a0", members(t)(9))
			if err != nil || int64(len(other)) != d.Samples[9].Length {
				t.Fatal("the picture has another size")
			}
			copy(b[d.Samples[2].Offset:], other) // index 9's where 2's should be
			d.Samples[2].Digest = d.Samples[9].Digest
			return b
		}, "samples[2]"},
		"two for one": {func(d *loop.Delivery, b []byte) []byte {
			d.Samples[8].Length += d.Samples[9].Length
			d.Samples = d.Samples[:9]
			d.Unit.Count = 9
			return b
		}, "samples[8]"},
		"overlap":        {func(d *loop.Delivery, b []byte) []byte { d.Samples[5].Offset -= 512; return b }, "samples[5]"},
		"shifted":        {func(d *loop.Delivery, b []byte) []byte { d.Samples[9].Offset += 512; return b }, "samples[9]"},
		"beyond the end": {func(d *loop.Delivery, b []byte) []byte { d.Samples[9].Length += 1 << 20; return b }, "samples[9]"},
		"truncated":      {func(d *loop.Delivery, b []byte) []byte { return b[:d.Samples[9].Offset+100] }, "samples[9]"},
		"empty":          {func(d *loop.Delivery, b []byte) []byte { return nil }, "samples[9]"},
		"a link": {func(d *loop.Delivery, b []byte) []byte {
			b[d.Samples[6].Offset+156] = '2'
			return b
		}, "samples[6]"},
		"generator": {func(d *loop.Delivery, b []byte) []byte { d.Generator.Name = "other"; return b }, "generator"},
		"component": {func(d *loop.Delivery, b []byte) []byte { d.Unit.Component = 7; return b }, "unit.component"},
		"too few":   {func(d *loop.Delivery, b []byte) []byte { d.Samples = d.Samples[:9]; return b }, "samples"},
		"unit":      {func(d *loop.Delivery, b []byte) []byte { d.Unit.Count = 0; return b }, "unit.count"},
	} {
		s := newShelf()
		bad := deliver(t, s, unitOf(loop.Train, 0, 0, 10), members(t))
		path := "w1/" + bad.Unit.ID() + "/" + loop.Bundle
		bundle := c.lie(&bad, s.staged[path])
		s.staged["w1/"+bad.Unit.ID()+"/"+loop.Bundle] = bundle
		good := deliver(t, s, unitOf(loop.Train, 1, 0, 10), members(t))
		judged := judgeAll(t, New(Options{Lake: s}), lookupOf(d, both...), bad, good)

		var refusal *loop.Error
		if err := judged[0].Err; !errors.As(err, &refusal) || refusal.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
		if j := judged[0]; j.Verdicts != nil || j.Samples != nil || j.Rejected != nil || j.Packs != nil {
			t.Errorf("%s: something was made of the delivery", name)
		}
		if j := judged[1]; j.Err != nil || len(j.Samples) != 10 {
			t.Errorf("%s: the delivery beside it has %d samples, %v", name, len(j.Samples), j.Err)
		}
		if len(s.packs) != 1 || judged[1].Packs[0].Rows != 10 {
			t.Errorf("%s: bytes of the delivery were packed", name)
		}
	}
}

func TestStagingGoneC9(t *testing.T) {
	s, d := newShelf(), world(t)
	delivery := deliver(t, s, unitOf(loop.Train, 0, 0, 10), members(t))
	clear(s.staged)
	j := judgeAll(t, New(Options{Lake: s}), lookupOf(d, both...), delivery)[0]
	if !errors.Is(j.Err, loop.ErrStagingGone) {
		t.Errorf("%v", j.Err)
	}
}

// odd is a gate that misbehaves on one index.
type odd struct {
	name  string
	judge func(s *Sample) (bool, string, []loop.Score, error)
}

func (o odd) Name() string { return o.name }
func (o odd) Judge(_ context.Context, s *Sample) (bool, string, []loop.Score, error) {
	if s.Name.Index != 6 {
		return true, "", nil, nil
	}
	return o.judge(s)
}

var errGate = errors.New("model server is away")

// A gate's own failure is never a rejection, and never an acceptance.
func TestGateFailures(t *testing.T) {
	d := world(t)
	for name, misbehave := range map[string]func(s *Sample) (bool, string, []loop.Score, error){
		"error":     func(*Sample) (bool, string, []loop.Score, error) { return true, "", nil, errGate },
		"cancelled": func(*Sample) (bool, string, []loop.Score, error) { return false, "no", nil, context.Canceled },
		"refusal": func(*Sample) (bool, string, []loop.Score, error) {
			return false, "", nil, &loop.Error{Field: "members", Problem: "the gate's own trouble"}
		},
		"gone":  func(*Sample) (bool, string, []loop.Score, error) { return false, "", nil, loop.ErrStagingGone },
		"panic": func(s *Sample) (bool, string, []loop.Score, error) { panic(s.Members[99]) },
		"NaN": func(*Sample) (bool, string, []loop.Score, error) {
			return true, "", []loop.Score{{Name: "a", Value: nan()}}, nil
		},
		"score twice": func(*Sample) (bool, string, []loop.Score, error) {
			return true, "", []loop.Score{{Name: "a"}, {Name: "a"}}, nil
		},
	} {
		s := newShelf()
		delivery := deliver(t, s, unitOf(loop.Train, 0, 0, 10), members(t))
		st := New(Options{Lake: s, Gates: append(BuiltIn(), odd{"odd", misbehave})})
		j := judgeAll(t, st, lookupOf(d, "format", "odd"), delivery)[0]
		if refusal := (*loop.Error)(nil); j.Err == nil || errors.As(j.Err, &refusal) || errors.Is(j.Err, loop.ErrStagingGone) {
			t.Errorf("%s: %v", name, j.Err)
		}
		if j.Verdicts != nil || j.Samples != nil || j.Rejected != nil || len(s.packs) != 0 {
			t.Errorf("%s: something was made of the delivery", name)
		}
		// Without it the same delivery passes.
		if j := judgeAll(t, st, lookupOf(d, "format"), delivery)[0]; j.Err != nil || len(j.Samples) != 10 {
			t.Errorf("%s: judged again: %d samples, %v", name, len(j.Samples), j.Err)
		}
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

// The first gate to say no is the one that is named, and reasons are bounded.
func TestGateOrderAndReasons(t *testing.T) {
	s, d := newShelf(), world(t)
	long := strings.Repeat("é", 300)
	st := New(Options{Lake: s, Gates: append(BuiltIn(), odd{"odd", func(*Sample) (bool, string, []loop.Score, error) {
		return false, "x" + long, []loop.Score{{Name: "s", Value: 1}}, nil
	}}, odd{"mute", func(*Sample) (bool, string, []loop.Score, error) { return false, "", nil, nil }})})
	delivery := deliver(t, s, unitOf(loop.Train, 0, 0, 10), members(t, 6))
	for _, c := range []struct {
		gates []string
		gate  string
		names []string
	}{
		{[]string{"format", "blank", "odd"}, "blank", []string{"blank.range", "format.pixels"}},
		{[]string{"odd", "blank", "format"}, "odd", []string{"odd.s"}},
		{[]string{"mute"}, "mute", nil},
	} {
		j := judgeAll(t, st, lookupOf(d, c.gates...), delivery)[0]
		if j.Err != nil {
			t.Fatal(j.Err)
		}
		v := j.Verdicts[6]
		var names []string
		for _, score := range v.Scores {
			names = append(names, score.Name)
		}
		if v.Accepted || v.Gate != c.gate || v.Reason == "" || len(v.Reason) > maxReason || strings.ToValidUTF8(v.Reason, "") != v.Reason || !slices.Equal(names, c.names) {
			t.Errorf("gates %v: %+v", c.gates, v)
		}
	}
	// Without gates everything that is what it says it is passes.
	if j := judgeAll(t, st, lookupOf(d), delivery)[0]; j.Err != nil || len(j.Samples) != 10 {
		t.Errorf("without gates: %d samples, %v", len(j.Samples), j.Err)
	}
}

// A pack that cannot be put fails the deliveries in it, not those before.
func TestFullDisk(t *testing.T) {
	s, d := newShelf(), world(t)
	deliveries := []loop.Delivery{
		deliver(t, s, unitOf(loop.Train, 0, 0, 512), members(t)),
		deliver(t, s, unitOf(loop.Train, 0, 512, 300), members(t)),
		deliver(t, s, unitOf(loop.Train, 1, 0, 300), members(t)),
	}
	s.full = 1
	judged := judgeAll(t, New(Options{Lake: s}), lookupOf(d, "format"), deliveries...)
	if judged[0].Err != nil || len(judged[0].Samples) != 512 {
		t.Errorf("the first delivery: %v", judged[0].Err)
	}
	for _, j := range judged[1:] {
		if !errors.Is(j.Err, errFull) || j.Samples != nil || j.Packs != nil {
			t.Errorf("%d samples, %v", len(j.Samples), j.Err)
		}
	}
	s.full = -1
	for _, j := range judgeAll(t, New(Options{Lake: s}), lookupOf(d, "format"), deliveries[1:]...) {
		if j.Err != nil || len(j.Samples) != 300 {
			t.Errorf("judged again: %d samples, %v", len(j.Samples), j.Err)
		}
	}
}

// Of a delivery in two packs of which the second fails, nothing counts.
func TestHalfPackedDelivery(t *testing.T) {
	s, d := newShelf(), world(t)
	delivery := deliver(t, s, unitOf(loop.Train, 0, 0, 30), members(t))
	s.full = 1
	j := judgeAll(t, New(Options{Lake: s, PackBytes: 10 * delivery.Samples[0].Length}), lookupOf(d, "format"), delivery)[0]
	if !errors.Is(j.Err, errFull) || j.Samples != nil || j.Packs != nil || s.puts != 2 {
		t.Errorf("%d samples after %d puts, %v", len(j.Samples), s.puts, j.Err)
	}
}

func TestLookups(t *testing.T) {
	s, d := newShelf(), world(t)
	st := New(Options{Lake: s})
	delivery := deliver(t, s, unitOf(loop.Train, 0, 0, 10), members(t))
	u := delivery.Unit
	u.Round = 4
	unknown := deliver(t, s, u, members(t))
	if j := judgeAll(t, st, lookupOf(d, both...), unknown)[0]; !errors.Is(j.Err, loop.ErrNotFound) {
		t.Errorf("an unknown round: %v", j.Err)
	}
	// That a campaign asks for what we do not have is not the worker's fault.
	refusal := (*loop.Error)(nil)
	if j := judgeAll(t, st, lookupOf(d, "format", "beauty"), delivery)[0]; j.Err == nil || errors.As(j.Err, &refusal) {
		t.Errorf("an unknown gate: %v", j.Err)
	}
	for _, c := range []struct {
		gates []string
		ok    bool
	}{{nil, true}, {both, true}, {[]string{"beauty"}, false}, {[]string{"blank", "blank"}, false}} {
		if err := st.CheckGates(c.gates); (err == nil) != c.ok || err != nil && !errors.As(err, &refusal) {
			t.Errorf("gates %v: %v", c.gates, err)
		}
	}
	broken := world(t)
	broken.Round.Number, broken.Round.Base = 3, nil
	if j := judgeAll(t, New(Options{Lake: s}), lookupOf(broken, "format"), delivery)[0]; j.Err == nil || errors.As(j.Err, &refusal) {
		t.Errorf("a round that does not fit its space: %v", j.Err)
	}
}

// When the caller's context ends, no answer is given on any delivery.
func TestJudgeEnds(t *testing.T) {
	s, d := newShelf(), world(t)
	delivery := deliver(t, s, unitOf(loop.Train, 0, 0, 10), members(t))
	ctx, cancel := context.WithCancel(context.Background())
	st := New(Options{Lake: s, Workers: 1, Gates: []Gate{odd{"odd", func(*Sample) (bool, string, []loop.Score, error) {
		cancel()
		return false, "no", nil, nil
	}}}})
	if judged, err := st.Judge(ctx, lookupOf(d, "odd"), 1, []loop.Delivery{delivery}); !errors.Is(err, context.Canceled) || judged != nil {
		t.Errorf("%d answers, %v", len(judged), err)
	}
	if len(s.packs) != 0 {
		t.Error("a pack was put")
	}
	if len(st.turns) != 0 {
		t.Errorf("%d turns are taken for ever", len(st.turns))
	}
}

// Many calls share the stage and its bound.
func TestConcurrentJudging(t *testing.T) {
	s, d := newShelf(), world(t)
	var mu sync.Mutex
	running, most := 0, 0
	st := New(Options{Lake: s, Workers: 3, Gates: append(BuiltIn(), counting{&mu, &running, &most})})
	var calls sync.WaitGroup
	for i := range 6 {
		delivery := deliver(t, s, unitOf(loop.Train, i%2, uint64(i)*50, 50), members(t, uint64(i)*50+1))
		calls.Go(func() {
			judged, err := st.Judge(context.Background(), lookupOf(d, "format", "blank", "counting"), 1, []loop.Delivery{delivery})
			if err != nil || judged[0].Err != nil || len(judged[0].Samples) != 49 {
				t.Errorf("%+v, %v", judged, err)
			}
		})
	}
	calls.Wait()
	if most > 3 || most < 1 {
		t.Errorf("%d samples were judged at a time", most)
	}
}

type counting struct {
	mu            *sync.Mutex
	running, most *int
}

func (c counting) Name() string { return "counting" }
func (c counting) Judge(context.Context, *Sample) (bool, string, []loop.Score, error) {
	c.mu.Lock()
	*c.running++
	*c.most = max(*c.most, *c.running)
	c.mu.Unlock()
	defer func() { c.mu.Lock(); *c.running--; c.mu.Unlock() }()
	return true, "", nil, nil
}

// What was not made here is hashed again and packed like what was, but judged by
// no gate; what is not what it is said to be is refused (C16).
func TestImport(t *testing.T) {
	s := newShelf()
	st := New(Options{Lake: s})
	u := unitOf(loop.Evaluation, 0, 100, 7)
	staged := func() loop.Delivery {
		d := deliver(t, s, u, members(t, 103))
		key := "w1/" + u.ID() + "/" + loop.Bundle
		s.staged[key] = s.staged[key][:len(s.staged[key])-1024] // no end: it is not the last word of a tar
		return d
	}
	d := staged()
	j, err := st.Import(context.Background(), 5, d)
	if err != nil {
		t.Fatal(err)
	}
	if len(j.Samples) != 7 || len(j.Packs) != 1 || len(j.Verdicts) != 0 {
		t.Fatalf("%d samples, %d packs", len(j.Samples), len(j.Packs))
	}
	for i, row := range j.Samples {
		want := loop.SampleRow{Campaign: "loop", Name: u.Name(i), Digest: d.Samples[i].Digest, Weight: 1,
			Address: loop.Address{Key: j.Packs[0].Key, Offset: d.Samples[i].Offset, Length: d.Samples[i].Length}}
		if !reflect.DeepEqual(row, want) {
			t.Errorf("row %d is %+v, want %+v", i, row, want)
		}
	}
	for name, spoil := range map[string]func(d *loop.Delivery){
		"another digest": func(d *loop.Delivery) { d.Samples[3].Digest[0]++ },
		"a gap":          func(d *loop.Delivery) { d.Samples[3].Offset += 512; d.Samples[3].Length -= 512 },
		"too long":       func(d *loop.Delivery) { d.Samples[6].Length += 512 },
		"too short":      func(d *loop.Delivery) { d.Samples[6].Length -= 512 },
		"too few":        func(d *loop.Delivery) { d.Samples, d.Unit.Count = d.Samples[:6], 6 },
		"another name":   func(d *loop.Delivery) { s.staged["w1/"+u.ID()+"/"+loop.Bundle][1]++ },
	} {
		d := staged()
		spoil(&d)
		if j, err := st.Import(context.Background(), 5, d); err == nil {
			t.Errorf("%s: it was taken: %+v", name, j.Samples)
		}
	}
	d = staged()
	clear(s.staged)
	if _, err := st.Import(context.Background(), 5, d); !errors.Is(err, loop.ErrStagingGone) {
		t.Errorf("gone: %v", err)
	}
}
