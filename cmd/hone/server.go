package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/analytics"
	"hone/api"
	"hone/coordinator"
	"hone/gate"
	"hone/gpuworker"
	"hone/ingest"
	"hone/lake"
	"hone/loop"
	"hone/program"
)

// serverOptions configure everything that one process serves.
type serverOptions struct {
	// dir holds all of it; it belongs to one process at a time.
	dir string
	// lake is the directory of the lake, which nodes share; default: in dir.
	lake   string
	peers  peerOptions
	listen string
	// insecureListen allows an address that is not loopback: there is no
	// authentication yet.
	insecureListen bool
	logger         *slog.Logger
	// gates are programs beside the built-in gates, each NAME="CMD ...", that run
	// as programs says.
	gates    []string
	programs program.Options
	// ready is called with the server's URL when it can be asked.
	ready func(url string)
}

// serve runs a coordinator with its lake, its view and its HTTP server until
// ctx ends or one of them fails. What depends on others stops first: HTTP and
// ingest, then the workers' socket, so that what they have begun can still be
// committed; then the coordinator, and last the view, from which it reads.
func serve(ctx context.Context, o serverOptions) (err error) {
	listener, err := listenAt(ctx, "--listen", o.listen, o.insecureListen)
	if err != nil {
		return err
	}
	defer listener.Close()
	unlock, err := lockDir(o.dir)
	if err != nil {
		return err
	}
	defer unlock()
	o.programs.Dir, o.programs.Logger = filepath.Join(o.dir, "programs"), o.logger
	judges, stopJudges, err := openGates(ctx, o.gates, o.programs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopJudges()) }()
	if o.lake == "" {
		o.lake = filepath.Join(o.dir, "lake")
	}
	store, err := lake.Open(lake.Options{Dir: o.lake})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	peers, err := o.peers.open(ctx, listener.Addr(), o.insecureListen)
	if err != nil {
		return err
	}
	if peers != nil {
		defer peers.Listener.Close()
	}
	cluster, err := o.peers.clusterToJoin(ctx, o.dir)
	if err != nil {
		return err
	}
	url := "http://" + o.peers.reached(listener.Addr())
	node, err := coordinator.NewNode(coordinator.NodeOptions{
		Dir: raftDir(o.dir), Name: o.peers.node, Cluster: cluster, Join: urls(o.peers.join), Peers: peers,
		URL: url, Build: version(), DeadAfter: o.peers.deadAfter, Logger: o.logger,
	})
	if err != nil {
		return err
	}
	if err := store.Claim(node.Cluster()); err != nil {
		return err
	}
	view, err := analytics.New(analytics.Options{
		Dir: filepath.Join(o.dir, "analytics"), Cluster: node.Cluster(), Catalogue: node, Parts: store, Logger: o.logger,
	})
	if err != nil {
		return err
	}
	current := currentView{view, node}
	coord := coordinator.New(coordinator.Options{
		Node: node, Gates: gates{gate.New(gate.Options{Lake: store, Gates: judges})}, Parts: store, Staging: store, Collection: store, Merger: store, View: current, Logger: o.logger, Build: version(),
	})
	hub := gpuworker.NewHub(gpuworker.HubOptions{Dispatcher: coord, Receiver: coord, Small: smallBundle, Logger: o.logger})
	intake := ingest.New(ingest.Options{Spaces: coord, Samples: current, Parts: outcomeParts{store, coord}, Log: coord, Logger: o.logger})

	mux := http.NewServeMux()
	routes := coordinator.NewAPI(mux, version())
	coordinator.Register(routes, coordinator.ControlOptions{
		Coordinator: coord, Objects: store, Queries: queries{view}, Version: version(), Started: time.Now(),
	})
	intake.Register(routes)
	registerWorkers(mux, routes, hub)

	return runInOrder(ctx,
		func(ctx context.Context) error {
			return serveHTTP(ctx, listener, coord.Front(mux), func() {
				select {
				case <-coord.Ready():
					o.ready(url)
				case <-ctx.Done():
				}
			})
		},
		intake.Run,
		hub.Run,
		coord.Run,
		view.Run,
	)
}

// smallBundle is the most bytes of a bundle that is sent with its delivery: it
// arrives sooner than a file is synced.
const smallBundle = 64 << 10

