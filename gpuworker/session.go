package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"hone/loop"
)

// maxJudging bounds the deliveries of one worker that are being judged; what
// comes beyond is answered "later".
const maxJudging = 256

// errDrained is why a worker gets no more leases when it said so itself.
var errDrained = errors.New("the worker takes no more")

// session is one worker's connection as the hub sees it.
type session struct {
	hub      *Hub
	socket   *socket
	log      *slog.Logger
	work     context.Context
	instance string
	worker   loop.Worker
	id       string          // the dispatcher's
	term     context.Context // in which it was let in
	// left is closed when the dispatcher knows that the worker is gone.
	left chan struct{}

	// stopFeed ends the handing out of leases, for a reason.
	stopFeed context.CancelCauseFunc

	mu      sync.Mutex
	free    int // credits that are not used up
	judging int
	// mine counts the leases of each unit on this connection, its announcement
	// among them, that have had no answer.
	mine map[loop.Unit]int
	more chan struct{} // free has changed
}

// serve returns when the connection has ended and nothing of it is left but
// deliveries that are being judged.
func (s *session) serve(feed context.Context) {
	var wg sync.WaitGroup
	wg.Go(s.socket.write)
	stop := context.AfterFunc(s.work, func() { s.socket.end(context.Cause(s.work)) })
	defer stop()
	if err := s.greet(feed); err != nil {
		final := isRefusal(err)
		s.log.Warn("refused a worker", "worker", clip(s.worker.Name), "error", err)
		s.socket.post(frame{Error: faultOf(err, final)})
		s.socket.end(err)
		close(s.left)
		wg.Wait()
		return
	}
	s.log.Info("worker connected", "slots", s.worker.Slots, "type", s.worker.Type, "holds", len(s.worker.Holds))

	feed, s.stopFeed = context.WithCancelCause(feed)
	over := context.AfterFunc(s.term, func() {
		err := context.Cause(s.term)
		s.socket.post(frame{Error: faultOf(err, false)})
		s.socket.end(err)
	})
	var feeding sync.WaitGroup
	feeding.Go(func() { s.feed(feed) })
	bye := context.AfterFunc(feed, func() {
		if errors.Is(context.Cause(feed), ErrStopping) {
			s.socket.post(frame{Bye: new(struct{})})
		}
	})
	err := s.listen()
	bye()
	over()
	if isRefusal(err) {
		s.socket.post(frame{Error: faultOf(err, false)})
	}
	s.socket.end(err)
	cause := context.Cause(s.socket.ctx) // the first reason, if there were two
	s.stopFeed(cause)
	feeding.Wait() // nothing is leased on a session that has left
	s.hub.o.Dispatcher.Leave(s.id, cause)
	s.hub.dismiss(s)
	close(s.left)
	wg.Wait()
	s.log.Info("worker gone", "cause", cause)
}

// isRefusal reports whether the peer has to mend what it sent. What is not known
// (C10) is never a refusal, whatever else is said of it.
func isRefusal(err error) bool {
	_, refusal := errors.AsType[*loop.Error](err)
	return refusal && !errors.Is(err, loop.ErrUnavailable)
}

// greet reads the hello and has the dispatcher admit the worker.
func (s *session) greet(ctx context.Context) error {
	f, err := s.socket.read(maxHello)
	if err != nil {
		return err
	}
	if f.Hello == nil {
		return &loop.Error{Problem: "the first frame is not a hello"}
	}
	if s.worker, err = f.Hello.worker(); err != nil {
		return err
	}
	s.instance = f.Hello.Instance
	s.log = s.log.With("worker", s.worker.Name)
	if err := s.hub.admit(ctx, s); err != nil {
		return err
	}
	if s.id, s.term, err = s.hub.o.Dispatcher.Join(ctx, s.worker); err != nil {
		s.hub.dismiss(s)
		return fmt.Errorf("join: %w", err)
	}
	for _, u := range s.worker.Holds {
		s.mine[u]++
	}
	s.socket.post(frame{Welcome: new(struct{})})
	return nil
}

