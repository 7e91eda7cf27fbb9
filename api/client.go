package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultServer is where a server listens unless told otherwise.
const DefaultServer = "http://127.0.0.1:7070"

// Client speaks to a server, or to a cluster: it asks the node that answered
// last, goes where that one sends it, and to the others when it does not answer.
// Its fields may be changed before the first request, not after; it is then safe
// for concurrent use.
type Client struct {
	// Servers are the nodes that it may ask.
	Servers *Servers
	// HTTP does the requests. Its Timeout stays 0: downloads and waits are long.
	HTTP *http.Client
	// Patience is how long a request that meets no server, or a 503, is sent
	// again before its error is returned. 30 s; 0 means that each server is asked
	// once.
	Patience time.Duration
	// Pause is the first wait before all servers are asked again, doubled up to
	// 5 s, or 1 s while one of them answers, and jittered.
	Pause time.Duration
	// Stale lets any node answer reads and queries from what it knows, be it
	// behind the others.
	Stale bool
	// Labelled, if set, is called with the sequence up to which an answer that
	// says it is stale has seen everything.
	Labelled func(sequence string)

	// invalid is what is wrong with the list that New was given.
	invalid error
	// looks counts who was asked for the leader.
	looks *atomic.Uint64
}

// New is a client of a server, e.g. "http://127.0.0.1:7070", or of the nodes of a
// cluster, with commas between them; "" means DefaultServer, and a missing scheme
// http. What is wrong with the list is the error of every request.
func New(servers string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// A server that has read all of a request and says nothing for so long is
	// gone: the longest that one waits on purpose is maxWait.
	transport.ResponseHeaderTimeout = 2 * maxWait
	c := &Client{HTTP: &http.Client{Transport: transport}, Patience: 30 * time.Second, Pause: 100 * time.Millisecond, looks: new(atomic.Uint64)}
	if c.Servers, c.invalid = NewServers(servers); c.invalid != nil {
		c.Servers = &Servers{given: []string{servers}, known: []string{servers}}
	}
	return c
}

// maxWait bounds one long poll; longer waits are made of several.
const (
	maxWait  = time.Minute
	maxPause = 5 * time.Second
	// maxElection is the longest pause while a node answers: where it knows of no
	// leader, there will be one soon.
	maxElection = time.Second
	// silence is how long a server that has a request may say nothing, before the
	// others are asked who leads.
	silence = 2 * time.Second
	// maxAnswer bounds a JSON answer.
	maxAnswer = 1 << 30
	// largeBody, in bytes, is not sent before the server says that it wants it,
	// and does not send the request on to another.
	largeBody  = 64 << 10
	statusPath = "/v1/status"
	sqlPath    = "/v1/sql"
)

// request is one request, which can be sent any number of times.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	// body opens the body anew for each try; nil for none. size is its length in
	// bytes, or -1.
	body func() (io.ReadCloser, error)
	size int64
}

// target is the request's path and query.
func (r *request) target() string {
	if len(r.query) == 0 {
		return r.path
	}
	return r.path + "?" + r.query.Encode()
}

// send sends the request until it is answered with something else than 503, the
// patience ends or ctx does, and returns a 2xx answer, whose body the caller
// closes. Any other answer is a *Problem.
func (c *Client) send(ctx context.Context, r request) (answer *http.Response, err error) {
	err = c.patiently(ctx, func() error {
		answer, err = c.turn(ctx, r) //nolint:bodyclose // the caller closes it
		return err
	})
	return answer, err
}

