package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/urfave/cli/v2"
)

func acceptCommand() *cli.Command {
	return &cli.Command{
		Name:  "accept",
		Usage: "run the whole demo on fresh seeds, and hold the results against what it promises",
		Description: "Each seed is one run of `hone demo`, and one line in --to. Seeds that stand there already are\n" +
			"not run again, so a run that was stopped goes on where it was.",
		UsageText: "bench accept --first 10 --seeds 10",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "first", Usage: "the first seed", Value: 10},
			&cli.IntFlag{Name: "seeds", Usage: "how many seeds, of each world", Value: 10},
			&cli.StringFlag{Name: "to", Usage: "`FILE` of results, a JSON line each", Value: "bench/accept.jsonl"},
		},
		Action: func(c *cli.Context) error {
			if c.Int("seeds") < 2 {
				return errors.New("--seeds is at least 2: one has no interval")
			}
			a := &acceptance{first: c.Uint64("first"), seeds: c.Int("seeds"), to: c.String("to")}
			return a.run(c.Context)
		},
	}
}

// acceptance is a run of the demo over seeds.
type acceptance struct {
	first uint64
	seeds int
	to    string
}

// accepted is one line of results: a demo's own, and what it was asked.
type accepted struct {
	World string `json:"world"`
	Seed  uint64 `json:"seed"`
	// PeakMiB is the greatest resident memory of the demo's process.
	PeakMiB float64 `json:"peak_mib"`
	Samples struct {
		QuotaExact bool `json:"quota_exact"`
	} `json:"samples"`
	Loop    acceptedArm `json:"loop"`
	Uniform acceptedArm `json:"uniform"`
	Elapsed float64     `json:"elapsed_seconds"`
}

type acceptedArm struct {
	Worst     float64 `json:"worst_slice_accuracy"`
	Mean      float64 `json:"mean_accuracy"`
	Noise     float64 `json:"noise_slice_share"`
	ToWorst35 *int    `json:"samples_to_worst_035"`
}

// The worlds that are run.
const (
	planted = "planted"
	null    = "null"
)

func (a *acceptance) run(ctx context.Context) error {
	done, err := a.read()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hone-accept-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "hone")
	if out, err := exec.CommandContext(ctx, "go", "build", "-tags", "duckdb_arrow", "-o", binary, "./cmd/hone").CombinedOutput(); err != nil {
		return fmt.Errorf("build hone: %w\n%s", err, out)
	}
	for seed := a.first; seed < a.first+uint64(a.seeds); seed++ {
		for _, world := range []string{planted, null} {
			if find(done, world, seed) != nil {
				continue
			}
			line, err := demo(ctx, binary, filepath.Join(dir, "data"), world, seed)
			if err != nil {
				return fmt.Errorf("seed %d, world %s: %w", seed, world, err)
			}
			if err := a.append(line); err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "seed %d, world %s: worst %.3f against %.3f, mean %.3f against %.3f, %.0f s, %.0f MiB\n",
				seed, world, line.Loop.Worst, line.Uniform.Worst, line.Loop.Mean, line.Uniform.Mean, line.Elapsed, line.PeakMiB)
			done = append(done, line)
		}
	}
	return a.judge(os.Stdout, done)
}

// demo runs one demo and reads the last line that it prints.
func demo(ctx context.Context, binary, data, world string, seed uint64) (accepted, error) {
	line := accepted{World: world, Seed: seed}
	defer os.RemoveAll(data)
	command := exec.CommandContext(ctx, binary, "demo", "--output", "json", "--world", world, "--seed", fmt.Sprint(seed), "--data", data)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	out, err := command.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return line, fmt.Errorf("hone demo: %w\n%s", err, exit.Stderr)
		}
		return line, fmt.Errorf("hone demo: %w", err)
	}
	if err := json.Unmarshal(out, &line); err != nil {
		return line, fmt.Errorf("hone demo printed no result: %w", err)
	}
	line.PeakMiB = peakMiB(command.ProcessState)
	return line, nil
}

func find(lines []accepted, world string, seed uint64) *accepted {
	for i := range lines {
		if lines[i].World == world && lines[i].Seed == seed {
			return &lines[i]
		}
	}
	return nil
}

func (a *acceptance) read() ([]accepted, error) {
	file, err := os.Open(a.to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []accepted
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var line accepted
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("%s: line %d is not a result: %w", a.to, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (a *acceptance) append(line accepted) error {
	file, err := os.OpenFile(a.to, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(file).Encode(line), file.Close())
}

// judge prints each promise with its figure, and fails if one is not kept.
func (a *acceptance) judge(w io.Writer, done []accepted) error {
	var ratios, losses, nullLosses []float64
	noise, exact, seconds, memory := 0.0, true, 0.0, 0.0
	for seed := a.first; seed < a.first+uint64(a.seeds); seed++ {
		p, n := find(done, planted, seed), find(done, null, seed)
		ratios = append(ratios, p.Loop.Worst/math.Max(p.Uniform.Worst, 1e-3))
		losses = append(losses, 100*(p.Uniform.Mean-p.Loop.Mean))
		nullLosses = append(nullLosses, 100*(n.Uniform.Mean-n.Loop.Mean))
		noise = math.Max(noise, p.Loop.Noise)
		exact = exact && p.Samples.QuotaExact && n.Samples.QuotaExact
		seconds = max(seconds, p.Elapsed, n.Elapsed)
		memory = max(memory, p.PeakMiB, n.PeakMiB)
	}
	mean, lower, upper := interval(ratios)
	loss, _, _ := interval(losses)
	nullLoss, _, _ := interval(nullLosses)
	kept := true
	say := func(ok bool, format string, args ...any) {
		verdict := "ok  "
		if !ok {
			verdict, kept = "MISS", false
		}
		fmt.Fprintf(w, "%s  %s\n", verdict, fmt.Sprintf(format, args...))
	}
	say(mean >= 2 && lower >= 1.5, "worst slice, loop over uniform, paired over %d seeds: %.2f [%.2f, %.2f] (mean >= 2, lower >= 1.5)", a.seeds, mean, lower, upper)
	say(loss <= 2, "mean accuracy lost: %.2f points (<= 2)", loss)
	say(noise <= 4*noiseTarget, "most spent on the unlearnable slice: %.1f %% (<= 4 x %.2f %%)", 100*noise, 100*noiseTarget)
	say(nullLoss <= 1, "mean accuracy lost where nothing is planted: %.2f points (<= 1)", nullLoss)
	say(exact, "every quota exact in every run")
	say(seconds <= 180, "longest run: %.0f s (<= 180)", seconds)
	say(memory <= 1536, "most memory: %.0f MiB (<= 1536)", memory)
	if !kept {
		return errors.New("a promise was not kept")
	}
	return nil
}

// noiseTarget is the unlearnable slice's mass in deployment.
const noiseTarget = .0255
