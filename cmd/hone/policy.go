package main

import "github.com/urfave/cli/v2"

func policyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "how evidence becomes a mixture: floors, shares, caps",
		Subcommands: []*cli.Command{
			putCommand("policy"),
			showCommand("policy"),
			listCommand("policy"),
			policySimulateCommand(),
		},
	}
}
