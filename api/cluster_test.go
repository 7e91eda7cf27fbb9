package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hone/loop"
)

func TestNewServers(t *testing.T) {
	for list, want := range map[string][]string{
		"":                        {DefaultServer},
		" , ":                     {DefaultServer},
		"n1:7070":                 {"http://n1:7070"},
		"http://n1/hone/":         {"http://n1/hone"},
		"n1, https://n2:1/,,n1":   {"http://n1", "https://n2:1"},
		"[::1]:7070,127.0.0.1:80": {"http://[::1]:7070", "http://127.0.0.1:80"},
	} {
		s, err := NewServers(list)
		if err != nil || !slices.Equal(s.Turn(), want) || s.String() != strings.Join(want, ",") {
			t.Errorf("%q: %v, %v", list, s, err)
		}
	}
	for _, list := range []string{"ftp://n1", "n1,http://", "http://u:p@n1", "http://n1?x=1", "n1:port", "http://n 1", "n1#x"} {
		_, err := NewServers(list)
		if refusal, ok := errors.AsType[*loop.Error](err); !ok || refusal.Field != "server" || refusal.Remedy == "" {
			t.Errorf("%q: %v", list, err)
		}
		if _, again := New(list).Status(t.Context()); !errors.Is(again, err) && fmt.Sprint(again) != fmt.Sprint(err) {
			t.Errorf("%q: a request says %v", list, again)
		}
	}
}

func TestServersTurn(t *testing.T) {
	s, err := NewServers("a,b,c")
	if err != nil {
		t.Fatal(err)
	}
	want := func(why string, servers ...string) {
		t.Helper()
		for i := range servers {
			servers[i] = "http://" + servers[i]
		}
		if got := s.Turn(); !slices.Equal(got, servers) {
			t.Errorf("%s: %v, want %v", why, got, servers)
		}
	}
	want("as given", "a", "b", "c")
	s.Answered("http://b")
	want("who answered is first", "b", "c", "a")
	s.Failed("http://a")
	want("another failed", "b", "c", "a")
	s.Failed("http://b")
	want("the first one failed", "c", "a", "b")
	s.Answered("http://x")
	want("a learnt one answered", "x", "a", "b", "c")
	s.Answered("http://c")
	want("it is remembered", "c", "x", "a", "b")
	s.Failed("http://x")
	want("and forgotten", "c", "a", "b")
	s.Failed("http://x")
	for i := range 2 * maxLearnt {
		s.Answered(fmt.Sprintf("http://x%d", i))
	}
	if got := s.Turn(); len(got) != 3+maxLearnt || got[0] != "http://x15" {
		t.Errorf("without bound: %v", got)
	}
	s.Failed("http://x15")
	if got := s.Turn(); len(got) != 3+maxLearnt-1 || got[0] != "http://a" {
		t.Errorf("the last one, forgotten: %v", got)
	}
}

func TestRedirected(t *testing.T) {
	for _, c := range []struct {
		status         int
		location, want string
		problem        string
	}{
		{200, "http://n2/v1/x?y=1", "", ""},
		{302, "http://n2/v1/x?y=1", "", ""},
		{307, "http://n2:1/v1/x?y=1", "http://n2:1", ""},
		{308, "http://n2/hone/v1/x?y=1", "http://n2/hone", ""},
		{307, "//n2/v1/x?y=1", "http://n2", ""},
		{307, "https://n2/v1/x?y=1", "", "by https rather than http"},
		{307, "ws://n2/v1/x?y=1", "", "by ws rather than http"},
		{307, "http://n2/v1/x", "", "another request"},
		{307, "http://n2/v1/z?y=1", "", "another request"},
		{307, "http://u:p@n2/v1/x?y=1", "", "no URL"},
		{307, "http:///v1/x?y=1", "", "no URL"},
		{307, "http://%zz/v1/x?y=1", "", "no URL"},
		{307, "", "", "no URL"},
	} {
		answer := &http.Response{StatusCode: c.status, Header: http.Header{"Location": {c.location}}}
		got, err := Redirected(answer, "http://n1/base", "/v1/x?y=1")
		if got != c.want || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%d to %q: %q, %v; want %q, %q", c.status, c.location, got, err, c.want, c.problem)
		}
	}
}

