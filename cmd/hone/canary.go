package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func canaryFlag() cli.Flag {
	return &cli.StringFlag{Name: "canary", Usage: "put it as a canary, which campaigns try on this `SHARE` of every round, as in 10% or 0.1, beside the version that they follow"}
}

// writeCanaryPut says which campaigns will try a canary, and what comes then.
func writeCanaryPut(w io.Writer, made *api.PolicyPut) {
	for _, user := range made.Campaigns {
		fmt.Fprintf(w, "campaign %s follows %s@%d, and gives %s of each round to this from its next one on\n", user.Campaign, made.Name, user.Version, percent(made.Canary))
	}
	if len(made.Campaigns) == 0 {
		fmt.Fprintf(w, "no campaign that follows %s has rounds to come: nobody tries it yet\n", made.Name)
	}
	fmt.Fprintf(w, "compare: hone policy canary %[1]s; then: hone policy promote %[1]s, or hone policy withdraw %[1]s\n", made.Name)
}

func policyCanaryCommand() *cli.Command {
	return &cli.Command{
		Name:      "canary",
		Usage:     "compare what a canary yields with what the version beside it does",
		ArgsUsage: "NAME[@VERSION]",
		Description: "A canary is put by hone policy put --canary 10%: campaigns that follow the policy then make that share of each round by it, and the rest by the version that they follow. " +
			"For each of them this compares samples, how many a gate sent back, what a sample took, the slices that only one of the two boosts, and how often the models fail on the evaluation samples of each. " +
			"Both arms train one model, so that it cannot say which of the two made it better: hone experiment create can. Without a version it is the latest canary that a campaign tried.\n\n" +
			"Examples:\n   hone policy canary careful\n   hone policy canary careful@5 --campaign loop",
		Flags: []cli.Flag{&cli.StringFlag{Name: "campaign", Usage: "of this `CAMPAIGN` alone", DefaultText: "all"}},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			name, version, err := versioned(args[0])
			if err != nil {
				return err
			}
			out, err := client(c).PolicyCanary(c.Context, name, version, c.String("campaign"))
			if err != nil {
				return err
			}
			return show(c, out, func(w io.Writer) { writeComparison(w, &out) })
		},
	}
}

func policyPromoteCommand() *cli.Command {
	return endCanaryCommand("promote", "make a policy's canary its stable version",
		"What the canary says becomes the next version. Campaigns follow it when they are told to (hone campaign policy).", "its samples fail more, at the same price",
		func(client *api.Client, ctx context.Context, name string, why api.Because) (api.PolicyEdited, error) {
			return client.PromotePolicy(ctx, name, why)
		})
}

func policyWithdrawCommand() *cli.Command {
	return endCanaryCommand("withdraw", "end a policy's canary",
		"What the stable version says becomes the next version. Rounds that are decided stay as they are, and so do their samples.", "the gate sends half of it back",
		func(client *api.Client, ctx context.Context, name string, why api.Because) (api.PolicyEdited, error) {
			return client.WithdrawPolicy(ctx, name, why)
		})
}

func endCanaryCommand(verb, usage, description, reason string, end func(*api.Client, context.Context, string, api.Because) (api.PolicyEdited, error)) *cli.Command {
	return &cli.Command{
		Name:        verb,
		Usage:       usage,
		ArgsUsage:   "NAME",
		Description: fmt.Sprintf("%s\n\nExample:\n   hone policy %s careful --reason %q", description, verb, reason),
		Flags:       tuningFlags(),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			why, err := tuning(c)
			if err != nil {
				return err
			}
			out, err := end(client(c), c.Context, args[0], why)
			return edited(c, out, err)
		},
	}
}

