package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"hone/api"
	"hone/examples/shapes"
	"hone/loop"
)

// demoScreen is what is seen of a demo: bars where there is a terminal, plain
// lines elsewhere. Where the result goes to stdout as data, all of it is on
// stderr.
type demoScreen struct {
	mu     sync.Mutex
	out    io.Writer
	file   io.Writer // what out is without bars
	size   demoSize
	bars   *mpb.Progress // nil without a terminal
	made   *mpb.Bar
	arms   map[string]*mpb.Bar
	doings map[string]shapes.Progress
	told   time.Time
}

func newDemoScreen(stdout, stderr io.Writer, asData bool, size demoSize) *demoScreen {
	s := &demoScreen{out: stdout, size: size, arms: map[string]*mpb.Bar{}, doings: map[string]shapes.Progress{}}
	if asData {
		s.out = stderr
	}
	s.file = s.out
	if !isTerminal(s.out) {
		return s
	}
	s.bars = mpb.New(mpb.WithOutput(s.out), mpb.WithWidth(48), mpb.WithAutoRefresh())
	s.out = s.bars // lines that are printed go above the bars
	return s
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// started says what runs.
func (s *demoScreen) started(d *demo) {
	fmt.Fprintf(s.out, "Hone runs on %s, with %d workers; all of it is in %s.\n", d.url, d.workers, d.dir)
	fmt.Fprintf(s.out, "Two models learn to name a part's shape from %s pictures each, in %d rounds. Both train alike;\n"+
		"only what is made for them differs: %q follows the failures, %q does not.\n\n",
		thousands(s.size.rounds*s.size.samples), s.size.rounds, armLoop, armUniform)
	if s.bars == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = s.bars.AddBar(0,
		mpb.PrependDecorators(decor.Name("samples", decor.WC{W: 9, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d made")))
	for _, arm := range []string{armLoop, armUniform} {
		s.arms[arm] = s.bars.AddBar(int64(s.size.rounds*phases),
			mpb.PrependDecorators(decor.Name(arm, decor.WC{W: 9, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.doing(arm) })))
	}
}

// phases are the steps of a bar per round.
const phases = 5

var phaseSteps = map[shapes.Phase]int{shapes.PhaseWait: 0, shapes.PhaseFetch: 1, shapes.PhaseTrain: 2,
	shapes.PhaseEvaluate: 3, shapes.PhasePost: 4, shapes.PhaseDone: 5}

var phaseWords = map[shapes.Phase]string{shapes.PhaseWait: "waits for samples", shapes.PhaseFetch: "reads samples",
	shapes.PhaseTrain: "trains", shapes.PhaseEvaluate: "evaluates", shapes.PhasePost: "posts outcomes", shapes.PhaseDone: "is done"}

func (s *demoScreen) doing(arm string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.doings[arm]
	if !ok {
		return "starts"
	}
	return fmt.Sprintf("round %d of %d %s", p.Round, s.size.rounds, phaseWords[p.Phase])
}

// phase shows where a training job stands.
func (s *demoScreen) phase(p shapes.Progress) {
	s.mu.Lock()
	s.doings[p.Campaign] = p
	bar := s.arms[p.Campaign]
	s.mu.Unlock()
	if bar != nil {
		bar.SetCurrent(int64((p.Round-1)*phases + phaseSteps[p.Phase]))
		return
	}
	if p.Phase == shapes.PhaseDone && p.Campaign != armLoop && p.Score != nil {
		fmt.Fprintf(s.out, "%s, round %d: %s samples, mean %.3f, worst slice %.3f\n",
			p.Campaign, p.Round, thousands(p.Samples), p.Score.Mean, p.Score.Worst())
	}
}

// plainEvery is how often the number of samples is told without a terminal.
const plainEvery = 5 * time.Second

// samples shows how many samples are made, of all campaigns.
func (s *demoScreen) samples(made, wanted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made != nil {
		s.made.SetTotal(int64(wanted), false)
		s.made.SetCurrent(int64(made))
		return
	}
	if s.bars == nil && time.Since(s.told) >= plainEvery {
		s.told = time.Now()
		fmt.Fprintf(s.out, "%s of %s samples made\n", thousands(made), thousands(wanted))
	}
}

// topBoosts is how many boosts are shown after a round.
const topBoosts = 4

// round shows a round that has been trained on, and why it was what it was.
func (s *demoScreen) round(p shapes.Progress, d *api.Decision) {
	row := []string{digits(p.Round), thousands(p.Samples), "", "", fmt.Sprintf("%d of %d", p.Failures, p.Evaluated)}
	if p.Score != nil {
		row[2], row[3] = fmt.Sprintf("%.3f", p.Score.Mean), fmt.Sprintf("%.3f", p.Score.Worst())
	}
	var b lines
	fmt.Fprintln(&b)
	grid(&b, []string{"LOOP ROUND", "SAMPLES", "MEAN", "WORST SLICE", "EVALUATION FAILED"}, [][]string{row})
	shown, more := 0, 0
	for _, c := range d.Components {
		if c.Domain != loop.Train.String() || c.Reason == nil {
			continue
		}
		if shown == topBoosts {
			more++
			continue
		}
		shown++
		paragraph(&b, "   ", c.Reason.Sentence)
	}
	switch {
	case shown == 0:
		fmt.Fprintln(&b, "   No slice was boosted: there was no evidence yet, or none that fails more than chance explains.")
	case more > 0:
		fmt.Fprintf(&b, "   and %d more: %s round explain %s %d\n", more, self(), armLoop, p.Round)
	}
	b.flush(s.out)
}

// result shows how the arms compare, the accounting, and what to try next.
func (s *demoScreen) result(d *demo, r *demoResult) {
	s.close()
	var b lines
	row := func(name string, a demoArm) []string {
		to := "never"
		if a.SamplesToWorst != nil {
			to = thousands(*a.SamplesToWorst)
		}
		return []string{name, fmt.Sprintf("%.3f", a.WorstSliceAccuracy), fmt.Sprintf("%.3f", a.MeanAccuracy), percent(a.NoiseSliceShare), to}
	}
	fmt.Fprintln(&b)
	grid(&b, []string{"", "WORST SLICE", "MEAN", "SPENT ON THE UNLEARNABLE", "SAMPLES TO WORST .35"},
		[][]string{row("loop", r.Loop), row("uniform", r.Uniform)})
	exact := "every quota exact"
	if !r.Samples.QuotaExact {
		exact = "QUOTAS NOT EXACT"
	}
	fmt.Fprintf(&b, "\n%s training samples requested, %s committed, %s rejected by a gate, %s replaced, %s abandoned, %s twice: %s.\n",
		thousands(r.Samples.Requested), thousands(r.Samples.Committed), thousands(r.Samples.Rejected), thousands(r.Samples.Replaced),
		thousands(r.Samples.Abandoned), thousands(r.Samples.DuplicateIndices), exact)
	fmt.Fprintf(&b, "Dataset %s: %s samples, manifest %s. It took %.0f s.\n", r.Dataset.Version, thousands(r.Dataset.Samples), r.Dataset.Manifest, r.Elapsed)
	hone, with := self(), ""
	if d.keep {
		with = " --server " + d.url
		fmt.Fprintf(&b, "\nAll of it is in %s. Look around:\n", d.dir)
	} else {
		fmt.Fprintf(&b, "\nAll of it is in %s. Bring it up again, and look around from another terminal:\n   %s serve --data %s/server\n", d.dir, hone, d.dir)
	}
	fmt.Fprintf(&b, "   %s round explain%s %s %d\n", hone, with, armLoop, min(3, d.size.rounds))
	fmt.Fprintf(&b, "   %s sql%s \"select light, background, count(*) n, avg(correct::int) accuracy from shapes.outcomes where model_line = '%s' group by all order by accuracy limit 10\"\n", hone, with, armLoop)
	fmt.Fprintf(&b, "   %s dataset verify%s %s\n", hone, with, r.Dataset.Version)
	b.flush(s.out)
}

// self is how this program was called, for commands to type.
func self() string {
	path, err := os.Executable()
	if err == nil && strings.Contains(path, "go-build") { // `go run` leaves nothing to call
		return "go run -tags duckdb_arrow ./cmd/hone"
	}
	return "hone"
}

// report tells where the page is that has all of it.
func (s *demoScreen) report(path string) {
	fmt.Fprintf(s.out, "\nOn one page, with pictures: %s\n", path)
}

// kept says that the service stays up.
func (s *demoScreen) kept(d *demo) {
	fmt.Fprintf(s.out, "\nThe service stays up on %s until Ctrl-C.\n", d.url)
}

// close ends the bars; what is printed later stands below them.
func (s *demoScreen) close() {
	s.mu.Lock()
	bars := s.bars
	made, arms := s.made, s.arms
	s.mu.Unlock()
	if bars == nil {
		return
	}
	for _, bar := range arms {
		bar.Abort(false)
	}
	if made != nil {
		made.Abort(false)
	}
	bars.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bars, s.out = nil, s.file
}

// lines gathers text that must not be torn apart by bars.
type lines struct{ bytes.Buffer }

func (l *lines) flush(w io.Writer) {
	_, _ = l.WriteTo(w) // a screen that is gone is no reason to stop
}
