package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a coordinator with its lake, its gates, its view and its HTTP API",
		Description: `Everything lives in one directory and one process; workers and training jobs
connect over HTTP. Killed at any moment and started again, it goes on.

Example:
   hone serve --data ./hone-data`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data", Value: "./hone-data", Usage: "keep everything in `DIR`"},
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:7070", Usage: "serve HTTP on `HOST:PORT`"},
			&cli.BoolFlag{Name: "insecure-listen", Usage: "allow --listen beyond loopback, although nobody is authenticated"},
			&cli.BoolFlag{Name: "verbose", Usage: "log what is going on, not only what goes wrong"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("serve takes no arguments, got %q", c.Args().First())
			}
			return serve(c.Context, serverOptions{
				dir: c.String("data"), listen: c.String("listen"), insecureListen: c.Bool("insecure-listen"),
				logger: logger(c),
				ready: func(url string) {
					fmt.Fprintf(c.App.ErrWriter, "hone serves %s, data in %s\n", url, c.String("data"))
				},
			})
		},
	}
}
