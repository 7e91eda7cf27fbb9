package spec_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hone/spec"
)

func TestUnified(t *testing.T) {
	a := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n"
	b := "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm"
	want := "--- p@1\n+++ p@2\n@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -10,3 +10,4 @@\n j\n k\n l\n+m\n\\ No newline at end of file\n"
	if got := spec.Unified("p@1", "p@2", a, b); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := spec.Unified("p@1", "p@2", a, a); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

// What Unified writes turns the one text into the other, as patch applies it.
func TestUnifiedIsApplied(t *testing.T) {
	patch, err := exec.LookPath("patch")
	if err != nil {
		patch = ""
	}
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "\n", "- x\n"}), 0, 30)
		a := strings.Join(lines.Draw(t, "a"), "") + rapid.SampledFrom([]string{"", "end"}).Draw(t, "end of a")
		b := strings.Join(lines.Draw(t, "b"), "") + rapid.SampledFrom([]string{"", "end"}).Draw(t, "end of b")
		diff := spec.Unified("a", "b", a, b)
		if got := applied(t, a, diff); got != b {
			t.Fatalf("%q by\n%s\nis %q, want %q", a, diff, got, b)
		}
		if n++; patch == "" || n > 20 || diff == "" || a == "" || b == "" {
			return
		}
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, []byte(a), 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(patch, "-s", path)
		c.Stdin = strings.NewReader(diff)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("patch: %v, %s\n%s", err, out, diff)
		}
		if got, _ := os.ReadFile(path); string(got) != b {
			t.Fatalf("patch made %q of %q by\n%s", got, a, diff)
		}
	})
}

// applied applies a unified diff by its line numbers.
func applied(t *rapid.T, a, diff string) string {
	if diff == "" {
		return a
	}
	old := strings.SplitAfter(a, "\n")
	var out strings.Builder
	at := 0
	lines := strings.SplitAfter(diff, "\n")[2:]
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		var from, count, to, made int
		if n, _ := fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &from, &count, &to, &made); n == 4 {
			if count > 0 {
				from--
			}
			for ; at < from; at++ {
				out.WriteString(old[at])
			}
			continue
		}
		if line == "" {
			continue
		}
		text := line[1:]
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\\") {
			text = strings.TrimSuffix(text, "\n")
		}
		switch line[0] {
		case ' ', '-':
			if old[at] != text {
				t.Fatalf("line %d is %q, not %q", at+1, old[at], text)
			}
			if at++; line[0] == ' ' {
				out.WriteString(text)
			}
		case '+':
			out.WriteString(text)
		}
	}
	for ; at < len(old); at++ {
		out.WriteString(old[at])
	}
	return out.String()
}
