package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idlePart measures what workers cost that wait for work.
type idlePart struct{}

func (idlePart) name() string { return "idle" }

func (idlePart) run(ctx context.Context, o *dispatchOptions) (measures []measure, err error) {
	for _, of := range o.cycles {
		found, err := o.idleness(ctx, of)
		measures = append(measures, found...)
		if err != nil {
			return measures, fmt.Errorf("%s: %w", of, err)
		}
	}
	return measures, nil
}

func (o *dispatchOptions) idleness(ctx context.Context, of cycle) (_ []measure, err error) {
	cluster, err := o.start(ctx, of)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.stop()) }()
	leader, err := cluster.leader(ctx)
	if err != nil {
		return nil, err
	}
	empty, err := leader.used()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	crowd, err := o.gather(ctx, cluster, o.idle, 1, false)
	if err != nil {
		return nil, err
	}
	defer crowd.leave()
	for _, w := range crowd.workers {
		w.ask(1)
	}
	took := time.Since(began)
	if err := crowd.pass(o.idleFor); err != nil {
		return nil, err
	}
	before, err := leader.used()
	if err != nil {
		return nil, err
	}
	if err := crowd.pass(o.idleFor); err != nil {
		return nil, err
	}
	after, err := leader.used()
	if err != nil {
		return nil, err
	}
	const mebi = 1 << 20
	name := "idle/" + string(of)
	resident := float64(after.resident) / mebi
	return []measure{
		{Name: name + "/workers", Value: float64(o.idle), Unit: "workers", Note: fmt.Sprintf("connected within %v; each has asked for a unit", took.Round(time.Second/10))},
		measure{Name: name + "/memory", Value: resident, Unit: "MiB", Note: "resident, of the leader's process; its client is another one"}.
			against(float64(empty.resident)/mebi).goal(resident <= 200, "<= 200"),
		{Name: name + "/each", Value: float64(after.resident-empty.resident) / 1024 / float64(o.idle), Unit: "KiB per worker"},
		{Name: name + "/cpu", Value: (after.cpu - before.cpu).Seconds() / o.idleFor.Seconds() * 100, Unit: "% of a core"},
	}, nil
}
