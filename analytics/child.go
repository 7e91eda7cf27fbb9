//go:build duckdb_arrow && cgo

package analytics

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// An analyst's query runs in a process of its own: this program, started again.
// DuckDB interrupts a query only between chunks of rows, and bounds only the
// memory of its buffers, so that one expression, list_sum(range(1000000000)),
// takes minutes and gigabytes that no setting bounds; and a bug that somebody's
// SQL finds would take the whole server down. A process can be limited and
// killed.

// childEnv marks such a process.
const childEnv = "HONE_ANALYTICS_QUERY"

// init turns the process into one that answers a query, if it was started for
// that. It is an init, and not a call in main, so that it holds for every
// program that links this package, its tests too.
func init() {
	if os.Getenv(childEnv) != "" {
		os.Exit(childMain(os.Stdin, os.Stdout))
	}
}

// request is what such a process is asked, on its standard input.
type request struct {
	Path   string      `json:"path"`
	Text   string      `json:"text"`
	First  string      `json:"first"`
	Limit  int         `json:"limit"`
	Limits QueryLimits `json:"limits"`
}

// response is its answer. Exactly one of Refusal and Failure may be set.
type response struct {
	Columns   []Column          `json:"columns"`
	Rows      []json.RawMessage `json:"rows"`
	Truncated bool              `json:"truncated"`
	// Refusal is what is wrong with the query, Failure what is wrong with us;
	// Damaged tells that the file does not open.
	Refusal *loop.Error `json:"refusal,omitempty"`
	Failure string      `json:"failure,omitempty"`
	Damaged bool        `json:"damaged,omitempty"`
}

func childMain(in io.Reader, out io.Writer) int {
	decoder := json.NewDecoder(in)
	var q request
	if err := decoder.Decode(&q); err != nil {
		fmt.Fprintln(os.Stderr, "analytics: a query process was started without a query:", err)
		return 2
	}
	// The pipe stays open as long as whoever asks is there.
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(3)
	}()
	confine(q.Limits)
	if err := json.NewEncoder(out).Encode(q.run()); err != nil {
		return 1
	}
	return 0
}

// confine makes the process small and meek. What cannot be done on a system is
// left: the locked-down instance has bounds of its own.
func confine(limits QueryLimits) {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return
	}
	pages, err := strconv.ParseUint(strings.SplitN(string(statm), " ", 2)[0], 10, 64)
	if err != nil {
		return
	}
	// Address space is what there is to limit. Beside what DuckDB counts there
	// are rows on their way, the stacks and arenas of threads, and our own heap.
	total := pages*uint64(os.Getpagesize()) + 2*uint64(limits.Memory) + 512<<20
	_ = syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: total, Max: total})
}

func (q *request) run() response {
	ctx := context.Background()
	db, err := openLocked(ctx, q.Path, q.Limits)
	if err != nil {
		return response{Failure: err.Error(), Damaged: true}
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return response{Failure: err.Error()}
	}
	defer conn.Close()
	r, err := q.answer(ctx, conn)
	if err == nil {
		return r
	}
	if de, ok := errors.AsType[*duckdb.Error](err); ok {
		return response{Refusal: &loop.Error{Field: "query", Problem: de.Msg}}
	}
	if refusal, ok := errors.AsType[*loop.Error](err); ok {
		return response{Refusal: refusal}
	}
	return response{Failure: err.Error()}
}

