package api

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"hone/loop"
)

// store serves samples as a server does, up to limit bytes of an answer.
type store struct {
	samples  map[loop.Digest][]byte
	digests  []loop.Digest
	requests int
	limit    func(request, length int) int
}

func newStore(t *testing.T, n int) *store {
	s := &store{samples: map[loop.Digest][]byte{}}
	for i := range n {
		// Neighbours have equal keys, as samples of two campaigns may.
		name := loop.Name{Round: 1, Index: uint64(i / 2)}
		entries, digest, err := loop.AppendSample(nil, name.Key(), []loop.Member{
			{Ext: "image.png", Bytes: bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 40)}, {Ext: "label.json", Bytes: []byte("{}")}})
		if err != nil {
			t.Fatal(err)
		}
		s.samples[digest] = entries
		s.digests = append(s.digests, digest)
	}
	return s
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests++
	var wanted Wanted
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil || len(wanted.Digests) > MaxWanted {
		w.WriteHeader(400)
		return
	}
	var body []byte
	for _, d := range wanted.Digests {
		body = append(body, s.samples[d]...)
	}
	body = loop.AppendEnd(body)
	sent := len(body)
	if s.limit != nil {
		sent = min(sent, s.limit(s.requests, sent))
	}
	torn(w, body, sent)
}

func collect(t *testing.T, s *store, digests []loop.Digest) ([]loop.Digest, error) {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	var got []loop.Digest
	for sample, err := range quick(server.URL).Samples(t.Context(), digests) {
		if err != nil {
			return got, err
		}
		if len(sample.Members) != 2 || sample.Member("label.json") == nil || sample.Member("x") != nil {
			t.Fatalf("members are %+v", sample.Members)
		}
		got = append(got, sample.Digest)
	}
	return got, nil
}

func TestSamples(t *testing.T) {
	s := newStore(t, 1200)
	got, err := collect(t, s, s.digests)
	if err != nil || !slices.Equal(got, s.digests) || s.requests != 3 {
		t.Errorf("%d samples in %d requests, %v", len(got), s.requests, err)
	}
	twice := []loop.Digest{s.digests[5], s.digests[5], s.digests[4]}
	if got, err := collect(t, s, twice); err != nil || !slices.Equal(got, twice) {
		t.Errorf("one sample twice: %v, %v", got, err)
	}
	if got, err := collect(t, s, nil); err != nil || len(got) > 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
}

// TestSamplesGoOn: a download that breaks goes on at its sample.
func TestSamplesGoOn(t *testing.T) {
	s := newStore(t, 20)
	s.limit = func(request, length int) int {
		if request < 4 {
			return length / 3
		}
		return length
	}
	if got, err := collect(t, s, s.digests); err != nil || !slices.Equal(got, s.digests) || s.requests != 4 {
		t.Errorf("%d samples in %d requests, %v", len(got), s.requests, err)
	}
}

// TestSamplesLie is I8: other bytes than were asked for are never handed out.
func TestSamplesLie(t *testing.T) {
	for name, spoil := range map[string]func(*store){
		"another sample": func(s *store) { s.samples[s.digests[2]] = s.samples[s.digests[3]] },
		"a changed byte": func(s *store) { s.samples[s.digests[2]] = flip(s.samples[s.digests[2]], 512) },
		"a broken tar":   func(s *store) { s.samples[s.digests[2]] = flip(s.samples[s.digests[2]], 148) },
		"none":           func(s *store) { delete(s.samples, s.digests[2]) },
		"one too many": func(s *store) {
			s.samples[s.digests[3]] = slices.Concat(s.samples[s.digests[3]], s.samples[s.digests[0]])
		},
		"never any": func(s *store) { s.limit = func(int, int) int { return 100 } },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, 4)
			spoil(s)
			got, err := collect(t, s, s.digests)
			if err == nil {
				t.Fatal("no error")
			}
			if !slices.Equal(got, s.digests[:len(got)]) {
				t.Errorf("handed out %v", got)
			}
		})
	}
}

func flip(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

func FuzzDecodeSamples(f *testing.F) {
	entries, _, err := loop.AppendSample(nil, "r1-t0-i0-a0", []loop.Member{{Ext: "a", Bytes: []byte("x")}, {Ext: "b", Bytes: nil}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(entries)
	f.Add(entries[:700])
	f.Add(loop.AppendEnd(slices.Concat(entries, entries)))
	f.Add(flip(entries, 156))
	f.Fuzz(func(t *testing.T, b []byte) {
		for s, err := range DecodeSamples(bytes.NewReader(b)) {
			if err != nil {
				continue
			}
			if d, err := loop.SampleDigest(s.Members); err != nil || d != s.Digest {
				t.Fatalf("digest %s of %+v, %v", s.Digest, s.Members, err)
			}
		}
	})
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add(manifest(2))
	f.Add(manifest(2)[:90])
	f.Add([]byte("{}\n[]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, failed := 0, false
		for _, err := range DecodeManifest(bytes.NewReader(b)) {
			if failed {
				t.Fatal("a row behind an error")
			}
			if failed = err != nil; !failed {
				rows++
			}
		}
		if lines := bytes.Count(b, []byte("\n")) + 1; rows > lines {
			t.Fatalf("%d rows in %d lines", rows, lines)
		}
	})
}

// TestDecodeSamplesRefuses what is no plain file of a sample.
func TestDecodeSamplesRefuses(t *testing.T) {
	for _, h := range []tar.Header{
		{Name: "key.a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		{Name: "nodot", Typeflag: tar.TypeReg},
		{Name: "key.../../x", Typeflag: tar.TypeReg},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(&h)
		w.Close()
		for _, err := range DecodeSamples(io.NopCloser(&b)) {
			if err == nil || !strings.Contains(err.Error(), "samples:") {
				t.Errorf("%s: %v", h.Name, err)
			}
		}
	}
}