// patiently tries until there is another outcome than that no server answers.
func (c *Client) patiently(ctx context.Context, try func() error) error {
	var spent time.Duration
	for pause := max(c.Pause, time.Millisecond); ; pause = 2 * pause {
		err := try()
		p, ok := errors.AsType[*Problem](err)
		if !ok || !(p.Unreached || p.Status == http.StatusServiceUnavailable) || ctx.Err() != nil {
			return err
		}
		pause = min(pause, maxPause)
		if !p.Unreached {
			pause = min(pause, maxElection)
		}
		wait := pause/2 + rand.N(pause/2+1)
		if spent+wait > c.Patience {
			return err
		}
		spent += wait
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// trouble is why a server did not answer; nil where it was a 503.
type trouble struct {
	server string
	err    error
	// answers says that there is a server, though it cannot answer.
	answers bool
}

// turn asks one server after another, each at most once, until one answers with
// something else than 503.
func (c *Client) turn(ctx context.Context, r request) (*http.Response, error) {
	if c.invalid != nil {
		return nil, c.invalid
	}
	if c.Stale && (r.method == http.MethodGet || r.path == sqlPath) {
		r.query = maps.Clone(r.query)
		if r.query == nil {
			r.query = url.Values{}
		}
		r.query.Set("consistency", "stale")
	}
	var troubles []trouble
	for _, server := range c.Servers.Turn() {
		for hops := 0; server != ""; hops++ {
			if slices.ContainsFunc(troubles, func(t trouble) bool { return t.server == server }) {
				break // it was asked already
			}
			var next string
			answer, err := c.ask(ctx, r, server)
			if err == nil {
				next, err = Redirected(answer, server, r.target())
			}
			if moved, ok := errors.AsType[*movedError](err); ok {
				next = moved.to
			}
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case next != "" && hops == maxHops:
				err = fmt.Errorf("it sends the request on to %s, as %d others have", next, hops)
				next = ""
			case next != "" && err == nil:
				err = fmt.Errorf("it names %s as the leader", next)
			case err == nil && answer.StatusCode != http.StatusServiceUnavailable:
				return c.answered(answer, server)
			}
			t := trouble{server, err, answer != nil}
			if answer != nil {
				if err == nil {
					t.err = problem(answer)
				}
				answer.Body.Close()
			} else if !unanswered(err) {
				return nil, err
			}
			c.Servers.Failed(server)
			troubles = append(troubles, t)
			server = next
		}
	}
	return nil, gathered(troubles)
}

// answered is an answer that is one.
func (c *Client) answered(answer *http.Response, server string) (*http.Response, error) {
	c.Servers.Answered(server)
	if c.Labelled != nil && answer.Header.Get("Hone-Consistency") == "stale" {
		c.Labelled(answer.Header.Get("Hone-Sequence"))
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, problem(answer)
}

// gathered is why no server has answered.
func gathered(troubles []trouble) error {
	answers := false
	for _, t := range troubles {
		answers = answers || t.answers
	}
	var p *Problem
	if first := troubles[0]; len(troubles) > 1 {
		each := make([]string, len(troubles))
		for i, t := range troubles {
			each[i] = t.server + ": " + t.err.Error()
		}
		p = NewProblem(http.StatusServiceUnavailable, "none of the servers can answer: "+strings.Join(each, "; "))
	} else if said, ok := errors.AsType[*Problem](first.err); ok {
		p = said
	} else {
		p = NewProblem(http.StatusServiceUnavailable, fmt.Sprintf("no server answers at %s: %v", first.server, first.err))
	}
	p.Unreached = !answers
	return p
}

// unansweredError is what befell a request that got no answer.
type unansweredError struct{ error }

func (e *unansweredError) Unwrap() error { return e.error }

func unanswered(err error) bool {
	_, ok := errors.AsType[*unansweredError](err)
	return ok
}

// movedError ends the waiting for a server that is silent while another leads.
type movedError struct{ to string }

func (e *movedError) Error() string { return "it is silent, and " + e.to + " leads" }

// ask sends the request to one server. A server that falls silent while another
// one leads is waited for no longer, neither for its answer nor for the rest of
// it.
func (c *Client) ask(ctx context.Context, r request, server string) (*http.Response, error) {
	if c.Stale {
		return c.once(ctx, r, server) // whoever leads: anybody may answer
	}
	own, cancel := context.WithCancelCause(ctx)
	vigil := c.Vigil(server, silence, func(leader string) {
		c.Servers.Failed(server)
		c.Servers.Answered(leader) // the others say so
		cancel(&movedError{leader})
	})
	answer, err := c.once(own, r, server)
	if err != nil {
		vigil.End()
		if moved, ok := errors.AsType[*movedError](context.Cause(own)); ok && ctx.Err() == nil {
			err = &unansweredError{moved}
		}
		cancel(nil)
		return nil, err
	}
	vigil.Rest()
	answer.Body = &body{answer.Body, vigil, cancel}
	return answer, nil
}

// body is that of an answer, kept a vigil over while it is read.
type body struct {
	io.ReadCloser
	vigil  *Vigil
	cancel context.CancelCauseFunc
}

func (b *body) Read(p []byte) (int, error) {
	b.vigil.Heard()
	defer b.vigil.Rest()
	return b.ReadCloser.Read(p)
}

func (b *body) Close() error {
	b.vigil.End()
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// once sends the request to one server, once, and follows nothing.
func (c *Client) once(ctx context.Context, r request, server string) (*http.Response, error) {
	target := server + r.target()
	q, err := http.NewRequestWithContext(ctx, r.method, target, nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, target, err)
	}
	maps.Copy(q.Header, r.header)
	q.Header.Set("User-Agent", "hone")
	if r.body != nil {
		q.GetBody, q.ContentLength = r.body, r.size
		if r.size < 0 || r.size > largeBody {
			q.Header.Set("Expect", "100-continue")
		}
		if q.Body, err = r.body(); err != nil {
			return nil, fmt.Errorf("%s %s: body: %w", r.method, target, err)
		}
	}
	direct := *c.HTTP
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := direct.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, &unansweredError{err}
	}
	return answer, nil
}

// problem reads an error answer, also from something that is not Hone.
func problem(answer *http.Response) *Problem {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	p := &Problem{}
	if strings.Contains(answer.Header.Get("Content-Type"), "json") && json.Unmarshal(text, p) == nil && (p.Detail != "" || p.Title != "") {
		p.Status = answer.StatusCode
		return p
	}
	detail := strings.TrimSpace(string(text))
	if len(detail) > 200 {
		detail = detail[:200] + "..."
	}
	if detail == "" {
		detail = answer.Status
	}
	return NewProblem(answer.StatusCode, detail)
}

// call sends a request and decodes the JSON answer into out. An answer that
// breaks off is none.
func (c *Client) call(ctx context.Context, r request, out any) error {
	return c.patiently(ctx, func() error {
		answer, err := c.turn(ctx, r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		source := &tornReader{Reader: io.LimitReader(answer.Body, maxAnswer)}
		decoder := json.NewDecoder(source)
		decoder.UseNumber()
		if err := decoder.Decode(out); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if source.err != nil {
				p := NewProblem(http.StatusServiceUnavailable, fmt.Sprintf("%s %s: the answer broke off: %v", r.method, r.path, source.err))
				p.Unreached = true
				return p
			}
			return fmt.Errorf("%s %s: the answer is not what it should be: %w", r.method, r.path, err)
		}
		return nil
	})
}

// tornReader remembers that what it reads has broken off.
type tornReader struct {
	io.Reader
	err error
}

func (t *tornReader) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	var out T
	err := c.call(ctx, request{method: http.MethodGet, path: path, query: query}, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path, contentType string, body []byte) (T, error) {
	var out T
	err := c.call(ctx, posting(path, contentType, body), &out)
	return out, err
}

func postJSON[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		var none T
		return none, fmt.Errorf("POST %s: %w", path, err)
	}
	return post[T](ctx, c, path, "application/json", encoded)
}

func posting(path, contentType string, body []byte) request {
	return request{
		method: http.MethodPost, path: path, header: http.Header{"Content-Type": {contentType}}, size: int64(len(body)),
		body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
}

// segments joins path elements, each escaped.
func segments(elements ...string) string {
	var b strings.Builder
	for _, e := range elements {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(e))
	}
	return b.String()
}

func number(n int) string { return strconv.Itoa(n) }
