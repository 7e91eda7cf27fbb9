package export

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"hone/api"
	"hone/loop"
)

// shelf serves one version of a dataset as a server does, and can break off.
type shelf struct {
	*httptest.Server
	rows     []api.Row
	header   api.RowsHeader
	manifest []byte
	samples  map[loop.Digest][]byte

	mu sync.Mutex
	// left is how many samples are sent until the connection breaks; then nothing
	// more is served. Below 0 there is no limit.
	left int
	// sent counts the samples that were asked for.
	sent int
	// spoil changes a sample's bytes on their way.
	spoil loop.Digest
}

// newShelf serves n samples. From the later-th on they have a mask, too.
func newShelf(t *testing.T, n, later, size int) *shelf {
	t.Helper()
	s := &shelf{left: -1, samples: map[loop.Digest][]byte{}, header: api.RowsHeader{Hone: api.RowsFormat, Dataset: "loop@2", Samples: int64(n), Campaign: "loop",
		Space: "lab@1", Factors: []api.RowFactor{{Name: "light", Kind: loop.Categorical}, {Name: "distance", Kind: loop.Numeric}, {Name: "colour", Kind: loop.Ordinal}}, Labels: []string{"visible"}}}
	var manifest bytes.Buffer
	fmt.Fprintf(&manifest, "{\"hone\":\"manifest/1\",\"name\":\"loop\",\"rows\":%d}\n", n)
	for i := range n {
		members := []loop.Member{{Ext: "image.png", Bytes: bytes.Repeat([]byte{byte(i), byte(i >> 8), 'x'}, size)}, {Ext: "label.json", Bytes: fmt.Appendf(nil, `{"class":%d}`, i%3)}}
		if i >= later {
			members = append(members, loop.Member{Ext: "mask.png", Bytes: []byte{1, 2, byte(i)}})
		}
		name := loop.Name{Round: 1, Component: i / 50, Index: uint64(i % 50)}
		row := api.Row{Key: name.Key(), Seed: 1<<63 + uint64(i), Described: api.Described{
			Scenario: map[string]any{"light": []string{"low", "day"}[i%2], "distance": 1.5 + float64(i)}, Levels: map[string]string{"distance": "[0,5)"}, Labels: map[string]string{"visible": "no"}}}
		if i%2 == 0 {
			row.Scenario["colour"] = "red"
		}
		if i%5 == 0 {
			delete(row.Scenario, "distance")
			row.Levels = nil
		}
		entries, digest, err := loop.AppendSample(nil, name.Key(), members)
		if err != nil {
			t.Fatal(err)
		}
		row.ManifestRow = api.ManifestRow{Round: 1, Component: name.Component, Index: name.Index, Digest: digest, Weight: 1 / (1 + float64(i)), Split: "train"}
		s.samples[digest] = entries
		s.rows = append(s.rows, row)
		if err := json.NewEncoder(&manifest).Encode(row.ManifestRow); err != nil {
			t.Fatal(err)
		}
	}
	s.manifest = manifest.Bytes()
	s.header.Manifest = sha256.Sum256(s.manifest)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/datasets/loop/2/manifest", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.manifest) })
	mux.HandleFunc("GET /v1/datasets/loop/2/rows", s.serveRows)
	mux.HandleFunc("GET /v1/datasets/loop/2", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s.dataset()) })
	mux.HandleFunc("GET /v1/campaigns/loop", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Campaign{Name: "loop", Policy: "plain@1", Generator: "g", Seed: 7, Document: "name: loop\n"})
	})
	mux.HandleFunc("POST /v1/samples", s.serveSamples)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *shelf) dataset() api.Dataset {
	return api.Dataset{Name: "loop", Version: 2, Samples: int64(len(s.rows)), Manifest: s.header.Manifest, Campaign: "loop", Split: "train"}
}

func (s *shelf) serveRows(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	_ = json.NewEncoder(w).Encode(s.header)
	for _, row := range s.rows[from:] {
		_ = json.NewEncoder(w).Encode(row)
	}
}

func (s *shelf) serveSamples(w http.ResponseWriter, r *http.Request) {
	var wanted api.Wanted
	_ = json.NewDecoder(r.Body).Decode(&wanted)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range wanted.Digests {
		if s.left == 0 {
			panic(http.ErrAbortHandler)
		}
		s.left--
		s.sent++
		entries := s.samples[d]
		if d == s.spoil {
			entries = slices.Clone(entries)
			entries[512] ^= 1
		}
		_, _ = w.Write(entries)
	}
	_, _ = w.Write(make([]byte, 1024))
}

// limit lets n more samples through and forgets how many were sent.
func (s *shelf) limit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.sent = n, 0
}

func (s *shelf) export(t *testing.T, o Options) (*Description, error) {
	t.Helper()
	client := api.New(s.URL)
	client.Patience, client.Pause = 5*time.Millisecond, time.Millisecond
	return exported(t, client, s.dataset(), o)
}

func exported(t *testing.T, client *api.Client, d api.Dataset, o Options) (*Description, error) {
	t.Helper()
	e, err := Open(client, d, o)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return e.Run(t.Context(), Progress{})
}