// cluster is some nodes, of which one may lead; the others name it.
type cluster struct {
	mu     sync.Mutex
	nodes  []*node
	leader *node
	// lead answers what the leader is asked.
	lead http.HandlerFunc
}

type node struct {
	cluster *cluster
	server  *httptest.Server
	asked   int
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := n.cluster
	c.mu.Lock()
	n.asked++
	leader := c.leader
	c.mu.Unlock()
	switch leader {
	case n:
		c.lead(w, r)
	case nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "there is no leader")
	default:
		w.Header().Set("Location", leader.server.URL+r.RequestURI)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func newCluster(t *testing.T, size int, lead http.HandlerFunc) *cluster {
	c := &cluster{lead: lead}
	for range size {
		n := &node{cluster: c}
		n.server = httptest.NewServer(n)
		t.Cleanup(n.server.Close)
		c.nodes = append(c.nodes, n)
	}
	return c
}

func (c *cluster) elect(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = n
}

func (c *cluster) counts() (asked []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		asked = append(asked, n.asked)
		n.asked = 0
	}
	return asked
}

// client is one that was given the first so many nodes.
func (c *cluster) client(given int) *Client {
	var urls []string
	for _, n := range c.nodes[:given] {
		urls = append(urls, n.server.URL)
	}
	return quick(strings.Join(urls, ","))
}

// The same method, body and headers go to the leader, who is asked first from
// then on; when it is gone the others are, until one of them names another.
func TestClientFollowsTheLeader(t *testing.T) {
	c := newCluster(t, 3, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Query().Get("model") != "m@1" || string(body) != "rows" || r.Header.Get("Idempotency-Key") != "k" {
			t.Errorf("the leader was asked %s %s %q %v", r.Method, r.URL, body, r.Header)
		}
		io.WriteString(w, `{"accepted":4}`)
	})
	post := func(client *Client) error {
		_, err := client.PostOutcomes(t.Context(), OutcomesOptions{Space: "s", Model: "m@1", Key: "k"}, strings.NewReader("rows"))
		return err
	}
	for given := 1; given <= 3; given += 2 {
		c.elect(c.nodes[2])
		client := c.client(given)
		for range 3 {
			if err := post(client); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.counts(); !slices.Equal(got, []int{1, 0, 3}) {
			t.Errorf("asked %v times", got)
		}
		c.elect(nil)
		client.Patience = 0
		if err := post(client); err == nil || strings.Count(err.Error(), "there is no leader") != max(2, given) {
			t.Errorf("without a leader: %v", err)
		}
		c.counts()
		client.Patience = time.Minute
		go c.elect(c.nodes[1])
		if err := post(client); err != nil {
			t.Fatal(err)
		}
		c.counts()
		if err := post(client); err != nil || !slices.Equal(c.counts(), []int{0, 1, 0}) {
			t.Errorf("after the election: %v", err)
		}
	}
}

// An error names each server and what was wrong with it.
func TestAllServersFail(t *testing.T) {
	c := newCluster(t, 3, nil)
	client := c.client(3)
	client.Patience = 0
	c.elect(c.nodes[0])
	c.nodes[0].server.Close()
	_, err := client.Status(t.Context())
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusServiceUnavailable || p.Unreached {
		t.Fatalf("%+v", err)
	}
	for i, want := range []string{"connection refused", "names " + c.nodes[0].server.URL + " as the leader", "names " + c.nodes[0].server.URL} {
		if !strings.Contains(err.Error(), c.nodes[i].server.URL+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: nothing about %s (%s)", err, c.nodes[i].server.URL, want)
		}
	}
	c.nodes[1].server.Close()
	c.nodes[2].server.Close()
	if _, err = client.Status(t.Context()); !errors.As(err, &p) || !p.Unreached || strings.Count(err.Error(), "refused") != 3 {
		t.Errorf("%v", err)
	}
}