// runInOrder runs all parts until ctx ends or one returns, then stops them one
// after another, in the order given, waiting for each.
func runInOrder(ctx context.Context, parts ...func(context.Context) error) error {
	first := make(chan struct{}, len(parts))
	type running struct {
		stop context.CancelFunc
		done chan error
	}
	started := make([]running, len(parts))
	// What others depend on starts first.
	for i := len(parts) - 1; i >= 0; i-- {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		started[i] = running{stop, make(chan error, 1)}
		go func() {
			started[i].done <- parts[i](own)
			first <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-first:
	}
	var err error
	for _, p := range started {
		p.stop()
		if e := <-p.done; !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// shutdownGrace is how long requests may go on after the server was told to
// stop.
const shutdownGrace = 5 * time.Second

func serveHTTP(ctx context.Context, listener net.Listener, routes http.Handler, ready func()) error {
	// Long polls end when the server stops, rather than hold it up.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	unused := newUnused()
	server.ConnState = unused.changed
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		cancel()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer done()
		unused.close()
		if err := server.Shutdown(grace); err != nil {
			return errors.Join(server.Close())
		}
		return nil
	})
	group.Go(func() error { ready(); return nil })
	return group.Wait()
}

// unusedConns are connections over which no request has come yet. Clients open
// more than they need, and Shutdown would wait five seconds for each.
type unusedConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newUnused() *unusedConns { return &unusedConns{conns: make(map[net.Conn]struct{})} }

// changed is the server's ConnState.
func (u *unusedConns) changed(conn net.Conn, to http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case to != http.StateNew:
		delete(u.conns, conn)
	case u.closed:
		conn.Close()
	default:
		u.conns[conn] = struct{}{}
	}
}

func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for conn := range u.conns {
		conn.Close()
	}
}

// listenAt opens the address that a flag gives. Only loopback is safe without
// authentication.
func listenAt(ctx context.Context, flag, address string, insecure bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usage("%s %q is not HOST:PORT: %v", flag, address, err)
	}
	if ip := net.ParseIP(host); !insecure && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usage("%s %s would let anyone who reaches this machine in, as there is no authentication yet; listen on 127.0.0.1, or say --insecure-listen if you mean it", flag, address)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, loop.Conflict(flag, "%s is taken, perhaps by a server that runs already (hone status --server %s); choose another", address, address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// lockDir creates the directory and holds it for this process alone.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s is in use by another process: stop that one, or choose another --data", dir)
	}
	return func() { file.Close() }, nil
}

// gates passes the gate stage to the coordinator.
type gates struct{ *gate.Stage }

func (g gates) Judge(ctx context.Context, lookup func(string, int) (*loop.Definition, []string, error), epoch uint64, deliveries []loop.Delivery) ([]loop.Judged, error) {
	return g.Stage.Judge(ctx, lookup, epoch, deliveries)
}

// outcomeParts writes ingest's parts under the open epoch.
type outcomeParts struct {
	lake  *lake.Lake
	coord *coordinator.Coordinator
}

func (p outcomeParts) WriteOutcomes(ctx context.Context, space *loop.Space, posts []loop.PostRows) (loop.Object, error) {
	return p.lake.WriteOutcomes(ctx, p.coord.Epoch(), space, posts)
}

// currentView looks digests up in a view that has seen all that this node has
// committed: who has read a manifest from us may ask for its samples at once,
// and post about them, also while the view is being built again.
type currentView struct {
	*analytics.View
	node *coordinator.Node
}

func (v currentView) Resolve(ctx context.Context, space, evalSet string, digests []loop.Digest) (map[loop.Digest]loop.Resolved, error) {
	if err := v.Wait(ctx, v.node.Sequence()); err != nil {
		return nil, err
	}
	return v.View.Resolve(ctx, space, evalSet, digests)
}

func (v currentView) Examples(ctx context.Context, space, evalSet string, examples []string) (map[string]loop.Resolved, bool, error) {
	set, version, err := v.node.Imported(space, evalSet)
	if set == "" || err != nil {
		return nil, set != "", err
	}
	if err := v.Wait(ctx, v.node.Sequence()); err != nil {
		return nil, true, err
	}
	known, err := v.View.Examples(ctx, space, set, version, examples)
	return known, true, err
}

func (v currentView) Locate(ctx context.Context, digests []loop.Digest) (map[loop.Digest]loop.Address, error) {
	if err := v.Wait(ctx, v.node.Sequence()); err != nil {
		return nil, err
	}
	return v.View.Locate(ctx, digests)
}

// queries passes analysts' SQL to the view.
type queries struct{ *analytics.View }

func (q queries) Query(ctx context.Context, query string, atLeast uint64) (api.Table, error) {
	answer, err := q.View.Query(ctx, query, atLeast, 0)
	if err != nil {
		return api.Table{}, err
	}
	table := api.Table{Columns: []string{}, Rows: answer.Rows, Sequence: answer.Sequence, Truncated: answer.Truncated}
	for _, c := range answer.Columns {
		table.Columns = append(table.Columns, c.Name)
	}
	return table, nil
}
