package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/examples/shapes"
)

// found is the faults that a checker finds in a directory. A fatal one ends the
// search.
type found []string

func (f *found) Helper()                      {}
func (f *found) Error(args ...any)            { *f = append(*f, fmt.Sprint(args...)) }
func (f *found) Errorf(s string, args ...any) { *f = append(*f, fmt.Sprintf(s, args...)) }
func (f *found) Fatal(args ...any)            { f.Error(args...); runtime.Goexit() }
func (f *found) Fatalf(s string, args ...any) { f.Errorf(s, args...); runtime.Goexit() }

// The judge of the tests with kill -9 is not blind: what could be wrong with a
// directory, it finds.
func TestTheCheckerIsNotBlind(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and a worker")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	ledger := c.trainer("trainer", "small", 1, true)
	c.worker("w1", 1)
	c.start("server")
	c.put(shapes.SpaceDocument, []string{eagerPolicy}, []string{`name: small
space: shapes
policy: eager
generator: shapes
seed: 5
samples: 400
rounds: 1
evaluation: {target: 150}
gates: [format, blank]
`})
	c.start("w1", "trainer")
	course := c.courseOf("small", 1)
	c.await("the training job", func() bool { return !c.up["trainer"].alive() })
	c.check()
	c.kill("w1", "server")
	dir, worker, receipts := c.data("server"), c.data("w1"), readLedger(t, ledger)

	history := readHistory(t, dir)
	check := func(canonical [][]byte, receipts []receipt) (faults found) {
		done := make(chan struct{})
		go func() { // Fatal ends it
			defer close(done)
			judge := newChecker(&faults, filepath.Join(dir, "lake"), history)
			judge.campaign("small", canonical)
			judge.posts(receipts, 1)
			judge.tidy(worker)
		}()
		<-done
		return faults
	}
	if faults := check(course.canonical, receipts); len(faults) > 0 {
		t.Fatalf("nothing is wrong, but it finds %q", faults)
	}
	manifest := filepath.Join(dir, "lake", "manifests", "1", course.manifests["small@1"][7:9], course.manifests["small@1"][7:]+".ndjson")
	some := func(pattern string) string {
		paths, err := filepath.Glob(filepath.Join(dir, "lake", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		return paths[0]
	}
	edit := func(path string, change func([]byte) []byte) (undo func()) {
		before, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(slices.Clone(before)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.WriteFile(path, before, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(path string) (undo func()) {
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
		}
	}
	add := func(path string) (undo func()) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("left"), 0o644); err != nil {
			t.Fatal(err)
		}
		return func() { os.Remove(path) }
	}
	// rows changes the rows of the training manifest, and their number with them;
	// what the bytes hash to is found out in any case, so that other faults must be
	// found as well.
	rows := func(change func([][]byte) [][]byte) func() (undo func()) {
		return func() func() {
			return edit(manifest, func(b []byte) []byte {
				lines := slices.Collect(bytes.Lines(b))
				lines = append(lines[:1:1], change(lines[1:])...)
				lines[0] = fmt.Appendf(nil, `{"hone":"manifest/1","name":"small","rows":%d}`+"\n", len(lines)-1)
				return bytes.Join(lines, nil)
			})
		}
	}
	field := func(from, to string) func() (undo func()) {
		return rows(func(lines [][]byte) [][]byte {
			// Row 5, since every fifth is drawn again.
			lines[5] = bytes.Replace(lines[5], []byte(from), []byte(to), 1)
			return lines
		})
	}
	for name, c := range map[string]struct {
		spoil func() (undo func())
		finds string
	}{
		"a bit of a picture": {func() func() {
			return edit(some("packs/1/*/*.tar"), func(b []byte) []byte { b[512+40] ^= 1; return b })
		}, "no pack has"},
		"a pack is gone": {func() func() { return remove(some("packs/1/*/*.tar")) }, "is beyond pack"},
		// Not any: a part of verdicts tells why samples were sent back, and is not among
		// what the judge has to go by.
		"a part is gone":       {func() func() { return remove(filepath.Join(dir, "lake", history.somePart())) }, "part"},
		"the manifest is gone": {func() func() { return remove(manifest) }, "there is no manifest"},
		"a manifest of nobody": {func() func() {
			b := []byte(`{"hone":"manifest/1","name":"small","rows":0}` + "\n")
			sum := sha256.Sum256(b)
			digits := hex.EncodeToString(sum[:])
			path := filepath.Join(dir, "lake", "manifests", "1", digits[:2], digits+".ndjson")
			undo := add(path)
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			return undo
		}, "is of no version"},
		"a row less":      {rows(func(lines [][]byte) [][]byte { return lines[:len(lines)-1] }), "address"},
		"a row twice":     {rows(func(lines [][]byte) [][]byte { lines[7] = lines[6]; return lines }), "is there twice"},
		"and one missing": {rows(func(lines [][]byte) [][]byte { lines[7] = lines[6]; return lines }), "the quota is"},
		"other weight":    {field(`"importance_weight":`, `"importance_weight":1`), "weight"},
		"other attempt":   {field(`"attempt":0`, `"attempt":1`), "attempt 0 was good"},
		"other split":     {field(`"split":"train"`, `"split":"evaluation"`), "does not belong here"},
		"other round":     {field(`"round":1`, `"round":2`), "does not belong here"},
		"other digest": {rows(func(lines [][]byte) [][]byte {
			at := bytes.Index(lines[5], []byte("sha256:"))
			copy(lines[5][at:at+71], lines[6][bytes.Index(lines[6], []byte("sha256:")):])
			return lines
		}), "drawn again"},
		"a unit is held":   {func() func() { return add(filepath.Join(worker, "held", "u", "samples.tar")) }, "left behind"},
		"a unit is staged": {func() func() { return add(filepath.Join(dir, "lake", "staging", "w1", "u", "samples.tar")) }, "left behind"},
	} {
		t.Run(name, func(t *testing.T) {
			undo := c.spoil()
			defer undo()
			if faults := check(course.canonical, receipts); !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, c.finds) }) {
				t.Errorf("it finds %q, not %q", faults, c.finds)
			}
		})
	}
	for name, c := range map[string]struct {
		change func(*receipt)
		finds  string
	}{
		"a post is lost":        {func(r *receipt) { r.Key += "-other" }, "counts 0 times"},
		"a row is another":      {func(r *receipt) { r.Rows = slices.Clone(r.Rows); r.Rows[0].Correct = !r.Rows[0].Correct }, "not those that were sent"},
		"a loss is another":     {func(r *receipt) { r.Rows = slices.Clone(r.Rows); r.Rows[0].Loss++ }, "not those that were sent"},
		"a post of another run": {func(r *receipt) { r.EvalSet = "other@1" }, "eval_set"},
	} {
		t.Run(name, func(t *testing.T) {
			others := slices.Clone(receipts)
			c.change(&others[0])
			if faults := check(course.canonical, others); !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, c.finds) }) {
				t.Errorf("it finds %q, not %q", faults, c.finds)
			}
		})
	}
	t.Run("posts of nobody", func(t *testing.T) {
		if faults := check(course.canonical, receipts[:len(receipts)-2]); !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, "never acknowledged") }) {
			t.Errorf("it finds %q", faults)
		}
	})
	t.Run("another round", func(t *testing.T) {
		other := [][]byte{append(slices.Clone(course.canonical[0]), ' ')}
		if faults := check(other, receipts); !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, "not the one that the server told of") }) {
			t.Errorf("it finds %q", faults)
		}
	})
	if faults := check(course.canonical, receipts); len(faults) > 0 {
		t.Errorf("all is as it was, but it finds %q", faults)
	}
}
