package gpuworker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"hone/api"
	"hone/loop"
)

// AgentOptions configure an agent. Server, Name, Dir and at least one generator
// are required.
type AgentOptions struct {
	// Server is the coordinator's base URL, e.g. "http://127.0.0.1:7070", or those
	// of a cluster's nodes, with commas between them: the worker finds the leader.
	Server string
	// Name is stable over restarts and unique among the fleet: a letter, then up
	// to 62 letters, digits, '_', '.' or '-'.
	Name string
	// Slots is how many units are made at a time. Default 1, at most 1024.
	Slots int
	// Type names the hardware, e.g. "H100". Default "cpu".
	Type string
	// Dir is the worker's own directory (C19): what it has made and has had no
	// verdict on stays there over crashes (C9). It is created if missing, and
	// belongs to one agent at a time.
	Dir        string
	Generators []Generator
	// Stage uploads a unit's bundle. Default: PUT to the leader's
	// /v1/staging/WORKER/UNIT/samples.tar.
	Stage Stage
	// Transport connects to servers, for the socket too: its Proxy, DialContext and
	// TLSClientConfig. Default: a copy of http.DefaultTransport.
	Transport *http.Transport
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// UnitTimeout is how long a generator may take for one unit. Default 10 min.
	UnitTimeout time.Duration
	// Grace is how long a stopping agent goes on finishing what it has begun and
	// delivering what it has made. Default 10 s.
	Grace time.Duration
	// MaxHeld is how many finished units may wait for their verdict before no
	// more work is asked for. Default 32 + 4×Slots, at most 2048.
	MaxHeld int
	// MinBackoff and MaxBackoff bound the pauses between attempts to connect, to
	// stage or to deliver; each is drawn between half and all of a bound that
	// doubles, for connecting up to 1 s at most. Defaults 100 ms and 10 s.
	MinBackoff, MaxBackoff time.Duration
	// PingEvery, PongWithin and WriteWithin are as in HubOptions.
	PingEvery, PongWithin, WriteWithin time.Duration
	// Silence is how long a leader may give no sign of life, before the other
	// servers are asked who leads; only when another one does is it left. It is
	// longer than the hub's BeatEvery. Default 1.5 s.
	Silence time.Duration
}

// Stage puts a unit's bundle into the worker's staging area and returns when it
// is durable there. It may be called again for a unit that is staged already. A
// *loop.Error refuses the bundle for good; after any other error it is tried
// again. Bundle is at its beginning and has size bytes.
type Stage func(ctx context.Context, unit loop.Unit, bundle io.ReadSeeker, size int64) error

// Agent is the worker's end: it asks for work, has generators make it, and keeps
// what it has made until it is committed.
type Agent struct {
	o AgentOptions
	// client asks the servers, which are known to it.
	client     *api.Client
	generators map[string]Generator
	shelf      *shelf
	tasks      chan task
	// wg counts everything that Run has started.
	wg sync.WaitGroup
	// life ends when Run gives up what it has begun; fail ends it with an error
	// that Run returns.
	life context.Context
	fail context.CancelCauseFunc

	mu sync.Mutex
	// link is the connection that has said hello, if there is one.
	link *link
	// busy are the units that wait for a slot or are being made; held are those
	// that are made and wait for their verdict.
	busy      map[loop.Unit]bool
	held      map[loop.Unit]*held
	draining  bool
	abandoned int
	// news is closed, and replaced, whenever one of the above has changed.
	news chan struct{}
}

// errDone ends an agent that has drained.
var errDone = errors.New("the worker has stopped")

// NewAgent checks the options; it starts nothing and touches no file.
func NewAgent(o AgentOptions) (*Agent, error) {
	o.Slots = cmp.Or(o.Slots, 1)
	o.Type = cmp.Or(o.Type, "cpu")
	o.UnitTimeout = cmp.Or(o.UnitTimeout, 10*time.Minute)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.MaxHeld = cmp.Or(o.MaxHeld, 32+4*o.Slots)
	o.MinBackoff = cmp.Or(o.MinBackoff, 100*time.Millisecond)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 10*time.Second)
	o.Silence = cmp.Or(o.Silence, 1500*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	servers, err := api.NewServers(o.Server)
	switch {
	case err != nil:
		return nil, err
	case o.Dir == "":
		return nil, &loop.Error{Field: "dir", Problem: "a worker needs a directory of its own"}
	case o.MaxHeld < 1 || o.MaxHeld > maxHolds/2:
		return nil, &loop.Error{Field: "max_held", Problem: fmt.Sprintf("%d units; 1 to %d are allowed", o.MaxHeld, maxHolds/2)}
	case o.MinBackoff < 0 || o.MaxBackoff < o.MinBackoff || o.UnitTimeout < 0 || o.Grace < 0 || o.Silence < 0:
		return nil, &loop.Error{Field: "backoff", Problem: "a time is negative, or the longest pause shorter than the shortest"}
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport.(*http.Transport).Clone()
		o.Transport.ResponseHeaderTimeout = time.Minute
		// The other nodes are only asked while one leads no more.
		o.Transport.IdleConnTimeout = 10 * time.Second
	}
	client := api.New("")
	client.Servers, client.HTTP, client.Patience = servers, &http.Client{Transport: o.Transport}, 0
	if o.Stage == nil {
		o.Stage = stageOverHTTP(client, o.Name)
	}
	a := &Agent{
		o:          o,
		client:     client,
		generators: make(map[string]Generator),
		tasks:      make(chan task, 2*o.Slots+16),
		busy:       make(map[loop.Unit]bool),
		held:       make(map[loop.Unit]*held),
		news:       make(chan struct{}),
	}
	for _, g := range o.Generators {
		if name := g.Describe().Name; a.generators[name] != nil {
			return nil, &loop.Error{Field: "generators", Problem: fmt.Sprintf("generator %q is there twice", name)}
		}
		a.generators[g.Describe().Name] = g
	}
	// What the hub would refuse is better said here.
	if _, err := a.hello(strings.Repeat("0", 16)).worker(); err != nil {
		return nil, err
	}
	return a, nil
}

