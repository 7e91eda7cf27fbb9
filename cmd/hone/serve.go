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

Three servers that share a lake are a cluster, which goes on when one of them is
lost: the first is started with --node, the others with --join as well.

Examples:
   hone serve --data ./hone-data
   hone serve --node n1 --data ./n1 --lake ./lake
   hone serve --node n2 --data ./n2 --lake ./lake --listen 127.0.0.1:7080 --join 127.0.0.1:7070
   hone serve --gate-cmd sharp="python3 gate.py"`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data", Value: "./hone-data", Usage: "keep everything in `DIR`"},
			&cli.StringFlag{Name: "lake", Usage: "keep samples and rows in `DIR`, which all nodes of a cluster share", DefaultText: "lake in --data"},
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:7070", Usage: "serve HTTP on `HOST:PORT`", EnvVars: []string{"HONE_LISTEN"}},
			&cli.BoolFlag{Name: "insecure-listen", Usage: "allow --listen beyond loopback, although nobody is authenticated"},
			&cli.StringSliceFlag{Name: "gate-cmd", Usage: "run a program as a gate: `NAME=\"CMD ...\"`, repeatable"},
			&cli.IntFlag{Name: "gate-slots", Value: 1, Usage: "run up to `N` processes of each program"},
			&cli.DurationFlag{Name: "gate-timeout", Value: time.Minute, Usage: "how long a program may take to judge a sample, in `TIME` as in 90s"},
			startTimeoutFlag(),
			&cli.BoolFlag{Name: "verbose", Usage: "log what is going on, not only what goes wrong"},
		}, peerFlags()...),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("serve takes no arguments, got %q", c.Args().First())
			}
			if c.Duration("start-timeout") <= 0 || c.Duration("gate-timeout") <= 0 || c.Int("gate-slots") < 1 {
				return usage("--gate-slots, --start-timeout and --gate-timeout are more than 0")
			}
			peers, err := peersOf(c)
			if err != nil {
				return err
			}
			if len(peers.join) > 0 && c.String("lake") == "" {
				return usage("--join needs --lake: the nodes of a cluster share one, by the same directory on all of them")
			}
			return serve(c.Context, serverOptions{
				dir: c.String("data"), lake: c.String("lake"), peers: peers, listen: c.String("listen"), insecureListen: c.Bool("insecure-listen"),
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
