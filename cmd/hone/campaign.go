package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func campaignCommand() *cli.Command {
	return &cli.Command{
		Name:  "campaign",
		Usage: "a request for samples: what to make, how many, what it learns from",
		Subcommands: []*cli.Command{
			{
				Name:        "create",
				Usage:       "create a campaign from a YAML or JSON file, and start it",
				ArgsUsage:   "FILE|-",
				Description: "The same document again changes nothing.\n\nExample:\n   hone campaign create examples/campaign.yaml",
				Action: func(c *cli.Context) error {
					args, err := arguments(c, "FILE")
					if err != nil {
						return err
					}
					text, err := document(c, args[0])
					if err != nil {
						return err
					}
					return createCampaign(c, text)
				},
			},
			{
				Name:      "show",
				Usage:     "show a campaign and its accounting",
				ArgsUsage: "NAME",
				Description: "At every moment requested = committed + abandoned + in flight + pending.\n\n" +
					"Example:\n   hone campaign show loop --output json",
				Action: func(c *cli.Context) error {
					args, err := arguments(c, "NAME")
					if err != nil {
						return err
					}
					campaign, err := client(c).Campaign(c.Context, args[0])
					if err != nil {
						return err
					}
					return show(c, campaign, func(w io.Writer) {
						writeCampaign(w, &campaign)
						writeOutlook(c, w, campaign.Name)
					})
				},
			},
			campaignForecastCommand(),
			{
				Name:        "list",
				Usage:       "list the campaigns",
				Description: "Example:\n   hone campaign list",
				Action: func(c *cli.Context) error {
					if _, err := arguments(c); err != nil {
						return err
					}
					list, err := client(c).Campaigns(c.Context)
					if err != nil {
						return err
					}
					return show(c, orEmpty(list), func(w io.Writer) { writeCampaigns(w, list) })
				},
			},
			steerCommand("pause", "stop deciding rounds and handing out work; what is in flight is finished and counted", (*api.Client).PauseCampaign),
			steerCommand("resume", "let a paused campaign go on", (*api.Client).ResumeCampaign),
			steerCommand("close", "end a campaign for good: what is in flight may still count, the rest is given up", (*api.Client).CloseCampaign),
			extendCommand(),
			adoptCommand(),
			watchCampaignCommand(),
		},
	}
}

func writeCampaign(w io.Writer, c *api.Campaign) {
	lines := []string{
		"campaign", c.Name,
		"state", stateSince(c),
		"why", steeredWhy(c),
		"waiting for", c.Waiting,
		"proposed", proposed(c.Proposal),
		"round", fmt.Sprintf("%d of %d", c.Round, c.Rounds) + growing(c),
		"space", c.Space,
		"policy", c.Policy,
		"canary", canaryOf(c),
		"generator", c.Generator,
		"owner", c.Owner,
		"seed", digits(c.Seed),
	}
	for i, change := range amendments(c) {
		name := ""
		if i == 0 {
			name = "changed"
		}
		lines = append(lines, name, change)
	}
	facts(w, append(lines, "reasons", strings.Join(c.Reasons, "; "))...)
	fmt.Fprintln(w)
	rows := [][]string{}
	add := func(name string, n api.Counts) {
		rows = append(rows, []string{name, digits(n.Requested), digits(n.Committed), digits(n.Abandoned), digits(n.InFlight),
			digits(n.Pending), digits(n.Rejected), digits(n.Replaced)})
	}
	add("training", c.Counts)
	if c.Evaluation != nil {
		add("evaluation", *c.Evaluation)
	}
	given := c.GivenUp
	if c.Evaluation != nil {
		given += c.Evaluation.GivenUp
	}
	if given > 0 {
		defer fmt.Fprintf(w, "\n%s more had been asked for when the campaign was closed, and are given up.\n", thousands(given))
	}
	grid(w, []string{"SAMPLES", "REQUESTED", "COMMITTED", "ABANDONED", "IN FLIGHT", "PENDING", "REJECTED", "REPLACED"}, rows)
}

// growing says how a campaign's rounds grow, if they do.
func growing(c *api.Campaign) string {
	if c.FirstSamples == 0 {
		return ""
	}
	return fmt.Sprintf(", growing from %s samples in the first", thousands(c.FirstSamples))
}

func writeCampaigns(w io.Writer, list []api.CampaignSummary) {
	rows := make([][]string, len(list))
	for i, s := range list {
		rows[i] = []string{s.Name, s.State, s.Space, fmt.Sprintf("%d of %d", s.Round, s.Rounds), digits(s.Committed), digits(s.Requested)}
	}
	grid(w, []string{"NAME", "STATE", "SPACE", "ROUND", "COMMITTED", "REQUESTED"}, rows)
}
