package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/examples/shapes"
	"hone/loop"
)

// errEndedShort is the exit code 1 of a campaign that ended otherwise than done.
type errEndedShort struct{ campaign *api.Campaign }

func (e *errEndedShort) Error() string {
	c := e.campaign
	return fmt.Sprintf("campaign %s ended %s with %s of %s samples", c.Name, c.State, thousands(c.Committed), thousands(c.Requested+c.GivenUp))
}

func whyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "reason", Usage: "`WHY`, for whoever looks at it later"},
		&cli.StringFlag{Name: "author", Usage: "`WHO`", DefaultText: "you", EnvVars: []string{"HONE_AUTHOR"}},
	}
}

// why is what the flags say; the author is who is logged in, unless told.
func why(c *cli.Context) api.Steer {
	author := c.String("author")
	if author == "" {
		author = os.Getenv("USER")
	}
	if author == "" {
		if u, err := user.Current(); err == nil {
			author = u.Username
		}
	}
	return api.Steer{Author: author, Reason: c.String("reason")}
}

// steerCommand pauses, resumes or closes.
func steerCommand(verb, what string, steer func(*api.Client, context.Context, string, api.Steer) (api.Campaign, error)) *cli.Command {
	return &cli.Command{
		Name:      verb,
		Usage:     what,
		ArgsUsage: "NAME",
		Description: fmt.Sprintf("Asked for again it changes nothing.\n\n"+
			"Example:\n   hone campaign %s loop --reason \"the GPUs are needed elsewhere\"", verb),
		Flags: whyFlags(),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			now, err := steer(client(c), c.Context, args[0], why(c))
			if err != nil {
				return err
			}
			return show(c, now, func(w io.Writer) { writeCampaign(w, &now) })
		},
	}
}

func extendCommand() *cli.Command {
	return &cli.Command{
		Name:      "extend",
		Usage:     "change how many samples and rounds a campaign has in all, and what it may cost",
		ArgsUsage: "NAME",
		Description: "A number with a sign is added to what the campaign asks for now. Later rounds share what is left; " +
			"a campaign that is done runs again. Never fewer than the rounds so far have decided on. Where samples follow from money, " +
			"rounds to come are planned as the first was, until what they pay for is seen.\n\n" +
			"Examples:\n   hone campaign extend loop --samples +6000 --rounds +4\n   hone campaign extend loop --samples 12000 --rounds 8\n   hone campaign extend loop --money +200 --rounds +2",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "samples", Usage: "`N` training samples in all, or +N more"},
			&cli.StringFlag{Name: "rounds", Usage: "`N` rounds in all, or +N more"},
			&cli.StringFlag{Name: "money", Usage: "it may cost `X` in all, or +X more, where it has a price"},
		}, whyFlags()...),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			if !c.IsSet("samples") && !c.IsSet("rounds") && !c.IsSet("money") {
				return usage("%s needs --samples, --rounds or --money (see %s --help)", c.Command.HelpName, c.Command.HelpName)
			}
			now, err := client(c).Campaign(c.Context, args[0])
			if err != nil {
				return err
			}
			// What is sent is absolute, and of this version: sent twice, it counts
			// once.
			to := api.Extend{Steer: why(c), Version: now.Version}
			samples, err := changed("--samples", c.String("samples"), now.Samples)
			if err != nil {
				return err
			}
			n, err := changed("--rounds", c.String("rounds"), uint64(now.Rounds))
			if err != nil {
				return err
			}
			rounds := int(n)
			to.Samples, to.Rounds = &samples, &rounds
			if text := c.String("money"); text != "" {
				money, err := strconv.ParseFloat(text, 64)
				if strings.HasPrefix(text, "+") {
					money += now.Money
				}
				if err != nil || !(money > 0 && money <= loop.MaxMoney) {
					return usage("--money is an amount above 0, or one to add as in +200, not %q", text)
				}
				if to.Money = &money; !c.IsSet("samples") {
					to.Samples = nil
				}
			}
			if now, err = client(c).ExtendCampaign(c.Context, args[0], to); err != nil {
				return err
			}
			return show(c, now, func(w io.Writer) { writeCampaign(w, &now) })
		},
	}
}

// changed is what a flag makes of a number: itself, more, or less.
func changed(flag, s string, now uint64) (uint64, error) {
	if s == "" {
		return now, nil
	}
	number, sign := s, byte(0)
	if s[0] == '+' || s[0] == '-' {
		number, sign = s[1:], s[0]
	}
	n, err := strconv.ParseUint(number, 10, 40)
	switch {
	case err != nil:
		return 0, usage("%s is a number, or a number to add as in +6000, not %q", flag, s)
	case sign == '+':
		return now + n, nil
	case sign == '-' && n > now:
		return 0, usage("%s %s would leave less than nothing of %d", flag, s, now)
	case sign == '-':
		return now - n, nil
	}
	return n, nil
}

