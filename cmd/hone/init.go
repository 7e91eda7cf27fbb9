package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	root "hone"
	"hone/loop"
)

// started is what `init` says with --output json.
type started struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
}

func initCommand() *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "write a starter: a space, policy and campaign, and a generator, gate and training job in Python",
		ArgsUsage: "DIR",
		Description: `All of it runs as it is, with Python 3.10 or newer and nothing installed: a copy of
the package hone lies beside it. Change one piece after the other into your own; the
README.md in DIR says how to run them. Nothing that is there already is overwritten.

Example:
   hone init my-task`,
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "DIR")
			if err != nil {
				return err
			}
			files, err := starter()
			if err != nil {
				return err
			}
			out := started{Dir: args[0]}
			for _, f := range files {
				out.Files = append(out.Files, f.name)
			}
			if err := writeStarter(args[0], files); err != nil {
				return err
			}
			return show(c, out, func(w io.Writer) {
				fmt.Fprintf(w, "%s has %d files. Begin with %s, or at once:\n\n", out.Dir, len(out.Files), filepath.Join(out.Dir, "README.md"))
				fmt.Fprintf(w, "   cd %s\n   hone space check space.yaml\n   hone space preview space.yaml --generator-cmd \"python3 generator.py\"\n", out.Dir)
			})
		},
	}
}

// starterFile is one file of a starter, its name with slashes.
type starterFile struct {
	name string
	text []byte
}

// examplePath is what the examples call themselves by in the repository.
const examplePath = "examples/python/"

// starter is the Python example as it lies in the repository, with the package
// and the schemas beside it.
func starter() ([]starterFile, error) {
	var files []starterFile
	add := func(from fs.FS, below, to string) error {
		return fs.WalkDir(from, below, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			what := strings.TrimSuffix(path.Base(name), ".yaml")
			if to == "" {
				text = []byte(strings.ReplaceAll(string(text), examplePath, ""))
			}
			if _, ok := schemas[what]; ok && path.Ext(name) == ".yaml" {
				text = append([]byte("# yaml-language-server: $schema=schemas/"+what+".json\n"), text...)
				files = append(files, starterFile{"schemas/" + what + ".json", schemas[what]()})
			}
			files = append(files, starterFile{path.Join(to, strings.TrimPrefix(name, below+"/")), text})
			return nil
		})
	}
	err := errors.Join(add(root.Starter, strings.TrimSuffix(examplePath, "/"), ""), add(root.Python, "python/src/hone", "hone"))
	slices.SortFunc(files, func(a, b starterFile) int { return strings.Compare(a.name, b.name) })
	return files, err
}

// writeStarter writes the files into a directory, which it makes, unless one of
// them is there already.
func writeStarter(dir string, files []starterFile) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	into, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	defer into.Close()
	for _, f := range files {
		if _, err := into.Lstat(f.name); !errors.Is(err, fs.ErrNotExist) {
			return loop.Conflict("DIR", "%s is there already; choose another directory", filepath.Join(dir, f.name))
		}
	}
	for _, f := range files {
		if err := into.MkdirAll(path.Dir(f.name), 0o755); err != nil {
			return fmt.Errorf("init: %w", err)
		}
		if err := into.WriteFile(f.name, f.text, 0o644); err != nil {
			return fmt.Errorf("init: %w", err)
		}
	}
	return nil
}
