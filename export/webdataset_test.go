package export

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/loop"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What WebDataset's readers see of a shard, to the byte of its metadata.
func TestWebDatasetGolden(t *testing.T) {
	s := newShelf(t, 3, 2, 4)
	dir := t.TempDir()
	if _, err := s.export(t, Options{Dir: dir, Format: "webdataset", ShardSamples: 2, ShardBytes: 1 << 20}); err != nil {
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
	fmt.Fprintf(&seen, "%s\n%s", descriptionFile, files(t, dir)[descriptionFile])
	golden(t, "webdataset", seen.String())
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
