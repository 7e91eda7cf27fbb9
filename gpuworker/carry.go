package gpuworker

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	faults "hone/fault"
	"hone/loop"
)

// kind is what was answered to a delivery.
type kind int

const (
	staged kind = iota
	committed
	again
	refused
	later
)

// reply is one answer to a delivery.
type reply struct {
	link     *link
	kind     kind
	problem  string
	standing *standing
}

// held is a unit that is made and waits for its verdict. It lies on the shelf.
type held struct {
	delivery loop.Delivery
	dir      string
	size     int64
	answers  chan reply
	// next is a new lease of the same unit, in case this delivery is lost; it is
	// the agent's lock's.
	next *task
}

// carry stages and delivers a unit, over as many connections as it takes, until
// the last word about it has been said (C9). What was staged over an earlier
// connection is staged again: the server may have lost it.
func (a *Agent) carry(h *held) {
	u := h.delivery.Unit
	log := a.o.Logger.With("unit", u.ID())
	pause := backoff{min: a.o.MinBackoff, max: a.o.MaxBackoff}
	rows, err := encodeRows(h.delivery.Samples)
	if err != nil {
		a.forget(h)
		a.giveBack(u, err)
		return
	}
	wire := &delivery{Worker: a.o.Name, Unit: wireUnit(u), Generator: wireGenerator(h.delivery.Generator),
		Millis: h.delivery.Millis, Rows: rows}
	for {
		l := a.await()
		if l == nil {
			return
		}
		if wire.Bundle, err = a.bring(l, h); err != nil {
			switch {
			case a.life.Err() != nil:
				return
			case l.socket.ctx.Err() != nil:
				continue // it is staged with whoever leads next
			case isRefusal(err):
				a.forget(h)
				a.giveBack(u, fmt.Errorf("stage: %w", err))
				return
			}
			log.Warn("not staged; trying again", "error", err)
			if !pause.wait(a.life) {
				return
			}
			continue
		}
		if l.socket.send(a.life, frame{Delivery: wire}) != nil {
			continue
		}
		r, ok := a.reply(l, h)
		if !ok {
			continue
		}
		switch r.kind {
		case committed:
			log.Debug("committed", "standing", r.standing)
			faults.Record("verdict", 0, []byte(u.ID()))
			a.settle(h)
			return
		case again:
			log.Info("the bytes are gone; the unit is forgotten")
			a.settle(h)
			return
		case refused:
			log.Error("the delivery was refused", "problem", r.problem)
			a.settle(h)
			return
		case staged, later:
			log.Debug("delivering again", "problem", r.problem)
			if !pause.wait(a.life) {
				return
			}
		}
	}
}

// reply waits for the last answer to a delivery over a link; ok is false if the
// link ends first, or the agent.
func (a *Agent) reply(l *link, h *held) (r reply, ok bool) {
	for {
		select {
		case r = <-h.answers:
		case <-l.socket.ctx.Done():
			// What was read before the end still counts.
			select {
			case r = <-h.answers:
			default:
				return reply{}, false
			}
		case <-a.life.Done():
			return reply{}, false
		}
		// "Later" of an earlier link says nothing about this delivery; a verdict
		// is one, whoever brings it.
		if r.kind == staged || r.kind == later && r.link != l {
			continue
		}
		return r, true
	}
}

// await returns the link once it is welcome, or nil when the agent's life ends.
func (a *Agent) await() *link {
	for {
		a.mu.Lock()
		l, news := a.link, a.news
		ready := l != nil && l.welcome && l.socket.ctx.Err() == nil
		a.mu.Unlock()
		if a.life.Err() != nil {
			return nil
		}
		if ready {
			return l
		}
		select {
		case <-news:
		case <-a.life.Done():
			return nil
		}
	}
}

// bring brings a unit's bundle to the server, for as long as the link is there: it
// stages it, or returns a small one, which goes with the delivery.
func (a *Agent) bring(l *link, h *held) (bundle []byte, err error) {
	f, err := h.open()
	if err != nil {
		// The worker's own disk has lost it: nothing to try again.
		return nil, &loop.Error{Field: "bundle", Problem: err.Error()}
	}
	defer f.Close()
	if h.size <= int64(l.small) {
		bundle = make([]byte, h.size)
		if _, err := io.ReadFull(f, bundle); err != nil {
			return nil, &loop.Error{Field: "bundle", Problem: err.Error()}
		}
		return bundle, nil
	}
	ctx, cancel := context.WithCancel(a.life)
	defer cancel()
	defer context.AfterFunc(l.socket.ctx, cancel)()
	if err := a.o.Stage(ctx, h.delivery.Unit, f, h.size); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	return nil, nil
}

// settle forgets a unit that has had its last answer, and makes it once more if
// it has been leased once more.
func (a *Agent) settle(h *held) {
	a.forget(h)
	a.mu.Lock()
	delete(a.held, h.delivery.Unit)
	next := h.next
	a.changed()
	a.ask()
	a.mu.Unlock()
	if next != nil {
		if err := a.accept(*next); err != nil {
			a.giveBack(h.delivery.Unit, err)
		}
	}
}

// forget removes a unit from the shelf. Where that fails the unit is delivered
// again after the next start, which is harmless.
func (a *Agent) forget(h *held) {
	if err := a.shelf.remove(h); err != nil {
		a.o.Logger.Warn("a unit's files were not removed", "unit", h.delivery.Unit.ID(), "error", err)
	}
}

// backoff is a pause that grows.
type backoff struct{ min, max, bound time.Duration }

func (b *backoff) reset() { b.bound = 0 }

// wait pauses between half and all of the bound, which then doubles; it is
// false if ctx has ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.bound = min(max(2*b.bound, b.min), b.max)
	half := b.bound / 2
	t := time.NewTimer(half + rand.N(half+1))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
