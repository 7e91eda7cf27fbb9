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
	remote   string
	work     context.Context
	instance string
	worker   loop.Worker
	id       string          // the dispatcher's
	term     context.Context // in which it was let in; the hub's lock's
	// left is closed when the dispatcher knows that the worker is gone.
	left chan struct{}

	// feeding ends, for a reason, when nothing more is leased; feeders are the
	// goroutines that do, and told what they have defined.
	feeding  context.Context
	stopFeed context.CancelCauseFunc
	feeders  sync.WaitGroup
	told     recent[struct{}]

	mu      sync.Mutex
	free    int // credits that are not used up
	judging int
	// mine counts the leases of each unit on this connection, its announcement
	// among them, that have had no answer; nil while there are none.
	mine map[loop.Unit]int
	more chan struct{} // free has changed
}

// open lets the worker in, or sends it away, and returns; the connection is then
// served by goroutines of its own. Of those an idle worker has two that wait, and
// none of them decodes or decides anything before it waits: a goroutine keeps the
// stack that it has needed once.
func (s *session) open() {
	if !s.hub.enter(s) {
		s.socket.post(frame{Error: &fault{Problem: "no room for a worker now"}})
		s.socket.end(ErrStopping)
		return
	}
	if err := s.greet(); err != nil {
		final := isRefusal(err)
		s.log().Warn("refused a worker", "error", err)
		s.socket.post(frame{Error: faultOf(err, final)})
		s.socket.end(err)
		s.close()
		return
	}
	s.log().Info("worker connected", "slots", s.worker.Slots, "type", s.worker.Type, "holds", len(s.worker.Holds))
	s.feeders.Go(s.feed)
	go s.listen()
}

// log names the connection. It is made when it is needed: most have nothing to
// say most of the time.
func (s *session) log() *slog.Logger {
	return s.hub.o.Logger.With("remote", s.remote, "worker", clip(s.worker.Name))
}

// leave ends the connection, for a reason, and tells the dispatcher.
func (s *session) leave(err error) {
	if isRefusal(err) {
		s.socket.post(frame{Error: faultOf(err, false)})
	}
	s.socket.end(err)
	cause := context.Cause(s.socket.ctx) // the first reason, if there were two
	s.stopFeed(cause)
	s.feeders.Wait() // nothing is leased on a session that has left
	s.hub.o.Dispatcher.Leave(s.id, cause)
	s.hub.dismiss(s)
	s.close()
	s.log().Info("worker gone", "cause", cause)
}

// close returns when the connection has ended and nothing of it is left but
// deliveries that are being judged.
func (s *session) close() {
	s.stopFeed(context.Cause(s.socket.ctx))
	close(s.left)
	<-s.socket.closed
	s.hub.leave(s)
}

// isRefusal reports whether the peer has to mend what it sent. What is not known
// (C10) is never a refusal, whatever else is said of it.
func isRefusal(err error) bool {
	_, refusal := errors.AsType[*loop.Error](err)
	return refusal && !errors.Is(err, loop.ErrUnavailable)
}

// greet reads the hello and has the dispatcher admit the worker.
func (s *session) greet() error {
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
	if err := s.hub.admit(s.feeding, s); err != nil {
		return err
	}
	var term context.Context
	if s.id, term, err = s.hub.o.Dispatcher.Join(s.feeding, s.worker); err != nil {
		s.hub.dismiss(s)
		return fmt.Errorf("join: %w", err)
	}
	for _, u := range s.worker.Holds {
		s.lend(u)
	}
	s.hub.until(s, term)
	s.socket.post(frame{Welcome: &greeting{Small: s.hub.o.Small}})
	return nil
}

// listen waits for the next frame and heeds it; the one after that is another
// goroutine's to wait for.
func (s *session) listen() {
	f, err := s.socket.read(maxFrame)
	if err == nil {
		err = s.heed(&f)
	}
	if err != nil {
		s.leave(err)
		return
	}
	go s.listen()
}

func (s *session) heed(f *frame) error {
	switch {
	case f.Credit != nil:
		return s.credit(f.Credit.Free)
	case f.Delivery != nil:
		return s.deliver(f.Delivery)
	case f.Failed != nil:
		return s.failed(f.Failed)
	case f.Drain != nil:
		s.stopFeed(errDrained)
		return nil
	}
	return &loop.Error{Problem: "a frame that a worker does not send, or not now"}
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
	if most := s.hub.o.Small; len(wire.Bundle) > most {
		return &loop.Error{Field: "delivery.bundle", Problem: fmt.Sprintf("%d bytes; at most %d come in a delivery", len(wire.Bundle), most),
			Remedy: "stage larger bundles"}
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
		s.log().Debug("a delivery by a generator that the hello did not name", "unit", d.Unit.ID(), "generator", d.Generator)
	}
	s.mu.Lock()
	full := s.judging == maxJudging
	if !full {
		s.judging++
	}
	s.mu.Unlock()
	if full || !s.hub.judge(&d) {
		if !full {
			s.mu.Lock()
			s.judging--
			s.mu.Unlock()
		}
		s.socket.post(frame{Later: &answer{Unit: wire.Unit, Problem: "not now"}})
		return nil
	}
	go func() {
		defer s.hub.judged(&d)
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
		s.log().Warn("refused a delivery", "unit", d.Unit.ID(), "error", err)
	default:
		a.Problem = clip(err.Error())
		f.Later = a
		s.log().Debug("a delivery's outcome is unknown", "unit", d.Unit.ID(), "error", err)
	}
	if f.Later == nil {
		s.mu.Lock()
		s.answered(d.Unit)
		s.mu.Unlock()
	}
	s.socket.post(f)
}

// lend takes a lease of a unit down. The caller holds the lock, or is the only one
// who knows the session.
func (s *session) lend(u loop.Unit) {
	if s.mine == nil {
		s.mine = make(map[loop.Unit]int)
	}
	s.mine[u]++
}

// answered takes one lease of a unit off the books and reports whether there
// was one. The caller holds the lock.
func (s *session) answered(u loop.Unit) bool {
	n := s.mine[u]
	if n <= 1 {
		if delete(s.mine, u); len(s.mine) == 0 {
			s.mine = nil
		}
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
	s.log().Warn("a worker failed a unit", "unit", u.ID(), "problem", problem)
	if err := s.hub.o.Receiver.Fail(s.work, s.id, u, problem); err != nil {
		return fmt.Errorf("fail %s: %w", u.ID(), err)
	}
	return nil
}
