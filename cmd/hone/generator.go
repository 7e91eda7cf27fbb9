package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/examples/shapes"
	"hone/gpuworker"
	"hone/loop"
	"hone/program"
	"hone/spec"
)

func generatorCommand() *cli.Command {
	return &cli.Command{
		Name:  "generator",
		Usage: "programs that make samples",
		Subcommands: []*cli.Command{{
			Name:      "check",
			Usage:     "try a generator out, and say what is wrong with it",
			ArgsUsage: "CMD ...",
			Description: `Runs the program, asks it for a few units, and reports how it keeps to the
protocol (program/PROTOCOL.md; hone schema generator prints its messages): each
check with what was expected, what was seen, and how to mend it. Nothing is kept,
and no server is needed. Exit code 1 if a check fails.

Flags behind CMD are Hone's own, unless CMD is one word in quotes or follows --.

Examples:
   hone generator check --space space.yaml "python3 generator.py --size 64"
   hone generator check --builtin shapes`,
			Flags: append(checkFlags(),
				&cli.StringFlag{Name: "builtin", Usage: "check the built-in generator `NAME`: " + shapes.GeneratorName}),
			Action: func(c *cli.Context) error {
				space, o, err := checkOptions(c, c.IsSet("builtin"))
				if err != nil {
					return err
				}
				defer os.RemoveAll(o.Dir)
				var findings []program.Finding
				if c.IsSet("builtin") {
					if findings, err = checkBuiltIn(c, space); err != nil {
						return err
					}
				} else {
					if o.Command, err = commandLine(c); err != nil {
						return err
					}
					if findings, err = program.CheckGenerator(c.Context, o, space); err != nil {
						return err
					}
				}
				return showFindings(c, findings)
			},
		}},
	}
}

func gateCommand() *cli.Command {
	return &cli.Command{
		Name:  "gate",
		Usage: "programs that judge samples",
		Subcommands: []*cli.Command{{
			Name:      "check",
			Usage:     "try a gate out, and say what is wrong with it",
			ArgsUsage: "CMD ...",
			Description: `Runs the program, has it judge a few samples, and reports how it keeps to the
protocol (program/PROTOCOL.md; hone schema gate prints its messages). The samples
are pictures of the built-in generator, or those of --generator-cmd. Exit code 1
if a check fails.

Flags behind CMD are Hone's own, unless CMD is one word in quotes or follows --.

Examples:
   hone gate check "python3 gate.py"
   hone gate check --space space.yaml --generator-cmd "python3 generator.py" "python3 gate.py"`,
			Flags: append(checkFlags(),
				&cli.StringFlag{Name: "generator-cmd", Usage: "judge samples of this generator, `\"CMD ...\"`"}),
			Action: func(c *cli.Context) error {
				space, o, err := checkOptions(c, !c.IsSet("generator-cmd"))
				if err != nil {
					return err
				}
				defer os.RemoveAll(o.Dir)
				if o.Command, err = commandLine(c); err != nil {
					return err
				}
				samples, err := specimens(c, o, space)
				if err != nil {
					return err
				}
				findings, err := program.CheckGate(c.Context, o, samples)
				if err != nil {
					return err
				}
				return showFindings(c, findings)
			},
		}},
	}
}

func checkFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "space", Usage: "ask for scenarios of the space in `FILE`", DefaultText: "a little one"},
		startTimeoutFlag(),
		&cli.DurationFlag{Name: "unit-timeout", Value: time.Minute, Usage: "how long a unit of 8 samples, or a verdict, may take, in `TIME` as in 90s"},
		&cli.BoolFlag{Name: "verbose", Usage: "show what the program writes to standard error"},
	}
}

