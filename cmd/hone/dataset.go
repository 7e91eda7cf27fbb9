package main

import (
	"io"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func datasetCommand() *cli.Command {
	return &cli.Command{
		Name:  "dataset",
		Usage: "immutable, named sets of committed samples",
		Subcommands: []*cli.Command{
			{
				Name:        "list",
				Usage:       "list the datasets with their latest versions, or the versions of one",
				ArgsUsage:   "[NAME]",
				Description: "Example:\n   hone dataset list",
				Action: func(c *cli.Context) error {
					list := client(c).Datasets
					if c.NArg() > 0 {
						args, err := arguments(c, "NAME")
						if err != nil {
							return err
						}
						versions, err := client(c).DatasetVersions(c.Context, args[0])
						if err != nil {
							return err
						}
						return show(c, orEmpty(versions), func(w io.Writer) { writeDatasets(w, versions) })
					}
					datasets, err := list(c.Context)
					if err != nil {
						return err
					}
					return show(c, orEmpty(datasets), func(w io.Writer) { writeDatasets(w, datasets) })
				},
			},
			{
				Name:        "show",
				Usage:       "show a version of a dataset",
				ArgsUsage:   "NAME[@VERSION]",
				Description: "Without a version it is the latest.\n\nExample:\n   hone dataset show loop@12",
				Action: func(c *cli.Context) error {
					d, err := namedDataset(c)
					if err != nil {
						return err
					}
					return show(c, d, func(w io.Writer) {
						facts(w,
							"dataset", d.Name,
							"version", digits(d.Version),
							"samples", digits(d.Samples),
							"split", d.Split,
							"campaign", d.Campaign,
							"imported", d.Origin,
							"manifest", d.Manifest.String(),
							"sequence", digits(d.Sequence),
							"advisory", d.Advisory,
						)
					})
				},
			},
			verifyCommand(),
			exportCommand(),
			publishCommand(),
		},
	}
}

// namedDataset is the version that the one argument names.
func namedDataset(c *cli.Context) (api.Dataset, error) {
	args, err := arguments(c, "NAME[@VERSION]")
	if err != nil {
		return api.Dataset{}, err
	}
	name, version, err := versioned(args[0])
	if err != nil {
		return api.Dataset{}, err
	}
	return client(c).Dataset(c.Context, name, version)
}

func writeDatasets(w io.Writer, list []api.Dataset) {
	rows := make([][]string, len(list))
	for i, d := range list {
		rows[i] = []string{d.Name, digits(d.Version), digits(d.Samples), d.Split, d.Campaign, d.Manifest.String()}
	}
	grid(w, []string{"NAME", "VERSION", "SAMPLES", "SPLIT", "CAMPAIGN", "MANIFEST"}, rows)
}
