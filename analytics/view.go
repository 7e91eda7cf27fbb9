//go:build duckdb_arrow && cgo

package analytics

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// Options are what a view is made of. Zero values mean the defaults.
type Options struct {
	// Dir holds the view's files; it is made if it is not there. Everything in it
	// may be deleted while no process follows it.
	Dir string
	// Cluster names whose catalogue is followed. A file that followed another's is
	// built again.
	Cluster string
	// Memory bounds the memory of our own instance, in bytes; default 512 MiB.
	Memory int64
	// Threads bounds its threads; default: one per CPU, at most 4.
	Threads int
	// Batch is the largest number of changes in a transaction; default 256.
	Batch int
	// Gather is how long changes gather before a transaction while nobody waits for
	// them: many cost little more than one. Default 100 ms.
	Gather time.Duration
	// Pause follows a failure; it doubles up to 64 times this. Default 250 ms.
	Pause     time.Duration
	Catalogue Catalogue
	Parts     Parts
	// Logger defaults to none.
	Logger *slog.Logger
	// Queries bounds what analysts may use.
	Queries QueryLimits
}

// QueryLimits bound the SQL of analysts. Zero values mean the defaults.
type QueryLimits struct {
	// Memory bounds what DuckDB holds for one query, in bytes; default 200 MiB.
	// On Linux its process cannot get at more than twice this and 512 MiB.
	Memory int64
	// Disk bounds what a query may write beside its file while it sorts or joins,
	// in bytes; default 1 GiB.
	Disk int64
	// Time bounds one query; default 30 s.
	Time time.Duration
	// Rows bounds the rows of one answer; default 10,000.
	Rows int
	// Bytes bounds the bytes of one answer as JSON; default 64 MiB.
	Bytes int
	// AtOnce is how many queries run at a time; others wait. Default 2.
	AtOnce int
	// Lag is how far behind, in time, the answer to a query that names no
	// sequence may be; default 1 s. A negative lag allows none.
	Lag time.Duration
}

// ErrClosed is the answer of a view that does not run any more.
var ErrClosed = errors.New("analytics: the view is closed")

// View is a view of the catalogue and the lake. Its methods may be called at any
// time, by any goroutine; before Run has opened the files they wait.
type View struct {
	o        Options
	follower *follower
	analyst  *analyst

	// opened is closed when reads may begin; life ends when they must end.
	opened chan struct{}
	life   context.Context
	end    context.CancelCauseFunc

	mu sync.Mutex
	// sequence is that of the file, highest the highest it ever had in this
	// process: while the view is built again, reads wait for that.
	sequence uint64
	highest  uint64
	advanced chan struct{} // closed and replaced when sequence changes
	trouble  error         // the last failure to advance, nil after a success
	nudge    func()        // interrupts the wait for changes
	// waiting is how many wait for a sequence, called has a token when one began to.
	waiting int
	called  chan struct{}
	closed  bool
	reads   sync.WaitGroup
}

