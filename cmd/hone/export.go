package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/export"
)

func exportFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "to", Usage: "write into `DIR`, which is made, or holds an earlier try of the same export"},
		&cli.StringFlag{Name: "format", Value: "webdataset", Usage: "the `LAYOUT`: webdataset or parquet"},
		&cli.IntFlag{Name: "shard-samples", Value: 10_000, Usage: "at most `N` samples per shard"},
		&cli.IntFlag{Name: "shard-size", Value: 256, Usage: "about `MIB` of samples per shard at most"},
	}
}

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write a version as files that trainings read",
		ArgsUsage: "NAME[@VERSION]",
		Description: `Every byte is hashed on its way, against the version's manifest. A file under its
final name is whole, and dataset.json comes last: killed, or on a full disk, the
same command goes on with the shards that are whole; repeated, it verifies them.

webdataset: NAME-000000.tar, ... with the members of each sample, and what Hone
knows of it (scenario, importance weight, seed, ...) as KEY.hone.json.
parquet: NAME-000000.parquet, ... with a row per sample: a column per factor as
in the SQL table samples, and a BLOB per member (image.png is image_png).
With several shards, DuckDB reads them as
   select * from read_parquet('DIR/*.parquet', union_by_name = true)

Examples:
   hone dataset export loop@12 --to ./loop-12
   hone dataset export loop --format parquet --to ./table`,
		Flags: exportFlags(),
		Action: func(c *cli.Context) error {
			options, err := readExportOptions(c)
			if err != nil {
				return err
			}
			d, err := namedDataset(c)
			if err != nil {
				return err
			}
			e, err := exportDataset(c.Context, patientClient(c), d, options, c.App.ErrWriter)
			if err != nil {
				return err
			}
			return show(c, e, func(w io.Writer) { writeExported(w, e) })
		},
	}
}

// patientClient is a client that waits for a server to come up again: what it does
// takes long, and can wait.
func patientClient(c *cli.Context) *api.Client {
	client := client(c)
	client.Patience = time.Minute
	return client
}

func readExportOptions(c *cli.Context) (export.Options, error) {
	o := export.Options{Dir: c.String("to"), Format: c.String("format"), ShardSamples: c.Int("shard-samples"), ShardBytes: int64(c.Int("shard-size")) << 20}
	if err := required(c, "to"); err != nil {
		return o, err
	}
	if err := o.Validate(); err != nil {
		return o, usage("%v", err)
	}
	return o, nil
}

// exportDataset exports a version, or the rest of it, and shows how far it is.
func exportDataset(ctx context.Context, client *api.Client, d api.Dataset, o export.Options, stderr io.Writer) (*export.Description, error) {
	e, err := export.Open(client, d, o)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	meter := newMeter(stderr, "samples exported", d.Samples)
	defer meter.close()
	return e.Run(ctx, export.Progress{At: meter.at, Note: meter.note})
}

func writeExported(w io.Writer, e *export.Description) {
	facts(w, "dataset", e.Dataset, "directory", e.Dir, "format", e.Format, "samples", thousands(e.Samples),
		"shards", digits(len(e.Shards)), "size", sizeText(e.Bytes), "manifest", e.Manifest.String(), "advisory", e.Advisory)
}

// sizeText writes a number of bytes for a person.
func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}
