package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "task")
	code, stdout, stderr := hone(t, "", "init", dir)
	if code != exitOK || !strings.Contains(stdout, "hone space check space.yaml") {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	for _, what := range []string{"space", "policy", "campaign"} {
		text, err := os.ReadFile(filepath.Join(dir, what+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		line, rest, _ := strings.Cut(string(text), "\n")
		schema := strings.TrimPrefix(line, "# yaml-language-server: $schema=")
		if kept, err := os.ReadFile(filepath.Join(dir, schema)); err != nil || !bytes.Equal(kept, schemas[what]()) {
			t.Errorf("%s.yaml names its schema by %q: %v", what, line, err)
		}
		if strings.Contains(rest, examplePath) {
			t.Errorf("%s.yaml speaks of %s", what, examplePath)
		}
	}
	if code, stdout, _ := hone(t, "", "space", "check", filepath.Join(dir, "space.yaml")); code != exitOK {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	before, err := filesBelow(dir)
	if err != nil || !slices.Contains(before, "hone/__init__.py") || !slices.Contains(before, "generator.py") {
		t.Fatalf("%q, %v", before, err)
	}
	// What somebody has changed stays.
	if err := os.WriteFile(filepath.Join(dir, "space.yaml"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr = hone(t, "", "init", dir)
	if text, _ := os.ReadFile(filepath.Join(dir, "space.yaml")); code != exitConflict || string(text) != "mine" || !strings.Contains(stderr, "is there already") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, _ := hone(t, "", "init"); code != exitUsage {
		t.Errorf("exit code %d without a directory", code)
	}
}

func filesBelow(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, err = filepath.Rel(dir, name)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("walk %s: %w", dir, err)
	}
	return names, nil
}
