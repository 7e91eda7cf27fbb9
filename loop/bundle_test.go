package loop

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var shape = []Member{{"label.json", []byte(`{"class":2}`)}, {"image.png", bytes.Repeat([]byte{7}, 700)}}

func TestAppendSampleGolden(t *testing.T) {
	b, digest, err := AppendSample(nil, Name{Round: 3, Component: 2, Index: 17}.Key(), shape)
	if err != nil {
		t.Fatal(err)
	}
	// Both are contracts: digests stand in manifests, packs are named by their bytes.
	if got, want := digest.String(), "sha256:0ea50240ce326634ab239d63aaf808570d9614166792b513d3abd1842e558d90"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%x", sha256.Sum256(b)), "49d803342ea1ba37d6379ec2a36f494524b9427b644f7e81fe014e0eb52f6049"; got != want || len(b) != 512+1024+512+512 {
		t.Errorf("%d bytes %s, want 2560 bytes %s", len(b), got, want)
	}
}

// The twin of the hand-written encoder is archive/tar.
func TestAppendSampleIsUSTAR(t *testing.T) {
	b, _, err := AppendSample(nil, "r1-t0-i0-a0", shape)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	w := tar.NewWriter(&want)
	for _, m := range []Member{shape[1], shape[0]} {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "r1-t0-i0-a0." + m.Ext, Mode: 0o644, Size: int64(len(m.Bytes)), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(AppendEnd(b), want.Bytes()) {
		t.Error("the bytes differ from those of archive/tar")
	}
}

func TestSampleRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exts := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9_-]{1,9}(\.[a-z0-9_-]{1,9}){0,2}`), 1, 6, rapid.ID).Draw(t, "exts")
		var members []Member
		for _, ext := range exts {
			members = append(members, Member{ext, rapid.SliceOfN(rapid.Byte(), 0, 1200).Draw(t, "bytes")})
		}
		key := rapid.StringMatching(`[a-zA-Z0-9_-]{1,64}`).Draw(t, "key")
		prefix := []byte("before")
		b, wrote, err := AppendSample(bytes.Clone(prefix), key, members)
		if err != nil {
			t.Fatal(err)
		}
		gotKey, got, read, err := ReadSample(b[len(prefix):], MaxSampleBytes)
		if err != nil {
			t.Fatal(err)
		}
		if gotKey != key || read != wrote || len(got) != len(members) {
			t.Fatalf("read %q %v with %d members, wrote %q %v with %d", gotKey, read, len(got), key, wrote, len(members))
		}
		byExt := map[string][]byte{}
		for _, m := range got {
			byExt[m.Ext] = m.Bytes
		}
		for _, m := range members {
			if b, ok := byExt[m.Ext]; !ok || !bytes.Equal(b, m.Bytes) {
				t.Fatalf("member %q changed", m.Ext)
			}
		}
		// The digest is of the content alone: neither key nor order matters.
		members[0], members[len(members)-1] = members[len(members)-1], members[0]
		if again, err := SampleDigest(members); err != nil || again != wrote {
			t.Fatalf("digest %v (%v) in another order, want %v", again, err, wrote)
		}
	})
}

func TestSampleDigestTellsApart(t *testing.T) {
	// Lengths are hashed, so bytes cannot move between members or names.
	all := [][]Member{
		{{"a", []byte("bc")}}, {{"ab", []byte("c")}}, {{"a", []byte("b")}, {"c", nil}}, {{"a", nil}, {"b", []byte("c")}}, {{"a", nil}},
	}
	seen := map[Digest]int{}
	for i, members := range all {
		d, err := SampleDigest(members)
		if err != nil {
			t.Fatal(err)
		}
		if j, ok := seen[d]; ok {
			t.Errorf("samples %d and %d have one digest", i, j)
		}
		seen[d] = i
	}
}

func TestAppendSampleRefuses(t *testing.T) {
	many := make([]Member, MaxMembers+1)
	for i := range many {
		many[i].Ext = fmt.Sprint("m", i)
	}
	for name, c := range map[string]struct {
		key     string
		members []Member
	}{
		"no member":       {"k", nil},
		"too many":        {"k", many},
		"empty key":       {"", shape},
		"dot in key":      {"a.b", shape},
		"path in key":     {"../a", shape},
		"long key":        {strings.Repeat("k", 65), shape},
		"path in ext":     {"k", []Member{{"../passwd", nil}}},
		"empty word":      {"k", []Member{{"a..b", nil}}},
		"upper case":      {"k", []Member{{"PNG", nil}}},
		"long ext":        {"k", []Member{{strings.Repeat("e", 33), nil}}},
		"the same twice":  {"k", []Member{{"a", nil}, {"a", nil}}},
		"oversize member": {"k", []Member{{"a", make([]byte, MaxSampleBytes+1)}}},
		"oversize sample": {"k", []Member{{"a", make([]byte, MaxSampleBytes/2)}, {"b", make([]byte, MaxSampleBytes/2)}}},
	} {
		dst := []byte("dst")
		got, _, err := AppendSample(dst, c.key, c.members)
		if refusal := (*Error)(nil); !errors.As(err, &refusal) || string(got) != "dst" {
			t.Errorf("%s: got %d bytes, error %v", name, len(got), err)
		}
	}
}

// tarOf writes entries as archive/tar would.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func hostileSamples(t testing.TB) map[string][]byte {
	good, _, err := AppendSample(nil, "r1-t0-i0-a0", shape)
	if err != nil {
		t.Fatal(err)
	}
	mutate := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	file := func(name string, size int64) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Format: tar.FormatUSTAR}
	}
	return map[string][]byte{
		"empty":            nil,
		"half a header":    good[:300],
		"truncated":        good[:len(good)-512],
		"trailing garbage": mutate(func(b []byte) []byte { return append(b, "x"...) }),
		"end of archive":   mutate(AppendEnd),
		"leading zeros":    append(make([]byte, 512), good...),
		"padding not zero": mutate(func(b []byte) []byte { b[len(b)-1] = 1; return b }),
		"checksum":         mutate(func(b []byte) []byte { b[150]++; return b }),
		"time":             mutate(func(b []byte) []byte { b[146]++; b[153]++; return b }),
		"symbolic link":    tarOf(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "k.a", Linkname: "/etc/passwd", Format: tar.FormatUSTAR}),
		"hard link":        tarOf(t, tar.Header{Typeflag: tar.TypeLink, Name: "k.a", Linkname: "k.b", Format: tar.FormatUSTAR}),
		"directory":        tarOf(t, tar.Header{Typeflag: tar.TypeDir, Name: "k.a/", Format: tar.FormatUSTAR}),
		"device":           tarOf(t, tar.Header{Typeflag: tar.TypeChar, Name: "k.a", Format: tar.FormatUSTAR}),
		"absolute name":    tarOf(t, file("/k.a", 1)),
		"path":             tarOf(t, file("../k.a", 1)),
		"prefix field":     tarOf(t, file(strings.Repeat("d", 90)+"/"+strings.Repeat("k", 90)+".a", 1)),
		"no extension":     tarOf(t, file("k", 1)),
		"extended header":  tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "k.a", PAXRecords: map[string]string{"HONE.x": "1"}, Format: tar.FormatPAX}),
		"two samples":      tarOf(t, file("k.a", 1), file("l.a", 1)),
		"descending":       tarOf(t, file("k.b", 1), file("k.a", 1)),
		"the same twice":   tarOf(t, file("k.a", 1), file("k.a", 1)),
		"huge size":        mutate(func(b []byte) []byte { copy(b[124:], "77777777777"); return b }),
		"binary size":      mutate(func(b []byte) []byte { b[124] = 0x80; return b }),
		"size without bytes": func() []byte {
			b := appendHeader(nil, "k.a", 1<<20)
			return b
		}(),
	}
}

func TestReadSampleRefuses(t *testing.T) {
	for name, b := range hostileSamples(t) {
		key, members, digest, err := ReadSample(b, MaxSampleBytes)
		if refusal := (*Error)(nil); !errors.As(err, &refusal) {
			t.Errorf("%s: accepted as %q with %d members (%v)", name, key, len(members), err)
		}
		if key != "" || members != nil || !digest.IsZero() {
			t.Errorf("%s: a refusal came with a sample", name)
		}
	}
	good, _, _ := AppendSample(nil, "k", shape)
	if _, _, _, err := ReadSample(good, len(good)-1); err == nil {
		t.Error("a sample above the limit was read")
	}
	if _, _, _, err := ReadSample(good, len(good)); err != nil {
		t.Errorf("a sample at the limit: %v", err)
	}
	many := []byte(nil)
	for i := range MaxMembers + 1 {
		many = appendHeader(many, fmt.Sprintf("k.m%03d", i), 0)
	}
	if _, _, _, err := ReadSample(many, MaxSampleBytes); err == nil {
		t.Error("too many members were read")
	}
}

// Whatever is accepted has exactly one encoding: its own.
func FuzzReadSample(f *testing.F) {
	good, _, err := AppendSample(nil, "r1-t0-i0-a0", shape)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, b := range hostileSamples(f) {
		if len(b) < 1<<16 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key, members, digest, err := ReadSample(b, 1<<20)
		if err != nil {
			return
		}
		again, wrote, err := AppendSample(nil, key, members)
		if err != nil || wrote != digest || !bytes.Equal(again, b) {
			t.Fatalf("read %q with %d members, written again it differs (%v)", key, len(members), err)
		}
	})
}
