package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
)

// The exit codes. 5 is kept for refused credentials.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnavailable = 6
	exitInterrupted = 130
)

// usageError is a command line that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// usageFailed turns what the flag library refuses into a usageError.
func usageFailed(c *cli.Context, err error, _ bool) error {
	message := err.Error()
	if name, ok := strings.CutPrefix(message, "flag provided but not defined: -"); ok {
		message = fmt.Sprintf("there is no flag --%s", strings.TrimLeft(name, "-"))
		if s := cli.SuggestFlag(c.Command.Flags, name, false); s != "" {
			message += ". Did you mean " + s + "?"
		}
	} else if m := badValue.FindStringSubmatch(message); m != nil {
		message = fmt.Sprintf("--%s: %s is not %s", m[2], m[1], wanted(c.Command.Flags, m[2]))
	}
	return &usageError{message + " (see " + c.Command.HelpName + " --help)"}
}

// badValue is how the flag library refuses what does not parse.
var badValue = regexp.MustCompile(`^invalid value (".*") for flag -([\w-]+): `)

// wanted says what the values of a flag look like.
func wanted(flags []cli.Flag, name string) string {
	for _, f := range flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.IntFlag, *cli.Int64Flag:
			return "a whole number"
		case *cli.Uint64Flag:
			return "a whole number from 0"
		case *cli.Float64Flag:
			return "a number"
		case *cli.DurationFlag:
			return "a time, as in 90s or 5m"
		}
	}
	return "what it takes"
}

// exitCode prints an error for a person and returns the exit code for a script.
func exitCode(ctx context.Context, err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	message := err.Error()
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Unreached {
		message += " (hone serve starts one; --server or HONE_SERVER names another)"
	}
	fmt.Fprintln(stderr, "hone: "+message)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	switch {
	case errors.Is(err, loop.ErrNotFound):
		return exitNotFound
	case errors.Is(err, loop.ErrConflict):
		return exitConflict
	case errors.Is(err, loop.ErrUnavailable):
		return exitUnavailable
	}
	return exitFailure
}
