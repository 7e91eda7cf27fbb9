package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hone/api"
	"hone/coordinator"
	"hone/gate"
	"hone/gpuworker"
	"hone/lake"
	"hone/loop"
)

// house is a server's parts, but for the view, in a bubble of virtual time: a real
// log and state, a real lake, the real socket. Its leader is replaced by another
// one that has nothing but the log, as after any failover.
type house struct {
	t     *testing.T
	dir   string
	store *lake.Lake
	calls chan net.Conn
	stop  func()

	mu   sync.Mutex
	made []begun
}

// begun is a unit that a worker has begun to make.
type begun struct {
	worker string
	unit   loop.Unit
	at     time.Time
	done   bool
}

const unitTime = 20 * time.Second

func (h *house) lead() {
	h.t.Helper()
	log := slog.New(slog.NewTextHandler(h.t.Output(), nil))
	node, err := coordinator.NewNode(coordinator.NodeOptions{Dir: filepath.Join(h.dir, "raft")})
	if err != nil {
		h.t.Fatal(err)
	}
	coord := coordinator.New(coordinator.Options{Node: node, Gates: gates{gate.New(gate.Options{Lake: h.store})},
		Parts: parts{h.store}, Staging: h.store, Collection: h.store, View: blank{node}, Logger: log})
	hub := gpuworker.NewHub(gpuworker.HubOptions{Dispatcher: coord, Receiver: coord, Logger: log, Grace: time.Millisecond})
	mux := http.NewServeMux()
	routes := coordinator.NewAPI(mux, "test")
	coordinator.Register(routes, coordinator.ControlOptions{Coordinator: coord, Objects: h.store, Queries: blank{node}, Version: "test", Started: time.Now()})
	registerWorkers(mux, routes, hub)
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: coord.Front(mux)}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(exchange{h.calls, ctx}) })
	for _, run := range []func(context.Context) error{hub.Run, coord.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				h.t.Error(err)
			}
		})
	}
	<-coord.Ready()
	h.stop = func() {
		cancel()
		_ = server.Close()
		wg.Wait()
	}
}

func (h *house) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case h.calls <- there:
		return here, nil
	case <-time.After(time.Millisecond): // nobody is there
		return nil, errors.New("refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// exchange is a listener to whom calls are put through.
type exchange struct {
	calls chan net.Conn
	ctx   context.Context
}

func (x exchange) Accept() (net.Conn, error) {
	select {
	case c := <-x.calls:
		return c, nil
	case <-x.ctx.Done():
		return nil, net.ErrClosed
	}
}
func (x exchange) Close() error   { return nil }
func (x exchange) Addr() net.Addr { return &net.UnixAddr{} }

// worker runs one that takes its time for each unit; die ends it without a word,
// and without a chance to say one: it is called while nobody leads.
func (h *house) worker(name string) (die func()) {
	transport := &http.Transport{DialContext: h.dial}
	agent, err := gpuworker.NewAgent(gpuworker.AgentOptions{Server: "http://house", Name: name, Slots: 2, Dir: filepath.Join(h.dir, name),
		Generators: []gpuworker.Generator{slowly{h, name}}, Transport: transport, Grace: time.Nanosecond})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := agent.Run(ctx); err != nil {
			h.t.Error(err)
		}
	}()
	return func() {
		cancel()
		<-done
		transport.CloseIdleConnections()
	}
}

// slowly is a worker's generator.
type slowly struct {
	h    *house
	name string
}

func (slowly) Describe() loop.Generator { return loop.Generator{Name: "slowly", Version: "1"} }

