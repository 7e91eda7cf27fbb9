package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gorilla/websocket"

	"hone/loop"
)

// pace is how a socket keeps time.
type pace struct{ pingEvery, pongWithin, writeWithin time.Duration }

// Defaults of a socket.
const (
	defaultPing  = 10 * time.Second
	defaultPong  = 25 * time.Second
	defaultWrite = 10 * time.Second
	// linger is how long the last frame has to reach a peer that is still
	// writing: closing a TCP connection with unread bytes may destroy it.
	linger = time.Second
	// backlog is how many frames wait to be written. Credits and the number of
	// deliveries in flight bound what a healthy peer can make wait.
	frameBacklog = 1024
)

var errSlow = errors.New("the peer reads too slowly")

// socket is one end of a connection. One goroutine, write, does all writing;
// one reads. ctx ends when the socket does, and its cause says why.
type socket struct {
	conn *websocket.Conn
	pace pace
	out  chan []byte
	ctx  context.Context
	end  context.CancelCauseFunc
}

func newSocket(conn *websocket.Conn, p pace) *socket {
	s := &socket{conn: conn, pace: p, out: make(chan []byte, frameBacklog)}
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
	return s.conn.SetReadDeadline(time.Now().Add(s.pace.pongWithin))
}

// write writes frames and pings until the socket ends, then what is still
// waiting, says goodbye and closes the connection.
func (s *socket) write() {
	ping := time.NewTicker(s.pace.pingEvery)
	defer ping.Stop()
	defer s.conn.Close()
	for {
		select {
		case b := <-s.out:
			if err := s.put(b); err != nil {
				s.end(err)
				return
			}
		case <-ping.C:
			if err := s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.pace.writeWithin)); err != nil {
				s.end(fmt.Errorf("ping: %w", err))
				return
			}
		case <-s.ctx.Done():
			s.farewell()
			return
		}
	}
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
		select {
		case b := <-s.out:
			if s.put(b) != nil {
				return
			}
			continue
		default:
		}
		break
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
	select {
	case s.out <- encode(f):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// post queues a frame and never waits: a peer that has let a thousand frames
// pile up is cut off.
func (s *socket) post(f frame) {
	select {
	case s.out <- encode(f):
	case <-s.ctx.Done():
	default:
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
