package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/spec"
)

// maxDocument bounds a space, policy or campaign, in bytes.
const maxDocument = 16 << 20

// client is of the servers that the command line names. A person does not want
// to wait long for a server that is not there, but as long as a cluster takes to
// elect a leader.
func client(c *cli.Context) *api.Client {
	client := api.New(c.String("server"))
	client.Patience = 2 * time.Second
	if len(client.Servers.Turn()) > 1 {
		client.Patience = 10 * time.Second
	}
	client.Stale = c.Bool("stale")
	var once sync.Once
	client.Labelled = func(sequence string) {
		once.Do(func() {
			fmt.Fprintf(c.App.ErrWriter, "stale: a node answers from what it knows, up to sequence %s\n", sequence)
		})
	}
	return client
}

// arguments returns exactly the arguments that are named, e.g. "CAMPAIGN", "N".
func arguments(c *cli.Context, names ...string) ([]string, error) {
	if c.NArg() == len(names) {
		return c.Args().Slice(), nil
	}
	if len(names) == 0 {
		return nil, usage("%s takes no argument, got %q (see %s --help)", c.Command.HelpName, c.Args().First(), c.Command.HelpName)
	}
	if c.NArg() < len(names) {
		return nil, usage("%s needs %s (see %s --help)", c.Command.HelpName, strings.Join(names[c.NArg():], " and "), c.Command.HelpName)
	}
	return nil, usage("%s takes %s, and %q is too much (see %s --help)", c.Command.HelpName, strings.Join(names, " and "), c.Args().Get(len(names)), c.Command.HelpName)
}

// required refuses a command line that lacks one of the flags. (The library's
// own check cannot be told from a failure.)
func required(c *cli.Context, flags ...string) error {
	for _, f := range flags {
		if !c.IsSet(f) {
			return usage("%s needs --%s (see %s --help)", c.Command.HelpName, f, c.Command.HelpName)
		}
	}
	return nil
}

// document reads a file, or stdin for "-".
func document(c *cli.Context, path string) ([]byte, error) {
	r := c.App.Reader
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxDocument {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxDocument)
	}
	return text, nil
}

// fileError is a document that was refused.
type fileError struct {
	path string
	err  error
}

// inFile says in which file a document was wrong: as PATH:LINE:COLUMN where the
// error knows, which editors and terminals follow.
func inFile(path string, err error) error { return &fileError{path, err} }

func (e *fileError) Error() string {
	many, ok := errors.AsType[spec.Errors](e.err)
	if !ok {
		return e.path + ": " + e.err.Error()
	}
	lines := make([]string, len(many))
	for i, one := range many {
		lines[i] = e.path + ":" + one.Error()
	}
	return strings.Join(lines, "\n")
}

func (e *fileError) Unwrap() error { return e.err }

// versioned splits NAME[@VERSION]; 0 is the latest version.
func versioned(s string) (name string, version int, err error) {
	name, text, ok := strings.Cut(s, "@")
	if !ok {
		return name, 0, nil
	}
	version, err = strconv.Atoi(text)
	if err != nil || version < 1 || name == "" {
		return "", 0, usage("%q is not NAME or NAME@VERSION, with a version from 1", s)
	}
	return name, version, nil
}

// modelVersion splits LINE@VERSION.
func modelVersion(s string) (line, version string, err error) {
	line, version, ok := strings.Cut(s, "@")
	if !ok || line == "" || version == "" {
		return "", "", usage("%q is not LINE@VERSION, as in detector@7", s)
	}
	return line, version, nil
}

// count reads a number from 1.
func count(what, s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, usage("%s is a number from 1, not %q", what, s)
	}
	return n, nil
}