func watchCampaignCommand() *cli.Command {
	return &cli.Command{
		Name:      "watch",
		Usage:     "print a line whenever a campaign has changed, until it ends",
		ArgsUsage: "NAME",
		Description: "It exits with 0 when the campaign is done, and with 1 when it is done_short or closed.\n\n" +
			"Example:\n   hone campaign watch loop --output json",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			if _, err := client(c).Campaign(c.Context, args[0]); err != nil {
				return err
			}
			// Who watches outlasts a server that is started again.
			patient := client(c)
			patient.Patience = watchPatience
			for now, err := range patient.WatchCampaign(c.Context, args[0]) {
				if err != nil {
					return err
				}
				if err := show(c, now, func(w io.Writer) { fmt.Fprintln(w, watchLine(time.Now(), &now)) }); err != nil {
					return err
				}
				if now.Ended() && now.State != api.CampaignDone {
					return &errEndedShort{&now}
				}
			}
			return nil
		},
	}
}

// watchPatience is how long a watcher waits for a server that is not there.
const watchPatience = time.Minute

// watchLine is a campaign in a line.
func watchLine(at time.Time, c *api.Campaign) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-10s  round %d of %d  %s of %s committed", at.UTC().Format(clock), c.State, c.Round, c.Rounds,
		thousands(c.Committed), thousands(c.Requested))
	for _, n := range []struct {
		what  string
		count uint64
	}{{"in flight", c.InFlight}, {"rejected", c.Rejected}, {"abandoned", c.Abandoned}, {"given up", c.GivenUp}} {
		if n.count > 0 {
			fmt.Fprintf(&b, ", %s %s", thousands(n.count), n.what)
		}
	}
	if c.Waiting != "" {
		fmt.Fprintf(&b, "; waits for %s", c.Waiting)
	}
	return printable(b.String())
}

// stateSince is a campaign's state and, where a person brought it about, since
// when and by whom.
func stateSince(c *api.Campaign) string {
	s := c.Steered
	if s == nil || s.To != c.State {
		return c.State
	}
	out := c.State + " since " + utc(s.At)
	if s.Author != "" {
		out += " by " + s.Author
	}
	return out
}

// steeredWhy is the reason that was given for the state, or the condition by which
// the campaign is done before its time.
func steeredWhy(c *api.Campaign) string {
	switch n := len(c.Amendments); {
	case c.Steered != nil && c.Steered.To == c.State:
		return c.Steered.Reason
	case n > 0 && strings.HasPrefix(c.State, api.CampaignDone) && strings.HasPrefix(c.Amendments[n-1].Reason, "until["):
		return c.Amendments[n-1].Reason
	}
	return ""
}

// amendments are the later versions of what a campaign asks for and follows.
func amendments(c *api.Campaign) []string {
	all := make([]string, len(c.Amendments))
	for i, a := range c.Amendments {
		all[i] = fmt.Sprintf("to %s samples in %d rounds", thousands(a.Samples), a.Rounds)
		if a.Money > 0 {
			all[i] += fmt.Sprintf(", to cost %.2f at most", a.Money)
		}
		if a.Policy != "" {
			all[i] = "to follow " + a.Policy
		}
		if a.Author != "" {
			all[i] += " by " + a.Author
		}
		if a.Reason != "" {
			all[i] += " (" + a.Reason + ")"
		}
	}
	return all
}

// createCampaign creates a campaign, and says what happens next.
func createCampaign(c *cli.Context, text []byte) error {
	var name string
	err := putDocument(c, "campaign", text, func(ctx context.Context, text []byte) (api.Put, error) {
		put, err := client(c).CreateCampaign(ctx, text)
		name = put.Name
		return put, err
	})
	if err != nil || c.String("output") != outputTable {
		return err
	}
	now, err := client(c).Campaign(c.Context, name)
	if err != nil {
		return nil //nolint:nilerr // it is created: what follows is a courtesy
	}
	writeNext(c.App.ErrWriter, &now)
	return nil
}

// waitsForWorker is how a campaign's Waiting begins while no worker that is
// connected has its generator, whose name follows.
const waitsForWorker = "a worker with generator "

// workerOf is the command line of a worker with a generator, which is a program
// unless it is built in.
func workerOf(generator string) string {
	if generator == shapes.GeneratorName {
		return "hone work"
	}
	return fmt.Sprintf("hone work --generator-cmd %s=\"CMD ...\"", generator)
}

// writeNext says what happens next with a campaign, and what to type.
func writeNext(w io.Writer, c *api.Campaign) {
	switch {
	case c.Ended():
		fmt.Fprintf(w, "It is %s.\n", c.State)
	case c.Waiting != "":
		fmt.Fprintf(w, "It waits for %s.\n", printable(c.Waiting))
	default:
		fmt.Fprintln(w, "Its samples are being made.")
	}
	if generator, ok := strings.CutPrefix(c.Waiting, waitsForWorker); ok {
		fmt.Fprintf(w, "Start one:     %s\n", workerOf(generator))
	}
	if c.Rounds > 1 {
		fmt.Fprintf(w, "Train on it:   each round is published as %s@ROUND; seal the model trained on it, and the next is decided\n", c.Name)
	}
	fmt.Fprintf(w, "Follow it:     hone campaign watch %s\n", c.Name)
}
