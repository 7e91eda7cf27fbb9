package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/spec"
)

func policySimulateCommand() *cli.Command {
	return &cli.Command{
		Name:      "simulate",
		Usage:     "say what a policy would decide for a campaign, before it is put",
		ArgsUsage: "FILE|-",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "campaign", Aliases: []string{"C"}, Usage: "decide for the campaign `NAME`"},
			&cli.IntFlag{Name: "rounds", Usage: fmt.Sprintf("simulate the next `N` rounds (%d if left out); with --replay the last N (all, up to %d)", api.SimulatedRounds, api.MaxSimulated)},
			&cli.BoolFlag{Name: "replay", Usage: "decide the rounds that there were, each from its own evidence, instead of the next ones"},
		},
		Description: `Decides the next rounds by the policy in FILE and by the campaign's own, from the same
evidence, and shows what would change: samples by slice and level, GPU time, coverage,
and how often the samples would fail the newest model. That last is an off-policy
estimate from what the model did at other samples, with its 95 % interval; where the
evidence says too little, it is refused. Nothing is stored, and nothing is opened.

Example:
   hone policy simulate bolder.yaml --campaign loop --rounds 3`,
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "FILE")
			if err != nil {
				return err
			}
			if err := required(c, "campaign"); err != nil {
				return err
			}
			if n := c.Int("rounds"); c.IsSet("rounds") && (n < 1 || n > api.MaxSimulated) {
				return usage("--rounds is a number from 1 to %d, not %d", api.MaxSimulated, n)
			}
			text, err := document(c, args[0])
			if err != nil {
				return err
			}
			// What is wrong with it is said as FILE:LINE:COLUMN, without asking anyone.
			if _, err := spec.ParsePolicy(text); err != nil {
				return inFile(args[0], err)
			}
			var s api.Simulation
			err = waiting(c, "simulating", func(ctx context.Context) (err error) {
				s, err = client(c).Simulate(ctx, c.String("campaign"), api.Simulate{Policy: string(text), Rounds: c.Int("rounds"), Replay: c.Bool("replay")})
				return err
			})
			if err != nil {
				return err
			}
			return show(c, s, func(w io.Writer) { writeSimulation(w, &s) })
		},
	}
}

// waiting does something; if that takes long, a person at a terminal is told that
// it has not stopped.
func waiting(c *cli.Context, what string, do func(ctx context.Context) error) error {
	if !isTerminal(c.App.ErrWriter) {
		return do(c.Context)
	}
	done := make(chan error, 1)
	go func() { done <- do(c.Context) }()
	began, told := time.Now(), false
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if told {
				fmt.Fprint(c.App.ErrWriter, "\r\x1b[K")
			}
			return err
		case <-tick.C:
			if spent := time.Since(began); spent > 2*time.Second {
				told = true
				fmt.Fprintf(c.App.ErrWriter, "\r%s, %.0f s", what, spent.Seconds())
			}
		}
	}
}

func writeSimulation(w io.Writer, s *api.Simulation) {
	if len(s.Rounds) == 0 {
		return
	}
	first, last := s.Rounds[0].Round, s.Rounds[len(s.Rounds)-1].Round
	rounds := fmt.Sprintf("round %d", first)
	if last > first {
		rounds = fmt.Sprintf("rounds %d to %d", first, last)
	}
	beside := fmt.Sprintf("its own policy %s would", s.Current)
	if s.Replay {
		beside = "was decided then"
	}
	fmt.Fprintf(w, "What policy %s would make of campaign %s in %s, beside what %s.\n", printable(s.Candidate), printable(s.Campaign), rounds, printable(beside))
	if s.Replay {
		fmt.Fprint(w, "Each round is decided from the evidence of its time.\n\n")
	} else {
		fmt.Fprintf(w, "Decided from today's evidence: %s rows, of %s.\n\n", thousands(s.Rows), printable(strings.Join(s.Models, ", ")))
	}
	writeSimulatedRounds(w, s)
	writeMoves(w, s)
	writeYield(w, s)
	writeCoverage(w, s)
	fmt.Fprint(w, "\nWhat this cannot tell:\n")
	for _, n := range s.Unpredicted {
		paragraph(w, "  ", n)
	}
}

