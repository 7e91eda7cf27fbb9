package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"hone/loop"
)

// pace is how a socket keeps time. A beat is a sign of life that a hub gives of
// itself, and that needs no answer; 0: none are given.
type pace struct{ beat, pingEvery, pongWithin, writeWithin time.Duration }

// Defaults of a socket.
const (
	defaultBeat  = time.Second
	defaultPing  = 10 * time.Second
	defaultPong  = 25 * time.Second
	defaultWrite = 10 * time.Second
	// linger is how long the last frame has to reach a peer that is still
	// writing: closing a TCP connection with unread bytes may destroy it.
	linger = time.Second
	// maxQueued is how many frames wait to be written. Credits and the number of
	// deliveries in flight bound what a healthy peer can make wait.
	maxQueued = 1024
)

var errSlow = errors.New("the peer reads too slowly")

// socket is one end of a connection. One goroutine at a time writes, and only
// while there is something to write; one reads. ctx ends when the socket does, and
// its cause says why.
type socket struct {
	conn   *websocket.Conn
	pace   pace
	ctx    context.Context
	cancel context.CancelCauseFunc
	// heard, if set, is called at every sign of life of the peer.
	heard func()
	// closed is closed when the connection is, and nothing writes any more.
	closed chan struct{}

	mu    sync.Mutex
	queue [][]byte // frames that wait; most of the time none do, so it has no room of its own
	// room has a token when a frame was taken.
	room    chan struct{}
	writing bool // a goroutine writes
	// due are control frames that wait: a ping or a beat, and the answer to a ping.
	ping, beat, pong bool
	echo             []byte
	timer            *time.Timer
	ticks            int
}

func newSocket(conn *websocket.Conn, p pace) *socket {
	s := &socket{conn: conn, pace: p, room: make(chan struct{}, 1), closed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.alive()
	conn.SetReadLimit(2 * maxFrame) // read refuses less than this, in words
	conn.SetPongHandler(func(string) error { return s.alive() })
	conn.SetPingHandler(func(text string) error {
		s.mu.Lock()
		s.pong, s.echo = true, []byte(text)
		s.wake()
		s.mu.Unlock()
		return s.alive()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.every(), s.tick)
	return s
}

// every is how often the socket looks if a ping or a beat is due.
func (s *socket) every() time.Duration {
	if s.pace.beat > 0 {
		return min(s.pace.beat, s.pace.pingEvery)
	}
	return s.pace.pingEvery
}

// alive gives the peer another while to be heard of.
func (s *socket) alive() error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx) // farewell has set the last deadline
	}
	if s.heard != nil {
		s.heard()
	}
	return s.conn.SetReadDeadline(time.Now().Add(s.pace.pongWithin))
}

// end ends the socket, for the first reason that is given: what waits is still
// written.
func (s *socket) end(cause error) {
	s.cancel(cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}

// wake sees to it that somebody writes. The caller holds the lock.
func (s *socket) wake() {
	if !s.writing {
		s.writing = true
		go s.write()
	}
}

// tick writes a ping or a beat when it is due.
func (s *socket) tick() {
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		return
	}
	s.ticks++
	s.ping = s.ping || s.ticks%max(1, int(s.pace.pingEvery/s.every())) == 0
	s.beat = s.pace.beat > 0
	s.timer.Reset(s.every())
	mine := (s.ping || s.beat) && !s.writing
	s.writing = s.writing || mine
	s.mu.Unlock()
	if mine {
		s.write()
	}
}

// unasked is a pong that nobody has asked for: RFC 6455, 5.5.3, has it as a
// heartbeat of one direction, to which no answer is expected. A server's frames
// are not masked, so that it is the same for all.
var unasked = []byte{0x80 | websocket.PongMessage, 0}

