package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
)

func roundCommand() *cli.Command {
	return &cli.Command{
		Name:  "round",
		Usage: "the decisions of a campaign",
		Subcommands: append([]*cli.Command{
			{
				Name:        "show",
				Usage:       "show a round's mixture and how far it is",
				ArgsUsage:   "CAMPAIGN N",
				Description: "Rounds count from 1.\n\nExample:\n   hone round show loop 3",
				Action: func(c *cli.Context) error {
					r, err := namedRound(c)
					if err != nil {
						return err
					}
					return show(c, r, func(w io.Writer) { writeRound(w, &r) })
				},
			},
			{
				Name:        "explain",
				Usage:       "say why a round makes what it makes",
				ArgsUsage:   "CAMPAIGN N",
				Description: "For every boosted slice, a sentence and the evidence behind it.\n\nExample:\n   hone round explain loop 3",
				Action: func(c *cli.Context) error {
					r, err := namedRound(c)
					if err != nil {
						return err
					}
					return show(c, r.Decision, func(w io.Writer) { explain(w, &r) })
				},
			},
			suspectsCommand(),
			replayCommand(),
		}, proposalCommands()...),
	}
}

func namedRound(c *cli.Context) (api.Round, error) {
	args, err := arguments(c, "CAMPAIGN", "N")
	if err != nil {
		return api.Round{}, err
	}
	n, err := count("N", args[1])
	if err != nil {
		return api.Round{}, err
	}
	r, err := client(c).Round(c.Context, args[0], n, 0)
	if err == nil && r.Decision == nil {
		err = fmt.Errorf("the server sent round %d of %s without its decision", n, args[0])
	}
	return r, err
}

func writeRound(w io.Writer, r *api.Round) {
	facts(w,
		"round", fmt.Sprintf("%d of campaign %s", r.Round, r.Campaign),
		"state", r.State,
		"dataset", r.Dataset,
		"evaluation", r.EvalDataset,
		"samples", fmt.Sprintf("%d requested = %d committed + %d abandoned + %d in flight + %d pending (%d rejected, %d replaced)",
			r.Requested, r.Committed, r.Abandoned, r.InFlight, r.Pending, r.Rejected, r.Replaced),
		"strategy", r.Decision.Strategy,
		"evidence", evidence(r),
	)
	fmt.Fprintln(w)
	rows := make([][]string, len(r.Decision.Components))
	for i, k := range r.Decision.Components {
		rows[i] = []string{k.Domain, digits(k.Number), k.Name, percent(k.Share), digits(k.Quota), k.Source, "", "", ""}
		if e := k.Reason; e != nil {
			rows[i][6], rows[i][7], rows[i][8] = digits(e.Rows), digits(e.Failures), strconv.FormatFloat(e.Lift, 'f', 2, 64)
		}
	}
	header := []string{"DOMAIN", "NUMBER", "SLICE", "SHARE", "QUOTA", "SOURCE", "ROWS", "FAILED", "LIFT"}
	if r.Decision.Canary != nil {
		header = slices.Insert(header, 2, "ARM")
		for i := range rows {
			rows[i] = slices.Insert(rows[i], 2, armOf(&r.Decision.Components[i]))
		}
	}
	grid(w, header, rows)
}

// armOf is which of a round's two arms a component is of. What is evaluated for both
// is of neither.
func armOf(k *api.Component) string {
	switch {
	case k.Canary:
		return "canary"
	case k.Domain == loop.Evaluation.String() && loop.Source(k.Source) != loop.SourceMixture:
		return ""
	}
	return "stable"
}

func evidence(r *api.Round) string {
	if r.Decision.EvidenceRows == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%d rows at sequence %d, of which %s failed", r.Decision.EvidenceRows, r.Sequence, percent(r.Decision.FailureRate))
}
