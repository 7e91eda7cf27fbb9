//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// Answer is the answer to a query of an analyst.
type Answer struct {
	Columns []Column
	// Rows have one value per column, ready for encoding/json: nil, bool, integers,
	// finite floats, json.Number for decimals, strings, and slices and maps of
	// them. NaN and infinities are the strings "NaN", "Infinity" and "-Infinity";
	// an integer beyond 64 bits is a string; times are RFC 3339 in UTC, durations
	// ISO 8601, bytes base64.
	Rows [][]any
	// Sequence is up to which change the answer has seen everything.
	Sequence uint64
	// Truncated tells that there were more rows.
	Truncated bool
}

// Column is a column of an answer; Type is DuckDB's name of its type.
type Column struct {
	Name string
	Type string
}

// analyst runs other people's SQL, in read-only, locked-down instances of its
// own. Of its two files one is open read-only and answers; the other is closed,
// or being followed up to take its place. A file is never open twice: DuckDB
// would lose its lock.
type analyst struct {
	v *View
	// slots holds one entry per query that runs, turn the one who refreshes.
	slots chan struct{}
	turn  chan struct{}
	// followers are opened only by whoever has the turn, and closed by it too.
	followers [2]*follower

	mu sync.Mutex
	// open are the replicas that are open, by file; current is the one that
	// answers. The other one, if any, is retired: its file is followed up next,
	// once it is drained.
	open    [2]*replica
	current *replica
}

// replica is one file opened read-only at one sequence.
type replica struct {
	db       *sql.DB
	file     int
	sequence uint64
	made     time.Time
	// users counts the queries that run on it; retired: no more will.
	users   int
	retired bool
	drained chan struct{}
}

func newAnalyst(v *View) *analyst {
	a := &analyst{v: v, slots: make(chan struct{}, v.o.Queries.AtOnce), turn: make(chan struct{}, 1)}
	for i := range a.followers {
		a.followers[i] = v.newFollower(fmt.Sprintf("_copy%d.duckdb", i), v.o.Memory/2, v.o.Threads)
	}
	return a
}

// Query answers one SQL query over a copy of the view that has seen atLeast; 0
// asks for what is there, at most QueryLimits.Lag old. No more than limit rows
// are returned, nor more than QueryLimits.Rows; 0 means the latter. What is
// wrong with the SQL, or too much for the limits, is a *loop.Error.
func (v *View) Query(ctx context.Context, query string, atLeast uint64, limit int) (Answer, error) {
	if limit <= 0 || limit > v.o.Queries.Rows {
		limit = v.o.Queries.Rows
	}
	statement, err := parseStatement(query)
	if err != nil {
		return Answer{}, err
	}
	if _, err := v.wait(ctx, atLeast); err != nil {
		return Answer{}, fmt.Errorf("query: %w", err)
	}
	ctx, leave, err := v.enter(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer leave()
	answer, err := v.analyst.query(ctx, statement, atLeast, limit)
	if err != nil && errors.Is(context.Cause(ctx), ErrClosed) {
		return Answer{}, ErrClosed
	}
	return answer, err
}

func (a *analyst) query(ctx context.Context, s statement, atLeast uint64, limit int) (Answer, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("query: waiting for other queries to end: %w", ctx.Err())
	}
	r, err := a.acquire(ctx, atLeast)
	if err != nil {
		return Answer{}, fmt.Errorf("query: %w", err)
	}
	defer a.release(r)

	limited, cancel := context.WithTimeout(ctx, a.v.o.Queries.Time)
	defer cancel()
	answer, err := r.answer(limited, s, limit)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return Answer{}, fmt.Errorf("query: %w", ctx.Err())
	case limited.Err() != nil:
		return Answer{}, &loop.Error{Field: "query", Problem: fmt.Sprintf("it ran for longer than %v", a.v.o.Queries.Time),
			Remedy: "ask for less at a time, or aggregate earlier"}
	}
	if ruinous(err) {
		a.distrust(r)
	}
	if de, ok := errors.AsType[*duckdb.Error](err); ok {
		return Answer{}, &loop.Error{Field: "query", Problem: de.Msg}
	}
	return Answer{}, fmt.Errorf("query: %w", err)
}

// acquire finds or makes a replica that is new enough; release gives it back.
func (a *analyst) acquire(ctx context.Context, atLeast uint64) (*replica, error) {
	if r := a.fitting(atLeast); r != nil {
		return r, nil
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r := a.fitting(atLeast); r != nil {
		return r, nil
	}
	return a.refresh(ctx, max(atLeast, a.v.reached()))
}

// fitting is the current replica, if it has seen atLeast; 0 asks for one that
// is not behind, or not for long.
func (a *analyst) fitting(atLeast uint64) *replica {
	latest := a.v.reached()
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.current
	if r == nil || r.sequence < atLeast {
		return nil
	}
	if atLeast == 0 && r.sequence < latest && time.Since(r.made) > a.v.o.Queries.Lag {
		return nil
	}
	r.users++
	return r
}

func (a *analyst) release(r *replica) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.users--
	r.drain()
}

