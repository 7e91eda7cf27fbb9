package export

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/api"
	"hone/loop"
)

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
		if e.Name() != lockName {
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

// Broken off anywhere, an export goes on behind the shards that are whole; the
// end is that of one which nothing happened to, byte for byte. On the way
// nothing that is not whole has a final name.
func TestExportGoesOn(t *testing.T) {
	const n = 60
	for format := range formats {
		s := newShelf(t, n, 33, 300)
		o := Options{Format: format, ShardSamples: 10, ShardBytes: 1 << 20, Dir: t.TempDir()}
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
				case name == manifestFile:
					if content != want[name] {
						t.Errorf("%s, cut at %d: %s is not whole", format, cut, name)
					}
				case name != journalFile:
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
		if err := os.WriteFile(filepath.Join(o.Dir, ".loop-000002."+formats[format].ext+partialSuffix), []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
		journal, err := os.OpenFile(filepath.Join(o.Dir, journalFile), os.O_APPEND|os.O_WRONLY, 0)
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
	o := Options{Format: "webdataset", ShardSamples: 10, ShardBytes: 1 << 20}
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
		change func(*Options)
		want   string
	}{
		"a stranger's directory":    {in("thesis.tex", "precious"), nil, `is not empty (there is "thesis.tex")`},
		"a stranger's dataset.json": {in(descriptionFile, "{}"), nil, "is not of an export of this program"},
		"a stranger's journal":      {in(journalFile, "nonsense\n"), nil, "is not of an export"},
		"another format":            {whole, func(o *Options) { o.Format = "parquet" }, "holds loop@2 as webdataset, with shards of up to 10 samples"},
		"other shards":              {whole, func(o *Options) { o.ShardSamples = 5 }, "say the same again"},
		"another version":           {in(descriptionFile, `{"hone":"export/1","dataset":"loop@1","format":"webdataset"}`), nil, "holds loop@1"},
		"another one that is begun": {in(journalFile, `{"hone":"export/1","dataset":"loop@1"}`+"\n"), nil, "holds loop@1"},
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

	// What no export can be.
	for want, o := range map[string]Options{
		`--format is webdataset or parquet, not "zip"`: {Format: "zip", ShardSamples: 1, ShardBytes: 1 << 20},
		"--shard-samples": {Format: "parquet", ShardBytes: 1 << 20},
		"--shard-size":    {Format: "parquet", ShardSamples: 1, ShardBytes: 1<<20 - 1},
	} {
		o.Dir = filepath.Join(t.TempDir(), "none")
		_, err := s.export(t, o)
		if _, refused := errors.AsType[*loop.Error](err); !refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if _, err := os.Stat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the directory was made", want)
		}
	}

	// Two at once.
	o.Dir = t.TempDir()
	first, err := openTarget(o.Dir, Head{Hone: headFormat, Dataset: "loop@2", Manifest: s.header.Manifest, Format: o.Format, ShardSamples: 10, ShardBytes: 1 << 20})
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
		_, err := exported(t, client, d, o)
		got := files(t, o.Dir)
		if _, named := got[descriptionFile]; err == nil || named || got["loop-000001.tar"] != "" {
			t.Errorf("a false %s: %v", name, err)
		}
	}
}
