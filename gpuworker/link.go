package gpuworker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hone/loop"
)

// maxDefinition bounds a definition, all its pieces together.
const maxDefinition = 256 << 20

// link is one connection as the agent sees it.
type link struct {
	agent  *Agent
	server string
	socket *socket
	// welcome and credit, the units asked for and not leased yet, are the agent's
	// lock's.
	welcome bool
	credit  int
	// small is the most bytes of a bundle that comes in its delivery.
	small int

	known recent[*expander]
	parts []byte   // of the definition that is arriving
	of    roundKey // whose parts they are
}

// expander turns the units of a round into work.
type expander struct {
	definition loop.Definition
	once       sync.Once
	sampler    *loop.Sampler
	err        error
}

func (e *expander) work(u loop.Unit) (Work, error) {
	e.once.Do(func() { e.sampler, e.err = loop.NewSampler(&e.definition.Space, &e.definition.Round) })
	if e.err != nil {
		return Work{}, fmt.Errorf("round %d of %s: %w", u.Round, u.Campaign, e.err)
	}
	w := Work{Unit: u, Space: &e.definition.Space, Seed: e.definition.Seed, Samples: make([]Sample, u.Count)}
	for i := range w.Samples {
		name := u.Name(i)
		scenario, err := e.sampler.Scenario(name.Domain, name.Component, name.Index)
		if err != nil {
			return Work{}, fmt.Errorf("sample %s: %w", name.Key(), err)
		}
		w.Samples[i] = Sample{Name: name, Scenario: scenario, Seed: loop.SampleSeed(e.definition.Seed, name)}
	}
	return w, nil
}

// warnAgain is how often a worker says that it still meets no server.
const warnAgain = time.Minute

// maxReconnect is the longest pause between attempts to connect. A new leader
// waits two seconds, no longer, to hear from the workers of the one before it what
// they are making (C2).
const maxReconnect = time.Second

// stayConnected connects, again and again, until the agent's life ends.
func (a *Agent) stayConnected() {
	pause := backoff{min: a.o.MinBackoff, max: min(a.o.MaxBackoff, maxReconnect)}
	var warned time.Time // each attempt fails in another way, and one warning is enough for a while
	for {
		began := time.Now()
		err := a.connect()
		if f, ok := errors.AsType[*fault](err); ok && f.Final {
			a.fail(fmt.Errorf("%s refuses this worker: %w", a.client.Servers,
				&loop.Error{Field: f.Field, Problem: f.Problem, Remedy: f.Remedy}))
			return
		}
		if a.life.Err() != nil {
			return
		}
		if time.Since(began) > maxReconnect || errors.Is(err, errMoved) {
			pause.reset() // it was a good connection, or it is known where there is one
			warned = time.Time{}
		}
		level := slog.LevelInfo
		if time.Since(warned) >= warnAgain {
			level, warned = slog.LevelWarn, time.Now()
		}
		a.o.Logger.Log(a.life, level, "not connected; trying again", "server", a.client.Servers.String(), "error", err)
		if !pause.wait(a.life) {
			return
		}
	}
}

// connect is one connection from beginning to end; it says why it has ended.
func (a *Agent) connect() error {
	o, err := a.dial()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer o.close()
	l := &link{agent: a, server: o.server, socket: newSocket(o.conn, paceOf(0, a.o.PingEvery, a.o.PongWithin, a.o.WriteWithin))}
	l.socket.heard = o.vigil.Heard
	defer func() { <-l.socket.closed }()
	defer context.AfterFunc(o.over, func() { l.socket.end(context.Cause(o.over)) })()

	// From here on, whatever is given back is given back on this link: the hello
	// names it, or a lease of this link does.
	a.mu.Lock()
	a.link = l
	l.socket.post(frame{Hello: a.hello(a.shelf.instance)})
	a.mu.Unlock()

	err = l.listen()
	l.socket.end(err)
	a.mu.Lock()
	a.link = nil
	a.changed()
	a.mu.Unlock()
	a.client.Servers.Failed(l.server)
	if _, ok := errors.AsType[*fault](err); ok {
		return err
	}
	return context.Cause(l.socket.ctx)
}

