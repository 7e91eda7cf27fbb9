package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"hone/loop"
)

// Options say which program is run, and how.
type Options struct {
	// Name is what campaigns call the generator or gate.
	Name string
	// Command is run by /bin/sh in the working directory of this process.
	Command string
	// Dir is where units have their directories, each of its own while it is
	// made: a place that holds a unit's bytes. Programs and processes may share
	// it. It is created if missing.
	Dir string
	// Processes is how many run at once, at most: one is started when there is
	// work and none that is idle, and kept. Default 1.
	Processes int
	// StartTimeout is how long a process may take to describe itself, UnitTimeout
	// how long it may take for a unit or a judgement. Defaults 5 and 10 min.
	StartTimeout, UnitTimeout time.Duration
	// Logger defaults to one that discards.
	Logger *slog.Logger

	// grace is how long a program has to end by itself, before each signal.
	grace time.Duration
}

// Pauses before a program that has failed is started again.
const (
	minPause = 100 * time.Millisecond
	maxPause = 30 * time.Second
)

// linger is how long a process may go on with what nobody waits for any more, so
// as to be kept; loading it again may take minutes.
const linger = 5 * time.Second

var errClosed = errors.New("the program is being stopped")

// pool keeps the processes of one program.
type pool struct {
	o       Options
	keeper  *keeper
	scratch *scratch
	// described is what the first process said. All others have to say the same:
	// it is what the samples are recorded under.
	described *description
	turns     chan struct{}
	// life ends when the pool is closed.
	life context.Context
	end  context.CancelCauseFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	idle   []*process // the one that was used last is taken first
	pause  time.Duration
	ready  time.Time // when the next process may be started
	stray  *Breach   // the first of a process that was idle
}

// openPool starts the first process of a program, and returns when it has
// described itself.
func openPool(ctx context.Context, o Options) (*pool, error) {
	o.Processes = cmp.Or(o.Processes, 1)
	o.StartTimeout = cmp.Or(o.StartTimeout, 5*time.Minute)
	o.UnitTimeout = cmp.Or(o.UnitTimeout, 10*time.Minute)
	o.grace = cmp.Or(o.grace, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("program", o.Name)
	switch {
	case !loop.ValidName(o.Name):
		return nil, &loop.Error{Field: "name", Problem: fmt.Sprintf("%q is not a name", o.Name), Remedy: "a letter, then up to 62 letters, digits, '_', '.' or '-'"}
	case o.Command == "":
		return nil, &loop.Error{Field: "command", Problem: "there is no command to run"}
	case o.Processes < 1 || o.StartTimeout < 0 || o.UnitTimeout < 0:
		return nil, &loop.Error{Field: "options", Problem: "a number is negative"}
	}
	scratch, err := openScratch(o.Dir)
	if err != nil {
		return nil, err
	}
	keeper, err := startKeeper()
	if err != nil {
		return nil, errors.Join(err, scratch.close())
	}
	p := &pool{o: o, keeper: keeper, scratch: scratch, turns: make(chan struct{}, o.Processes)}
	p.life, p.end = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := p.use(ctx, func(context.Context, *process, string) error { return nil }); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// close stops all processes and removes their directories. Who uses one hears of
// it; nothing is left when close returns.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	p.end(errClosed)
	for _, process := range idle {
		p.wg.Go(func() {
			if take(process) {
				process.stop()
			}
		})
	}
	p.wg.Wait()
	p.keeper.close()
	return p.scratch.close()
}

// use has talk converse with a process about one unit, which has a directory. A
// breach of talk ends the process, but for RuleMade. After another error, or
// when ctx ends, use returns at once, and the process is kept if it comes to the
// end of the unit soon.
func (p *pool) use(ctx context.Context, talk func(ctx context.Context, process *process, dir string) error) (err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return errClosed
	}
	p.wg.Add(1)
	p.mu.Unlock()
	handed := false // to who waits for the process
	defer func() {
		if !handed {
			p.wg.Done()
		}
	}()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.life, func() { cancel(context.Cause(p.life)) })()
	select {
	case p.turns <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() {
		if !handed {
			<-p.turns
		}
	}()
	process, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	dir, err := p.scratch.unit()
	if err != nil {
		p.release(process)
		return fmt.Errorf("a unit's directory: %w", err)
	}
	timed, done := context.WithTimeoutCause(ctx, p.o.UnitTimeout, &Breach{Rule: RuleTime,
		Expected: fmt.Sprintf("the unit within %v", p.o.UnitTimeout), Got: "no end of it",
		Remedy: "ask for smaller units, or allow more by --unit-timeout"})
	err = talk(timed, process, dir)
	done()
	breach, broken := errors.AsType[*Breach](err)
	switch {
	case err == nil || broken && breach.Rule == RuleMade:
		p.succeeded()
		p.release(process)
	case broken:
		p.discard(process, breach)
	case !process.busy:
		p.release(process)
	default:
		handed = true
		go func() {
			defer p.wg.Done()
			defer func() { <-p.turns }()
			p.finish(process)
			p.remove(dir)
		}()
		return err
	}
	p.remove(dir)
	return err
}

