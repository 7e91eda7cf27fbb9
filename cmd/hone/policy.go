package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
)

func policyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "how evidence becomes a mixture: floors, shares, caps, and what people have decided about slices",
		Subcommands: []*cli.Command{
			putCommand("policy", " Campaigns stay with the version that they follow until they are told otherwise (hone campaign policy). "+
				"With --canary 10% they try this one on that share of every round, beside their own, until there is a later version: compare the two by hone policy canary, and end it by promote or withdraw. "+
				"Meanwhile pins and bans are not edited: put another canary instead.",
				append(tuningFlags(), canaryFlag()), putPolicy),
			showCommand("policy"),
			listCommand("policy"),
			policyHistoryCommand(),
			policyDiffCommand(),
			policyRollbackCommand(),
			policyCanaryCommand(),
			policyPromoteCommand(),
			policyWithdrawCommand(),
			pinCommand(),
			unpinCommand(),
			banCommand(),
			unbanCommand(),
			policySimulateCommand(),
		},
	}
}

func tuningFlags() []cli.Flag {
	return append(whyFlags(), &cli.IntFlag{Name: "expect", Usage: "refuse (exit code 4) unless `VERSION` is the policy's latest", DefaultText: "whichever is"})
}

func tuning(c *cli.Context) (api.Because, error) {
	steer := why(c)
	out := api.Because{Author: steer.Author, Reason: steer.Reason, Expected: c.Int("expect")}
	if c.IsSet("expect") && out.Expected < 1 {
		return out, usage("--expect is a version from 1, not %d", out.Expected)
	}
	return out, nil
}

func putPolicy(c *cli.Context, text []byte) error {
	reason, err := tuning(c)
	if err != nil {
		return err
	}
	share := 0.
	if c.IsSet("canary") {
		if share, err = fraction("canary", c.String("canary")); err != nil {
			return err
		}
	}
	made, err := client(c).PutCanary(c.Context, text, share, reason)
	if err != nil {
		return err
	}
	return show(c, made, func(w io.Writer) { writePolicyPut(w, &made) })
}

// writePolicyPut says what was made, and which campaigns do not follow it yet.
func writePolicyPut(w io.Writer, made *api.PolicyPut) {
	writePut(w, "policy", &made.Put)
	if made.Ended > 0 {
		fmt.Fprintf(w, "the canary %s@%d is tried no more\n", made.Name, made.Ended)
	}
	if made.Canary > 0 {
		writeCanaryPut(w, made)
		return
	}
	for _, user := range made.Campaigns {
		if user.Refused != "" {
			fmt.Fprintf(w, "campaign %s follows %s@%d, and could not follow this: %s\n", user.Campaign, made.Name, user.Version, printable(user.Refused))
			continue
		}
		fmt.Fprintf(w, "campaign %s follows %s@%d; from its next round on it can follow this: hone campaign policy %s %s@%d\n",
			user.Campaign, made.Name, user.Version, user.Campaign, made.Name, made.Version)
	}
}

func policyHistoryCommand() *cli.Command {
	return &cli.Command{
		Name:        "history",
		Usage:       "list a policy's versions: when, by whom, why, and what changed",
		ArgsUsage:   "NAME",
		Description: "Example:\n   hone policy history careful",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			history, err := client(c).PolicyHistory(c.Context, args[0])
			if err != nil {
				return err
			}
			return show(c, history, func(w io.Writer) {
				rows := make([][]string, len(history.Versions))
				for i, v := range history.Versions {
					by := v.Author
					if by == "" {
						by = v.Owner
					}
					rows[i] = []string{digits(v.Version), utc(v.At), by, summary(i == 0, v.Changes), v.Reason}
				}
				grid(w, []string{"VERSION", "PUT", "BY", "CHANGED", "WHY"}, rows)
			})
		},
	}
}

// summary is what a version changed, in a line.
func summary(first bool, changes []loop.PolicyChange) string {
	const most = 3
	switch {
	case first:
		return "the first"
	case len(changes) == 0:
		return "nothing"
	}
	parts := make([]string, 0, most+1)
	for _, c := range changes[:min(most, len(changes))] {
		parts = append(parts, c.String())
	}
	if more := len(changes) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

func policyDiffCommand() *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "compare two versions of a policy, setting by setting",
		ArgsUsage: "NAME [A [B]]",
		Description: "A and B are versions: without B the latest is compared with A, without both with the version before it. " +
			"Defaults are spelt out; with --text it is the documents that are compared, comments and all, as diff -u does.\n\n" +
			"Examples:\n   hone policy diff careful\n   hone policy diff careful 3 7 --text",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "text", Usage: "compare the documents"}},
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) == 0 || len(args) > 3 {
				return usage("%s takes NAME [A [B]] (see %s --help)", c.Command.HelpName, c.Command.HelpName)
			}
			var versions [2]int
			for i, s := range args[1:] {
				n, err := count([]string{"A", "B"}[i], s)
				if err != nil {
					return err
				}
				versions[i] = n
			}
			diff, err := client(c).PolicyDiff(c.Context, args[0], versions[0], versions[1])
			if err != nil {
				return err
			}
			return show(c, diff, func(w io.Writer) {
				if c.Bool("text") {
					writeText(w, diff.Text)
				} else {
					writeChanges(w, &diff)
				}
			})
		},
	}
}

func writeChanges(w io.Writer, diff *api.PolicyDiff) {
	if len(diff.Changes) == 0 {
		fmt.Fprintf(w, "%s@%d and %s@%d say the same.\n", diff.Name, diff.From, diff.Name, diff.To)
		return
	}
	rows := make([][]string, len(diff.Changes))
	for i, c := range diff.Changes {
		rows[i] = []string{c.Key, c.From, c.To}
	}
	grid(w, []string{"KEY", fmt.Sprintf("%s@%d", diff.Name, diff.From), fmt.Sprintf("%s@%d", diff.Name, diff.To)}, rows)
}

// writeText prints lines of a document, without what a terminal would obey.
func writeText(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(w, printable(strings.TrimRight(line, "\r\n")))
	}
}

// writeEdited shows what an edit did to the document, and the version it made.
func writeEdited(w io.Writer, edited *api.PolicyEdited) {
	writeText(w, edited.Diff.Text)
	writePolicyPut(w, &edited.PolicyPut)
}

func policyRollbackCommand() *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "put what an older version of a policy said as the next version",
		ArgsUsage: "NAME VERSION",
		Description: "No version is ever taken away. Where the latest says the same it is refused.\n\n" +
			"Example:\n   hone policy rollback careful 3 --reason \"the last two made the worst slice worse\"",
		Flags: tuningFlags(),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME", "VERSION")
			if err != nil {
				return err
			}
			version, err := count("VERSION", args[1])
			if err != nil {
				return err
			}
			if err := required(c, "reason"); err != nil {
				return err
			}
			reason, err := tuning(c)
			if err != nil {
				return err
			}
			edited, err := client(c).RollbackPolicy(c.Context, args[0], api.Rollback{Version: version, Because: reason})
			if err != nil {
				return err
			}
			return show(c, edited, func(w io.Writer) { writeEdited(w, &edited) })
		},
	}
}

// fraction reads a share: 10%, or .1.
func fraction(flag, s string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	share, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share < 1) {
		return 0, usage("--%s is a share, as in 10%% or 0.1, not %q", flag, s)
	}
	return share, nil
}
