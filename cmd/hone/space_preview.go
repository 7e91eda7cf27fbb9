package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"

	"hone/examples/shapes"
	"hone/gpuworker"
	"hone/loop"
	"hone/program"
	"hone/report"
)

// previewed is what `space preview` says with --output json.
type previewed struct {
	File      string `json:"file"`
	Generator string `json:"generator"`
	Samples   int    `json:"samples"`
	Pictures  int    `json:"pictures"`
}

func spacePreviewCommand() *cli.Command {
	return &cli.Command{
		Name:      "preview",
		Usage:     "have a generator make a few samples of a space, and lay them out on a contact sheet; needs no server",
		ArgsUsage: "FILE|-",
		Description: `See what you would get before anything is spent: scenarios drawn as deployment is,
or from a slice, each beside what the generator made of it. A sheet whose name ends
in .png is a picture, any other is a web page that needs nothing else.

Examples:
   hone space preview space.yaml --generator-cmd "python3 generator.py"
   hone space preview examples/shapes/space.yaml --generator shapes --where 'light=glare' --to glare.png`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "generator-cmd", Usage: "the generator is a program, run as `CMD`"},
			&cli.StringFlag{Name: "generator", Usage: "the generator is a built-in one, by `NAME`: shapes"},
			&cli.IntFlag{Name: "samples", Aliases: []string{"n"}, Value: 20, Usage: "make `N` samples"},
			&cli.StringFlag{Name: "where", Usage: "draw from a `SLICE`, e.g. 'light=low & shape=ring'"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "draw other scenarios with another `SEED`"},
			startTimeoutFlag(),
			&cli.BoolFlag{Name: "verbose", Usage: "show what the program writes to stderr"},
			&cli.StringFlag{Name: "to", Usage: "write the sheet to `FILE`", DefaultText: "SPACE-preview.html"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "FILE")
			if err != nil {
				return err
			}
			n := c.Int("samples")
			if n < 1 || n > loop.MaxUnit {
				return usage("--samples %d: 1 to %d", n, loop.MaxUnit)
			}
			space, err := readSpace(c, args[0])
			if err != nil {
				return err
			}
			scenarios, err := drawScenarios(c, &space, n)
			if err != nil {
				return err
			}
			to := c.String("to")
			if to == "" {
				to = space.Name + "-preview.html"
			}
			// The file first: nothing is made that could not be kept.
			file, err := renameio.NewPendingFile(to, renameio.WithPermissions(0o644))
			if err != nil {
				return fmt.Errorf("write %s: %w", to, err)
			}
			defer file.Cleanup()
			generator, stop, err := previewGenerator(c)
			if err != nil {
				return err
			}
			defer stop()
			made, err := makePreview(c.Context, generator, &space, scenarios, c.Uint64("seed"))
			if err != nil {
				return err
			}
			described := generator.Describe()
			sheet := report.ContactSheet{Title: space.Name, Subtitle: fmt.Sprintf("%d samples of %s, made by %s@%s, seed %d",
				n, whereOf(c), described.Name, described.Version, c.Uint64("seed"))}
			out := previewed{File: to, Generator: described.Name + "@" + described.Version, Samples: n}
			for i, scenario := range scenarios {
				sample := contactOf(&space, scenario, made[i])
				if sample.Picture != nil {
					out.Pictures++
				}
				sheet.Samples = append(sheet.Samples, sample)
			}
			write := sheet.WriteHTML
			if strings.EqualFold(filepath.Ext(to), ".png") {
				write = sheet.WritePNG
			}
			if err = write(file); err == nil {
				err = file.CloseAtomicallyReplace()
			}
			if err != nil {
				return fmt.Errorf("write %s: %w", to, err)
			}
			return show(c, out, func(w io.Writer) {
				fmt.Fprintf(w, "%s shows %d samples of %s\n", to, n, whereOf(c))
			})
		},
	}
}

func whereOf(c *cli.Context) string {
	if where := c.String("where"); where != "" {
		return where
	}
	return "all of deployment"
}

// makePreview has the samples made as a worker would: one unit, its seeds derived
// from names that no campaign can have.
func makePreview(ctx context.Context, g gpuworker.Generator, space *loop.Space, scenarios []loop.Scenario, seed uint64) ([][]loop.Member, error) {
	work := gpuworker.Work{Space: space, Seed: seed,
		Unit: loop.Unit{Campaign: "preview", Domain: loop.Evaluation, Round: 1, Count: len(scenarios)}}
	for i, scenario := range scenarios {
		name := work.Unit.Name(i)
		work.Samples = append(work.Samples, gpuworker.Sample{Name: name, Scenario: scenario, Seed: loop.SampleSeed(seed, name)})
	}
	var mu sync.Mutex
	made := make([][]loop.Member, len(scenarios))
	err := g.Make(ctx, work, func(index uint64, members []loop.Member) error {
		mu.Lock()
		defer mu.Unlock()
		if index >= uint64(len(made)) || made[index] != nil {
			return fmt.Errorf("sample %d was not asked for, or is given twice", index)
		}
		made[index] = append([]loop.Member{}, members...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range made {
		if made[i] == nil {
			return nil, fmt.Errorf("generator %s made no sample %d of %d", g.Describe().Name, i, len(made))
		}
	}
	return made, nil
}

// sheetPicture is the longer side of a picture on a page, in pixels.
const sheetPicture = 384

func contactOf(space *loop.Space, scenario loop.Scenario, members []loop.Member) report.Contact {
	var sample report.Contact
	for f := range space.Factors {
		if scenario.Codes[f] != loop.Absent {
			sample.Facts = append(sample.Facts, report.Fact{Name: space.Factors[f].Name, Value: scenarioText(space, scenario, f)})
		}
	}
	for i, level := range space.Derive(scenario.Codes) {
		sample.Facts = append(sample.Facts, report.Fact{Name: space.Derived[i].Name, Value: space.Derived[i].Levels[level]})
	}
	for _, m := range members {
		sample.Files = append(sample.Files, m.Ext+" "+sizeText(int64(len(m.Bytes))))
	}
	var err error
	if sample.Picture, sample.Width, sample.Height, err = report.Thumbnail(members, sheetPicture); err != nil {
		sample.Problem = err.Error()
	}
	if _, _, err := loop.AppendSample(nil, "preview", members); err != nil {
		sample.Problem = err.Error() // no worker could deliver it
	}
	return sample
}

// previewGenerator is the generator that the flags name, and what stops it.
func previewGenerator(c *cli.Context) (gpuworker.Generator, func(), error) {
	command, name := c.String("generator-cmd"), c.String("generator")
	if (command == "") == (name == "") {
		return nil, nil, usage("%s needs one of --generator-cmd and --generator (see %s --help)", c.Command.HelpName, c.Command.HelpName)
	}
	if name != "" {
		if name != shapes.GeneratorName {
			return nil, nil, usage("--generator: there is no built-in generator %q; there is %s", name, shapes.GeneratorName)
		}
		return shapes.Generator{}, func() {}, nil
	}
	if err := commandAlone("--generator-cmd", command); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "hone-preview-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { os.RemoveAll(dir) }
	opened, err := program.OpenGenerator(c.Context, program.Options{Name: "preview", Command: command, Dir: dir,
		StartTimeout: c.Duration("start-timeout"), Logger: logger(c)})
	if err != nil {
		remove()
		return nil, nil, err
	}
	return generatorProgram{opened}, func() { opened.Close(); remove() }, nil
}
