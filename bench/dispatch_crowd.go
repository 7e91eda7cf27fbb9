package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// crowd is many workers on one server.
type crowd struct {
	server string
	client *http.Client
	// bytes: the workers make what they deliver. closed: they ask for a unit whenever
	// one is committed.
	bytes, closed bool
	payload       int
	rows          *rowStream
	workers       []*worker
	tally         tally
	running       sync.WaitGroup
	// fail ends the crowd.
	fail context.CancelCauseFunc
	ctx  context.Context
}

// tally counts what has happened since it was begun.
type tally struct {
	mu sync.Mutex
	// since is when what counts began; zero while nothing does.
	since                  time.Time
	committed, lost, later uint64
	starts, cycles         []time.Duration
}

// started: a lease has come so long after it was asked for.
func (t *tally) started(now time.Time, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.since.IsZero() && now.Sub(t.since) > after {
		t.starts = append(t.starts, after)
	}
}

func (t *tally) ended(count *uint64, now time.Time, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.since.IsZero() {
		*count++
		t.cycles = append(t.cycles, after)
	}
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since, t.committed, t.lost, t.later, t.starts, t.cycles = time.Now(), 0, 0, 0, nil, nil
}

// counted is what has been counted.
type counted struct {
	seconds                float64
	committed, lost, later uint64
	starts, cycles         []time.Duration
}

func (t *tally) end() counted {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := counted{time.Since(t.since).Seconds(), t.committed, t.lost, t.later, t.starts, t.cycles}
	t.since = time.Time{}
	return c
}

// gather connects a crowd to the leader.
func (o *dispatchOptions) gather(ctx context.Context, c *cluster, connections, slots int, closed bool) (*crowd, error) {
	leader, err := c.leader(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := newRowStream(o.unit)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = 64, 64, 64
	crowd := &crowd{server: leader.url, client: &http.Client{Transport: transport}, bytes: c.cycle == product, closed: closed, payload: o.payload, rows: rows}
	crowd.ctx, crowd.fail = context.WithCancelCause(ctx)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range connections {
		w := &worker{name: fmt.Sprintf("w%d", i), crowd: crowd, delivered: make(map[wireUnit]time.Time)}
		crowd.workers = append(crowd.workers, w)
		group.Go(func() error { return w.connect(crowd.ctx, leader.url, slots) })
	}
	if err := group.Wait(); err != nil {
		crowd.leave()
		return nil, err
	}
	for _, w := range crowd.workers {
		crowd.running.Go(func() {
			if err := w.work(crowd.ctx); err != nil {
				crowd.fail(err)
			}
		})
	}
	return crowd, nil
}

// leave closes all connections.
func (c *crowd) leave() {
	c.fail(context.Canceled)
	c.running.Wait()
	for _, w := range c.workers {
		if w.conn != nil {
			w.conn.Close()
		}
	}
	c.client.CloseIdleConnections()
}

// pass lets time pass, while the crowd is well.
func (c *crowd) pass(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}
