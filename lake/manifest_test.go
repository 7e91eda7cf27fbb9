package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hone/loop"
)

type entry struct {
	row     loop.ManifestRow
	address loop.Address
}

func pairs(entries []entry) iter.Seq2[loop.ManifestRow, loop.Address] {
	return func(yield func(loop.ManifestRow, loop.Address) bool) {
		for _, e := range entries {
			if !yield(e.row, e.address) {
				return
			}
		}
	}
}

func manifestRow(domain loop.Domain, round, component int, index uint64) loop.ManifestRow {
	return loop.ManifestRow{Name: loop.Name{Domain: domain, Round: round, Component: component, Index: index},
		Digest: loop.Digest{0xab}, Weight: 1.5, Split: domain.String()}
}

func packKey(n byte) string { return Key{Kind: Pack, Epoch: 1, Digest: loop.Digest{n}}.String() }

func threeEntries() []entry {
	entries := []entry{
		{manifestRow(loop.Train, 1, 0, 0), loop.Address{Key: packKey(2), Offset: 0, Length: 1024}},
		{manifestRow(loop.Train, 1, 0, 3), loop.Address{Key: packKey(1), Offset: 512, Length: 1024}},
		{manifestRow(loop.Evaluation, 1, 0, 0), loop.Address{Key: packKey(2), Offset: 1024, Length: 1536}},
	}
	entries[0].row.Weight, entries[1].row.Weight, entries[1].row.Name.Attempt = 1.0/3, 1e-7, 2
	return entries
}

const goldenManifest = `{"hone":"manifest/1","name":"loop.eval","rows":3}
{"round":1,"component":0,"index":0,"attempt":0,"digest":"sha256:ab00000000000000000000000000000000000000000000000000000000000000","importance_weight":0.3333333333333333,"split":"train"}
{"round":1,"component":0,"index":3,"attempt":2,"digest":"sha256:ab00000000000000000000000000000000000000000000000000000000000000","importance_weight":1e-7,"split":"train"}
{"round":1,"component":0,"index":0,"attempt":0,"digest":"sha256:ab00000000000000000000000000000000000000000000000000000000000000","importance_weight":1.5,"split":"evaluation"}
`

const goldenAddresses = `{"hone":"addresses/1","rows":3}
{"pack":"packs/1/02/0200000000000000000000000000000000000000000000000000000000000000.tar"}
[0,0,1024]
{"pack":"packs/1/01/0100000000000000000000000000000000000000000000000000000000000000.tar"}
[1,512,1024]
[0,1024,1536]
`

// C26: the bytes of a manifest are a contract: its digest names a version.
func TestManifestGolden(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	manifest, addresses, err := l.WriteManifest(ctx, 2, "loop.eval", 3, pairs(threeEntries()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    loop.Object
		want string
	}{{manifest, goldenManifest}, {addresses, goldenAddresses}} {
		if b, err := l.Read(ctx, c.o.Key); err != nil || string(b) != c.want {
			t.Errorf("%s holds\n%s, want\n%s (%v)", c.o.Key, b, c.want, err)
		}
		if c.o.Rows != 3 || c.o.Bytes != int64(len(c.want)) {
			t.Errorf("the object is %+v", c.o)
		}
	}
	// Equal content, equal digest, wherever the bytes lie and whoever made them.
	moved := threeEntries()
	for i := range moved {
		moved[i].address = loop.Address{Key: packKey(9), Offset: int64(i) * 512, Length: 512}
	}
	again, elsewhere, err := l.WriteManifest(ctx, 2, "loop.eval", 3, pairs(moved))
	if err != nil || again != manifest || elsewhere == addresses {
		t.Errorf("moved samples gave %+v and %+v (%v)", again, elsewhere, err)
	}
}

// The twin of the line written by hand is encoding/json.
func TestManifestRowIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := loop.ManifestRow{Weight: math.Abs(rapid.Float64().Draw(t, "weight")), Split: rapid.SampledFrom([]string{"train", "probe", "evaluation"}).Draw(t, "split"),
			Name: loop.Name{Round: rapid.IntRange(1, 1e9).Draw(t, "round"), Component: rapid.IntRange(0, 1e9).Draw(t, "component"),
				Index: rapid.Uint64Range(0, loop.MaxQuota-1).Draw(t, "index"), Attempt: rapid.IntRange(0, loop.MaxAttempt).Draw(t, "attempt")}}
		want, err := json.Marshal(manifestLine{r.Name.Round, r.Name.Component, r.Name.Index, r.Name.Attempt, r.Digest, r.Weight, r.Split})
		if err != nil {
			t.Fatal(err)
		}
		if got := appendManifestRow(nil, r); string(got) != string(want)+"\n" {
			t.Fatalf("got %s want %s", got, want)
		}
	})
}

