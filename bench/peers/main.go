// Command peers measures queues of work that others have written, as `bench
// dispatch` measures the cycle of a unit: a job of some hundred bytes is handed to
// a worker, which does nothing, and is done when the queue has confirmed it. It is
// a module of its own, so that what it imports never enters Hone's.
//
// Each reading starts a server of its own, with nothing in it, and ends it. It
// prints JSON lines of the same shape as bench's.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// measure is one figure: one line.
type measure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	Note  string  `json:"note,omitempty"`
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "nats-server" {
		return natsServer(ctx, args[1:])
	}
	var o options
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	name := flags.String("peer", "", "one of "+strings.Join(names(), ", ")+"; list names those that can be started here")
	flags.IntVar(&o.connections, "connections", 8, "how many connections work")
	flags.IntVar(&o.window, "window", 4000, "jobs that are out at a time, over all connections")
	flags.IntVar(&o.payload, "payload", 300, "bytes of a job")
	flags.DurationVar(&o.seconds, "seconds", 5*time.Second, "how long jobs are put in, and then worked off")
	flags.IntVar(&o.rate, "rate", 0, "also put in so many jobs a second, for as long, and measure how soon each is started")
	flags.StringVar(&o.dir, "dir", "", "the server keeps what it writes below this directory (default: a temporary one)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *name == "list" {
		for _, p := range peers {
			if p.missing() == nil {
				fmt.Println(p.name)
			}
		}
		return nil
	}
	at := slices.IndexFunc(peers, func(p kind) bool { return p.name == *name })
	if at < 0 || flags.NArg() > 0 || o.connections < 1 || o.window < o.connections || o.payload < 16 || o.seconds < time.Second {
		return fmt.Errorf("--peer is one of %s, --window at least --connections, --payload at least 16, --seconds at least 1s", strings.Join(names(), ", "))
	}
	if err := peers[at].missing(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "peer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// PostgreSQL runs as a user of its own.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	o.dir = dir
	measures, err := read(ctx, &peers[at], &o)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	for _, m := range measures {
		if err := encoder.Encode(m); err != nil {
			return err
		}
	}
	return err
}

func names() []string {
	var all []string
	for _, p := range peers {
		all = append(all, p.name)
	}
	return all
}
