package main

import "github.com/urfave/cli/v2"

func spaceCommand() *cli.Command {
	return &cli.Command{
		Name:  "space",
		Usage: "what may vary: factors, constraints, the target distribution",
		Subcommands: []*cli.Command{
			spaceInitCommand(),
			putCommand("space", "", nil, putSpace),
			showCommand("space"),
			listCommand("space"),
			spaceCheckCommand(),
			spacePreviewCommand(),
		},
	}
}
