package program

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/loop"
)

func specimenOf(text string) Specimen {
	return Specimen{Space: world(), Index: 1 << 31, Scenario: loop.Scenario{Codes: []loop.Code{0, 1, 0, loop.Absent}, Fractions: make([]uint32, 4)},
		Members: []loop.Member{{Ext: "a.txt", Bytes: []byte(text)}, {Ext: "b.txt"}}}
}

// judgesRight judges a good and a blank sample, and checks all of the verdicts.
func judgesRight(t *testing.T, g *Gate) {
	t.Helper()
	accepted, _, scores, err := g.Judge(t.Context(), specimenOf("good"))
	if err != nil || !accepted || len(scores) != 2 || scores[0] != (loop.Score{Name: "size", Value: 4}) || scores[1] != (loop.Score{Name: "z", Value: 0.5}) {
		t.Errorf("a good sample: %v, %v, %v", accepted, scores, err)
	}
	accepted, reason, scores, err := g.Judge(t.Context(), specimenOf("blank"))
	if err != nil || accepted || reason != "blank – all of it" || len(scores) != 1 {
		t.Errorf("a blank sample: %v, %q, %v, %v", accepted, reason, scores, err)
	}
}

func TestGateJudges(t *testing.T) {
	p := newProgram(t, "right")
	p.options.Processes = 2
	g, err := OpenGate(t.Context(), p.options)
	if err != nil {
		t.Fatal(err)
	}
	if g.Name() != "parts" || g.Version() != "1" {
		t.Errorf("%s@%s", g.Name(), g.Version())
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { judgesRight(t, g) })
	}
	wg.Wait()
	if n := len(p.processes()); n > 2 {
		t.Errorf("%d processes for 2", n)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	p.gone(t)
}

func TestGateThatDoesWrong(t *testing.T) {
	for _, c := range []struct {
		mode string
		rule Rule
		says string
	}{
		{"no verdict", RuleIndices, `"done" before index 2147483648`},
		{"no reason", RuleMessages, "a reason for a sample that is sent back"},
		{"neither", RuleMessages, "a verdict with accepted"},
		{"the verdict of another", RuleIndices, "index 2147483649"},
		{"two verdicts", RuleIndices, "a second time"},
		{"a score of NaN", RuleMessages, "NaN"},
		{"a score of 1e999", RuleMessages, "1e999"},
		{"a nameless score", RuleMessages, "finite scores with names"},
		{"failed", RuleMade, "the model is busy"},
		{"dies", RuleAlive, "CUDA out of memory"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			p := newProgram(t, c.mode)
			if c.mode == "failed" {
				p.always()
			}
			g, err := OpenGate(t.Context(), p.options)
			if err != nil {
				t.Fatal(err)
			}
			_, _, _, err = g.Judge(t.Context(), specimenOf("good"))
			if err == nil {
				t.Fatal("nothing was found wrong")
			}
			if breach := breachOf(t, err); breach.Rule != c.rule || !strings.Contains(err.Error(), c.says) {
				t.Errorf("breach of %s, not %s: %v", breach.Rule, c.rule, err)
			}
			if c.mode != "failed" {
				judgesRight(t, g)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			p.gone(t)
		})
	}
}

// A stage gives all samples up when one of them fails. That must not cost a gate
// its process, which may have taken minutes to load.
func TestGateIsKeptWhenAJudgementIsGivenUp(t *testing.T) {
	p := newProgram(t, "right")
	g, err := OpenGate(t.Context(), p.options)
	if err != nil {
		t.Fatal(err)
	}
	before := p.processes()
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
		_, _, _, _ = g.Judge(ctx, specimenOf("good")) // in time or not
		cancel()
	}
	judgesRight(t, g)
	if after := p.processes(); len(before) != 1 || len(after) != 1 || before[0] != after[0] {
		t.Errorf("process %v became %v", before, after)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	p.gone(t)
}
