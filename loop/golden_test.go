package loop

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files in testdata instead of comparing with them")

var numbers = regexp.MustCompile(`\[[\s\d,]+\]`)

// golden compares a value's JSON with a file, byte by byte.
func golden(t *testing.T, name string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	// Arrays of numbers on one line each: the files are read by people, too.
	got = append(numbers.ReplaceAllFunc(got, func(b []byte) []byte {
		return bytes.Join(bytes.Fields(b), []byte(" "))
	}), '\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Fatalf("%s differs from byte %d on: got …%s…, want …%s… (a change here changes what every past round means; -update writes it)",
			path, at, got[at:min(at+80, len(got))], want[at:min(at+80, len(want))])
	}
}
