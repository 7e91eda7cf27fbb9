package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/export"
	"hone/loop"
)

// made is what `make` says with --output json.
type made struct {
	Campaign  string    `json:"campaign"`
	State     string    `json:"state"`
	Dataset   string    `json:"dataset"`
	Requested uint64    `json:"requested"`
	Committed uint64    `json:"committed"`
	Rejected  uint64    `json:"rejected"`
	Abandoned uint64    `json:"abandoned"`
	Reasons   []string  `json:"reasons,omitempty"`
	Estimate  *estimate `json:"estimate,omitempty"`
	Seconds   float64   `json:"elapsed_seconds"`
	Dir       string    `json:"to,omitempty"`
	Shards    int       `json:"shards,omitempty"`
	Bytes     int64     `json:"bytes,omitempty"`
}

func makeCommand() *cli.Command {
	return &cli.Command{
		Name:  "make",
		Usage: "have so many samples of this made, without a loop",
		Description: `A campaign of one round, with the same gates, accounting and durability as any
other; no other campaign's mixture is touched. What --where leaves open is drawn
as deployment is. --scenarios names a YAML or JSON list, NDJSON, or a CSV table,
of partial scenarios: a level by factor, and a count (1 if it is left out).

A sample's importance weight is its probability in deployment over that in all
that was asked for together; so the weights average to the part of deployment
that was asked for.

The campaign's name follows from what is asked for: the same command again
follows the same campaign, and goes on with its export, rather than make twice
as many. For others of the same kind, give another --seed or --name.

Examples:
   hone make --space shapes --where 'light=low & background=metal' -n 5000 --generator shapes --to ./metal
   hone make --space shapes --scenarios wanted.csv --generator shapes --gates blank,format --to ./wanted --format parquet`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "space", Usage: "the space's `NAME`; its latest version"},
			&cli.StringFlag{Name: "where", Usage: "the `SLICE`, 'light=low & glove=yes', of any length; all of the space if it is left out"},
			&cli.Int64Flag{Name: "samples", Aliases: []string{"n"}, Usage: "make `N` samples", DefaultText: "what --scenarios lists"},
			&cli.StringFlag{Name: "scenarios", Usage: "make what `FILE` lists, or - for stdin"},
			&cli.StringFlag{Name: "generator", Usage: "the generator's `NAME`"},
			&cli.StringFlag{Name: "gates", Usage: "the `GATES` that every sample must pass, joined by commas"},
			&cli.StringFlag{Name: "quota-by", Usage: "split by the levels of `FACTOR`, so that their counts are exact, too"},
			&cli.Uint64Flag{Name: "seed", Usage: "`N` decides everything that is random", DefaultText: "by the name"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the campaign and its dataset", DefaultText: "by what is asked for"},
			&cli.IntFlag{Name: "unit-size", Usage: "make `N` samples in one go", DefaultText: "50"},
			&cli.Float64Flag{Name: "price-per-hour", Usage: "a slot costs `X` per hour, for the estimate", DefaultText: "not known"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask before it starts"},
		}, exportFlags()...),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			if err := required(c, "space", "generator"); err != nil {
				return err
			}
			var options export.Options
			if c.IsSet("to") {
				var err error
				if options, err = readExportOptions(c); err != nil {
					return err
				}
			}
			r, err := readMakeRequest(c)
			if err != nil {
				return err
			}
			m := &making{client: client(c), request: r, stderr: c.App.ErrWriter, began: time.Now()}
			if start, err := m.prepare(c); err != nil || !start {
				return err
			}
			m.client = patientClient(c)
			return m.run(c, options)
		},
	}
}

// making is one run of the command.
type making struct {
	client  *api.Client
	request *makeRequest
	stderr  io.Writer
	began   time.Time
	out     made
}

func (m *making) say(format string, args ...any) { fmt.Fprintf(m.stderr, format+"\n", args...) }

// prepare says what will be made and what that takes, and asks whether it shall.
// A campaign that is there already goes on without a question.
func (m *making) prepare(c *cli.Context) (start bool, err error) {
	name, wanted := m.request.campaign.Name, m.request.campaign.Samples
	there, err := m.client.Campaign(c.Context, name)
	switch {
	case err == nil && there.Document != string(m.request.document):
		return false, loop.Conflict("--name", "there is another campaign %q; choose another name", name)
	case err != nil && !errors.Is(err, loop.ErrNotFound):
		return false, err
	}
	again := err == nil
	m.say("%s.", m.request.describe())
	if again {
		m.say("Campaign %s was started before, with %s samples committed: it goes on.", name, thousands(there.Committed))
		wanted -= min(wanted, there.Committed)
	}
	if wanted == 0 {
		return true, nil
	}
	e, err := estimated(c.Context, m.client, m.request.space.Name, m.request.campaign.Generator, wanted, c.Float64("price-per-hour"))
	if err != nil {
		return false, err
	}
	m.out.Estimate = &e
	m.say("%s\n%s", e.time(m.request.campaign.Generator), e.price(c.Float64("price-per-hour")))
	if again || c.Bool("yes") || !isTerminal(m.stderr) || !terminalInput(c.App.Reader) {
		return true, nil
	}
	return confirmed(c.App.Reader, m.stderr)
}

