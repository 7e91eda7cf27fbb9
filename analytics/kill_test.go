//go:build duckdb_arrow && cgo

package analytics

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hone/loop"
)

// killedEnv names the directory of the world that a child process follows.
const killedEnv = "HONE_ANALYTICS_KILLED"

// TestChild is not a test: it is the process that TestKilled kills.
func TestChild(t *testing.T) {
	root := os.Getenv(killedEnv)
	if root == "" {
		t.Skip("only as a child of TestKilled")
	}
	w := newWorld(t)
	w.dir = root
	text, err := os.ReadFile(filepath.Join(root, "changes.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &w.changes); err != nil {
		t.Fatal(err)
	}
	v := w.run(filepath.Join(root, "view"), func(o *Options) { o.Batch = 2 })
	for n := uint64(1); ; n++ {
		if err := v.Wait(context.Background(), n); err != nil {
			t.Fatal(err)
		}
		fmt.Println("at", n)
	}
}

// C20: a view that is killed at any moment has applied each change wholly or
// not at all, and once.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	const parts, rows = 40, 50
	for p := range uint64(parts) {
		var samples []loop.SampleRow
		for i := range uint64(rows) {
			samples = append(samples, sample("c", loop.Name{Round: 1, Index: p*rows + i}, 0, 0, 0, loop.Absent))
		}
		reference := w.addPart(loop.SampleParts, s.Name, w.samples(s, samples...))
		w.add(loop.Change{Void: &loop.Void{Reference: reference, Rows: []uint32{7}}})
	}
	text, err := json.Marshal(w.changes)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "changes.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, until := range []string{"at 1", "at 9", "at 10", "at 33", "at 60"} {
		child := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
		child.Env = append(os.Environ(), killedEnv+"="+w.dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && strings.TrimSpace(lines.Text()) != until; {
		}
		_ = child.Process.Kill()
		_ = child.Wait()

		st, fresh, err := openStore(t.Context(), filepath.Join(w.dir, "view", "_view.duckdb"), "threads=1", "test")
		if err != nil || fresh != nil {
			t.Fatalf("%s: %v, %v", until, err, fresh)
		}
		var n, distinct, want uint64
		if err := st.db.QueryRow(`SELECT count(*), count(DISTINCT "index") FROM shapes.samples`).Scan(&n, &distinct); err != nil {
			t.Fatal(err)
		}
		// After the space, every odd change is a void, every even one a part.
		want = st.sequence/2*rows - (st.sequence-1)/2
		if n != want || distinct != want || fmt.Sprint("at ", st.sequence) < until && len(until) == len(fmt.Sprint("at ", st.sequence)) {
			t.Errorf("%s: at sequence %d there are %d rows, %d of them distinct, not %d", until, st.sequence, n, distinct, want)
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
	}
	v := w.run(filepath.Join(w.dir, "view")).latest(w)
	equalLines(t, "at the end", v.table(`SELECT count(*), count(DISTINCT "index") FROM shapes.samples`), []string{fmt.Sprintf("%d|%[1]d", parts*(rows-1))})
}
