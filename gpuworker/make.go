package gpuworker

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"hone/loop"
)

// task is a unit that waits for a slot.
type task struct {
	unit      loop.Unit
	generator Generator
	expander  *expander
}

// hangs is how long a generator has to return after its context has ended; it
// is left behind then. So many may be left behind, beside one per slot, before
// the worker gives up.
const (
	hangs        = time.Second
	maxAbandoned = 8
)

// slot makes one unit at a time.
func (a *Agent) slot() {
	for {
		select {
		case <-a.life.Done():
			return
		case t := <-a.tasks:
			a.mu.Lock()
			draining := a.draining
			if draining {
				delete(a.busy, t.unit)
				a.changed()
			}
			a.mu.Unlock()
			if draining {
				continue // the hub leases it again when this connection ends
			}
			h, err := a.make(t)
			switch {
			case err == nil:
				a.mu.Lock()
				delete(a.busy, t.unit)
				a.held[t.unit] = h
				a.ask()
				a.mu.Unlock()
				a.wg.Go(func() { a.carry(h) })
			case a.life.Err() != nil:
				return
			default:
				a.giveBack(t.unit, err)
			}
		}
	}
}

// make has the generator make a unit, and puts it on the shelf.
func (a *Agent) make(t task) (*held, error) {
	began := time.Now()
	d, err := a.shelf.draft(t.unit)
	if err != nil {
		return nil, err
	}
	defer d.discard()
	if err := a.generate(t, d); err != nil {
		return nil, err
	}
	delivery := loop.Delivery{Worker: a.o.Name, Unit: t.unit, Generator: t.generator.Describe(),
		Millis: time.Since(began).Milliseconds()}
	return a.shelf.put(d, delivery)
}

// generate runs the generator, which may fail in every way that code can.
func (a *Agent) generate(t task, d *draft) error {
	ctx, cancel := context.WithTimeoutCause(a.life, a.o.UnitTimeout,
		fmt.Errorf("the generator took more than %v", a.o.UnitTimeout))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- guarded(ctx, t, d) }()
	select {
	case err := <-done:
		if err != nil {
			return err
		}
		return d.complete()
	case <-ctx.Done():
	}
	d.close(context.Cause(ctx)) // what it still emits is too late
	timer := time.NewTimer(hangs)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		a.abandon(done)
	}
	return context.Cause(ctx)
}

// abandon leaves a generator that does not return behind, and keeps count.
func (a *Agent) abandon(done chan error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.abandoned++
	if a.abandoned > a.o.Slots+maxAbandoned {
		a.fail(fmt.Errorf("%d calls of generators hang: the process has to be started anew", a.abandoned))
	}
	go func() {
		<-done
		a.mu.Lock()
		a.abandoned--
		a.mu.Unlock()
	}()
}

func guarded(ctx context.Context, t task, d *draft) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the generator panicked: %v\n%s", p, debug.Stack())
		}
	}()
	w, err := t.expander.work(t.unit)
	if err != nil {
		return err
	}
	return t.generator.Make(ctx, w, d.emit)
}
