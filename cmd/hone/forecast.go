package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
)

func campaignForecastCommand() *cli.Command {
	return &cli.Command{
		Name:      "forecast",
		Usage:     "say what more samples are expected to bring, by slice, and what no longer pays",
		ArgsUsage: "NAME",
		Description: `Fits err(n) = c + a·n^-b to the sealed versions that the campaign learns from, in
every slice that it ever boosted, and goes on with it: an extrapolation, with 90 %
intervals. MORE is how many of the next 1,000 samples the slice gets if they are
spread as the latest round was, and THEN what it fails afterwards. A slice no longer
pays if even 1,000 samples of it alone would save less than a twentieth of its
failures, or than half a percent of its rows.

Example:
   hone campaign forecast loop`,
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			forecast, err := client(c).Forecast(c.Context, args[0])
			if err != nil {
				return err
			}
			return show(c, forecast, func(w io.Writer) { writeForecast(w, &forecast) })
		},
	}
}

func writeForecast(w io.Writer, f *api.Forecast) {
	if len(f.Slices) == 0 {
		fmt.Fprintf(w, "Campaign %s learns from no model line, so there is no curve to extrapolate.\n", printable(f.Campaign))
		return
	}
	fmt.Fprintf(w, "If it goes on as so far: what the next %s samples are expected to bring (extrapolation, 90%% intervals).\n\n", thousands(f.More))
	writeForecastGrid(w, f.Slices)
	writeUnlearnable(w, f.Slices, len(f.Slices))
}

// writeUnlearnable says what looks unlearnable, and names some failures of each
// slice to look at.
func writeUnlearnable(w io.Writer, list []api.SliceForecast, most int) {
	for _, s := range list {
		if s.Outlook != loop.Unlearnable {
			continue
		}
		fmt.Fprintln(w)
		paragraph(w, "", s.Sentence)
		for _, e := range s.Examples[:min(len(s.Examples), most)] {
			fmt.Fprintf(w, "   %s\n", printable(strings.Join(strings.Fields(e.EvalSet+" "+e.Example+" "+cmp.Or(e.URI, e.Sample)), " ")))
		}
	}
}

func writeForecastGrid(w io.Writer, list []api.SliceForecast) {
	lines := map[string]bool{}
	for _, s := range list {
		lines[s.ModelLine] = true
	}
	rows := make([][]string, len(list))
	for i, s := range list {
		name := s.Name
		if len(lines) > 1 {
			name += " (" + s.ModelLine + ")"
		}
		rows[i] = []string{name, digits(s.Samples), "", "+" + digits(s.More), "", "", string(s.Outlook)}
		if s.Now != nil && s.Then != nil && s.Best != nil {
			rows[i][2], rows[i][4] = percent(s.Now.Expected), percent(s.Then.Expected)
			rows[i][5] = fmt.Sprintf("%s (%s to %s)", percent(s.Best.Expected), percent(s.Best.Lower), percent(s.Best.Upper))
		}
	}
	grid(w, []string{"SLICE", "SAMPLES", "FAILS NOW", "MORE", "THEN", "AFTER 1,000 OF IT ALONE", "OUTLOOK"}, rows)
}

// What `campaign show` tells of: so many slices, and of one that looks unlearnable
// so many failures.
const (
	shownOutlooks = 8
	shownFailures = 3
)

// writeOutlook is the part of `campaign show` that looks ahead. It is an extra:
// where there is no curve yet, or no answer, there is nothing to show.
func writeOutlook(c *cli.Context, w io.Writer, name string) {
	f, err := client(c).Forecast(c.Context, name)
	if err != nil {
		fmt.Fprintf(c.App.ErrWriter, "hone: no forecast: %v\n", err)
		return
	}
	var shown []api.SliceForecast
	for _, s := range f.Slices {
		if s.Now != nil && (len(shown) < shownOutlooks || s.Outlook == loop.Unlearnable) {
			shown = append(shown, s)
		}
	}
	if len(shown) == 0 {
		return
	}
	fmt.Fprintf(w, "\nWhat the next %s samples are expected to bring (extrapolation; more: hone campaign forecast %s):\n\n", thousands(f.More), f.Campaign)
	writeForecastGrid(w, shown)
	writeUnlearnable(w, shown, shownFailures)
}
