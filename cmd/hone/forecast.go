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
		Usage:     "say what more samples, or more money, are expected to bring, by slice, and what no longer pays",
		ArgsUsage: "NAME",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "samples", Usage: "look `N` training samples ahead", DefaultText: "1000"},
			&cli.Float64Flag{Name: "money", Usage: "look as far ahead as `X` buys, where the campaign has a price", DefaultText: "what the samples cost"},
		},
		Description: `Fits err(n) = c + a·n^-b to the sealed versions that the campaign learns from, in
every slice that it ever boosted, and goes on with it: an extrapolation, with 90 %
intervals. MORE is how many of the next samples the slice gets if they are spread
as the latest round was, and THEN what it fails afterwards. A slice no longer
pays if even 1,000 samples of it alone would save less than a twentieth of its
failures, or than half a percent of its rows. What samples cost goes by what those so
far have taken, and by the price in the campaign's document.

Examples:
   hone campaign forecast loop
   hone campaign forecast loop --money 100`,
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			ahead := api.Ahead{Samples: c.Uint64("samples"), Money: c.Float64("money")}
			switch {
			case c.IsSet("samples") && c.IsSet("money"):
				return usage("%s looks ahead by --samples or by --money, not by both", c.Command.HelpName)
			case c.IsSet("samples") && (ahead.Samples < 1 || ahead.Samples >= loop.MaxQuota):
				return usage("--samples is a number from 1 to %d, not %d", loop.MaxQuota-1, ahead.Samples)
			case c.IsSet("money") && !(ahead.Money > 0 && ahead.Money <= 1e12):
				return usage("--money is an amount above 0, not %v", ahead.Money)
			}
			forecast, err := client(c).Forecast(c.Context, args[0], ahead)
			if err != nil {
				return err
			}
			return show(c, forecast, func(w io.Writer) { writeForecast(w, &forecast) })
		},
	}
}

func writeForecast(w io.Writer, f *api.Forecast) {
	if text := spentText(f.Spent); text != "" {
		paragraph(w, "", text)
		fmt.Fprintln(w)
	}
	if len(f.Slices) == 0 {
		fmt.Fprintf(w, "Campaign %s learns from no model line, so there is no curve to extrapolate.\n", printable(f.Campaign))
		return
	}
	fmt.Fprintf(w, "If it goes on as so far: what the next %s are expected to bring (extrapolation, 90%% intervals).\n\n", aheadText(f))
	writeForecastGrid(w, f.Slices)
	writeBought(w, f)
	writeFlat(w, f.Flat)
	writeUnlearnable(w, f.Slices, len(f.Slices))
}

// aheadText is how far a forecast looks.
func aheadText(f *api.Forecast) string {
	text := thousands(f.More) + " samples"
	if f.Cost != nil {
		text += ", about " + f.Cost.Text() + ","
	}
	return text
}

// spentText is what a campaign has taken so far, and what bounds it.
func spentText(s *api.Spent) string {
	if s == nil {
		return ""
	}
	cost := s.Cost
	text := cost.Text()
	if s.Most > 0 {
		most := api.Cost{Money: &s.Most, Currency: s.Currency}
		text += " of " + most.Text()
	}
	if cost.Money != nil {
		cost.Money = nil
		text += " (" + cost.Text() + ")"
	}
	text += fmt.Sprintf(" went into %s training and %s evaluation samples", thousands(s.Samples), thousands(s.Evaluation))
	if s.Pays != nil && s.Left != nil && *s.Left > 0 {
		text += fmt.Sprintf("; the rest pays for about %s more to train on, and the campaign asks for %s: %s", thousands(*s.Pays), thousands(*s.Left),
			map[string]string{"money": "the money binds", "samples": "the samples bind"}[s.Binds])
	}
	return text + "."
}

// writeBought says what is bought in all, for each model line.
func writeBought(w io.Writer, f *api.Forecast) {
	for _, s := range f.Slices {
		if len(s.Slice) > 0 || s.Gain == nil || s.Now == nil || s.Then == nil || f.Cost == nil {
			continue
		}
		fmt.Fprintln(w)
		paragraph(w, "", fmt.Sprintf("The next %s buy about %.2f points: from %s to %s failures of %s (%.2f to %.2f points less).", f.Cost.Text(),
			100*s.Gain.Expected, percent(s.Now.Expected), percent(s.Then.Expected), s.ModelLine, 100*s.Gain.Lower, 100*s.Gain.Upper))
	}
}

// writeFlat names what no longer pays, with what went into it, and goes no more.
func writeFlat(w io.Writer, list []api.FlatSlice) {
	for i, s := range list {
		if i == 0 {
			fmt.Fprint(w, "\nOf these more samples do not help:\n")
		}
		text := fmt.Sprintf("%s: %s.", s.Name, s.Why)
		if s.Samples > 0 {
			text += fmt.Sprintf(" Since round %d %s samples of its own took %s.", s.Since, thousands(s.Samples), s.Cost.Text())
		}
		if s.Most > s.Latest {
			text += fmt.Sprintf(" Round %d made %s, the latest %s: about %s a round is no longer spent on it.", s.MostRound, thousands(s.Most), thousands(s.Latest), s.Saved.Text())
		}
		paragraph(w, "   ", text)
	}
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
	f, err := client(c).Forecast(c.Context, name, api.Ahead{})
	if err != nil {
		fmt.Fprintf(c.App.ErrWriter, "hone: no forecast: %v\n", err)
		return
	}
	if text := spentText(f.Spent); text != "" {
		fmt.Fprintln(w)
		paragraph(w, "", text)
	}
	var shown []api.SliceForecast
	for _, s := range f.Slices {
		if s.Now != nil && (len(shown) < shownOutlooks || s.Outlook == loop.Unlearnable) {
			shown = append(shown, s)
		}
	}
	if len(shown) > 0 {
		fmt.Fprintf(w, "\nWhat the next %s are expected to bring (extrapolation; more: hone campaign forecast %s):\n\n", aheadText(&f), f.Campaign)
		writeForecastGrid(w, shown)
	}
	writeFlat(w, f.Flat)
	writeUnlearnable(w, shown, shownFailures)
}
