package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
)

func modelCommand() *cli.Command {
	return &cli.Command{
		Name:  "model",
		Usage: "model versions, of which outcomes are posted",
		Subcommands: []*cli.Command{{
			Name:      "seal",
			Usage:     "declare that all outcomes of a model version are posted",
			ArgsUsage: "LINE@VERSION",
			Flags:     []cli.Flag{&cli.Int64Flag{Name: "rows", Usage: "how many rows were posted; another number than was counted is refused"}},
			Description: "A campaign that learns from the line moves on. Nothing can be posted of the version afterwards.\n\n" +
				"Example:\n   hone model seal detector@7 --rows 3000",
			Action: func(c *cli.Context) error {
				args, err := arguments(c, "LINE@VERSION")
				if err != nil {
					return err
				}
				line, version, err := modelVersion(args[0])
				if err != nil {
					return err
				}
				if err := required(c, "rows"); err != nil {
					return err
				}
				if c.Int64("rows") < 0 {
					return usage("--rows is a number from 0, not %d", c.Int64("rows"))
				}
				sealed, err := client(c).SealModel(c.Context, line, version, c.Int64("rows"))
				if err != nil {
					return err
				}
				return show(c, sealed, func(w io.Writer) {
					fmt.Fprintf(w, "%s@%s sealed with %d rows at sequence %d\n", sealed.ModelLine, sealed.Version, sealed.Rows, sealed.Sequence)
				})
			},
		}},
	}
}
