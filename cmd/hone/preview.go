package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func previewCommand() *cli.Command {
	return &cli.Command{
		Name:      "preview",
		Usage:     "show the next round before it opens: what changes, what it costs, what holds it back",
		ArgsUsage: "CAMPAIGN [N]",
		Description: "The proposal that waits for approval; or, of a campaign that decides by itself, what would be decided now. Nothing is changed.\n\n" +
			"Examples:\n   hone round preview loop\n   hone round preview loop 4 --output json",
		Action: func(c *cli.Context) error {
			names := []string{"CAMPAIGN"}
			if c.NArg() > 1 {
				names = append(names, "N")
			}
			args, err := arguments(c, names...)
			if err != nil {
				return err
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
				n = campaign.Round + 1
			}
			p, err := client(c).PreviewRound(c.Context, args[0], n)
			if err != nil {
				return err
			}
			return show(c, p, func(w io.Writer) { writePreview(w, &p) })
		},
	}
}

func writePreview(w io.Writer, p *api.Preview) {
	standing := "nothing is proposed: this is what would be decided now"
	if p.Proposal != nil {
		standing = proposalState(p.Proposal)
		if p.Standing != "proposed" {
			standing += "; below is what would be decided now"
		}
	}
	price := fmt.Sprintf("%s samples to train on, %s for evaluation", thousands(p.Price.Training), thousands(p.Price.Evaluation))
	if s := p.Price.GPUSeconds; s != nil {
		price += fmt.Sprintf(", about %s of GPU time (by %s samples made so far)",
			time.Duration(*s*float64(time.Second)).Round(time.Second/10), thousands(p.Price.Measured))
	}
	if m := p.Price.Money; m != nil {
		cost := api.Cost{Money: m, Currency: p.Price.Currency}
		price += ": about " + cost.Text()
	}
	facts(w,
		"round", fmt.Sprintf("%d of campaign %s", p.Round, p.Campaign),
		"state", standing,
		"proposed", proposedBy(p),
		"void", p.Void,
		"digest", p.Digest.String(),
		"price", price,
		"evidence", evidenceOf(p),
		"canary", canaryPrice(p.Decision.Canary),
	)
	if p.Round == 1 {
		fmt.Fprint(w, "\nThe mixture:\n")
		writeMixture(w, p.Slices)
	} else {
		fmt.Fprint(w, "\nThe mixture, from the round before:\n")
		writeShares(w, p.Slices)
	}
	writeFactors(w, p.Factors)
	if p.Guards != nil {
		writeGuards(w, p.Round, p.Guards)
	}
	writeMemory(w, "Damped or quarantined", p.Decision.Memory)
	writeNotes(w, "Notes", p.Decision.Notes)
	writeCanaryArm(w, p.Decision.Canary)
	if p.Standing == "proposed" {
		fmt.Fprintf(w, "\nApprove it:    hone round approve %s %d --digest %s\n", p.Campaign, p.Round, p.Digest.String()[7:19])
	}
}

// writeMixture prints the shares of a round that has none before it.
func writeMixture(w io.Writer, shares []api.ShareChange) {
	rows := make([][]string, len(shares))
	for i, s := range shares {
		rows[i] = []string{s.Name, percent(s.To), digits(s.Quota)}
	}
	grid(w, []string{"SLICE", "SHARE", "SAMPLES"}, rows)
}

func proposedBy(p *api.Preview) string {
	if p.Standing != "proposed" || p.Proposal == nil {
		return ""
	}
	out := utc(p.Proposal.At) + " by " + p.Proposal.Author
	if p.Proposal.Reason != "" {
		out += ": " + p.Proposal.Reason
	}
	return out
}

func evidenceOf(p *api.Preview) string {
	return evidence(&api.Round{Sequence: p.Sequence, Decision: p.Decision})
}

// leastMove is the smallest move of a level that is worth a line.
const leastMove = .002

// writeFactors prints the levels that move, by factor, those that move most first.
func writeFactors(w io.Writer, factors []api.FactorChange) {
	type moved struct {
		factor string
		api.LevelChange
	}
	var all []moved
	for _, f := range factors {
		for _, l := range f.Levels {
			if l.From > 0 && math.Abs(l.To-l.From) >= leastMove {
				all = append(all, moved{f.Factor, l})
			}
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b moved) int { return cmp.Compare(math.Abs(b.To-b.From), math.Abs(a.To-a.From)) })
	const most = 16
	rows := make([][]string, min(len(all), most))
	for i := range rows {
		l := all[i]
		rows[i] = []string{l.factor, l.Level, percent(l.From), percent(l.To), percentagePoints(l.To - l.From)}
	}
	fmt.Fprint(w, "\nWhat is made, by factor:\n")
	grid(w, []string{"FACTOR", "LEVEL", "FROM", "TO", "CHANGE"}, rows)
	if len(all) > most {
		fmt.Fprintf(w, "and %d levels that move less (--output json has all)\n", len(all)-most)
	}
}

func writeGuards(w io.Writer, round int, g *api.Guards) {
	moved := fmt.Sprintf("%s of %s nats used; it went %s of the way to what the evidence asks for",
		strconv.FormatFloat(g.KL, 'g', 3, 64), strconv.FormatFloat(g.TrustRegion, 'g', 3, 64), percent(g.Step))
	if round == 1 {
		moved = "there is no round before to move from"
	}
	fmt.Fprint(w, "\nGuard rails:\n")
	facts(indented{w},
		"trust region", moved,
		"base", "at least "+percent(g.Base)+", which leans "+percent(g.Floor)+" from deployment towards uniform",
		"boosted", "at most "+percent(g.Boosted)+" in all, and "+percent(g.Cap)+" a slice",
		"evidence", "at least "+thousands(g.MinimumRows)+" rows, or the mixture stays on the base",
	)
	for _, p := range g.Protected {
		text := fmt.Sprintf("%s is protected by the space: at least %s", p.Name, percent(p.Share))
		if p.Reason != "" {
			text += " (" + p.Reason + ")"
		}
		paragraph(w, "  ", text+".")
	}
	for _, o := range g.Pins {
		paragraph(w, "  ", fmt.Sprintf("Pinned at %s: %s.", percent(o.Share), o.Describe()))
	}
	for _, o := range g.Bans {
		paragraph(w, "  ", fmt.Sprintf("Banned: %s.", o.Describe()))
	}
}

// indented writes lines two columns in; each write is whole lines.
type indented struct{ w io.Writer }

func (i indented) Write(line []byte) (int, error) {
	if _, err := io.WriteString(i.w, "  "); err != nil {
		return 0, err
	}
	return i.w.Write(line)
}

// proposed says in a line that a round waits for approval.
func proposed(p *api.Proposal) string {
	if p == nil || p.State != api.ProposalWaiting && p.State != api.ProposalRejected {
		return ""
	}
	return fmt.Sprintf("round %d, %s (hone round preview %s %d)", p.Round, proposalState(p), p.Campaign, p.Round)
}
