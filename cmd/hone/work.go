package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"hone/examples/shapes"
	"hone/gpuworker"
	"hone/program"
)

func workCommand() *cli.Command {
	host, _ := os.Hostname() // only a default
	return &cli.Command{
		Name:  "work",
		Usage: "make samples for a coordinator",
		Description: `A worker asks for units, makes them, and keeps each until it is committed: killed
at any moment and started again with the same --name and --data, it goes on.
It reconnects by itself, to whichever of a cluster's nodes leads: name them all
in --server. The first Ctrl-C lets it finish what it has begun.

--generator-cmd runs your own program as a generator; it speaks JSON lines, as
program/PROTOCOL.md says on one page. Up to --slots processes of it are kept.

Examples:
   hone work --server http://127.0.0.1:7070 --name gpu-1 --slots 2 --data ./gpu-1
   hone work --server n1:7070,n2:7070,n3:7070
   hone work --generator-cmd parts="python3 generator.py"`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Value: host, Usage: "be known as `NAME`: stable over restarts, unique among the workers"},
			&cli.IntFlag{Name: "slots", Value: 1, Usage: "make `N` units at a time"},
			&cli.StringFlag{Name: "type", Value: "cpu", Usage: "the hardware's `TYPE`; rates are learned per type"},
			&cli.StringFlag{Name: "data", Usage: "keep what is not committed yet in `DIR`", DefaultText: "./hone-worker-NAME"},
			&cli.StringSliceFlag{Name: "generator-cmd", Usage: "run a program as a generator: `NAME=\"CMD ...\"`, repeatable"},
			startTimeoutFlag(),
			&cli.DurationFlag{Name: "unit-timeout", Value: 10 * time.Minute, Usage: "how long a unit may take to make, in `TIME` as in 90s"},
			&cli.BoolFlag{Name: "verbose", Usage: "log what is going on, not only what goes wrong"},
		},
		Action: func(c *cli.Context) (err error) {
			if c.NArg() > 0 {
				return usage("work takes no arguments, got %q", c.Args().First())
			}
			if c.Duration("start-timeout") <= 0 || c.Duration("unit-timeout") <= 0 {
				return usage("--start-timeout and --unit-timeout are more than 0s")
			}
			dir := c.String("data")
			if dir == "" {
				dir = "hone-worker-" + c.String("name")
			}
			log := logger(c)
			for _, command := range c.StringSlice("generator-cmd") {
				fmt.Fprintf(c.App.ErrWriter, "starting %s\n", command) // it may load for minutes
			}
			generators, stop, err := openGenerators(c.Context, c.StringSlice("generator-cmd"), program.Options{
				Dir: filepath.Join(dir, "programs"), Processes: c.Int("slots"), Logger: log,
				StartTimeout: c.Duration("start-timeout"), UnitTimeout: c.Duration("unit-timeout"),
			})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stop()) }()
			if dir, err = filepath.Abs(dir); err != nil {
				return err
			}
			o := gpuworker.AgentOptions{
				Server: c.String("server"), Name: c.String("name"), Type: c.String("type"), Slots: c.Int("slots"), Dir: dir, Logger: log,
				Generators: append(generators, shapes.Generator{}), UnitTimeout: c.Duration("unit-timeout"),
			}
			if len(generators) > 0 {
				// Programs measure a unit by themselves; they may have to start first.
				o.UnitTimeout += c.Duration("start-timeout") + time.Minute
			}
			agent, err := gpuworker.NewAgent(o)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.App.ErrWriter, "worker %s makes samples for %s\n", c.String("name"), c.String("server"))
			return agent.Run(c.Context)
		},
	}
}

// newAgent is a worker of the demo: it has the built-in generator, of its world.
func newAgent(server, name, kind string, slots int, dir string, world shapes.World, logger *slog.Logger) (*gpuworker.Agent, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return gpuworker.NewAgent(gpuworker.AgentOptions{
		Server: server, Name: name, Slots: slots, Type: kind, Dir: dir, Logger: logger,
		Generators: []gpuworker.Generator{shapes.Generator{World: world}},
	})
}
