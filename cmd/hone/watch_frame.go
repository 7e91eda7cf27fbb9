package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"hone/api"
	"hone/loop"
)

// frame is a live view as lines, before they are cut to a terminal. The first
// line of each part is its head.
type frame struct{ parts [][]string }

func (f *frame) add(text string) {
	f.parts = append(f.parts, strings.Split(strings.TrimRight(text, "\n"), "\n"))
}

// watchedBoosts is how many boosts of each campaign are shown.
const watchedBoosts = 3

func (v *watched) frame() *frame {
	var f frame
	s := &v.Status
	head := fmt.Sprintf("Hone %s at %s, %s for %s   %s", s.Version, v.client.Servers, s.Role,
		(time.Duration(s.UptimeSeconds) * time.Second).String(), v.At.UTC().Format(clock))
	if lag := s.Sequence - min(s.Sequence, s.ViewSequence); lag > 0 {
		head += fmt.Sprintf("   queries are %s changes behind", thousands(lag))
	}
	if v.Trouble != "" {
		head += "\nOLD: " + printable(v.Trouble)
	}
	f.add(head)
	f.add(v.campaignRows())
	f.add(v.workerRows())
	for i := range v.Campaigns {
		if boosts := v.boostRows(&v.Campaigns[i]); boosts != "" {
			f.add(boosts)
		}
	}
	return &f
}

func (v *watched) campaignRows() string {
	if len(v.Campaigns) == 0 {
		return "no campaign yet: hone campaign create FILE"
	}
	var b bytes.Buffer
	rows := make([][]string, len(v.Campaigns))
	for i := range v.Campaigns {
		c := &v.Campaigns[i]
		rate := v.campaigns[c.Name].rate()
		rows[i] = []string{c.Name, c.State, fmt.Sprintf("%d of %d", c.Round, c.Rounds), bar(c.Committed, c.Requested),
			digits(c.Committed), digits(c.Requested), perSecond(rate), left(c, rate), rejectedShare(c.Rejected, c.Committed)}
	}
	grid(&b, []string{"CAMPAIGN", "STATE", "ROUND", "", "COMMITTED", "REQUESTED", "PER SECOND", "LEFT", "REJECTED"}, rows)
	for i := range v.Campaigns {
		if c := &v.Campaigns[i]; c.Waiting != "" {
			fmt.Fprintf(&b, "%s waits for %s\n", printable(c.Name), printable(c.Waiting))
		}
	}
	if more := len(v.Status.Campaigns) - len(v.Campaigns); more > 0 {
		fmt.Fprintf(&b, "and %d more that are over\n", more)
	}
	return b.String()
}

func (v *watched) workerRows() string {
	if len(v.Status.Workers) == 0 {
		return "no worker is connected: hone work"
	}
	var b bytes.Buffer
	rows := make([][]string, len(v.Status.Workers))
	for i, w := range v.Status.Workers {
		rows[i] = []string{w.Name, w.Type, fmt.Sprintf("%d of %d", w.Busy, w.Slots), perSecond(v.workers[w.Name].rate()),
			digits(w.Committed), rejectedShare(w.Rejected, w.Committed), strings.Join(w.Generators, " ")}
	}
	grid(&b, []string{"WORKER", "TYPE", "BUSY", "PER SECOND", "COMMITTED", "REJECTED", "GENERATORS"}, rows)
	return b.String()
}

// boostRows are the largest boosts of a campaign's latest round.
func (v *watched) boostRows(c *api.Campaign) string {
	round, ok := v.latest[c.Name]
	if !ok || round.Decision == nil {
		return ""
	}
	var boosts []api.Component
	for _, k := range round.Decision.Components {
		if k.Domain == loop.Train.String() && k.Reason != nil {
			boosts = append(boosts, k)
		}
	}
	if len(boosts) == 0 {
		return ""
	}
	slices.SortStableFunc(boosts, func(a, b api.Component) int {
		switch {
		case a.Share > b.Share:
			return -1
		case a.Share < b.Share:
			return 1
		}
		return 0
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%s, ROUND %d: %d BOOSTS\n", c.Name, round.Round, len(boosts))
	for _, k := range boosts[:min(len(boosts), watchedBoosts)] {
		fmt.Fprintf(&b, "%6s  %s: %s\n", percent(k.Share), printable(k.Name), printable(k.Reason.Sentence))
	}
	return b.String()
}

const barCells = 16

// bar is a share as cells.
func bar(part, whole uint64) string {
	full := 0
	if whole > 0 {
		full = int(min(part, whole) * barCells / whole)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", barCells-full)
}

func perSecond(rate float64) string {
	if rate <= 0 {
		return ""
	}
	return strconv.FormatFloat(rate, 'f', 1, 64)
}

// left is how long what is asked for takes at the rate. More than a day of it is
// not told to the second.
func left(c *api.Campaign, rate float64) string {
	open := c.InFlight + c.Pending
	if c.Ended() || c.State == api.CampaignPaused || open == 0 || rate <= 0 {
		return ""
	}
	seconds := float64(open) / rate
	d := time.Duration(min(seconds, 1e9) * float64(time.Second))
	switch {
	case d > 100*24*time.Hour:
		return "> 100 days"
	case d > 24*time.Hour:
		return strconv.Itoa(int(d.Hours()/24)) + "d" + strconv.Itoa(int(d.Hours())%24) + "h"
	case d > time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.Round(time.Second).String()
}

func rejectedShare(rejected, committed uint64) string {
	if rejected == 0 {
		return ""
	}
	return percent(float64(rejected) / float64(rejected+committed))
}

// What a live view is coloured with.
const (
	normal = "\x1b[0m"
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
)

var stateColours = map[string]string{
	api.CampaignRunning: green, api.CampaignPaused: yellow, api.CampaignDoneShort: yellow, api.CampaignClosed: faint, api.CampaignDone: faint,
}

// drawn is a frame on a terminal of that size: cut to it, over what was there.
func drawn(f *frame, width, height int, colour bool) string {
	var lines []string
	for i, part := range f.parts {
		if i > 0 {
			lines = append(lines, "")
		}
		for j, line := range part {
			line = text.Trim(strings.TrimRight(line, " "), width)
			if colour {
				line = coloured(line, i, j)
			}
			lines = append(lines, line)
		}
	}
	if len(lines) > height {
		lines = append(lines[:height-1], fmt.Sprintf("and %d more lines: make the window higher", len(lines)-height+1))
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		b.WriteString(line)
		b.WriteString("\x1b[K") // what is left of the line before
		if i < len(lines)-1 {
			b.WriteByte('\n')
		}
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// coloured is line j of part i.
func coloured(line string, i, j int) string {
	switch {
	case strings.HasPrefix(line, "OLD: "):
		return red + line + normal
	case j == 0:
		return bold + line + normal
	case i == 1:
		// The state is the second word.
		fields := strings.Fields(line)
		if len(fields) > 1 && stateColours[fields[1]] != "" {
			at := len(fields[0])
			return line[:at] + strings.Replace(line[at:], fields[1], stateColours[fields[1]]+fields[1]+normal, 1)
		}
	}
	return line
}
