package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
)

func outcomesCommand() *cli.Command {
	return &cli.Command{
		Name:  "outcomes",
		Usage: "how a model version did, row by row",
		Subcommands: []*cli.Command{{
			Name:      "push",
			Usage:     "post outcomes from NDJSON or an Arrow IPC stream; all rows count, or none",
			ArgsUsage: "FILE|-",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "space", Usage: "the `SPACE` whose factors the rows name"},
				&cli.StringFlag{Name: "model", Usage: "the model version, `LINE@VERSION`"},
				&cli.StringFlag{Name: "task", Usage: "what the model was asked"},
				&cli.StringFlag{Name: "eval-set", Usage: "what the rows were drawn from, `NAME[@VERSION]`"},
				&cli.StringFlag{Name: "run", Usage: "the job; with it, an equal file is a duplicate"},
				&cli.StringFlag{Name: "key", Usage: "the Idempotency-Key; a file pushed twice under one key counts once"},
			},
			Description: "A row is {\"example\":\"a17\",\"scenario\":{\"light\":\"low\"},\"correct\":false} or {\"sample\":\"sha256:...\",\"correct\":true}.\n\n" +
				"Example:\n   hone outcomes push rows.ndjson --space shapes --model detector@7 --eval-set field@3 --key nightly-7",
			Action: pushOutcomes,
		}},
	}
}

func pushOutcomes(c *cli.Context) error {
	args, err := arguments(c, "FILE")
	if err != nil {
		return err
	}
	if err := required(c, "space", "model"); err != nil {
		return err
	}
	if _, _, err := modelVersion(c.String("model")); err != nil {
		return err
	}
	var body io.Reader
	var start []byte
	if args[0] == "-" {
		buffered := bufio.NewReader(c.App.Reader)
		start, _ = buffered.Peek(4) // fewer at the end; a real error comes again
		body = buffered
	} else {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		start = make([]byte, 4)
		n, _ := f.ReadAt(start, 0)
		start, body = start[:n], f
	}
	client := client(c)
	client.Patience = time.Minute // a post is worth waiting for
	posted, err := client.PostOutcomes(c.Context, api.OutcomesOptions{
		Space: c.String("space"), Model: c.String("model"), Task: c.String("task"), EvalSet: c.String("eval-set"),
		Run: c.String("run"), Key: c.String("key"), ContentType: contentType(start),
	}, body)
	if err != nil {
		return err
	}
	return show(c, posted, func(w io.Writer) {
		if posted.DuplicateOf != 0 {
			fmt.Fprintf(w, "duplicate: these rows count since sequence %d\n", posted.DuplicateOf)
			return
		}
		fmt.Fprintf(w, "%d rows accepted at sequence %d\n", posted.Accepted, posted.Sequence)
	})
}

// contentType tells an Arrow stream, which starts with a continuation marker
// that no text has.
func contentType(start []byte) string {
	if bytes.Equal(start, []byte{0xFF, 0xFF, 0xFF, 0xFF}) {
		return api.Arrow
	}
	return api.NDJSON
}
