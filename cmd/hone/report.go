package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
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
unless --file names one.

Examples:
   hone report loop -o report.html --control uniform --exam exam.eval
   hone report loop --price-per-hour 2.50
   hone report loop --output json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Aliases: []string{"o"}, Usage: "write `FILE`; - is stdout", Value: "report.html"},
			&cli.StringFlag{Name: "control", Usage: "compare with `CAMPAIGN`"},
			&cli.StringFlag{Name: "exam", Usage: "judge both by the outcomes on `EVALSET`, rather than each by those that it learns from"},
			&cli.Float64Flag{Name: "price-per-hour", Usage: "what an hour of generation costs, to say what the samples did"},
			// -o is a file here, as with compilers.
			&cli.StringFlag{Name: "output", Usage: "`FORMAT` of what is printed: table, json or yaml", Value: outputTable},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "CAMPAIGN")
			if err != nil {
				return err
			}
			o := reportOptions{campaign: args[0], control: c.String("control"), exam: c.String("exam"), price: c.Float64("price-per-hour"), now: time.Now()}
			if !(o.price >= 0 && o.price <= 1e9) {
				return usage("--price-per-hour %v: 0 or more", o.price)
			}
			numbers, err := gatherReport(c.Context, client(c), o)
			if err != nil {
				return err
			}
			plain := c.String("output") == outputTable
			if plain || c.IsSet("file") {
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
func putReport(c *cli.Context, n *reportNumbers) error {
	path := c.String("file")
	if path == "-" {
		return writeReport(c.App.Writer, n)
	}
	if err := saveReport(path, n); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "wrote %s\n", path)
	return nil
}

// saveReport writes the page to a file, whole or not at all.
func saveReport(path string, n *reportNumbers) (err error) {
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
	if err := writeReport(file, n); err != nil {
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

var (
	//go:embed report/report.html.tmpl
	reportTemplate string
	//go:embed report/report.css
	reportStyle string
)

// reportLayout is parsed here, so that a mistake in it fails every test. All that
// comes from users is escaped by html/template, each where it stands.
var reportLayout = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent":   percent,
	"accuracy":  accuracyText,
	"thousands": func(n any) string { return thousandsOf(n) },
	"plural":    func(n any, one string) string { return thousandsOf(n) + " " + one + plurality(n) },
	"duration":  durationText,
	"money":     moneyText,
	"heat":      heatClass,
	"times":     timesText,
	"outlook":   outlookClass,
	"rates": func(caption, head string, rows []passRate) any {
		return struct {
			Caption, Head string
			Rows          []passRate
		}{caption, head, rows[:min(len(rows), reportRows)]}
	},
	"costs": func(caption, head string, rows []costShare, price float64) any {
		return struct {
			Caption, Head string
			Rows          []costShare
			Price         float64
		}{caption, head, rows, price}
	},
}).Parse(reportTemplate))

// writeReport writes the page.
func writeReport(w io.Writer, n *reportNumbers) error {
	var page bytes.Buffer
	if err := reportLayout.Execute(&page, newReportPage(n)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := page.WriteTo(w)
	return err
}

// demoReport writes the demo's report into its directory.
func demoReport(ctx context.Context, client *api.Client, dir string) (string, error) {
	n, err := gatherReport(ctx, client, reportOptions{campaign: armLoop, control: armUniform, exam: examName + ".eval", now: time.Now()})
	if err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	path := filepath.Join(dir, "report.html")
	return path, saveReport(path, n)
}
