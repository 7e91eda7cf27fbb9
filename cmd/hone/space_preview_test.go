package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A generator in shell: a text file per sample, no picture.
const shellGenerator = `#!/bin/sh
while read -r line; do
  case $line in
  *'"type":"describe"'*) echo '{"type":"description","protocol":1,"version":"1","outputs":["note.txt"]}' ;;
  *'"type":"unit"'*)
    dir=$(printf %s "$line" | sed 's/.*"dir":"\([^"]*\)".*/\1/')
    n=0
    for index in $(printf %s "$line" | grep -o '"index":[0-9]*' | cut -d: -f2); do
      echo sample > "$dir/$index.txt"
      printf '{"type":"sample","index":%s,"files":{"note.txt":"%s.txt"}}\n' "$index" "$index"
      n=$((n + 1))
    done
    printf '{"type":"done","samples":%s}\n' "$n" ;;
  esac
done
`

const strangeSpace = `name: strange
factors:
  - name: select
    levels: ["<script>alert(1)</script>", "💡 on"]
  - name: distance
    edges: [0, 10]
`

func TestSpacePreview(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "sheet.html")
	code, stdout, stderr := hone(t, "", "space", "preview", "../../examples/shapes/space.yaml", "--generator", "shapes", "-n", "7",
		"--where", "light=low & shape=ring", "--to", page, "--output", "json")
	var out previewed
	if code != exitOK || json.Unmarshal([]byte(stdout), &out) != nil || out != (previewed{File: page, Generator: "shapes@1", Samples: 7, Pictures: 7}) {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	html, err := os.ReadFile(page)
	if err != nil || bytes.Count(html, []byte("<img ")) != 7 || bytes.Count(html, []byte("<dd>ring</dd>")) != 7 {
		t.Errorf("%v: the sheet is\n%.2000s", err, html)
	}
	for _, outside := range []string{"http://", "https://", "<script", "src=\"/"} {
		if bytes.Contains(html, []byte(outside)) {
			t.Errorf("the sheet has %q", outside)
		}
	}

	picture := filepath.Join(dir, "sheet.png")
	if code, _, stderr := hone(t, "", "space", "preview", "../../examples/shapes/space.yaml", "--generator=shapes", "--samples=6", "--to", picture); code != exitOK {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	file, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if decoded, err := png.Decode(file); err != nil || decoded.Bounds().Dx() != 12+5*(176+12) {
		t.Errorf("%v, %v", decoded.Bounds(), err)
	}
}

func TestSpacePreviewOfAProgram(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"space.yaml": strangeSpace, "generator.sh": shellGenerator} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	page := filepath.Join(dir, "sheet.html")
	code, stdout, stderr := hone(t, "", "space", "preview", filepath.Join(dir, "space.yaml"), "--generator-cmd", filepath.Join(dir, "generator.sh"), "--to", page)
	if code != exitOK || !strings.Contains(stdout, "shows 20 samples of all of deployment") {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	html, err := os.ReadFile(page)
	if err != nil || bytes.Contains(html, []byte("<script>")) || !bytes.Contains(html, []byte("&lt;script&gt;")) ||
		bytes.Count(html, []byte("no picture")) != 20 || !bytes.Contains(html, []byte("note.txt 7 bytes")) {
		t.Errorf("%v: the sheet is\n%.2000s", err, html)
	}
	before, _ := filepath.Glob(filepath.Join(os.TempDir(), "hone-preview-*"))
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"--generator-cmd false":                     {exitFailure, "preview"},
		"--generator nonsense":                      {exitUsage, "no built-in generator"},
		"--generator shapes --generator-cmd true":   {exitUsage, "one of"},
		"--generator shapes --where select=maybe":   {exitFailure, "--where"},
		"--generator shapes --samples 0":            {exitUsage, "--samples"},
		"--generator shapes --to " + dir + "/no/no": {exitFailure, "no/no"},
		"--generator shapes":                        {exitFailure, "the shapes generator"}, // of another space
		"--generator-cmd strange=true":              {exitUsage, "without a NAME: \"true\""},
	} {
		code, _, stderr := hone(t, "", append([]string{"space", "preview", filepath.Join(dir, "space.yaml")}, strings.Fields(line)...)...)
		if code != want.code || !strings.Contains(stderr, want.text) {
			t.Errorf("%s: exit code %d, %s", line, code, stderr)
		}
	}
	if after, _ := filepath.Glob(filepath.Join(os.TempDir(), "hone-preview-*")); len(after) > len(before) {
		t.Errorf("left behind: %s", after)
	}
}
