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

// socket is one end of a connection. One goroutine, write, does all writing;
// one reads. ctx ends when the socket does, and its cause says why.
type socket struct {
	conn *websocket.Conn
	pace pace
	ctx  context.Context
	end  context.CancelCauseFunc
	// heard, if set, is called at every sign of life of the peer.
	heard func()

	mu    sync.Mutex
	queue [][]byte // frames that wait; most of the time none do, so it has no room of its own
	// more has a token when something was queued, room when something was taken.
	more, room chan struct{}
}

func newSocket(conn *websocket.Conn, p pace) *socket {
	s := &socket{conn: conn, pace: p, more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	s.alive()
	conn.SetReadLimit(2 * maxFrame) // read refuses less than this, in words
	conn.SetPongHandler(func(string) error { return s.alive() })
	conn.SetPingHandler(func(text string) error {
		// gorilla lets control frames be written beside the writer. A pong that
		// cannot be written is the writer's to notice.
		_ = conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(time.Second))
		return s.alive()
	})
	return s
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

// write writes frames, beats and pings until the socket ends, then what is still
// waiting, says goodbye and closes the connection.
func (s *socket) write() {
	defer s.conn.Close()
	every := s.pace.pingEvery
	if s.pace.beat > 0 {
		every = min(every, s.pace.beat)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	pinged := time.Now()
	wrote := false // since the last tick
	for {
		if b, ok := s.take(); ok {
			if err := s.put(b); err != nil {
				s.end(err)
				return
			}
			wrote = true
			continue
		}
		select {
		case <-s.more:
		case now := <-tick.C:
			var err error
			switch {
			case now.Sub(pinged) > s.pace.pingEvery-every/2:
				pinged = now
				err = s.control(websocket.PingMessage)
			case !wrote:
				// RFC 6455, 5.5.3: a pong that nobody asked for is a heartbeat of one
				// direction, to which no answer is expected.
				err = s.control(websocket.PongMessage)
			}
			if err != nil {
				s.end(err)
				return
			}
			wrote = false
		case <-s.ctx.Done():
			s.farewell()
			return
		}
	}
}

// take is the next frame to be written.
func (s *socket) take() (b []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, false
	}
	b = s.queue[0]
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
	}
	poke(s.room)
	return b, true
}

// offer queues a frame if there is room.
func (s *socket) offer(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == maxQueued {
		return false
	}
	s.queue = append(s.queue, b)
	poke(s.more)
	return true
}

// poke leaves a token, if there is none.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *socket) control(kind int) error {
	if err := s.conn.WriteControl(kind, nil, time.Now().Add(s.pace.writeWithin)); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

func (s *socket) put(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.pace.writeWithin)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := s.conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// farewell writes what waits, for a peer that still listens, and then reads on,
// unheard, until the peer has closed too.
func (s *socket) farewell() {
	if errors.Is(context.Cause(s.ctx), errSlow) {
		return
	}
	s.pace.writeWithin = min(s.pace.writeWithin, linger)
	for {
		b, ok := s.take()
		if !ok {
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
		return frame{}, s.closed(err)
	}
	if kind != websocket.BinaryMessage {
		return frame{}, &loop.Error{Problem: "a text frame", Remedy: "frames are binary"}
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return frame{}, s.closed(err)
	}
	if int64(len(b)) > limit {
		return frame{}, &loop.Error{Problem: fmt.Sprintf("a frame of more than %d bytes", limit)}
	}
	if err := s.alive(); err != nil {
		return frame{}, s.closed(err)
	}
	return decode(b)
}

// closed is why reading has ended: our own reason, if we had one.
func (s *socket) closed(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return fmt.Errorf("read: %w", err)
}