// write writes what there is to write. When the socket has ended that is the
// last of it, and the connection is closed.
func (s *socket) write() {
	for {
		s.mu.Lock()
		if s.ctx.Err() != nil {
			s.timer.Stop()
			s.mu.Unlock()
			s.farewell()
			_ = s.conn.Close()
			close(s.closed)
			return
		}
		var b []byte
		ping, beat, pong, echo := s.ping, s.beat, s.pong, s.echo
		s.ping, s.beat, s.pong, s.echo = false, false, false, nil
		if !ping && !beat && !pong {
			if b = s.take(); b == nil {
				s.writing = false
				s.mu.Unlock()
				return
			}
		}
		s.mu.Unlock()
		var err error
		switch {
		case b != nil:
			err = s.put(b)
		case beat:
			// Past the library, which would make garbage for each. Nobody else writes.
			raw := s.conn.NetConn()
			if err = raw.SetWriteDeadline(time.Now().Add(s.pace.writeWithin)); err == nil {
				_, err = raw.Write(unasked)
			}
		}
		if err == nil && pong {
			err = s.conn.WriteControl(websocket.PongMessage, echo, time.Now().Add(s.pace.writeWithin))
		}
		if err == nil && ping {
			err = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.pace.writeWithin))
		}
		if err != nil {
			s.cancel(fmt.Errorf("write: %w", err))
		}
	}
}

// take is the next frame to be written, nil if there is none. The caller holds
// the lock.
func (s *socket) take() []byte {
	if len(s.queue) == 0 {
		return nil
	}
	b := s.queue[0]
	s.queue[0] = nil
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
	}
	select {
	case s.room <- struct{}{}:
	default:
	}
	return b
}

// offer queues a frame if there is room.
func (s *socket) offer(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == maxQueued {
		return false
	}
	s.queue = append(s.queue, b)
	s.wake()
	return true
}

func (s *socket) put(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.pace.writeWithin)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.BinaryMessage, b)
}

// farewell writes what waits, for a peer that still listens, and then reads on,
// unheard, until the peer has closed too.
func (s *socket) farewell() {
	if cause := context.Cause(s.ctx); errors.Is(cause, errSlow) || errors.Is(cause, errMoved) {
		return // it does not listen
	}
	s.pace.writeWithin = min(s.pace.writeWithin, linger)
	for {
		s.mu.Lock()
		b := s.take()
		s.mu.Unlock()
		if b == nil {
			break
		}
		if s.put(b) != nil {
			return
		}
	}
	deadline := time.Now().Add(linger)
	if s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline) != nil {
		return
	}
	// Both ends may be here: each tells the other that nothing more comes.
	raw := s.conn.NetConn()
	if half, ok := raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	if raw.SetReadDeadline(deadline) == nil {
		_, _ = io.CopyN(io.Discard, raw, 8*maxFrame)
	}
}

// send queues a frame; it waits while the queue is full, until ctx or the
// socket ends.
func (s *socket) send(ctx context.Context, f frame) error {
	b := encode(f)
	for {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		if s.offer(b) {
			return nil
		}
		select {
		case <-s.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ctx.Done():
		}
	}
}

// post queues a frame and never waits: a peer that has let a thousand frames
// pile up is cut off.
func (s *socket) post(f frame) {
	if s.ctx.Err() == nil && !s.offer(encode(f)) {
		s.end(errSlow)
	}
}

// read reads the next frame of at most limit bytes. Only one goroutine reads.
func (s *socket) read(limit int64) (frame, error) {
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return frame{}, s.ended(err)
	}
	if kind != websocket.BinaryMessage {
		return frame{}, &loop.Error{Problem: "a text frame", Remedy: "frames are binary"}
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return frame{}, s.ended(err)
	}
	if int64(len(b)) > limit {
		return frame{}, &loop.Error{Problem: fmt.Sprintf("a frame of more than %d bytes", limit)}
	}
	if err := s.alive(); err != nil {
		return frame{}, s.ended(err)
	}
	return decode(b)
}

// ended is why reading has ended: our own reason, if we had one.
func (s *socket) ended(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return fmt.Errorf("read: %w", err)
}
