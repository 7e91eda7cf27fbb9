package main

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/spec"
)

// What pin, unpin, ban and unban have in common: they name a slice, and write
// into the policy's document.

func sliceFlags(more ...cli.Flag) []cli.Flag {
	flags := []cli.Flag{&cli.StringFlag{Name: "where", Usage: "the `SLICE`, as in 'light=low & scale=near'"}}
	return append(append(flags, more...), tuningFlags()...)
}

func expiresFlag() cli.Flag {
	return &cli.StringFlag{Name: "expires", Usage: "the last `DAY` on which it holds, YYYY-MM-DD in UTC", DefaultText: "until it is taken back"}
}

const keepsDocument = "It is written into the policy's document, which keeps its comments and order, and makes the policy's next version.\n\n"

// namedSlice reads NAME and --where, and whatever else a flag must say.
func namedSlice(c *cli.Context, needed ...string) (policy string, slice map[string]string, reason api.Because, err error) {
	args, err := arguments(c, "NAME")
	if err != nil {
		return "", nil, reason, err
	}
	if err := required(c, append([]string{"where"}, needed...)...); err != nil {
		return "", nil, reason, err
	}
	if slice, err = spec.ParsePredicates(c.String("where")); err != nil {
		return "", nil, reason, usage("--where: %v", err)
	}
	if day := c.String("expires"); day != "" {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return "", nil, reason, usage("--expires is a day, as in 2030-12-31, not %q", day)
		}
	}
	reason, err = tuning(c)
	return args[0], slice, reason, err
}

func edited(c *cli.Context, out api.PolicyEdited, err error) error {
	if err != nil {
		return err
	}
	return show(c, out, func(w io.Writer) { writeEdited(w, &out) })
}

func pinCommand() *cli.Command {
	return &cli.Command{
		Name:      "pin",
		Usage:     "give a slice exactly its share of every training mixture, whatever the evidence says",
		ArgsUsage: "NAME",
		Description: "The share is that of a component of its own; what else is drawn has the slice as ever. A slice that is pinned already gets the new share. " +
			keepsDocument + "Example:\n   hone policy pin careful --where 'light=low & scale=near' --share 10% --reason \"the night shift begins\" --expires 2030-12-31",
		Flags: sliceFlags(&cli.StringFlag{Name: "share", Usage: "its `SHARE`, as in 10% or 0.1"}, expiresFlag()),
		Action: func(c *cli.Context) error {
			name, slice, reason, err := namedSlice(c, "share", "reason")
			if err != nil {
				return err
			}
			share, err := fraction("share", c.String("share"))
			if err != nil {
				return err
			}
			out, err := client(c).PinSlice(c.Context, name, api.Pin{Slice: slice, Share: share, Expires: c.String("expires"), Because: reason})
			return edited(c, out, err)
		},
	}
}

func unpinCommand() *cli.Command {
	return &cli.Command{
		Name:        "unpin",
		Usage:       "take a pin back: the evidence decides again",
		ArgsUsage:   "NAME",
		Description: "The slice hands its share back round by round. " + keepsDocument + "Example:\n   hone policy unpin careful --where 'light=low & scale=near'",
		Flags:       sliceFlags(),
		Action: func(c *cli.Context) error {
			name, slice, reason, err := namedSlice(c)
			if err != nil {
				return err
			}
			out, err := client(c).UnpinSlice(c.Context, name, api.Release{Slice: slice, Because: reason})
			return edited(c, out, err)
		},
	}
}

func banCommand() *cli.Command {
	return &cli.Command{
		Name:      "ban",
		Usage:     "keep a slice, and all inside it, from being boosted and probed",
		ArgsUsage: "NAME",
		Description: "The base draws it as ever, and its rows count as evidence. " + keepsDocument +
			"Example:\n   hone policy ban careful --where background=metal --reason \"the renderer is broken there\"",
		Flags: sliceFlags(expiresFlag()),
		Action: func(c *cli.Context) error {
			name, slice, reason, err := namedSlice(c, "reason")
			if err != nil {
				return err
			}
			out, err := client(c).BanSlice(c.Context, name, api.Ban{Slice: slice, Expires: c.String("expires"), Because: reason})
			return edited(c, out, err)
		},
	}
}

func unbanCommand() *cli.Command {
	return &cli.Command{
		Name:        "unban",
		Usage:       "take a ban back",
		ArgsUsage:   "NAME",
		Description: keepsDocument + "Example:\n   hone policy unban careful --where background=metal",
		Flags:       sliceFlags(),
		Action: func(c *cli.Context) error {
			name, slice, reason, err := namedSlice(c)
			if err != nil {
				return err
			}
			out, err := client(c).UnbanSlice(c.Context, name, api.Release{Slice: slice, Because: reason})
			return edited(c, out, err)
		},
	}
}

// adoptCommand has a campaign follow a policy.
func adoptCommand() *cli.Command {
	return &cli.Command{
		Name:      "policy",
		Usage:     "have a campaign follow a version of a policy from its next round on",
		ArgsUsage: "NAME POLICY[@VERSION]",
		Description: "Without a version it is the latest. Rounds that are decided keep theirs. It is refused where the campaign's next round could not be decided by it; " +
			"asked for again it changes nothing.\n\nExample:\n   hone campaign policy loop careful@4 --reason \"more exploration\"",
		Flags: whyFlags(),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME", "POLICY")
			if err != nil {
				return err
			}
			policy, version, err := versioned(args[1])
			if err != nil {
				return err
			}
			now, err := client(c).AdoptPolicy(c.Context, args[0], api.Adopt{Policy: policy, Version: version, Steer: why(c)})
			if err != nil {
				return err
			}
			return show(c, now, func(w io.Writer) { writeCampaign(w, &now) })
		},
	}
}
