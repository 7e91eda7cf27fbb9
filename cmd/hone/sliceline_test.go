package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// The score of SliceLine, from a table, is what its formula says of every conjunction.
func TestSliceLineOfATable(t *testing.T) {
	file := evaluations(t)
	const alpha, support = .9, 50
	code, stdout, stderr := hone(t, "", "slices", file, "--error", "correct = false", "--objective", "sliceline", "--factors", "light,glove",
		"--alpha", fmt.Sprint(alpha), "--support", fmt.Sprint(support), "--top", "3", "--output", "json")
	if code != 0 || !strings.Contains(stderr, "SliceLine's score (alpha 0.9, support 50)") {
		t.Fatalf("code %d: %s", code, stderr)
	}
	var got []scored
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows, all := table[1:], 0.0
	sums := map[string][2]float64{} // rows and errors, by slice
	for _, r := range rows {
		e := 0.0
		if r[8] == "false" {
			e = 1
		}
		all += e
		for _, key := range []string{"light=" + r[2], "glove=" + r[3], "glove=" + r[3] + " light=" + r[2]} {
			sums[key] = [2]float64{sums[key][0] + 1, sums[key][1] + e}
		}
	}
	n := float64(len(rows))
	score := func(s [2]float64) float64 { return alpha*(s[1]/s[0]/(all/n)-1) - (1-alpha)*(n/s[0]-1) }
	var best []string
	for key, s := range sums {
		if s[0] >= support && score(s) > 0 {
			best = append(best, key)
		}
	}
	slices.SortFunc(best, func(a, b string) int { return cmp.Compare(score(sums[b]), score(sums[a])) })
	if len(best) < 2 || len(got) != min(3, len(best)) {
		t.Fatalf("%d slices, want %v", len(got), best)
	}
	for i, s := range got {
		var parts []string
		for _, factor := range []string{"glove", "light"} {
			if level := s.Slice[factor]; level != "" {
				parts = append(parts, factor+"="+level)
			}
		}
		want := sums[best[i]]
		if strings.Join(parts, " ") != best[i] || math.Abs(s.Score-score(want)) > 1e-9 || float64(s.N) != want[0] || s.Errors != want[1] || math.Abs(s.Lift-want[1]/want[0]/(all/n)) > 1e-9 {
			t.Errorf("%d: %+v, want %s of %v rows and errors, score %v", i, s, best[i], want, score(want))
		}
	}
}

func TestObjectiveRefusals(t *testing.T) {
	file := evaluations(t)
	for want, args := range map[string][]string{
		"takes every row for itself":              {"--objective", "sliceline", "--group", "clip"},
		"SliceLine's score tests nothing":         {"--objective", "sliceline", "--fdr", "0.1"},
		"add --objective sliceline":               {"--alpha", "0.5"},
		"--support: it is of SliceLine's score":   {"--support", "5"},
		"--objective is excess or sliceline, not": {"--objective", "lift"},
		"--alpha: 1.5 is out of bounds":           {"--objective", "sliceline", "--alpha", "1.5"},
		"--support: 0 rows":                       {"--objective", "sliceline", "--support", "0"},
		"--top: 0 slices":                         {"--objective", "sliceline", "--top", "0"},
		"--order: -1 conditions: 1 or more":       {"--objective", "sliceline", "--order", "-1"},
	} {
		code, stdout, stderr := hone(t, "", append([]string{"slices", file, "--error", "correct = false"}, args...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: code %d, %q, want %q", args, code, stderr, want)
		}
	}
	code, stdout, _ := hone(t, "", "slices", file, "--error", "correct = false", "--objective", "sliceline", "--support", "9000")
	if code != exitOK || stdout != "No slice of at least 9000 rows has a score above 0.\n" {
		t.Errorf("code %d: %q", code, stdout)
	}
}