// checkOptions are a space, by default that of the built-in generator or a little
// one, and how a program is run on it, in a directory that is to be removed.
func checkOptions(c *cli.Context, shaped bool) (*loop.Space, program.Options, error) {
	o := program.Options{Name: "check", Logger: logger(c), StartTimeout: c.Duration("start-timeout"), UnitTimeout: c.Duration("unit-timeout")}
	if o.StartTimeout <= 0 || o.UnitTimeout <= 0 {
		return nil, o, usage("--start-timeout and --unit-timeout are more than 0s")
	}
	space := program.CheckSpace()
	var text []byte
	var err error
	path := c.String("space")
	if path != "" {
		if text, err = document(c, path); err != nil {
			return nil, o, err
		}
	} else if shaped {
		text, path = shapes.SpaceDocument, shapes.GeneratorName
	}
	if text != nil {
		read, err := spec.ParseSpace(text)
		if err != nil {
			return nil, o, inFile(path, err)
		}
		space = &read
	}
	o.Dir, err = os.MkdirTemp("", "hone-check-")
	return space, o, err
}

// commandLine is the command that the arguments are: one is it as it stands,
// several are its words.
func commandLine(c *cli.Context) (string, error) {
	words := c.Args().Slice()
	if len(words) == 0 {
		return "", usage("%s needs CMD, a command to run (see %s --help)", c.Command.HelpName, c.Command.HelpName)
	}
	if len(words) == 1 {
		return words[0], commandAlone("what "+c.Command.HelpName+" takes", words[0])
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsFunc(w, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:=,@%", r)
		}) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " "), nil
}

func checkBuiltIn(c *cli.Context, space *loop.Space) ([]program.Finding, error) {
	if c.NArg() > 0 {
		return nil, usage("--builtin takes no CMD, got %q", c.Args().First())
	}
	if name := c.String("builtin"); name != shapes.GeneratorName {
		return nil, usage("there is no built-in generator %q; there is %s", name, shapes.GeneratorName)
	}
	return program.CheckMaker(c.Context, builtIn{shapes.Generator{}}, space)
}

// specimens are samples for a gate.
func specimens(c *cli.Context, o program.Options, space *loop.Space) (samples []program.Specimen, err error) {
	var maker program.Maker = builtIn{shapes.Generator{}}
	if c.IsSet("generator-cmd") {
		o.Command = c.String("generator-cmd")
		g, err := program.OpenGenerator(c.Context, o)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, g.Close()) }()
		maker = g
	}
	return program.Specimens(c.Context, maker, space)
}

// builtIn passes a generator in Go to the checks.
type builtIn struct{ gpuworker.Generator }

func (b builtIn) Make(ctx context.Context, u program.Unit, emit func(index uint64, members []loop.Member) error) error {
	at, err := loop.ParseUnit(u.ID)
	if err != nil {
		return err
	}
	work := gpuworker.Work{Unit: at, Space: u.Space, Seed: u.CampaignSeed}
	for _, s := range u.Samples {
		name := at.Name(int(s.Index - at.First))
		work.Samples = append(work.Samples, gpuworker.Sample{Name: name, Scenario: s.Scenario, Seed: s.Seed})
	}
	return b.Generator.Make(ctx, work, emit)
}

// showFindings fails if a check has.
func showFindings(c *cli.Context, findings []program.Finding) error {
	failed := 0
	for _, f := range findings {
		if !f.OK {
			failed++
		}
	}
	if err := show(c, findings, func(w io.Writer) { writeFindings(w, findings) }); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(findings))
	}
	return nil
}

// writeFindings prints a line per check, and below it what is to be done.
func writeFindings(w io.Writer, findings []program.Finding) {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	for _, f := range findings {
		mark := "ok   "
		switch {
		case !f.OK:
			mark = "FAIL "
		case f.Warning:
			mark = "warn "
		}
		got := strings.Split(f.Got, "\n")
		if f.OK && !f.Warning {
			fmt.Fprintf(w, "%s %-*s  %s\n", mark, width, f.Check, printable(got[0]))
			continue
		}
		fmt.Fprintf(w, "%s %s\n", mark, f.Check)
		told := [][2]string{{"expected", f.Expected}, {"got", got[0]}}
		for _, more := range got[1:] {
			told = append(told, [2]string{"", more})
		}
		if f.Remedy != "" {
			told = append(told, [2]string{"mend", f.Remedy})
		}
		for _, line := range told {
			fmt.Fprintf(w, "      %-9s %s\n", line[0], printable(line[1]))
		}
	}
	if !program.Complete(findings) {
		fmt.Fprintln(w, "\nWhat is not listed could not be tried before this is mended.")
	}
}
