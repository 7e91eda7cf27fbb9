package coordinator

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hone/api"
	"hone/coordinator/state"
	"hone/fault"
)

// The parameter and the headers of a read that may be stale.
const (
	consistency = "consistency"
	stale       = "stale"
)

// searchPatience is how long a request waits for the node to know of a leader;
// startPatience, how long while the node starts.
const (
	searchPatience = 2 * time.Second
	startPatience  = 10 * time.Second
)

// Front stands before a node's routes. The leader answers; before each read it makes
// sure that it still leads, so that whoever reads sees all that was acknowledged
// before. Any other node sends clients to the leader. It answers by itself what is
// about itself, and reads of which ?consistency=stale says that they may be behind:
// those are labelled, with the sequence up to which they are true.
func (c *Coordinator) Front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A leader that doubts its clock may not begin its term before it is confirmed (C24).
		if local(r.URL.Path) || r.Method == http.MethodPost && r.URL.Path == "/v1/cluster/clock" && c.node.Leading() {
			next.ServeHTTP(w, r)
			return
		}
		patience := time.NewTimer(startPatience)
		defer patience.Stop()
		select {
		case <-c.ready: // before that, it would deny what it has acknowledged
		case <-patience.C:
			c.noLeader(w)
			return
		case <-r.Context().Done():
			return
		}
		if reads(r) && r.URL.Query().Get(consistency) == stale {
			w.Header().Set("Hone-Consistency", stale)
			w.Header().Set("Hone-Sequence", strconv.FormatUint(c.node.Sequence(), 10))
			next.ServeHTTP(w, r)
			return
		}
		c.asLeader(w, r, next)
	})
}

// local paths are about the node itself, or the same on every node.
func local(path string) bool {
	return path == "/v1/node" || path == "/openapi.json" || path == "/openapi.yaml" || path == "/docs" || strings.HasPrefix(path, "/docs/")
}

// reads reports whether a request changes nothing. The workers' socket is opened by
// a GET, and is none.
func reads(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Upgrade") == "" ||
		r.Method == http.MethodPost && r.URL.Path == "/v1/sql"
}

// asLeader answers as the leader, or sends the client to it.
func (c *Coordinator) asLeader(w http.ResponseWriter, r *http.Request, next http.Handler) {
	patience := time.NewTimer(searchPatience)
	defer patience.Stop()
	for {
		moved := c.whenMoved()
		if t, err := c.leading(); err == nil {
			if !reads(r) {
				next.ServeHTTP(w, r)
				return
			}
			if fault.Planted("read without asking the others") || c.node.Verify() == nil {
				t.read(w, r, next)
				return
			}
		} else if leader, ok := c.elsewhere(); ok {
			w.Header().Set("Location", leader.URL+r.URL.RequestURI())
			writeProblem(w, api.NewProblem(http.StatusTemporaryRedirect, "node "+leader.Name+" leads; ask "+leader.URL))
			return
		}
		select {
		case <-moved:
		case <-patience.C:
			c.noLeader(w)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// read answers a read. What it waits for may never come to a node that leads no more,
// so it ends with the term.
func (t *term) read(w http.ResponseWriter, r *http.Request, next http.Handler) {
	ctx, end := context.WithCancel(r.Context())
	defer end()
	defer context.AfterFunc(t.ctx, end)()
	next.ServeHTTP(w, r.WithContext(ctx))
}

// elsewhere is the leader, where it is another node to which clients can be sent.
func (c *Coordinator) elsewhere() (leader state.Node, ok bool) {
	leader, ok = c.node.Leader()
	return leader, ok && leader.Name != c.node.o.Name && leader.URL != ""
}

func (c *Coordinator) noLeader(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	writeProblem(w, api.NewProblem(http.StatusServiceUnavailable,
		fmt.Sprintf("node %s knows of no leader at the moment; ask another node, or send it again", c.node.o.Name)))
}

// whenMoved is closed when leadership has moved, as far as this node knows.
func (c *Coordinator) whenMoved() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved
}

// glanceEvery is how often a node looks whether leadership has moved: one look for all
// requests that wait for it.
const glanceEvery = 20 * time.Millisecond

// look wakes who waits whenever leadership has moved, and closes ready when the node
// leads for the first time since it started, or knows who does.
func (c *Coordinator) look(ctx context.Context) {
	again := time.NewTicker(glanceEvery)
	defer again.Stop()
	type sight struct {
		own    *term
		leader string
	}
	var last sight
	for {
		now := sight{}
		now.own, _ = c.leading()
		if leader, ok := c.elsewhere(); ok {
			now.leader = leader.URL
			c.once.Do(func() { close(c.ready) })
		}
		if now != last {
			last = now
			c.mu.Lock()
			close(c.moved)
			c.moved = make(chan struct{})
			c.mu.Unlock()
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}