func (p *pool) remove(dir string) {
	if err := removeAll(dir); err != nil {
		p.o.Logger.Warn("a unit's directory was not removed", "error", err)
	}
}

// acquire takes an idle process, or starts one.
func (p *pool) acquire(ctx context.Context) (*process, error) {
	for {
		p.mu.Lock()
		var idle *process
		if n := len(p.idle); n > 0 {
			idle, p.idle = p.idle[n-1], p.idle[:n-1]
		}
		pause := time.Until(p.ready)
		p.mu.Unlock()
		if idle == nil {
			if err := wait(ctx, pause); err != nil {
				return nil, err
			}
			return p.start(ctx)
		}
		if take(idle) {
			return idle, nil
		}
	}
}

// take takes a process from whoever watches it while it is idle.
func take(process *process) bool {
	select {
	case process.taken <- struct{}{}:
		return true
	case <-process.lost:
		return false
	}
}

// release keeps a process for the next unit.
func (p *pool) release(process *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.wg.Go(func() { process.stop() })
		return
	}
	p.idle = append(p.idle, process)
	process.lost = make(chan struct{})
	p.wg.Go(func() { p.watch(process) })
}

// strayed is what a process first did wrong while it was idle, if one has.
func (p *pool) strayed() *Breach {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stray
}

// watch waits until an idle process is taken, and ends one that ends or speaks.
func (p *pool) watch(process *process) {
	var breach *Breach
	select {
	case <-process.taken:
		return
	case l, ok := <-process.lines:
		if ok {
			breach = &Breach{Rule: RuleMessages, Expected: "no line before the next unit", Got: shown(l),
				Remedy: "standard output is for the protocol alone; print everything else to standard error"}
		} else if breach, ok = errors.AsType[*Breach](process.silence("that it waits for the next unit")); !ok {
			breach = &Breach{Rule: RuleAlive}
		}
	}
	p.mu.Lock()
	for i, other := range p.idle {
		if other == process {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	p.mu.Unlock()
	close(process.lost)
	p.discard(process, breach)
	p.mu.Lock()
	p.stray = cmp.Or(p.stray, breach)
	p.mu.Unlock()
	p.o.Logger.Warn("the program failed while it was idle", "problem", breach)
}

// finish waits for the end of a unit that nobody wants any more.
func (p *pool) finish(process *process) {
	ctx, cancel := context.WithTimeout(p.life, linger)
	defer cancel()
	for {
		kind, err := process.next(ctx, map[string]any{"sample": new(sample), "verdict": new(verdict), "done": new(done), "failed": new(failed)})
		switch {
		case p.life.Err() != nil:
			process.stop()
			return
		case err != nil:
			process.kill()
			return
		case kind == "done" || kind == "failed":
			p.release(process)
			return
		}
	}
}

// start starts a process and has it describe itself.
func (p *pool) start(ctx context.Context) (*process, error) {
	process, err := start(p.o.Command, p.o.grace, p.keeper, p.o.Logger)
	if err != nil {
		p.failed()
		return nil, err
	}
	d, err := p.ask(ctx, process)
	if breach, ok := errors.AsType[*Breach](err); ok {
		p.discard(process, breach)
		return nil, breach
	}
	if err != nil {
		// It may be loading for minutes yet, for nobody.
		process.kill()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.described == nil {
		p.described = d
	}
	p.o.Logger.Info("the program has started", "pid", process.cmd.Process.Pid, "version", d.Version)
	return process, nil
}

// ask has a process describe itself.
func (p *pool) ask(ctx context.Context, process *process) (*description, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.o.StartTimeout, &Breach{Rule: RuleTime,
		Expected: fmt.Sprintf("a description within %v", p.o.StartTimeout), Got: "none",
		Remedy: "answer \"describe\" when everything is loaded, or allow more by --start-timeout"})
	defer cancel()
	l, err := line(describe{Type: "describe", Protocol: Protocol})
	if err != nil {
		return nil, err
	}
	process.send(l)
	d, gave := new(description), new(failed)
	kind, err := process.next(ctx, map[string]any{"description": d, "failed": gave})
	if err != nil {
		return nil, err
	}
	if kind == "failed" {
		return nil, &Breach{Rule: RuleDescription, Expected: "a description", Got: fmt.Sprintf("the answer that it failed: %s", gave.Error)}
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.described != nil && !reflect.DeepEqual(d, p.described) {
		return nil, &Breach{Rule: RuleDescription, Expected: fmt.Sprintf("the description it began with, %+v", *p.described),
			Got: fmt.Sprintf("%+v", *d), Remedy: "start Hone's process again to run the new version"}
	}
	return d, nil
}

// discard ends a process that has failed, and completes the breach by its last
// words.
func (p *pool) discard(process *process, breach *Breach) {
	process.kill()
	breach.Last = process.words.end()
	p.failed()
}

// failed makes the next process wait. Those that fail together count once.
func (p *pool) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.After(p.ready) {
		p.pause = min(max(2*p.pause, minPause), maxPause)
		p.ready = now.Add(p.pause)
	}
}

func (p *pool) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pause = 0
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