// New makes a view. It starts nothing and touches no file: Run does.
func New(o Options) (*View, error) {
	if err := checkDir(o.Dir); err != nil {
		return nil, err
	}
	if o.Catalogue == nil || o.Parts == nil {
		return nil, errors.New("analytics: a view needs a catalogue and parts")
	}
	o.Memory = cmp.Or(o.Memory, 512<<20)
	o.Threads = cmp.Or(o.Threads, min(4, runtime.NumCPU()))
	o.Batch = cmp.Or(o.Batch, 256)
	o.Gather = cmp.Or(o.Gather, 100*time.Millisecond)
	o.Pause = cmp.Or(o.Pause, 250*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	q := &o.Queries
	q.Memory = cmp.Or(q.Memory, 200<<20)
	q.Disk = cmp.Or(q.Disk, 1<<30)
	q.Time = cmp.Or(q.Time, 30*time.Second)
	q.Rows = cmp.Or(q.Rows, 10_000)
	q.Bytes = cmp.Or(q.Bytes, 64<<20)
	q.AtOnce = cmp.Or(q.AtOnce, 2)
	q.Lag = cmp.Or(q.Lag, time.Second)
	v := &View{o: o, opened: make(chan struct{}), advanced: make(chan struct{}), nudge: func() {}}
	v.called = make(chan struct{}, 1)
	v.life, v.end = context.WithCancelCause(context.Background())
	v.follower = v.newFollower("_view.duckdb", o.Memory, o.Threads)
	v.analyst = newAnalyst(v)
	return v, nil
}

func (v *View) newFollower(name string, memory int64, threads int) *follower {
	return &follower{
		path: filepath.Join(v.o.Dir, name), cluster: v.o.Cluster, catalogue: v.o.Catalogue, parts: v.o.Parts,
		batch: v.o.Batch, logger: v.o.Logger,
		settings: url.Values{
			"memory_limit":                 {kibibytes(memory)},
			"threads":                      {strconv.Itoa(threads)},
			"preserve_insertion_order":     {"false"},
			"autoinstall_known_extensions": {"false"},
			"autoload_known_extensions":    {"false"},
		}.Encode(),
	}
}

func kibibytes(bytes int64) string { return strconv.FormatInt(bytes>>10, 10) + "KiB" }

// Run opens the view and follows the catalogue until the context ends, which is
// no error. When it returns all queries have ended and all files are closed. It
// is called once.
func (v *View) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, v.close()) }()
	if err := os.MkdirAll(v.o.Dir, 0o755); err != nil {
		return fmt.Errorf("analytics: %w", err)
	}
	lock, err := lockDir(v.o.Dir)
	if err != nil {
		return fmt.Errorf("analytics: %w", err)
	}
	defer func() { err = errors.Join(err, v.close(), lock.Close()) }()
	if err := v.follower.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("analytics: %w", err)
	}
	v.publish(v.follower.store.seen(), nil)
	close(v.opened)

	pause, last := v.o.Pause, uint64(0)
	for ctx.Err() == nil {
		// One that is far behind does not let changes gather: there are enough.
		before := v.Sequence()
		err := v.advance(ctx, before-last < uint64(v.o.Batch))
		last = before
		if ctx.Err() != nil {
			break
		}
		sequence := uint64(0)
		if v.follower.store != nil {
			sequence = v.follower.store.seen()
		}
		v.publish(sequence, err)
		if err == nil {
			pause = v.o.Pause
			continue
		}
		v.o.Logger.Error("the view cannot follow the catalogue", "at", sequence, "again_in", pause, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 64*v.o.Pause)
	}
	return nil
}

// errNudge interrupts the wait for changes because the file is ruined.
var errNudge = errors.New("a reader found the view ruined")

// advance is one step of the follower. A reader that finds the instance ruined
// cuts the wait short, and the file is built again.
func (v *View) advance(ctx context.Context, gather bool) error {
	step, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v.mu.Lock()
	v.nudge = func() { cancel(errNudge) }
	v.mu.Unlock()
	if gather {
		v.gather(step)
	}
	err := v.follower.advance(step)
	if ctx.Err() == nil && errors.Is(context.Cause(step), errNudge) && v.follower.store != nil {
		v.publish(0, errNudge)
		return v.follower.rebuild(ctx, errNudge)
	}
	return err
}

// gather lets changes gather, until somebody waits for them.
func (v *View) gather(ctx context.Context) {
	timer := time.NewTimer(v.o.Gather)
	defer timer.Stop()
	for {
		v.mu.Lock()
		waiting := v.waiting
		v.mu.Unlock()
		if waiting > 0 {
			return
		}
		select {
		case <-v.called:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// publish says how far the view has come, or why not further.
func (v *View) publish(sequence uint64, trouble error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trouble = trouble
	v.sequence = sequence
	v.highest = max(v.highest, sequence)
	close(v.advanced)
	v.advanced = make(chan struct{})
}

// close ends all reads, waits for them, and closes the files.
func (v *View) close() error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil
	}
	v.closed = true
	v.end(ErrClosed)
	v.mu.Unlock()
	v.reads.Wait()
	return errors.Join(v.analyst.close(), v.follower.close())
}

// Sequence is how far the view has come; 0 before anything was applied.
func (v *View) Sequence() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sequence
}