func readAll(b string) (ManifestHeader, []loop.ManifestRow, error) {
	header, rows, err := ReadManifest(strings.NewReader(b))
	if err != nil {
		return header, nil, err
	}
	var got []loop.ManifestRow
	for row, err := range rows {
		if err != nil {
			return header, got, err
		}
		got = append(got, row)
	}
	return header, got, nil
}

func allAddresses(b string) (int64, []loop.Address, error) {
	n, rows, err := ReadAddresses(strings.NewReader(b))
	if err != nil {
		return n, nil, err
	}
	var got []loop.Address
	for a, err := range rows {
		if err != nil {
			return n, got, err
		}
		got = append(got, a)
	}
	return n, got, nil
}

func TestReadManifestAndAddresses(t *testing.T) {
	header, rows, err := readAll(goldenManifest)
	if err != nil || header.Name != "loop.eval" || header.Rows != 3 || len(rows) != 3 {
		t.Fatalf("%+v, %d rows, %v", header, len(rows), err)
	}
	n, addresses, err := allAddresses(goldenAddresses)
	if err != nil || n != 3 || len(addresses) != 3 {
		t.Fatalf("%d, %d addresses, %v", n, len(addresses), err)
	}
	for i, e := range threeEntries() {
		if rows[i] != e.row || addresses[i] != e.address {
			t.Errorf("row %d is %+v at %+v, want %+v", i, rows[i], addresses[i], e)
		}
	}
}

func hostileManifests() []string {
	lines := strings.SplitAfter(goldenManifest, "\n")
	swap := func(old, new string) string { return strings.Replace(goldenManifest, old, new, 1) }
	return []string{
		"", "\n", "{}\n", "null\n", "[]", goldenAddresses,
		goldenManifest[:len(goldenManifest)-1], // no end of line
		lines[0] + lines[1] + lines[2],         // truncated
		goldenManifest + lines[3],              // trailing
		goldenManifest + "\n",
		lines[0] + lines[2] + lines[1] + lines[3],                    // order
		strings.Replace(goldenManifest, `"index":3`, `"index":0`, 1), // an index twice (I2)
		swap(`manifest/1`, `manifest/2`), swap(`loop.eval`, `../x`), swap(`"rows":3`, `"rows":-3`), swap(`"rows":3`, `"rows": 3`),
		swap(`"rows":3`, `"rows":9223372036854775807`),
		swap(`"round":1`, `"round":01`), swap(`"round":1`, `"round":0`), swap(`"round":1`, `"Round":1`), swap(`"round":1`, `"round":1e0`),
		swap(`0.3333333333333333`, `0.33333333333333331`), swap(`0.3333333333333333`, `-1`), swap(`0.3333333333333333`, `0`), swap(`0.3333333333333333`, `1e999`),
		swap(`1e-7`, `0.0000001`), swap(`sha256:ab`, `sha256:AB`), swap(`sha256:ab`, `sha256:00`), swap(`"train"`, `"test"`), swap(`"train"`, `"evaluation"`),
		swap(`"split"`, `"worker":"w","split"`), swap("}\n{", "}\r\n{"), swap(`"index":0`, `"index":4294967296`), swap(`"attempt":0`, `"attempt":-1`),
		swap(`"split":"train"`, `"split":"`+strings.Repeat("t", 1<<17)+`"`),
	}
}

func hostileAddresses() []string {
	lines := strings.SplitAfter(goldenAddresses, "\n")
	swap := func(old, new string) string { return strings.Replace(goldenAddresses, old, new, 1) }
	return []string{
		"", goldenManifest, lines[0] + lines[2], goldenAddresses[:len(goldenAddresses)-1], goldenAddresses + lines[2], goldenAddresses + lines[1],
		lines[0] + lines[1] + lines[2] + lines[1] + lines[2] + lines[2], // a pack twice
		swap("[1,", "[0,"), swap("[1,", "[2,"), swap("[0,0,1024]", "[0,0]"), swap("[0,0,1024]", "[0,0,1024,1]"), swap("[0,0,1024]", "null"), swap("[0,0,1024]", "[0, 0,1024]"),
		swap(",512,", ",-512,"), swap(",512,", ",9223372036854775807,"), swap(",1024]", ",0]"), swap(",1024]", ",99999999999]"), swap("packs/1/02/02", "packs/1/02/03"),
		swap("packs/1", "../1"), swap(".tar", ".parquet"), swap("addresses/1", "manifest/1"), swap(`{"pack"`, `{"Pack"`),
	}
}

func TestReadManifestRefuses(t *testing.T) {
	for i, b := range hostileManifests() {
		if _, rows, err := readAll(b); err == nil {
			t.Errorf("manifest %d was read to %d rows: %.300s", i, len(rows), b)
		} else if !refused(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("manifest %d: %v", i, err)
		}
	}
	for i, b := range hostileAddresses() {
		if _, rows, err := allAddresses(b); err == nil {
			t.Errorf("addresses %d were read to %d rows: %.300s", i, len(rows), b)
		} else if !refused(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("addresses %d: %v", i, err)
		}
	}
}

