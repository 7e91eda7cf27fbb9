package main

import (
	"github.com/urfave/cli/v2"
)

func outcomesCommand() *cli.Command {
	return &cli.Command{
		Name:  "outcomes",
		Usage: "how a model version did, row by row",
		Subcommands: []*cli.Command{{
			Name:      "push",
			Usage:     "post outcomes from NDJSON, an Arrow IPC stream, CSV or Parquet",
			ArgsUsage: "FILE|-",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "space", Usage: "the `SPACE` whose factors the rows name"},
				&cli.StringFlag{Name: "model", Usage: "the model version, `LINE@VERSION`"},
				&cli.StringFlag{Name: "task", Usage: "the `TASK`, what the model was asked; needed where the space declares several tasks"},
				&cli.StringFlag{Name: "eval-set", Usage: "what the rows were drawn from, `NAME[@VERSION]`"},
				&cli.StringFlag{Name: "run", Usage: "the job, as `ID`; with it, an equal file is a duplicate"},
				&cli.StringFlag{Name: "key", Usage: "the Idempotency-`KEY`; a file pushed twice under one key counts once"},
				&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the file, where its name does not say it: ndjson, arrow, csv or parquet"},
				&cli.StringSliceFlag{Name: "ignore", Usage: "`COLUMNS` of a CSV or Parquet file that are no part of an outcome"},
			},
			Description: "A row is {\"example\":\"a17\",\"scenario\":{\"light\":\"low\"},\"correct\":false} or {\"sample\":\"sha256:...\",\"correct\":true}, and may have\n" +
				"the metrics of its task. A CSV or Parquet file has a column for each of these, and one per factor; an empty value is unknown.\n" +
				"All rows count, or none; a CSV or Parquet file of more than 500,000 rows is posted in pieces, each of which does.\n" +
				"Of an imported eval set (hone import) a row names an example, and what it shows is filled in.\n\n" +
				"Example:\n   hone outcomes push rows.ndjson --space shapes --model detector@7 --eval-set field@3 --key nightly-7\n" +
				"   hone outcomes push evals.parquet --space shapes --model detector@7 --ignore path,score",
			Action: pushOutcomes,
		}, {
			Name:      "show",
			Usage:     "how much is known of a model version's outcomes, and how often it fails, by factor",
			ArgsUsage: "LINE@VERSION",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "space", Usage: "the `SPACE` of the outcomes"},
				&cli.StringFlag{Name: "task", Usage: "only outcomes of the `TASK`"},
				&cli.StringFlag{Name: "eval-set", Usage: "only outcomes of `NAME[@VERSION]`"},
			},
			Description: "An outcome whose value of a factor is unknown counts where it is known. If it fails more often where the value is unknown\n" +
				"than where it is known, what is not recorded hides failures.\n\n" +
				"Example:\n   hone outcomes show detector@7 --space shapes --eval-set field",
			Action: showOutcomes,
		}},
	}
}