func (g slowly) Make(ctx context.Context, w gpuworker.Work, emit func(uint64, []loop.Member) error) error {
	g.h.mu.Lock()
	i := len(g.h.made)
	g.h.made = append(g.h.made, begun{g.name, w.Unit, time.Now(), false})
	g.h.mu.Unlock()
	select {
	case <-time.After(unitTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, s := range w.Samples {
		if err := emit(s.Name.Index, []loop.Member{{Ext: "txt", Bytes: fmt.Append(nil, s.Seed)}}); err != nil {
			return err
		}
	}
	g.h.mu.Lock()
	defer g.h.mu.Unlock()
	g.h.made[i].done = true
	return nil
}

// parts are named as they would be and written nowhere: the compressor has
// goroutines outside the bubble, and nobody reads them.
type parts struct{ *lake.Lake }

func (parts) WriteSamples(_ context.Context, epoch uint64, _ *loop.Space, rows []loop.SampleRow) (loop.Object, error) {
	digest := loop.Digest(sha256.Sum256(fmt.Append(nil, rows)))
	digits := hex.EncodeToString(digest[:])
	return loop.Object{Key: fmt.Sprintf("parts/%d/%s/%s.parquet", epoch, digits[:2], digits), Digest: digest, Bytes: 1, Rows: int64(len(rows))}, nil
}

// blank is a view of nothing.
type blank struct{ node *coordinator.Node }

func (b blank) Evidence(context.Context, loop.EvidenceQuery) (loop.Evidence, uint64, error) {
	return loop.Evidence{}, b.node.Sequence(), nil
}
func (blank) Committed(context.Context, loop.Selection) iter.Seq2[loop.CommittedSample, error] {
	return func(yield func(loop.CommittedSample, error) bool) {
		yield(loop.CommittedSample{}, errors.New("this view shows nothing"))
	}
}
func (blank) Locate(context.Context, []loop.Digest) (map[loop.Digest]loop.Address, error) {
	return nil, nil
}
func (blank) Imported(context.Context, string, string, int, uint64, int, uint64) (*loop.Space, []loop.ImportedSample, error) {
	return nil, nil, nil
}
func (b blank) Query(context.Context, string, uint64) (api.Table, error) { return api.Table{}, nil }
func (b blank) Sequence() uint64                                         { return b.node.Sequence() }

// C2, C3, C9: what a live worker is making when its leader is lost it goes on
// making, and no other worker is leased it by the next leader; what only the dead
// know of is leased again, when the workers have had time to come back.
func TestLeasesSurviveTheLeader(t *testing.T) {
	for name, without := range map[string]time.Duration{
		"at once": 0, "after an election": 2 * time.Second, "after more than a unit takes": 45 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				store, err := lake.Open(lake.Options{Dir: filepath.Join(dir, "lake")})
				if err != nil {
					t.Fatal(err)
				}
				defer store.Close()
				h := &house{t: t, dir: dir, store: store, calls: make(chan net.Conn)}
				h.lead()
				transport := &http.Transport{DialContext: h.dial}
				client := api.New("http://house")
				client.HTTP = &http.Client{Transport: transport}
				_, err1 := client.PutSpace(t.Context(), []byte("name: lab\nfactors:\n  - {name: light, kind: categorical, levels: {low: 0.25, high: 0.75}}\n"))
				_, err2 := client.PutPolicy(t.Context(), []byte("name: plain\nstrategy: uniform\n"), api.Because{})
				_, err3 := client.CreateCampaign(t.Context(), []byte("name: c\nspace: lab\npolicy: plain\ngenerator: slowly\nunit_size: 5\nseed: 7\nsamples: 100\nlearn_from: [{model_line: net}]\n"))
				if err := errors.Join(err1, err2, err3); err != nil {
					t.Fatal(err)
				}
				ann, bob, dan := h.worker("ann"), h.worker("bob"), h.worker("dan")
				time.Sleep(unitTime + unitTime/2) // each is in its second pair of units
				h.stop()
				dan()
				time.Sleep(without)
				lost := time.Now().Add(-without)
				h.lead()
				led := time.Now()
				eve := h.worker("eve") // has nothing to do
				for {
					c, err := client.Campaign(t.Context(), "c")
					if err != nil {
						t.Fatal(err)
					}
					if c.Committed == 100 {
						break
					}
					if time.Since(led) > 10*time.Minute {
						t.Fatalf("%+v", c.Counts)
					}
					time.Sleep(time.Second)
				}
				for _, die := range []func(){ann, bob, eve} {
					die()
				}
				transport.CloseIdleConnections()
				h.stop()
				h.judge(lost, led)
			})
		})
	}
}

// judge holds what was made to what should have been.
func (h *house) judge(lost, led time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	makers := map[loop.Unit][]begun{}
	for _, m := range h.made {
		makers[m.unit] = append(makers[m.unit], m)
	}
	again := 0
	for u, m := range makers {
		done := slices.ContainsFunc(m, func(m begun) bool { return m.done })
		switch {
		case !done:
			h.t.Errorf("%s was never made", u.ID())
		case len(m) == 1:
		case len(m) == 2 && m[0].worker == "dan" && !m[0].done && m[1].at.Sub(led) >= 2*time.Second:
			again++ // it was dan's, who died
			if m[1].at.Sub(led) > 2*unitTime {
				h.t.Errorf("%s was leased again only %v after the leader was there", u.ID(), m[1].at.Sub(led))
			}
		default:
			h.t.Errorf("%s was made %d times: %+v", u.ID(), len(m), m)
		}
	}
	over := slices.ContainsFunc(h.made, func(m begun) bool {
		return m.worker != "dan" && m.at.Before(lost) && m.at.Add(unitTime).After(lost) && m.done
	})
	if len(makers) != 20 || again == 0 || !over {
		h.t.Errorf("%d units, of which %d were made again; some were being made all the while: %v", len(makers), again, over)
	}
}
