package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// dispatchPart is one part of the dispatch benchmark.
type dispatchPart interface {
	name() string
	run(ctx context.Context, o *dispatchOptions) ([]measure, error)
}

// dispatchParts are run in this order.
var dispatchParts = []dispatchPart{pacedPart{}, peakPart{}, failoverPart{}, idlePart{}}

// dispatchOptions are those of every part.
type dispatchOptions struct {
	log io.Writer
	// dir is where nodes and peers keep what they write.
	dir string
	// hone is the product's binary.
	hone   string
	cycles []cycle
	// unit is the samples of a unit, payload the bytes of each.
	unit, payload int
	seconds       time.Duration
	rate          int
	connections   []int
	window        int
	repeat        int
	times         int
	idle          int
	// idleFor is how long they are idle before memory is read, and while time of
	// processors is.
	idleFor time.Duration
	// peers is the program of bench/peers, kinds those that it runs beside ours.
	peers string
	kinds []string
	// profile is a directory for a CPU profile of each core node; empty for none.
	profile string
}

func dispatchCommand() *cli.Command {
	return &cli.Command{
		Name:  "dispatch",
		Usage: "measure the cycle of a unit: leased, delivered, committed on three nodes, acknowledged",
		Description: `Three processes on this machine are a cluster: their logs are synced, on one disk. The
workers are in this process and make nothing: they answer each lease with a delivery
at once. Two cycles are measured:

   product   three "hone serve" as they ship: samples are sent, hashed, judged
             and packed, and each node keeps its DuckDB view
   core      the same coordinator, log, socket and parts of rows, but samples' bytes
             are not moved and nobody looks at them: what a queue of work does

Every part is run between two readings of how often this disk can sync.`,
		UsageText: "bench dispatch --part gate --rate 1000 --seconds 30\n" +
			"bench dispatch --part peak --connections 8,1000 --repeat 5 --output json\n" +
			"bench dispatch --part failover --times 100",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "part", Usage: "a `PART` to run, repeatable: " + strings.Join(dispatchNames(), ", ") + " (default: all)"},
			&cli.StringSliceFlag{Name: "cycle", Usage: "a `CYCLE` to measure, repeatable: product, core (default: both)"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "table or json", Value: "table"},
			&cli.StringFlag{Name: "dir", Usage: "nodes and peers keep what they write below `DIR`, on the disk that is meant", DefaultText: "a temporary directory"},
			&cli.StringFlag{Name: "hone", Usage: "the `FILE` of the product's binary", DefaultText: "built from this tree"},
			&cli.IntFlag{Name: "unit-size", Usage: "samples per unit", Value: 1},
			&cli.IntFlag{Name: "payload", Usage: "bytes per sample", Value: 300},
			&cli.DurationFlag{Name: "seconds", Usage: "how long one reading of gate and peak takes, in `TIME` as in 30s", Value: 30 * time.Second},
			&cli.IntFlag{Name: "rate", Usage: "units per second of the gate", Value: 1000},
			&cli.IntSliceFlag{Name: "connections", Usage: "workers of the peak, repeatable", Value: cli.NewIntSlice(8, 1000)},
			&cli.IntFlag{Name: "window", Usage: "units that are out at a time, over all workers of the peak", Value: 4000},
			&cli.IntFlag{Name: "repeat", Usage: "readings of each cell of the peak, in turn", Value: 3},
			&cli.IntFlag{Name: "times", Usage: "how often the leader is killed", Value: 100},
			&cli.IntFlag{Name: "idle", Usage: "how many workers are idle", Value: 10_000},
			&cli.DurationFlag{Name: "idle-for", Usage: "for how long they are, in `TIME`, before memory is read: stacks shrink when Go collects, every 2 minutes at least", Value: 10 * time.Second},
			&cli.StringFlag{Name: "peers", Usage: "also run the program of bench/peers, built to `FILE`: its peaks are read in turn with ours"},
			&cli.StringSliceFlag{Name: "peer", Usage: "a `PEER` to run, repeatable (default: all that can be started here)"},
			&cli.StringFlag{Name: "profile", Usage: "write a CPU profile of each core node into `DIR`"},
		},
		Action: func(c *cli.Context) error {
			o, chosen, err := readDispatch(c)
			if err != nil {
				return err
			}
			return dispatch(c, o, chosen)
		},
	}
}

