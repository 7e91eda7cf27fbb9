package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8/cwriter"

	"hone/api"
)

func watchCommand() *cli.Command {
	return &cli.Command{
		Name:  "watch",
		Usage: "a live view of the server, its campaigns, workers and newest boosts, until Ctrl-C",
		Description: "On a terminal it is redrawn in place; elsewhere a line is printed for each campaign that has changed.\n" +
			"NO_COLOR=1 leaves colours out.\n\nExample:\n   hone watch --every 2s",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "every", Value: time.Second, Usage: "look again after `TIME`, at least 250ms"},
		},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			every := c.Duration("every")
			if every < time.Second/4 {
				return usage("--every is at least 250ms, not %s", every)
			}
			view := newWatched(client(c))
			if err := view.look(c.Context, time.Now()); err != nil {
				return err
			}
			show := watchScreen(c.App.Writer, os.Getenv("NO_COLOR") == "")
			switch {
			case c.String("output") != outputTable:
				show = watchAnswers(c)
			case !isTerminal(c.App.Writer):
				show = watchLines(c.App.Writer)
			default:
				fmt.Fprint(c.App.Writer, enterScreen)
				defer fmt.Fprint(c.App.Writer, leaveScreen)
			}
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				if err := show(view); err != nil {
					return err
				}
				select {
				case <-tick.C:
				case <-c.Context.Done():
					return nil // the way in which a live view ends
				}
				if err := view.look(c.Context, time.Now()); err != nil && c.Context.Err() == nil {
					view.Trouble = err.Error() // the server may come back
				}
			}
		},
	}
}

// watched is what a live view shows.
type watched struct {
	client *api.Client

	At        time.Time      `json:"at"`
	Status    api.Status     `json:"status"`
	Campaigns []api.Campaign `json:"campaigns"`
	// Trouble is why what is shown is old.
	Trouble string `json:"trouble,omitempty"`

	// latest are the latest decided rounds, by campaign.
	latest map[string]api.Round
	// campaigns and workers have how many samples of each were committed lately.
	campaigns, workers map[string]*pace
}

func newWatched(client *api.Client) *watched {
	return &watched{client: client, latest: map[string]api.Round{}, campaigns: map[string]*pace{}, workers: map[string]*pace{}}
}

// watchedCampaigns bounds the campaigns that are looked at one by one: the ones
// that are not over, and then the last by name.
const watchedCampaigns = 20

// look asks the server. What it does not answer stays as it was.
func (v *watched) look(ctx context.Context, now time.Time) error {
	status, err := v.client.Status(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(status.Campaigns))
	for _, over := range []bool{false, true} {
		for _, c := range status.Campaigns {
			if (c.State != api.CampaignRunning && c.State != api.CampaignPaused) == over {
				names = append(names, c.Name)
			}
		}
	}
	names = names[:min(len(names), watchedCampaigns)]
	slices.Sort(names)
	campaigns := make([]api.Campaign, 0, len(names))
	for _, name := range names {
		campaign, err := v.client.Campaign(ctx, name)
		if err != nil {
			return err
		}
		campaign.Document = ""
		campaigns = append(campaigns, campaign)
		if n := campaign.Round; n > 0 && v.latest[name].Round != n {
			round, err := v.client.Round(ctx, name, n, 0)
			if err != nil {
				return err
			}
			v.latest[name] = round
		}
		v.pace(v.campaigns, name).note(now, campaign.Committed)
	}
	for _, w := range status.Workers {
		v.pace(v.workers, w.Name).note(now, w.Committed)
	}
	v.At, v.Status, v.Campaigns, v.Trouble = now, status, campaigns, ""
	return nil
}

func (v *watched) pace(of map[string]*pace, name string) *pace {
	if of[name] == nil {
		of[name] = &pace{}
	}
	return of[name]
}

// pace is how fast a count has grown lately.
type pace struct {
	at    []time.Time
	count []uint64
}

// paceWindow is how long a pace remembers.
const paceWindow = 15 * time.Second

func (p *pace) note(at time.Time, count uint64) {
	if n := len(p.count); n > 0 && count < p.count[n-1] {
		p.at, p.count = nil, nil // a worker has connected again
	}
	p.at, p.count = append(p.at, at), append(p.count, count)
	for len(p.at) > 2 && at.Sub(p.at[0]) > paceWindow {
		p.at, p.count = p.at[1:], p.count[1:]
	}
}

// rate is in samples per second, 0 while it is not known.
func (p *pace) rate() float64 {
	if p == nil || len(p.at) < 2 {
		return 0
	}
	last := len(p.at) - 1
	return float64(p.count[last]-p.count[0]) / p.at[last].Sub(p.at[0]).Seconds()
}

// watchAnswers prints what is seen, one answer after another.
func watchAnswers(c *cli.Context) func(*watched) error {
	return func(v *watched) error { return show(c, v, nil) }
}

// watchLines prints a line for each campaign that has changed.
func watchLines(w io.Writer) func(*watched) error {
	told := map[string]string{}
	trouble := ""
	return func(v *watched) error {
		if v.Trouble != trouble {
			if trouble = v.Trouble; trouble != "" {
				fmt.Fprintf(w, "%s  %s\n", time.Now().UTC().Format(clock), printable(trouble))
			}
		}
		for i := range v.Campaigns {
			campaign := &v.Campaigns[i]
			line := watchLine(time.Time{}, campaign)
			if told[campaign.Name] != line {
				told[campaign.Name] = line
				if _, err := fmt.Fprintf(w, "%s  %s\n", campaign.Name, watchLine(v.At, campaign)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// The screen beside the one that the shell is on, without a cursor; and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[2J"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

// watchScreen draws what is seen over what was drawn before.
func watchScreen(w io.Writer, colour bool) func(*watched) error {
	return func(v *watched) error {
		width, height := 100, 40
		if file, ok := w.(*os.File); ok {
			if x, y, err := cwriter.GetSize(int(file.Fd())); err == nil && x > 0 && y > 0 {
				width, height = x, y
			}
		}
		_, err := io.WriteString(w, drawn(v.frame(), width, height, colour))
		return err
	}
}
