package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
)

// A space and a policy are put, shown and listed alike; what is the noun of the
// two. An example names the file that the repository has.

// putCommand puts a document by what put makes of the command line.
func putCommand(what, more string, flags []cli.Flag, put func(c *cli.Context, text []byte) error) *cli.Command {
	return &cli.Command{
		Name:      "put",
		Usage:     "put a " + what + " from a YAML or JSON file; the same content again changes nothing",
		ArgsUsage: "FILE|-",
		Description: fmt.Sprintf("A changed document becomes the next version. What is wrong with it is said with line and column.%[2]s\n\n"+
			"Example:\n   hone %[1]s put %[1]s.yaml", what, more),
		Flags: flags,
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "FILE")
			if err != nil {
				return err
			}
			text, err := document(c, args[0])
			if err != nil {
				return err
			}
			return put(c, text)
		},
	}
}

func putSpace(c *cli.Context, text []byte) error {
	return putDocument(c, "space", text, client(c).PutSpace)
}

func putDocument(c *cli.Context, what string, text []byte, put func(context.Context, []byte) (api.Put, error)) error {
	made, err := put(c.Context, text)
	if err != nil {
		return err
	}
	return show(c, made, func(w io.Writer) { writePut(w, what, &made) })
}

func writePut(w io.Writer, what string, made *api.Put) {
	change := "created"
	if !made.Created {
		change = "unchanged"
	}
	fmt.Fprintf(w, "%s %s@%d %s\n", what, made.Name, made.Version, change)
}

func showCommand(what string) *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "print a " + what + " as its author wrote it",
		ArgsUsage:   "NAME[@VERSION]",
		Description: fmt.Sprintf("Without a version it is the latest.\n\nExample:\n   hone %[1]s show shapes > %[1]s.yaml", what),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			name, version, err := versioned(args[0])
			if err != nil {
				return err
			}
			get := client(c).ShowSpace
			if what == "policy" {
				get = client(c).ShowPolicy
			}
			d, err := get(c.Context, name, version)
			if err != nil {
				return err
			}
			return show(c, d, func(w io.Writer) {
				fmt.Fprintln(w, strings.TrimSuffix(d.Document, "\n"))
			})
		},
	}
}

func listCommand(what string) *cli.Command {
	plural := map[string]string{"space": "spaces", "policy": "policies"}[what]
	return &cli.Command{
		Name:        "list",
		Usage:       "list the " + plural,
		Description: fmt.Sprintf("Example:\n   hone %s list", what),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			get := client(c).ListSpaces
			if what == "policy" {
				get = client(c).ListPolicies
			}
			list, err := get(c.Context)
			if err != nil {
				return err
			}
			return show(c, orEmpty(list), func(w io.Writer) {
				rows := make([][]string, len(list))
				for i, d := range list {
					rows[i] = []string{d.Name, digits(d.Version), d.Owner}
				}
				grid(w, []string{"NAME", "VERSION", "OWNER"}, rows)
			})
		},
	}
}

// orEmpty makes JSON say [] where there is nothing.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