// Servers that send one on in a circle, or for ever, are none.
func TestRedirectsEnd(t *testing.T) {
	asked := 0
	var servers []*httptest.Server
	for i := range 9 {
		servers = append(servers, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			to := servers[(i+1)%len(servers)].URL
			if r.URL.Path == "/v1/models" {
				to = servers[i^1].URL
			}
			w.Header().Set("Location", to+r.RequestURI)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})))
		t.Cleanup(servers[i].Close)
	}
	client := quick(servers[0].URL)
	client.Patience = 0
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "as 5 others have") || asked != 1+maxHops {
		t.Errorf("for ever: %v after %d", err, asked)
	}
	asked = 0
	if _, err := client.Models(t.Context()); err == nil || asked != 2 {
		t.Errorf("in a circle: %v after %d", err, asked)
	}
	client.Patience = time.Second
	if _, err := client.Models(t.Context()); !errors.Is(err, loop.ErrUnavailable) || asked < 6 {
		t.Errorf("it is tried again: %v after %d", err, asked)
	}
}

// A large body is not sent to a node that does not want it.
func TestStageFollows(t *testing.T) {
	content := strings.Repeat("bytes", 1<<20)
	c := newCluster(t, 2, nil)
	c.elect(c.nodes[1])
	var read int
	count := http.DefaultTransport.(*http.Transport).Clone()
	client := c.client(1)
	client.HTTP = &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		r.Body = &counting{r.Body, &read}
		return count.RoundTrip(r)
	})}
	u := loop.Unit{Campaign: "c", Round: 1, Count: 1}
	c.lead = func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != content || r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/staging/w/"+u.ID()+"/samples.tar") {
			t.Errorf("%s %s: %d bytes, %v", r.Method, r.URL, len(body), err)
		}
		io.WriteString(w, `{}`)
	}
	if err := client.Stage(t.Context(), "w", u, "samples.tar", strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if read != len(content) {
		t.Errorf("%d bytes were sent, want %d", read, len(content))
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type counting struct {
	io.ReadCloser
	n *int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	*c.n += n
	return n, err
}

// A read that may be stale is asked for as one, of any node, and said to be.
func TestStale(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		w.Header().Set("Hone-Consistency", "stale")
		w.Header().Set("Hone-Sequence", "41")
		io.WriteString(w, `{}`)
	}))
	defer server.Close()
	client := quick(server.URL)
	client.Stale = true
	var labels []string
	client.Labelled = func(sequence string) { labels = append(labels, sequence) }
	_, err1 := client.Status(t.Context())
	_, err2 := client.ShowSpace(t.Context(), "s", 3)
	_, err3 := client.SQL(t.Context(), "select 1", 0)
	_, err4 := client.SealModel(t.Context(), "m", "1", 1)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	want := []string{"GET /v1/status?consistency=stale", "GET /v1/spaces/s?consistency=stale&version=3", "POST /v1/sql?consistency=stale", "POST /v1/models/m/1/seal"}
	if !slices.Equal(asked, want) || !slices.Equal(labels, []string{"41", "41", "41", "41"}) {
		t.Errorf("asked %q, heard %v", asked, labels)
	}
}

// C10: a JSON answer that breaks off is asked for again.
func TestAnswerBreaksOff(t *testing.T) {
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries++
		torn(w, []byte(`{"node":"n1"}`), min(13, 4*tries))
	}))
	defer server.Close()
	if s, err := quick(server.URL).Status(t.Context()); err != nil || s.Node != "n1" || tries != 4 {
		t.Errorf("%+v, %v after %d tries", s, err, tries)
	}
}

// switchboard is a network in memory, so that time may be virtual.
type switchboard map[string]chan net.Conn

func (s switchboard) dial(_ context.Context, _, address string) (net.Conn, error) {
	here, there := net.Pipe()
	host, _, _ := net.SplitHostPort(address)
	s[host] <- there
	return here, nil
}