// writeSimulatedRounds has a line per round: how far the mixture goes, and how often
// its samples would fail.
func writeSimulatedRounds(w io.Writer, s *api.Simulation) {
	rows := [][]string{}
	for i := range s.Rounds {
		r := &s.Rounds[i]
		kl := "infinite"
		if r.KL != nil {
			kl = fmt.Sprintf("%.3f", *r.KL)
		}
		row := []string{digits(r.Round), thousands(uint64(r.Samples.To)), shift(r.Base, percent), shift(r.Effective, whole), percent(r.Step), kl, "", ""}
		for _, y := range r.Yields {
			if y.To != nil && row[6] == "" {
				row[6] = interval(y.To.Expected, y.To.Lower, y.To.Upper)
				if y.Difference != nil {
					row[7] = points(y.Difference.Expected)
				}
			}
		}
		rows = append(rows, row)
	}
	grid(w, []string{"ROUND", "SAMPLES", "BASE", "EFFECTIVE", "STEP", "KL", "WOULD FAIL", "CHANGE"}, rows)
}

// writeMoves lists what moves, by slice and by level, most first.
func writeMoves(w io.Writer, s *api.Simulation) {
	t := &s.Total
	if t.Seconds != nil {
		fmt.Fprintf(w, "\nGPU time: %s.\n", shift(*t.Seconds, func(x float64) string { return (time.Duration(x * float64(time.Second))).Round(time.Second).String() }))
	}
	if len(t.Slices) == 0 {
		fmt.Fprint(w, "\nNeither of the two boosts a slice.\n")
	} else {
		fmt.Fprint(w, "\nSamples by slice, in all rounds together (OWN: made because of it):\n\n")
		rows := [][]string{}
		for _, k := range t.Slices {
			rows = append(rows, []string{k.Name, whole(k.Quota.From), whole(k.Quota.To), change(k.Quota), whole(k.Samples.From), whole(k.Samples.To)})
		}
		grid(w, []string{"SLICE", "OWN", "WOULD BE", "CHANGE", "IN ALL", "WOULD BE"}, rows)
	}
	levels := slices.Clone(t.Levels)
	slices.SortStableFunc(levels, func(a, b api.SimulatedLevel) int {
		return cmp.Compare(math.Abs(b.Samples.To-b.Samples.From), math.Abs(a.Samples.To-a.Samples.From))
	})
	const most = 10
	rows := [][]string{}
	for _, l := range levels[:min(most, len(levels))] {
		// Less than a hundredth of the samples is no move.
		if math.Abs(l.Samples.To-l.Samples.From) >= .01*t.Samples.To {
			rows = append(rows, []string{l.Factor + "=" + l.Level, whole(l.Samples.From), whole(l.Samples.To), change(l.Samples)})
		}
	}
	if len(rows) > 0 {
		fmt.Fprint(w, "\nThe levels that move most:\n\n")
		grid(w, []string{"LEVEL", "SAMPLES", "WOULD BE", "CHANGE"}, rows)
	}
}

// writeYield says how often the samples of the first round would fail.
func writeYield(w io.Writer, s *api.Simulation) {
	first := &s.Rounds[0]
	for _, y := range first.Yields {
		fmt.Fprintln(w)
		of := y.ModelLine
		if y.Task != "" {
			of += " at " + y.Task
		}
		if y.To == nil {
			paragraph(w, "", fmt.Sprintf("How often the samples would fail %s cannot be said: %s.", of, y.Refused))
			continue
		}
		text := fmt.Sprintf("Of round %d's samples %s would fail %s as it is", first.Round, interval(y.To.Expected, y.To.Lower, y.To.Upper), of)
		if y.Difference != nil {
			text += fmt.Sprintf(", %s (%s to %s) than otherwise", points(y.Difference.Expected), points(y.Difference.Lower), points(y.Difference.Upper))
		}
		paragraph(w, "", text+fmt.Sprintf(". That is of %s rows, worth %.0f drawn from the mixture itself.", thousands(y.Rows.Used), y.To.Effective))
	}
}

func writeCoverage(w io.Writer, s *api.Simulation) {
	k := s.Total.Coverage
	if k == nil {
		return
	}
	fmt.Fprintln(w)
	paragraph(w, "", fmt.Sprintf("Coverage: of %s pairs of levels that can occur %s have at least 5 samples, and %s have none.",
		thousands(k.Possible), shift(k.Covered, whole), shift(k.Never, whole)))
}

func whole(x float64) string { return thousands(int64(math.Round(x))) }

// shift writes a number as it is and as it would be.
func shift(m api.Move, write func(float64) string) string {
	from, to := write(m.From), write(m.To)
	if from == to {
		return to
	}
	return from + " -> " + to
}

func change(m api.Move) string {
	d := math.Round(m.To) - math.Round(m.From)
	if d == 0 {
		return "0"
	}
	return fmt.Sprintf("%+.0f", d)
}

func interval(expected, lower, upper float64) string {
	return fmt.Sprintf("%s (%s to %s)", percent(expected), percent(lower), percent(upper))
}

// points writes a difference of two percentages.
func points(x float64) string { return fmt.Sprintf("%+.1f points", 100*x) }
