package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/loop"
)

// part is one part of the decision benchmark. It says how far it is, on a line
// of options.log that stands for a while, and returns early with the context's
// error.
type part interface {
	name() string
	run(ctx context.Context, o *options) ([]measure, error)
}

// parts are run in this order.
var parts = []part{determinism{}, recall{}, search{}, samples{}, growing{}, stability{}}

// options are those of every part.
type options struct {
	log   io.Writer
	first uint64
	seeds int

	// Of campaigns that run in process: samples, growing and stability.
	rounds     int
	samples    uint64 // per round
	small      uint64 // of the first round, where rounds grow
	evaluation uint64 // rows per round, half of each source
	steps      int
	long       int // rounds of uniform, until it is as good
	worlds     []string
	strategies []string
	store      string
	arms       int // at once
	explain    bool

	// Of the search.
	adult, python string
}

// seedList is the seeds asked for.
func (o *options) seedList() []uint64 {
	out := make([]uint64, o.seeds)
	for i := range out {
		out[i] = o.first + uint64(i)
	}
	return out
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name())
	}
	return names
}

func decisionCommand() *cli.Command {
	return &cli.Command{
		Name:  "decision",
		Usage: "measure what decisions are worth, find, take and repeat",
		Description: "Prints a table, or with --output json a line per measure. Campaigns run in process, a line each in\n" +
			"--store; those that stand there are not run again, so a benchmark that was stopped goes on where it\n" +
			"was. Remove that file after a change of code that decides, renders or learns.",
		UsageText: "bench decision --seeds 10 --to bench/RESULTS.md\n" +
			"bench decision --part samples --world nose --strategy hone --strategy uniform --seeds 2 --output json",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "part", Usage: "a `PART` to run, repeatable: " + strings.Join(partNames(), ", ") + " (default: all)"},
			&cli.Uint64Flag{Name: "first", Usage: "the first `SEED`", Value: 0},
			&cli.IntFlag{Name: "seeds", Usage: "how many seeds", Value: 10},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "table or json", Value: "table"},
			&cli.StringFlag{Name: "to", Usage: "a Markdown `FILE`: its sections of the parts that ran are written anew, and beside it a plot"},
			&cli.StringSliceFlag{Name: "world", Usage: "campaigns in this `WORLD`, repeatable: " + strings.Join(worldNames(), ", ") + " (default: all)"},
			&cli.StringSliceFlag{Name: "strategy", Usage: "campaigns by this `STRATEGY` and by uniform, repeatable (default: all)"},
			&cli.IntFlag{Name: "rounds", Usage: "rounds per campaign", Value: 12},
			&cli.IntFlag{Name: "samples", Usage: "training samples per round", Value: 1500},
			&cli.IntFlag{Name: "first-samples", Usage: "training samples of the first round where rounds grow, at most --samples", Value: 300},
			&cli.IntFlag{Name: "evaluation", Usage: "evaluation rows per round, half target, half mixture", Value: 3000},
			&cli.IntFlag{Name: "steps", Usage: "optimiser steps per round", Value: 250},
			&cli.IntFlag{Name: "long", Usage: "the most rounds for which uniform goes on until its worst slice is at .35", Value: 48},
			&cli.IntFlag{Name: "arms", Usage: "how many campaigns run at once", Value: 2},
			&cli.StringFlag{Name: "store", Usage: "`FILE` of campaigns that ran, a JSON line each", Value: "bench/campaigns.jsonl"},
			&cli.BoolFlag{Name: "explain", Usage: "print every round's boosts to stderr"},
			&cli.StringFlag{Name: "adult", Usage: "the `FILE` adult-train.csv, for the search; without it that is left out"},
			&cli.StringFlag{Name: "python", Usage: "a Python `COMMAND` that has the package sliceline, to run it beside the search over Adult"},
		},
		Action: func(c *cli.Context) error {
			o, chosen, err := readOptions(c)
			if err != nil {
				return err
			}
			return decide(c, o, chosen)
		},
	}
}

// decide runs the parts one after the other and prints what they measured, also
// when it is stopped between two of them.
func decide(c *cli.Context, o *options, chosen []part) error {
	var measures []measure
	var failed error
	byPart := map[string][]measure{}
	for _, p := range chosen {
		found, err := p.run(c.Context, o)
		if err != nil {
			failed = fmt.Errorf("%s: %w", p.name(), err)
			if errors.Is(err, context.Canceled) {
				failed = fmt.Errorf("stopped in part %s; campaigns that ended stand in %s", p.name(), o.store)
			}
			break
		}
		if len(found) > 0 {
			byPart[p.name()] = found
		}
		measures = append(measures, found...)
	}
	if c.String("output") == "json" {
		if err := writeLines(os.Stdout, measures); err != nil {
			return err
		}
	} else if len(measures) > 0 {
		writeTable(os.Stdout, measures)
	}
	if to := c.String("to"); to != "" && len(byPart) > 0 {
		return errors.Join(failed, writeResults(to, byPart, o))
	}
	return failed
}

func readOptions(c *cli.Context) (*options, []part, error) {
	if c.NArg() > 0 {
		return nil, nil, fmt.Errorf("decision takes no argument, got %q", c.Args().First())
	}
	if out := c.String("output"); out != "table" && out != "json" {
		return nil, nil, fmt.Errorf("--output %q: table or json", out)
	}
	for _, name := range []string{"seeds", "rounds", "samples", "first-samples", "steps", "arms"} {
		if c.Int(name) < 1 {
			return nil, nil, fmt.Errorf("--%s is at least 1", name)
		}
	}
	if c.Int("first-samples") > c.Int("samples") {
		return nil, nil, errors.New("--first-samples is at most --samples: rounds grow")
	}
	if c.Int("evaluation") < 0 || c.Int("long") < 0 {
		return nil, nil, errors.New("--evaluation and --long are at least 0")
	}
	o := &options{
		log: os.Stderr, first: c.Uint64("first"), seeds: c.Int("seeds"),
		rounds: c.Int("rounds"), samples: uint64(c.Int("samples")), small: uint64(c.Int("first-samples")), evaluation: uint64(c.Int("evaluation")),
		steps: c.Int("steps"), long: max(c.Int("long"), c.Int("rounds")), arms: c.Int("arms"), store: c.String("store"),
		explain: c.Bool("explain"), adult: c.String("adult"), python: c.String("python"),
	}
	var err error
	if o.worlds, err = chosenOf("world", c.StringSlice("world"), worldNames()); err != nil {
		return nil, nil, err
	}
	if o.strategies, err = chosenOf("strategy", c.StringSlice("strategy"), loop.Strategies()); err != nil {
		return nil, nil, err
	}
	names, err := chosenOf("part", c.StringSlice("part"), partNames())
	if err != nil {
		return nil, nil, err
	}
	var chosen []part
	for _, p := range parts {
		if slices.Contains(names, p.name()) {
			chosen = append(chosen, p)
		}
	}
	return o, chosen, nil
}

// chosenOf is what was asked for, or all.
func chosenOf(flag string, asked, all []string) ([]string, error) {
	for _, name := range asked {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("--%s %q: one of %s", flag, name, strings.Join(all, ", "))
		}
	}
	if len(asked) == 0 {
		return all, nil
	}
	return asked, nil
}