// reached is the highest sequence that the view ever had in this process; the
// catalogue has it, too.
func (v *View) reached() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.highest
}

// Wait returns when the view has come to the sequence. Where the context ends
// first the error tells how far the view is, and what holds it.
func (v *View) Wait(ctx context.Context, sequence uint64) error {
	_, err := v.wait(ctx, sequence)
	return err
}

// wait waits for the sequence, and for the highest that the view ever had.
func (v *View) wait(ctx context.Context, sequence uint64) (uint64, error) {
	select {
	case <-v.opened:
	case <-v.life.Done():
		return 0, ErrClosed
	case <-ctx.Done():
		return 0, fmt.Errorf("analytics: the view is not open yet: %w", ctx.Err())
	}
	waits := false
	for {
		v.mu.Lock()
		at, want, advanced, trouble, closed := v.sequence, max(sequence, v.highest), v.advanced, v.trouble, v.closed
		v.mu.Unlock()
		switch {
		case closed:
			return 0, ErrClosed
		case at >= want:
			return at, nil
		}
		if !waits {
			waits = true
			defer v.await()()
		}
		select {
		case <-advanced:
		case <-v.life.Done():
			return 0, ErrClosed
		case <-ctx.Done():
			err := fmt.Errorf("analytics: at sequence %d, waiting for %d: %w", at, want, ctx.Err())
			if trouble != nil {
				err = fmt.Errorf("%w; the view is held by: %w", err, trouble)
			}
			return 0, err
		}
	}
}

// await says that somebody waits for changes, until what it returns is called.
func (v *View) await() (end func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting++
	select {
	case v.called <- struct{}{}:
	default: // it has been said
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.waiting--
	}
}

// enter begins a read: until leave, the files stay open, and the context that
// it returns ends with the view.
func (v *View) enter(ctx context.Context) (context.Context, func(), error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, nil, ErrClosed
	}
	v.reads.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(v.life, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		v.reads.Done()
	}, nil
}

// read runs f on one connection in one snapshot that has seen the sequence, and
// returns the sequence of that snapshot. f must not read again: the writer may
// be waiting between the two.
func (v *View) read(ctx context.Context, atLeast uint64, f func(context.Context, *sql.Conn, map[string]*layout) error) (uint64, error) {
	for {
		want, err := v.wait(ctx, atLeast)
		if err != nil {
			return 0, err
		}
		sequence, err := v.snapshot(ctx, want, f)
		if !errors.Is(err, errEarlier) {
			return sequence, err
		}
	}
}

// errEarlier: the view is being built again, and a snapshot would go back.
var errEarlier = errors.New("the view is being built again")

func (v *View) snapshot(ctx context.Context, want uint64, f func(context.Context, *sql.Conn, map[string]*layout) error) (sequence uint64, err error) {
	ctx, leave, err := v.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	v.follower.mu.RLock()
	defer v.follower.mu.RUnlock()
	s := v.follower.store
	if s == nil {
		return 0, errEarlier
	}
	err = s.transact(ctx, func(conn *sql.Conn) error {
		var whole uint64
		if err := conn.QueryRowContext(ctx, `SELECT sequence, whole FROM _view`).Scan(&sequence, &whole); err != nil {
			return err
		}
		if sequence < max(want, whole) {
			return errEarlier
		}
		return f(ctx, conn, s.spaces)
	})
	switch {
	case err == nil:
		return sequence, nil
	case errors.Is(err, errEarlier):
		return 0, errEarlier
	case errors.Is(context.Cause(ctx), ErrClosed):
		return 0, ErrClosed
	}
	if ruinous(err) {
		v.mu.Lock()
		v.nudge()
		v.mu.Unlock()
	}
	return 0, fmt.Errorf("analytics: %w", err)
}
