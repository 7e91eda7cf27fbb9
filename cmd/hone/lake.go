package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func lakeCommand() *cli.Command {
	return &cli.Command{
		Name:  "lake",
		Usage: "the objects in which all bytes lie",
		Subcommands: []*cli.Command{{
			Name:  "collect",
			Usage: "delete the objects that nothing references",
			Flags: []cli.Flag{&cli.BoolFlag{Name: "dry-run", Usage: "delete nothing, and say what would be deleted if nothing were under way now"}},
			Description: `What was revoked, put twice, or left by something that failed, takes room until it
is collected. It may be asked for at any time, any number of times, also while
workers deliver: what is under way is put again. Published versions keep all
their bytes, whatever became of their samples since.

Examples:
   hone lake collect --dry-run
   hone lake collect`,
			Action: func(c *cli.Context) error {
				if _, err := arguments(c); err != nil {
					return err
				}
				out, err := client(c).CollectLake(c.Context, api.Collect{DryRun: c.Bool("dry-run")})
				if err != nil {
					return err
				}
				return show(c, out, func(w io.Writer) { writeCollected(w, &out) })
			},
		}},
	}
}

func writeCollected(w io.Writer, out *api.Collected) {
	verb := "DELETED"
	if out.DryRun {
		verb = "GARBAGE"
	}
	rows := make([][]string, len(out.Kinds))
	for i, k := range out.Kinds {
		rows[i] = []string{k.Kind, digits(k.Objects), digits(k.Bytes), digits(k.Kept), digits(k.KeptBytes)}
	}
	grid(w, []string{"KIND", verb, "BYTES", "KEPT", "BYTES KEPT"}, rows)
	if out.DryRun {
		fmt.Fprintf(w, "nothing was deleted; as of sequence %d, lake epoch %d\n", out.Sequence, out.Epoch)
		return
	}
	fmt.Fprintf(w, "as of sequence %d; lake epoch %d is open\n", out.Sequence, out.Epoch)
}
