package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hone/loop"
)

// ensemble is a cluster of three in memory, in virtual time: a hub each, one desk
// for what all of them know, and a network that fails as it is told.
type ensemble struct {
	t    *testing.T
	dir  string
	desk *desk
	ctx  context.Context

	mu      sync.Mutex
	leader  string // whom the others name
	endTerm context.CancelCauseFunc
	members map[string]*member
	// since is when the leader was elected; joins are when workers joined it.
	since time.Time
	joins []time.Duration
	asked int // requests, of all members but the leader
}

type member struct {
	name    string
	hub     *Hub
	calls   chan net.Conn
	killed  bool
	away    bool                          // unreachable: whoever calls waits
	running atomic.Pointer[chan struct{}] // closed unless it is stopped
	conns   []net.Conn
}

var errDeposed = errors.New("another leads")

func inEnsemble(t *testing.T, units []loop.Unit, test func(e *ensemble)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		e := &ensemble{t: t, dir: dir, desk: newDesk(units...), ctx: ctx, members: make(map[string]*member)}
		e.desk.join = func(loop.Worker) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.joins = append(e.joins, time.Since(e.since))
			return nil
		}
		var wg sync.WaitGroup
		for _, name := range []string{"n1", "n2", "n3"} {
			m := &member{name: name, calls: make(chan net.Conn)}
			m.stop()
			m.thaw()
			m.hub = NewHub(HubOptions{Dispatcher: e.desk, Receiver: e.desk, Logger: testLog(t), Grace: time.Millisecond})
			e.members[name] = m
			mux := http.NewServeMux()
			mux.Handle("GET /v1/workers", m.hub)
			mux.HandleFunc("GET /v1/status", func(http.ResponseWriter, *http.Request) {})
			mux.HandleFunc("PUT /v1/staging/{worker}/{unit}/{name}", e.desk.put)
			server := &http.Server{Handler: e.whenLeading(m, mux)}
			wg.Go(func() { _ = server.Serve(caller{m.calls, ctx}) })
			wg.Go(func() {
				if err := m.hub.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			defer server.Close()
			awaitRunning(m.hub)
		}
		e.elect("n1")
		test(e)
		stop()
		for _, m := range e.members {
			m.thaw()
			for _, c := range m.conns {
				_ = c.Close()
			}
		}
		wg.Wait()
	})
}

func (e *ensemble) whenLeading(m *member, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		leader := e.leader
		if leader != m.name {
			e.asked++
		}
		e.mu.Unlock()
		switch leader {
		case m.name:
			next.ServeHTTP(w, r)
		case "":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Location", "http://"+leader+r.RequestURI)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	})
}

// elect has a member lead from now on, and the one before it hear of its end.
func (e *ensemble) elect(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.endTerm != nil {
		e.endTerm(errDeposed)
	}
	term, end := context.WithCancelCause(e.ctx)
	e.leader, e.endTerm, e.since, e.joins = name, end, time.Now(), nil
	e.desk.mu.Lock()
	e.desk.term = term
	e.desk.mu.Unlock()
}

func (e *ensemble) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	e.mu.Lock()
	m := e.members[host]
	killed, away := m.killed, m.away
	e.mu.Unlock()
	switch {
	case killed:
		return nil, fmt.Errorf("connect to %s: refused", host)
	case away:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	here, there := net.Pipe()
	select {
	case m.calls <- &stoppable{there, m}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.ctx.Done():
		return nil, e.ctx.Err()
	}
	e.mu.Lock()
	m.conns = append(m.conns, there)
	e.mu.Unlock()
	return here, nil
}

// kill is what a crash of the process does: its connections end.
func (e *ensemble) kill(m *member) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m.killed = true
	for _, c := range m.conns {
		_ = c.Close()
	}
	m.conns = nil
}

// freeze is SIGSTOP; with away it is a cut cable: nobody is even let in.
func (e *ensemble) freeze(m *member, away bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m.away = away
	m.stop()
}

// back lets a member do its work again.
func (e *ensemble) back(m *member) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m.killed, m.away = false, false
	m.thaw()
}

func (m *member) stop() {
	running := make(chan struct{})
	m.running.Store(&running)
}

