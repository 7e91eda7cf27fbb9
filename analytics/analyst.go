//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"hone/loop"
)

// Answer is the answer to a query of an analyst.
type Answer struct {
	Columns []Column
	// Rows have one value per column, as encoding/json reads them with numbers
	// kept: nil, bool, json.Number, string, []any and map[string]any. NaN and
	// infinities are the strings "NaN", "Infinity" and "-Infinity"; an integer
	// beyond 64 bits is a string; times are RFC 3339 in UTC, durations ISO 8601,
	// bytes base64.
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

// analyst runs other people's SQL, in read-only, locked-down instances in
// processes of their own. Of its two files one answers: any number of processes
// may have it open read-only. The other is closed, or being followed up to take
// its place.
type analyst struct {
	v *View
	// slots holds one entry per query that runs, turn the one who refreshes.
	slots chan struct{}
	turn  chan struct{}
	// followers are opened only by whoever has the turn, and closed by it too.
	followers [2]*follower

	mu sync.Mutex
	// replicas are by file, as far as there are any; current is the one that
	// answers. The other one is retired: its file is followed up next, once it is
	// drained.
	replicas [2]*replica
	current  *replica
}

// replica is one file, closed by us, at one sequence.
type replica struct {
	file     int
	sequence uint64
	made     time.Time
	// users counts the queries that run on it; retired: no more will. A damaged
	// one did not open.
	users   int
	retired bool
	damaged bool
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
	answer, err := a.once(ctx, s, atLeast, limit)
	if errors.Is(err, errDamaged) && ctx.Err() == nil {
		answer, err = a.once(ctx, s, atLeast, limit)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("query: %w", err)
	}
	return answer, nil
}

// once asks one replica.
func (a *analyst) once(ctx context.Context, s statement, atLeast uint64, limit int) (Answer, error) {
	r, err := a.acquire(ctx, atLeast)
	if err != nil {
		return Answer{}, err
	}
	defer a.release(r)
	limits := a.v.o.Queries
	limited, cancel := context.WithTimeout(ctx, limits.Time)
	defer cancel()
	answer, err := ask(limited, request{Path: a.followers[r.file].path, Text: s.text, First: s.first, Limit: limit, Limits: limits})
	answer.Sequence = r.sequence
	broken, isBroken := errors.AsType[*brokenError](err)
	switch {
	case ctx.Err() != nil:
		return Answer{}, ctx.Err()
	case limited.Err() != nil:
		return Answer{}, &loop.Error{Field: "query", Problem: fmt.Sprintf("it ran for longer than %v", limits.Time),
			Remedy: "ask for less at a time, or aggregate earlier"}
	case isBroken:
		a.v.o.Logger.Warn("a query broke down its process", "query", s.text[:min(len(s.text), 200)], "error", broken)
		return Answer{}, &loop.Error{Field: "query", Problem: "it broke down the process that it ran in, most likely for want of memory",
			Remedy: "ask for less at a time, or aggregate earlier"}
	case errors.Is(err, errDamaged):
		a.distrust(r)
	}
	return answer, err
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

// distrust puts a replica out of use that does not open.
func (a *analyst) distrust(r *replica) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == r {
		a.current, r.retired, r.damaged = nil, true, true
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
	old := a.replicas[file]
	a.mu.Unlock()
	f := a.followers[file]
	if old != nil {
		select {
		case <-old.drained:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for queries on an older copy: %w", ctx.Err())
		}
		if old.damaged {
			a.v.o.Logger.Warn("the view is built again", "file", filepath.Base(f.path), "reason", errDamaged)
			if err := f.forget(); err != nil {
				return nil, fmt.Errorf("copy: %w", err)
			}
		}
		a.mu.Lock()
		a.replicas[file] = nil
		a.mu.Unlock()
	}
	reached, err := a.follow(ctx, f, sequence)
	if err := errors.Join(err, f.close()); err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	next := &replica{file: file, sequence: reached, made: time.Now(), users: 1, drained: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current != nil {
		a.current.retired = true
		a.current.drain()
	}
	a.replicas[file], a.current = next, next
	return next, nil
}

// follow brings a file to the sequence, which the catalogue has.
func (a *analyst) follow(ctx context.Context, f *follower, sequence uint64) (uint64, error) {
	if err := f.open(ctx); err != nil {
		return 0, err
	}
	for failures := 0; f.store == nil || f.store.sequence < max(sequence, f.store.whole); {
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

// close closes what is open. No query runs any more.
func (a *analyst) close() error {
	return errors.Join(a.followers[0].close(), a.followers[1].close())
}
