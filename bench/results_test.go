package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hone/loop"
)

// TestResults: a section is written anew, those of other parts stay as they are;
// the plot is XML and has a line per strategy and world.
func TestResults(t *testing.T) {
	o := small(t)
	o.strategies = []string{loop.StrategyHone, loop.StrategyTarget}
	o.seeds, o.rounds, o.long = 1, 2, 2
	measures, err := samples{}.run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "RESULTS.md")
	if err := writeResults(to, map[string][]measure{"determinism": {measure{Name: "determinism/a", Value: 3}.goal(false, "0")}}, o); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := writeResults(to, map[string][]measure{"samples": measures}, o); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]int{"\n## ": 2, "determinism/a": 1, "**missed**": -1, "(RESULTS.svg)": 1, "| samples/nose |": 1, "| target |": 2} {
		if got := strings.Count(string(b), what); got != n && (n >= 0 || got == 0) {
			t.Errorf("%q stands there %d times, want %d:\n%s", what, got, n, b)
		}
	}
	file, err := os.Open(strings.TrimSuffix(to, ".md") + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := 0
	for d := xml.NewDecoder(file); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "title" {
			lines++
		}
	}
	if lines != 2*3 {
		t.Errorf("the plot has %d lines, want 3 in each of two worlds", lines)
	}
}

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 18000: "18000", 2.847: "2.85", .7893: "0.789", 123.4: "123", .00213: "0.0021", -.47: "-0.470"} {
		if got := figure(x); got != want {
			t.Errorf("figure(%v) = %q, want %q", x, got, want)
		}
	}
}

// A command that is written down has no path of the machine that it ran on.
func TestCommandLine(t *testing.T) {
	if got := commandLine([]string{"decision", "--adult", "/data/adult-train.csv", "--to", "bench/RESULTS.md"}); got != "decision --adult adult-train.csv --to bench/RESULTS.md" {
		t.Error(got)
	}
}