func (m *member) thaw() {
	running := *m.running.Load()
	select {
	case <-running:
	default:
		close(running)
	}
}

// stoppable is a connection of a member as the member has it.
type stoppable struct {
	net.Conn
	m *member
}

func (s *stoppable) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	<-*s.m.running.Load()
	return n, err
}

func (s *stoppable) Write(p []byte) (int, error) {
	<-*s.m.running.Load()
	return s.Conn.Write(p)
}

// caller is a listener to whom calls are put through.
type caller struct {
	calls chan net.Conn
	ctx   context.Context
}

func (c caller) Accept() (net.Conn, error) {
	select {
	case conn := <-c.calls:
		return conn, nil
	case <-c.ctx.Done():
		return nil, net.ErrClosed
	}
}
func (c caller) Close() error   { return nil }
func (c caller) Addr() net.Addr { return &net.UnixAddr{} }

// worker runs an agent with shipped defaults, until the test ends.
func (e *ensemble) worker(name string, change func(*AgentOptions)) (stop func()) {
	o := AgentOptions{Server: "n1,n2,n3", Name: name, Dir: filepath.Join(e.dir, name), Generators: []Generator{echo{}}, Logger: testLog(e.t),
		Transport: &http.Transport{DialContext: e.dial}, Grace: time.Millisecond}
	if change != nil {
		change(&o)
	}
	a, err := NewAgent(o)
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			e.t.Error(err)
		}
	}()
	return func() {
		cancel()
		<-done
		o.Transport.CloseIdleConnections()
	}
}