// line is a listener on a switchboard.
type line struct {
	calls chan net.Conn
	ctx   context.Context
}

func (l line) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}
func (l line) Close() error   { return nil }
func (l line) Addr() net.Addr { return &net.UnixAddr{} }

// A stopped leader says nothing and does not hang up. It is left when another
// one leads, and not before, however long it takes: before its answer, and in
// the middle of it.
func TestSilentLeader(t *testing.T) {
	for name, c := range map[string]struct {
		// said is how much of the answer the leader says before it falls silent.
		said string
		// deposed is after how long another one leads; 0: never.
		deposed time.Duration
		// back is after how long the leader speaks again.
		back     time.Duration
		from, to time.Duration // when there is an answer
		asked    map[string]int
		alias    string // what the others append to the leader's name
	}{
		"is deposed":                 {"", 1500 * time.Millisecond, time.Hour, 2 * time.Second, 3 * time.Second, map[string]int{"n1": 1, "n2": 1}, ""},
		"is deposed late":            {"", 10 * time.Second, time.Hour, 10 * time.Second, 13 * time.Second, map[string]int{"n1": 1, "n2": 1}, ""},
		"is deposed while it speaks": {`{"node`, 5 * time.Second, time.Hour, 5 * time.Second, 8 * time.Second, map[string]int{"n1": 1, "n2": 1}, ""},
		"is only slow":               {"", 0, 20 * time.Second, 20 * time.Second, 20 * time.Second, map[string]int{"n1": 1}, ""},
		"is only slow in the middle": {`{"node`, 0, 20 * time.Second, 20 * time.Second, 20 * time.Second, map[string]int{"n1": 1}, ""},
		"has two names":              {"", 0, 20 * time.Second, 20 * time.Second, 20 * time.Second, map[string]int{"n1": 1}, ":80"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				leader, asked := "n1", map[string]int{}
				ctx, stop := context.WithCancel(t.Context())
				board := switchboard{}
				for _, name := range []string{"n1", "n2", "n3"} {
					board[name] = make(chan net.Conn)
					server := &http.Server{BaseContext: func(net.Listener) context.Context { return ctx }, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						mu.Lock()
						leads := leader
						mu.Unlock()
						switch {
						case name == "n1" && r.Method == http.MethodHead && c.deposed == 0:
							// It is only busy with the other request.
						case name == "n1":
							if r.Method == http.MethodGet {
								asked[name]++
							}
							io.WriteString(w, c.said)
							if c.said != "" {
								w.(http.Flusher).Flush()
							}
							select {
							case <-time.After(c.back):
								io.WriteString(w, strings.TrimPrefix(`{"node":"n1"}`, c.said))
							case <-r.Context().Done():
							}
						case name != leads:
							w.Header().Set("Location", "http://"+leads+c.alias+r.RequestURI)
							w.WriteHeader(http.StatusTemporaryRedirect)
						case r.Method == http.MethodGet:
							asked[name]++
							io.WriteString(w, `{"node":"n2"}`)
						}
					})}
					go server.Serve(line{board[name], ctx})
					defer server.Close()
				}
				if c.deposed > 0 {
					go func() {
						time.Sleep(c.deposed)
						mu.Lock()
						defer mu.Unlock()
						leader = "n2"
					}()
				}
				client := New("n1,n2,n3")
				transport := &http.Transport{DialContext: board.dial}
				client.HTTP = &http.Client{Transport: transport}
				began := time.Now()
				s, err := client.Status(ctx)
				if took := time.Since(began); err != nil || took < c.from || took > c.to {
					t.Errorf("%+v, %v after %v, want %v to %v", s, err, took, c.from, c.to)
				}
				if fmt.Sprint(asked) != fmt.Sprint(c.asked) {
					t.Errorf("asked %v, want %v", asked, c.asked)
				}
				stop()
				transport.CloseIdleConnections()
			})
		})
	}
}
