package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DefaultServer is where a server listens unless told otherwise.
const DefaultServer = "http://127.0.0.1:7070"

// Client speaks to one server. Its fields may be changed before the first
// request, not after; it is then safe for concurrent use.
type Client struct {
	// Server is the URL without a trailing slash.
	Server string
	// HTTP does the requests. Its Timeout stays 0: downloads and waits are long.
	HTTP *http.Client
	// Patience is how long a request that meets no server, or a 503, is sent
	// again before its error is returned. 30 s; 0 means once.
	Patience time.Duration
	// Pause is the first wait between two tries, doubled up to 5 s and jittered.
	Pause time.Duration
}

// New is a client of a server, e.g. "http://127.0.0.1:7070"; "" means
// DefaultServer, and a missing scheme http.
func New(server string) *Client {
	if server == "" {
		server = DefaultServer
	}
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// A server that has read all of a request and says nothing for so long is
	// gone: the longest that one waits on purpose is maxWait.
	transport.ResponseHeaderTimeout = 2 * maxWait
	return &Client{
		Server:   strings.TrimRight(server, "/"),
		HTTP:     &http.Client{Transport: transport},
		Patience: 30 * time.Second,
		Pause:    100 * time.Millisecond,
	}
}

// maxWait bounds one long poll; longer waits are made of several.
const (
	maxWait  = time.Minute
	maxPause = 5 * time.Second
	// maxAnswer bounds a JSON answer.
	maxAnswer = 1 << 30
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

// send sends the request until it is answered with something else than 503, the
// patience ends or ctx does, and returns a 2xx answer, whose body the caller
// closes. Any other answer is a *Problem.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	var spent time.Duration
	for pause := max(c.Pause, time.Millisecond); ; pause = min(2*pause, maxPause) {
		answer, err := c.try(ctx, r)
		if err == nil {
			return answer, nil
		}
		p, ok := errors.AsType[*Problem](err)
		if !ok || !(p.Unreached || p.Status == http.StatusServiceUnavailable) || ctx.Err() != nil {
			return nil, err
		}
		wait := pause/2 + rand.N(pause/2+1)
		if spent+wait > c.Patience {
			return nil, err
		}
		spent += wait
		if err := sleep(ctx, wait); err != nil {
			return nil, err
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

func (c *Client) try(ctx context.Context, r request) (*http.Response, error) {
	target := c.Server + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	q, err := http.NewRequestWithContext(ctx, r.method, target, nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, target, err)
	}
	for name, values := range r.header {
		q.Header[name] = values
	}
	q.Header.Set("User-Agent", "hone")
	if r.body != nil {
		// GetBody lets the transport follow a 307 to the leader with the same body.
		q.GetBody, q.ContentLength = r.body, r.size
		if q.Body, err = r.body(); err != nil {
			return nil, fmt.Errorf("%s %s: body: %w", r.method, target, err)
		}
	}
	answer, err := c.HTTP.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		cause := err
		if u, ok := errors.AsType[*url.Error](err); ok {
			cause = u.Err
		}
		p := NewProblem(http.StatusServiceUnavailable, fmt.Sprintf("no server answers at %s: %v", c.Server, cause))
		p.Unreached = true
		return nil, p
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, problem(answer)
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

// call sends a request and decodes the JSON answer into out.
func (c *Client) call(ctx context.Context, r request, out any) error {
	answer, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	decoder := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer))
	decoder.UseNumber()
	if err := decoder.Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s %s: the answer is not what it should be: %w", r.method, r.path, err)
	}
	return nil
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
