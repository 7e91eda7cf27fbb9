package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// errMoved is why a server that has fallen silent is waited for no longer.
var errMoved = errors.New("the server is silent, and another one leads")

// opened is a socket that a server has opened. The vigil that is kept over the
// server goes on; over ends when another one leads.
type opened struct {
	conn   *websocket.Conn
	server string
	vigil  *api.Vigil
	over   context.Context
	end    context.CancelCauseFunc
}

func (o *opened) close() {
	o.vigil.End()
	o.end(nil)
}

// dial opens a socket to whoever leads. The server that is first in turn is
// asked, and those that cannot be reached are passed over; but where one answers
// that it does not lead, the next attempt asks the next, after a pause: thousands
// of workers that ask every node at once would keep them from electing a leader.
func (a *Agent) dial() (o *opened, err error) {
	asked := make(map[string]bool)
	for _, server := range a.client.Servers.Turn() {
		for hops := 0; server != "" && !asked[server]; hops++ {
			asked[server] = true
			o, next, trouble := a.dialOne(server)
			if trouble == nil {
				a.client.Servers.Answered(server)
				return o, nil
			}
			a.client.Servers.Failed(server)
			trouble = fmt.Errorf("%s: %w", server, trouble)
			if err != nil {
				trouble = fmt.Errorf("%w; %w", err, trouble)
			}
			if err = trouble; next == "" && errors.Is(err, errNotLeading) || hops == maxHops || a.life.Err() != nil {
				return nil, err
			}
			server = next
		}
	}
	return nil, err
}

// dialOne opens a socket to one server, or says to which one it was sent on.
func (a *Agent) dialOne(server string) (_ *opened, next string, err error) {
	o := &opened{server: server}
	o.over, o.end = context.WithCancelCause(a.life)
	var leader string
	o.vigil = a.client.Vigil(server, a.o.Silence, func(other string) {
		a.client.Servers.Failed(server)
		a.client.Servers.Answered(other) // the others say so
		leader = other
		o.end(errMoved)
	})
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	t := a.o.Transport
	connect := t.DialContext
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	// The library heeds the context only until there is a connection.
	hangUp := func() bool { return true }
	defer func() { hangUp() }()
	dialer := websocket.Dialer{
		Proxy: t.Proxy,
		NetDialContext: func(dialing context.Context, network, address string) (net.Conn, error) {
			conn, err := connect(dialing, network, address)
			if err == nil {
				hangUp = context.AfterFunc(o.over, func() { _ = conn.Close() })
			}
			return conn, err
		},
		TLSClientConfig:  t.TLSClientConfig,
		HandshakeTimeout: handshakeTimeout,
		Subprotocols:     []string{Subprotocol},
		ReadBufferSize:   4 << 10,
		WriteBufferSize:  4 << 10,
	}
	var answer *http.Response
	o.conn, answer, err = dialer.DialContext(o.over, "ws"+strings.TrimPrefix(server, "http")+socketPath, nil)
	if answer != nil {
		defer answer.Body.Close()
	}
	switch {
	case err == nil && hangUp():
		o.vigil.Heard()
		return o, "", nil
	case errors.Is(context.Cause(o.over), errMoved):
		return nil, leader, fmt.Errorf("%w: %s", errMoved, leader)
	case err == nil:
		return nil, "", context.Cause(o.over)
	case answer == nil:
		return nil, "", err
	}
	if next, problem := api.Redirected(answer, server, socketPath); next != "" || problem != nil {
		if problem == nil {
			problem = fmt.Errorf("it names %s as the leader", next)
		}
		return nil, next, fmt.Errorf("%w: %w", errNotLeading, problem)
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	err = fmt.Errorf("%w: %s: %q", err, answer.Status, text)
	if answer.StatusCode == http.StatusServiceUnavailable {
		err = fmt.Errorf("%w: %w", errNotLeading, err)
	}
	return nil, "", err
}