func dispatchNames() []string {
	var names []string
	for _, p := range dispatchParts {
		names = append(names, p.name())
	}
	return names
}

func readDispatch(c *cli.Context) (*dispatchOptions, []dispatchPart, error) {
	if c.NArg() > 0 {
		return nil, nil, fmt.Errorf("dispatch takes no argument, got %q", c.Args().First())
	}
	if out := c.String("output"); out != "table" && out != "json" {
		return nil, nil, fmt.Errorf("--output %q: table or json", out)
	}
	for _, name := range []string{"unit-size", "payload", "rate", "window", "repeat", "times", "idle"} {
		if c.Int(name) < 1 {
			return nil, nil, fmt.Errorf("--%s is at least 1", name)
		}
	}
	if c.Duration("seconds") < time.Second {
		return nil, nil, errors.New("--seconds is at least 1s")
	}
	for _, n := range c.IntSlice("connections") {
		if n < 1 || n > 10_000 {
			return nil, nil, fmt.Errorf("--connections %d: 1 to 10000", n)
		}
	}
	o := &dispatchOptions{
		log: os.Stderr, dir: c.String("dir"), hone: c.String("hone"), unit: c.Int("unit-size"), payload: c.Int("payload"),
		seconds: c.Duration("seconds"), rate: c.Int("rate"), connections: c.IntSlice("connections"), window: c.Int("window"),
		repeat: c.Int("repeat"), times: c.Int("times"), idle: c.Int("idle"), idleFor: c.Duration("idle-for"), profile: c.String("profile"),
		peers: c.String("peers"), kinds: c.StringSlice("peer"),
	}
	names, err := chosenOf("cycle", c.StringSlice("cycle"), []string{string(product), string(core)})
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		o.cycles = append(o.cycles, cycle(name))
	}
	if names, err = chosenOf("part", c.StringSlice("part"), dispatchNames()); err != nil {
		return nil, nil, err
	}
	var chosen []dispatchPart
	for _, p := range dispatchParts {
		if slices.Contains(names, p.name()) {
			chosen = append(chosen, p)
		}
	}
	return o, chosen, nil
}

// dispatch runs the parts, and prints what they measured, also when one fails.
func dispatch(c *cli.Context, o *dispatchOptions, chosen []dispatchPart) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "hone-dispatch-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
		// PostgreSQL runs as a user of its own.
		if err := os.Chmod(o.dir, 0o755); err != nil {
			return err
		}
	}
	if slices.Contains(o.cycles, product) || slices.ContainsFunc(chosen, func(p dispatchPart) bool { return p != peakPart{} && p != pacedPart{} }) {
		if err := o.build(c.Context); err != nil {
			return err
		}
	}
	var measures []measure
	var failed error
	for _, p := range chosen {
		for _, step := range []func() ([]measure, error){
			func() ([]measure, error) { return o.syncs(p.name() + "/fsync/before") },
			func() ([]measure, error) { return p.run(c.Context, o) },
			func() ([]measure, error) { return o.syncs(p.name() + "/fsync/after") },
		} {
			found, err := step()
			measures = append(measures, found...)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name(), err))
			}
		}
		if c.Context.Err() != nil {
			break
		}
	}
	if c.String("output") == "json" {
		return errors.Join(failed, writeLines(os.Stdout, measures))
	}
	if len(measures) > 0 {
		writeTable(os.Stdout, measures)
	}
	return failed
}

// build builds the product, unless a binary was given.
func (o *dispatchOptions) build(ctx context.Context) error {
	if o.hone != "" {
		return nil
	}
	o.hone = filepath.Join(o.dir, "hone")
	fmt.Fprintln(o.log, "building hone")
	out, err := goCommand(ctx, "build", "-tags", "duckdb_arrow", "-o", o.hone, "hone/cmd/hone").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
