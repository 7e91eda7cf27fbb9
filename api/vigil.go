package api

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Vigil is kept over a server that is waited for. A killed server's connections
// end, but those of one that is stopped, or cut off, only fall silent, and it is
// not known for how long a busy one does. So while a server is silent, the others
// are asked who leads, and only when another one does is the waiting over. A
// leader that is slow keeps all who wait for it, and the asking costs it nothing.
//
// A nil Vigil is kept over nothing.
type Vigil struct {
	client  *Client
	server  string
	silence time.Duration
	found   func(leader string)
	ctx     context.Context
	end     context.CancelFunc

	mu    sync.Mutex
	timer *time.Timer
	pause time.Duration
	// signs counts the signs of life, so that one that comes while the others are
	// asked is not overlooked.
	signs uint64
	// deaf: since the last sign the server was asked who leads, and did not say that
	// it does itself.
	deaf bool
}

// Pauses between two looks around.
const (
	minLook = 300 * time.Millisecond
	maxLook = time.Second
	// lookTimeout bounds the wait for an answer to who leads. A node that does not
	// know waits two seconds for an election before it says so.
	lookTimeout = 2500 * time.Millisecond
	// selfTimeout is how soon a server answers that has not been stopped.
	selfTimeout = 400 * time.Millisecond
)

// Vigil begins to wait for a server. When it has been silent for so long, and
// another one leads, found is called, once and last, with that one's URL.
func (c *Client) Vigil(server string, silence time.Duration, found func(leader string)) *Vigil {
	v := &Vigil{client: c, server: server, silence: silence, found: found}
	v.ctx, v.end = context.WithCancel(context.Background())
	v.mu.Lock()
	defer v.mu.Unlock()
	v.timer = time.AfterFunc(silence, v.look)
	return v
}

// Heard is a sign of life of the server, which is waited for still, or again.
func (v *Vigil) Heard() {
	if v != nil {
		v.sign(true)
	}
}

// Rest says that nothing is waited for now.
func (v *Vigil) Rest() {
	if v != nil {
		v.sign(false)
	}
}

// End ends the vigil.
func (v *Vigil) End() {
	if v != nil {
		v.end()
		v.sign(false)
	}
}

func (v *Vigil) sign(wait bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.signs++
	v.pause, v.deaf = 0, false
	v.timer.Stop()
	if wait && v.ctx.Err() == nil {
		v.timer.Reset(v.silence)
	}
}

// look asks one other server who leads; the next look asks the next.
func (v *Vigil) look() {
	v.mu.Lock()
	signs, deaf := v.signs, v.deaf
	v.mu.Unlock()
	leader, deaf := v.client.elsewhere(v.ctx, v.server, deaf)
	v.mu.Lock()
	still := v.signs == signs && v.ctx.Err() == nil
	over := still && leader != "" && deaf
	switch {
	case over:
		v.end()
	case still:
		v.deaf = deaf
		v.pause = min(max(2*v.pause, minLook), maxLook)
		v.timer.Reset(v.pause/2 + rand.N(v.pause/2+1))
	}
	v.mu.Unlock()
	if over {
		v.found(leader)
	}
}

// elsewhere asks one of the other servers, each time another, who leads: "" unless
// that is another than the one that is waited for. It may be the same by another
// name, or still lead whatever the others think. So it is asked too, unless it is
// known to be deaf: it soon answers if it is only busy with the request.
func (c *Client) elsewhere(ctx context.Context, than string, deaf bool) (leader string, _ bool) {
	others := slices.DeleteFunc(c.Servers.Turn(), func(s string) bool { return s == than })
	if len(others) == 0 {
		return "", deaf
	}
	said := make(chan string, 1)
	if !deaf {
		go func() { said <- c.whoLeads(ctx, than, selfTimeout) }()
	}
	leader = c.whoLeads(ctx, others[c.looks.Add(1)%uint64(len(others))], lookTimeout)
	if leader == than {
		leader = ""
	}
	return leader, deaf || <-said != than
}

// whoLeads is whom a server takes for the leader, maybe itself; "" if it does not
// say so in time.
func (c *Client) whoLeads(ctx context.Context, server string, within time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answer, err := c.once(ctx, request{method: http.MethodHead, path: statusPath}, server)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return server
	}
	to, err := Redirected(answer, server, statusPath)
	if err != nil {
		return ""
	}
	return to
}
