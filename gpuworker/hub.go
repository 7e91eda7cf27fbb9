package gpuworker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"hone/loop"
)

// HubOptions configure a hub. Dispatcher and Receiver are required.
type HubOptions struct {
	Dispatcher Dispatcher
	Receiver   Receiver
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Small is the most bytes of a bundle that workers send in its delivery rather
	// than stage it, which costs files that are written, synced, read and removed
	// again. At most 1 MiB. Default 0: every bundle is staged.
	Small int
	// MaxWorkers is how many connections are open at most; further ones are
	// answered 503. Default 20,000.
	MaxWorkers int
	// Grace is how long a stopping hub waits for deliveries that are being judged.
	// Default 10 s.
	Grace time.Duration
	// PingEvery, PongWithin and WriteWithin are when a peer is pinged, how long it
	// may stay silent, and how long one frame may take to be written. Defaults
	// 10 s, 25 s, 10 s.
	PingEvery, PongWithin, WriteWithin time.Duration
	// BeatEvery is how often a worker that is sent nothing else is given a sign of
	// life, which needs no answer: it looks around when they stay away. Default 1 s.
	BeatEvery time.Duration
}

// ErrStopping is why connections end when the hub stops.
var ErrStopping = errors.New("the server is stopping")

// errReplaced ends the connection of a worker that has connected again.
var errReplaced = errors.New("the worker has connected again")

// Hub is the server's end of the workers' sockets: GET /v1/workers.
type Hub struct {
	o        HubOptions
	upgrader websocket.Upgrader

	mu       sync.Mutex
	feed     context.Context // ends when nothing more is handed out; nil unless running
	work     context.Context // ends when nothing more is judged
	open     map[*session]bool
	judging  int
	bytes    int                 // of the bundles that came with what is being judged
	sessions map[string]*session // by worker
	// terms are those in which a session was let in, and which have not ended.
	terms map[context.Context]bool
	// idle is closed when the hub is stopping and nothing is being judged, and
	// empty when no connection is left either.
	idle, empty chan struct{}
}

// NewHub returns a hub; it starts nothing.
func NewHub(o HubOptions) *Hub {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.MaxWorkers = cmp.Or(o.MaxWorkers, 20_000)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.Small = min(o.Small, maxSmall)
	return &Hub{
		o:        o,
		open:     make(map[*session]bool),
		sessions: make(map[string]*session),
		terms:    make(map[context.Context]bool),
		upgrader: websocket.Upgrader{
			HandshakeTimeout: 10 * time.Second,
			// It is all that an idle worker needs. What is longer is read past it.
			ReadBufferSize:  256,
			WriteBufferSize: 4 << 10,
			WriteBufferPool: new(sync.Pool),
			Subprotocols:    []string{Subprotocol},
			CheckOrigin:     ownOrigin,
		},
	}
}

func paceOf(beat, ping, pong, write time.Duration) pace {
	return pace{beat, cmp.Or(ping, defaultPing), cmp.Or(pong, defaultPong), cmp.Or(write, defaultWrite)}
}

// ownOrigin lets in programs, which send no Origin, and pages from this very
// host or from loopback. A foreign page must not speak with a browser's
// credentials or from behind its firewall.
func ownOrigin(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	if err != nil || len(origins) > 1 || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Run lets workers in until ctx ends. Then it hands out nothing more, says bye,
// lets deliveries that are being judged come to their end for at most Grace, and
// returns when every connection is closed. It is called once.
func (h *Hub) Run(ctx context.Context) error {
	work, endWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endWork(nil)
	feed, endFeed := context.WithCancelCause(work)
	h.mu.Lock()
	h.feed, h.work = feed, work
	h.idle, h.empty = make(chan struct{}), make(chan struct{})
	h.mu.Unlock()

	<-ctx.Done()
	endFeed(ErrStopping)
	h.mu.Lock()
	if h.judging == 0 {
		close(h.idle)
	}
	if len(h.open) == 0 {
		close(h.empty)
	}
	for s := range h.open {
		s.socket.post(frame{Bye: new(struct{})})
	}
	h.mu.Unlock()

	grace := time.NewTimer(h.o.Grace)
	defer grace.Stop()
	select {
	case <-h.idle:
	case <-grace.C:
		h.o.Logger.Warn("deliveries are still being judged; their workers will deliver again", "after", h.o.Grace)
	}
	endWork(ErrStopping)
	h.mu.Lock()
	for s := range h.open {
		s.socket.end(ErrStopping)
	}
	h.mu.Unlock()
	<-h.idle // every Deliver returns once its context has ended
	<-h.empty
	return nil
}

// lets reports whether there is room for one more connection.
func (h *Hub) lets() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.feed != nil && h.feed.Err() == nil && len(h.open) < h.o.MaxWorkers
}

