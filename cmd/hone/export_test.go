package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

func (s *shelf) export(t *testing.T, o exportOptions) (*exported, error) {
	t.Helper()
	client := api.New(s.URL)
	client.Patience, client.Pause = 5*time.Millisecond, time.Millisecond
	return exportDataset(t.Context(), client, s.dataset(), o, io.Discard)
}

// files are the contents of a directory, without the lock.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != exportLock {
			out[e.Name()] = string(text)
		}
	}
	return out
}

// equalFiles holds that a directory has just these files.
func equalFiles(t *testing.T, what, dir string, want map[string]string) {
	t.Helper()
	got := files(t, dir)
	for name, content := range want {
		if got[name] != content {
			t.Errorf("%s: %s differs, of %d and %d bytes", what, name, len(got[name]), len(content))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is left over", what, name)
		}
	}
}

// What WebDataset's readers see of a shard, to the byte of its metadata.
func TestWebDatasetGolden(t *testing.T) {
	s := newShelf(t, 3, 2, 4)
	dir := t.TempDir()
	if _, err := s.export(t, exportOptions{Dir: dir, Format: "webdataset", ShardSamples: 2, ShardBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	i := 0
	for _, name := range []string{"loop-000000.tar", "loop-000001.tar"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fmt.Fprintln(&seen, name)
		entries := tar.NewReader(f)
		var members []loop.Member
		for {
			h, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			content, readErr := io.ReadAll(entries)
			if err != nil || readErr != nil {
				t.Fatal(err, readErr)
			}
			fmt.Fprintf(&seen, "%s %d bytes, mode %o, owner %d/%q, at %d\n", h.Name, h.Size, h.Mode, h.Uid, h.Uname, h.ModTime.Unix())
			key, ext, _ := strings.Cut(h.Name, ".")
			if ext != metadataMember {
				members = append(members, loop.Member{Ext: ext, Bytes: content})
				continue
			}
			fmt.Fprintf(&seen, "   %s\n", content)
			digest, err := loop.SampleDigest(members)
			if err != nil || digest != s.rows[i].Digest || key != s.rows[i].Key {
				t.Errorf("sample %d: key %s, digest %s, %v", i, key, digest, err)
			}
			members, i = nil, i+1
		}
	}
	fmt.Fprintf(&seen, "%s\n%s", exportDescription, files(t, dir)[exportDescription])
	golden(t, "webdataset", seen.String())
}

// Broken off anywhere, an export goes on behind the shards that are whole; the
// end is that of one which nothing happened to, byte for byte. On the way
// nothing that is not whole has a final name.
func TestExportGoesOn(t *testing.T) {
	const n = 60
	for format := range exportFormats {
		s := newShelf(t, n, 33, 300)
		o := exportOptions{Format: format, ShardSamples: 10, ShardBytes: 1 << 20, Dir: t.TempDir()}
		whole, err := s.export(t, o)
		if err != nil {
			t.Fatal(err)
		}
		want := files(t, o.Dir)
		sizes := ""
		for _, shard := range whole.Shards {
			sizes += fmt.Sprintf("%d ", shard.Samples)
		}
		if sizes != "10 10 10 3 10 10 7 " { // a new member begins another shard
			t.Errorf("%s: shards of %s", format, sizes)
		}
		for cut := 0; cut < n; cut += 7 {
			o.Dir = filepath.Join(t.TempDir(), "new")
			s.limit(cut)
			if _, err := s.export(t, o); err == nil {
				t.Fatalf("%s, cut at %d: no error", format, cut)
			}
			done := 0
			for name, content := range files(t, o.Dir) {
				switch {
				case strings.HasPrefix(name, "loop-"):
					done++
					fallthrough
				case name == exportManifest:
					if content != want[name] {
						t.Errorf("%s, cut at %d: %s is not whole", format, cut, name)
					}
				case name != exportJournal:
					t.Errorf("%s, cut at %d: %s is left over", format, cut, name)
				}
			}
			there := 0
			for _, shard := range whole.Shards[:done] {
				there += int(shard.Samples)
			}
			s.limit(-1)
			if _, err := s.export(t, o); err != nil {
				t.Fatalf("%s, cut at %d, then: %v", format, cut, err)
			}
			if s.sent != n-there {
				t.Errorf("%s, cut at %d: %d samples were there, and %d fetched", format, cut, there, s.sent)
			}
			equalFiles(t, fmt.Sprintf("%s, cut at %d", format, cut), o.Dir, want)
		}
		// Killed: a shard that is half written, a line of the journal, too.
		s.limit(25)
		o.Dir = filepath.Join(t.TempDir(), "killed")
		_, _ = s.export(t, o)
		if err := os.WriteFile(filepath.Join(o.Dir, ".loop-000002."+exportFormats[format].ext+partialSuffix), []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
		journal, err := os.OpenFile(filepath.Join(o.Dir, exportJournal), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(journal, `{"file":"loop-0000`)
		journal.Close()
		s.limit(-1)
		if _, err := s.export(t, o); err != nil {
			t.Fatal(err)
		}
		equalFiles(t, format+", killed", o.Dir, want)
		// Whole, it is verified, and mended where it is damaged.
		s.limit(-1)
		if again, err := s.export(t, o); err != nil || s.sent != 0 || again.Samples != n {
			t.Errorf("%s: exported again: %v, %d samples fetched", format, err, s.sent)
		}
		damaged := filepath.Join(o.Dir, whole.Shards[3].File)
		content := []byte(want[whole.Shards[3].File])
		content[len(content)/2] ^= 1
		if err := errors.Join(os.WriteFile(damaged, content, 0o666), os.Remove(filepath.Join(o.Dir, whole.Shards[5].File))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.export(t, o); err != nil || s.sent != 13 {
			t.Errorf("%s: mended: %v, %d samples fetched", format, err, s.sent)
		}
		equalFiles(t, format+", mended", o.Dir, want)
	}
}

// What is there already, and is not this export, stays as it is; what comes and
// is not what the manifest says gets no name.
func TestExportRefusals(t *testing.T) {
	s := newShelf(t, 20, 20, 10)
	o := exportOptions{Format: "webdataset", ShardSamples: 10, ShardBytes: 1 << 20}
	in := func(name, content string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	whole := t.TempDir()
	o.Dir = whole
	if _, err := s.export(t, o); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir    string
		change func(*exportOptions)
		want   string
	}{
		"a stranger's directory":    {in("thesis.tex", "precious"), nil, `is not empty (there is "thesis.tex")`},
		"a stranger's dataset.json": {in(exportDescription, "{}"), nil, "is not of an export of this program"},
		"a stranger's journal":      {in(exportJournal, "nonsense\n"), nil, "is not of an export"},
		"another format":            {whole, func(o *exportOptions) { o.Format = "parquet" }, "holds loop@2 as webdataset, with shards of up to 10 samples"},
		"other shards":              {whole, func(o *exportOptions) { o.ShardSamples = 5 }, "say the same again"},
		"another version":           {in(exportDescription, `{"hone":"export/1","dataset":"loop@1","format":"webdataset"}`), nil, "holds loop@1"},
		"another one that is begun": {in(exportJournal, `{"hone":"export/1","dataset":"loop@1"}`+"\n"), nil, "holds loop@1"},
	} {
		before := files(t, c.dir)
		o := o
		if o.Dir = c.dir; c.change != nil {
			c.change(&o)
		}
		_, err := s.export(t, o)
		if !errors.Is(err, loop.ErrConflict) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
		equalFiles(t, name, c.dir, before)
	}

	// Two at once.
	o.Dir = t.TempDir()
	first, err := openTarget(o.Dir, exportHead{Hone: exportFormat, Dataset: "loop@2", Manifest: s.header.Manifest, Format: o.Format, ShardSamples: 10, ShardBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.export(t, o); !errors.Is(err, loop.ErrConflict) || !strings.Contains(err.Error(), "another export into") {
		t.Errorf("two at once: %v", err)
	}
	first.close()
	if _, err := s.export(t, o); err != nil {
		t.Errorf("after the other: %v", err)
	}

	// Lies of the server.
	for name, lie := range map[string]func(s *shelf){
		"manifest": func(s *shelf) { s.manifest = append(s.manifest, '\n') },
		"row":      func(s *shelf) { s.rows[15].Weight = 2 },
		"key":      func(s *shelf) { s.rows[15].Key = "r1-t0-i3-a0" },
		"sample":   func(s *shelf) { s.spoil = s.rows[15].Digest },
		"rows":     func(s *shelf) { s.rows = s.rows[:12] },
	} {
		s := newShelf(t, 20, 20, 10)
		d := s.dataset()
		lie(s)
		o.Dir = t.TempDir()
		client := api.New(s.URL)
		client.Patience = 0
		_, err := exportDataset(t.Context(), client, d, o, io.Discard)
		got := files(t, o.Dir)
		if _, named := got[exportDescription]; err == nil || named || got["loop-000001.tar"] != "" {
			t.Errorf("a false %s: %v", name, err)
		}
	}
}

// A table has a row per sample, with the columns of the SQL table samples and a
// BLOB per member, whatever shard they came from.
func TestParquetIsATable(t *testing.T) {
	s := newShelf(t, 40, 30, 100)
	dir := t.TempDir()
	if _, err := s.export(t, exportOptions{Dir: dir, Format: "parquet", ShardSamples: 25, ShardBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table := `read_parquet('` + filepath.Join(dir, "*.parquet") + `', union_by_name = true)`
	rows, err := db.QueryContext(t.Context(), `SELECT digest, key, round, component, "index", attempt, seed, importance_weight, split,
		light, distance, distance__level, colour, visible, image_png, label_json, mask_png FROM `+table+` ORDER BY component, "index"`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var r api.Row
		var digest, light, level, colour, visible string
		var distance sql.NullFloat64
		var image, label, mask []byte
		if err := rows.Scan(&digest, &r.Key, &r.Round, &r.Component, &r.Index, &r.Attempt, &r.Seed, &r.Weight, &r.Split, &light, &distance, &level, &colour, &visible, &image, &label, &mask); err != nil {
			t.Fatal(err)
		}
		if r.Digest, err = loop.ParseDigest(digest); err != nil {
			t.Fatal(err)
		}
		want := s.rows[n]
		members := []loop.Member{{Ext: "image.png", Bytes: image}, {Ext: "label.json", Bytes: label}}
		if mask != nil {
			members = append(members, loop.Member{Ext: "mask.png", Bytes: mask})
		}
		if d, err := loop.SampleDigest(members); err != nil || d != want.Digest {
			t.Errorf("row %d: its members hash to %s, %v", n, d, err)
		}
		wantColour, wantLevel := "absent", "absent"
		if c, ok := want.Scenario["colour"]; ok {
			wantColour = c.(string)
		}
		if l, ok := want.Levels["distance"]; ok {
			wantLevel = l
		}
		x, there := want.Scenario["distance"].(float64)
		if r.ManifestRow != want.ManifestRow || r.Key != want.Key || r.Seed != want.Seed || light != want.Scenario["light"] || colour != wantColour || level != wantLevel ||
			visible != "no" || distance.Valid != there || distance.Float64 != x {
			t.Errorf("row %d is %+v %s %s %v %s, want %+v", n, r, light, colour, distance, level, want)
		}
	}
	if err := rows.Err(); err != nil || n != 40 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// Members whose columns would bear a name that is taken get another.
func TestMemberColumn(t *testing.T) {
	taken := map[string]bool{"image_png": true}
	for member, want := range map[string]string{"image.png": "member_image_png", "label.json": "label_json", "a-b.c": "a_b_c"} {
		if got := memberColumn(member, taken); got != want {
			t.Errorf("%s: %s, want %s", member, got, want)
		}
	}
	taken["member_image_png"] = true
	if got := memberColumn("image.png", taken); got != "" {
		t.Errorf("%s", got)
	}
}

// Whatever a journal holds, reading it ends in a refusal or in shards that come
// in order, and what is written behind them is read again.
func FuzzJournal(f *testing.F) {
	head := exportHead{Hone: exportFormat, Dataset: "d@1", Format: "webdataset", ShardSamples: 1, ShardBytes: 1 << 20}
	line, _ := json.Marshal(head)
	shard, _ := json.Marshal(exportShard{File: "d-000000.tar", Bytes: 3, Samples: 1})
	f.Add(append(append(line, '\n'), append(shard, '\n')...))
	f.Add(append(append(line, '\n'), shard...))
	f.Add([]byte("{}\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, journal []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, exportJournal), journal, 0o666); err != nil {
			t.Fatal(err)
		}
		target, err := openTarget(dir, head)
		if err != nil {
			return
		}
		before := len(target.shards)
		if err := target.add(exportShard{File: target.shardName(before), Samples: 5}); err != nil {
			t.Fatal(err)
		}
		target.close()
		again, err := openTarget(dir, head)
		if err != nil || len(again.shards) != before+1 {
			t.Fatalf("read again: %v, %d shards of %d", err, len(again.shards), before+1)
		}
		again.close()
	})
}

// golden compares with a file of testdata, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}
