package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func suspectsCommand() *cli.Command {
	return &cli.Command{
		Name:      "suspects",
		Usage:     "list failures whose labels are worth a look: of slices in quarantine, damped, or seemingly unlearnable",
		ArgsUsage: "CAMPAIGN [N]",
		Description: "More samples of such a slice have not helped, which wrong labels explain as well as a hard slice does. Of each, failures of the newest " +
			"sealed model version, one per group, the greatest loss first, with what opens them: the uri that their poster gave, or the path at the server " +
			"of a sample that was made here. Without N, of the latest round.\n\n" +
			"Examples:\n   hone round suspects loop\n   hone round suspects loop 3 --top 50 --output json\n   hone round suspects loop --where 'light=low & glove=yes'",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "top", Value: 20, Usage: "at most `N` failures of a slice"},
			&cli.StringFlag{Name: "where", Usage: "this `SLICE` instead, damped or not, as in 'light=low & glove=yes'"},
		},
		Action: func(c *cli.Context) error {
			names := []string{"CAMPAIGN"}
			if c.NArg() > 1 {
				names = append(names, "N")
			}
			args, err := arguments(c, names...)
			if err != nil {
				return err
			}
			if top := c.Int("top"); top < 1 || top > 1000 {
				return usage("--top is from 1 to 1000, not %d", top)
			}
			n := 0
			if len(args) == 2 {
				if n, err = count("N", args[1]); err != nil {
					return err
				}
			} else {
				campaign, err := client(c).Campaign(c.Context, args[0])
				if err != nil {
					return err
				}
				n = max(campaign.Round, 1)
			}
			s, err := client(c).Suspects(c.Context, args[0], n, c.Int("top"), c.String("where"))
			if err != nil {
				return err
			}
			return show(c, s, func(w io.Writer) { writeSuspects(w, &s) })
		},
	}
}

func writeSuspects(w io.Writer, s *api.Suspects) {
	if len(s.Slices) == 0 {
		fmt.Fprintf(w, "Round %d of campaign %s has no slice in quarantine and damps none, and none looks unlearnable.\n", s.Round, printable(s.Campaign))
		return
	}
	for i := range s.Slices {
		if i > 0 {
			fmt.Fprintln(w)
		}
		writeSuspectSlice(w, &s.Slices[i])
	}
	if s.LeftOut > 0 {
		fmt.Fprintf(w, "\nAnd %s more.\n", counted(s.LeftOut, "slice"))
	}
}

func writeSuspectSlice(w io.Writer, s *api.SuspectSlice) {
	sentence := s.Sentence
	switch {
	case sentence != "":
	case s.Quarantined:
		sentence = s.Name + " is in quarantine."
	case s.Damping < 1:
		sentence = s.Name + " is damped to " + percent(s.Damping) + "."
	default:
		sentence = s.Name + " is not damped."
	}
	paragraph(w, "", sentence)
	switch {
	case s.ModelVersion == "":
		fmt.Fprintf(w, "   no version of %s is sealed yet\n", printable(s.ModelLine))
		return
	case len(s.Examples) == 0:
		fmt.Fprintf(w, "   %s@%s fails nothing in it\n", printable(s.ModelLine), printable(s.ModelVersion))
		return
	}
	fmt.Fprintf(w, "   %s of %s@%s failed; to look at:\n", counted(s.Failures, "group"), printable(s.ModelLine), printable(s.ModelVersion))
	rows := make([][]string, len(s.Examples))
	for i, e := range s.Examples {
		rows[i] = []string{e.EvalSet, failureName(&e), "", openedBy(&e)}
		if e.Loss != nil {
			rows[i][2] = strconv.FormatFloat(*e.Loss, 'g', 4, 64)
		}
	}
	grid(w, []string{"EVAL SET", "EXAMPLE", "LOSS", "OPEN"}, rows)
}

// failureName is what a person calls a failure: a sample that was posted under no
// name but its digest has that of its campaign.
func failureName(f *api.Failure) string {
	if f.Made != "" && f.Example == f.Sample {
		return f.Made
	}
	return f.Example
}

// openedBy is where a failure can be seen: what its poster said, or the sample's
// path at the server.
func openedBy(f *api.Failure) string {
	if f.URI == "" && f.Sample != "" {
		return "/v1/samples/" + f.Sample
	}
	return f.URI
}