// distrust puts a replica out of use whose instance failed from within.
func (a *analyst) distrust(r *replica) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == r {
		a.current, r.retired = nil, true
	}
}

// drain tells that a retired replica has no users any more. The caller holds
// the analyst's mu.
func (r *replica) drain() {
	if r.retired && r.users == 0 {
		close(r.drained)
	}
}

// refresh follows the file that does not answer up to the sequence, and lets it
// answer. The caller has the turn, and must release what it gets.
func (a *analyst) refresh(ctx context.Context, sequence uint64) (*replica, error) {
	a.mu.Lock()
	file := 0
	if a.current != nil {
		file = 1 - a.current.file
	}
	old := a.open[file]
	a.mu.Unlock()
	if old != nil {
		select {
		case <-old.drained:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for queries on an older copy: %w", ctx.Err())
		}
		a.mu.Lock()
		a.open[file] = nil
		a.mu.Unlock()
		if err := old.db.Close(); err != nil {
			return nil, err
		}
	}
	next, err := a.reopen(ctx, file, sequence)
	if errors.Is(err, errDamaged) && ctx.Err() == nil {
		a.v.o.Logger.Warn("the view is built again", "file", filepath.Base(a.followers[file].path), "reason", err)
		if err := a.followers[file].forget(); err != nil {
			return nil, fmt.Errorf("copy: %w", err)
		}
		next, err = a.reopen(ctx, file, sequence)
	}
	if err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil {
		a.current.retired = true
		a.current.drain()
	}
	next.users = 1
	a.open[file], a.current = next, next
	return next, nil
}

// reopen follows a file up and opens it read-only. It is errDamaged if it was
// written well but does not open.
func (a *analyst) reopen(ctx context.Context, file int, sequence uint64) (*replica, error) {
	f := a.followers[file]
	reached, err := a.follow(ctx, f, sequence)
	if err := errors.Join(err, f.close()); err != nil {
		return nil, err
	}
	db, err := a.openLocked(ctx, f.path)
	if err != nil {
		return nil, errors.Join(errDamaged, err)
	}
	return &replica{db: db, file: file, sequence: reached, made: time.Now(), drained: make(chan struct{})}, nil
}

// follow brings a file to the sequence, which the catalogue has.
func (a *analyst) follow(ctx context.Context, f *follower, sequence uint64) (uint64, error) {
	if err := f.open(ctx); err != nil {
		return 0, err
	}
	for failures := 0; f.store == nil || f.store.sequence < sequence; {
		err := f.advance(ctx)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures > attempts {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(a.v.o.Pause):
		}
	}
	return f.store.sequence, nil
}

// openLocked opens a file read-only and locked down, and makes sure that it is.
func (a *analyst) openLocked(ctx context.Context, path string) (*sql.DB, error) {
	q := a.v.o.Queries
	db, err := openDB(path, url.Values{
		"access_mode":                  {"READ_ONLY"},
		"memory_limit":                 {kibibytes(q.Memory)},
		"max_temp_directory_size":      {kibibytes(q.Disk)},
		"threads":                      {strconv.Itoa(1)},
		"enable_external_access":       {"false"},
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"lock_configuration":           {"true"},
	}.Encode())
	if err != nil {
		return nil, err
	}
	// What one query leaves on its connection, the next must not find.
	db.SetMaxIdleConns(-1)
	var mode string
	var external, locked bool
	err = db.QueryRowContext(ctx, `SELECT current_setting('access_mode'), current_setting('enable_external_access')::BOOLEAN,
		current_setting('lock_configuration')::BOOLEAN`).Scan(&mode, &external, &locked)
	if err == nil && (mode != "read_only" || external || !locked) {
		err = fmt.Errorf("the copy is not locked down: access mode %q, external access %v, configuration locked %v", mode, external, locked)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// close closes everything. No query runs any more.
func (a *analyst) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, r := range a.open {
		if r != nil {
			errs = append(errs, r.db.Close())
		}
	}
	a.open, a.current = [2]*replica{}, nil
	for _, f := range a.followers {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// answer runs a statement and reads its rows, at most limit of them.
func (r *replica) answer(ctx context.Context, s statement, limit int) (Answer, error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	// One more row than asked for tells whether there are more.
	rows, err := conn.QueryContext(ctx, s.limited(limit+1))
	if err != nil {
		return Answer{}, s.clarify(ctx, conn, err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Sequence: r.sequence, Columns: make([]Column, len(types)), Rows: [][]any{}}
	for i, t := range types {
		answer.Columns[i] = Column{Name: t.Name(), Type: t.DatabaseTypeName()}
	}
	cells, into := make([]any, len(types)), make([]any, len(types))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if len(answer.Rows) == limit {
			answer.Truncated = true
			break
		}
		if err := rows.Scan(into...); err != nil {
			return Answer{}, err
		}
		row := make([]any, len(cells))
		for i, cell := range cells {
			row[i] = jsonValue(cell, answer.Columns[i].Type)
		}
		answer.Rows = append(answer.Rows, row)
	}
	return answer, errors.Join(rows.Err(), rows.Close())
}
