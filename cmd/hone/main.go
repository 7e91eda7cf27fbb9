package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"hone/api"
)

// commands are what `hone help` lists, in its order: what one starts with, then
// what one defines, then what one looks at. One line and one file each.
func commands() []*cli.Command {
	return []*cli.Command{
		demoCommand(),
		initCommand(),
		slicesCommand(),
		serveCommand(),
		workCommand(),
		spaceCommand(),
		policyCommand(),
		campaignCommand(),
		experimentCommand(),
		makeCommand(),
		reportCommand(),
		roundCommand(),
		outcomesCommand(),
		modelCommand(),
		datasetCommand(),
		importCommand(),
		generatorCommand(),
		gateCommand(),
		sqlCommand(),
		statusCommand(),
		lakeCommand(),
		clusterCommand(),
		watchCommand(),
		schemaCommand(),
		completionCommand(),
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C does not wait for a clean stop.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process around it; it returns the exit
// code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := newApp(stdin, stdout, stderr)
	args, err := arrange(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	return exitCode(ctx, err, stderr)
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:  "hone",
		Usage: "decide which synthetic data a model needs next, have it made, and count it exactly",
		Description: "Start with `hone demo`. Commands that talk to a server find it by --server or HONE_SERVER.\n" +
			"Every command explains itself: hone COMMAND --help.\n\n" +
			"Answers go to stdout, as --output says; progress and notes to stderr. Exit codes:\n" +
			"0 done, 1 failed, 2 the command line makes no sense, 3 there is no such thing,\n" +
			"4 in conflict with what there is, 6 no server, or not now, 130 interrupted.",
		Commands:        commands(),
		Flags:           common(),
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		HideVersion:     true,
		HideHelpCommand: true,
		// Commands that are run, and conditions, may hold commas.
		DisableSliceFlagSeparator: true,
		// The exit code is report's affair.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   usageFailed,
		Action: func(c *cli.Context) error {
			return cli.ShowAppHelp(c)
		},
	}
	for _, c := range app.Commands {
		prepare(c, "")
	}
	return app
}

// alone are the commands that speak to no server. They take --server and --stale
// like all, as they may stand anywhere, but their help is silent about them.
var alone = []string{
	"init", "slices", "schema", "space init", "space check", "space preview", "generator check", "gate check",
	"completion bash", "completion zsh", "completion fish", "cluster restore",
}

// prepare gives a command below the words of a path, and those below it, what
// all have.
func prepare(c *cli.Command, path string) {
	path = strings.TrimSpace(path + " " + c.Name)
	c.OnUsageError = usageFailed
	c.HideHelpCommand = true
	for _, sub := range c.Subcommands {
		prepare(sub, path)
	}
	if len(c.Subcommands) > 0 {
		c.Action = func(c *cli.Context) error { return cli.ShowSubcommandHelp(c) }
		return
	}
	for _, f := range common() {
		_, has := declared(c.Flags, f.Names()[0])
		serves := c.Name == "serve" || c.Name == "demo" // they are the server
		if !has && !(serves && f.Names()[0] != "output") {
			switch f := f.(type) {
			case *cli.StringFlag:
				f.Hidden = f.Name == "server" && slices.Contains(alone, path)
			case *cli.BoolFlag: // --stale
				f.Hidden = c.Name == "work" || slices.Contains(alone, path)
			}
			c.Flags = append(c.Flags, f)
		}
	}
	for _, f := range c.Flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true // nobody needs to be told that a flag is off unless it is given
		}
	}
	action := c.Action
	c.Action = func(c *cli.Context) error {
		switch c.String("output") {
		case outputTable, outputJSON, outputYAML:
			return action(c)
		}
		return usage("--output is table, json or yaml, not %q", c.String("output"))
	}
}

// common are the flags that every command takes, wherever they stand.
func common() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "server", Usage: "`URL` of the server; of a cluster's nodes, with commas between them", Value: api.DefaultServer, EnvVars: []string{"HONE_SERVER"}},
		&cli.BoolFlag{Name: "stale", Usage: "let any node answer from what it knows, be it behind the others"},
		outputFlag(),
	}
}
