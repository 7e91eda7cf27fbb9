package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
	"hone/spec"
)

// proposalCommands are what people do about rounds that wait for approval.
func proposalCommands() []*cli.Command {
	return []*cli.Command{
		previewCommand(),
		{
			Name:      "proposals",
			Usage:     "list all proposals of a campaign: who made them, and what became of each",
			ArgsUsage: "CAMPAIGN",
			Description: "Of a campaign with `decide: propose`.\n\n" +
				"Example:\n   hone round proposals loop",
			Action: func(c *cli.Context) error {
				args, err := arguments(c, "CAMPAIGN")
				if err != nil {
					return err
				}
				list, err := client(c).Proposals(c.Context, args[0])
				if err != nil {
					return err
				}
				return show(c, api.ProposalList{Proposals: list}, func(w io.Writer) { writeProposals(w, list) })
			},
		},
		{
			Name:      "propose",
			Usage:     "ask for another proposal of the next round",
			ArgsUsage: "CAMPAIGN",
			Description: "It is decided anew, without what was amended, and takes the place of one that waits. After a rejection a campaign " +
				"proposes again by itself only when there is new evidence, or another policy.\n\n" +
				"Example:\n   hone round propose loop --reason \"the labels are mended\"",
			Flags: whyFlags(),
			Action: func(c *cli.Context) error {
				args, err := arguments(c, "CAMPAIGN")
				if err != nil {
					return err
				}
				p, err := client(c).ProposeRound(c.Context, args[0], why(c))
				if err != nil {
					return err
				}
				return show(c, p, func(w io.Writer) { writeProposal(w, &p) })
			},
		},
		ruleCommand("approve", "open a proposed round: exactly what was proposed", "Asked for again it changes nothing.",
			"the night shift needs it", (*api.Client).ApproveRound),
		ruleCommand("reject", "reject a proposed round", "The campaign waits for new evidence, another policy, or `hone round propose`.",
			"too much glare", (*api.Client).RejectRound),
		amendCommand(),
	}
}

// digestFlag names what was seen.
func digestFlag() cli.Flag {
	return &cli.StringFlag{Name: "digest", Usage: "act only if the proposal is the one of `DIGEST`, as preview shows it, or begins so"}
}

// waitingProposal is the proposal that the command line names, CAMPAIGN N: the one
// that waits, or else the last of that round, so that a command sent twice is
// answered twice.
func waitingProposal(c *cli.Context) (api.Proposal, error) {
	args, err := arguments(c, "CAMPAIGN", "N")
	if err != nil {
		return api.Proposal{}, err
	}
	n, err := count("N", args[1])
	if err != nil {
		return api.Proposal{}, err
	}
	list, err := client(c).Proposals(c.Context, args[0])
	if err != nil {
		return api.Proposal{}, err
	}
	var last *api.Proposal
	for i := range list {
		if list[i].Round == n {
			last = &list[i]
		}
	}
	if last == nil {
		return api.Proposal{}, loop.NotFound("round", "no round %d of campaign %q is proposed (decide: propose, in the campaign's document, makes one wait)", n, args[0])
	}
	if seen := strings.TrimPrefix(c.String("digest"), "sha256:"); !strings.HasPrefix(strings.TrimPrefix(last.Digest.String(), "sha256:"), seen) {
		return api.Proposal{}, loop.Conflict("digest", "%s is proposed by now: look at it first (hone round preview %s %d)", last.Digest, args[0], n)
	}
	return *last, nil
}

func ruleCommand(verb, what, more, because string, rule func(*api.Client, context.Context, string, int, api.Rule) (api.Proposal, error)) *cli.Command {
	return &cli.Command{
		Name:        verb,
		Usage:       what,
		ArgsUsage:   "CAMPAIGN N",
		Description: fmt.Sprintf("%s\n\nExample:\n   hone round %s loop 4 --reason %q", more, verb, because),
		Flags:       append(whyFlags(), digestFlag()),
		Action: func(c *cli.Context) error {
			p, err := waitingProposal(c)
			if err != nil {
				return err
			}
			p, err = rule(client(c), c.Context, p.Campaign, p.Round, api.Rule{Digest: p.Digest, Steer: why(c)})
			if err != nil {
				return err
			}
			return show(c, p, func(w io.Writer) { writeProposal(w, &p) })
		},
	}
}