func (l *link) listen() error {
	for {
		f, err := l.socket.read(maxFrame)
		if err != nil {
			return err
		}
		switch {
		case f.Welcome != nil:
			l.welcomed(f.Welcome)
		case f.Definition != nil:
			err = l.define(f.Definition)
		case f.Lease != nil:
			err = l.leased(f.Lease.Leases)
		case f.Staged != nil:
			err = l.answer(f.Staged, staged)
		case f.Committed != nil:
			err = l.answer(f.Committed, committed)
		case f.Again != nil:
			err = l.answer(f.Again, again)
		case f.Refused != nil:
			err = l.answer(f.Refused, refused)
		case f.Later != nil:
			err = l.answer(f.Later, later)
		case f.Bye != nil:
			l.agent.o.Logger.Info("the server is stopping")
		case f.Error != nil:
			err = f.Error
		default:
			err = &loop.Error{Problem: "a frame that a hub does not send"}
		}
		if err != nil {
			return err
		}
	}
}

func (l *link) welcomed(g *greeting) {
	a := l.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	l.welcome, l.small = true, g.Small
	a.o.Logger.Info("connected", "server", l.server, "holds", len(a.held)+len(a.busy))
	if a.draining {
		l.socket.post(frame{Drain: new(struct{})})
	}
	a.changed()
	a.ask()
}

func (l *link) define(d *definition) error {
	key := roundKey{d.Campaign, d.Round}
	if len(l.parts) > 0 && key != l.of {
		return &loop.Error{Field: "definition", Problem: "pieces of two definitions are mixed"}
	}
	l.of = key
	if l.parts = append(l.parts, d.JSON...); len(l.parts) > maxDefinition {
		return &loop.Error{Field: "definition", Problem: fmt.Sprintf("more than %d bytes", maxDefinition)}
	}
	if !d.Last {
		return nil
	}
	e := new(expander)
	if err := json.Unmarshal(l.parts, &e.definition); err != nil {
		return fmt.Errorf("definition of %s round %d: %w", key.campaign, key.round, err)
	}
	l.parts = nil
	if e.definition.Campaign != key.campaign || e.definition.Round.Number != key.round {
		return &loop.Error{Field: "definition", Problem: fmt.Sprintf("round %d of %q came as round %d of %q",
			e.definition.Round.Number, clip(e.definition.Campaign), key.round, clip(key.campaign))}
	}
	l.known.put(key, e)
	return nil
}

// leased takes leases in.
func (l *link) leased(leases []lease) error {
	a := l.agent
	for _, wire := range leases {
		u, err := wire.Unit.loop()
		if err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		t := task{unit: u}
		var problem error
		if t.generator = a.generators[wire.Generator]; t.generator == nil {
			problem = fmt.Errorf("this worker has no generator %q", clip(wire.Generator))
		} else if t.expander, _ = l.known.get(roundKey{u.Campaign, u.Round}); t.expander == nil {
			problem = errors.New("the round has not been defined")
		}
		a.mu.Lock()
		l.credit = max(0, l.credit-1)
		a.mu.Unlock()
		if problem == nil {
			problem = a.accept(t)
		}
		if problem != nil {
			a.giveBack(u, problem)
		}
	}
	a.mu.Lock()
	a.ask()
	a.mu.Unlock()
	return nil
}

// accept queues a task. What the worker is making, or has made, already is not
// made twice: its delivery comes.
func (a *Agent) accept(t task) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.held[t.unit]; h != nil {
		// Unless its bytes turn out to be lost: "again" may still be on its way.
		h.next = &t
		return nil
	}
	if a.busy[t.unit] || a.draining {
		return nil
	}
	select {
	case a.tasks <- t:
		a.busy[t.unit] = true
		return nil
	default:
		return errors.New("there is no room for it")
	}
}

// answer passes what was said of a unit to whoever carries it.
func (l *link) answer(wire *answer, k kind) error {
	u, err := wire.Unit.loop()
	if err != nil {
		return err
	}
	l.agent.mu.Lock()
	h := l.agent.held[u]
	l.agent.mu.Unlock()
	if h == nil {
		return nil // answered before, on a connection that was lost
	}
	select {
	case h.answers <- reply{link: l, kind: k, problem: wire.Problem, standing: wire.Standing}:
		return nil
	default:
		return &loop.Error{Field: "unit", Problem: fmt.Sprintf("more answers about %s than it was delivered for", u.ID())}
	}
}
