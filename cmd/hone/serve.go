package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"hone/program"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a coordinator with its lake, its gates, its view and its HTTP API",
		Description: `Everything lives in one directory and one process; workers and training jobs
connect over HTTP. Killed at any moment and started again, it goes on.

--gate-cmd runs your own program as a gate, which campaigns then name in gates;
it speaks JSON lines, as program/PROTOCOL.md says on one page.

Examples:
   hone serve --data ./hone-data
   hone serve --gate-cmd sharp="python3 gate.py"`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data", Value: "./hone-data", Usage: "keep everything in `DIR`"},
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:7070", Usage: "serve HTTP on `HOST:PORT`", EnvVars: []string{"HONE_LISTEN"}},
			&cli.BoolFlag{Name: "insecure-listen", Usage: "allow --listen beyond loopback, although nobody is authenticated"},
			&cli.StringSliceFlag{Name: "gate-cmd", Usage: "run a program as a gate: `NAME=\"CMD ...\"`, repeatable"},
			&cli.IntFlag{Name: "gate-slots", Value: 1, Usage: "run up to `N` processes of each program"},
			&cli.DurationFlag{Name: "gate-timeout", Value: time.Minute, Usage: "how long a program may take to judge a sample, in `TIME` as in 90s"},
			startTimeoutFlag(),
			&cli.BoolFlag{Name: "verbose", Usage: "log what is going on, not only what goes wrong"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("serve takes no arguments, got %q", c.Args().First())
			}
			if c.Duration("start-timeout") <= 0 || c.Duration("gate-timeout") <= 0 || c.Int("gate-slots") < 1 {
				return usage("--gate-slots, --start-timeout and --gate-timeout are more than 0")
			}
			return serve(c.Context, serverOptions{
				dir: c.String("data"), listen: c.String("listen"), insecureListen: c.Bool("insecure-listen"),
				logger: logger(c), gates: c.StringSlice("gate-cmd"), programs: program.Options{
					Processes: c.Int("gate-slots"), StartTimeout: c.Duration("start-timeout"), UnitTimeout: c.Duration("gate-timeout"),
				},
				ready: func(url string) {
					fmt.Fprintf(c.App.ErrWriter, "hone serves %s, data in %s\n", url, c.String("data"))
				},
			})
		},
	}
}
