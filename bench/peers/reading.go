package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// options are those of one reading.
type options struct {
	dir                                string
	connections, window, payload, rate int
	seconds                            time.Duration
}

// kind is a peer in one of its settings.
type kind struct {
	name string
	// durable says what has happened to a job's end when it counts here.
	durable string
	// missing is what is not installed.
	missing func() error
	start   func(ctx context.Context, o *options) (queue, error)
}

// queue is a server that runs, and its clients.
type queue interface {
	// put puts jobs in, in batches as the queue has them, and returns when they are
	// as durable as the setting makes them.
	put(ctx context.Context, jobs [][]byte) error
	// work hands each job to started, and calls done when its end is confirmed. It
	// returns when the clients work; they stop with ctx.
	work(ctx context.Context, o *options, started func(job []byte), done func()) error
	stop() error
}

// batch is how many jobs are put in at a time, by each of so many producers.
const (
	batch     = 200
	producers = 8
)

var peers = []kind{
	{"nats-double", "page cache, synced every 2 minutes; the acknowledgement is confirmed", nothing, natsKind(false, true)},
	{"nats-ack", "page cache, synced every 2 minutes; the acknowledgement is sent, and not waited for", nothing, natsKind(false, false)},
	{"nats-sync-double", "each write is synced; the acknowledgement is confirmed", nothing, natsKind(true, true)},
	{"asynq-everysec", "Redis: synced every second", installed("redis-server"), asynqKind("everysec")},
	{"asynq-always", "Redis: synced before each answer", installed("redis-server"), asynqKind("always")},
	{"river", "PostgreSQL: synced at each commit; ends are committed in batches, after the work has returned", installed("postgres", "initdb"), startRiver},
}

func nothing() error { return nil }

func installed(programs ...string) func() error {
	return func() error {
		for _, p := range programs {
			if _, err := exec.LookPath(p); err != nil {
				return fmt.Errorf("%s is not installed: the README says how it is", p)
			}
		}
		return nil
	}
}

// read puts jobs in for a while, then has them worked off for as long, and last, at
// a rate, measures how soon jobs are started.
func read(ctx context.Context, k *kind, o *options) (_ []measure, err error) {
	q, err := k.start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.stop()) }()
	in, took, err := fill(ctx, q, o)
	if err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}

	working, rest := context.WithCancel(ctx)
	defer rest()
	t := &tally{want: in, all: make(chan struct{})}
	if err := q.work(working, o, t.started, t.done); err != nil {
		return nil, fmt.Errorf("work: %w", err)
	}
	select {
	case <-t.all:
	case <-time.After(o.seconds):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ended, within := t.since()
	name := fmt.Sprintf("peak/%s/%d", k.name, o.connections)
	measures := []measure{
		{Name: name + "/units", Value: float64(ended) / within.Seconds(), Unit: "units/s", Note: k.durable},
		{Name: name + "/put", Value: float64(in) / took.Seconds(), Unit: "jobs/s"},
		{Name: name + "/window", Value: float64(o.window), Unit: "units out"},
	}
	if o.rate > 0 {
		select { // what is left over would stand before what is measured
		case <-t.all:
		case <-time.After(10 * o.seconds):
			return measures, errors.New("the jobs were not worked off in time")
		}
		t.paced()
		if err := pace(ctx, q, o); err != nil {
			return measures, fmt.Errorf("put: %w", err)
		}
		measures = append(measures, quantiles(name+"/start", t.starts())...)
	}
	return measures, nil
}

// fill puts jobs in for o.seconds.
func fill(ctx context.Context, q queue, o *options) (jobs int, took time.Duration, err error) {
	began := time.Now()
	var lock sync.Mutex
	var group sync.WaitGroup
	for range producers {
		group.Go(func() {
			for time.Since(began) < o.seconds && ctx.Err() == nil {
				e := q.put(ctx, fresh(batch, o.payload))
				lock.Lock()
				if jobs, err = jobs+batch, errors.Join(err, e); err != nil {
					lock.Unlock()
					return
				}
				lock.Unlock()
			}
		})
	}
	group.Wait()
	return jobs, time.Since(began), errors.Join(err, ctx.Err())
}

// pace puts jobs in one by one, evenly.
func pace(ctx context.Context, q queue, o *options) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var group sync.WaitGroup
	var lock sync.Mutex
	var failed error
	for put, began := 0, time.Now(); time.Since(began) < o.seconds; {
		for due := int(time.Since(began).Seconds() * float64(o.rate)); put < due; put++ {
			group.Go(func() {
				if err := q.put(ctx, fresh(1, o.payload)); err != nil {
					lock.Lock()
					failed = errors.Join(failed, err)
					lock.Unlock()
				}
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	group.Wait()
	time.Sleep(time.Second) // for the last ones to be started
	return failed
}

// fresh are jobs that begin with the time at which they were made.
func fresh(n, payload int) [][]byte {
	jobs := make([][]byte, n)
	for i := range jobs {
		jobs[i] = make([]byte, payload)
		binary.LittleEndian.PutUint64(jobs[i], uint64(time.Now().UnixNano()))
	}
	return jobs
}

// tally counts the jobs that have come to their end.
type tally struct {
	want int
	all  chan struct{} // closed when all have

	mu          sync.Mutex
	ended       int
	first, last time.Time
	pacing      bool
	after       []time.Duration
}

func (t *tally) started(job []byte) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first.IsZero() {
		t.first = now
	}
	if t.pacing {
		t.after = append(t.after, now.Sub(time.Unix(0, int64(binary.LittleEndian.Uint64(job)))))
	}
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended++
	t.last = time.Now()
	if t.ended == t.want {
		close(t.all)
	}
}

// since is how many have ended, within how long from the start of the first one.
func (t *tally) since() (int, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended, max(t.last.Sub(t.first), time.Microsecond)
}

func (t *tally) paced() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pacing = true
}

func (t *tally) starts() []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.after)
}

// quantiles are the median and the 99th percentile, by nearest rank.
func quantiles(name string, taken []time.Duration) []measure {
	if len(taken) == 0 {
		return nil
	}
	slices.Sort(taken)
	line := func(what string, at float64) measure {
		return measure{Name: name + "/" + what, Value: taken[int(math.Ceil(at*float64(len(taken))))-1].Seconds() * 1000, Unit: "ms"}
	}
	return []measure{line("p50", .5), line("p99", .99)}
}