func TestWriteManifestRefuses(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	for name, spoil := range map[string]func(e []entry) []entry{
		"too few":       func(e []entry) []entry { return e[:2] },
		"too many":      func(e []entry) []entry { return append(e, entry{manifestRow(loop.Evaluation, 1, 0, 9), e[0].address}) },
		"out of order":  func(e []entry) []entry { e[0], e[1] = e[1], e[0]; return e },
		"index twice":   func(e []entry) []entry { e[1].row.Name.Index = 0; return e }, // also at another attempt (I2)
		"wrong split":   func(e []entry) []entry { e[1].row.Split = "probe"; return e },
		"no digest":     func(e []entry) []entry { e[1].row.Digest = loop.Digest{}; return e },
		"NaN weight":    func(e []entry) []entry { e[1].row.Weight = math.NaN(); return e },
		"zero weight":   func(e []entry) []entry { e[1].row.Weight = 0; return e },
		"no pack":       func(e []entry) []entry { e[1].address.Key = "packs/x"; return e },
		"no such bytes": func(e []entry) []entry { e[1].address.Length = 0; return e },
	} {
		if m, a, err := l.WriteManifest(ctx, 1, "loop", 3, pairs(spoil(threeEntries()))); !refused(err) || m.Key != "" || a.Key != "" {
			t.Errorf("%s: %+v %+v %v", name, m, a, err)
		}
	}
	if _, _, err := l.WriteManifest(ctx, 1, "../loop", 3, pairs(threeEntries())); !refused(err) {
		t.Errorf("a path as name: %v", err)
	}
	walk(t, l.dir, func(path string) { t.Errorf("%s is left", path) })
}

// A large manifest passes through: neither writing nor reading holds its rows.
func TestManifestStreams(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	const rows = 200_000
	var top uint64
	watch := func(i int) {
		if i%20_000 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapAlloc)
		}
	}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	manifest, addresses, err := l.WriteManifest(ctx, 1, "loop", rows, func(yield func(loop.ManifestRow, loop.Address) bool) {
		for i := range rows {
			watch(i)
			if !yield(manifestRow(loop.Train, 1+i/1000, i/100%10, uint64(i%100)), loop.Address{Key: packKey(byte(i / 512)), Offset: int64(i%512) * 1024, Length: 1024}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := l.OpenObject(ctx, manifest.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	places, _, err := l.OpenObject(ctx, addresses.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer places.Close()
	_, lines, err := ReadManifest(in)
	if err != nil {
		t.Fatal(err)
	}
	_, where, err := ReadAddresses(places)
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(where)
	defer stop()
	n := 0
	for row, err := range lines {
		if err != nil {
			t.Fatal(err)
		}
		watch(n)
		a, err, ok := next()
		if err != nil || !ok || a.Offset != int64(n%512)*1024 || row.Name.Index != uint64(n%100) {
			t.Fatalf("row %d: %+v at %+v, %v", n, row, a, err)
		}
		n++
	}
	if n != rows {
		t.Errorf("%d rows", n)
	}
	if used := int64(top) - int64(before.HeapAlloc); used > 8<<20 {
		t.Errorf("%d bytes are held for a manifest of %d", used, manifest.Bytes)
	}
}

// Whatever reads to its end is canonical: written again it has the same bytes.
func FuzzReadManifest(f *testing.F) {
	f.Add(goldenManifest)
	for _, b := range hostileManifests() {
		if len(b) < 1<<16 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b string) {
		header, rows, err := readAll(b)
		if err != nil {
			return
		}
		again := fmt.Appendf(nil, "{\"hone\":%q,\"name\":%q,\"rows\":%d}\n", header.Hone, header.Name, header.Rows)
		for _, r := range rows {
			again = appendManifestRow(again, r)
		}
		if string(again) != b {
			t.Fatalf("read\n%q\nwritten\n%q", b, again)
		}
		if !slices.IsSortedFunc(rows, func(a, b loop.ManifestRow) int { return compareNames(a.Name, b.Name) }) {
			t.Fatal("rows out of order")
		}
	})
}

func FuzzReadAddresses(f *testing.F) {
	f.Add(goldenAddresses)
	for _, b := range hostileAddresses() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b string) {
		n, addresses, err := allAddresses(b)
		if err != nil {
			return
		}
		var again bytes.Buffer
		w, err := newAddressWriter(&again, n)
		for _, a := range addresses {
			err = errors.Join(err, w.write(a))
		}
		if err != nil || again.String() != b {
			t.Fatalf("read\n%q\nwritten\n%q (%v)", b, again.String(), err)
		}
	})
}
