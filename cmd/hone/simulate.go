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
	"hone/loop"
	"hone/spec"
)

func policySimulateCommand() *cli.Command {
	return &cli.Command{
		Name:      "simulate",
		Usage:     "say what a policy would decide for a campaign, before it is put",
		ArgsUsage: "FILE|-",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "campaign", Aliases: []string{"C"}, Usage: "decide for the campaign `NAME`"},
			&cli.IntFlag{Name: "rounds", Usage: "simulate the next `N` rounds; with --replay the last N", DefaultText: fmt.Sprintf("%d; with --replay all, up to %d", api.SimulatedRounds, api.MaxSimulated)},
			&cli.BoolFlag{Name: "replay", Usage: "decide the rounds that there were, each from its own evidence, instead of the next ones"},
		},
		Description: `Decides the next rounds by the policy in FILE and by the campaign's own, from the same
evidence, and shows what would change: samples by slice and level, GPU time and money, coverage,
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
	first, last := s.Rounds[0].Round, s.Rounds[len(s.Rounds)-1].Round
	rounds := fmt.Sprintf("round %d", first)
	if last > first {
		rounds = fmt.Sprintf("rounds %d to %d", first, last)
	}
	if s.Replay {
		paragraph(w, "", fmt.Sprintf("What policy %s would have made of campaign %s in %s, beside what was decided then: each round from the evidence of its time.",
			s.Candidate, s.Campaign, rounds))
	} else {
		paragraph(w, "", fmt.Sprintf("What policy %s would make of campaign %s in %s, beside what its own policy %s would: both from today's evidence, %s rows of %s.",
			s.Candidate, s.Campaign, rounds, s.Current, thousands(s.Rows), strings.Join(s.Models, ", ")))
	}
	fmt.Fprintln(w)
	writeSimulatedTotal(w, s)
	if len(s.Rounds) > 1 {
		writeSimulatedRounds(w, s)
	}
	writeMovedSlices(w, s)
	writeMovedLevels(w, s)
	for _, y := range judged(s).Yields {
		writeJudged(w, &y)
	}
	fmt.Fprint(w, "\nWhat this cannot tell:\n")
	for _, n := range s.Unpredicted {
		paragraph(w, "  ", n)
	}
}

// judged is the round whose yield is told: the next one, which is the only one of
// those to come that will be decided from this evidence; or the last replayed.
func judged(s *api.Simulation) *api.SimulatedRound {
	if s.Replay {
		return &s.Rounds[len(s.Rounds)-1]
	}
	return &s.Rounds[0]
}

// writeSimulatedTotal sets the two side by side.
func writeSimulatedTotal(w io.Writer, s *api.Simulation) {
	t := &s.Total
	of := judged(s)
	boosted := api.Move{From: 1 - t.Base.From, To: 1 - t.Base.To}
	rows := [][]string{
		{"samples", whole(t.Samples.From), whole(t.Samples.To), change(t.Samples)},
		{"of them for slices", percent(boosted.From), percent(boosted.To), points(boosted.To - boosted.From)},
		{"worth, as samples of deployment", whole(t.Effective.From), whole(t.Effective.To), change(t.Effective)},
	}
	if t.Seconds != nil {
		rows = append(rows, []string{"GPU time", seconds(t.Seconds.From), seconds(t.Seconds.To), proportion(*t.Seconds)})
	}
	if t.Money != nil {
		rows = append(rows, []string{"cost", amount(t.Money.From, s.Currency), amount(t.Money.To, s.Currency), proportion(*t.Money)})
	}
	for _, y := range of.Yields {
		what := fmt.Sprintf("%s would fail, of round %d", y.ModelLine, of.Round)
		if y.Task != "" {
			what += " at " + y.Task
		}
		row := []string{what, "not known", "not known", ""}
		if y.From != nil {
			row[1] = interval(y.From.Expected, y.From.Lower, y.From.Upper)
		}
		if y.To != nil {
			row[2] = interval(y.To.Expected, y.To.Lower, y.To.Upper)
		}
		if d := y.Difference; d != nil {
			row[3] = fmt.Sprintf("%s (%+.1f to %+.1f)", points(d.Expected), 100*d.Lower, 100*d.Upper)
		}
		rows = append(rows, row)
	}
	if k := t.Coverage; k != nil {
		rows = append(rows, []string{fmt.Sprintf("pairs of levels with 5 samples, of %s", thousands(k.Possible)), whole(k.Covered.From), whole(k.Covered.To), change(k.Covered)},
			[]string{"pairs of levels with none", whole(k.Never.From), whole(k.Never.To), change(k.Never)})
	}
	now := s.Current
	if s.Replay {
		now = "THEN"
	}
	grid(w, []string{"", now, s.Candidate, "CHANGE"}, rows)
}

// writeSimulatedRounds has a line per round.
func writeSimulatedRounds(w io.Writer, s *api.Simulation) {
	fmt.Fprint(w, "\nRound by round (STEP: how far the trust region let it go; KL: how far apart the two mixtures are, in nats):\n\n")
	rows := [][]string{}
	for i := range s.Rounds {
		r := &s.Rounds[i]
		row := []string{digits(r.Round), thousands(uint64(r.Samples.To)), percent(1 - r.Base.From), percent(1 - r.Base.To), percent(r.Step), "infinite", "", ""}
		if r.KL != nil {
			row[5] = fmt.Sprintf("%.3f", *r.KL)
		}
		for _, y := range r.Yields {
			if y.From != nil && y.To != nil && row[6] == "" {
				row[6], row[7] = percent(y.From.Expected), percent(y.To.Expected)
			}
		}
		rows = append(rows, row)
	}
	grid(w, []string{"ROUND", "SAMPLES", "SLICES", "WOULD BE", "STEP", "KL", "FAIL", "WOULD BE"}, rows)
}

// writeMovedSlices lists the slices, those that move most first.
func writeMovedSlices(w io.Writer, s *api.Simulation) {
	const most = 15
	list := s.Total.Slices
	if len(list) == 0 {
		fmt.Fprint(w, "\nNeither of the two boosts a slice.\n")
		return
	}
	fails := map[string]string{}
	for _, y := range judged(s).Yields {
		for _, of := range []*api.Yield{y.From, y.To} {
			if of == nil {
				continue
			}
			for _, k := range of.Slices {
				if k.Rate != nil {
					fails[k.Name] = percent(k.Rate.Expected)
				}
			}
		}
	}
	fmt.Fprint(w, "\nSamples by slice (FAILS: how often the newest model does there; ALL: with what other components bring):\n\n")
	rows := [][]string{}
	for _, k := range list[:min(most, len(list))] {
		rows = append(rows, append([]string{k.Name, fails[k.Name], whole(k.Quota.From), whole(k.Quota.To), change(k.Quota), whole(k.Samples.From), whole(k.Samples.To)},
			movedCost(s, k.Seconds, k.Money)...))
	}
	grid(w, append([]string{"SLICE", "FAILS", "OWN", "WOULD BE", "CHANGE", "ALL", "WOULD BE"}, costHeader(s)...), rows)
	if more := len(list) - most; more > 0 {
		fmt.Fprintf(w, "and %s (--output json has all)\n", counted(more, "more slice"))
	}
}

// writeMovedLevels lists the levels that move most.
func writeMovedLevels(w io.Writer, s *api.Simulation) {
	const most = 8
	levels := slices.Clone(s.Total.Levels)
	slices.SortStableFunc(levels, func(a, b api.SimulatedLevel) int {
		return cmp.Compare(math.Abs(b.Samples.To-b.Samples.From), math.Abs(a.Samples.To-a.Samples.From))
	})
	rows := [][]string{}
	for _, l := range levels[:min(most, len(levels))] {
		// Less than a hundredth of the samples is no move.
		if math.Abs(l.Samples.To-l.Samples.From) >= .01*s.Total.Samples.To {
			rows = append(rows, append([]string{l.Factor + "=" + l.Level, whole(l.Samples.From), whole(l.Samples.To), change(l.Samples)},
				movedCost(s, l.Seconds, l.Money)...))
		}
	}
	if len(rows) > 0 {
		fmt.Fprint(w, "\nThe levels that move most:\n\n")
		grid(w, append([]string{"LEVEL", "SAMPLES", "WOULD BE", "CHANGE"}, costHeader(s)...), rows)
	}
}

// costHeader is over what movedCost writes: nothing where it is not known what samples
// take.
func costHeader(s *api.Simulation) []string {
	switch {
	case s.Total.Money != nil:
		return []string{"COST", "WOULD BE"}
	case s.Total.Seconds != nil:
		return []string{"GPU TIME", "WOULD BE"}
	}
	return nil
}

func movedCost(s *api.Simulation, time, money *api.Move) []string {
	switch {
	case money != nil:
		return []string{amount(money.From, s.Currency), amount(money.To, s.Currency)}
	case time != nil:
		return []string{seconds(time.From), seconds(time.To)}
	}
	return nil
}

func amount(money float64, currency string) string {
	price := loop.Price{Currency: currency}
	return price.Amount(money)
}

// writeJudged says what an estimate of failures rests on, or why there is none.
func writeJudged(w io.Writer, y *api.SimulatedYield) {
	fmt.Fprintln(w)
	if y.To == nil {
		paragraph(w, "", fmt.Sprintf("How often the samples would fail %s cannot be said: %s.", y.ModelLine, y.Refused))
		return
	}
	text := fmt.Sprintf("How often %s would fail is estimated from %s rows that it was evaluated on, worth %s drawn from the mixture itself (95%% intervals)",
		y.ModelLine, thousands(y.Rows.Used), whole(y.To.Effective))
	if y.To.Optimism > .0005 {
		text += fmt.Sprintf("; %.1f points are taken off, as the same rows chose the slices", 100*y.To.Optimism)
	}
	paragraph(w, "", text+".")
	var out []string
	for _, left := range []struct {
		n   int64
		why string
	}{
		{y.Rows.Unknown, "lack the level of some factor"}, {y.Rows.Impossible, "are of scenarios that the space never draws"},
		{y.Rows.Unplaced, "were drawn from no mixture of this campaign"}, {y.Rows.Probes, "are of probes"},
	} {
		if left.n > 0 {
			out = append(out, thousands(left.n)+" "+left.why)
		}
	}
	if len(out) > 0 {
		paragraph(w, "", "Rows left out: "+strings.Join(out, ", ")+".")
	}
}

func whole(x float64) string { return thousands(int64(math.Round(x))) }

func change(m api.Move) string {
	d := math.Round(m.To) - math.Round(m.From)
	if d == 0 {
		return "0"
	}
	if d > 0 {
		return "+" + whole(d)
	}
	return whole(d)
}

// proportion writes a change as a part of what there was.
func proportion(m api.Move) string {
	if m.From == 0 {
		return ""
	}
	return fmt.Sprintf("%+.1f%%", 100*(m.To/m.From-1))
}

func seconds(x float64) string {
	d := time.Duration(x * float64(time.Second))
	switch {
	case d > time.Minute:
		return d.Round(time.Second).String()
	case d > time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func interval(expected, lower, upper float64) string {
	return fmt.Sprintf("%s (%s to %s)", percent(expected), percent(lower), percent(upper))
}

// points writes a difference of two percentages.
func points(x float64) string { return fmt.Sprintf("%+.1f points", 100*x) }