// answer runs the statement and reads its rows.
func (q *request) answer(ctx context.Context, conn *sql.Conn) (response, error) {
	s := statement{text: q.Text, first: q.First}
	// One more row than asked for tells whether there are more.
	rows, err := conn.QueryContext(ctx, s.limited(q.Limit+1))
	if err != nil {
		return response{}, s.clarify(ctx, conn, err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return response{}, err
	}
	r := response{Columns: make([]Column, len(types)), Rows: []json.RawMessage{}}
	for i, t := range types {
		r.Columns[i] = Column{Name: t.Name(), Type: t.DatabaseTypeName()}
	}
	cells, into := make([]any, len(types)), make([]any, len(types))
	for i := range cells {
		into[i] = &cells[i]
	}
	size := 0
	for rows.Next() {
		if len(r.Rows) == q.Limit {
			r.Truncated = true
			break
		}
		if err := rows.Scan(into...); err != nil {
			return response{}, err
		}
		row := make([]any, len(cells))
		for i, cell := range cells {
			row[i] = jsonValue(cell, r.Columns[i].Type)
		}
		text, err := json.Marshal(row)
		if err != nil {
			return response{}, err
		}
		if size += len(text); size > q.Limits.Bytes {
			return response{}, &loop.Error{Field: "query", Problem: fmt.Sprintf("the answer exceeds %d bytes", q.Limits.Bytes), Remedy: "ask for fewer rows or columns"}
		}
		r.Rows = append(r.Rows, text)
	}
	return r, errors.Join(rows.Err(), rows.Close())
}

// openLocked opens a file read-only and locked down, and makes sure that it is.
func openLocked(ctx context.Context, path string, limits QueryLimits) (*sql.DB, error) {
	db, err := openDB(path, url.Values{
		"access_mode":                  {"READ_ONLY"},
		"memory_limit":                 {kibibytes(limits.Memory)},
		"max_temp_directory_size":      {kibibytes(limits.Disk)},
		"threads":                      {"1"},
		"enable_external_access":       {"false"},
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"lock_configuration":           {"true"},
	}.Encode())
	if err != nil {
		return nil, err
	}
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

// ask starts a process for a query and waits for its answer. When the context
// ends the process is killed; it has ended, whatever happens, when ask returns.
func ask(ctx context.Context, q request) (Answer, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return Answer{}, err
	}
	program, err := self()
	if err != nil {
		return Answer{}, err
	}
	child := exec.CommandContext(ctx, program)
	child.Env = []string{childEnv + "=1"}
	child.WaitDelay = time.Second
	stdin, err := child.StdinPipe()
	if err != nil {
		return Answer{}, err
	}
	// Rows are bounded by the child; what surrounds them is small.
	stdout, stderr := &bounded{limit: q.Limits.Bytes + 1<<20}, &bounded{limit: 4 << 10}
	child.Stdout, child.Stderr = stdout, stderr
	if err := child.Start(); err != nil {
		return Answer{}, err
	}
	if _, err := stdin.Write(append(text, '\n')); err != nil && ctx.Err() == nil {
		// It ended before it read: the reason is in how it ended.
		text = nil
	}
	err = child.Wait()
	if ctx.Err() != nil {
		return Answer{}, ctx.Err()
	}
	var r response
	decoder := json.NewDecoder(&stdout.Buffer)
	if decoded := decoder.Decode(&r); err != nil || decoded != nil || text == nil {
		return Answer{}, &brokenError{how: errors.Join(err, decoded), stderr: stderr.String()}
	}
	switch {
	case r.Refusal != nil:
		return Answer{}, r.Refusal
	case r.Damaged:
		return Answer{}, fmt.Errorf("%w: %s", errDamaged, r.Failure)
	case r.Failure != "":
		return Answer{}, errors.New(r.Failure)
	}
	answer := Answer{Columns: r.Columns, Rows: make([][]any, len(r.Rows)), Truncated: r.Truncated}
	for i, row := range r.Rows {
		cells := json.NewDecoder(bytes.NewReader(row))
		cells.UseNumber()
		if err := cells.Decode(&answer.Rows[i]); err != nil {
			return Answer{}, err
		}
	}
	return answer, nil
}

// brokenError is a process that ended without an answer: out of memory, or
// crashed.
type brokenError struct {
	how    error
	stderr string
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("the process of the query ended without an answer: %v: %s", e.how, cmp.Or(e.stderr, "it said nothing"))
}

// self is this program, also after its file was replaced.
func self() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	_, _ = b.Buffer.Write(p[:min(len(p), max(0, b.limit-b.Len()))])
	return len(p), nil
}
