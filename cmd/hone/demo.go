package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"hone/api"
	"hone/examples/shapes"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "watch a model get better because the right data was made",
		Description: `Starts what a user would start, on this machine alone: a coordinator, two workers
and two training jobs. One job's campaign learns where its model fails (strategy
hone), the other's samples uniformly (the control); both have the same budget.

Examples:
   hone demo
   hone demo --quick --output json
   hone demo --keep --data ./my-demo`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "quick", Usage: "a small version: fewer rounds, less training"},
			&cli.Uint64Flag{Name: "seed", Value: 10, Usage: "`N` decides everything that is random"},
			&cli.StringFlag{Name: "world", Value: "planted", Usage: "`WORLD` planted, or null: without the slices that mislead"},
			&cli.BoolFlag{Name: "keep", Usage: "leave the service up at the end, until Ctrl-C"},
			&cli.StringFlag{Name: "data", Usage: "keep everything in `DIR`, which must not exist yet", DefaultText: "a new one"},
			&cli.IntFlag{Name: "workers", Value: 2, Usage: "how many workers to start"},
			&cli.BoolFlag{Name: "verbose", Usage: "log what is going on, not only what goes wrong"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("demo takes no arguments, got %q", c.Args().First())
			}
			d := &demo{seed: c.Uint64("seed"), keep: c.Bool("keep"), dir: c.String("data"), workers: c.Int("workers"),
				size: fullDemo, started: time.Now(), logger: logger(c)}
			switch c.String("world") {
			case "planted":
			case "null":
				d.world.Null = true
			default:
				return usage("--world %q: planted or null", c.String("world"))
			}
			if d.workers < 1 || d.workers > 64 {
				return usage("--workers %d: 1 to 64", d.workers)
			}
			if c.Bool("quick") {
				d.size = quickDemo
			}
			// What is to be read by a program has stdout to itself.
			asData := c.String("output") != outputTable
			d.show = newDemoScreen(c.App.Writer, c.App.ErrWriter, asData, d.size)
			// Whoever keeps the service up does not have to end it for the result.
			d.tell = func(r *demoResult) error {
				return show(c, r, func(io.Writer) {}) // the screen has shown it
			}
			return d.run(c.Context)
		},
	}
}

// demoSize is how much the demo does.
type demoSize struct {
	rounds, samples    int // training samples per round
	target, mixture    int // evaluation samples per round
	examTarget, pinned int // exam samples, of the target and of each planted slice
	learner            shapes.LearnerOptions
}

var (
	fullDemo  = demoSize{rounds: 12, samples: 1500, target: 1500, mixture: 1500, examTarget: 4000, pinned: 400}
	quickDemo = demoSize{rounds: 4, samples: 1500, target: 1200, mixture: 1200, examTarget: 1000, pinned: 200,
		learner: shapes.LearnerOptions{Steps: 120, Rate: .003}}
)

// The campaigns of the demo. Each arm's model line bears its campaign's name.
const (
	armLoop    = "loop"
	armUniform = "uniform"
	examName   = "exam"
)

// demo is one run of the demo.
type demo struct {
	size    demoSize
	seed    uint64
	world   shapes.World
	keep    bool
	dir     string
	workers int
	started time.Time
	logger  *slog.Logger
	show    *demoScreen
	tell    func(*demoResult) error // what the result is written by

	url    string
	client *api.Client
}