func terminalInput(r io.Reader) bool {
	file, ok := r.(*os.File)
	return ok && isTerminal(file)
}

// confirmed asks, and takes anything but yes for no.
func confirmed(in io.Reader, out io.Writer) (bool, error) {
	fmt.Fprint(out, "Make them? [y/N] ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	fmt.Fprintln(out, "Nothing was started.")
	return false, nil
}

func (m *making) run(c *cli.Context, options export.Options) error {
	if _, err := m.client.CreateCampaign(c.Context, m.request.document); err != nil {
		return err
	}
	if err := m.follow(c.Context); err != nil {
		return err
	}
	d, err := m.client.Dataset(c.Context, m.request.campaign.Name, 1)
	if err != nil {
		return err
	}
	m.out.Dataset = fmt.Sprintf("%s@%d", d.Name, d.Version)
	if options.Dir != "" {
		e, err := exportDataset(c.Context, m.client, d, options, m.stderr)
		if err != nil {
			return err
		}
		m.out.Dir, m.out.Shards, m.out.Bytes = e.Dir, len(e.Shards), e.Bytes
	}
	m.out.Seconds = time.Since(m.began).Round(100 * time.Millisecond).Seconds()
	if err := show(c, &m.out, func(w io.Writer) { writeMade(w, &m.out) }); err != nil {
		return err
	}
	if m.out.Committed < m.out.Requested {
		return fmt.Errorf("%s of %s samples were made; %s were abandoned: %s", thousands(m.out.Committed), thousands(m.out.Requested),
			thousands(m.out.Abandoned), strings.Join(m.out.Reasons, "; "))
	}
	return nil
}

// followEvery is how often the campaign is looked at while it is made.
const followEvery = 500 * time.Millisecond

// follow shows how far the campaign is, until its dataset is published.
func (m *making) follow(ctx context.Context) error {
	name := m.request.campaign.Name
	meter := newMeter(m.stderr, "samples made", int64(m.request.campaign.Samples))
	defer meter.close()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	told := ""
	for {
		campaign, err := m.client.Campaign(ctx, name)
		if err == nil {
			meter.at(int64(campaign.Committed))
			if now := m.obstacle(&campaign); now != told {
				if told = now; now != "" {
					meter.note("%s", now)
				}
			}
			if done, err := m.done(ctx, &campaign); done || err != nil {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			err = ctx.Err()
		}
		if ctx.Err() != nil {
			meter.note("Interrupted; campaign %s goes on being made. The same command follows it again; hone campaign pause %s would hold it.", name, name)
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// done reports whether the campaign has ended and its dataset is there.
func (m *making) done(ctx context.Context, c *api.Campaign) (bool, error) {
	switch c.State {
	case api.CampaignDone, api.CampaignDoneShort:
	case api.CampaignClosed:
		return false, loop.Conflict("", "campaign %s was closed with %s of %s samples made: %s", c.Name, thousands(c.Committed), thousands(c.Requested), strings.Join(c.Reasons, "; "))
	default:
		return false, nil
	}
	round, err := m.client.Round(ctx, c.Name, 1, 10*time.Second)
	if err != nil || round.State != api.RoundPublished {
		return false, err
	}
	m.out.Campaign, m.out.State = c.Name, c.State
	m.out.Requested, m.out.Committed, m.out.Rejected, m.out.Abandoned, m.out.Reasons = c.Requested, c.Committed, c.Rejected, c.Abandoned, c.Reasons
	return true, nil
}

// obstacle says what a person must do for the campaign to go on, if anything.
func (m *making) obstacle(c *api.Campaign) string {
	generator := m.request.campaign.Generator
	switch {
	case c.State == api.CampaignPaused:
		return fmt.Sprintf("Campaign %s is paused: hone campaign resume %s", c.Name, c.Name)
	case c.Waiting == waitsForWorker+generator:
		return fmt.Sprintf("No worker that is connected has generator %s; waiting for one. To start one:\n   %s --server %s",
			generator, workerOf(generator), m.client.Servers)
	case c.Waiting != "" && c.Waiting != "its first round" && c.Waiting != "round 1 to be published":
		return "Waiting for " + c.Waiting + "."
	}
	return ""
}

func writeMade(w io.Writer, m *made) {
	shards, size := "", ""
	if m.Dir != "" {
		shards, size = thousands(uint64(m.Shards)), sizeText(m.Bytes)
	}
	facts(w, "campaign", m.Campaign, "state", m.State, "dataset", m.Dataset, "samples", thousands(m.Committed)+" of "+thousands(m.Requested),
		"rejected", thousands(m.Rejected), "abandoned", thousands(m.Abandoned), "reasons", strings.Join(m.Reasons, "; "),
		"directory", m.Dir, "shards", shards, "size", size)
}
