package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/spec"
)

// arrange puts a command line into the only order that the flag library knows,
// `hone COMMAND ... FLAGS -- ARGUMENTS`, so that people may write flags where
// they like. It refuses a command that there is not.
func arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	level, flags := app.Commands, app.Flags
	path, options, arguments := args[:1:1], []string(nil), []string(nil)
	rest := args[1:]
	// Flags may stand before the command that declares them, so their values are
	// told from arguments by what any command declares of them.
	takesValue := func(name string) bool {
		takes, ok := declared(flags, name)
		if !ok {
			takes, _ = declared(allFlags(app.Commands), name)
		}
		return takes
	}
	for len(rest) > 0 {
		arg := rest[0]
		rest = rest[1:]
		switch {
		case arg == "--":
			arguments = append(arguments, rest...)
			rest = nil
		case len(arg) > 1 && arg[0] == '-':
			options = append(options, arg)
			name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if !hasValue && takesValue(name) && len(rest) > 0 {
				options = append(options, rest[0])
				rest = rest[1:]
			}
		case len(level) > 0:
			command := find(level, arg)
			if command == nil {
				return nil, usage("there is no command %q%s", strings.Join(append(path[1:], arg), " "), nearest(level, arg))
			}
			path = append(path, command.Name)
			level, flags = command.Subcommands, command.Flags
		default:
			arguments = append(arguments, arg)
		}
	}
	if len(level) > 0 && len(path) > 1 && !slices.ContainsFunc(options, isHelp) {
		return nil, usage("hone %s needs one of the commands %s", path[1], strings.Join(names(level), ", "))
	}
	out := append(path, options...)
	if len(arguments) > 0 {
		out = append(append(out, "--"), arguments...)
	}
	return out, nil
}

func isHelp(option string) bool { return option == "--help" || option == "-help" || option == "-h" }

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func names(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

// declared reports whether a flag of that name is there, and takes a value.
func declared(flags []cli.Flag, name string) (takesValue, ok bool) {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			d, documented := f.(cli.DocGenerationFlag)
			return documented && d.TakesValue(), true
		}
	}
	return false, false
}

func allFlags(commands []*cli.Command) []cli.Flag {
	var out []cli.Flag
	for _, c := range commands {
		out = append(append(out, c.Flags...), allFlags(c.Subcommands)...)
	}
	return out
}

// nearest is a suggestion for a mistyped command.
func nearest(commands []*cli.Command, name string) string {
	near := spec.Suggest(name, names(commands))
	if word, ok := strings.CutPrefix(near, "did you mean "); ok {
		return ". Did you mean " + word
	}
	return " (" + near + ")"
}