// hello is what the agent says of itself. The caller holds the lock, or is the
// only one who knows the agent.
func (a *Agent) hello(instance string) *hello {
	h := &hello{Name: a.o.Name, Instance: instance, Slots: a.o.Slots, Type: a.o.Type}
	for _, g := range a.o.Generators {
		h.Generators = append(h.Generators, wireGenerator(g.Describe()))
	}
	for u := range a.held {
		h.Holds = append(h.Holds, wireUnit(u))
	}
	for u := range a.busy {
		h.Holds = append(h.Holds, wireUnit(u))
	}
	h.Holds = h.Holds[:min(len(h.Holds), maxHolds)]
	return h
}

// Run works until ctx ends and then drains: it takes no more, finishes what it
// has begun and delivers it, for at most Grace, and returns nil. What has no
// verdict by then stays in Dir for the next agent. It connects again by itself
// for ever. It returns an error only where trying again cannot help: the server
// refuses the worker for good, the directory cannot be used, or generators hang
// one after another. A generator that does not return from Make when its context
// ends is left behind; all else has stopped when Run returns. Run is called once.
func (a *Agent) Run(ctx context.Context) error {
	shelf, err := openShelf(a.o.Dir)
	if err != nil {
		return fmt.Errorf("gpuworker: %s: %w", a.o.Dir, err)
	}
	defer shelf.close()
	a.shelf = shelf
	kept, err := shelf.load(a.o.Name, a.o.Logger)
	if err != nil {
		return fmt.Errorf("gpuworker: %s: %w", a.o.Dir, err)
	}
	a.life, a.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, h := range kept {
		a.held[h.delivery.Unit] = h
		a.wg.Go(func() { a.carry(h) })
	}
	if len(kept) > 0 {
		a.o.Logger.Info("units from before are delivered again", "units", len(kept))
	}
	for range a.o.Slots {
		a.wg.Go(a.slot)
	}
	a.wg.Go(a.stayConnected)

	select {
	case <-ctx.Done():
		a.drain()
	case <-a.life.Done():
	}
	a.fail(errDone) // where nothing else was wrong
	a.wg.Wait()
	if cause := context.Cause(a.life); !errors.Is(cause, errDone) {
		return fmt.Errorf("gpuworker: %w", cause)
	}
	return nil
}

// drain takes no more work, and returns when nothing is left, or after Grace.
func (a *Agent) drain() {
	a.mu.Lock()
	a.draining = true
	if a.link != nil {
		a.link.socket.post(frame{Drain: new(struct{})})
	}
	making, waiting := len(a.busy), len(a.held)
	a.mu.Unlock()
	a.o.Logger.Info("draining", "making", making, "waiting", waiting)
	grace := time.NewTimer(a.o.Grace)
	defer grace.Stop()
	for {
		a.mu.Lock()
		done, news := len(a.busy)+len(a.held) == 0, a.news
		a.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-grace.C:
			a.o.Logger.Warn("not everything was delivered in time; it is kept, and delivered at the next start")
			return
		case <-a.life.Done():
			return
		}
	}
}

// changed tells those who wait for news. The caller holds the lock.
func (a *Agent) changed() {
	close(a.news)
	a.news = make(chan struct{})
}

// ask tells the hub of room that it does not know of: a slot's worth each, and
// one unit ahead. The caller holds the lock.
func (a *Agent) ask() {
	l := a.link
	if l == nil || !l.welcome || a.draining || len(a.held) >= a.o.MaxHeld {
		return
	}
	if n := a.o.Slots + 1 - len(a.busy) - l.credit; n > 0 {
		l.credit += n
		l.socket.post(frame{Credit: &credit{n}})
	}
}

// giveBack reports a unit that cannot be made or delivered, and forgets it. With
// no connection there is nothing to report: it will not be announced.
func (a *Agent) giveBack(u loop.Unit, problem error) {
	a.o.Logger.Warn("a unit has failed", "unit", u.ID(), "problem", problem)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.busy, u)
	delete(a.held, u)
	if a.link != nil {
		a.link.socket.post(frame{Failed: &answer{Unit: wireUnit(u), Problem: clip(problem.Error())}})
	}
	a.changed()
	a.ask()
}
