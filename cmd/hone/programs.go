package main

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/examples/shapes"
	"hone/gate"
	"hone/gpuworker"
	"hone/loop"
	"hone/program"
)

// generatorProgram passes a program to the worker.
type generatorProgram struct{ *program.Generator }

func (g generatorProgram) Make(ctx context.Context, work gpuworker.Work, emit func(index uint64, members []loop.Member) error) error {
	u := program.Unit{ID: work.Unit.ID(), Campaign: work.Unit.Campaign, CampaignSeed: work.Seed, Space: work.Space}
	for _, s := range work.Samples {
		u.Samples = append(u.Samples, program.Sample{Index: s.Name.Index, Scenario: s.Scenario, Seed: s.Seed})
	}
	return g.Generator.Make(ctx, u, emit)
}

// gateProgram passes a program to the gate stage.
type gateProgram struct{ *program.Gate }

func (g gateProgram) Judge(ctx context.Context, s *gate.Sample) (bool, string, []loop.Score, error) {
	return g.Gate.Judge(ctx, program.Specimen{Space: s.Space, Index: s.Name.Index, Scenario: s.Scenario, Members: s.Members})
}

// startTimeoutFlag is how long programs may load.
func startTimeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "start-timeout", Value: 5 * time.Minute, Usage: "how long a program may take to describe itself, in `TIME` as in 90s"}
}

// programOptions are what NAME="CMD ..." says.
func programOptions(flag, value string) (program.Options, error) {
	name, command, ok := strings.Cut(value, "=")
	name, command = strings.TrimSpace(name), strings.TrimSpace(command)
	if !ok || command == "" || !loop.ValidName(name) {
		return program.Options{}, usage(`--%s is NAME="CMD ...", as in parts="python3 generator.py", not %q`, flag, value)
	}
	return program.Options{Name: name, Command: command}, nil
}

// nameless matches a command that begins as NAME="CMD ..." does; the lower case
// tells it from CUDA_VISIBLE_DEVICES=0 and the like.
var nameless = regexp.MustCompile(`^[a-z][a-z0-9_.-]*=(.*)`)

// commandAlone refuses a NAME where a program needs none.
func commandAlone(what, command string) error {
	if m := nameless.FindStringSubmatch(command); m != nil {
		return usage("%s is CMD alone here, without a NAME: %q, not %q", what, m[1], command)
	}
	return nil
}

// openGenerators starts the programs of --generator-cmd. The function that it
// returns stops them.
func openGenerators(ctx context.Context, values []string, o program.Options) (generators []gpuworker.Generator, stop func() error, err error) {
	var opened []*program.Generator
	stop = func() (err error) {
		for _, g := range opened {
			err = errors.Join(err, g.Close())
		}
		return err
	}
	taken := map[string]bool{shapes.GeneratorName: true}
	for _, value := range values {
		named, err := programOptions("generator-cmd", value)
		if err == nil && taken[named.Name] {
			err = usage("--generator-cmd: there is a generator %q already; give this one another name", named.Name)
		}
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		taken[named.Name] = true
		o.Name, o.Command = named.Name, named.Command
		g, err := program.OpenGenerator(ctx, o)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		opened, generators = append(opened, g), append(generators, generatorProgram{g})
		d := g.Describe()
		o.Logger.Info("generator", slog.String("name", d.Name), slog.String("version", d.Version), slog.Bool("deterministic", d.Deterministic))
	}
	return generators, stop, nil
}

// openGates starts the programs of --gate-cmd, for use beside the built-in
// gates. The function that it returns stops them.
func openGates(ctx context.Context, values []string, o program.Options) (gates []gate.Gate, stop func() error, err error) {
	var opened []*program.Gate
	stop = func() (err error) {
		for _, g := range opened {
			err = errors.Join(err, g.Close())
		}
		return err
	}
	gates = gate.BuiltIn()
	taken := map[string]bool{}
	for _, g := range gates {
		taken[g.Name()] = true
	}
	for _, value := range values {
		named, err := programOptions("gate-cmd", value)
		if err == nil && taken[named.Name] {
			err = usage("--gate-cmd: there is a gate %q already; give this one another name", named.Name)
		}
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		taken[named.Name] = true
		o.Name, o.Command = named.Name, named.Command
		g, err := program.OpenGate(ctx, o)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		opened, gates = append(opened, g), append(gates, gateProgram{g})
		o.Logger.Info("gate", slog.String("name", g.Name()), slog.String("version", g.Version()))
	}
	return gates, stop, nil
}