// run starts the service, the workers and the training jobs, and ends them in
// the reverse order.
func (d *demo) run(ctx context.Context) error {
	if err := d.makeDir(); err != nil {
		return err
	}
	service, stopService := context.WithCancel(context.WithoutCancel(ctx))
	defer stopService()
	group, serving := errgroup.WithContext(service)
	ready := make(chan string, 1)
	group.Go(func() error {
		return serve(serving, serverOptions{dir: filepath.Join(d.dir, "server"), listen: "127.0.0.1:0",
			logger: d.logger, ready: func(url string) { ready <- url }})
	})
	err := func() error {
		select {
		case d.url = <-ready:
		case <-serving.Done():
			return nil // the group has the error
		case <-ctx.Done():
			return ctx.Err()
		}
		d.client = api.New(d.url)
		// Workers and jobs end with ctx or with the service, whichever is first.
		working, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		defer context.AfterFunc(serving, func() { stop(errors.New("the service has stopped")) })()
		fleet, fleeting := errgroup.WithContext(working)
		for i := range d.workers {
			name := fmt.Sprintf("worker-%d", i+1)
			agent, err := newAgent(d.url, name, "cpu", 1, filepath.Join(d.dir, name), d.world, d.logger)
			if err != nil {
				return err
			}
			fleet.Go(func() error { return agent.Run(fleeting) })
		}
		d.show.started(d)
		result, err := d.campaigns(fleeting)
		if err == nil {
			err = d.finish(ctx, result)
		}
		stop(nil)
		return errors.Join(err, fleet.Wait())
	}()
	stopService()
	err = errors.Join(err, group.Wait())
	d.show.close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (d *demo) makeDir() (err error) {
	if d.dir == "" {
		d.dir, err = os.MkdirTemp("", "hone-demo-")
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(d.dir, 0o755); errors.Is(err, os.ErrExist) {
		return usage("--data %s exists already: choose another, the demo starts from nothing", d.dir)
	} else if err != nil {
		return err
	}
	d.dir, err = filepath.Abs(d.dir)
	return err
}

// campaigns puts what a user would put, runs both training jobs to their end,
// and says what came of it.
func (d *demo) campaigns(ctx context.Context) (*demoResult, error) {
	documents, err := d.documents()
	if err != nil {
		return nil, err
	}
	if err := documents.put(ctx, d.client); err != nil {
		return nil, err
	}
	arms := []string{armLoop, armUniform}
	scores := make([][]shapes.Score, len(arms))
	jobs, working := errgroup.WithContext(ctx)
	for i, arm := range arms {
		jobs.Go(func() (err error) {
			scores[i], err = shapes.RunTrainer(working, shapes.TrainerOptions{
				Client: d.client, Campaign: arm, ModelLine: arm, Exam: examName, Rounds: d.size.rounds,
				Seed: d.seed, Learner: d.size.learner,
				Progress: func(p shapes.Progress) { d.progress(working, p) },
			})
			return err
		})
	}
	jobs.Go(func() error { return d.watch(working) })
	if err := jobs.Wait(); err != nil {
		return nil, err
	}
	return d.result(ctx, scores[0], scores[1])
}

// progress shows where a training job stands, and the round that it has just
// finished.
func (d *demo) progress(ctx context.Context, p shapes.Progress) {
	d.show.phase(p)
	if p.Phase != shapes.PhaseDone || p.Campaign != armLoop {
		return
	}
	round, err := d.client.Round(ctx, p.Campaign, p.Round, 0)
	if err != nil {
		d.logger.Debug("cannot show the round", "round", p.Round, "error", err)
		return
	}
	d.show.round(p, round.Decision)
}

// watchEvery is how often the accounting is looked at.
const watchEvery = 500 * time.Millisecond

// watch shows how many samples are made, until all are.
func (d *demo) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var made, wanted uint64
		running := false
		for _, name := range []string{armLoop, armUniform, examName} {
			c, err := d.client.Campaign(ctx, name)
			if err != nil {
				return err
			}
			made, wanted = made+c.Committed, wanted+c.Requested
			if c.Evaluation != nil {
				made, wanted = made+c.Evaluation.Committed, wanted+c.Evaluation.Requested
			}
			running = running || c.State == api.CampaignRunning
		}
		d.show.samples(made, wanted)
		if !running {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// finish tells where everything is, and stays up if it was asked to.
func (d *demo) finish(ctx context.Context, r *demoResult) error {
	d.show.result(d, r)
	page, err := demoReport(ctx, d.client, d.dir)
	if err != nil {
		return err
	}
	d.show.report(page)
	if err := d.tell(r); err != nil || !d.keep {
		return err
	}
	d.show.kept(d)
	<-ctx.Done()
	return nil
}
