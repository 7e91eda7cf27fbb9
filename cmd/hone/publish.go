package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/spec"
)

func publishCommand() *cli.Command {
	return &cli.Command{
		Name:      "publish",
		Usage:     "publish some of a version's samples under another name",
		ArgsUsage: "NAME",
		Description: `The next version of NAME, immutable like any other, with its own manifest and the
same lineage. What was revoked since is left out; the same command again changes
nothing. It is also the way by which evaluation samples (NAME.eval) become a
dataset of their own: rounds never mix them into a training version.

Examples:
   hone dataset publish dark-metal --from loop@12 --where 'light=low & background=metal'
   hone dataset publish exam --from loop.eval@3`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "take samples of `NAME[@VERSION]`; without a version of the latest"},
			&cli.StringFlag{Name: "where", Usage: "only those of the `SLICE`, 'light=low & glove=yes', of any length"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			if err := required(c, "from"); err != nil {
				return err
			}
			p := api.Publish{Name: args[0], From: c.String("from")}
			if typed := c.String("where"); strings.TrimSpace(typed) != "" {
				if p.Where, err = spec.ParsePredicates(typed); err != nil {
					return err
				}
			}
			published, err := patientClient(c).PublishDataset(c.Context, p)
			if err != nil {
				return err
			}
			return show(c, published, func(w io.Writer) { writePublished(w, &published) })
		},
	}
}

func writePublished(w io.Writer, p *api.Published) {
	what := "published"
	if !p.Created {
		what = "unchanged"
	}
	fmt.Fprintf(w, "dataset %s@%d %s: %s samples, split %s, manifest %s\n", p.Name, p.Version, what, thousands(p.Samples), p.Split, p.Manifest)
	if p.Revoked > 0 {
		fmt.Fprintf(w, "%s that were revoked since are left out\n", thousands(p.Revoked))
	}
}