// listen reads what the worker says until the connection ends.
func (s *session) listen() error {
	for {
		f, err := s.socket.read(maxFrame)
		if err != nil {
			return err
		}
		switch {
		case f.Credit != nil:
			err = s.credit(f.Credit.Free)
		case f.Delivery != nil:
			err = s.deliver(f.Delivery)
		case f.Failed != nil:
			err = s.failed(f.Failed)
		case f.Drain != nil:
			s.stopFeed(errDrained)
		default:
			err = &loop.Error{Problem: "a frame that a worker does not send, or not now"}
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) credit(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A worker may ask ahead of its slots, but not without bound.
	if most := 2*s.worker.Slots + 16; n < 1 || s.free+n > most {
		return &loop.Error{Field: "credit", Problem: fmt.Sprintf("%d more units beside %d", n, s.free),
			Remedy: fmt.Sprintf("1 or more, and at most %d together", most)}
	}
	s.free += n
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

// deliver has a delivery judged beside the connection. Whether the unit was
// leased to this worker does not matter: Apply judges by name (I5).
func (s *session) deliver(wire *delivery) error {
	if wire.Worker != s.worker.Name {
		return &loop.Error{Field: "delivery.worker", Problem: fmt.Sprintf("a delivery of %q from %q", clip(wire.Worker), s.worker.Name),
			Remedy: "a worker delivers what lies in its own staging area"}
	}
	d, err := wire.loop()
	if err != nil {
		return err
	}
	known := false
	for _, g := range s.worker.Generators {
		known = known || g == d.Generator
	}
	if !known {
		// Units that were made before an update of the worker are welcome: state
		// knows the versions that workers have registered.
		s.log.Debug("a delivery by a generator that the hello did not name", "unit", d.Unit.ID(), "generator", d.Generator)
	}
	s.mu.Lock()
	full := s.judging == maxJudging
	if !full {
		s.judging++
	}
	s.mu.Unlock()
	if full || !s.hub.judge() {
		if !full {
			s.mu.Lock()
			s.judging--
			s.mu.Unlock()
		}
		s.socket.post(frame{Later: &answer{Unit: wire.Unit, Problem: "not now"}})
		return nil
	}
	go func() {
		defer s.hub.judged()
		s.judge(d)
		s.mu.Lock()
		s.judging--
		s.mu.Unlock()
	}()
	return nil
}

// judge gives a delivery its two answers (C9).
func (s *session) judge(d loop.Delivery) {
	var once sync.Once
	staged := func() {
		once.Do(func() { s.socket.post(frame{Staged: &answer{Unit: wireUnit(d.Unit)}}) })
	}
	st, err := s.hub.o.Receiver.Deliver(s.work, s.id, d, staged)
	a := &answer{Unit: wireUnit(d.Unit)}
	var f frame
	switch {
	case err == nil && st.Again:
		f.Again = a
	case err == nil:
		a.Standing = &standing{st.Fresh, st.Duplicate, st.Stale, st.Closed, st.Rejected}
		f.Committed = a
	case isRefusal(err):
		a.Problem = clip(err.Error())
		f.Refused = a
		s.log.Warn("refused a delivery", "unit", d.Unit.ID(), "error", err)
	default:
		a.Problem = clip(err.Error())
		f.Later = a
		s.log.Debug("a delivery's outcome is unknown", "unit", d.Unit.ID(), "error", err)
	}
	if f.Later == nil {
		s.mu.Lock()
		s.answered(d.Unit)
		s.mu.Unlock()
	}
	s.socket.post(f)
}

// answered takes one lease of a unit off the books and reports whether there
// was one. The caller holds the lock.
func (s *session) answered(u loop.Unit) bool {
	n := s.mine[u]
	if n <= 1 {
		delete(s.mine, u)
	} else {
		s.mine[u] = n - 1
	}
	return n > 0
}

// failed gives a unit back. Only a worker's own units are its to give back.
func (s *session) failed(a *answer) error {
	u, err := a.Unit.loop()
	if err != nil {
		return err
	}
	s.mu.Lock()
	mine := s.answered(u)
	s.mu.Unlock()
	if !mine {
		return &loop.Error{Field: "failed.unit", Problem: fmt.Sprintf("unit %s is not with this worker", u.ID())}
	}
	problem := clip(a.Problem)
	s.log.Warn("a worker failed a unit", "unit", u.ID(), "problem", problem)
	if err := s.hub.o.Receiver.Fail(s.work, s.id, u, problem); err != nil {
		return fmt.Errorf("fail %s: %w", u.ID(), err)
	}
	return nil
}
