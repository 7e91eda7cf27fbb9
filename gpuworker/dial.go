package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"hone/api"
)

const (
	socketPath = "/v1/workers"
	// maxHops bounds the redirects that are followed one after another.
	maxHops = 5
	// handshakeTimeout bounds how long a server may take to open a socket.
	handshakeTimeout = 10 * time.Second
)

// errNotLeading wraps what a server answers that does not lead: it is there, and
// will soon know who does.
var errNotLeading = errors.New("it does not lead")

// movedError is why a server that has fallen silent is waited for no longer.
type movedError struct{ leader string }

func (e *movedError) Error() string { return "the server is silent, and " + e.leader + " leads" }

// dial opens a socket to whoever leads. The server that is first in turn is
// asked, and those that cannot be reached are passed over; but where one answers
// that it does not lead, the next attempt asks the next, after a pause: thousands
// of workers that ask every node at once would keep them from electing a leader.
// The vigil that is kept over the server goes on with the connection.
func (a *Agent) dial(lost func(cause error)) (conn *websocket.Conn, server string, vigil *api.Vigil, err error) {
	asked := make(map[string]bool)
	for _, server := range a.client.Servers.Turn() {
		for hops := 0; server != "" && !asked[server]; hops++ {
			asked[server] = true
			conn, vigil, next, trouble := a.dialOne(server, lost)
			if trouble == nil {
				a.client.Servers.Answered(server)
				return conn, server, vigil, nil
			}
			a.client.Servers.Failed(server)
			trouble = fmt.Errorf("%s: %w", server, trouble)
			if err != nil {
				trouble = fmt.Errorf("%w; %w", err, trouble)
			}
			if err = trouble; next == "" && errors.Is(err, errNotLeading) || hops == maxHops || a.life.Err() != nil {
				return nil, "", nil, err
			}
			server = next
		}
	}
	return nil, "", nil, err
}

// dialOne opens a socket to one server, or says to which one it was sent on.
func (a *Agent) dialOne(server string, lost func(cause error)) (conn *websocket.Conn, vigil *api.Vigil, next string, err error) {
	ctx, cancel := context.WithCancelCause(a.life)
	defer cancel(nil)
	vigil = a.client.Vigil(server, a.o.Silence, func(leader string) {
		a.client.Servers.Failed(server)
		a.client.Servers.Answered(leader) // the others say so
		cause := &movedError{leader}
		cancel(cause)
		lost(cause)
	})
	defer func() {
		if err != nil {
			vigil.End()
		}
	}()
	t := a.o.Transport
	dialer := websocket.Dialer{
		Proxy:            t.Proxy,
		NetDialContext:   t.DialContext,
		TLSClientConfig:  t.TLSClientConfig,
		HandshakeTimeout: handshakeTimeout,
		Subprotocols:     []string{Subprotocol},
		ReadBufferSize:   4 << 10,
		WriteBufferSize:  4 << 10,
	}
	conn, answer, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(server, "http")+socketPath, nil)
	if answer != nil {
		defer answer.Body.Close()
	}
	switch {
	case err == nil:
		vigil.Heard()
		return conn, vigil, "", nil
	case answer == nil:
		if moved, ok := errors.AsType[*movedError](context.Cause(ctx)); ok {
			return nil, nil, moved.leader, moved
		}
		return nil, nil, "", err
	}
	if next, problem := api.Redirected(answer, server, socketPath); next != "" || problem != nil {
		if problem == nil {
			problem = fmt.Errorf("it names %s as the leader", next)
		}
		return nil, nil, next, fmt.Errorf("%w: %w", errNotLeading, problem)
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	err = fmt.Errorf("%w: %s: %q", err, answer.Status, text)
	if answer.StatusCode == http.StatusServiceUnavailable {
		err = fmt.Errorf("%w: %w", errNotLeading, err)
	}
	return nil, nil, "", err
}
