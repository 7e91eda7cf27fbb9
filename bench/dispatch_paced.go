package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pacedPart asks for so many units a second, evenly, and measures how long each
// takes to come: from the asking, so that the way to the leader is in it, too.
type pacedPart struct{}

func (pacedPart) name() string { return "gate" }

// pacedWorkers share the rate.
const pacedWorkers = 16

func (p pacedPart) run(ctx context.Context, o *dispatchOptions) (measures []measure, err error) {
	for _, of := range o.cycles {
		found, err := p.cycle(ctx, o, of)
		measures = append(measures, found...)
		if err != nil {
			return measures, fmt.Errorf("%s: %w", of, err)
		}
	}
	return measures, nil
}

func (p pacedPart) cycle(ctx context.Context, o *dispatchOptions, of cycle) (_ []measure, err error) {
	cluster, err := o.start(ctx, of)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.stop()) }()
	if err := cluster.work(ctx, o.unit); err != nil {
		return nil, err
	}
	crowd, err := o.gather(ctx, cluster, pacedWorkers, min(o.rate, 1024), false)
	if err != nil {
		return nil, err
	}
	defer crowd.leave()
	if err := crowd.paced(o.rate, warmFor); err != nil {
		return nil, err
	}
	before, err := cluster.used()
	if err != nil {
		return nil, err
	}
	crowd.tally.begin()
	if err := crowd.paced(o.rate, o.seconds); err != nil {
		return nil, err
	}
	got := crowd.tally.end()
	after, err := cluster.used()
	if err != nil {
		return nil, err
	}
	name := "gate/" + string(of)
	reached := float64(got.committed) / got.seconds
	measures := []measure{measure{Name: name + "/units", Value: reached, Unit: "units/s", Note: o.unitNote(of)}.
		goal(reached >= .99*float64(o.rate), "%d, sustained for %v", o.rate, o.seconds),
		{Name: name + "/samples", Value: reached * float64(o.unit), Unit: "samples/s"},
		{Name: name + "/lost", Value: float64(got.lost + got.later), Unit: "units"}}
	for _, m := range quantiles(name+"/start", got.starts) {
		if m.Name == name+"/start/p99" {
			m = m.goal(m.Value <= 5, "<= 5 ms")
			m.Note = "from when the worker asked until it had the lease"
		}
		measures = append(measures, m)
	}
	measures = append(measures, quantiles(name+"/commit", got.cycles)...)
	return append(measures, cluster.shares(name, before, after, got.seconds, true)...), nil
}

// warmFor is how long a crowd works before anything is counted.
const warmFor = 3 * time.Second

// paced asks for units at a rate, for so long.
func (c *crowd) paced(rate int, d time.Duration) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	asked, began := 0, time.Now()
	for {
		since := time.Since(began)
		for due := int(min(since, d).Seconds() * float64(rate)); asked < due; asked++ {
			c.workers[asked%len(c.workers)].ask(1)
		}
		if since >= d {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
}

func (o *dispatchOptions) unitNote(of cycle) string {
	moved := "samples' bytes come with the delivery, or are staged over HTTP where a unit has more than 64 KiB; they are hashed, judged by no gate, and packed; each node keeps a DuckDB view"
	if of == core {
		moved = "samples' bytes are not moved; their rows are written to a part, and the part's reference is committed"
	}
	return fmt.Sprintf("a unit is %d samples of %d bytes; %s; packs, parts and the logs of three nodes are synced before a unit is acknowledged", o.unit, o.payload, moved)
}

// used is what each node has used.
func (c *cluster) used() ([]usage, error) {
	var all []usage
	for _, n := range c.nodes {
		u, err := n.used()
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// shares are the shares of one core that the nodes used: the busiest, which is the
// leader, and all together.
func (c *cluster) shares(name string, before, after []usage, seconds float64, held bool) []measure {
	most, sum := 0.0, 0.0
	for i := range before {
		share := (after[i].cpu - before[i].cpu).Seconds() / seconds * 100
		most, sum = max(most, share), sum+share
	}
	leader := measure{Name: name + "/cpu/leader", Value: most, Unit: "% of a core"}
	if held {
		leader = leader.goal(most < 20, "< 20")
	}
	return []measure{leader, {Name: name + "/cpu/nodes", Value: sum, Unit: "% of a core", Note: "of all three nodes"}}
}
