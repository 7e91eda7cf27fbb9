package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/program"
	"hone/spec"
)

// schemas are the documents and messages that people and their programs write,
// by name.
var schemas = map[string]func() []byte{
	"space":     spec.SpaceSchema,
	"policy":    spec.PolicySchema,
	"campaign":  spec.CampaignSchema,
	"generator": program.GeneratorSchema,
	"gate":      program.GateSchema,
}

func schemaCommand() *cli.Command {
	known := slices.Sorted(maps.Keys(schemas))
	return &cli.Command{
		Name:      "schema",
		Usage:     "print the JSON Schema of a document, or of a protocol: " + strings.Join(known, ", "),
		ArgsUsage: "NAME",
		Description: `Editors complete and check a document by its schema. Write it beside the document
and let the document's first line name it:

   hone schema space > space.schema.json
   # yaml-language-server: $schema=space.schema.json

Example:
   hone schema campaign > campaign.schema.json`,
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			schema, ok := schemas[args[0]]
			if !ok {
				return usage("there is no schema %q; there are %s", args[0], strings.Join(known, ", "))
			}
			_, err = c.App.Writer.Write(schema())
			return err
		},
	}
}
