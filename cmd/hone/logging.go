package main

import (
	"log/slog"

	"github.com/urfave/cli/v2"
)

// logger writes what goes wrong to stderr; with --verbose, what goes on as well.
func logger(c *cli.Context) *slog.Logger {
	level := slog.LevelWarn
	if c.Bool("verbose") {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
}
