package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "how the server, its campaigns and its workers are",
		Description: "Example:\n   hone status --server http://127.0.0.1:7070",
		Action: func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			s, err := client(c).Status(c.Context)
			if err != nil {
				return err
			}
			return show(c, s, func(w io.Writer) { writeStatus(w, &s) })
		},
	}
}

func writeStatus(w io.Writer, s *api.Status) {
	facts(w,
		"node", s.Node+" ("+s.Role+")",
		"leader", s.Leader,
		"version", s.Version,
		"up", (time.Duration(s.UptimeSeconds) * time.Second).String(),
		"sequence", fmt.Sprintf("%d, seen by queries up to %d", s.Sequence, s.ViewSequence),
	)
	if len(s.Campaigns) > 0 {
		fmt.Fprintln(w)
		writeCampaigns(w, s.Campaigns)
	}
	fmt.Fprintln(w)
	if len(s.Workers) == 0 {
		fmt.Fprintln(w, "no worker is connected")
		return
	}
	rows := make([][]string, len(s.Workers))
	for i, k := range s.Workers {
		rate := ""
		if k.Rate > 0 {
			rate = strconv.FormatFloat(k.Rate, 'f', 1, 64)
		}
		rows[i] = []string{k.Name, k.Type, fmt.Sprintf("%d of %d", k.Busy, k.Slots), strings.Join(k.Generators, " "),
			digits(k.Committed), digits(k.Rejected), rate}
	}
	grid(w, []string{"WORKER", "TYPE", "BUSY", "GENERATORS", "COMMITTED", "REJECTED", "PER SECOND"}, rows)
}