// enter counts a connection in, if there still is room for it.
func (h *Hub) enter(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feed.Err() != nil || len(h.open) >= h.o.MaxWorkers {
		return false
	}
	s.work = h.work
	s.feeding, s.stopFeed = context.WithCancelCause(h.feed)
	h.open[s] = true
	return true
}

func (h *Hub) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.open, s); len(h.open) == 0 && h.feed.Err() != nil {
		closeOnce(h.empty)
	}
}

// until ends a session, and all others that were let in in its term of
// leadership, when that ends.
func (h *Hub) until(s *session, term context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.term = term
	if h.terms[term] {
		return
	}
	h.terms[term] = true
	context.AfterFunc(term, func() {
		err := context.Cause(term)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.terms, term)
		for s := range h.open {
			if s.term == term {
				s.socket.post(frame{Error: faultOf(err, false)})
				s.socket.end(err)
			}
		}
	})
}

// maxBytes bounds the bundles that are in memory while they are judged.
const maxBytes = 256 << 20

// judge counts a delivery in; it refuses once the hub is stopping, or while memory
// is short.
func (h *Hub) judge(d *loop.Delivery) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.feed.Err() != nil || h.bytes+len(d.Bytes) > maxBytes {
		return false
	}
	h.judging++
	h.bytes += len(d.Bytes)
	return true
}

func (h *Hub) judged(d *loop.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes -= len(d.Bytes)
	if h.judging--; h.judging == 0 && h.feed.Err() != nil {
		closeOnce(h.idle)
	}
}

// closeOnce closes a channel that Run, too, may find ready to be closed. The
// caller holds the hub's lock.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// admit makes s the one session of its worker. A session of the same instance
// is one whose end has not been noticed yet: it is ended, and admit waits until
// the dispatcher has been told. Another instance of the name is turned away.
func (h *Hub) admit(ctx context.Context, s *session) error {
	for {
		h.mu.Lock()
		old := h.sessions[s.worker.Name]
		if old == nil {
			h.sessions[s.worker.Name] = s
			h.mu.Unlock()
			return nil
		}
		h.mu.Unlock()
		if old.instance != s.instance {
			return errors.New("another worker of that name is connected; give each worker a name and a directory of its own")
		}
		old.socket.end(errReplaced)
		select {
		case <-old.left:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (h *Hub) dismiss(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.worker.Name] == s {
		delete(h.sessions, s.worker.Name)
	}
}

// ServeHTTP takes one worker's connection. Before Run has begun and after its ctx
// has ended it answers 503. It returns when the worker has been let in, or sent
// away: a goroutine of an HTTP server costs an idle worker more than all the rest.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) && !slices.Contains(websocket.Subprotocols(r), Subprotocol) {
		http.Error(w, "this is a socket for workers that speak "+Subprotocol, http.StatusBadRequest)
		return
	}
	if !h.lets() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no room for a worker now", http.StatusServiceUnavailable)
		return
	}
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		h.o.Logger.Debug("refused a handshake", "remote", r.RemoteAddr, "error", err)
		return // the upgrader has answered
	}
	s := &session{
		hub:    h,
		remote: r.RemoteAddr,
		socket: newSocket(conn, paceOf(cmp.Or(h.o.BeatEvery, defaultBeat), h.o.PingEvery, h.o.PongWithin, h.o.WriteWithin)),
		more:   make(chan struct{}, 1),
		left:   make(chan struct{}),
	}
	s.open()
}
