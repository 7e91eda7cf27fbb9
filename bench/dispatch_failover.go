package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/gpuworker"
	"hone/loop"
)

// failoverPart kills the leader with -9, again and again, and measures how long no
// unit is acknowledged. The workers are real ones, and nothing is tuned.
type failoverPart struct{}

func (failoverPart) name() string { return "failover" }

// The workers of the failovers, and how long each of their units takes to make.
const (
	failoverWorkers = 8
	failoverSlots   = 2
	failoverUnit    = 50 * time.Millisecond
	// stray is how long after its death a leader's last words may be read.
	stray = 100 * time.Millisecond
	// flows is how long units have to be acknowledged again before the next step.
	flows = time.Second
)

func (failoverPart) run(ctx context.Context, o *dispatchOptions) (_ []measure, err error) {
	cluster, err := o.start(ctx, product)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.stop()) }()
	if err := cluster.work(ctx, o.unit); err != nil {
		return nil, err
	}
	acks := &acknowledgements{units: make(map[string]bool)}
	working, rest := context.WithCancel(ctx)
	defer rest()
	var agents errgroup.Group
	var servers []string
	for _, n := range cluster.nodes {
		servers = append(servers, n.url)
	}
	for i := range failoverWorkers {
		name := fmt.Sprintf("w%d", i)
		agent, err := gpuworker.NewAgent(gpuworker.AgentOptions{Server: strings.Join(servers, ","), Name: name, Slots: failoverSlots, Type: "bench",
			Dir: filepath.Join(o.dir, "failover-"+name), Generators: []gpuworker.Generator{slow{o.payload}}, Logger: slog.New(listener{acks: acks})})
		if err != nil {
			return nil, err
		}
		agents.Go(func() error { return agent.Run(working) })
	}
	if err := until(ctx, startWithin, "units are acknowledged", func() bool { return acks.after(time.Time{}) }); err != nil {
		return nil, err
	}
	var gaps []time.Duration
	for i := range o.times {
		leader, err := cluster.leader(ctx)
		if err != nil {
			return nil, err
		}
		killed := time.Now()
		leader.kill()
		err = until(ctx, startWithin, "units are acknowledged again", func() bool { return acks.after(killed.Add(stray)) })
		if err != nil {
			return nil, fmt.Errorf("after %s was killed: %w", leader.name, err)
		}
		time.Sleep(flows)
		gaps = append(gaps, acks.gap(killed))
		fmt.Fprintf(o.log, "failover %d of %d: %v without an acknowledgement\n", i+1, o.times, gaps[i].Round(time.Millisecond))
		if err := errors.Join(leader.start(ctx), cluster.settled(ctx)); err != nil {
			return nil, err
		}
	}
	rest()
	if err := agents.Wait(); err != nil {
		return nil, err
	}
	committed, err := cluster.committed(ctx)
	if err != nil {
		return nil, err
	}
	deliveries, units := acks.count()
	lost := max(0, units*o.unit-int(committed))
	measures := []measure{{Name: "failover/times", Value: float64(len(gaps)), Unit: "leaders",
		Note: fmt.Sprintf("kill -9 of the leader; %d workers of %d slots, units of %v; defaults as shipped", failoverWorkers, failoverSlots, failoverUnit)},
		measure{Name: "failover/lost", Value: float64(lost), Unit: "samples", Note: "acknowledged, and not counted by the cluster"}.goal(lost == 0, "0"),
		{Name: "failover/again", Value: float64(deliveries-units) / float64(len(gaps)), Unit: "units per leader", Note: "made twice, and counted once"}}
	for _, m := range quantiles("failover/gap", gaps) {
		if m.Name == "failover/gap/p99" {
			m = m.goal(m.Value <= 3000, "<= 3000 ms")
		}
		measures = append(measures, m)
	}
	return measures, nil
}

// acknowledgements are what agents have logged of units that are committed.
type acknowledgements struct {
	mu    sync.Mutex
	at    []time.Time
	units map[string]bool
}

// listener hears what is logged of one unit.
type listener struct {
	acks *acknowledgements
	unit string
}

func (l listener) Enabled(context.Context, slog.Level) bool { return true }
func (l listener) WithGroup(string) slog.Handler            { return l }

func (l listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "unit" {
			l.unit = a.Value.String()
		}
	}
	return l
}

func (l listener) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "committed" {
		l.acks.mu.Lock()
		defer l.acks.mu.Unlock()
		l.acks.at = append(l.acks.at, time.Now())
		l.acks.units[l.unit] = true
	}
	return nil
}

// count is how many deliveries were acknowledged, and of how many units: one that
// was made twice is acknowledged twice.
func (a *acknowledgements) count() (deliveries, units int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at), len(a.units)
}

// after reports whether anything was acknowledged after a moment.
func (a *acknowledgements) after(t time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at) > 0 && a.at[len(a.at)-1].After(t)
}

// gap is how long after a moment the longest silence since then ended.
func (a *acknowledgements) gap(since time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, longest, end := since, time.Duration(0), since
	for _, t := range a.at {
		if t.Before(since) {
			continue
		}
		if t.Sub(last) > longest {
			longest, end = t.Sub(last), t
		}
		last = t
	}
	return end.Sub(since)
}

// slow is a generator whose units take a while.
type slow struct{ payload int }

func (slow) Describe() loop.Generator { return maker }

func (g slow) Make(ctx context.Context, work gpuworker.Work, emit func(uint64, []loop.Member) error) error {
	select {
	case <-time.After(failoverUnit):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, s := range work.Samples {
		content := make([]byte, g.payload)
		copy(content, s.Name.Key())
		if err := emit(s.Name.Index, []loop.Member{{Ext: "bin", Bytes: content}}); err != nil {
			return err
		}
	}
	return nil
}