func writeComparison(w io.Writer, out *api.CanaryComparison) {
	if len(out.Campaigns) == 0 {
		fmt.Fprintf(w, "No campaign has tried a canary of policy %s: hone policy put FILE --canary 10%%\n", out.Name)
		return
	}
	for i := range out.Campaigns {
		t := &out.Campaigns[i]
		state := "has ended"
		if t.Running {
			state = "is running"
		}
		fmt.Fprintf(w, "Campaign %s tried %s@%d on %s of %d rounds beside %[2]s@%[6]d; the canary %[7]s.\n", t.Campaign, out.Name, t.Canary, percent(t.Share), len(t.Rounds), t.Stable, state)
		if len(t.Rounds) == 0 {
			fmt.Fprint(w, "Its next round will be the first of two arms.\n\n")
			continue
		}
		fmt.Fprintln(w)
		var rows [][]string
		add := func(round string, arms *api.CanaryArms) {
			for _, arm := range []struct {
				name string
				*api.CanaryYield
			}{{"stable", &arms.Stable}, {"canary", &arms.Canary}} {
				failed := ""
				if arm.FailureRate != nil {
					failed = fmt.Sprintf("%s of %d", percent(*arm.FailureRate), arm.Evaluated)
				}
				rows = append(rows, []string{round, arm.name, digits(arm.Samples), digits(arm.Accepted), optional(arm.RejectionRate, percent),
					took(arm.Cost), percent(arm.Effective), failed})
			}
		}
		for j := range t.Rounds {
			add(digits(t.Rounds[j].Round), &t.Rounds[j].CanaryArms)
		}
		if len(t.Rounds) > 1 {
			add("all", &t.Together)
		}
		grid(w, []string{"ROUND", "ARM", "SAMPLES", "ACCEPTED", "SENT BACK", "EACH TOOK", "EFFECTIVE", "FAILED"}, rows)
		fmt.Fprintln(w)
		for _, r := range t.Rounds {
			for _, only := range []struct {
				arm   string
				names []string
			}{{"the stable version", r.OnlyStable}, {"the canary", r.OnlyCanary}} {
				if len(only.names) > 0 {
					paragraph(w, "", fmt.Sprintf("In round %d only %s boosts %s.", r.Round, only.arm, strings.Join(only.names, ", ")))
				}
			}
		}
		if a := t.Together.Above; a != nil {
			paragraph(w, "", fmt.Sprintf("The models fail on %s of what the canary makes and on %s of what the stable version does: %s percentage points, with 95 %% confidence %s to %s. "+
				"A higher rate finds more of what fails.", percent(*t.Together.Canary.FailureRate), percent(*t.Together.Stable.FailureRate),
				signed(a.Expected), signed(a.Lower), signed(a.Upper)))
		} else {
			paragraph(w, "", "Whether the models fail more on the one or on the other cannot be told: "+t.Together.Refused+".")
		}
		fmt.Fprintln(w)
	}
	paragraph(w, "", out.Caveat)
}

func signed(x float64) string { return fmt.Sprintf("%+.1f", 100*x) }

// took is what an accepted sample took, in money where it is known.
func took(c *api.Cost) string {
	if c == nil {
		return ""
	}
	text := strconv.FormatFloat(c.GPUSeconds, 'g', 3, 64) + " s"
	if c.Money != nil {
		text += ", " + c.Text()
	}
	return text
}

// optional says a number, if there is one.
func optional(x *float64, say func(float64) string) string {
	if x == nil {
		return ""
	}
	return say(*x)
}

// canaryOf names the canary that a campaign tries.
func canaryOf(c *api.Campaign) string {
	if c.Canary == nil {
		return ""
	}
	return fmt.Sprintf("%s on %s of each round", c.Canary.Policy, percent(c.Canary.Share))
}

// writeCanaryArm says what a decision says of its canary, but for the components.
func writeCanaryArm(w io.Writer, k *api.CanaryArm) {
	if k == nil {
		return
	}
	writeMemory(w, "Damped or quarantined in the canary's arm", k.Memory)
	writeNotes(w, "Notes on the canary's arm", k.Notes)
}

func writeNotes(w io.Writer, heading string, notes []string) {
	if len(notes) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", heading)
	for _, n := range notes {
		paragraph(w, "  ", n)
	}
}

// canaryPrice says how much of a round is its canary's.
func canaryPrice(k *api.CanaryArm) string {
	if k == nil {
		return ""
	}
	return fmt.Sprintf("version %d of the policy decides %s of the samples to train on; the guard rails below are of the stable version", k.PolicyVersion, thousands(k.Quota))
}