func amendCommand() *cli.Command {
	return &cli.Command{
		Name:      "amend",
		Usage:     "change a share of a proposed round, or keep a slice from being boosted in it",
		ArgsUsage: "CAMPAIGN N",
		Description: "The round is decided again from the same evidence, with this for this round alone, and proposed again: look at it, then approve it. " +
			"What earlier amendments changed stays. For all rounds to come, change the policy.\n\n" +
			"Examples:\n   hone round amend loop 4 --where 'light=low & glove=yes' --share 10% --reason \"the night shift\"\n" +
			"   hone round amend loop 4 --where 'light=glare' --ban --reason \"the camera is being replaced\"",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "where", Usage: "the `SLICE`, 'light=low & glove=yes'"},
			&cli.StringFlag{Name: "share", Usage: "give it this `SHARE` of the training mixture, 10% or 0.1"},
			&cli.BoolFlag{Name: "ban", Usage: "boost or probe neither it nor anything inside it"},
		}, append(whyFlags(), digestFlag())...),
		Action: func(c *cli.Context) error {
			if err := required(c, "where"); err != nil {
				return err
			}
			slice, err := spec.ParsePredicates(c.String("where"))
			if err != nil {
				return usage("--where: %v", err)
			}
			if c.IsSet("share") == c.Bool("ban") {
				return usage("%s needs --share or --ban, and not both (see %s --help)", c.Command.HelpName, c.Command.HelpName)
			}
			override := loop.Override{Slice: slice}
			amend := api.Amend{}
			if c.Bool("ban") {
				amend.Bans = []loop.Override{override}
			} else {
				if override.Share, err = fraction("share", c.String("share")); err != nil {
					return err
				}
				amend.Pins = []loop.Override{override}
			}
			p, err := waitingProposal(c)
			if err != nil {
				return err
			}
			amend.Rule = api.Rule{Digest: p.Digest, Steer: why(c)}
			if p, err = client(c).AmendRound(c.Context, p.Campaign, p.Round, amend); err != nil {
				return err
			}
			return show(c, p, func(w io.Writer) { writeProposal(w, &p) })
		},
	}
}

func writeProposals(w io.Writer, list []api.Proposal) {
	rows := make([][]string, len(list))
	for i, p := range list {
		rows[i] = []string{digits(p.Serial), digits(p.Round), utc(p.At), p.Author, p.Reason, p.State, "", "", p.Digest.String()[:19]}
		if r := p.Ruling; r != nil {
			rows[i][6], rows[i][7] = r.Author, r.Reason
		}
	}
	grid(w, []string{"SERIAL", "ROUND", "PROPOSED", "BY", "WHY", "STATE", "RULED BY", "BECAUSE", "DIGEST"}, rows)
}

func writeProposal(w io.Writer, p *api.Proposal) {
	facts(w,
		"round", fmt.Sprintf("%d of campaign %s, proposal %d", p.Round, p.Campaign, p.Serial),
		"state", proposalState(p),
		"proposed", fmt.Sprintf("%s by %s", utc(p.At), p.Author),
		"reason", p.Reason,
		"digest", p.Digest.String(),
	)
	// What is rounded otherwise is no change to a person.
	changes := slices.DeleteFunc(slices.Clone(p.Changes), func(s api.ShareChange) bool { return math.Abs(s.To-s.From) < leastShown })
	if len(changes) > 0 {
		fmt.Fprintln(w)
		writeShares(w, changes)
	}
	if p.State == api.ProposalWaiting {
		fmt.Fprintf(w, "\nLook at it:    hone round preview %s %d\nApprove it:    hone round approve %s %d --digest %s\n", p.Campaign, p.Round, p.Campaign, p.Round, p.Digest.String()[7:19])
	}
}

// proposalState is what became of a proposal, by whom and why.
func proposalState(p *api.Proposal) string {
	r := p.Ruling
	if r == nil {
		return "waiting for approval"
	}
	out := p.State + " at " + utc(r.At)
	if r.Author != "" {
		out += " by " + r.Author
	}
	if r.Reason != "" {
		out += ": " + r.Reason
	}
	return out
}

func writeShares(w io.Writer, changes []api.ShareChange) {
	rows := make([][]string, len(changes))
	quotas := false
	for i, s := range changes {
		rows[i] = []string{s.Name, percent(s.From), percent(s.To), percentagePoints(s.To - s.From), digits(s.Quota)}
		quotas = quotas || s.Quota > 0
	}
	header := []string{"SLICE", "FROM", "TO", "CHANGE", "SAMPLES"}
	if !quotas {
		header = header[:4]
		for i := range rows {
			rows[i] = rows[i][:4]
		}
	}
	grid(w, header, rows)
}

// leastShown is the least difference of two shares that is shown as one.
const leastShown = 5e-5

// percentagePoints is a difference of two shares in percentage points.
func percentagePoints(x float64) string {
	if math.Abs(x) < leastShown {
		return ""
	}
	return strconv.FormatFloat(100*x, 'f', 2, 64)
}
