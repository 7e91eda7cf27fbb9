package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"hone/examples/shapes"
	"hone/gpuworker"
)

func workCommand() *cli.Command {
	host, _ := os.Hostname() // only a default
	return &cli.Command{
		Name:  "work",
		Usage: "make samples for a coordinator",
		Description: `A worker asks for units, makes them, and keeps each until it is committed: killed
at any moment and started again with the same --name and --data, it goes on.
It reconnects by itself. The first Ctrl-C lets it finish what it has begun.

Example:
   hone work --server http://127.0.0.1:7070 --name gpu-1 --slots 2 --data ./gpu-1`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Value: host, Usage: "be known as `NAME`: stable over restarts, unique among the workers"},
			&cli.IntFlag{Name: "slots", Value: 1, Usage: "make `N` units at a time"},
			&cli.StringFlag{Name: "type", Value: "cpu", Usage: "the hardware's `TYPE`; rates are learned per type"},
			&cli.StringFlag{Name: "data", Usage: "keep what is not committed yet in `DIR` (default: ./hone-worker-NAME)"},
			&cli.BoolFlag{Name: "verbose", Usage: "log what is going on, not only what goes wrong"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("work takes no arguments, got %q", c.Args().First())
			}
			dir := c.String("data")
			if dir == "" {
				dir = "hone-worker-" + c.String("name")
			}
			agent, err := newAgent(c.String("server"), c.String("name"), c.String("type"), c.Int("slots"), dir, shapes.World{}, logger(c))
			if err != nil {
				return err
			}
			fmt.Fprintf(c.App.ErrWriter, "worker %s makes samples for %s\n", c.String("name"), c.String("server"))
			return agent.Run(c.Context)
		},
	}
}

// newAgent is a worker with the generators that this program has built in.
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