// joined waits, in virtual time, until so many have joined the leader, and says
// when, since its election, the last one did.
func (e *ensemble) joined(n int, within time.Duration) (last time.Duration) {
	e.t.Helper()
	deadline := time.Now().Add(within)
	for {
		synctest.Wait()
		e.mu.Lock()
		joins := slices.Clone(e.joins)
		e.mu.Unlock()
		if len(joins) >= n {
			return slices.Max(joins)
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("%d of %d workers have found the leader within %v", len(joins), n, within)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// However a leader is lost, its workers are with the next one within a second and
// a half of its election and three of the loss, and not long after a node that
// does not answer was the one to ask.
func TestFailover(t *testing.T) {
	const workers, rounds = 6, 12
	faults := map[string]func(e *ensemble, m *member){
		"killed":  func(e *ensemble, m *member) { e.kill(m) },
		"stopped": func(e *ensemble, m *member) { e.freeze(m, false) },
		"cut off": func(e *ensemble, m *member) { e.freeze(m, true) },
		"deposed": func(e *ensemble, _ *member) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.leader = ""
			e.endTerm(errDeposed)
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			inEnsemble(t, nil, func(e *ensemble) {
				var stops []func()
				for i := range workers {
					stops = append(stops, e.worker(fmt.Sprint("w", i), nil))
				}
				e.joined(workers, 5*time.Second)
				rng := rand.New(rand.NewPCG(1, 2))
				names := []string{"n1", "n2", "n3"}
				var most, mostAfter time.Duration
				for i := range rounds {
					old, next := e.members[names[i%3]], names[(i+1+rng.IntN(2))%3]
					if next == old.name {
						next = names[(i+1)%3]
					}
					time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
					lost := time.Now()
					fault(e, old)
					// The others take a while to notice, and to agree.
					time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
					e.elect(next)
					elected := time.Since(lost)
					after := e.joined(workers, 10*time.Second)
					most, mostAfter = max(most, elected+after), max(mostAfter, after)
					e.back(old)
					if names[(i+1)%3] != next { // back to who is next to fail
						e.elect(names[(i+1)%3])
						e.joined(workers, 10*time.Second)
					}
					time.Sleep(30 * time.Second) // what a stopped hub still has to say
				}
				t.Logf("with the next leader at most %v after the loss, %v after the election", most, mostAfter)
				if most > 3*time.Second+200*time.Millisecond || mostAfter > 2*time.Second {
					t.Errorf("with the next leader only %v after the loss, %v after the election", most, mostAfter)
				}
				for _, stop := range stops {
					stop()
				}
			})
		})
	}
}

// A leader that only says nothing for a while keeps its workers, though they look
// around; who is asked meanwhile is asked about once a second by each.
func TestSlowLeaderKeepsItsWorkers(t *testing.T) {
	inEnsemble(t, nil, func(e *ensemble) {
		var stops []func()
		for i := range 5 {
			stops = append(stops, e.worker(fmt.Sprint("w", i), nil))
		}
		e.joined(5, 5*time.Second)
		time.Sleep(time.Minute)
		e.mu.Lock()
		before := e.asked
		e.mu.Unlock()
		e.freeze(e.members["n1"], false)
		time.Sleep(8 * time.Second)
		e.mu.Lock()
		looks := e.asked - before
		e.mu.Unlock()
		e.back(e.members["n1"])
		time.Sleep(time.Minute)
		e.mu.Lock()
		if len(e.joins) != 5 || looks < 5*5 || looks > 5*15 {
			t.Errorf("%d connections of 5 workers, which have looked around %d times in 8 s", len(e.joins), looks)
		}
		if idle := e.asked - before - looks; idle != 0 {
			t.Errorf("asked %d times, though the leader gave signs of life", idle)
		}
		e.mu.Unlock()
		for _, stop := range stops {
			stop()
		}
	})
}

// While nobody leads, workers do not come in step, nor all the time.
func TestNoStampede(t *testing.T) {
	const workers = 40
	inEnsemble(t, nil, func(e *ensemble) {
		var stops []func()
		for i := range workers {
			stops = append(stops, e.worker(fmt.Sprint("w", i), nil))
		}
		e.joined(workers, 10*time.Second)
		e.kill(e.members["n1"])
		e.mu.Lock()
		e.leader = ""
		e.mu.Unlock()
		time.Sleep(3 * time.Second)
		for range 10 {
			e.mu.Lock()
			before := e.asked
			e.mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			e.mu.Lock()
			if came := e.asked - before; came > workers/2 {
				t.Errorf("%d of %d workers came within 100 ms", came, workers)
			}
			e.mu.Unlock()
		}
		e.mu.Lock()
		before := e.asked
		e.mu.Unlock()
		time.Sleep(20 * time.Second)
		e.mu.Lock()
		if came := e.asked - before; came > workers*20*3/2 || came < workers*20/2 {
			t.Errorf("%d workers came %d times in 20 s", workers, came)
		}
		e.mu.Unlock()
		for _, stop := range stops {
			stop()
		}
	})
}

// Work goes on over leaders that are killed, stopped, cut off and deposed at any
// moment, also in the middle of staging, and each unit is committed (C9, I1).
func TestWorkOverLeaders(t *testing.T) {
	all := units(300, 2)
	inEnsemble(t, all, func(e *ensemble) {
		slow := echo{before: func(ctx context.Context, _ Work, _ func(uint64, []loop.Member) error) error {
			select {
			case <-time.After(rand.N(2 * time.Second)):
			case <-ctx.Done():
			}
			return ctx.Err()
		}}
		var stops []func()
		for i := range 4 {
			stops = append(stops, e.worker(fmt.Sprint("w", i), func(o *AgentOptions) { o.Generators = []Generator{slow} }))
		}
		rng := rand.New(rand.NewPCG(3, 4))
		names := []string{"n1", "n2", "n3"}
		for i := 0; ; i++ {
			e.desk.mu.Lock()
			done := len(e.desk.committed) == 600
			e.desk.mu.Unlock()
			if done {
				break
			}
			if i == 1000 {
				t.Fatal("it never ends")
			}
			time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Second))))
			old := e.members[names[i%3]]
			switch rng.IntN(3) {
			case 0:
				e.kill(old)
			case 1:
				e.freeze(old, rng.IntN(2) == 0)
			}
			time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
			e.elect(names[(i+1)%3])
			time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
			e.back(old)
		}
		e.desk.wantCommitted(t, all)
		e.desk.mu.Lock()
		t.Logf("%d connections, %d deliveries of %d units", e.desk.joined, e.desk.deliver, len(all))
		if len(e.desk.failed) > 0 {
			t.Errorf("failed: %v", e.desk.failed)
		}
		e.desk.mu.Unlock()
		for _, stop := range stops {
			stop()
		}
	})
}
