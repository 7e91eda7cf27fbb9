package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"hone/loop"
)

// desk is a coordinator in memory: it leases units in order, judges deliveries
// by name (I5) after reading the staged bytes, and forgets nothing. Its hooks
// make it as bad as a test needs.
type desk struct {
	mu       sync.Mutex
	news     chan struct{}
	pending  []loop.Unit
	sessions map[string]loop.Worker
	joined   int
	leased   map[loop.Unit]string // session
	left     []error
	// staged holds bundles by worker/unit; puts counts them.
	staged map[string][]byte
	puts   int
	// committed maps every index to its digest; standings are what was answered.
	committed map[loop.Name]loop.Digest
	standings []loop.Standing
	failed    []string
	holds     [][]loop.Unit // of each join

	definition loop.Definition
	// verdict, if set, answers a delivery in place of the desk.
	verdict func(ctx context.Context, n int, d loop.Delivery) (loop.Standing, error, bool)
	join    func(loop.Worker) error
	deliver int
	// term is that of its leadership.
	term context.Context
}

func newDesk(units ...loop.Unit) *desk {
	return &desk{news: make(chan struct{}), pending: units, sessions: make(map[string]loop.Worker),
		leased: make(map[loop.Unit]string), staged: make(map[string][]byte),
		committed: make(map[loop.Name]loop.Digest), definition: shapes(), term: context.Background()}
}

// shapes is a definition with one factor of two levels.
func shapes() loop.Definition {
	even := loop.Marginal{1 << 31, 1 << 32}
	return loop.Definition{
		Campaign: "c", Seed: 42, Generator: "echo",
		Space: loop.Space{Name: "s", Version: 1, Factors: []loop.Factor{{Name: "light", Kind: loop.Categorical,
			Levels: []loop.Level{{Name: "low", Target: 0.5}, {Name: "high", Target: 0.5}}}}},
		Round: loop.Round{Campaign: "c", Number: 1, Seed: 42, SpaceVersion: 1, PolicyVersion: 1, Strategy: "uniform",
			Base: []loop.Marginal{even}, Target: []loop.Marginal{even},
			Components: []loop.Component{{Domain: loop.Train, Over: loop.OverBase, Share: 1 << 32, Quota: 10_000}}},
	}
}

func units(n, count int) []loop.Unit {
	var out []loop.Unit
	for i := range n {
		out = append(out, loop.Unit{Campaign: "c", Round: 1, First: uint64(i * count), Count: count})
	}
	return out
}

func (d *desk) changed() {
	close(d.news)
	d.news = make(chan struct{})
}

// wait waits until something is so.
func (d *desk) wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	patience := time.After(30 * time.Second)
	for {
		d.mu.Lock()
		ok, news := so(), d.news
		d.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-patience:
			t.Fatalf("never came: %s", what)
		}
	}
}

func (d *desk) Join(_ context.Context, w loop.Worker) (string, context.Context, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.join != nil {
		if err := d.join(w); err != nil {
			return "", nil, err
		}
	}
	d.joined++
	id := strconv.Itoa(d.joined)
	d.sessions[id] = w
	d.holds = append(d.holds, w.Holds)
	for _, u := range w.Holds {
		if i := slices.Index(d.pending, u); i >= 0 {
			d.pending = slices.Delete(d.pending, i, i+1)
			d.leased[u] = id
		}
	}
	d.changed()
	return id, d.term, nil
}

