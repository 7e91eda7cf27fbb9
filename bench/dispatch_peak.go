package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// peakPart measures how many units a second go through the whole cycle, in a closed
// loop: a worker asks for a unit whenever one of its own is committed.
type peakPart struct{}

func (peakPart) name() string { return "peak" }

// settleFor is how long a crowd of the peak works before a reading.
const settleFor = 2 * time.Second

// contender is one of those whose peaks are read in turn.
type contender interface {
	name() string
	// read works for so long with so many connections.
	read(ctx context.Context, connections int) (reading, error)
	close() error
}

// reading is one reading of a peak.
type reading struct {
	rate     float64 // units per second
	note     string
	measures []measure
}

func (p peakPart) run(ctx context.Context, o *dispatchOptions) (measures []measure, err error) {
	var all []contender
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.close())
		}
	}()
	for _, of := range o.cycles {
		c, err := o.contend(ctx, of)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	others, err := o.contending(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, others...)
	rates := make(map[string][]float64)
	last := make(map[string]reading)
	var order []string
	for i := range o.repeat {
		for _, connections := range o.connections {
			for _, c := range all {
				cell := fmt.Sprintf("peak/%s/%d", c.name(), connections)
				r, failed := c.read(ctx, connections)
				if failed != nil {
					// The others are worth reading all the same.
					err = errors.Join(err, fmt.Errorf("%s: %w", cell, failed))
					fmt.Fprintf(o.log, "%s: reading %d of %d failed: %v\n", cell, i+1, o.repeat, failed)
					continue
				}
				fmt.Fprintf(o.log, "%s: reading %d of %d, %.0f units/s\n", cell, i+1, o.repeat, r.rate)
				if rates[cell] == nil {
					order = append(order, cell)
				}
				rates[cell], last[cell] = append(rates[cell], r.rate), r
			}
		}
	}
	for _, cell := range order {
		mean, lower, upper := interval(rates[cell])
		measures = append(measures, measure{Name: cell + "/units", Value: mean, Unit: "units/s", Note: last[cell].note}.within(lower, upper))
		measures = append(measures, last[cell].measures...)
	}
	return measures, err
}

// ours is one of our cycles.
type ours struct {
	o       *dispatchOptions
	cluster *cluster
}

func (o *dispatchOptions) contend(ctx context.Context, of cycle) (contender, error) {
	c, err := o.start(ctx, of)
	if err != nil {
		return nil, err
	}
	if err := c.work(ctx, o.unit); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return &ours{o, c}, nil
}

func (u *ours) name() string { return "hone-" + string(u.cluster.cycle) }

func (u *ours) close() error { return u.cluster.stop() }

func (u *ours) read(ctx context.Context, connections int) (r reading, err error) {
	window := max(1, min(200, u.o.window/connections))
	crowd, err := u.o.gather(ctx, u.cluster, connections, window, true)
	if err != nil {
		return r, err
	}
	defer crowd.leave()
	for _, w := range crowd.workers {
		w.ask(window)
	}
	if err := crowd.pass(settleFor); err != nil {
		return r, err
	}
	before, err := u.cluster.used()
	if err != nil {
		return r, err
	}
	entries, err := u.entries(ctx)
	if err != nil {
		return r, err
	}
	crowd.tally.begin()
	if err := crowd.pass(u.o.seconds); err != nil {
		return r, err
	}
	got := crowd.tally.end()
	after, err := u.cluster.used()
	if err != nil {
		return r, err
	}
	then, err := u.entries(ctx)
	if err != nil {
		return r, err
	}
	r.rate, r.note = float64(got.committed)/got.seconds, u.o.unitNote(u.cluster.cycle)
	name := fmt.Sprintf("peak/%s/%d", u.name(), connections)
	r.measures = append(r.measures,
		measure{Name: name + "/samples", Value: r.rate * float64(u.o.unit), Unit: "samples/s"},
		measure{Name: name + "/batch", Value: float64(got.committed) / float64(max(1, then-entries)), Unit: "units per entry"},
		measure{Name: name + "/window", Value: float64(window * connections), Unit: "units out"},
		measure{Name: name + "/lost", Value: float64(got.lost + got.later), Unit: "units"})
	r.measures = append(r.measures, quantiles(name+"/start", got.starts)...)
	r.measures = append(r.measures, quantiles(name+"/commit", got.cycles)...)
	r.measures = append(r.measures, u.cluster.shares(name, before, after, got.seconds, false)...)
	return r, nil
}

// entries is how long the log is.
func (u *ours) entries(ctx context.Context) (uint64, error) {
	leader, err := u.cluster.leader(ctx)
	if err != nil {
		return 0, err
	}
	about, err := u.cluster.node(ctx, leader)
	return about.LastIndex, err
}
