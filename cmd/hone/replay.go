package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "decide past rounds once more from what they were decided from, and compare the bytes",
		ArgsUsage: "CAMPAIGN [N]",
		Description: "From a round's evidence object, its versions of space and policy, the round before, its budget and its seed " +
			"the same build must come to the same bytes; without N, of every round. It exits with 1 where one differs, and names what differs first. " +
			"Nothing is changed.\n\nExamples:\n   hone round replay loop\n   hone round replay loop 3 --output json",
		Action: func(c *cli.Context) error {
			names := []string{"CAMPAIGN"}
			if c.NArg() > 1 {
				names = append(names, "N")
			}
			args, err := arguments(c, names...)
			if err != nil {
				return err
			}
			replays := []api.Replay{}
			replay := func(n int) error {
				r, err := client(c).ReplayRound(c.Context, args[0], n)
				replays = append(replays, r)
				return err
			}
			if len(args) == 2 {
				n, err := count("N", args[1])
				if err == nil {
					err = replay(n)
				}
				if err != nil {
					return err
				}
			} else {
				rounds, err := client(c).Rounds(c.Context, args[0])
				if err != nil {
					return err
				}
				for _, r := range rounds {
					if err := replay(r.Round); err != nil {
						return err
					}
				}
			}
			if err := show(c, api.ReplayList{Replays: replays}, func(w io.Writer) { writeReplays(w, replays) }); err != nil {
				return err
			}
			differ := 0
			for _, r := range replays {
				if !r.Identical {
					differ++
				}
			}
			if differ > 0 {
				return fmt.Errorf("%s of %d did not come to the same bytes", counted(differ, "round"), len(replays))
			}
			return nil
		},
	}
}

func writeReplays(w io.Writer, replays []api.Replay) {
	rows := make([][]string, len(replays))
	for i, r := range replays {
		is := "identical"
		switch {
		case r.Problem != "":
			is = "not replayed"
		case !r.Identical:
			is = "DIFFERENT"
		}
		rows[i] = []string{digits(r.Round), is, r.Digest.String(), r.Evidence}
	}
	grid(w, []string{"ROUND", "REPLAYED", "DIGEST", "EVIDENCE"}, rows)
	for _, r := range replays {
		if r.Identical {
			continue
		}
		fmt.Fprintf(w, "\nRound %d", r.Round)
		if by := r.DecidedBy; by != nil && *by != r.ReplayedBy {
			fmt.Fprintf(w, ", decided by %s on %s and replayed by %s on %s", by.Version, by.Architecture, r.ReplayedBy.Version, r.ReplayedBy.Architecture)
		}
		if r.Problem != "" {
			fmt.Fprintf(w, ": %s.\n", printable(r.Problem))
			continue
		}
		fmt.Fprintf(w, ": no share differs by more than %s.\n", strconv.FormatFloat(r.ShareDistance, 'g', 3, 64))
		for _, d := range r.Differences {
			fmt.Fprintf(w, "  %s: was %s, is %s\n", printable(d.Field), printable(orNothing(d.Was)), printable(orNothing(d.Is)))
		}
	}
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
