package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"hone/api"
	"hone/coordinator"
	"hone/gpuworker"
	"hone/lake"
	"hone/loop"
)

// coreNodeCommand is a node of the core cycle; the benchmark starts three of them.
func coreNodeCommand() *cli.Command {
	return &cli.Command{
		Name:   "core-node",
		Hidden: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "node"}, &cli.StringFlag{Name: "data"}, &cli.StringFlag{Name: "lake"},
			&cli.StringFlag{Name: "listen"}, &cli.StringFlag{Name: "peer-listen"}, &cli.StringFlag{Name: "join"},
			&cli.StringFlag{Name: "profile"},
		},
		Action: func(c *cli.Context) error {
			if to := c.String("profile"); to != "" {
				file, err := os.Create(filepath.Join(to, c.String("node")+".pprof"))
				if err != nil {
					return err
				}
				defer file.Close()
				if err := pprof.StartCPUProfile(file); err != nil {
					return err
				}
				defer pprof.StopCPUProfile()
			}
			return coreNode(c)
		},
	}
}

// coreNode is `hone serve` without ingest, gates and view.
func coreNode(c *cli.Context) error {
	listener, err := net.Listen("tcp", c.String("listen"))
	if err != nil {
		return err
	}
	peers, err := net.Listen("tcp", c.String("peer-listen"))
	if err != nil {
		return err
	}
	store, err := lake.Open(lake.Options{Dir: c.String("lake")})
	if err != nil {
		return err
	}
	defer store.Close()
	o := coordinator.NodeOptions{Dir: filepath.Join(c.String("data"), "raft"), Name: c.String("node"),
		Peers: &coordinator.Peers{Listener: peers}, URL: "http://" + c.String("listen")}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if join := c.String("join"); join != "" {
		known, err := api.New(join).Node(c.Context)
		if err != nil {
			return err
		}
		o.Cluster, o.Join = known.Cluster, []string{"http://" + join}
	}
	node, err := coordinator.NewNode(o)
	if err != nil {
		return err
	}
	coord := coordinator.New(coordinator.Options{Node: node, Gates: trusting{}, Parts: store, Staging: store, Collection: store,
		View: noView{}, Logger: o.Logger, Build: "bench"})
	hub := gpuworker.NewHub(gpuworker.HubOptions{Dispatcher: coord, Receiver: coord, Logger: o.Logger})
	mux := http.NewServeMux()
	coordinator.Register(coordinator.NewAPI(mux, "bench"), coordinator.ControlOptions{Coordinator: coord, Objects: store, Queries: noView{}, Version: "bench", Started: time.Now()})
	mux.Handle("GET /v1/workers", hub)

	group, ctx := errgroup.WithContext(c.Context)
	server := &http.Server{Handler: coord.Front(mux)}
	group.Go(func() error { return hub.Run(ctx) })
	group.Go(func() error { return coord.Run(ctx) })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return group.Wait()
}

// trusting is a gate stage that takes every delivery at its word and moves no byte.
// The rows that it makes are as long as those of real samples.
type trusting struct{}

// packed is where the samples would lie.
const packed = "packs/0/00/0000000000000000000000000000000000000000000000000000000000000000.tar"

func (trusting) Judge(_ context.Context, lookup func(string, int) (*loop.Definition, []string, error), _ uint64, deliveries []loop.Delivery) ([]loop.Judged, error) {
	out := make([]loop.Judged, len(deliveries))
	for i := range deliveries {
		d := &deliveries[i]
		out[i].Delivery = *d
		definition, _, err := lookup(d.Unit.Campaign, d.Unit.Round)
		if err != nil {
			out[i].Err = err
			continue
		}
		for k, s := range d.Samples {
			name := d.Unit.Name(k)
			out[i].Verdicts = append(out[i].Verdicts, loop.Verdict{Index: s.Index, Accepted: true})
			out[i].Samples = append(out[i].Samples, loop.SampleRow{Campaign: d.Unit.Campaign, Name: name, Seed: loop.SampleSeed(definition.Seed, name),
				Scenario: loop.Scenario{Codes: make([]loop.Code, len(definition.Space.Factors)), Fractions: make([]uint32, len(definition.Space.Factors))},
				Weight:   1, Digest: s.Digest, Address: loop.Address{Key: packed, Offset: s.Offset, Length: s.Length},
				Worker: d.Worker, Generator: d.Generator.Name + "@" + d.Generator.Version})
		}
	}
	return out, nil
}

func (trusting) CheckGates([]string) error { return nil }

func (trusting) Import(context.Context, uint64, loop.Delivery) (loop.Judged, error) {
	return loop.Judged{}, errNoView
}

// noView is a view that knows nothing: a campaign of one round asks it nothing.
type noView struct{}

var errNoView = fmt.Errorf("this node has no view: %w", errors.ErrUnsupported)

func (noView) Evidence(context.Context, loop.EvidenceQuery) (loop.Evidence, uint64, error) {
	return loop.Evidence{}, 0, errNoView
}

func (noView) Committed(context.Context, loop.Selection) iter.Seq2[loop.CommittedSample, error] {
	return func(yield func(loop.CommittedSample, error) bool) { yield(loop.CommittedSample{}, errNoView) }
}

func (noView) Locate(context.Context, []loop.Digest) (map[loop.Digest]loop.Address, error) {
	return nil, errNoView
}

func (noView) Imported(context.Context, string, string, int, uint64, int, uint64) (*loop.Space, []loop.ImportedSample, error) {
	return nil, nil, errNoView
}

func (noView) Query(context.Context, string, uint64) (api.Table, error) {
	return api.Table{}, errNoView
}

func (noView) Sequence() uint64 { return 0 }