func (d *desk) Next(ctx context.Context, session string, free int) ([]loop.Lease, error) {
	for {
		d.mu.Lock()
		n := min(free, len(d.pending))
		var out []loop.Lease
		for _, u := range d.pending[:n] {
			d.leased[u] = session
			out = append(out, loop.Lease{Unit: u, Generator: d.definition.Generator})
		}
		d.pending = d.pending[n:]
		if n > 0 {
			d.changed()
		}
		news := d.news
		d.mu.Unlock()
		if n > 0 {
			return out, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (d *desk) Definition(_ context.Context, campaign string, round int) (loop.Definition, error) {
	if campaign != d.definition.Campaign || round != d.definition.Round.Number {
		return loop.Definition{}, loop.NotFound("round", "campaign %q has no round %d", campaign, round)
	}
	return d.definition, nil
}

func (d *desk) Leave(session string, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.sessions[session]; !ok {
		panic("left twice, or never joined: " + session)
	}
	delete(d.sessions, session)
	d.left = append(d.left, cause)
	var back []loop.Unit
	for u, with := range d.leased {
		if with == session {
			back = append(back, u)
			delete(d.leased, u)
		}
	}
	slices.SortFunc(back, func(a, b loop.Unit) int { return int(a.First) - int(b.First) })
	d.pending = append(back, d.pending...)
	d.changed()
}

func (d *desk) Deliver(ctx context.Context, session string, v loop.Delivery, staged func()) (loop.Standing, error) {
	d.mu.Lock()
	d.deliver++
	n, verdict := d.deliver, d.verdict
	delete(d.leased, v.Unit)
	d.pending = slices.DeleteFunc(d.pending, func(u loop.Unit) bool { return u == v.Unit })
	d.changed()
	d.mu.Unlock()
	staged()
	if verdict != nil {
		if standing, err, mine := verdict(ctx, n, v); mine {
			d.mu.Lock()
			defer d.mu.Unlock()
			if standing.Again {
				d.pending = append(d.pending, v.Unit)
			}
			d.changed()
			return standing, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.changed()
	bundle, ok := d.staged[v.Worker+"/"+v.Unit.ID()]
	if v.Bytes != nil {
		bundle, ok = v.Bytes, true
	}
	if !ok {
		d.pending = append(d.pending, v.Unit)
		return loop.Standing{Again: true}, nil
	}
	var st loop.Standing
	for i, s := range v.Samples {
		key, members, digest, err := loop.ReadSample(bundle[s.Offset:s.Offset+s.Length], loop.MaxSampleBytes)
		if err != nil {
			return st, err
		}
		name := v.Unit.Name(i)
		if key != name.Key() || digest != s.Digest || string(members[0].Bytes) != d.content(name) {
			return st, &loop.Error{Field: "samples", Problem: fmt.Sprintf("sample %s is not what was asked for: %s", key, members[0].Bytes)}
		}
		if _, twice := d.committed[name]; twice {
			st.Duplicate++
			continue
		}
		d.committed[name] = digest
		st.Fresh++
	}
	d.standings = append(d.standings, st)
	return st, nil
}

func (d *desk) Fail(_ context.Context, session string, u loop.Unit, problem string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = append(d.failed, u.ID()+": "+problem)
	delete(d.leased, u)
	d.pending = append(d.pending, u)
	d.changed()
	return nil
}

// content is what echo makes of a sample: so the desk sees that scenario and
// seed came out right at the other end (C5, I4).
func (d *desk) content(name loop.Name) string {
	sampler, err := loop.NewSampler(&d.definition.Space, &d.definition.Round)
	if err != nil {
		panic(err)
	}
	scenario, err := sampler.Scenario(name.Domain, name.Component, name.Index)
	if err != nil {
		panic(err)
	}
	return line(&d.definition.Space, scenario, loop.SampleSeed(d.definition.Seed, name))
}

func line(s *loop.Space, scenario loop.Scenario, seed uint64) string {
	return fmt.Sprintf("%s %d %d", s.Text(0, scenario.Codes[0]), scenario.Fractions[0], seed)
}

// put is the coordinator's staging over HTTP.
func (d *desk) put(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil || int64(len(b)) != r.ContentLength || r.PathValue("name") != loop.Bundle {
		http.Error(w, "bad upload", http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.staged[r.PathValue("worker")+"/"+r.PathValue("unit")] = b
	d.puts++
	d.changed()
	fmt.Fprintf(w, `{"bytes":%d}`, len(b))
}

// server is a running hub on a real socket.
type server struct {
	hub  *Hub
	addr string
	stop func()
}

func (s *server) url() string { return "http://" + s.addr }

// serve runs a hub for a desk; addr may be that of an earlier server.
func serve(t *testing.T, d *desk, addr string, change func(*HubOptions)) *server {
	t.Helper()
	o := HubOptions{Dispatcher: d, Receiver: d, Logger: testLog(t)}
	if change != nil {
		change(&o)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	hub := NewHub(o)
	mux := http.NewServeMux()
	mux.Handle("GET /v1/workers", hub)
	mux.HandleFunc("PUT /v1/staging/{worker}/{unit}/{name}", d.put)
	web := &http.Server{Handler: mux}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := hub.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	s := &server{hub: hub, addr: listener.Addr().String()}
	s.stop = sync.OnceFunc(func() {
		cancel()
		_ = web.Close()
		wg.Wait()
	})
	t.Cleanup(s.stop)
	awaitRunning(hub)
	return s
}

// awaitRunning returns once the hub lets workers in.
func awaitRunning(h *Hub) {
	for {
		h.mu.Lock()
		running := h.feed != nil
		h.mu.Unlock()
		if running {
			return
		}
		runtime.Gosched()
	}
}

// echo makes each sample one line that says what it was asked for.
type echo struct {
	version string
	// before, if set, is called for each unit first; an error fails it.
	before func(ctx context.Context, w Work, emit func(uint64, []loop.Member) error) error
	after  func()
}

func (e echo) Describe() loop.Generator {
	return loop.Generator{Name: "echo", Version: "1" + e.version, Deterministic: true}
}

func (e echo) Make(ctx context.Context, w Work, emit func(uint64, []loop.Member) error) error {
	if e.before != nil {
		if err := e.before(ctx, w, emit); err != nil {
			return err
		}
	}
	for _, s := range w.Samples {
		if err := emit(s.Name.Index, []loop.Member{{Ext: "txt", Bytes: []byte(line(w.Space, s.Scenario, s.Seed))}}); err != nil {
			return err
		}
	}
	if e.after != nil {
		e.after()
	}
	return nil
}

// working is a running agent.
type working struct {
	agent *Agent
	// stop ends it and returns what Run returned.
	stop func() error
	done chan struct{}
}

func work(t *testing.T, url string, change func(*AgentOptions)) *working {
	t.Helper()
	o := AgentOptions{Server: url, Name: "w1", Dir: filepath.Join(t.TempDir(), "w1"), Generators: []Generator{echo{}},
		Logger: testLog(t), MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	a, err := NewAgent(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &working{agent: a, done: make(chan struct{})}
	var result error
	go func() {
		defer close(w.done)
		result = a.Run(ctx)
	}()
	w.stop = func() error {
		cancel()
		<-w.done
		return result
	}
	t.Cleanup(func() { _ = w.stop() })
	return w
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// wantCommitted checks that exactly these units' samples are committed, once each.
func (d *desk) wantCommitted(t *testing.T, units []loop.Unit) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, u := range units {
		for i := range u.Count {
			if _, ok := d.committed[u.Name(i)]; !ok {
				t.Errorf("%s is not committed", u.Name(i).Key())
			}
			n++
		}
	}
	if len(d.committed) != n {
		t.Errorf("%d samples are committed, want %d", len(d.committed), n)
	}
}
