package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/report"
)

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write what a campaign did, and why, into one HTML file",
		ArgsUsage: "CAMPAIGN",
		Description: `One self-contained file, to be sent or printed: accuracy by round and slice, where
the budget went and why, what is damped or looks unlearnable, coverage, gates, cost,
what more samples are expected to bring, and the newest samples of what was boosted.
With --output json or yaml its numbers are printed instead, and no file is written
unless --to names one.

Examples:
   hone report loop --to report.html --control uniform --exam exam.eval
   hone report loop --price-per-hour 2.50
   hone report loop --output json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Aliases: []string{"file", "o"}, Usage: "write `FILE`; - is stdout", Value: "report.html"},
			&cli.StringFlag{Name: "control", Usage: "compare with `CAMPAIGN`"},
			&cli.StringFlag{Name: "exam", Usage: "judge both by the outcomes on `EVALSET`, rather than each by those that it learns from"},
			&cli.Float64Flag{Name: "price-per-hour", Usage: "an hour of generation costs `X`, to say what the samples did", DefaultText: "what the campaign says, if it does"},
			// -o is a file here, as with compilers.
			&cli.StringFlag{Name: "output", Usage: "`FORMAT` of what is printed: table, json or yaml", Value: outputTable},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "CAMPAIGN")
			if err != nil {
				return err
			}
			o := report.Options{Campaign: args[0], Control: c.String("control"), Exam: c.String("exam"), Price: c.Float64("price-per-hour"), Now: time.Now()}
			if !(o.Price >= 0 && o.Price <= 1e9) {
				return usage("--price-per-hour %v: 0 or more", o.Price)
			}
			numbers, err := report.Gather(c.Context, client(c), o)
			if mismatch, ok := errors.AsType[*report.Mismatch](err); ok {
				return usage("--control %v", mismatch)
			}
			if err != nil {
				return err
			}
			plain := c.String("output") == outputTable
			if plain || c.IsSet("to") {
				if err := putReport(c, numbers); err != nil {
					return err
				}
			}
			if plain {
				return nil
			}
			return show(c, numbers, nil)
		},
	}
}

// putReport writes the page where the command line wants it.
func putReport(c *cli.Context, n *report.Numbers) error {
	path := c.String("to")
	if path == "-" {
		return n.WriteHTML(c.App.Writer)
	}
	if err := saveReport(path, n); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "wrote %s\n", path)
	return nil
}

// saveReport writes the page to a file, whole or not at all.
func saveReport(path string, n *report.Numbers) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err := n.WriteHTML(file); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// demoReport writes the demo's report into its directory.
func demoReport(ctx context.Context, client *api.Client, dir string) (string, error) {
	n, err := report.Gather(ctx, client, report.Options{Campaign: armLoop, Control: armUniform, Exam: examName + ".eval", Now: time.Now()})
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	path := filepath.Join(dir, "report.html")
	return path, saveReport(path, n)
}
